"""Runner: one sink in a thread of its own, behind a bounded queue.

Responsible for choosing what the sink wants, for batches, for trying again later and later, and for
what is counted. Refuses to lose anything: where the queue is full, whoever feeds it waits (a reader
of a capture, never a recorder), and where the sink itself went back, the feeder begins there anew.
Reads no clock of its own: it is given one.

Theory of operation. `put` hands records over together with the position behind them; the thread
takes at most a batch of them and keeps it in hand until the sink has it. After a failure the sink
is closed and opened again, which says where it stands: behind the batch (the failure came after
it was kept), before it (it was not), or earlier than it once told (its data was taken away).
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from recorder.book import Books
from recorder.errors import RecorderError, SinkDown, SinkRefused
from recorder.event import BookUpdate, Event
from recorder.sinks import BookTop, Position, Record, Sink, top_of
from recorder.sinks.counts import Counts as Counts

QUEUE_BATCHES = 4
"""Batches that may wait; with the one in hand, what a sink may hold in memory."""

INDEX_MAX = 2**31 - 1
"""Behind every event of a frame."""

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.25, 30.0
_REFUSED_DELAY_S = 60.0
_IDLE_S = 5.0
"""A position alone, with nothing wanted before it, is kept so often."""


class Runner:
    """One sink and its thread. `open`, `put`, `finish` belong to whoever feeds it.

    Args:
        sink: what is run. capture: tells captures apart, see `Sink.open`.
        monotonic: a clock, seconds. tell: told one sentence when a person should know something.
        scrub: takes what is secret out of a sentence.
        patience: give up when nothing has succeeded for so many seconds; None: never.

    Attributes:
        counts: how it is doing.
        is_partial: parts of a capture are put, out of turn: positions stay where they are.
    """

    def __init__(
        self,
        sink: Sink,
        capture: str,
        *,
        monotonic: Callable[[], float],
        tell: Callable[[str], None],
        scrub: Callable[[str], str] = lambda words: words,
        patience: float | None = None,
    ) -> None:
        self.counts = Counts()
        self.is_partial = False
        self._sink = sink
        self._capture = capture
        self._monotonic = monotonic
        self._tell = tell
        self._scrub = scrub
        self._patience = patience
        self._wants = sink.wants
        self._wants_tops = sink.wants is not None and BookTop in sink.wants
        self._most = QUEUE_BATCHES * sink.batch_rows
        self._changed = threading.Condition()
        # Under the condition.
        self._queue: deque[Record] = deque()
        self._in_hand = 0
        self._reached: Position | None = None  # behind everything that was put
        self._kept: Position | None = None  # the earliest part, as the sink told, or was told
        self._stands: Sequence[Position | None] = ()
        self._since = 0.0  # when the first of the queue came
        self._is_open = self._is_finishing = self._is_left = False
        self._is_urgent = False  # somebody waits for the rest: no waiting for more
        self._went_back = False
        self._rewinding: tuple[Position | None] | None = None  # what is asked for
        self._failure: RecorderError | None = None
        self._kept_at = self._well_at = monotonic()
        self._thread = threading.Thread(target=self._run, name="recorder-sink", daemon=True)
        self._thread.start()

    # --- whoever feeds it --------------------------------------------------------------------

    def open(self) -> Sequence[Position | None]:
        """Wait until the sink is open; return where its parts stand, to go on behind the earliest.

        Raises:
            SinkDown, SinkRefused: it gave up, or was left meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self._is_over)
            self.check()
            self._went_back = False
            return self._stands

    def chosen(self, events: Iterable[Event], books: Books, into: list[Record]) -> None:
        """Add what the sink wants of one frame's events; `books` have just seen them."""
        wants = self._wants
        if wants is None:
            into.extend(events)
            return
        for event in events:
            if type(event) in wants:
                into.append(event)
            if self._wants_tops and type(event) is BookUpdate:
                into.append(top_of(event, books))

    def put(self, records: Sequence[Record], reached: Position) -> bool:
        """Hand records over and the position behind them; wait where the queue is full.

        Returns False where the sink went back and nothing was taken: ask `open` where to go on.

        Raises:
            SinkDown, SinkRefused: it gave up, or was left.
        """
        with self._changed:
            while not self._is_free():
                self._changed.wait(1.0)
            self.check()
            if self._went_back:
                return False
            if records:
                if not self._queue:
                    self._since = self._monotonic()
                self._queue.extend(records)
                self.counts.waiting = len(self._queue) + self._in_hand
                if len(records) == len(self._queue) or len(self._queue) >= self._sink.batch_rows:
                    self._changed.notify_all()
            self._reached = reached
            return True

    def rewind(self, position: Position | None) -> None:
        """Have the sink forget what came after a position; see `Sink.rewind`. Nothing waits."""
        with self._changed:
            self._rewinding = (position,)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._rewinding is None or self._is_over)
            self.check()

    def settle(self) -> bool:
        """Wait until the sink has everything that was put; False: it went back, as of `put`.

        Raises:
            SinkDown, SinkRefused: it gave up, or was left.
        """
        with self._changed:
            self._is_urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_over or self._went_back or self._has_all)
            self._is_urgent = False
            self.check()
            return not self._went_back

    def finish(self, seconds: float | None = None) -> bool:
        """Wait until the sink has everything, and end it; tell whether it has.

        Args:
            seconds: wait no longer than this; then leave it, its thread does not keep the process
                alive.

        Raises:
            SinkDown, SinkRefused: it gave up.
        """
        with self._changed:
            self._is_finishing = self._is_urgent = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self.leave()
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive() and not self._went_back and self._has_all

    def leave(self) -> None:
        """Give up what waits: `open` and `put` raise, and the thread ends when it can."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()

    def check(self) -> None:
        """Look whether it still goes on; for a feeder that has nothing to put.

        Raises:
            SinkDown, SinkRefused: it gave up, or was left.
        """
        if self._failure is not None:
            raise self._failure
        if self._is_left:
            raise SinkDown("expected the sink to go on, but it was left")

    @property
    def _is_over(self) -> bool:
        return self._is_left or self._failure is not None

    @property
    def _has_all(self) -> bool:
        if self._queue or self._in_hand:
            return False
        return self._reached is None or self._kept == self._reached

    def _is_free(self) -> bool:
        return self._went_back or self._is_over or len(self._queue) < self._most

    # --- its thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._open()
            while (batch := self._next_batch()) is not None:
                self._keep(*batch)
                self._go_back()
        finally:
            with suppress(Exception):
                self._sink.close()
            with self._changed:
                self._is_left = True
                self._changed.notify_all()
                self.counts.state = "ended"

    def _next_batch(self) -> tuple[list[Record], Position | None] | None:
        """Wait for a batch; None at the end."""
        with self._changed:
            while True:
                if self._is_over:
                    return None
                if self._rewinding is not None:
                    return [], self._kept
                size, now = len(self._queue), self._monotonic()
                if self._went_back:
                    if self._is_finishing:
                        return None
                    self._changed.wait(1.0)
                    continue
                if size >= self._sink.batch_rows or (size and self._is_urgent):
                    break
                behind = self._reached is not None and self._reached != self._kept
                due = self._since + self._sink.batch_seconds if size else self._kept_at + _IDLE_S
                if (size or behind) and (now >= due or self._is_urgent):
                    break
                if self._is_finishing:
                    return None
                self._changed.wait(max(due - now, 0.001) if size or behind else _IDLE_S)
            batch = [self._queue.popleft() for _ in range(min(size, self._sink.batch_rows))]
            self._in_hand = len(batch)
            self._since = self._monotonic()
            position = self._reached
            if self._queue:
                last = batch[-1]
                position = Position(last.seq, last.index, last.ts_recv)
            self._changed.notify_all()
            return batch, position

    def _keep(self, batch: list[Record], position: Position | None) -> None:
        """Have the sink keep a batch, however often that must be tried."""
        while not (self._is_over or self._went_back or self._rewinding is not None):
            try:
                began = self._monotonic()
                self._sink.write(batch, None if self.is_partial else position)
            except Exception as error:  # noqa: BLE001  # whatever a sink raises, it is tried again
                self._failed(error)
                if self._open():
                    break  # not `_went_back`: the feeder may have begun anew by now
                if (kept := self._kept) is not None:
                    batch = [item for item in batch if not kept.has(item.seq, item.index)]
                    if position is not None and kept.has(position.seq, position.index):
                        position = kept
                continue
            self._done(len(batch), position, began)
            return
        with self._changed:
            self._in_hand = 0

    def _go_back(self) -> None:
        """Have the sink forget what it was asked to, however often that must be tried."""
        while self._rewinding is not None and not self._is_over:
            try:
                self._sink.rewind(self._rewinding[0])
            except Exception as error:  # noqa: BLE001  # as in `_keep`
                self._failed(error)
                self._open()
                continue
            with self._changed:
                self._stand(None)
            self._sink.close()
            self._open()  # it knows best where it stands now
            with self._changed:
                self._rewinding = None
                self._changed.notify_all()

    def _done(self, count: int, position: Position | None, began: float) -> None:
        now = self._monotonic()
        with self._changed:
            self._in_hand = 0
            self._kept_at = self._well_at = now
            counts = self.counts
            counts.records += count
            counts.batches += 1
            counts.seconds += now - began
            counts.waiting = len(self._queue)
            counts.refused = self._sink.refused
            self._stand(position)
            self._changed.notify_all()
        self._recovered()

    def _open(self) -> bool:
        """Open the sink, however often that must be tried; tell whether it went back."""
        delay = _FIRST_DELAY_S
        while True:
            with self._changed:
                if self._is_over:
                    return False
            try:
                stands = self._sink.open(self._capture)
            except Exception as error:  # noqa: BLE001  # as in `_keep`
                self._failed(error)
                with self._changed:
                    wait = _REFUSED_DELAY_S if self.counts.state == "refused" else delay
                    self._changed.wait_for(lambda: self._is_over, wait)
                delay = min(2 * delay, _LONGEST_DELAY_S)
                continue
            break
        went_back = False
        with self._changed:
            first = earliest(stands)
            if self._is_open and not self.is_partial:  # not the first time
                told = self._kept
                if told is not None and (first is None or not first.has(told.seq, told.index)):
                    self._went_back = went_back = True
                    self._queue.clear()
                    self._reached = None
            self._is_open = True
            self._stands = stands
            self._stand(first)
            self._changed.notify_all()
        self._recovered()
        return went_back

    def _stand(self, position: Position | None) -> None:
        self._kept = position
        self.counts.seq = None if position is None else position.seq
        self.counts.index = None if position is None else position.index

    def _recovered(self) -> None:
        was = self.counts.state
        self.counts.state, self.counts.error = "ready", None
        if was in ("down", "refused"):
            self._tell("goes on")

    def _failed(self, error: Exception) -> None:
        """Count and tell a failure, once per outage, and close what is left of the sink."""
        with suppress(Exception):
            self._sink.close()
        words = self._scrub(_words_of(error))
        is_refusal = isinstance(error, SinkRefused)
        state, now = "refused" if is_refusal else "down", self._monotonic()
        with self._changed:
            counts = self.counts
            counts.failures += 1
            is_news = counts.state != state or counts.error != words
            was_well = counts.state in ("ready", "opening")
            counts.state, counts.error = state, words
            counts.refused = self._sink.refused
            if self._patience is not None and (
                is_refusal or now - self._well_at >= self._patience or not self._is_open
            ):
                self._failure = (SinkRefused if is_refusal else SinkDown)(words)
                self._changed.notify_all()
                return
        if was_well or is_news:
            self._tell(f"warning: {words}")


def earliest(stands: Sequence[Position | None]) -> Position | None:
    """Return the earliest of some positions, None where one of them is none."""
    known = [item for item in stands if item is not None]
    if not known or len(known) < len(stands):
        return None
    return min(known, key=lambda item: (item.seq, item.index))


def sentence(name: str, words: str) -> str:
    """Return what a runner tells, with the name of its sink, the word `warning` first."""
    rest = words.removeprefix("warning: ")
    return f"sink {name}: {words}" if rest == words else f"warning: sink {name}: {rest}"


def _words_of(error: Exception) -> str:
    if isinstance(error, RecorderError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"it raised {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
