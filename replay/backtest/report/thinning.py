"""Series thinned for a picture: what an eye could see of them, no more.

Responsible for keeping the shape: of each stretch as wide as a pixel the first, the lowest, the
highest and the last point. Refuses to average: a spike of one point stays a spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Point: TypeAlias = tuple[int, float]
"""A time, ns since the Unix epoch, and a value."""

STRETCHES = 600
"""Stretches a series is cut into; at most four points are kept of each."""


def thinned(points: Sequence[Point], stretches: int = STRETCHES) -> list[Point]:
    """Return at most four points of each stretch of time, in order.

    Args:
        points: in order of time.
        stretches: equal parts of the time from the first point to the last.
    """
    if len(points) <= 4 * stretches:
        return list(points)
    first, last = points[0][0], points[-1][0]
    width = max(last - first, 1)
    kept: list[Point] = []
    begin = 0
    for stretch in range(stretches):
        end = begin
        limit = first + width * (stretch + 1) // stretches
        while end < len(points) and (points[end][0] < limit or stretch == stretches - 1):
            end += 1
        if end > begin:
            kept += _corners(points, begin, end)
        begin = end
    return kept


def _corners(points: Sequence[Point], begin: int, end: int) -> list[Point]:
    """Return first, lowest, highest and last of a stretch, each once, in order of time."""
    within = range(begin, end)
    lowest = min(within, key=lambda index: points[index][1])
    highest = max(within, key=lambda index: points[index][1])
    return [points[index] for index in sorted({begin, lowest, highest, end - 1})]
