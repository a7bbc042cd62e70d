"""Recovery: whatever a recorder's death left, what is whole is kept and what is not is named."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture import layout
from recorder.capture.digest import FrameDigest
from recorder.capture.finish import seal_journals
from recorder.capture.journal.file import JournalFile
from recorder.capture.reader import Capture
from recorder.capture.reading.serve import ReadReport
from recorder.capture.recover import recover
from recorder.capture.sealing.seal import Sealer
from recorder.capture.verify import verify
from recorder.errors import DiskFull, NotACapture, RecorderError
from recorder.frame import NO_CONNECTION, Frame, Kind

MARKER = b"\xabBLK"


def blocks_of(data: bytes) -> list[int]:
    """Offsets of the blocks of a journal whose payloads hold no marker."""
    found, at = [], data.find(MARKER)
    while at >= 0:
        found.append(at)
        at = data.find(MARKER, at + 1)
    return found


def kill(path: Path, *, tail: bytes = b"") -> None:
    """Make a whole journal look like one whose recorder was killed: no trailer, a torn end."""
    data = path.read_bytes()
    path.write_bytes(data[: blocks_of(data)[-1]] + tail)


def killed_row(seq: int, before: Frame) -> Frame:
    payload = (
        b'{"connection":-1,"first_seq":null,"last_seq":null,"count":null,"bytes":null,'
        b'"cause":"killed"}'
    )
    return Frame(seq, before.ts_recv, before.ts_mono, NO_CONNECTION, Kind.LOST, payload)


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "LOCK"
    }


def test_a_whole_capture_needs_nothing(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "c", make_frames(300))
    before = files_of(tmp_path / "c")
    report = recover(tmp_path / "c")
    assert (report.frames, report.bytes_cut, report.holes) == (0, 0, 0)
    assert report.next_numbers == (3, 300, 2)
    assert files_of(tmp_path / "c") == before


@pytest.mark.parametrize("sealed", [0, 2, 4])
def test_a_killed_recorder_adds_one_row(
    tmp_path: Path, make_frames: Any, build: Any, sealed: int
) -> None:
    frames = make_frames(470)
    segments = build(tmp_path / "c", frames, sealed=sealed)
    torn = MARKER + b"\x05\0\0\0half a header"
    kill(tmp_path / f"c/journal/{segments[-1]:06d}.wal", tail=torn)
    report = recover(tmp_path / "c")
    assert (report.bytes_cut, report.holes) == (len(torn), 1)
    assert report.frames == 470 - 100 * sealed
    expected = [*frames, killed_row(470, frames[-1])]
    assert list(Capture(tmp_path / "c").frames()) == expected
    (kept,) = (tmp_path / "c/quarantine").iterdir()
    assert kept.read_bytes() == torn
    digest = FrameDigest()
    digest.update(expected)
    assert Capture(tmp_path / "c").info().input_digest == digest.hexdigest()
    verified = verify(tmp_path / "c")
    assert (verified.problems, verified.exit_code, verified.lost_rows) == ([], 3, 1)

    after = files_of(tmp_path / "c")
    again = recover(tmp_path / "c")
    assert (again.frames, again.bytes_cut, again.holes) == (0, 0, 0)
    assert again.next_numbers == (5, 471, 2)
    assert files_of(tmp_path / "c") == after


def test_killed_at_the_roll(tmp_path: Path, make_frames: Any, build: Any) -> None:
    """The next journal exists with its header alone, the old one has no trailer yet."""
    frames = make_frames(200)
    build(tmp_path / "c", frames, sealed=0)
    journal = tmp_path / "c/journal"
    kill(journal / "000000.wal")
    header = (journal / "000001.wal").read_bytes()[:36]
    for size in (36, 20, 0):
        build(tmp_path / f"c{size}", frames, sealed=0)
        journal = tmp_path / f"c{size}/journal"
        kill(journal / "000000.wal")
        (journal / "000001.wal").write_bytes(header[:size])
        report = recover(tmp_path / f"c{size}")
        assert report.holes == 1
        expected = [*frames[:100], killed_row(100, frames[99])]
        assert list(Capture(tmp_path / f"c{size}").frames()) == expected
        assert verify(tmp_path / f"c{size}").exit_code == 3
        assert report.next_numbers == (2, 101, 2)


@pytest.mark.parametrize("leftover", [None, b"", b"OKXWAL"])
def test_a_power_cut_took_the_last_journal(
    tmp_path: Path, make_frames: Any, build: Any, leftover: bytes | None
) -> None:
    """The trailer of the one before says that there was one: its end is not the recording's."""
    frames = make_frames(470)
    segments = build(tmp_path / "c", frames, sealed=2)
    last = layout.journal_path(tmp_path / "c", segments[-1])
    with JournalFile(
        tmp_path / "c", segments[-1], capture_id=layout.read_header(tmp_path / "c").id
    ) as journal:
        kept = frames[: journal.first_seq]
    if leftover is None:
        last.unlink()
    else:
        last.write_bytes(leftover)
    assert verify(tmp_path / "c").unfinished
    assert list(Capture(tmp_path / "c").frames(report=ReadReport())) == kept
    sealed = seal_journals(tmp_path / "c")
    assert sealed.problems, "sealing must not make it look like the end"
    report = recover(tmp_path / "c")
    assert report.holes == 1
    assert list(Capture(tmp_path / "c").frames()) == [*kept, killed_row(len(kept), kept[-1])]
    assert verify(tmp_path / "c").ok
    assert recover(tmp_path / "c").holes == 0


def test_damage_in_the_middle_becomes_a_named_hole(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(200)
    build(tmp_path / "c", frames, sealed=0, chunk=10)
    path = tmp_path / "c/journal/000000.wal"
    data = bytearray(path.read_bytes())
    data[blocks_of(bytes(data))[3] + 60] ^= 1  # frames 30 to 39
    path.write_bytes(bytes(data))
    assert verify(tmp_path / "c").exit_code == 1
    report = recover(tmp_path / "c")
    assert (report.holes, report.bytes_cut) == (1, 0)
    found = list(Capture(tmp_path / "c").frames())
    row = found[30]
    assert found[:30] + found[31:] == frames[:30] + frames[40:]
    assert (row.seq, row.kind, row.ts_recv) == (30, Kind.LOST, frames[29].ts_recv)
    assert msgspec.json.decode(row.payload) == {
        "connection": -1,
        "first_seq": 30,
        "last_seq": 39,
        "count": 10,
        "bytes": None,
        "cause": "block CRC mismatch",
    }
    (kept,) = (tmp_path / "c/quarantine").iterdir()
    assert kept.read_bytes() == bytes(data)
    verified = verify(tmp_path / "c")
    assert (verified.problems, verified.exit_code) == ([], 3)
    info = Capture(tmp_path / "c").info()
    assert (info.lost, info.lost_rows, info.frames) == (10, 1, 191)
    again = recover(tmp_path / "c")
    assert (again.holes, again.next_numbers) == (0, (2, 200, 2))


def test_a_damaged_file_header_costs_no_frame(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=1)
    path = tmp_path / "c/journal/000001.wal"
    data = path.read_bytes()
    path.write_bytes(b"\xff" * 36 + data[36:])
    report = recover(tmp_path / "c")
    assert report.holes == 0
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").problems == []


def test_a_vanished_journal_is_a_hole(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=0)
    (tmp_path / "c/journal/000001.wal").unlink()
    assert recover(tmp_path / "c").holes == 1
    found = list(Capture(tmp_path / "c").frames())
    assert found[:100] + found[101:] == frames[:100] + frames[200:]
    assert b'"first_seq":100,"last_seq":199' in found[100].payload
    assert verify(tmp_path / "c").exit_code == 3


def test_a_hole_at_the_end_of_a_segment_is_named_once(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=0, chunk=10)
    path = tmp_path / "c/journal/000000.wal"
    data = path.read_bytes()
    path.write_bytes(data[: blocks_of(data)[8]])  # frames 80 to 99 and the trailer
    assert recover(tmp_path / "c").holes == 1
    found = list(Capture(tmp_path / "c").frames())
    assert found[:80] + found[81:] == frames[:80] + frames[100:]
    assert verify(tmp_path / "c").exit_code == 3
    assert recover(tmp_path / "c").holes == 0


@pytest.mark.parametrize("sealed", [0, 1, None])
def test_a_destroyed_last_journal_is_a_declared_loss(
    tmp_path: Path, make_frames: Any, build: Any, sealed: int | None
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=sealed)
    path = tmp_path / "c/journal/000003.wal"
    garbage = random.Random(4).randbytes(5_000)
    path.write_bytes(garbage)
    report = recover(tmp_path / "c")
    assert (report.holes, report.exit_code) == (1, 3)
    (kept,) = report.quarantined
    assert (tmp_path / "c" / kept).read_bytes() == garbage
    *found, row = Capture(tmp_path / "c").frames()
    assert found == frames
    assert (row.seq, row.kind, row.connection) == (300, Kind.LOST, NO_CONNECTION)
    assert (row.ts_recv, row.ts_mono) == (frames[-1].ts_recv, frames[-1].ts_mono)
    assert msgspec.json.decode(row.payload) == {
        "connection": -1,
        "first_seq": None,
        "last_seq": None,
        "count": None,
        "bytes": None,
        "cause": "journal destroyed",
    }
    assert verify(tmp_path / "c").exit_code == 3
    again = recover(tmp_path / "c")
    assert (again.holes, again.exit_code, again.next_numbers) == (0, 0, (4, 301, 2))


def test_a_destroyed_only_journal_is_a_declared_loss(tmp_path: Path, build: Any) -> None:
    for name, content in (("a", b"\xff" * 5_000), ("b", b"")):
        build(tmp_path / name, [Frame(0, 1, 1, 0, Kind.TEXT, b"x")], sealed=0)
        path = tmp_path / name / "journal/000000.wal"
        # b: the header is whole, what was behind it is not.
        path.write_bytes(content or path.read_bytes()[:36] + b"\xff" * 100)
        written = path.stat().st_mtime_ns
        assert recover(tmp_path / name).exit_code == 3
        (row,) = Capture(tmp_path / name).frames()
        assert (row.seq, row.kind, row.ts_recv) == (0, Kind.LOST, written)
        assert verify(tmp_path / name).exit_code == 3


def test_what_died_at_its_creation_leaves_nothing(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(200)
    for size in (0, 1, 36):
        build(tmp_path / f"c{size}", frames)
        (tmp_path / f"c{size}/journal/000002.wal").write_bytes(b"\xff" * size)
        assert recover(tmp_path / f"c{size}").exit_code == 0
        assert list(Capture(tmp_path / f"c{size}").frames()) == frames
        assert verify(tmp_path / f"c{size}").exit_code == 0


def test_what_no_recovery_can_repair_is_said(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(300)
    for name, victim in (("cut", 1), ("gone", 1), ("last", 2)):
        build(tmp_path / name, frames)
        source = Capture(tmp_path / name).snapshot().sealed[victim]
        path = tmp_path / name / source.path
        if name == "cut":
            path.write_bytes(path.read_bytes()[:-50])
        else:
            path.unlink()
        for _ in range(2):
            report = recover(tmp_path / name)
            assert report.exit_code == 1
            (problem,) = report.problems
            assert problem.first_seq == source.first_seq
            # A segment's number is never used again, though its file is gone.
            assert report.next_segment == 3


def test_a_segment_without_frames_leaves_no_checkpoint(tmp_path: Path, build: Any) -> None:
    build(tmp_path / "c", [Frame(0, 1, 1, 0, Kind.TEXT, b"x")], sealed=0)
    path = tmp_path / "c/journal/000000.wal"
    path.write_bytes(path.read_bytes()[:36])
    assert recover(tmp_path / "c").exit_code == 0
    assert layout.list_checkpoints(tmp_path / "c") == []


def test_leftovers_are_removed(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(200)
    build(tmp_path / "c", frames)
    day = next((tmp_path / "c/frames").iterdir())
    (day / "000002.parquet.tmp").write_bytes(b"PAR1")
    (tmp_path / "c/checkpoints/000003.zst.tmp").write_bytes(b"x")
    (tmp_path / "c/status.json").write_text("{}")
    recover(tmp_path / "c")
    assert [p for p in (tmp_path / "c").rglob("*") if ".tmp" in p.name or "status" in p.name] == []
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_a_journal_whose_segment_is_sealed_is_deleted(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(200)
    build(tmp_path / "c", frames, sealed=0)
    journal = (tmp_path / "c/journal/000000.wal").read_bytes()
    recover(tmp_path / "c")
    (tmp_path / "c/journal/000000.wal").write_bytes(journal)  # died between rename and delete
    assert list(Capture(tmp_path / "c").frames()) == frames
    recover(tmp_path / "c")
    assert os.listdir(tmp_path / "c/journal") == []
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_killed_before_the_first_frame(tmp_path: Path, build: Any) -> None:
    build(tmp_path / "c", [Frame(0, 1, 1, 0, Kind.TEXT, b"x")], sealed=0)
    path = tmp_path / "c/journal/000000.wal"
    path.write_bytes(path.read_bytes()[:36])
    assert recover(tmp_path / "c").next_numbers == (1, 0, 0)
    assert list(Capture(tmp_path / "c").frames()) == []


def test_what_the_disk_refuses_is_one_sentence_and_no_loss(
    tmp_path: Path, make_frames: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=1)
    in_the_way = tmp_path / "c/checkpoints/000002.zst"
    in_the_way.mkdir()
    with pytest.raises(RecorderError, match="nothing is lost"):
        recover(tmp_path / "c")
    in_the_way.rmdir()

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(layout, "fsync_file", full)
        with pytest.raises(DiskFull, match="free some space"):
            recover(tmp_path / "c")
    assert recover(tmp_path / "c").holes == 0
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == 0


def test_connections_of_an_unreadable_segment_are_not_numbered_again(
    tmp_path: Path, build: Any
) -> None:
    """Each frame might have begun a connection, as in a storm of refused attempts."""
    frames = [Frame(i, 10**18 + i * 10**7, i * 10**7, i, Kind.CLOSED, b"{}") for i in range(250)]
    build(tmp_path / "c", frames)
    last = tmp_path / "c" / Capture(tmp_path / "c").snapshot().sealed[-1].path
    last.write_bytes(last.read_bytes()[:-100])
    report = recover(tmp_path / "c")
    assert report.next_seq == 250
    assert report.next_connection >= 250


def test_no_capture(tmp_path: Path) -> None:
    with pytest.raises(NotACapture):
        recover(tmp_path)


WRITER = textwrap.dedent(
    """
    import os, sys
    from recorder.capture.writer import CaptureWriter, WriterOptions
    from recorder.frame import Frame, Kind
    options = WriterOptions(segment_seconds=0.5, sync_ms=20)
    writer = CaptureWriter(sys.argv[1], options=options)
    seq = 0
    while True:
        rows = [
            Frame(seq + i, 10**18 + (seq + i) * 10**6, (seq + i) * 10**6, 0, Kind.TEXT,
                  b'{"arg":{"channel":"x","instId":"y"},"data":[{"n":%d}]}' % (seq + i))
            for i in range(20)
        ]
        writer.write(rows)
        seq += 20
        writer.flush()
        os.write(1, b"%d\\n" % writer.written_seq)
    """
)


@pytest.mark.parametrize("lines", [1, 40, 160])
def test_kill_minus_nine_keeps_everything_written(tmp_path: Path, lines: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "c")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(lines):
        promised = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split(b"\n")  # lines that got out before the signal did
    promised = max([promised, *(int(line) for line in rest[:-1])])
    process.wait()
    report = recover(tmp_path / "c")
    assert report.holes == 1
    frames = list(Capture(tmp_path / "c").frames())
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert len(frames) - 1 > promised
    for frame in frames[:-1]:
        assert frame.payload.endswith(b'[{"n":%d}]}' % frame.seq)
    assert frames[-1] == killed_row(len(frames) - 1, frames[-2])
    assert verify(tmp_path / "c").exit_code == 3
    before = files_of(tmp_path / "c")
    recover(tmp_path / "c")
    assert files_of(tmp_path / "c") == before


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_journal_outlives_a_sealed_file_that_is_not_whole(
    tmp_path: Path, make_frames: Any, build: Any, is_damaged: bool
) -> None:
    """The sealer died between the rename and the deletion of the journal."""
    frames = make_frames(200)
    segments = build(tmp_path / "c", frames, sealed=0)
    journal = tmp_path / "c/journal/000001.wal"
    data = journal.read_bytes()
    sealer = Sealer(tmp_path / "c")
    for segment in segments:
        sealer.seal(segment)
    journal.write_bytes(data)
    sealed = tmp_path / "c" / Capture(tmp_path / "c").snapshot().sealed[1].path
    content = sealed.read_bytes()
    if is_damaged:
        sealed.write_bytes(content[:-1])
    report = recover(tmp_path / "c")
    assert not journal.exists()
    assert sealed.read_bytes() == content  # made again from the journal, the same to the byte
    assert report.quarantined == ([f"quarantine/{sealed.name}"] if is_damaged else [])
    assert (report.segments, report.holes) == (1 if is_damaged else 0, 0)
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").ok
