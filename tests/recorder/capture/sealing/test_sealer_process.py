"""The sealer may die or fail as often as it likes: recording goes on, and sealing resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.clock import utc_date
from recorder.errors import InternalError, RecorderError

pytestmark = pytest.mark.usefixtures("real_sealers")

PATIENCE_S = 30


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holds()


def in_the_way(root: Path, ts_recv: int) -> Path:
    """Put a file where the day's folder must go: sealing fails, the journal does not."""
    blocked = root / f"frames/date={utc_date(ts_recv)}"
    blocked.write_bytes(b"")
    return blocked


def test_a_sealer_that_dies_now_and_then_is_restarted_for_weeks(
    tmp_path: Path, make_frames: Any
) -> None:
    frames = make_frames(700)
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        for rolled in range(1, 7):
            writer.write(frames[(rolled - 1) * 100 : rolled * 100 + 1][rolled > 1 :])
            until(lambda count=rolled: writer._sealer.sealed == count)
            process = writer._sealer._process
            assert process is not None
            process.send_signal(signal.SIGKILL)  # once a segment: more often than it is retried
            process.wait()
        writer.write(frames[601:])
        assert writer.close().segments == 7
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == 0


def test_sealing_is_tried_again_with_the_next_segment(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(400)
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        blocked = in_the_way(tmp_path / "c", frames[0].ts_recv)
        writer.write(frames[:250])
        until(lambda: writer.sealing_failure is not None)
        assert "segment 0" in str(writer.sealing_failure)
        assert list(Capture(tmp_path / "c").frames()) == frames[:250]
        blocked.unlink()
        writer.write(frames[250:])
        until(lambda: writer._sealer.sealed == 3)
        assert writer.sealing_failure is None
        assert writer.close().segments == 4
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == 0


def test_what_cannot_be_sealed_is_said_at_the_end_and_stays_a_journal(
    tmp_path: Path, make_frames: Any
) -> None:
    frames = make_frames(250)
    writer = CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1))
    blocked = in_the_way(tmp_path / "c", frames[0].ts_recv)
    writer.write(frames)
    with pytest.raises(RecorderError, match="safe in its journal"):
        writer.close()
    assert len(os.listdir(tmp_path / "c/journal")) == 3
    assert list(Capture(tmp_path / "c").frames()) == frames
    blocked.unlink()
    CaptureWriter(tmp_path / "c", append=True).close()
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_a_signal_to_the_whole_service_does_not_reach_the_sealer(
    tmp_path: Path, make_frames: Any
) -> None:
    frames = make_frames(300)
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        writer.write(frames[:150])
        until(lambda: writer._sealer.sealed == 1)
        process = writer._sealer._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        writer.write(frames[150:])
        until(lambda: writer._sealer.sealed == 2)
        assert writer._sealer._process is process
        assert process.poll() is None
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_a_sealer_that_hangs_is_killed_and_replaced(
    tmp_path: Path, make_frames: Any, monkeypatch: Any
) -> None:
    # The one that follows may take a second to start on a busy machine, before it gets its time.
    monkeypatch.setattr("recorder.capture.sealing.process._HANGS", 100)
    monkeypatch.setattr("recorder.capture.sealing.process._RESTARTS", 100)
    frames = make_frames(300)
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        writer.write(frames[:150])
        until(lambda: writer._sealer.sealed == 1)
        first = writer._sealer._process
        assert first is not None
        monkeypatch.setattr(writer._sealer, "_patience_s", 1.0)
        first.send_signal(signal.SIGSTOP)
        writer.write(frames[150:250])
        until(lambda: writer._sealer._process is not first)
        monkeypatch.setattr(writer._sealer, "_patience_s", 60)
        writer.write(frames[250:])
        until(lambda: writer._sealer.sealed == 2)
        assert first.wait(PATIENCE_S) == -signal.SIGKILL
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == 0


def test_the_end_does_not_wait_for_ever_for_a_sealer(
    tmp_path: Path, make_frames: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("recorder.capture.sealing.process.SealerProcess._start", _silent)
    frames = make_frames(150)
    writer = CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1))
    writer._sealer._patience_s = 0.1
    writer.write(frames)
    with pytest.raises(RecorderError, match="it said nothing for 0 s; the frames are safe in its"):
        writer.close()
    assert list(Capture(tmp_path / "c").frames()) == frames
    CaptureWriter(tmp_path / "c", append=True).close()
    assert os.listdir(tmp_path / "c/journal") == []


def _silent(sealer: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(99)"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_the_sealer_is_polite(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1)) as writer:
        writer.write(make_frames(150))
        until(lambda: writer._sealer.sealed == 1)
        process = writer._sealer._process
        assert process is not None
        nicer = os.getpriority(os.PRIO_PROCESS, process.pid)
        assert nicer >= min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)


def test_old_segments_go_after_a_seal(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(700)
    options = WriterOptions(segment_seconds=1, retain_days=0.000001)
    with CaptureWriter(tmp_path / "c", options=options) as writer:
        writer.write(frames)
        until(lambda: writer._sealer.removed > 0)
        assert any("let go" in note for note in writer.take_notes())
    kept = list(Capture(tmp_path / "c").frames())
    assert 0 < len(kept) < 700
    assert kept == frames[kept[0].seq :]
    assert verify(tmp_path / "c").ok


def test_a_retention_that_fails_is_told_once_until_it_works(
    tmp_path: Path, make_frames: Any
) -> None:
    frames = make_frames(700)
    options = WriterOptions(segment_seconds=1, retain_days=0.000001)
    with CaptureWriter(tmp_path / "c", options=options) as writer:
        (tmp_path / "c/expired.json.tmp").mkdir()  # the mark cannot be written
        writer.write(frames)
        until(lambda: writer._sealer.sealed >= 5)
        told = writer.take_notes()
        (tmp_path / "c/expired.json.tmp").rmdir()
    assert [note for note in told if "could not be let go" in note] == [
        "old segments could not be let go: the system said Is a directory"
    ]
    assert list(Capture(tmp_path / "c").frames())[-100:] == frames[-100:]


def test_a_fault_of_ours_in_the_sealing_thread_is_told(
    tmp_path: Path, make_frames: Any, monkeypatch: Any
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("recorder.capture.sealing.process.SealerProcess._ask", broken)
    frames = make_frames(300)
    writer = CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1))
    writer.write(frames)
    writer.wait_for_room()
    until(lambda: writer.sealing_failure is not None)
    with pytest.raises(InternalError, match=r"ZeroDivisionError.*safe in its journal"):
        writer.close()
    assert list(Capture(tmp_path / "c").frames()) == frames
