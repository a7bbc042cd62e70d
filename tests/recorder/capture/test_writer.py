"""CaptureWriter with its real threads and its real sealer process."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import CaptureExists, NotACapture, RecorderError, UsageError
from recorder.frame import Frame, Kind

PATIENCE_S = 30


def test_record_close_read(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(500)
    events = EventDigest()
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        assert (writer.next_seq, writer.next_connection) == (0, 0)
        for start in range(0, 500, 60):
            writer.write(frames[start : start + 60])
        assert (writer.next_seq, writer.next_connection) == (500, 2)
        writer.flush(timeout=PATIENCE_S)
        assert writer.written_seq == 499
        assert list(Capture(tmp_path / "c").frames()) == frames  # before it is closed
        report = writer.close(event_digest=events)
    assert (report.frames, report.first_seq, report.last_seq, report.segments) == (500, 0, 499, 5)
    assert writer.durable_seq == 499
    assert os.listdir(tmp_path / "c/journal") == []
    assert not (tmp_path / "c/status.json").exists()
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == 0


def test_an_empty_recording_is_a_capture(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "c") as writer:
        assert writer.close().frames == 0
    assert list(Capture(tmp_path / "c").frames()) == []
    assert verify(tmp_path / "c").exit_code == 0


def test_append_continues_numbers(tmp_path: Path, make_frames: Any) -> None:
    first, second = make_frames(120), make_frames(80, first_seq=120, seed=2)
    with CaptureWriter(tmp_path / "c") as writer:
        writer.write(first)
    with CaptureWriter(tmp_path / "c", append=True) as writer:
        assert (writer.next_seq, writer.next_connection) == (120, 2)
        writer.write(second)
    assert list(Capture(tmp_path / "c").frames()) == first + second
    digest = FrameDigest()
    digest.update(first + second)
    report = verify(tmp_path / "c")
    assert (report.exit_code, report.input_digest) == (0, digest.hexdigest())
    assert Capture(tmp_path / "c").info().input_digest == digest.hexdigest()


@pytest.mark.parametrize("left", [0, 2])
def test_segments_gone_from_the_end_are_declared_when_recording_goes_on(
    tmp_path: Path, make_frames: Any, left: int
) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        writer.write(make_frames(500))
    for path in sorted(tmp_path.glob("c/frames/*/*"))[left:]:
        path.unlink()
    with CaptureWriter(tmp_path / "c", append=True) as writer:
        assert writer.next_seq == left * 100 + 1
        writer.write(make_frames(20, first_seq=writer.next_seq))
    (row,) = Capture(tmp_path / "c").frames(kinds=[Kind.LOST])
    assert (row.seq, row.connection) == (left * 100, -1)
    assert json.loads(row.payload)["cause"] == f"segments {left} to 4 missing"
    assert verify(tmp_path / "c").exit_code == 3


def test_append_to_nothing_creates(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path / "c", append=True) as writer:
        writer.write(make_frames(5))
    assert Capture(tmp_path / "c").info().frames == 5


def test_what_is_there_is_not_overwritten(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path / "c") as writer:
        writer.write(make_frames(5))
    with pytest.raises(CaptureExists, match="--append"):
        CaptureWriter(tmp_path / "c")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("mine")
    with pytest.raises(CaptureExists, match=r"thesis\.txt"):
        CaptureWriter(tmp_path / "other")
    with pytest.raises(NotACapture):
        CaptureWriter(tmp_path / "other", append=True)
    with pytest.raises(CaptureExists, match="found a file"):
        CaptureWriter(tmp_path / "other/thesis.txt")
    assert (tmp_path / "other/thesis.txt").read_text() == "mine"


def test_an_empty_directory_is_taken(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path) as writer:
        writer.write(make_frames(3))
    assert Capture(tmp_path).info().frames == 3


def test_a_writer_that_died_before_its_header_leaves_no_trace(tmp_path: Path) -> None:
    for name in ("journal", "frames", "checkpoints"):
        (tmp_path / name).mkdir()
    (tmp_path / "LOCK").write_text("123\n")
    (tmp_path / "capture.json.tmp").write_text('{"for')
    with CaptureWriter(tmp_path, append=True) as writer:
        assert writer.next_seq == 0


def test_the_lock_of_another_process(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("recorder.capture.layout.acquire_lock.__kwdefaults__", {"patience_s": 0.1})
    code = (
        "import sys; from recorder.capture.writer import CaptureWriter; "
        "w = CaptureWriter(sys.argv[1]); print('ready', flush=True); sys.stdin.read(); w.close()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "c")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    with pytest.raises(UsageError, match=f"LOCK is held.*process {other.pid}"):
        CaptureWriter(tmp_path / "c", append=True)
    assert Capture(tmp_path / "c").info().recording
    other.communicate(timeout=PATIENCE_S)
    assert not Capture(tmp_path / "c").info().recording
    CaptureWriter(tmp_path / "c", append=True).close()


def test_numbers_must_continue(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(10)
    with CaptureWriter(tmp_path / "c") as writer:
        with pytest.raises(ValueError, match="expected frame 0"):
            writer.write(frames[1:])
        with pytest.raises(ValueError, match="expected frame 1"):
            writer.write([frames[0], frames[2]])
        writer.write(frames)
    with pytest.raises(ValueError, match="closed"):
        writer.write(make_frames(1, first_seq=10))
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_congestion_rises_at_half_and_falls_below_a_quarter(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(queue_bytes=1000)) as writer:
        appender = writer._appender
        for queued, expected in (
            (499, False),
            (500, True),
            (250, True),
            (249, False),
            (499, False),
        ):
            appender._drain.queued_bytes = queued
            assert writer.congested is expected
        appender._drain.queued_bytes = 0


def test_status_says_what_is_going_on(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(sync_ms=10)) as writer:
        writer.set_status({"connections": [{"url": "ws://x"}], "frames_per_second": 7})
        writer.write(make_frames(50))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status = json.loads((tmp_path / "c/status.json").read_text())
            if status["durable_seq"] == 49 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert status["pid"] == os.getpid()
        assert (status["seq"], status["written_seq"], status["queue"]) == (49, 49, 0)
        assert status["connections"] == [{"url": "ws://x"}]


def test_private_captures_are_for_their_owner_alone(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(private=True)) as writer:
        writer.write(make_frames(5))
    for path in [tmp_path / "c", *(tmp_path / "c").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_reproducible_captures_are_equal(tmp_path: Path, make_frames: Any) -> None:
    for name in ("a", "b"):
        with CaptureWriter(
            tmp_path / name, options=WriterOptions(segment_seconds=1), reproducible=True
        ) as writer:
            writer.write(make_frames(250))
    files = [
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name != "LOCK"
        }
        for name in ("a", "b")
    ]
    assert files[0] == files[1]
    assert json.loads(files[0]["capture.json"])["host"] is None


def test_a_sealer_that_dies_is_restarted(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(500)
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        writer.write(frames[:250])
        deadline = time.monotonic() + PATIENCE_S
        while writer._sealer._process is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert writer._sealer._process is not None
        writer._sealer._process.send_signal(signal.SIGKILL)
        writer.write(frames[250:])
        assert writer.close().segments == 5
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == 0


def test_what_one_file_refuses_goes_into_the_next(tmp_path: Path) -> None:
    """A file size limit makes the kernel cut a write short, then refuse: not for want of room."""
    code = textwrap.dedent(
        """
        import resource, signal, sys, time
        from recorder.capture.writer import CaptureWriter, WriterOptions
        from recorder.frame import Frame, Kind
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = CaptureWriter(sys.argv[1], options=WriterOptions(sync_ms=5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for seq in range(300):
            writer.write([Frame(seq, 10**18 + seq, seq, 0, Kind.TEXT, b"x" * 1000)])
            while seq % 50 == 0 and writer.durable_seq < seq:
                time.sleep(0.001)
        writer.flush(30)
        print(writer.written_seq, *writer.take_notes(), sep="; ")
        writer.close()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.startswith("299; the disk failed a write (File too large)"), done.stderr
    frames = list(Capture(tmp_path / "c").frames())
    assert [frame.seq for frame in frames] == list(range(300))
    assert verify(tmp_path / "c").exit_code == 0
    assert Capture(tmp_path / "c").info().segments >= 3


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="segment_seconds above 0"):
        WriterOptions(segment_seconds=0)
    for refused in ({"segment_seconds": float("inf")}, {"segment_bytes": 1 << 31}, {"sync_ms": -1}):
        with pytest.raises(UsageError, match="leave it out for the default"):
            WriterOptions(**refused)
    with pytest.raises(UsageError, match="at most"):
        WriterOptions(segment_seconds=float("nan"))


def test_discard_removes_what_it_made(tmp_path: Path, make_frames: Any) -> None:
    writer = CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1))
    writer.write(make_frames(300))
    writer.discard()
    assert not (tmp_path / "c").exists()
    with pytest.raises((ValueError, RecorderError)):
        writer.write([Frame(300, 1, 1, 0, Kind.TEXT, b"")])


def test_reading_while_recording_and_sealing(tmp_path: Path, make_frames: Any) -> None:
    """Snapshots of a live capture are prefixes that only grow, and hold all that was written."""
    frames = make_frames(3000)
    seen = 0
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        capture = Capture(tmp_path / "c")
        for start in range(0, 3000, 100):
            writer.write(frames[start : start + 100])
            written = writer.written_seq
            found = list(capture.frames())
            assert found == frames[: len(found)]
            assert len(found) >= max(seen, written + 1)
            seen = len(found)
        assert verify(tmp_path / "c").problems == []
        info = capture.info()
        assert info.recording
        assert info.frames >= seen
    digest = FrameDigest()
    digest.update(frames)
    assert capture.info().input_digest == digest.hexdigest()
