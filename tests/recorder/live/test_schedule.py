"""Reconnect delays, the limit of connections, and clock steps; time is an argument."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_SECOND
from recorder.live.clocks import STEP_NS, ClockWatch, clock_state
from recorder.live.connection import Stamp, read_clocks
from recorder.live.schedule import Backoff, ConnectionLimit


def test_delays_double_up_to_a_bound_with_jitter() -> None:
    backoff = Backoff(Random(1), first=1, longest=60)
    delays = [backoff.next_delay(None) for _ in range(12)]
    for number, delay in enumerate(delays):
        ceiling = min(2.0**number, 60)
        assert ceiling / 2 <= delay <= ceiling
    other = Backoff(Random(2), first=1, longest=60)
    assert delays != [other.next_delay(None) for _ in range(12)]


def test_only_a_connection_that_lived_makes_the_delays_short_again() -> None:
    backoff = Backoff(Random(1), first=1, longest=60, lived=30)
    for _ in range(6):
        backoff.next_delay(0.01)  # accepted and closed at once
    assert backoff.next_delay(29.9) >= 30
    assert backoff.next_delay(30.0) <= 1
    assert backoff.next_delay(None) <= 2


@given(st.lists(st.integers(0, 2 * NS_PER_SECOND), max_size=50))
def test_never_more_than_three_connections_in_a_second(steps: list[int]) -> None:
    limit, now, starts = ConnectionLimit(), 0, []
    for step in steps:
        now += step
        start = limit.reserve(now)
        assert start >= now
        starts.append(start)
    assert starts == sorted(starts)
    for first, fourth in zip(starts, starts[3:], strict=False):
        assert fourth - first >= NS_PER_SECOND


def test_a_step_of_the_wall_clock_is_a_row_and_slewing_is_not() -> None:
    watch = ClockWatch()
    second, wall, mono = NS_PER_SECOND, 1_790_000_000 * NS_PER_SECOND, 5_000
    rows: list[dict[str, Any]] = []
    for tick in range(120):
        slewed = wall + tick * second + tick * 500_000  # NTP slews 0.5 ms a second
        stepped = slewed + (3_600 * second if tick >= 100 else 0)
        row = watch.look(Stamp(stepped, mono + tick * second))
        if row is not None:
            rows.append(row)
    steps = [row for row in rows if row["step"] is not None]
    assert [row["step"] for row in steps] == [3_600 * second + 500_000]
    assert len(rows) - len(steps) == 2, "a sample at the start and every 60 s"
    assert all("state" in row for row in rows if row["step"] is None)


def test_a_pair_torn_apart_by_the_scheduler_is_read_again() -> None:
    watch = ClockWatch()
    good = read_clocks()
    assert watch.settle(good) is good
    watch.look(good)
    torn = Stamp(good.ts_recv, good.ts_mono + 50 * STEP_NS)
    settled = watch.settle(torn)
    assert abs((settled.ts_recv - settled.ts_mono) - (good.ts_recv - good.ts_mono)) < STEP_NS
    row = watch.look(settled)
    assert row is None or row["step"] is None


def test_the_systems_view_of_its_clock() -> None:
    state = clock_state()
    assert state is None or set(state) == {
        "synchronized", "max_error_us", "estimated_error_us"
    }  # fmt: skip
