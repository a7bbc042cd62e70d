"""Passage: frames handed to a strategy, from one beginning to the next seek, loop or end.

Responsible for the innermost loops: timers, data time, interpreter, strategy, in this order, for
each frame. Refuses to choose frames, to wait for their time or to show anything: it is told when.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from recorder.event import Event
from recorder.frame import Frame
from recorder.strategy import Context, Handler
from recorder.timers import TIMER_NOTE
from replay.context import PlayContext
from replay.feed import PLAYED
from replay.source import Source

NOTE = "raised by the strategy for"
"""How the note on an exception of a strategy begins; the event's type, seq and index follow."""


class Passage:
    """One way through some captures; each source has begun, its first frame comes next.

    Args:
        is_filtered: frames of other kinds than messages change the state and are not played.
        restarts: see `PlayContext`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        handler: Handler,
        *,
        is_filtered: bool,
        restarts: int,
    ) -> None:
        self.context = PlayContext([source.books for source in sources], restarts)
        self._sources = sources
        self._handler = handler
        self._is_filtered = is_filtered

    def begin(self, start: Callable[[Context], object], now: int) -> None:
        """Tell the strategy that its first event is next.

        Args:
            now: `ts_recv` of the first frame, ns: what the clock reads.
        """
        self.context.clock.advance(now)
        try:
            start(self.context)
        except Exception as error:
            error.add_note(f"{NOTE} its start")
            raise

    def end(self, stop: Callable[[Context], object]) -> None:
        """Tell the strategy that there was its last event."""
        try:
            stop(self.context)
        except Exception as error:
            error.add_note(f"{NOTE} its stop")
            raise

    def play_all(self, frames: list[Frame]) -> None:
        """Play one source at max, unfiltered: nothing in the loop but what must be."""
        source, handler, context = self._sources[0], self._handler, self.context
        step, advance, timers = source.interpreter.step, context.clock.advance, context.timers
        event: Event | None = None
        count = 0
        source.pass_by(frames[0].seq)
        try:
            for frame in frames:
                ts_recv = frame.ts_recv
                if ts_recv >= timers.due:
                    timers.fire(ts_recv, context)
                advance(ts_recv)
                events = step(frame)
                count += len(events)
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        source.frames += len(frames)
        source.events += count

    def play_digesting(self, frames: list[Frame]) -> None:
        """Play one source at max, unfiltered, with digests."""
        source, handler, context = self._sources[0], self._handler, self.context
        step, advance, timers = source.interpreter.step, context.clock.advance, context.timers
        event: Event | None = None
        delivered: list[Event] = []
        source.pass_by(frames[0].seq)
        try:
            for frame in frames:
                ts_recv = frame.ts_recv
                if ts_recv >= timers.due:
                    timers.fire(ts_recv, context)
                advance(ts_recv)
                events = step(frame)
                delivered += events
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        source.frames += len(frames)
        source.events += len(delivered)
        source.account(frames, frames, delivered)

    def play_merged(self, frames: list[Frame], ranks: list[int]) -> None:
        """Play several sources at max, unfiltered, without digests."""
        handler, context, sources = self._handler, self.context, self._sources
        advance, timers = context.clock.advance, context.timers
        context.show([source.books for source in sources])
        steps = [source.interpreter.step for source in sources]
        counts = [0] * len(sources)
        milestones = [source.next_milestone for source in sources]
        event: Event | None = None
        try:
            for frame, rank in zip(frames, ranks, strict=True):
                ts_recv = frame.ts_recv
                if ts_recv >= timers.due:
                    timers.fire(ts_recv, context)
                advance(ts_recv)
                context.source = rank
                if frame.seq >= milestones[rank]:
                    milestones[rank] = sources[rank].pass_by(frame.seq)
                events = steps[rank](frame)
                counts[rank] += len(events)
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        for rank, source in enumerate(sources):
            source.frames += ranks.count(rank)
            source.events += counts[rank]

    def play_each(
        self,
        frames: list[Frame],
        ranks: list[int] | None,
        *,
        turn: Callable[[Frame], bool] | None,
        look: Callable[[Frame], object] | None,
    ) -> int:
        """Play frame by frame: at a speed, steered, filtered, or several with digests.

        Args:
            ranks: the source of each frame; None: there is one.
            turn: returns when it is a frame's turn; False: neither this one nor those behind it.
            look: told each frame before it is played.

        Returns:
            How many were seen.
        """
        handler, context, sources = self._handler, self.context, self._sources
        advance, timers = context.clock.advance, context.timers
        context.show([source.books for source in sources])
        steps = [source.interpreter.step for source in sources]
        is_filtered = self._is_filtered
        event: Event | None = None
        seen: list[list[Frame]] = [[] for _ in sources]
        played: list[list[Frame]] = [[] for _ in sources]
        delivered: list[list[Event]] = [[] for _ in sources]
        taken = 0
        rank = 0
        try:
            for frame in frames:
                if turn is not None and not turn(frame):
                    break
                if ranks is not None:
                    context.source = rank = ranks[taken]
                taken += 1
                seen[rank].append(frame)
                if look is not None:
                    look(frame)
                ts_recv = frame.ts_recv
                if ts_recv >= timers.due:
                    timers.fire(ts_recv, context)
                advance(ts_recv)
                events = steps[rank](frame)
                if is_filtered and frame.kind not in PLAYED:
                    continue
                played[rank].append(frame)
                delivered[rank] += events
                sources[rank].frames += 1
                sources[rank].events += len(events)
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        for rank, source in enumerate(sources):
            source.account(seen[rank], played[rank], delivered[rank])
        return taken


def _note(error: Exception, event: Event | None) -> None:
    if any(note.startswith(TIMER_NOTE) for note in getattr(error, "__notes__", ())):
        return
    if event is not None:
        error.add_note(f"{NOTE} {type(event).__name__} at seq {event.seq}, index {event.index}")


@contextmanager
def rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often; events hold no cycles and are many."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
