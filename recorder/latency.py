"""Latencies: how long something took, counted into buckets by plain integers.

Responsible for a histogram that costs a comparison or two to add to and can be read from another
thread at any moment. Refuses to read a clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from recorder.clock import NS_PER_SECOND

BOUNDS_NS: tuple[int, ...] = (
    50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
    50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 5_000_000_000,
    30_000_000_000,
)  # fmt: skip
"""Upper ends of the buckets, ns; what is longer than the last is counted beyond it."""


class Latencies:
    """One histogram; written by one thread.

    Attributes:
        counts: of each bucket, the one beyond the last bound among them. total: sum, ns.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int] = BOUNDS_NS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0

    def add(self, duration: int) -> None:
        """Count one duration, ns; a negative one (two clocks) goes into the first bucket."""
        self.counts[bisect_left(self.bounds, duration)] += 1
        self.total += duration

    def buckets(self) -> list[tuple[str, float]]:
        """Return `(upper end in s, how many up to it)`, `+Inf` last, as Prometheus has it."""
        found, count = [], 0
        for bound, number in zip(self.bounds, list(self.counts), strict=False):
            count += number
            found.append((repr(bound / NS_PER_SECOND), float(count)))
        return [*found, ("+Inf", float(count + self.counts[-1]))]
