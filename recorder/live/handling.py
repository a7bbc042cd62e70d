"""Handling: one strategy on live frames, on the code path it is replayed on.

Responsible for the handler's own interpreter, so that its books are always those of the event in
hand and what it sees is what a replay gives; for its data time and timers; and for its mistakes,
which are counted and told. Refuses to choose the thread it runs in and to wait for frames.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence

from recorder.book import Books
from recorder.clock import DataClock
from recorder.event import Event
from recorder.frame import Frame
from recorder.live.lane import TOLD_MAX, Item, Lane, Resume
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Adapted, Context
from recorder.timers import Timers
from recorder.trading import Watching


class HandlerContext(Watching):
    """What a handler is given beside the event; see `recorder.strategy.Context`.

    Attributes:
        restarts: 0: unlike a replay, what is live never begins anew.
    """

    restarts = 0
    __slots__ = ("_clock", "_handling", "after", "at", "every", "timers")

    def __init__(self, clock: DataClock, handling: Handling, timers: Timers) -> None:
        self._clock = clock
        self._handling = handling
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
        return self._handling.books


class Handling:
    """A strategy and all the state it needs; every call is made from one thread or task.

    Args:
        strategy: its exceptions are counted and told, through the words of the lane.
        state: of an interpreter, to go on from; None: from the very beginning.
        goes_on: what an exception does not end, in words.

    Attributes:
        errors: exceptions it raised.
    """

    def __init__(
        self,
        strategy: Adapted,
        lane: Lane,
        *,
        state: bytes | None = None,
        goes_on: str = "recording goes on",
    ) -> None:
        self.errors = 0
        self._goes_on = goes_on
        self._strategy = strategy
        self._handler = strategy.handle
        self._lane = lane
        self._has_begun = False
        self._interpreter = Interpreter() if state is None else Interpreter.restore(state)
        self._clock = DataClock()
        self._timers = Timers(self._clock)
        self._context = HandlerContext(self._clock, self, self._timers)

    @property
    def books(self) -> Books:
        """The handler's books."""
        return self._interpreter.books

    def events_of(self, item: Item) -> Iterator[Event]:
        """Give the events of an item, each when state, data time and timers have got there."""
        if isinstance(item, Resume):
            self._pass_time(item.lost.ts_recv)  # with the books of the time before
            if item.state is not None:
                self._interpreter = Interpreter.restore(item.state)
            yield item.lost
            return
        for frame in item:
            yield from self._events_of(frame)
            self._lane.took(frame)

    def call(self, event: Event) -> object:
        """Call the strategy with an event; return what it returned, None where it raised."""
        try:
            return self._handler(event, self._context)
        except BaseException as error:  # noqa: BLE001  # also SystemExit: it ends nothing here
            self.tell(error, f"at seq {event.seq}")
            return None

    def stop(self) -> None:
        """Tell the strategy that there was the last event."""
        if self._has_begun:
            self._guard(self._strategy.stop, "at its stop")

    def tell(self, error: BaseException, when: str) -> None:
        """Count an exception of the strategy, and tell of the first ones."""
        self.errors += 1
        if self.errors <= TOLD_MAX:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._lane.words.append(
                f"warning: a handler raised {type(error).__name__}: {error} "
                f"({where.filename}:{where.lineno}) {when}; {self._goes_on}"
            )

    def _events_of(self, frame: Frame) -> Sequence[Event]:
        ts_recv = frame.ts_recv
        if not self._has_begun:
            self._has_begun = True
            self._clock.advance(ts_recv)
            self._guard(self._strategy.start, "at its start")
        self._pass_time(ts_recv)
        return self._interpreter.step(frame)

    def _pass_time(self, ts_recv: int) -> None:
        """Move data time on; timers that were due until then fire first, as in a replay."""
        while ts_recv >= self._timers.due:
            try:
                self._timers.fire(ts_recv, self._context)
            except BaseException as error:  # noqa: BLE001  # as of the handler itself
                self.tell(error, "in a timer")
        self._clock.advance(ts_recv)

    def _guard(self, hook: Callable[[Context], object], when: str) -> None:
        try:
            hook(self._context)
        except BaseException as error:  # noqa: BLE001  # as of the handler itself
            self.tell(error, when)
