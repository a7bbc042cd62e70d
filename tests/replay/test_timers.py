"""Goal: timers fire in data time, in a stated order, whatever the speed.

Method: frames at known times; what a strategy notes down is compared with a list written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from invented_session import START, Invented, S, write_capture

from recorder.clock import DataClock
from recorder.errors import UsageError
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.timers import NEVER, Timers
from replay.context import PlayContext
from replay.controls import Controls
from replay.player import play

PUSH = b"pong"  # one event a frame


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 10 s apart from START on; between the second and the third the clock stepped back."""
    seconds = [0, 10, 5, 20, 30, 100]
    frames = [
        Frame(seq, START + at * S, seq * S, 0, Kind.TEXT, PUSH) for seq, at in enumerate(seconds)
    ]
    return write_capture(tmp_path_factory.mktemp("captures") / "c", frames)


class Notes:
    """Sets timers at the first event; notes what happened when, in seconds from START."""

    def __init__(self, setting: Any) -> None:
        self.setting = setting
        self.notes: list[tuple[str, float]] = []

    def note(self, name: str) -> Any:
        return lambda context: self.notes.append((name, (context.clock.now() - START) / S))

    def on_event(self, event: Event, context: PlayContext) -> None:
        self.note(f"frame {event.seq}")(context)
        if event.seq == 0:
            self.setting(self, context)


def test_timers_fire_between_frames_by_due_time_and_then_in_the_order_of_setting(
    path: Path,
) -> None:
    def setting(notes: Notes, context: PlayContext) -> None:
        context.after(25 * S, notes.note("b"))
        context.at(START + 20 * S, notes.note("at a frame"))
        context.at(START + 25 * S, notes.note("c"))
        context.at(START + 24 * S, notes.note("a"))
        context.at(START - S, notes.note("past"))
        context.at(START + 101 * S, notes.note("never"))

    strategy = Notes(setting)
    report = play(path, strategy)
    assert strategy.notes == [
        ("frame 0", 0), ("past", 0), ("frame 1", 10), ("frame 2", 10), ("at a frame", 20),
        ("frame 3", 20), ("a", 24), ("b", 25), ("c", 25), ("frame 4", 30), ("frame 5", 100),
    ]  # fmt: skip
    assert (report.timers_fired, report.timers_left) == (5, 1)


def test_a_timer_may_repeat_be_cancelled_and_set_others(path: Path) -> None:
    def setting(notes: Notes, context: PlayContext) -> None:
        def third(context: PlayContext) -> None:
            notes.note("second")(context)
            if context.clock.now() == START + 14 * S:
                every.cancel()
                context.after(S, notes.note("set by a timer"))
                context.at(context.clock.now(), notes.note("at once"))

        every = context.every(4 * S, third, start=START + 10 * S)
        first = context.every(4 * S, notes.note("first"), start=START + 14 * S)
        context.at(START + 17 * S, lambda _: first.cancel())
        context.after(2 * S, notes.note("gone")).cancel()

    strategy = Notes(setting)
    play(path, strategy)
    timers = [note for note in strategy.notes if not note[0].startswith("frame")]
    assert timers == [
        ("second", 10), ("second", 14), ("first", 14), ("at once", 14), ("set by a timer", 15),
    ]  # fmt: skip


def test_a_timer_set_after_the_clock_stepped_back_is_not_forgotten(path: Path) -> None:
    notes = Notes(lambda *_: None)

    def strategy(event: Event, context: PlayContext) -> None:
        notes.on_event(event, context)
        if event.seq == 1:
            context.at(START + 7 * S, notes.note("passed already"))

    play(path, strategy)
    assert notes.notes[2] == ("passed already", 10)  # before frame 2, whose stamp is 5


def test_timers_are_the_same_at_every_speed_and_in_steps(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "c", Invented(300, seed=5).frames, segment_seconds=2)

    class Strategy:
        def __init__(self) -> None:
            self.seen: list[tuple[object, ...]] = []
            self.restarts = -1

        def on_event(self, event: Event, context: PlayContext) -> None:
            if context.restarts != self.restarts:  # timers are gone where it begins anew
                self.restarts = context.restarts
                context.every(S // 20, self.tick)
            self.seen.append((event.seq, event.index, context.clock.now()))

        def tick(self, context: PlayContext) -> None:
            book = context.books.get("BTC-USDT")
            self.seen.append(("tick", context.clock.now(), book and book.best_bid()))

    def seen(**options: Any) -> list[tuple[object, ...]]:
        strategy = Strategy()
        play(path, strategy, **options)
        return strategy.seen

    expected = seen()
    assert sum(item[0] == "tick" for item in expected) > 20
    steps = Controls()
    steps.step(10_000)
    steps.stop_after_steps()
    assert seen(digest=True) == expected
    assert seen(speed=1_000) == expected
    assert seen(speed="step", controls=steps) == expected
    assert seen(controls=Controls()) == expected
    assert seen(loop=2) == 2 * expected


def test_a_fault_in_a_timer_is_blamed_on_it(path: Path) -> None:
    def strategy(event: Event, context: PlayContext) -> None:
        if event.seq == 3:
            context.after(S, lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError) as caught:
        play(path, strategy)
    (note,) = caught.value.__notes__
    assert note.startswith("raised by the strategy for the timer due at 2026-09-21T14:13:41")


@pytest.mark.parametrize("value", [0.5, None, True, "1"])
def test_times_are_integers(value: Any) -> None:
    timers = Timers(DataClock())
    with pytest.raises(UsageError, match="integer ns"):
        timers.set(value, print)
    assert (timers.due, timers.left) == (NEVER, 0)


def test_an_interval_is_above_zero() -> None:
    with pytest.raises(UsageError, match="above 0"):
        PlayContext([]).every(0, print)


class Ticking:
    """Counts its own timers; starts them in `on_start`."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.notes: list[tuple[str, float]] = []
        self.timer: Any = None

    def note(self, name: str, context: PlayContext) -> None:
        self.notes.append((name, (context.clock.now() - START) / S))

    def on_start(self, context: PlayContext) -> None:
        self.note("start", context)
        self.timer = context.every(self.seconds * S)

    def on_timer(self, timer: Any, context: PlayContext) -> None:
        assert timer is self.timer
        self.note("timer", context)

    def on_stop(self, context: PlayContext) -> None:
        self.note("stop", context)


def test_a_timer_without_a_call_reaches_on_timer_of_the_strategy_that_set_it(path: Path) -> None:
    alone, slow, fast = Ticking(40), Ticking(40), Ticking(25)
    play(path, alone)
    play(path, [slow, fast])
    assert slow.notes == alone.notes == [("start", 0), ("timer", 40), ("timer", 80), ("stop", 100)]
    assert [note for note in fast.notes if note[0] == "timer"] == [
        ("timer", 25), ("timer", 50), ("timer", 75), ("timer", 100),
    ]  # fmt: skip


def test_a_timer_nobody_hears_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="on_timer"):
        play(path, lambda event, context: context.after(S))


def test_a_strategy_is_started_at_each_beginning_and_stopped_once(path: Path) -> None:
    strategy = Ticking(1_000)
    report = play(path, strategy, loop=3)
    assert report.restarts == 2
    assert strategy.notes == [("start", 0), ("start", 0), ("start", 0), ("stop", 100)]
