"""The capture format: `docs/format.md` is enough to read one, and old files stay readable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from independent_reader import IndependentReader

from recorder.capture.journal import JournalHeader
from recorder.capture.journal.output import JournalOutput
from recorder.capture.journal.roll import RecordRun
from recorder.capture.journal.room import Disk
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.cli import cli
from recorder.errors import Damage
from recorder.frame import Frame, Kind, encode_record

Row = tuple[int, int, int, int, str, bytes]

START = 1_793_606_400_000_000_000  # 2026-11-02T08:00:00Z
SECOND = 1_000_000_000
GOLDEN = Path(__file__).parent / "golden" / "format-1"
GOLDEN_DIGEST = "4181fa690e0be802a2bcaec8b59a60786fe7897585ca3dd321eeadfb308a42ba"
BOOK = (
    b'{"arg":{"channel":"books","instId":"%s"},"action":"snapshot","data":[{"asks":[["101","1",'
    b'"0","1"]],"bids":[["99","2","0","3"]],"ts":"1793606400000","seqId":7,"prevSeqId":-1}]}'
)
LOST = (
    b'{"connection":1,"first_seq":null,"last_seq":null,"count":1,"bytes":99000000,'
    b'"cause":"message too long"}'
)
GOLDEN_ROWS = (
    (-1, Kind.RUN, b'{"recorder":"0.1.0"}'),
    (0, Kind.REST, b'{"code":"0","msg":"","data":[]}'),
    (1, Kind.OPENED, b'{"url":"wss://127.0.0.1/ws/v5/public","endpoint":"public","link":0}'),
    (1, Kind.SENT, b'{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'),
    (1, Kind.TEXT, b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}'),
    (1, Kind.TEXT, BOOK % b"ETH-USDT"),
    (1, Kind.TEXT, b"pong"),
    (1, Kind.TEXT, BOOK % b"BTC-USDT"),
    (1, Kind.TEXT, b""),
    (1, Kind.BINARY, bytes(range(256))),
    (1, Kind.TEXT, b'{"arg":{"channel":"trades","instId":"\xff"},"data":[]}'),
    (-1, Kind.CLOCK, b'{"offset":null}'),
    (1, Kind.LOST, LOST),
    (1, Kind.CLOSED, b'{"code":1006,"reason":"","by":"venue","opened":true}'),
)


def golden_frames() -> list[Frame]:
    """Invented frames, one of every kind; the UTC date changes nowhere."""
    return [
        Frame(seq, START + seq * SECOND + seq, 5_000 + seq * SECOND, connection, kind, payload)
        for seq, (connection, kind, payload) in enumerate(GOLDEN_ROWS)
    ]


def small_frames(count: int, *, first_seq: int = 0) -> list[Frame]:
    payloads = (b"pong", b"", b'{"arg":{"channel":"trades","instId":"A"},"data":[]}', b"x" * 9)
    return [
        Frame(seq, START + seq * 1000, seq * 1000, seq % 3, Kind.TEXT, payloads[seq * 7 % 4])
        for seq in range(first_seq, first_seq + count)
    ]


def row_of(frame: Frame) -> Row:
    stamps = (frame.seq, frame.ts_recv, frame.ts_mono, frame.connection)
    return (*stamps, frame.kind.label, frame.payload)


def info_of(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        CliRunner().invoke(cli, ["info", "--json", str(path)]).stdout
    )
    return found


def agreed(path: Path) -> list[Row]:
    """Return what both readers read, which must be the same, as must the digests."""
    reader = IndependentReader(path)
    rows = list(reader.frames())
    assert [row_of(frame) for frame in Capture(path).frames()] == rows
    assert info_of(path)["input_digest"] == reader.input_digest
    return rows


# --- the page is enough ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress"])
def test_datasets(datasets: Path, name: str) -> None:
    assert len(agreed(datasets / name)) > 3_000


def test_real_sessions(tmp_path: Path, real_traffic: Path) -> None:
    for path in sorted((real_traffic / "sessions").glob("*.jsonl")):
        out = tmp_path / path.stem
        import_sessions([path], out, options=WriterOptions(segment_seconds=10))
        assert len(agreed(out)) == len(path.read_bytes().splitlines())


def test_digest_blocks_over_several_segments(tmp_path: Path) -> None:
    frames = small_frames(140_000)
    options = WriterOptions(segment_bytes=1_000_000)  # some 20,000 frames
    with CaptureWriter(tmp_path / "c", options=options, reproducible=True) as writer:
        for start in range(0, len(frames), 4096):
            writer.write(frames[start : start + 4096])
    assert agreed(tmp_path / "c") == [row_of(frame) for frame in frames]
    assert info_of(tmp_path / "c")["segments"] == 7


def test_several_sorted_blocks_in_a_segment(tmp_path: Path) -> None:
    frames = small_frames(263_000)
    with CaptureWriter(tmp_path / "c", reproducible=True) as writer:
        writer.write(frames)
    assert agreed(tmp_path / "c") == [row_of(frame) for frame in frames]
    assert info_of(tmp_path / "c")["segments"] == 1


@pytest.mark.parametrize("compress", [False, True])
def test_live(tmp_path: Path, compress: bool) -> None:
    frames = small_frames(70_000)
    options = WriterOptions(segment_bytes=500_000, compress_journal=compress)
    with CaptureWriter(tmp_path / "c", options=options) as writer:
        writer.write(frames[:5_000])
        writer.flush(timeout=60)
        assert agreed(tmp_path / "c") == [row_of(frame) for frame in frames[:5_000]]
        assert info_of(tmp_path / "c")["segments"] == 0
        writer.write(frames[5_000:])
        writer.flush(timeout=60)
        writer._sealer.wait_below(3)
        assert agreed(tmp_path / "c") == [row_of(frame) for frame in frames]
        writer._sealer.wait_below(1)
        info = info_of(tmp_path / "c")
        assert info["recording"]
        assert info["segments"]
        assert info["journal_frames"]
        assert agreed(tmp_path / "c") == [row_of(frame) for frame in frames]
    assert agreed(tmp_path / "c") == [row_of(frame) for frame in frames]


def killed(path: Path, frames: int) -> None:
    """Write `small_frames` in a process that dies by SIGKILL once they are written."""
    writing = (
        "import os, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_format import CaptureWriter, WriterOptions, small_frames\n"
        "writer = CaptureWriter(sys.argv[1], options=WriterOptions(segment_bytes=300_000))\n"
        "for at in range(0, int(sys.argv[3]), 1000):\n"
        "    writer.write(small_frames(1000, first_seq=at))\n"
        "    writer.flush(timeout=60)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", writing, str(path), str(Path(__file__).parent), str(frames)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9


@pytest.mark.parametrize("tail", [b"", b"\xabBLK\x07torn"])
def test_recovered_after_a_kill(tmp_path: Path, tail: bytes) -> None:
    killed(tmp_path / "c", 20_000)
    with max((tmp_path / "c/journal").glob("*.wal")).open("ab") as last:
        last.write(tail)
    frames = [row_of(frame) for frame in small_frames(20_000)]
    assert agreed(tmp_path / "c") == frames
    for _ in range(2):
        recover(tmp_path / "c")
        rows = agreed(tmp_path / "c")
        assert rows[:-1] == frames
        assert (rows[-1][0], rows[-1][4]) == (20_000, "lost")


def test_recovered_from_damage(tmp_path: Path) -> None:
    killed(tmp_path / "c", 3_000)
    (journal,) = (tmp_path / "c/journal").glob("*.wal")
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1  # the second of three blocks
    journal.write_bytes(data)
    with pytest.raises(ValueError, match="after damaged bytes"):
        list(IndependentReader(tmp_path / "c").frames())
    recover(tmp_path / "c")
    rows = agreed(tmp_path / "c")
    assert [row[0] for row in rows] == [*range(1_000), 1_000, *range(2_000, 3_001)]
    assert json.loads(rows[1_000][5])["last_seq"] == 1_999
    assert verify(tmp_path / "c").ok


@pytest.mark.parametrize("gone", [0, 2])
def test_a_segment_that_is_gone_is_missed(tmp_path: Path, gone: int) -> None:
    options = WriterOptions(segment_bytes=30_000)
    with CaptureWriter(tmp_path / "c", options=options) as writer:
        writer.write(small_frames(3_000))
    path = sorted(tmp_path.glob("c/frames/*/*"))[gone]
    first_seq, last_seq = map(int, path.name.split("-")[1:3])
    path.unlink()
    with pytest.raises(ValueError, match="seq in segment"):
        list(IndependentReader(tmp_path / "c").frames())
    with pytest.raises(Damage, match=f"expected frame {first_seq} before"):
        list(Capture(tmp_path / "c").frames())
    report = ReadReport()
    assert len(list(Capture(tmp_path / "c").frames(report=report))) == 2_999 - last_seq + first_seq
    (problem,) = report.problems
    assert (problem.first_seq, problem.last_seq) == (first_seq, last_seq)
    info = Capture(tmp_path / "c").info()
    assert (info.problems, info.input_digest) == ([problem], None)
    assert problem in verify(tmp_path / "c").problems
    assert len(list(Capture(tmp_path / "c").frames(first_seq=last_seq + 1))) == 2_999 - last_seq
    assert len(list(Capture(tmp_path / "c").frames(last_seq=first_seq - 1))) == first_seq


def write_journal(
    path: Path, segment: int, first_seq: int, blocks: list[list[Frame]], end: str
) -> None:
    header = JournalHeader(
        json.loads((path / "capture.json").read_text())["id"], segment, first_seq
    )
    output = JournalOutput(path, header, Disk(), mode=0o644)
    for block in blocks:
        records = b"".join(map(encode_record, block))
        output.add(RecordRun(block[0].seq, len(block), records))
    output.end(end, None)
    output.close()


def test_journals_cut_by_a_later_one_and_with_named_holes(tmp_path: Path) -> None:
    """What a failing disk and a full one leave."""
    with CaptureWriter(tmp_path / "c", reproducible=True):
        pass
    row = b'{"connection":0,"first_seq":40,"last_seq":59,"count":20,"bytes":9,"cause":"disk full"}'
    lost = Frame(40, START, 40_000, -1, Kind.LOST, row)
    after = small_frames(30, first_seq=60)
    write_journal(tmp_path / "c", 0, 0, [small_frames(20), small_frames(20, first_seq=20)], "roll")
    write_journal(tmp_path / "c", 1, 20, [small_frames(20, first_seq=20), [lost], after], "close")
    expected = [row_of(frame) for frame in [*small_frames(40), lost, *after]]
    assert agreed(tmp_path / "c") == expected
    assert verify(tmp_path / "c").problems == []
    assert recover(tmp_path / "c").segments == 2
    assert agreed(tmp_path / "c") == expected
    assert verify(tmp_path / "c").lost == 20


# --- old captures stay readable ----------------------------------------------------------------


@pytest.mark.parametrize("form", ["journal", "journal-zstd", "sealed"])
def test_golden(form: str) -> None:
    assert agreed(GOLDEN / form) == [row_of(frame) for frame in golden_frames()]
    assert info_of(GOLDEN / form)["input_digest"] == GOLDEN_DIGEST
    assert verify(GOLDEN / form).ok


# --- no flipped bit goes unnoticed -------------------------------------------------------------


def flips(capture: Path, form: str, *, every: int = 1) -> Iterator[str]:
    """Copy a golden capture; flip a bit of each `every`th byte of its one data file in turn."""
    shutil.copytree(GOLDEN / form, capture)
    (path,) = [*capture.glob("journal/*"), *capture.glob("frames/*/*")]
    content = path.read_bytes()
    for at in range(0, len(content), every):
        flipped = bytes([content[at] ^ 1 << at % 8])
        path.write_bytes(content[:at] + flipped + content[at + 1 :])
        yield f"bit {at % 8} of byte {at}"


@pytest.mark.parametrize("form", ["journal", "journal-zstd"])
def test_every_flip_in_a_journal_is_noticed(tmp_path: Path, form: str) -> None:
    truth = [row_of(frame) for frame in golden_frames()]
    for where in flips(tmp_path / "c", form):
        reader, rows = IndependentReader(tmp_path / "c"), list[Row]()
        try:
            rows.extend(reader.frames())
        except ValueError:
            pass
        else:
            assert reader.torn, where
        assert rows == truth[: len(rows)], where
        read = [row_of(frame) for frame in Capture(tmp_path / "c").frames(report=ReadReport())]
        assert read == [row for row in truth if row in read], where
        assert not verify(tmp_path / "c").ok, where


def test_every_flip_in_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    for where in flips(tmp_path / "c", "sealed", every=10):
        with pytest.raises(ValueError, match="BLAKE2b"):
            list(IndependentReader(tmp_path / "c").frames())
        causes = [problem.cause for problem in verify(tmp_path / "c").problems]
        assert "file hash does not match its name" in causes, where


def test_a_flip_in_a_sealed_file_gives_no_wrong_frame_unverified(tmp_path: Path) -> None:
    """Without the hash, page checksums and bounds protect: all the frames or `Damage`."""
    truth = golden_frames()
    for where in flips(tmp_path / "c", "sealed", every=10):
        with suppress(Damage):
            assert list(Capture(tmp_path / "c").frames()) == truth, where
