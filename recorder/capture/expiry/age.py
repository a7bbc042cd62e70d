"""Age: how long ago the end of each segment was, as far as the data itself can tell.

Responsible for counting back from the newest frame without trusting the wall clock more than
needed: within a run the monotonic clock says how long it took, whatever the wall clock did. Refuses
to read a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recorder.capture.segment import SegmentMeta
from recorder.clock import NS_PER_DAY

PAUSE_NS = NS_PER_DAY
"""Between two runs only the wall clock tells how long nobody recorded: at most so much counts."""


def ages(newest_first: Iterable[SegmentMeta | None]) -> Iterator[int]:
    """Yield the age of the last frame of each segment, ns, beginning with the newest: 0.

    A segment that cannot be read takes no time.
    """
    age = 0
    later: SegmentMeta | None = None
    for meta in newest_first:
        if meta is not None and later is not None:
            age += _length(later) + _between(meta, later)
        later = meta or later
        yield age


def _length(meta: SegmentMeta) -> int:
    wall, mono = meta.end - meta.start, meta.last_ts_mono - meta.first_ts_mono
    return mono if meta.runs <= 1 and mono >= 0 else _bounded(wall)


def _between(earlier: SegmentMeta, later: SegmentMeta) -> int:
    mono = later.first_ts_mono - earlier.last_ts_mono
    if not later.runs and mono >= 0:
        return mono
    return _bounded(later.start - earlier.end)


def _bounded(wall: int) -> int:
    return min(max(wall, 0), PAUSE_NS)
