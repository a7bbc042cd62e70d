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
from time import monotonic_ns, sleep

from recorder.book import Books
from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.reader import Capture, ReadReport, names_to_keep
from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.errors import UsageError
from recorder.event import EVENT_TYPES, Event
from recorder.frame import Frame
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Handler, handler_of
from replay.context import PlayContext
from replay.controls import Controls
from replay.feed import MESSAGES, Wanted, chunks, interpreter_before
from replay.pace import Pace, parse_pace
from replay.pacer import Pacer
from replay.play_report import PlayReport as PlayReport
from replay.play_report import Progress as Progress
from replay.steering import Steering

NOTE = "raised by the strategy for"
"""How the note on an exception of a strategy begins; the event's type, seq and index follow."""

_PROGRESS_NS = 100 * NS_PER_MS


def play(
    capture: Capture | str | os.PathLike[str],
    strategy: object | None = None,
    *,
    speed: str | float | Fraction | Pace | None = "max",
    start: int | None = None,
    end: int | None = None,
    channels: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    digest: bool = False,
    number: type = float,
    max_gap: int | None = None,
    loop: int | None = 1,
    controls: Controls | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> PlayReport:
    """Play a capture into a strategy, synchronously; return what was played.

    Args:
        capture: a `Capture` or its path.
        strategy: a callable `(event, context)` or an object with `on_event`; None counts only.
        speed: `max`, data seconds per second (`1`, `10`, `0.5`), frames per second (`5000/s`), or
            `step`: stand still, and go on frame by frame as `controls` says.
        start, end: window of `ts_recv`, ns, as in `Capture.frames`; the books are right from the
            first event on.
        channels, instruments: play only their frames; rows without one are then not played, but
            still reach the interpreter, and `context.books` holds only what is played.
        digest: make the input and the output digest.
        number: float, Decimal or str: what prices and sizes are.
        max_gap: longest pause between two runs of a recorder, ns of data time.
        loop: play it so many times; None: until stopped. Each time begins with the state and the
            clock of the first.
        controls: pause, step, seek and so on while it runs; see `replay.controls`.
        on_progress: called about ten times a second.

    Raises:
        NotACapture: there is none at this path.
        UsageError: an option that cannot be.
        Exception: whatever the strategy raises, with a note of the event in hand.
    """
    if not isinstance(capture, Capture):
        capture = Capture(capture)
    pace = parse_pace(speed)
    if pace.stepwise and controls is None:
        raise UsageError("expected controls to step with, received none; give controls=Controls()")
    if loop is not None and loop < 1:
        raise UsageError(f"expected to play at least once, received loop={loop}")
    wanted = Wanted(
        start,
        end,
        names_to_keep(channels, "channels"),
        names_to_keep(instruments, "instruments"),
    )
    replay = _Replay(
        capture,
        strategy,
        pace,
        wanted,
        number=number,
        max_gap=max_gap,
        loop=loop,
        controls=controls,
        on_progress=on_progress,
        with_digest=digest,
    )
    return replay.run()


class _Replay:
    """One run of `play`: its state, so that the loops can be small."""

    def __init__(
        self,
        capture: Capture,
        strategy: object | None,
        pace: Pace,
        wanted: Wanted,
        *,
        number: type,
        max_gap: int | None,
        loop: int | None,
        controls: Controls | None,
        on_progress: Callable[[Progress], object] | None,
        with_digest: bool,
    ) -> None:
        self.capture = capture
        self.pace = pace
        self.wanted = wanted
        self.number = number
        self.on_progress = on_progress
        self.types: dict[type[Event], int] = {}
        self.handler: Handler = self._count if strategy is None else handler_of(strategy)
        self.report = ReadReport()
        self.frames = 0
        self.events = 0
        self.with_digest = with_digest
        self.input: FrameDigest | None = None
        self.output: EventDigest | None = None
        self.pacer = Pacer(pace.speed, max_gap=max_gap, rate=pace.rate, sleep=self._nap)
        self.steering: Steering | None = None
        if controls is not None:
            self.steering = Steering(controls, self.pacer.schedule, show=self._show)
            if pace.stepwise:
                self.steering.stand_still()
        self.judge: Interpreter | None = None
        self.context = PlayContext(Books())
        self._times_left = loop
        self._restarts = -1
        self._last: Frame | None = None
        self._next: Frame | None = None  # the first one of all, or after a seek
        self._shown = 0

    def run(self) -> PlayReport:
        """Play all of it, as often as asked for, from wherever it is sent."""
        began = monotonic_ns()
        start = self.wanted.start
        with _rare_collections():
            while True:
                played = self._play_from(start)
                if self.steering is not None:
                    if self.steering.is_stopped:
                        break
                    target = self.steering.take_target()
                    if target is not None:
                        start = max(target, self.wanted.start or target)
                        continue
                if self._times_left is not None:
                    self._times_left -= 1
                if not played or self._times_left == 0:
                    break
                start = self.wanted.start
        return PlayReport(
            frames=self.frames,
            events=self.events,
            seconds=(monotonic_ns() - began) / NS_PER_SECOND,
            requested_speed=self.pace.label,
            achieved_speed=self.pacer.achieved_speed(),
            max_lag_ms=self.pacer.schedule.max_lag / NS_PER_MS,
            input_digest=None if self.input is None else self.input.hexdigest(),
            output_digest=None if self.output is None else self.output.hexdigest(),
            types={kind.__name__: self.types[kind] for kind in EVENT_TYPES if kind in self.types},
            restarts=max(self._restarts, 0),
            lost_rows=self.report.lost_rows,
            torn_tail=self.report.torn_tail,
            problems=self.report.problems,
        )

    def _play_from(self, start: int | None) -> bool:
        """Play from a time on, until the end or until sent elsewhere; tell whether any was there.

        The digests are of what was played since the last such beginning.
        """
        wanted = self.wanted._replace(start=start)
        if self.with_digest:
            self.input, self.output = FrameDigest(), EventDigest()
        report = self.report = ReadReport()
        stream = chunks(self.capture, wanted, report)
        first = next(stream, None)
        if first is None:
            return False
        self._restarts += 1
        interpreter = interpreter_before(self.capture, first[0].seq, wanted, self.number)
        self.context = PlayContext(interpreter.books, self._restarts)
        # Digests are of float events; a strategy may be given other numbers.
        self.judge = (
            interpreter_before(self.capture, first[0].seq, wanted, float)
            if self.output is not None and self.number is not float
            else None
        )
        self._last, self._next = None, first[0]
        self.pacer.schedule.seek()
        if self.pace.speed is None:
            self.pacer.schedule.due(first[0], monotonic_ns())
        self._play(first, interpreter)
        for chunk in stream:
            if self.steering is not None and self.steering.is_leaving:
                break
            self._play(chunk, interpreter)
        return True

    def _play(self, chunk: list[Frame], interpreter: Interpreter) -> None:
        is_paced = self.pace.speed is not None or self.steering is not None
        if is_paced or self.wanted.is_filtered:
            chunk = chunk[: self._play_each(chunk, interpreter)]
            if not chunk:
                return
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

    def _play_each(self, chunk: list[Frame], interpreter: Interpreter) -> int:
        """Play at a speed, steered or filtered: frame by frame; return how many were seen."""
        seen = 0
        step, handler, context = interpreter.step, self.handler, self.context
        advance = context.clock.advance
        event: Event | None = None
        wait = self.pacer.wait if self.pace.speed is not None else None
        await_turn = None if self.steering is None else self.steering.await_turn
        is_filtered = self.wanted.is_filtered
        has_progress = self.on_progress is not None
        played: list[Frame] = []
        delivered: list[Event] = []
        try:
            for frame in chunk:
                if await_turn is not None:
                    if not await_turn(frame):
                        break
                elif wait is not None:
                    wait(frame)
                seen += 1
                if has_progress:
                    self._last = frame
                    self._show(monotonic_ns())
                advance(frame.ts_recv)
                events = step(frame)
                if is_filtered and frame.kind not in MESSAGES:
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
        if wait is None and await_turn is None:
            self._account(chunk)
        return seen

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
            if not is_filtered or frame.kind in MESSAGES:
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
        frame = self._last or self._next
        if self.on_progress is None or now - self._shown < _PROGRESS_NS or frame is None:
            return
        self._shown = now
        schedule = self.pacer.schedule
        self.on_progress(
            Progress(
                frame.seq,
                frame.ts_recv + schedule.waited(now),
                self.frames,
                self.events,
                schedule.achieved_speed(now),
                is_paused=schedule.is_paused,
                speed=schedule.speed,
                lag=schedule.lag,
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
