"""Delivery: events to a handler, in a thread of its own, behind a bounded queue of frames.

Responsible for the handler's own interpreter, so that its books are always those of the event in
hand and what it sees is what a replay gives; for what it misses when it is too slow; and for
ending without waiting for it for ever. Refuses to touch the capture, the sockets or the live
interpreter: whatever a handler does, recording goes on.

Theory of operation. The event loop offers every batch of frames before it interprets it. While the
queue has room they go in. When it has none, an episode of loss begins: frames are dropped for the
handler only, until most of the queue is worked off. Then one item stands for all of them: the
`Lost` event, and the state of the live interpreter at that very frame, from which the handler's
own goes on. Nothing else passes between the two threads but counters that one of them writes.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

import msgspec

from recorder.book import Books
from recorder.clock import NS_PER_SECOND, DataClock
from recorder.event import Event, Lost
from recorder.frame import NO_CONNECTION, Frame
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Context, Handler, adapt
from recorder.timers import Timers

QUEUE_BYTES = 64 << 20
"""Memory of the frames that may wait for a handler; the writer shares most of it."""

DRAIN_SECONDS = 10.0
"""How long the end of a recording waits for a handler to see the last frames."""

CAUSE = "handler too slow"

_FRAME_BYTES = 208  # a frame beside its payload's bytes
_RESUME_SHARE = 8  # an episode ends when only this part of the queue is still full
_RESUME_SPACING = 1 * NS_PER_SECOND
_SAVING_SHARE = 50  # saving the state of many books takes tens of ms: at most this part of the time
_SWITCH_SECONDS = 0.0005
_TOLD_MAX = 5


class HandlerContext:
    """What a handler is given beside the event; see `recorder.strategy.Context`.

    Attributes:
        restarts: 0: unlike a replay, what is live never begins anew.
    """

    restarts = 0
    __slots__ = ("_clock", "_delivery", "after", "at", "every", "timers")

    def __init__(self, clock: DataClock, delivery: Delivery, timers: Timers) -> None:
        self._clock = clock
        self._delivery = delivery
        self.timers = timers
        self.at = timers.at
        self.after = timers.after
        self.every = timers.every

    @property
    def clock(self) -> DataClock:
        """The `ts_recv` of the frame in hand."""
        return self._clock

    @property
    def books(self) -> Books:
        """Every order book at the event in hand; another object after a `Lost`."""
        return self._delivery.books


class _Episode(msgspec.Struct):
    """What a handler misses."""

    first_seq: int
    last_seq: int = 0
    ts_recv: int = 0
    count: int = 0
    bytes: int = 0

    def add(self, frames: Sequence[Frame]) -> None:
        self.last_seq, self.ts_recv = frames[-1].seq, frames[-1].ts_recv
        self.count += len(frames)
        self.bytes += sum(len(frame.payload) for frame in frames)


class _Resume(msgspec.Struct, frozen=True):
    """An episode that is over, and the interpreter's state after it; None at the end."""

    lost: Lost
    state: bytes | None


class Delivery:
    """One handler and its thread. `offer` and `finish` belong to the event loop.

    Args:
        handler: called with each event and a context; exceptions are counted and told.
        queue_bytes: memory of the frames that may wait.

    Attributes:
        errors: exceptions the handler raised. lost: frames it did not and will not see.
    """

    def __init__(self, handler: Handler, *, queue_bytes: int = QUEUE_BYTES) -> None:
        self.errors = 0
        self.lost = 0
        self._strategy = adapt(handler)
        self._handler = self._strategy.handle
        self._has_begun = False
        self._queue_bytes = queue_bytes
        self._queue: SimpleQueue[Sequence[Frame] | _Resume | None] = SimpleQueue()
        self._words: deque[str] = deque(maxlen=2 * _TOLD_MAX)
        # Written by the event loop.
        self._offered_bytes = self._offered = self._episodes = 0
        self._episode: _Episode | None = None
        self._resume_from = 0
        self._is_finished = False
        # Written by the handler's thread, but for `_is_abandoned`.
        self._taken_bytes = self._taken = 0
        self._is_abandoned = self._is_dead = False
        self._interpreter = Interpreter()
        self._clock = DataClock()
        self._timers = Timers(self._clock)
        self._context = HandlerContext(self._clock, self, self._timers)
        self._thread = threading.Thread(target=self._run, name="recorder-handler", daemon=True)
        # The socket reader must not wait 5 ms for the interpreter lock whenever the handler is
        # busy: its stamps would be late by as much.
        self._switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(min(self._switch_seconds, _SWITCH_SECONDS))
        self._thread.start()

    @property
    def books(self) -> Books:
        """The handler's books; for its thread."""
        return self._interpreter.books

    @property
    def waiting_bytes(self) -> int:
        """Memory of the frames offered and not delivered yet."""
        return self._offered_bytes - self._taken_bytes

    def offer(self, frames: Sequence[Frame], live: Interpreter) -> None:
        """Hand frames over, or drop them where there is no room; never blocks.

        Args:
            frames: the next ones, in order.
            live: an interpreter that has seen everything before them, and none of them.
        """
        size = _size_of(frames)
        if self._episode is None:
            if self._has_room(size):
                self._put(frames, size)
                return
            self._begin_episode(frames[0])
        elif self._may_resume():
            began = time.monotonic_ns()
            self._end_episode(live.save())
            ended = time.monotonic_ns()
            self._resume_from = ended + max(_RESUME_SPACING, _SAVING_SHARE * (ended - began))
            self._put(frames, size)
            return
        assert self._episode is not None  # noqa: S101  # narrows for mypy
        self._episode.add(frames)
        self.lost += len(frames)

    def take_words(self) -> list[str]:
        """Return what a person should be told since the last call, one sentence each."""
        words = []
        while self._words:
            words.append(self._words.popleft())
        return words

    def finish(self) -> None:
        """Say that nothing more will be offered; the handler goes on with what waits."""
        if not self._is_finished:
            self._is_finished = True
            if self._episode is not None:
                self._end_episode(None)
            self._queue.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the handler has seen everything, but no longer than this; then leave it.

        A handler that is left goes no further than the event in hand; its thread does not keep
        the process alive.

        Args:
            seconds: None means `DRAIN_SECONDS`.
        """
        seconds = DRAIN_SECONDS if seconds is None else seconds
        self.finish()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)
        sys.setswitchinterval(self._switch_seconds)
        left = self._offered - self._taken
        if self._thread.is_alive():
            self._is_abandoned = True
            self._words.append(
                f"warning: the handler had not seen the last {left} frames {seconds:g} s after the "
                f"end of the recording and is left behind; the capture holds them"
            )
        self.lost += left

    # --- in the event loop -----------------------------------------------------------------

    def _has_room(self, size: int) -> bool:
        waiting = self.waiting_bytes
        return not self._is_dead and (waiting == 0 or waiting + size <= self._queue_bytes)

    def _may_resume(self) -> bool:
        if self._is_dead or self.waiting_bytes > self._queue_bytes // _RESUME_SHARE:
            return False
        return time.monotonic_ns() >= self._resume_from

    def _put(self, frames: Sequence[Frame], size: int) -> None:
        self._offered_bytes += size
        self._offered += len(frames)
        self._queue.put(frames)

    def _begin_episode(self, frame: Frame) -> None:
        self._episode = _Episode(frame.seq)
        self._episodes += 1
        if self._episodes <= _TOLD_MAX and not self._is_dead:
            self._words.append(
                f"warning: the handler is too slow: from seq {frame.seq} on it misses frames until "
                f"it has caught up; the capture holds them"
            )

    def _end_episode(self, state: bytes | None) -> None:
        missed, self._episode = self._episode, None
        if missed is not None:
            lost = Lost(
                missed.last_seq, 0, missed.ts_recv, NO_CONNECTION, missed.first_seq,
                missed.last_seq, missed.count, missed.bytes, CAUSE,
            )  # fmt: skip
            self._queue.put(_Resume(lost, state))

    # --- in the handler's thread -----------------------------------------------------------

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None and not self._is_abandoned:
                if isinstance(item, _Resume):
                    self._resume(item)
                else:
                    for frame in item:
                        if self._is_abandoned:
                            return
                        if not self._has_begun:
                            self._begin(frame.ts_recv)
                        self._deliver(frame)
            if self._has_begun and not self._is_abandoned:
                self._guard(self._strategy.stop, "at its stop")
        except BaseException as error:  # noqa: BLE001  # a fault of ours must not end a recording
            self._is_dead = True
            self._words.append(
                f"warning: events are no longer delivered to the handler "
                f"({type(error).__name__}: {error}); recording goes on"
            )

    def _begin(self, ts_recv: int) -> None:
        self._has_begun = True
        self._clock.advance(ts_recv)
        self._guard(self._strategy.start, "at its start")

    def _guard(self, hook: Callable[[Context], object], when: str) -> None:
        try:
            hook(self._context)
        except BaseException as error:  # noqa: BLE001  # as of the handler itself
            self._tell(error, when)

    def _resume(self, item: _Resume) -> None:
        self._pass_time(item.lost.ts_recv)  # with the books of the time before
        if item.state is not None:
            self._interpreter = Interpreter.restore(item.state)
        self._call(item.lost)

    def _pass_time(self, ts_recv: int) -> None:
        """Move data time on; timers that were due until then fire first, as in a replay."""
        while ts_recv >= self._timers.due:
            try:
                self._timers.fire(ts_recv, self._context)
            except BaseException as error:  # noqa: BLE001  # as of the handler itself
                self._tell(error, "in a timer")
        self._clock.advance(ts_recv)

    def _deliver(self, frame: Frame) -> None:
        self._pass_time(frame.ts_recv)
        for event in self._interpreter.step(frame):
            self._call(event)
        self._taken += 1
        self._taken_bytes += len(frame.payload) + _FRAME_BYTES

    def _call(self, event: Event) -> None:
        try:
            self._handler(event, self._context)
        except BaseException as error:  # noqa: BLE001  # also SystemExit: it ends nothing here
            self._tell(error, f"at seq {event.seq}")

    def _tell(self, error: BaseException, when: str) -> None:
        self.errors += 1
        if self.errors <= _TOLD_MAX:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._words.append(
                f"warning: a handler raised {type(error).__name__}: {error} "
                f"({where.filename}:{where.lineno}) {when}; "
                f"recording goes on"
            )


def _size_of(frames: Sequence[Frame]) -> int:
    return sum(len(frame.payload) for frame in frames) + _FRAME_BYTES * len(frames)
