"""Streams: all sources of a replay opened together, as one stream of frames.

Responsible for the state each source begins with, for their common order, and for what is said of
it at the end. Refuses to play a frame, and to wait: it is told how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from time import monotonic_ns
from typing import TypeAlias

from recorder.capture.digest import new_hash
from recorder.clock import NS_PER_MS
from recorder.frame import Frame
from replay.feed import Wanted
from replay.merged import Merger
from replay.play_report import SourceReport
from replay.source import Source

PATIENCE_NS = 100 * NS_PER_MS
"""How long frames wait for a followed capture that is silent. A recorder shows a frame a few
milliseconds after it was stamped."""

Part: TypeAlias = tuple[list[Frame], list[int] | None]
"""Frames, and the rank of the source of each; None: there is one source."""


class Streams:
    """The frames of all sources, from wherever a replay is sent.

    Args:
        follow: go on while they are being recorded.
        at_full_speed: see `Source.begin`.

    Attributes:
        first: the first frame of all since the last `open`, None before.
        order: digest of the ranks in which frames were played; the player adds to it.
    """

    def __init__(self, sources: Sequence[Source], *, follow: bool, at_full_speed: bool) -> None:
        self._sources = sources
        self._follow = follow
        self._at_full_speed = at_full_speed
        self._merger: Merger | None = None
        self.first: Frame | None = None
        self.order = new_hash()

    def open(self, wanted: Wanted, wait: Callable[[], bool]) -> Iterator[Part] | None:
        """Begin every source; return what is to be played, None where nothing is.

        Args:
            wait: sleeps a little, while no recorder has written anything yet; False: leave.
        """
        streams = [source.open(wanted, follow=self._follow) for source in self._sources]
        heads = [next(stream, None) for stream in streams]
        while not any(heads) and [] in heads:
            if not wait():
                return None
            heads = [
                next(stream, None) if head == [] else head
                for stream, head in zip(streams, heads, strict=True)
            ]
        firsts = [head[0] for head in heads if head]
        if not firsts:
            for source in self._sources:
                source.rest()
            return None
        self.first = min(firsts, key=lambda frame: frame.ts_recv)
        self.order = new_hash()
        begun = [self._begun(*one) for one in zip(self._sources, heads, streams, strict=True)]
        if len(begun) == 1:
            return ((frames, None) for frames in begun[0])
        self._merger = Merger(
            begun, clock=monotonic_ns if self._follow else None, patience=PATIENCE_NS
        )
        return ((part.frames, part.ranks) for part in self._merger.parts())

    def _begun(
        self, source: Source, head: list[Frame] | None, stream: Iterator[list[Frame]]
    ) -> Iterator[list[Frame]]:
        """Give a source its state; one without a frame yet gets it when that comes."""
        if not head:
            source.rest()
            return iter(()) if head is None else self._later(source, stream)
        source.begin(head[0], at_full_speed=self._at_full_speed)
        return chain([head], stream)

    def _later(self, source: Source, stream: Iterator[list[Frame]]) -> Iterator[list[Frame]]:
        for frames in stream:
            if frames:
                source.begin(frames[0], at_full_speed=self._at_full_speed)
                yield frames
                break
            yield frames
        yield from stream

    def summaries(self) -> list[SourceReport]:
        """Return what was played of each source."""
        nothing = [0] * len(self._sources)
        inversions = nothing if self._merger is None else self._merger.inversions
        late = nothing if self._merger is None else self._merger.late
        return [
            source.summary(inversions=stepped, late=delayed)
            for source, stepped, delayed in zip(self._sources, inversions, late, strict=True)
        ]

    def digest(self, of_sources: Sequence[str | None]) -> str | None:
        """Return the digest of everything: of several sources, of theirs and of their order."""
        if len(of_sources) == 1:
            return of_sources[0]
        total = new_hash()
        total.update(self.order.digest())
        for digest in of_sources:
            if digest is None:
                return None
            total.update(bytes.fromhex(digest))
        return total.hexdigest()
