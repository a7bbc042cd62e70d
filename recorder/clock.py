"""Time: how it is written, how it is read, and the clock a strategy sees.

Responsible for RFC 3339 and integer-nanosecond times and for `DataClock`, which is moved by
frames alone. Refuses to read the machine's clock: that happens once, in `live/connection.py`.

All times are integer nanoseconds since the Unix epoch, UTC, unless a name says `mono`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from recorder.errors import UsageError

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?"
    r"([Zz]|[+-]\d{2}:\d{2})?"
)


class Clock(Protocol):
    """What a strategy may ask for the time."""

    def now(self) -> int:
        """Return the current time, ns since the Unix epoch, UTC."""
        ...


class DataClock:
    """A clock that only data moves: it reads the `ts_recv` of the frame in hand.

    It never runs backwards: where the wall clock of the recording stepped back it stands still.
    """

    __slots__ = ("_now",)

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        """Return the latest `ts_recv` seen, ns since the Unix epoch, UTC."""
        return self._now

    def advance(self, ts_recv: int) -> None:
        """Move to `ts_recv` (ns) unless that lies in the past."""
        if ts_recv > self._now:
            self._now = ts_recv


def parse_time(text: str) -> int:
    """Read RFC 3339 (`2026-11-22`, `2026-11-22T09:30:00.5Z`) or integer ns; return ns, UTC.

    A time without an offset is UTC: a capture must not read differently on another machine.

    Raises:
        UsageError: the text is neither.
    """
    text = text.strip()
    if re.fullmatch(r"-?\d{12,19}", text) or text == "0":
        return int(text)
    match = _RFC3339.fullmatch(text)
    if match is not None:
        day, clock, fraction, offset = match.groups()
        clock = clock or "00:00:00"
        if len(clock) == 5:
            clock += ":00"
        zone = "+00:00" if offset in (None, "Z", "z") else offset
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}{zone}")
        except ValueError:
            pass
        else:
            delta = moment - _EPOCH
            seconds = delta.days * 86_400 + delta.seconds
            return seconds * NS_PER_SECOND + int((fraction or "0").ljust(9, "0"))
    advice = "write it in one of the two forms"
    if re.fullmatch(r"\d{9,11}", text):
        advice = f"if these are seconds, write {text}000000000"
    raise UsageError(
        f"expected a time as RFC 3339 (2026-11-22T09:30:00Z) or integer nanoseconds, "
        f"received {text!r}; {advice}"
    )


def format_time(ns: int) -> str:
    """Return RFC 3339, UTC, with nine decimals: `2026-11-22T09:30:00.000000000Z`."""
    seconds, fraction = divmod(ns, NS_PER_SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def utc_date(ns: int) -> str:
    """Return the UTC date of a time, `2026-11-22`."""
    return f"{_EPOCH + timedelta(seconds=ns // NS_PER_SECOND):%Y-%m-%d}"
