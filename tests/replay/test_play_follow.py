"""Goal: a replay that follows a recorder plays what a replay afterwards plays, at any speed.

Method: the strategy itself, or the progress of a replay that waits, writes the next frames: writer
and replay take turns in one thread, so that nothing depends on how fast either is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from invented_session import Invented

from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.event import Event, encode_event
from recorder.frame import Frame
from replay.context import PlayContext
from replay.controls import Controls
from replay.player import PlayReport, Progress, play

FOREVER = 60.0


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return Invented(1_200, seed=21).frames


class Recorder:
    """Writes the next frames each time a replay has nothing more; ends with the last one."""

    def __init__(self, path: Path, frames: list[Frame], size: int) -> None:
        self.left = [frames[at : at + size] for at in range(0, len(frames), size)]
        self.writer: CaptureWriter | None = CaptureWriter(
            path, options=WriterOptions(segment_seconds=2.0)
        )
        self.lives = 0
        self.write()

    def write(self) -> None:
        if self.writer is None:
            return
        if self.left:
            self.writer.write(self.left.pop(0))
            self.writer.flush(FOREVER)
        else:
            self.writer.close()
            self.writer = None

    def on_progress(self, progress: Progress) -> None:
        if progress.is_live:
            self.lives += 1
            self.write()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"speed": 100_000},
        {"controls": Controls()},
        {"channels": ["books", "trades"]},
    ],
    ids=["max", "paced", "steered", "filtered"],
)
def test_it_plays_what_a_replay_afterwards_plays(
    tmp_path: Path, frames: list[Frame], options: dict[str, Any]
) -> None:
    path = tmp_path / "c"
    recorder = Recorder(path, frames, 300)
    seen: list[tuple[bytes, int]] = []

    def keep(event: Event, context: PlayContext) -> None:
        seen.append((encode_event(event), context.clock.now()))

    report = play(path, keep, follow=True, digest=True, on_progress=recorder.on_progress, **options)
    followed, seen = seen, []
    again = play(path, keep, digest=True, **{**options, "controls": None})
    assert followed == seen
    assert (report.input_digest, report.output_digest, report.frames, report.events) == (
        again.input_digest, again.output_digest, again.frames, again.events,
    )  # fmt: skip
    assert (report.lost_rows, report.problems) == (again.lost_rows, again.problems)
    assert recorder.lives
    assert recorder.writer is None


@pytest.mark.parametrize(
    "options",
    [{}, {"speed": 100_000}, {"channels": ["books", "trades"]}],
    ids=["max", "paced", "filtered"],
)
def test_several_are_followed_as_they_are_played_afterwards(
    tmp_path: Path, frames: list[Frame], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in its own time: the one that is behind is waited for."""
    monkeypatch.setattr("replay.streams.PATIENCE_NS", 10**15)
    other = Invented(700, seed=9).frames
    recorders = [Recorder(tmp_path / "a", frames, 400), Recorder(tmp_path / "b", other, 150)]
    turns = 0

    def on_progress(progress: Progress) -> None:
        nonlocal turns
        if progress.is_live:
            turns += 1
            recorders[turns % 2].write()

    seen: list[tuple[int, bytes]] = []

    def keep(event: Event, context: PlayContext) -> None:
        seen.append((context.source, encode_event(event)))

    paths = [tmp_path / "a", tmp_path / "b"]
    report = play(paths, keep, follow=True, digest=True, on_progress=on_progress, **options)
    followed, seen = seen, []
    again = play(paths, keep, digest=True, **options)
    assert followed == seen
    assert (report.input_digest, report.output_digest) == (again.input_digest, again.output_digest)
    assert [source.late for source in report.sources] == [0, 0]
    assert turns > 4


def test_one_that_has_recorded_nothing_yet_joins_with_its_books(
    tmp_path: Path, frames: list[Frame]
) -> None:
    writer = CaptureWriter(tmp_path / "b")
    recorder = Recorder(tmp_path / "a", frames, 300)
    other = Invented(400, seed=9).frames
    waiting = [other]

    def on_progress(progress: Progress) -> None:
        if not progress.is_live:
            return
        if recorder.left:
            recorder.write()
        elif waiting:
            writer.write(waiting.pop())
            writer.close()
        else:
            recorder.write()

    held: list[int] = []

    def strategy(event: Event, context: PlayContext) -> None:
        if context.source == 1:
            held.append(len(context.books_of[1]))
            assert len(context.books) == sum(map(len, context.books_of))

    report = play([tmp_path / "a", tmp_path / "b"], strategy, follow=True, on_progress=on_progress)
    assert report.frames == len(frames) + len(other)
    assert max(held) > 0
    assert report.sources[1].late > 0


def test_faults_are_put_into_what_is_followed(tmp_path: Path, frames: list[Frame]) -> None:
    recorder = Recorder(tmp_path / "c", frames, 300)
    faults: dict[str, Any] = {"faults": ["gap:books@p=0.05"], "seed": 7}
    seen: list[bytes] = []

    def keep(event: Event, context: PlayContext) -> None:
        seen.append(encode_event(event))

    report = play(
        tmp_path / "c", keep, follow=True, digest=True, on_progress=recorder.on_progress, **faults
    )
    followed, seen = seen, []
    again = play(tmp_path / "c", keep, digest=True, **faults)
    assert followed == seen
    assert report.faults is not None
    assert report.faults == again.faults
    assert report.output_digest == again.output_digest
    assert any(b'"InjectedFault"' in line for line in followed)


def test_it_can_be_sent_back_and_stopped_while_the_recorder_goes_on(
    tmp_path: Path, frames: list[Frame]
) -> None:
    path = tmp_path / "c"
    recorder = Recorder(path, frames, 300)
    controls = Controls()
    restarts: list[int] = []

    def strategy(event: Event, context: PlayContext) -> None:
        if not restarts and event.seq >= 500:
            controls.seek(frames[200].ts_recv)
        if context.restarts and not restarts:
            restarts.append(event.seq)
        if restarts and event.seq >= 600:
            controls.stop()

    report = play(path, strategy, follow=True, controls=controls, on_progress=recorder.on_progress)
    first = next(frame.seq for frame in frames if frame.ts_recv >= frames[200].ts_recv)
    assert first <= restarts[0] < first + 5
    assert report.restarts == 1
    assert recorder.writer is not None
    recorder.writer.close()


def test_waiting_for_the_recorder_is_not_being_late(tmp_path: Path, frames: list[Frame]) -> None:
    recorder = Recorder(tmp_path / "c", frames, 600)
    report = play(
        tmp_path / "c", speed=1_000_000, follow=True, lateness=True,
        on_progress=recorder.on_progress,
    )  # fmt: skip
    assert report.lateness is not None
    assert report.lateness.frames == report.frames == len(frames)
    assert report.lateness.frames == sum(bucket.frames for bucket in report.lateness.buckets)


@pytest.mark.parametrize("ends", ["recorder", "interrupt"])
def test_the_command_ends_with_the_recorder_or_when_interrupted(
    tmp_path: Path, frames: list[Frame], ends: str
) -> None:
    path = tmp_path / "c"
    (tmp_path / "watching.py").write_text(
        "def on_event(event, context):\n    if event.seq == 149: print('there', flush=True)\n"
    )
    writer = CaptureWriter(path, options=WriterOptions(segment_seconds=2.0))
    writer.write(frames[:150])
    writer.flush(FOREVER)
    process = subprocess.Popen(
        [sys.executable, "-m", "replay", "play", str(path), "--follow", "--json",
         "--strategy", "watching:on_event"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])},
    )  # fmt: skip
    watchdog = threading.Timer(FOREVER, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        if ends == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            writer.write(frames[150:])
            writer.close()
        out, err = process.communicate(timeout=FOREVER)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait(FOREVER)
        if ends == "interrupt":
            writer.close()
    report = json.loads(out.splitlines()[-1])
    assert report["frames"] == (150 if ends == "interrupt" else len(frames)), err
    assert process.returncode in (0, 3), err
    if ends == "recorder":
        expected: PlayReport = play(path, digest=True)
        assert report["output_digest"] == expected.output_digest
