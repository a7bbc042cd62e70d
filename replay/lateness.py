"""Lateness: how late the frames of a paced replay were handed over, as a distribution.

Responsible for counting in constant memory and for what is reported of it. Refuses to measure: the
schedule knows when a frame was due and when it went out.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec

_STEPS = 16
"""Counters per doubling: a percentile is right to a sixteenth."""
_BOUNDS_US = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
_NS_PER_US = 1_000


class LatenessBucket(msgspec.Struct, frozen=True):
    """Frames that were less than so many microseconds late; None: all later ones."""

    below_us: int | None
    frames: int


class LatenessReport(msgspec.Struct, frozen=True, kw_only=True):
    """How late frames were, microseconds; the JSON of `--lateness`.

    Attributes:
        frames: that were due at a time; p50_us … p999_us: percentiles, right to a sixteenth.
        buckets: by powers of ten; each holds the frames that the one before does not.
    """

    frames: int
    p50_us: float | None
    p90_us: float | None
    p99_us: float | None
    p999_us: float | None
    max_us: float | None
    buckets: list[LatenessBucket]


class Lateness:
    """Counts how late frames were."""

    def __init__(self) -> None:
        self._fine: dict[int, int] = {}
        self._coarse = [0] * (len(_BOUNDS_US) + 1)
        self._bounds = [bound * _NS_PER_US for bound in _BOUNDS_US]
        self._max = 0
        self.frames = 0

    def add(self, ns: int) -> None:
        """Count a frame that was so many ns late, 0 or more."""
        self.frames += 1
        self._max = max(self._max, ns)
        self._coarse[bisect_right(self._bounds, ns)] += 1
        shift = max(ns.bit_length() - _STEPS.bit_length(), 0)
        lowest = ns >> shift << shift
        self._fine[lowest] = self._fine.get(lowest, 0) + 1

    def percentile(self, share: float) -> float | None:
        """Return how late such a share of the frames was at most, microseconds; None if none."""
        wanted = share * self.frames
        passed = 0
        for lowest in sorted(self._fine):
            passed += self._fine[lowest]
            if passed >= wanted:
                return lowest / _NS_PER_US
        return None

    def report(self) -> LatenessReport:
        """Return what was counted so far."""
        bounds: tuple[int | None, ...] = (*_BOUNDS_US, None)
        return LatenessReport(
            frames=self.frames,
            p50_us=self.percentile(0.5),
            p90_us=self.percentile(0.9),
            p99_us=self.percentile(0.99),
            p999_us=self.percentile(0.999),
            max_us=self._max / _NS_PER_US if self.frames else None,
            buckets=[
                LatenessBucket(bound, count)
                for bound, count in zip(bounds, self._coarse, strict=True)
            ],
        )
