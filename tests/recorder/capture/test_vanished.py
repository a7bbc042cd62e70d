"""Segments that were deleted from the end are declared before a recorder goes on behind them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture.reader import Capture
from recorder.capture.recover import recover
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter
from recorder.errors import ExitCode
from recorder.frame import Frame, Kind


@pytest.mark.parametrize("kept", [3, 0])
def test_a_lost_row_stands_for_them(
    tmp_path: Path, make_frames: Any, build: Any, kept: int
) -> None:
    root = tmp_path / "c"
    frames = make_frames(600)
    build(root, frames)
    for source in Capture(root).snapshot().sealed[kept:]:
        (root / source.path).unlink()
    assert Capture(root).info().exit_code == ExitCode.FAILED
    for _ in range(2):  # the second finds nothing to do
        with CaptureWriter(root, append=True) as writer:
            seq, segment = writer.next_seq, 7
    assert seq == 100 * kept + 1
    with CaptureWriter(root, append=True) as writer:
        later = frames[-1].ts_recv
        writer.write([Frame(seq, later, later, 5, Kind.TEXT, b"pong")])
    found = list(Capture(root).frames())
    assert found[:-2] == frames[: 100 * kept]
    lost = found[-2]
    assert (lost.kind, lost.seq, lost.connection) == (Kind.LOST, 100 * kept, -1)
    assert msgspec.json.decode(lost.payload) == {
        "connection": -1,
        "first_seq": None,
        "last_seq": None,
        "count": None,
        "bytes": None,
        "cause": f"segments {kept} to 5 missing",
    }
    if kept:
        assert (lost.ts_recv, lost.ts_mono) == (frames[299].ts_recv, frames[299].ts_mono)
    info, verified = Capture(root).info(), verify(root)
    assert (info.problems, info.lost_rows, info.exit_code) == ([], 1, ExitCode.LOSS)
    assert (verified.problems, verified.exit_code) == ([], ExitCode.LOSS)
    assert Capture(root).snapshot().sealed[-1].segment == segment


_RECORDER = """
import sys, time
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.frame import Frame, Kind
writer = CaptureWriter(sys.argv[1], options=WriterOptions(sync_ms=1))
writer.write([Frame(seq, 10**18 + seq, seq, 0, Kind.TEXT, b"pong") for seq in range(250)])
writer._appender.wait(lambda: writer.durable_seq == 249, 60)
writer._status._write()
print("ready", flush=True)
time.sleep(300)
"""


def kill(root: Path, repository: Path) -> dict[str, Any]:
    """Kill a recorder of 250 frames when all are durable and told; return its last status."""
    recorder = subprocess.Popen(
        [sys.executable, "-c", _RECORDER, str(root)], stdout=subprocess.PIPE, cwd=repository
    )
    try:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"ready\n"
    finally:
        recorder.kill()
        recorder.communicate(timeout=60)
    found: dict[str, Any] = json.loads((root / "status.json").read_bytes())
    return found


@pytest.mark.parametrize("recovers_first", [False, True])
def test_a_dead_recorders_last_journal_is_missed(
    tmp_path: Path, repository: Path, recovers_first: bool
) -> None:
    """What it published as durable is not numbered again, and its end stays unknown."""
    root = tmp_path / "c"
    status = kill(root, repository)
    assert (status["durable_seq"], status["segment"]) == (249, 0)
    (root / "journal/000000.wal").unlink()
    if recovers_first:
        for _ in range(2):
            report = recover(root)
            (problem,) = report.problems
            assert (problem.cause, problem.first_seq, problem.last_seq) == (
                "journal missing",
                0,
                249,
            )
            assert report.exit_code == ExitCode.FAILED
    for attempt in range(2):  # the second finds nothing to do
        with CaptureWriter(root, append=True) as writer:
            assert writer.next_seq == 251
            notes = writer.take_notes()
            assert [("frames 0 to 249 are in no file" in note) for note in notes] == (
                [True] if attempt == 0 else []
            )
    rows = [json.loads(frame.payload) for frame in Capture(root).frames()]
    unknown = dict.fromkeys(("first_seq", "last_seq", "count", "bytes"))
    assert rows == [
        {
            "connection": -1,
            "first_seq": 0,
            "last_seq": 249,
            "count": 250,
            "bytes": None,
            "cause": "journal missing",
        },
        {"connection": -1, **unknown, "cause": "killed"},
    ]
    verified = verify(root)
    assert (verified.problems, verified.exit_code) == ([], ExitCode.LOSS)
    assert Capture(root).info().lost == 250
    assert recover(root).problems == []


def test_a_killed_recorder_whose_journal_is_there_is_missed_nothing(
    tmp_path: Path, repository: Path
) -> None:
    root = tmp_path / "c"
    kill(root, repository)
    with CaptureWriter(root, append=True) as writer:
        assert (writer.next_seq, writer.take_notes()) == (251, [])
    assert [frame.payload for frame in Capture(root).frames()][:250] == [b"pong"] * 250


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"[]", b'{"durable_seq": "x"}'])
def test_a_status_that_says_nothing_proves_nothing(
    tmp_path: Path, make_frames: Any, build: Any, content: bytes
) -> None:
    root = tmp_path / "c"
    build(root, make_frames(100))
    (root / "status.json").write_bytes(content)
    assert recover(root).problems == []
    assert not (root / "status.json").exists()


def test_a_recorder_says_what_is_missing_in_the_middle_and_goes_on(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    root = tmp_path / "c"
    frames = make_frames(600)
    build(root, frames)
    (root / Capture(root).snapshot().sealed[2].path).unlink()
    for _ in range(
        2
    ):  # it stays true, and may come back from a copy: no row claims that it is lost
        with CaptureWriter(root, append=True) as writer:
            (note,) = writer.take_notes()
            assert "frames 200 to 299 are in no file" in note
            assert writer.next_seq == 600
    assert verify(root).problems[0].cause == "numbers missing"
