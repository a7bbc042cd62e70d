"""Verify finds every kind of damage and names it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.checkpoint import read_checkpoint, write_checkpoint
from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.sealing.seal import Sealer
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter
from recorder.errors import Damage
from recorder.okx.interpreter import Interpreter


def test_a_whole_capture(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(500)
    digest = FrameDigest()
    digest.update(frames)
    interpreter = Interpreter()
    events = sum(len(interpreter.step(frame)) for frame in frames)
    counts = interpreter.integrity
    assert counts.links > 100
    for name, sealed in (("j", 0), ("m", 2), ("s", None)):
        build(tmp_path / name, frames, sealed=sealed)
        report = verify(tmp_path / name)
        assert (report.problems, report.ok, report.exit_code) == ([], True, 0)
        assert (report.frames, report.events) == (500, events)
        assert report.sequence == {"links": counts.links, "gaps": 0, "resets": 0}
        assert report.checksums == {"match": 0, "mismatch": 0, "absent": counts.absent}
        assert report.unrecognized == counts.unrecognized > 0
        assert report.input_digest == digest.hexdigest()


def test_every_bit_of_a_sealed_file_counts(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(100)
    build(tmp_path / "c", frames)
    (source,) = Capture(tmp_path / "c").snapshot().sealed
    path = tmp_path / "c" / source.path
    data = path.read_bytes()
    rng = random.Random(5)
    for _ in range(60):
        at = rng.randrange(len(data))
        bad = bytearray(data)
        bad[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(bad))
        report = verify(tmp_path / "c")
        assert report.exit_code == 1
        # A flip in the metadata may disagree with the checkpoint, too; the file is named first.
        problem = report.problems[0]
        assert problem.file == source.path, at
        assert (problem.segment, problem.first_seq, problem.last_seq) == (0, 0, 99)
        # What readers serve in spite of it is never wrong in a payload page.
        served = list(Capture(tmp_path / "c").frames(report=ReadReport()))
        assert all(f.payload in {g.payload for g in frames} for f in served)


def test_every_bit_of_a_journal_counts(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(60)
    build(tmp_path / "c", frames, sealed=0, chunk=10)
    path = tmp_path / "c/journal/000000.wal"
    data = path.read_bytes()
    rng = random.Random(6)
    for _ in range(60):
        bad = bytearray(data)
        bad[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(bad))
        report = verify(tmp_path / "c")
        assert report.exit_code == 1
        assert {p.file for p in report.problems} == {"journal/000000.wal"}
        served = list(Capture(tmp_path / "c").frames(report=ReadReport()))
        assert all(f in frames for f in served)


def test_a_truncated_file_is_named(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "c", make_frames(300))
    source = Capture(tmp_path / "c").snapshot().sealed[1]
    path = tmp_path / "c" / source.path
    path.write_bytes(path.read_bytes()[:1000])
    report = verify(tmp_path / "c")
    assert report.exit_code == 1
    assert {(p.file, p.segment) for p in report.problems} == {(source.path, 1)}
    assert report.frames == 200  # the others were still checked


def test_a_missing_segment_is_named(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "c", make_frames(500))
    (tmp_path / "c" / Capture(tmp_path / "c").snapshot().sealed[1].path).unlink()
    (problem,) = verify(tmp_path / "c").problems  # and nothing bad of the whole ones behind it
    assert (problem.cause, problem.first_seq, problem.last_seq) == ("numbers missing", 100, 199)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_missing_segments_at_the_end_are_named(
    tmp_path: Path, make_frames: Any, build: Any, kept: int
) -> None:
    """Nothing follows them, but the checkpoint behind them proves that they were there."""
    build(tmp_path / "c", make_frames(300))
    for source in Capture(tmp_path / "c").snapshot().sealed[kept:]:
        (tmp_path / "c" / source.path).unlink()
    report = verify(tmp_path / "c")
    assert report.exit_code == 1
    (problem,) = report.problems
    assert (problem.file, problem.segment) == ("checkpoints/000003.zst", kept)
    cause = "segment 2 missing" if kept == 2 else f"segments {kept} to 2 missing"
    assert (problem.cause, problem.first_seq) == (cause, 100 * kept or None)
    told = ReadReport()
    assert len(list(Capture(tmp_path / "c").frames(report=told))) == 100 * kept
    info = Capture(tmp_path / "c").info()
    assert (told.problems, info.problems, info.input_digest) == ([problem], [problem], None)
    with pytest.raises(Damage, match="segment"):
        list(Capture(tmp_path / "c").frames())
    if kept:  # the end is no concern of whoever wants what is before it
        assert len(list(Capture(tmp_path / "c").frames(last_seq=99))) == 100


@pytest.mark.parametrize("how", ["missing", "garbage", "another state"])
def test_a_wrong_checkpoint_is_named(
    tmp_path: Path, make_frames: Any, build: Any, how: str
) -> None:
    build(tmp_path / "c", make_frames(300))
    path = tmp_path / "c/checkpoints/000001.zst"
    if how == "missing":
        path.unlink()
    elif how == "garbage":
        path.write_bytes(b"garbage")
    else:
        write_checkpoint(tmp_path / "c", 1, Interpreter().save())
    report = verify(tmp_path / "c")
    assert report.exit_code == 1
    assert [p.file for p in report.problems] == ["checkpoints/000001.zst"]


def test_a_torn_tail_is_a_problem_and_a_whole_journal_is_none(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    build(tmp_path / "c", make_frames(150), sealed=0, chunk=10)
    path = tmp_path / "c/journal/000001.wal"
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"\xabBLK")])  # died between two blocks
    assert verify(tmp_path / "c").exit_code == 0
    path.write_bytes(data[: data.rfind(b"\xabBLK")] + b"\xabBLK1234")
    report = verify(tmp_path / "c")
    assert report.exit_code == 1
    assert report.problems[0].cause.startswith("torn tail")


def test_a_journal_sealed_meanwhile_is_verified_in_its_new_form(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    segments = build(tmp_path / "c", make_frames(300), sealed=0)
    sealer = Sealer(tmp_path / "c")
    # The first report of progress comes when one journal has been read: the rest move then.
    report = verify(
        tmp_path / "c",
        progress=lambda _: [sealer.seal(segments.pop(0)) for _ in list(segments)],
    )
    assert (report.problems, report.frames, report.segments) == ([], 300, 2)


def test_the_checkpoint_behind_the_last_segment_counts(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    build(tmp_path / "c", make_frames(200))
    path = tmp_path / "c/checkpoints/000002.zst"
    content = path.read_bytes()
    rng = random.Random(8)
    for _ in range(60):
        bad = bytearray(content)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(bad))
        assert [p.file for p in verify(tmp_path / "c").problems] == ["checkpoints/000002.zst"]
    write_checkpoint(tmp_path / "c", 2, Interpreter().save())  # whole, but of another moment
    (problem,) = verify(tmp_path / "c").problems
    assert problem.cause == "checkpoint is not the state that the frames before it give"
    path.write_bytes(content)
    assert verify(tmp_path / "c").checkpoints == 3


def test_every_bit_and_every_length_of_a_checkpoint_counts(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    """Also the bits that zstd does not look at, such as those of the window's size."""
    build(tmp_path / "c", make_frames(40))
    path = tmp_path / "c/checkpoints/000001.zst"
    content = path.read_bytes()
    for at in range(len(content)):
        for bad in (
            content[:at],
            content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :],
        ):
            path.write_bytes(bad)
            with pytest.raises(Damage):
                read_checkpoint(tmp_path / "c", 1)
    path.write_bytes(content[16:])  # as version 0.1 wrote it
    assert verify(tmp_path / "c").ok


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_a_journal_in_the_middle_that_ends_early(
    tmp_path: Path, make_frames: Any, build: Any, blocks: int
) -> None:
    build(tmp_path / "c", make_frames(300), sealed=0, chunk=10)
    path = tmp_path / "c/journal/000001.wal"
    data = path.read_bytes()
    for _ in range(1 + blocks):
        data = data[: data.rfind(b"\xabBLK")]
    path.write_bytes(data)
    found = [(p.first_seq, p.last_seq, p.cause) for p in verify(tmp_path / "c").problems]
    # All its frames are there without the trailer, as in one that a later journal cuts.
    assert found == ([(200 - 10 * blocks, 199, "numbers missing")] if blocks else [])


def test_a_damaged_file_header_is_named_and_costs_no_number(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    build(tmp_path / "c", make_frames(300), sealed=0)
    path = tmp_path / "c/journal/000001.wal"
    data = bytearray(path.read_bytes())
    data[20] ^= 4
    path.write_bytes(bytes(data))
    report = verify(tmp_path / "c")
    (problem,) = report.problems
    assert problem.cause.startswith("file header: ")
    assert (problem.first_seq, problem.last_seq, report.frames) == (None, None, 300)


def test_what_the_recorder_delivered_is_what_its_frames_give(
    tmp_path: Path, make_frames: Any
) -> None:
    """The event digest of a recorder, made from what it handed to its consumers."""
    frames = make_frames(300)
    for name, wrong in (("right", False), ("wrong", True)):
        interpreter, digest = Interpreter(), EventDigest()
        with CaptureWriter(tmp_path / name, reproducible=True) as writer:
            writer.write(frames)
            for frame in frames:
                events = interpreter.step(frame)
                digest.update(events[:-1] if wrong and frame.seq == 200 else events)
            writer.close(event_digest=digest)
        causes = [problem.cause for problem in verify(tmp_path / name).problems]
        assert causes == (["events are not those the recorder delivered"] if wrong else [])


def test_files_replaced_while_they_are_read(
    tmp_path: Path, make_frames: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that is old by the time it is used: every file has been sealed since."""
    frames = make_frames(400)
    segments = build(tmp_path / "c", frames, sealed=0)
    old = Capture(tmp_path / "c").snapshot()
    sealer = Sealer(tmp_path / "c")
    for segment in segments:
        sealer.seal(segment)
    fresh = Capture.snapshot
    listings = [old]
    monkeypatch.setattr(Capture, "snapshot", lambda it: listings.pop() if listings else fresh(it))
    report = verify(tmp_path / "c")
    assert (report.problems, report.frames, report.segments) == ([], 400, 4)
