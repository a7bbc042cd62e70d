"""Merge the frames of several captures into one order.

Responsible for the rule and for keeping to it in bounded memory. Refuses to look into frames: their
receive time is all it needs.

The rule. Each capture is a source; its rank is its place in the list. Of the frames that come next
in each source, the one received first (`ts_recv`) is next of all; of several received in the same
nanosecond the one of the lower rank. So within a source `seq` alone decides: no frame overtakes
another of its source, also where the wall clock of that recording stepped back. Such a frame comes
right behind the one before it and is counted as an inversion.

Sources that are followed. A source that has nothing new may yet give a frame received before those
that are there; so these wait for it, `patience` ns from when they were read, and then go on without
it. What it gives after that comes late, in its place among what comes then, and is counted. A frame
is never held for a source that has already given one received later, nor for one that has ended.
As long as none comes late, this is the order of a replay afterwards.

It is the order by (greatest `ts_recv` of the source so far, rank, seq), which is how it is made:
what is certain to come first is cut from each source and sorted, thousands at a time; runs that
are sorted already cost a sort next to nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
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

    __slots__ = (
        "_chunks",
        "at",
        "frames",
        "inversions",
        "is_exhausted",
        "late",
        "latest",
        "read_at",
        "times",
    )

    def __init__(self, chunks: Iterator[list[Frame]]) -> None:
        self._chunks = chunks
        self.latest = 0
        self.late = 0
        self.read_at = 0
        self.frames: list[Frame] = []
        self.times: list[int] = []  # of each frame the greatest ts_recv so far
        self.at = 0
        self.inversions = 0
        self.is_exhausted = False

    @property
    def is_empty(self) -> bool:
        """Nothing of it is here now."""
        return self.at == len(self.frames)

    def load(self, clock: Callable[[], int] | None) -> None:
        """Load the next chunk where nothing is left of the one before, as far as there is any."""
        while self.at == len(self.frames) and not self.is_exhausted:
            frames = next(self._chunks, None)
            if frames is None:
                self.is_exhausted = True
                self.frames, self.times = [], []
                self.at = 0
                return
            if not frames and clock is not None:
                return
            stamps = [frame.ts_recv for frame in frames]
            self.frames, self.at = frames, 0
            self.times = list(accumulate(stamps, max, initial=self.latest))[1:]
            self.inversions += sum(map(ne, stamps, self.times))
            if frames:
                self.latest = self.times[-1]
                self.read_at = 0 if clock is None else clock()

    def take(self, stop: int) -> tuple[list[Frame], list[int]]:
        start, self.at = self.at, stop
        return self.frames[start:stop], self.times[start:stop]


class Merger:
    """Merges sources, given as their frames in their own order, some thousand at a time.

    Args:
        sources: of one that is followed, an empty list says that nothing is new.
        clock: steady, ns; None: nothing is followed, and an empty list means nothing.
        patience: how long frames wait for a source that is silent, ns.
    """

    def __init__(
        self,
        sources: Sequence[Iterator[list[Frame]]],
        *,
        clock: Callable[[], int] | None = None,
        patience: int = 0,
    ) -> None:
        self._heads = [_Head(chunks) for chunks in sources]
        self._clock = clock
        self._patience = patience
        self._given = 0  # the greatest time given out

    @property
    def inversions(self) -> list[int]:
        """Of each source: frames received before a frame that came before them, by their stamps.

        It counts what has been loaded; exact when the sources are exhausted.
        """
        return [head.inversions for head in self._heads]

    @property
    def late(self) -> list[int]:
        """Of each source: frames that others had not waited for long enough."""
        return [head.late for head in self._heads]

    def parts(self) -> Iterator[Merged]:
        """Yield the frames of all sources in the common order; no frames: nothing is new."""
        while True:
            for head in self._heads:
                head.load(self._clock)
            alive = [head for head in self._heads if not head.is_exhausted]
            if not alive:
                return
            part = self._before(alive)
            loaded = [head for head in alive if not head.is_empty]
            if not part.frames and loaded and self._is_ripe(loaded):
                part = self._before(loaded)
            yield part

    def _is_ripe(self, loaded: list[_Head]) -> bool:
        """Tell whether what is here has waited long enough for those that are silent."""
        if self._clock is None:
            return True
        return self._clock() - max(head.read_at for head in loaded) >= self._patience

    def _before(self, bounds: list[_Head]) -> Merged:
        """Take what is certain to come before whatever these sources have not given yet."""
        # The source that may run out first: of the others nothing later is certain yet.
        horizon = min(head.latest for head in bounds)
        limit = next(
            rank for rank, head in enumerate(self._heads)
            if not head.is_exhausted and head in bounds and head.latest == horizon
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
            if head.times[head.at] < self._given:
                head.late += bisect_left(head.times, self._given, head.at, stop) - head.at
            more_frames, more_times = head.take(stop)
            frames += more_frames
            times += more_times
            ranks += [rank] * len(more_frames)
        if taken > 1:
            order = sorted(range(len(times)), key=times.__getitem__)
            frames = list(map(frames.__getitem__, order))
            ranks = list(map(ranks.__getitem__, order))
            times = [times[order[-1]]]
        if times:
            self._given = max(self._given, times[-1])
        return Merged(frames, ranks)
