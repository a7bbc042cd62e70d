"""Series thinned for a picture: what an eye could see of them, no more.

Responsible for keeping the shape: of each stretch as wide as a pixel the first, the lowest, the
highest and the last point; and for doing it as the points come, so that a series of any length
needs the same memory. Refuses to average: a spike of one point stays a spike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Point: TypeAlias = tuple[int, float]
"""A time, ns since the Unix epoch, and a value."""

STRETCHES = 600
"""Stretches a series is cut into; at most four points are kept of each."""


class Thinning:
    """One series, thinned as it comes.

    Args:
        span: first and last time of the picture, ns.
        stretches: equal parts of that time.
    """

    def __init__(self, span: tuple[int, int], stretches: int = STRETCHES) -> None:
        self._first, self._width = span[0], max(span[1] - span[0], 1)
        self._stretches = stretches
        self._kept: list[Point] = []
        self._count = 0
        self._stretch = -1
        self._open: list[tuple[int, Point]] = []
        """First, lowest, highest and last of the stretch in hand, each with its number."""

    def add(self, point: Point) -> None:
        """Take the next point; times never fall."""
        stretch = (point[0] - self._first) * self._stretches // self._width
        numbered = (self._count, point)
        self._count += 1
        if stretch != self._stretch:
            self._close()
            self._stretch = stretch
            self._open = [numbered] * 4
            return
        corners = self._open
        if point[1] < corners[1][1][1]:
            corners[1] = numbered
        if point[1] > corners[2][1][1]:
            corners[2] = numbered
        corners[3] = numbered

    def points(self) -> list[Point]:
        """Return what is kept, in order of time."""
        self._close()
        return self._kept

    def _close(self) -> None:
        self._kept += [point for _, point in sorted(dict.fromkeys(self._open))]
        self._open = []
        self._stretch = -1


def thinned(
    points: Iterable[Point], span: tuple[int, int], stretches: int = STRETCHES
) -> list[Point]:
    """Return at most four points of each stretch of time, in order."""
    thinning = Thinning(span, stretches)
    for point in points:
        thinning.add(point)
    return thinning.points()
