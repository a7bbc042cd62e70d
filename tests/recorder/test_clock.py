"""Time: read, written, and moved by data alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import DataClock, format_time, parse_time, utc_date
from recorder.errors import UsageError

NOON = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22t12:00:00z", NOON),
        ("2026-11-22 12:00:00", NOON),
        ("2026-11-22T12:00", NOON),
        ("2026-11-22T13:30:00+01:30", NOON),
        ("2026-11-22T07:00:00-05:00", NOON),
        ("2026-11-22", NOON - 43_200 * 10**9),
        ("2026-11-22T12:00:00.5Z", NOON + 500_000_000),
        ("2026-11-22T12:00:00.000000001Z", NOON + 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        (str(NOON), NOON),
        (f" {NOON} ", NOON),
        ("0", 0),
        ("-1000000000000", -1_000_000_000_000),
    ],
)
def test_times_that_are_read(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "12:00", "2026-13-01", "2026-11-22T25:00:00Z", "2026-11-22T12:00:00.1234567890Z",
     "1795348800", "2026-11-22T12:00:00+25:00", "1e18"],
)  # fmt: skip
def test_times_that_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="expected a time as RFC 3339") as error:
        parse_time(text)
    assert "\n" not in str(error.value)


def test_seconds_are_told_from_nanoseconds() -> None:
    with pytest.raises(UsageError, match="if these are seconds, write 1795348800000000000"):
        parse_time("1795348800")


@given(st.integers(-(10**18), 4 * 10**18))
def test_what_is_written_is_read_back(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns
    assert format_time(ns).startswith(utc_date(ns))


def test_format_has_nine_decimals() -> None:
    assert format_time(NOON + 7) == "2026-11-22T12:00:00.000000007Z"


@given(st.lists(st.integers(0, 2**62)))
def test_a_data_clock_never_runs_backwards(stamps: list[int]) -> None:
    clock = DataClock()
    latest = 0
    for stamp in stamps:
        clock.advance(stamp)
        latest = max(latest, stamp)
        assert clock.now() == latest
