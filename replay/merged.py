"""Merge the frames of several captures into one order.

Responsible for the rule and for keeping to it in bounded memory. Refuses to look into frames: their
receive time is all it needs.

The rule. Each capture is a source; its rank is its place in the list. Of the frames that come next
in each source, the one received first (`ts_recv`) is next of all; of several received in the same
nanosecond the one of the lower rank. So within a source `seq` alone decides: no frame overtakes
another of its source, also where the wall clock of that recording stepped back. Such a frame comes
right behind the one before it and is counted as an inversion.

It is the order by (greatest `ts_recv` of the source so far, rank, seq), which is how it is made:
what is certain to come first is cut from each source and sorted, thousands at a time; runs that
are sorted already cost a sort next to nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import ne
from typing import NamedTuple

from recorder.frame import Frame


class Merged(NamedTuple):
    """Frames in the common order, and the rank of the source of each."""

    frames: list[Frame]
    ranks: list[int]


class _Head:
    """What is loaded of one source and not given out yet."""

    __slots__ = ("_chunks", "_latest", "at", "frames", "inversions", "is_exhausted", "times")

    def __init__(self, chunks: Iterator[list[Frame]]) -> None:
        self._chunks = chunks
        self._latest = 0
        self.frames: list[Frame] = []
        self.times: list[int] = []  # of each frame the greatest ts_recv so far
        self.at = 0
        self.inversions = 0
        self.is_exhausted = False

    def load(self) -> None:
        """Load the next chunk where nothing is left of the one before."""
        while self.at == len(self.frames) and not self.is_exhausted:
            frames = next(self._chunks, None)
            if frames is None:
                self.is_exhausted = True
                self.frames, self.times = [], []
                self.at = 0
                return
            stamps = [frame.ts_recv for frame in frames]
            self.frames, self.at = frames, 0
            self.times = list(accumulate(stamps, max, initial=self._latest))[1:]
            self.inversions += sum(map(ne, stamps, self.times))
            if frames:
                self._latest = self.times[-1]

    def take(self, stop: int) -> tuple[list[Frame], list[int]]:
        start, self.at = self.at, stop
        return self.frames[start:stop], self.times[start:stop]


class Merger:
    """Merges sources, given as their frames in their own order, some thousand at a time."""

    def __init__(self, sources: Sequence[Iterator[list[Frame]]]) -> None:
        self._heads = [_Head(chunks) for chunks in sources]

    @property
    def inversions(self) -> list[int]:
        """Of each source: frames received before a frame that came before them, by their stamps.

        It counts what has been loaded; exact when the sources are exhausted.
        """
        return [head.inversions for head in self._heads]

    def parts(self) -> Iterator[Merged]:
        """Yield the frames of all sources in the common order."""
        while True:
            for head in self._heads:
                head.load()
            loaded = [head for head in self._heads if not head.is_exhausted]
            if not loaded:
                return
            # The source that may run out first: of the others nothing later is certain yet.
            horizon = min(head.times[-1] for head in loaded)
            limit = next(
                rank for rank, head in enumerate(self._heads)
                if not head.is_exhausted and head.times[-1] == horizon
            )  # fmt: skip
            frames: list[Frame] = []
            times: list[int] = []
            ranks: list[int] = []
            taken = 0
            for rank, head in enumerate(self._heads):
                if head.is_exhausted:
                    continue
                bisect = bisect_right if rank <= limit else bisect_left
                stop = bisect(head.times, horizon, head.at)
                if stop == head.at:
                    continue
                taken += 1
                more_frames, more_times = head.take(stop)
                frames += more_frames
                times += more_times
                ranks += [rank] * len(more_frames)
            if taken > 1:
                order = sorted(range(len(times)), key=times.__getitem__)
                frames = list(map(frames.__getitem__, order))
                ranks = list(map(ranks.__getitem__, order))
            yield Merged(frames, ranks)
