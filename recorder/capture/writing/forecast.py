"""How long the disk lasts: what is free, what a day takes at the pace so far.

Responsible for the figures under `disk` in `status.json` and for saying them in a sentence.
Refuses to promise: a market that wakes up takes more.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.segment import SegmentReader
from recorder.errors import Damage

_DAY_S = 86_400
_LEAST_S = 10.0
"""A rate over less says nothing."""
_RECENT = 60
_SEALED_SHARE = 0.2
"""Of a journal's bytes a sealed segment takes about this much, until the first one says better."""


class DiskForecast(msgspec.Struct, frozen=True):
    """`free` bytes for this user (what must stay free taken off), None where unknown; at
    `bytes_per_day` they last `days_left`; both None before there is a pace."""

    free: int | None
    bytes_per_day: int | None
    days_left: float | None

    def __str__(self) -> str:
        free = "unknown" if self.free is None else _amount(self.free)
        if self.bytes_per_day is None or self.days_left is None:
            return f"{free} free"
        days = f"{self.days_left:,.0f}" if self.days_left >= 10 else f"{self.days_left:.1f}"
        pace = _amount(self.bytes_per_day)
        return f"{free} free, {pace} a day so far: room for {days} days"


class Forecast:
    """Estimates from the latest segments of a capture, then from what this run writes."""

    def __init__(self, root: Path) -> None:
        self._earlier = _pace_of(root)

    def now(
        self,
        *,
        free: int | None,
        seconds: float,
        written: int,
        journal_bytes: int,
        sealed_bytes: int,
    ) -> DiskForecast:
        """Return the forecast.

        Args:
            free: bytes. seconds: since this run began. written: journal bytes in that time.
            journal_bytes, sealed_bytes: of segments before and after sealing.
        """
        pace = self._earlier
        if seconds >= _LEAST_S and written:
            share = sealed_bytes / journal_bytes if journal_bytes else _SEALED_SHARE
            pace = written * share / seconds
        if pace is None or pace <= 0:
            return DiskForecast(free, None, None)
        per_day = pace * _DAY_S
        days = None if free is None else round(free / per_day, 2)
        return DiskForecast(free, round(per_day), days)


def _pace_of(root: Path) -> float | None:
    """Return bytes a second of the latest sealed segments, None where they cannot tell."""
    recent = layout.list_sealed(root)[-_RECENT:]
    total, start, end = 0, None, 0
    for name in recent:
        try:
            total += (root / name.path).stat().st_size
            if name in (recent[0], recent[-1]):
                reader = SegmentReader(root, name.path, name.segment)
                start = reader.meta.min_ts_recv if start is None else start
                end = reader.meta.max_ts_recv
                reader.close()
        except (Damage, OSError):
            continue
    seconds = 0.0 if start is None else (end - start) / 1e9
    return total / seconds if seconds >= _LEAST_S else None


def _amount(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
