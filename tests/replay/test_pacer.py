"""Goal: due times are exact to the nanosecond, never drift, and never change the order.

Method: a fake steady clock that only `sleep` and reading move; invented frames.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.frame import Frame, Kind
from replay.pace import parse_speed
from replay.pacer import SPIN_NS, Pacer, Schedule

S = 1_000_000_000
WALL = 1_790_000_000 * S


def frame(seq: int, mono: int, *, wall: int | None = None, kind: Kind = Kind.TEXT) -> Frame:
    return Frame(seq, WALL + mono if wall is None else wall, mono, 0, kind, b"x")


class FakeClock:
    """A steady clock: sleeping moves it by what was asked plus `overshoot`, reading by `tick`."""

    def __init__(self, *, overshoot: int = 0, tick: int = 1) -> None:
        self.now = 5 * S
        self.overshoot = overshoot
        self.tick = tick
        self.slept: list[float] = []

    def read(self) -> int:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += round(seconds * S) + self.overshoot


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("max", None),
        ("MAX", None),
        ("1", Fraction(1)),
        ("10", Fraction(10)),
        ("10x", Fraction(10)),
        ("0.5", Fraction(1, 2)),
        (0.1, Fraction(1, 10)),
        (3, Fraction(3)),
        (None, None),
        (Fraction(7, 3), Fraction(7, 3)),
    ],
)
def test_speed_is_read_exactly(text: str | float | Fraction | None, speed: Fraction | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf", "1/0", "x", "0x", -2.0])
def test_a_speed_that_is_none_is_a_usage_error(text: str | float) -> None:
    with pytest.raises(UsageError, match="expected a speed as max or a number above 0"):
        parse_speed(text)


def test_due_is_anchored_and_floored() -> None:
    schedule = Schedule(Fraction(3))
    assert schedule.due(frame(0, 100), 1000) == 1000
    assert schedule.due(frame(1, 101), 1000) == 1000  # 1/3 ns
    assert schedule.due(frame(2, 110), 1003) == 1003  # 10/3 ns
    assert schedule.due(frame(3, 100 + 9 * S), 1003) == 1000 + 3 * S


@given(
    steps=st.lists(st.integers(0, 10 * S), min_size=1, max_size=60),
    late=st.lists(st.integers(0, S), min_size=60, max_size=60),
    speed=st.fractions(min_value=Fraction(1, 100), max_value=1000, max_denominator=100),
)
def test_no_drift_however_late_each_frame_goes(
    steps: list[int], late: list[int], speed: Fraction
) -> None:
    schedule = Schedule(speed)
    now = start = 7 * S
    mono = 123
    schedule.due(frame(0, mono), now)
    schedule.sent(now)
    worst = 0
    for seq, (step, lag) in enumerate(zip(steps, late, strict=False), 1):
        mono += step
        due = schedule.due(frame(seq, mono), now)
        assert due == start + int((mono - 123) / speed)
        now = max(now, due) + lag
        worst = max(worst, now - due)
        schedule.sent(now)
    assert schedule.max_lag == worst


def test_at_max_every_frame_is_due_now_and_never_late() -> None:
    schedule = Schedule(None)
    for seq in range(3):
        assert schedule.due(frame(seq, seq * S), 40 + seq) == 40 + seq
        schedule.sent(99 + seq)
    assert schedule.max_lag == 0
    assert schedule.achieved_speed(42) == 2 * S / 2


def test_a_run_row_takes_the_wall_clock_difference() -> None:
    schedule = Schedule(Fraction(2))
    schedule.due(frame(0, 900 * S, wall=WALL), 0)
    schedule.sent(0)
    # The machine rebooted: the monotonic clock starts again, 8 s later by the wall clock.
    assert schedule.due(frame(1, 3 * S, wall=WALL + 8 * S, kind=Kind.RUN), 0) == 4 * S
    assert schedule.due(frame(2, 5 * S, wall=WALL + 10 * S), 0) == 5 * S


def test_a_run_row_whose_wall_clock_fell_is_due_at_once() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 900 * S, wall=WALL), 0)
    assert schedule.due(frame(1, 2000 * S, wall=WALL - S, kind=Kind.RUN), 0) == 0
    assert schedule.due(frame(2, 2001 * S), 0) == S


def test_max_gap_cuts_the_pause_between_runs_and_nothing_else() -> None:
    schedule = Schedule(Fraction(1), max_gap=2 * S)
    schedule.due(frame(0, 0, wall=WALL), 0)
    assert schedule.due(frame(1, 100 * S, wall=WALL + 100 * S), 0) == 100 * S
    run = frame(2, 7, wall=WALL + 3600 * S, kind=Kind.RUN)
    assert schedule.due(run, 0) == 102 * S


def test_a_fall_of_the_monotonic_clock_is_a_new_run_too() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 50 * S, wall=WALL), 0)
    assert schedule.due(frame(1, 10 * S, wall=WALL + 3 * S), 0) == 3 * S


def test_a_negative_max_gap_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        Schedule(None, max_gap=-1)


def test_pause_and_resume_keep_the_rest_of_the_wait() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 0), 0)
    schedule.sent(0)
    waiting = frame(1, 10 * S)
    assert schedule.due(waiting, 0) == 10 * S
    schedule.pause(4 * S)
    schedule.pause(5 * S)  # a second pause changes nothing
    assert schedule.is_paused
    assert schedule.due(waiting, 50 * S) == 56 * S
    schedule.resume(100 * S)
    assert schedule.due(waiting, 100 * S) == 106 * S
    schedule.sent(106 * S)
    assert schedule.achieved_speed(106 * S) == 1.0
    assert schedule.max_lag == 0


def test_pause_in_a_late_replay_does_not_skip_what_was_not_sent() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 0), 0)
    schedule.sent(0)
    assert schedule.due(frame(1, S), 0) == S
    schedule.pause(60 * S)  # frame 1 is 59 s late
    schedule.resume(61 * S)
    assert schedule.due(frame(1, S), 61 * S) == 61 * S
    schedule.sent(61 * S)
    assert schedule.due(frame(2, 3 * S), 61 * S) == 63 * S


def test_a_change_of_speed_holds_from_the_position_reached() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 0), 0)
    schedule.sent(0)
    waiting = frame(1, 10 * S)
    assert schedule.due(waiting, 0) == 10 * S
    schedule.change_speed(Fraction(6), 4 * S)
    assert schedule.due(waiting, 4 * S) == 5 * S
    schedule.change_speed(None, 4 * S)
    assert schedule.due(waiting, 4 * S) == 4 * S
    schedule.sent(4 * S)
    schedule.change_speed(Fraction(1), 9 * S)
    assert schedule.due(frame(2, 12 * S), 9 * S) == 11 * S


def test_a_change_of_speed_while_paused_holds_after_the_resume() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 0), 0)
    schedule.due(frame(1, 10 * S), 0)
    schedule.pause(2 * S)
    schedule.change_speed(Fraction(2), 7 * S)
    schedule.resume(9 * S)
    assert schedule.due(frame(1, 10 * S), 9 * S) == 13 * S


def test_after_a_seek_the_next_frame_is_due_at_once() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 0), 0)
    schedule.sent(0)
    schedule.seek()
    assert schedule.due(frame(500, 7000 * S), 3 * S) == 3 * S
    schedule.sent(3 * S)
    assert schedule.due(frame(501, 7002 * S), 3 * S) == 5 * S
    schedule.sent(5 * S)
    assert schedule.achieved_speed(5 * S) == 2 / 5


def test_pacer_sleeps_to_a_tenth_of_a_millisecond_and_spins() -> None:
    clock = FakeClock(overshoot=90_000, tick=30)
    pacer = Pacer(Fraction(1), clock=clock.read, sleep=clock.sleep)
    pacer.wait(frame(0, 0))
    start = clock.now
    for seq in range(1, 200):
        pacer.wait(frame(seq, seq * S))
        assert start + seq * S <= clock.now < start + seq * S + 30
    assert len(clock.slept) == 199
    assert pacer.schedule.max_lag < 30


def test_pacer_does_not_sleep_for_late_frames() -> None:
    clock = FakeClock()
    pacer = Pacer(Fraction(1), clock=clock.read, sleep=clock.sleep)
    pacer.wait(frame(0, 0))
    pacer.wait(frame(1, SPIN_NS // 2))
    assert clock.slept == []
    clock.now += 3 * S
    for seq in range(2, 5):
        pacer.wait(frame(seq, seq * S // 2))
    assert clock.slept == []
    assert pacer.schedule.max_lag > 2 * S - 1000
    pacer.wait(frame(5, 10 * S))
    assert len(clock.slept) == 1


def test_waiting_counts_as_data_time_while_it_lasts() -> None:
    """A quiet stretch is not slowness: at each moment of it the speed reached is the one asked."""
    schedule = Schedule(Fraction(10))
    schedule.due(frame(0, 0), 100 * S)
    schedule.sent(100 * S)
    assert schedule.due(frame(1, 60 * S), 100 * S) == 106 * S
    for waited in (1, 3, 6):
        assert schedule.waited((100 + waited) * S) == 10 * waited * S
        assert schedule.achieved_speed((100 + waited) * S) == 10
    assert schedule.waited(108 * S) == 60 * S  # nothing is known behind the frame waited for
    schedule.sent(108 * S)
    assert schedule.waited(108 * S) == 0
    assert schedule.achieved_speed(108 * S) == 7.5


def test_nothing_passes_while_paused_or_at_max() -> None:
    schedule = Schedule(Fraction(1))
    schedule.due(frame(0, 0), 0)
    schedule.sent(0)
    schedule.due(frame(1, 60 * S), 0)
    schedule.pause(10 * S)
    assert schedule.waited(50 * S) == 10 * S
    unpaced = Schedule()
    unpaced.due(frame(0, 0), 0)
    unpaced.sent(0)
    unpaced.due(frame(1, 60 * S), 0)
    assert unpaced.waited(50 * S) == 0
