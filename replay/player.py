"""Play a capture into a strategy: the same events as live, at any speed, in data time.

Responsible for the loop from frames to a strategy, for the right state at the start of a window,
and for the digests that prove what was played. Refuses to open sockets, to need an event loop and
to read a clock for anything but pacing and the report: a strategy's clock is moved by data.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from heapq import merge
from itertools import islice
from operator import attrgetter
from time import monotonic_ns, sleep
from typing import NamedTuple

from recorder.book import Book, Books
from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.reader import Capture, ReadReport, names_to_keep
from recorder.clock import NS_PER_MS, NS_PER_SECOND, DataClock
from recorder.event import EVENT_TYPES, Event
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Handler, handler_of
from replay.pacer import Pacer, Speed, parse_speed
from replay.play_report import PlayReport as PlayReport
from replay.play_report import Progress as Progress

NOTE = "raised by the strategy for"
"""How the note on an exception of a strategy begins; the event's type, seq and index follow."""

_PROGRESS_NS = 100 * NS_PER_MS
_CHUNK = 4096
_MESSAGES = (Kind.TEXT, Kind.SENT)
"""Kinds that may have a channel; a filter by channel or instrument drops all others."""
_LIFECYCLE = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN)
"""Rows that change the interpreter's state, or the pace, though a filter drops them."""


class PlayContext:
    """What a strategy may look at.

    Attributes:
        clock: data time: `ts_recv` of the frame in hand, ns, never running backwards.
        books: the books of what is played, already changed by the event in hand.
    """

    __slots__ = ("books", "clock")

    def __init__(self, books: Books) -> None:
        self.clock = DataClock()
        self.books = books


def play(
    capture: Capture | str | os.PathLike[str],
    strategy: object | None = None,
    *,
    speed: str | float | Fraction | None = "max",
    start: int | None = None,
    end: int | None = None,
    channels: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    digest: bool = False,
    number: type = float,
    max_gap: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> PlayReport:
    """Play a capture into a strategy, synchronously; return what was played.

    Args:
        capture: a `Capture` or its path.
        strategy: a callable `(event, context)` or an object with `on_event`; None counts only.
        speed: `max`, or data seconds per second (`1`, `10`, `0.5`).
        start, end: window of `ts_recv`, ns, as in `Capture.frames`; the books are right from the
            first event on.
        channels, instruments: play only their frames; rows without one are then not played, but
            still reach the interpreter, and `context.books` holds only what is played.
        digest: make the input and the output digest.
        number: float, Decimal or str: what prices and sizes are.
        max_gap: longest pause between two runs of a recorder, ns of data time.
        on_progress: called about ten times a second.

    Raises:
        NotACapture: there is none at this path.
        UsageError: an option that cannot be.
        Exception: whatever the strategy raises, with a note of the event in hand.
    """
    if not isinstance(capture, Capture):
        capture = Capture(capture)
    wanted = _Wanted(
        start,
        end,
        names_to_keep(channels, "channels"),
        names_to_keep(instruments, "instruments"),
    )
    replay = _Replay(
        capture,
        strategy,
        parse_speed(speed),
        wanted,
        number=number,
        max_gap=max_gap,
        on_progress=on_progress,
        with_digest=digest,
    )
    return replay.run()


class _Wanted(NamedTuple):
    """Which frames are played."""

    start: int | None
    end: int | None
    channels: frozenset[str] | None
    instruments: frozenset[str] | None

    @property
    def is_filtered(self) -> bool:
        return not (self.channels is self.instruments is None)

    def shows(self, book: Book) -> bool:
        """Tell whether a book is kept up by what is played."""
        return (self.channels is None or book.channel in self.channels) and (
            self.instruments is None or book.instrument in self.instruments
        )


class _Replay:
    """One run of `play`: its state, so that the loops can be small."""

    def __init__(
        self,
        capture: Capture,
        strategy: object | None,
        speed: Speed,
        wanted: _Wanted,
        *,
        number: type,
        max_gap: int | None,
        on_progress: Callable[[Progress], object] | None,
        with_digest: bool,
    ) -> None:
        self.capture = capture
        self.speed = speed
        self.wanted = wanted
        self.number = number
        self.on_progress = on_progress
        self.types: dict[type[Event], int] = {}
        self.handler: Handler = self._count if strategy is None else handler_of(strategy)
        self.report = ReadReport()
        self.frames = 0
        self.events = 0
        self.input = FrameDigest() if with_digest else None
        self.output = EventDigest() if with_digest else None
        self.pacer = Pacer(speed, max_gap=max_gap, sleep=self._nap)
        self.judge: Interpreter | None = None
        self.context = PlayContext(Books())
        self._last: Frame | None = None
        self._shown = 0

    def run(self) -> PlayReport:
        """Play all of it."""
        began = monotonic_ns()
        achieved: float | None = None
        chunks = self._chunks()
        first = next(chunks, None)
        if first is not None:
            interpreter = self._interpreter(first[0].seq, self.number)
            self.context = PlayContext(interpreter.books)
            # Digests are of float events; a strategy may be given other numbers.
            self.judge = (
                self._interpreter(first[0].seq, float)
                if self.output is not None and self.number is not float
                else None
            )
            began = monotonic_ns()
            if self.speed is None:
                self.pacer.schedule.due(first[0], began)
            with _rare_collections():
                self._play(first, interpreter)
                for chunk in chunks:
                    self._play(chunk, interpreter)
            achieved = self.pacer.achieved_speed()
        return PlayReport(
            frames=self.frames,
            events=self.events,
            seconds=(monotonic_ns() - began) / NS_PER_SECOND,
            requested_speed="max" if self.speed is None else float(self.speed),
            achieved_speed=achieved,
            max_lag_ms=self.pacer.schedule.max_lag / NS_PER_MS,
            input_digest=None if self.input is None else self.input.hexdigest(),
            output_digest=None if self.output is None else self.output.hexdigest(),
            types={kind.__name__: self.types[kind] for kind in EVENT_TYPES if kind in self.types},
            lost_rows=self.report.lost_rows,
            torn_tail=self.report.torn_tail,
            problems=self.report.problems,
        )

    def _interpreter(self, seq: int, number: type) -> Interpreter:
        """Return the interpreter before a frame, showing only the books that are played."""
        interpreter = self.capture.interpreter_before(seq, number, report=ReadReport())
        for book in list(interpreter.books):
            if not self.wanted.shows(book):
                # It would stand still from here on: better no book than a stale one.
                interpreter.books.remove(book)
        return interpreter

    def _chunks(self) -> Iterator[list[Frame]]:
        """Yield the frames that the interpreter must see, some thousand at a time."""
        wanted = self.wanted
        start, end = wanted.start, wanted.end
        if not wanted.is_filtered:
            for batch in self.capture.batches(start=start, end=end, report=self.report):
                yield list(batch.frames())
            return
        played = self.capture.frames(
            start=start,
            end=end,
            channels=wanted.channels,
            instruments=wanted.instruments,
            kinds=_MESSAGES,
            report=self.report,
        )
        lifecycle = self.capture.frames(start=start, end=end, kinds=_LIFECYCLE, report=ReadReport())
        frames = merge(played, lifecycle, key=attrgetter("seq"))
        while chunk := list(islice(frames, _CHUNK)):
            yield chunk

    def _play(self, chunk: list[Frame], interpreter: Interpreter) -> None:
        if self.speed is not None or self.wanted.is_filtered:
            self._play_each(chunk, interpreter)
        elif self.output is None:
            self._play_all(chunk, interpreter)
        else:
            self._play_digesting(chunk, interpreter)
        if self.judge is not None:
            self._judge(chunk, self.judge)
        self._last = chunk[-1]
        self._show(monotonic_ns())

    def _play_all(self, chunk: list[Frame], interpreter: Interpreter) -> None:
        """Play at max, unfiltered, without digests: nothing in the loop but what must be."""
        step, handler, context = interpreter.step, self.handler, self.context
        advance = context.clock.advance
        event: Event | None = None
        count = 0
        try:
            for frame in chunk:
                advance(frame.ts_recv)
                events = step(frame)
                count += len(events)
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        self.frames += len(chunk)
        self.events += count
        self._account(chunk)

    def _play_digesting(self, chunk: list[Frame], interpreter: Interpreter) -> None:
        """Play at max, unfiltered, with digests."""
        step, handler, context = interpreter.step, self.handler, self.context
        advance = context.clock.advance
        event: Event | None = None
        delivered: list[Event] = []
        try:
            for frame in chunk:
                advance(frame.ts_recv)
                events = step(frame)
                delivered += events
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        self.frames += len(chunk)
        self.events += len(delivered)
        self._digest(chunk, delivered)
        self._account(chunk)

    def _play_each(self, chunk: list[Frame], interpreter: Interpreter) -> None:
        """Play at a speed, or filtered: frame by frame."""
        step, handler, context = interpreter.step, self.handler, self.context
        advance = context.clock.advance
        event: Event | None = None
        wait = self.pacer.wait if self.speed is not None else None
        is_filtered = self.wanted.is_filtered
        has_progress = self.on_progress is not None
        played: list[Frame] = []
        delivered: list[Event] = []
        try:
            for frame in chunk:
                if wait is not None:
                    wait(frame)
                    if has_progress:
                        self._last = frame
                        self._show(monotonic_ns())
                advance(frame.ts_recv)
                events = step(frame)
                if is_filtered and frame.kind not in _MESSAGES:
                    continue
                played.append(frame)
                delivered += events
                self.frames += 1
                self.events += len(events)
                for event in events:
                    handler(event, context)
        except Exception as error:
            _note(error, event)
            raise
        self._digest(played, delivered)
        if wait is None:
            self._account(chunk)

    def _digest(self, frames: list[Frame], events: list[Event]) -> None:
        if self.input is None or self.output is None:
            return
        self.input.update(frames)
        if self.judge is None:
            self.output.update(events)

    def _judge(self, chunk: list[Frame], judge: Interpreter) -> None:
        """Make the output digest where the strategy is given other numbers than it is made of."""
        if self.output is None:
            return
        is_filtered = self.wanted.is_filtered
        for frame in chunk:
            events = judge.step(frame)
            if not is_filtered or frame.kind in _MESSAGES:
                self.output.update(events)

    def _account(self, chunk: list[Frame]) -> None:
        """Let the schedule of a replay at max know how much data time has passed."""
        schedule, now = self.pacer.schedule, monotonic_ns()
        first, last = self._last or chunk[0], chunk[-1]
        mono, wall = last.ts_mono - first.ts_mono, last.ts_recv - first.ts_recv
        # Where both clocks agree it does not matter whether a run began in between.
        passed = [last] if self._last and abs(mono - wall) < 100 * NS_PER_MS else chunk
        for frame in passed:
            schedule.due(frame, now)
        schedule.sent(now)

    def _count(self, event: Event, _context: object) -> None:
        kind = type(event)
        self.types[kind] = self.types.get(kind, 0) + 1

    def _nap(self, seconds: float) -> None:
        """Sleep, but not longer than a person waits for a sign of life."""
        sleep(min(seconds, _PROGRESS_NS / NS_PER_SECOND))
        self._show(monotonic_ns())

    def _show(self, now: int) -> None:
        if self.on_progress is None or now - self._shown < _PROGRESS_NS or self._last is None:
            return
        self._shown = now
        self.on_progress(
            Progress(
                self._last.seq,
                self._last.ts_recv + self.pacer.schedule.waited(now),
                self.frames,
                self.events,
                self.pacer.schedule.achieved_speed(now),
            )
        )


def _note(error: Exception, event: Event | None) -> None:
    if event is not None:
        error.add_note(f"{NOTE} {type(event).__name__} at seq {event.seq}, index {event.index}")


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often; events hold no cycles and are many."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
