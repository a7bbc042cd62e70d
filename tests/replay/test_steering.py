"""Goal: whoever pauses, steps, seeks, loops or changes speed sees the same recording.

Method: scripts of orders, given by the strategy itself or from the progress callback (so nothing
depends on when a thread runs), compared with plain plays of the same window.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from invented_session import Invented, write_capture

from recorder.capture.reader import Capture
from recorder.errors import UsageError
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.strategy import Context
from replay.controls import Controls, ScaleSpeed, Toggle
from replay.pace import Pace, parse_pace
from replay.pacer import Schedule
from replay.player import Progress, play


@pytest.fixture(scope="module")
def session() -> Invented:
    return Invented(1_000, seed=11)


@pytest.fixture(scope="module")
def path(session: Invented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(
        tmp_path_factory.mktemp("captures") / "c", session.frames, segment_seconds=5
    )


class Scripted:
    """A strategy that gives an order when it has seen so many frames, and keeps all it saw."""

    def __init__(self, orders: dict[int, Any]) -> None:
        self.orders = orders
        self.seen: list[int] = []
        self.restarts: list[int] = []
        self.bests: list[object] = []

    def on_event(self, event: Event, context: Context) -> None:
        if not self.seen or event.seq != self.seen[-1]:
            self.seen.append(event.seq)
            self.restarts.append(context.restarts)  # type: ignore[attr-defined]
            if (order := self.orders.pop(len(self.seen), None)) is not None:
                order()
        book = context.books.get("BTC-USDT", "books")
        self.bests.append((event.seq, event.index, book and book.best_bid()))


def test_a_seek_back_ends_with_the_digests_of_a_plain_play(path: Path, session: Invented) -> None:
    plain = play(path, digest=True)
    controls = Controls()
    start = session.frames[0].ts_recv
    strategy = Scripted({400: lambda: controls.seek(start)})
    report = play(path, strategy, digest=True, controls=controls)
    assert report.input_digest == plain.input_digest
    assert report.output_digest == plain.output_digest
    assert report.restarts == 1
    assert sorted(set(strategy.restarts)) == [0, 1]
    assert report.frames > plain.frames


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_seek_forward_has_the_books_of_that_moment_at_once(
    path: Path, session: Invented, share: float
) -> None:
    target = session.frames[int(len(session.frames) * share)].ts_recv
    controls = Controls()
    strategy = Scripted({50: lambda: controls.seek(target)})
    report = play(path, strategy, digest=True, controls=controls)
    alone = Scripted({})
    expected = play(path, alone, start=target, digest=True)
    assert report.output_digest == expected.output_digest
    assert strategy.bests[-len(alone.bests) :] == alone.bests


def test_a_jump_is_from_where_the_replay_stands(path: Path, session: Invented) -> None:
    controls = Controls()
    moments: list[int] = []

    def jump() -> None:
        controls.seek_by(3_000_000_000)

    class Strategy(Scripted):
        def on_event(self, event: Event, context: Context) -> None:
            if len(self.restarts) and context.restarts != self.restarts[-1]:  # type: ignore[attr-defined]
                moments.append(event.ts_recv)
            super().on_event(event, context)
            self.last = event.ts_recv

    strategy = Strategy({100: jump})
    play(path, strategy, controls=controls)
    before = next(f.ts_recv for f in session.frames if f.seq == strategy.seen[99])
    first_after = next(f.ts_recv for f in session.frames if f.ts_recv >= before + 3_000_000_000)
    assert moments == [first_after]


def test_a_window_bounds_seeks(path: Path, session: Invented) -> None:
    start, end = session.frames[200].ts_recv, session.frames[600].ts_recv
    controls = Controls()
    strategy = Scripted({50: lambda: controls.seek(0)})
    report = play(path, strategy, start=start, end=end, digest=True, controls=controls)
    assert report.output_digest == play(path, start=start, end=end, digest=True).output_digest
    assert min(strategy.seen) == play_first(path, start)
    beyond = play(path, Scripted({50: lambda: controls.seek(end)}), start=start, end=end,
                  controls=controls)  # fmt: skip
    assert beyond.frames < report.frames


def play_first(path: Path, start: int) -> int:
    return next(Capture(path).frames(start=start)).seq


def test_standing_still_and_going_on_changes_nothing(path: Path) -> None:
    controls = Controls(paused=True)
    pauses: list[int] = []

    def on_progress(progress: Progress) -> None:
        if progress.is_paused:
            pauses.append(progress.seq)
            controls.resume()

    strategy = Scripted(dict.fromkeys((10, 300, 301), controls.pause))
    controls.resume()
    report = play(path, strategy, digest=True, controls=controls, on_progress=on_progress)
    assert report.output_digest == play(path, digest=True).output_digest
    assert pauses == [strategy.seen[9], strategy.seen[299], strategy.seen[300]]
    assert report.max_lag_ms == 0


def test_steps_are_frames(path: Path) -> None:
    controls = Controls()
    controls.step(3)
    controls.step(4)
    controls.stop_after_steps()
    report = play(path, speed="step", controls=controls)
    assert (report.frames, report.requested_speed) == (7, "step")
    controls = Controls()
    controls.step(5)
    controls.stop_after_steps()
    assert play(path, speed="step", controls=controls).frames == 5


def test_changes_of_speed_change_no_event(path: Path) -> None:
    controls = Controls()

    def toggle_twice() -> None:
        controls.give(Toggle())
        controls.give(Toggle())

    strategy = Scripted(
        {
            5: lambda: controls.give(ScaleSpeed(Fraction(1, 2))),
            50: lambda: controls.change_speed(40_000),
            200: lambda: controls.change_speed("max"),
            300: lambda: controls.give(ScaleSpeed(Fraction(2))),
            400: toggle_twice,
        }
    )
    report = play(path, strategy, speed=100_000, digest=True, controls=controls)
    assert report.output_digest == play(path, digest=True).output_digest


def test_loops_play_the_same_again(path: Path) -> None:
    once = play(path, digest=True)
    strategy = Scripted({})
    thrice = play(path, strategy, digest=True, loop=3)
    assert (thrice.frames, thrice.restarts) == (3 * once.frames, 2)
    assert thrice.output_digest == once.output_digest
    third = len(strategy.bests) // 3
    assert strategy.bests[:third] == strategy.bests[third : 2 * third]
    controls = Controls()
    forever = Scripted({2 * len(strategy.seen) // 3 + 5: controls.stop})
    assert play(path, forever, loop=None, controls=controls).frames > 2 * once.frames


def test_a_rate_is_frames_a_second_without_drift() -> None:
    schedule = Schedule(Fraction(1), rate=Fraction(3_000))
    frames = [Frame(i, i**3, i**3, 0, Kind.TEXT, b"") for i in range(9_001)]
    dues = [schedule.due(frame, 7) for frame in frames]
    assert [due - 7 for due in dues] == [i * 1_000_000_000 // 3_000 for i in range(9_001)]


@pytest.mark.parametrize(
    ("text", "label"), [("5000/s", "5000/s"), ("step", "step"), ("max", "max"), ("2.5x", 2.5)]
)
def test_paces_are_read_and_named(text: str, label: object) -> None:
    assert parse_pace(text).label == label


@pytest.mark.parametrize("text", ["0/s", "-3", "fast", "x/s", ""])
def test_what_is_no_pace_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a speed"):
        parse_pace(text)


def test_what_cannot_be_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="controls"):
        play(path, speed="step")
    with pytest.raises(UsageError, match="loop=0"):
        play(path, loop=0)
    with pytest.raises(UsageError, match="at least one frame"):
        Controls().step(0)
    assert parse_pace(Pace()) == Pace()


def test_lines_of_standard_input_are_steps(datasets: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "replay", "play", str(datasets / "btc-calm"), "--speed", "step"],
        input=b"\n" * 12, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"12 frames, " in done.stdout


def _drain(terminal: int) -> None:
    """Read what a terminal shows, as a terminal does: who writes to it would wait otherwise."""
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # the other end is closed
        return


@pytest.mark.parametrize("keys", [b"q", b" .." + b"\x1b[C" * 30])
def test_keys_of_a_terminal_steer(datasets: Path, keys: bytes) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "replay", "play", str(datasets / "btc-calm"), "--speed", "1"]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        said = b""
        while b"%" not in said:  # the bar is there: keys are read
            assert select.select([ours], [], [], 60)[0], said
            said += os.read(ours, 4096)
        os.write(ours, keys)
        drain = threading.Thread(target=_drain, args=(ours,), daemon=True)
        drain.start()
        assert process.stdout is not None
        out = process.stdout.read()
        process.wait(60)
    drain.join(60)
    os.close(ours)
    assert process.returncode == 0
    assert b"ms late" in out
    assert b"space pause" in said  # a narrow terminal is told the keys, too
