"""Timers: what a strategy wants done at a time, in data time.

Responsible for their order and for firing each of them exactly once between two frames. Refuses to
read a clock: time passes when the next frame comes, and only as far as that frame.

The rule. Before a frame is handed over, every timer due at or before its `ts_recv` fires, by due
time, equal ones in the order of their setting; the clock then reads the time the timer was due,
and the books are as before the frame. So a timer due at exactly the frame's time fires before it.
Timers set meanwhile take part. What is due after the last frame never fires. All of it depends on
frames alone, so it is the same at every speed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from recorder.clock import DataClock, format_time
from recorder.errors import UsageError

NEVER = 1 << 63
_AT_ONCE = -NEVER

Call = Callable[[Any], object]
"""What a timer does; it is given the context."""

Listener = Callable[["Timer", Any], object]
"""What is told of the timers that have no call of their own: a strategy's `on_timer`."""


class Timer:
    """One timer that was set; `cancel()` takes it back.

    Attributes:
        due: when it fires (next), ns of data time. interval: ns, None where it fires once.
    """

    __slots__ = ("call", "due", "interval", "is_cancelled", "listener", "order")

    def __init__(
        self,
        due: int,
        order: int,
        call: Call | None,
        interval: int | None,
        listener: Listener | None = None,
    ) -> None:
        self.due = due
        self.order = order
        self.call = call
        self.interval = interval
        self.listener = listener
        self.is_cancelled = False

    def cancel(self) -> None:
        """Fire no more; nothing happens where it has fired for the last time."""
        self.is_cancelled = True


class Timers:
    """The timers of one passage through a capture.

    Attributes:
        due: no timer fires before this time, ns; the player asks for nothing else per frame.
        fired: how often timers fired.
        listener: is told of timers that are set without a call; of several strategies on one
            stream, that of the one in hand.
    """

    __slots__ = ("_clock", "_heap", "_set", "due", "fired", "listener")

    def __init__(self, clock: DataClock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Timer]] = []
        self._set = 0
        self.due = NEVER
        self.fired = 0
        self.listener: Listener | None = None

    @property
    def left(self) -> int:
        """How many timers wait to fire."""
        return sum(not timer.is_cancelled for _, _, timer in self._heap)

    def at(self, time: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, at a time, ns; one that has passed: before the next frame.

        Without a call, the strategy's `on_timer(timer, context)`; so with `after` and `every`.
        """
        return self.set(time, call)

    def after(self, delay: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, `delay` ns from now."""
        return self.set(self._clock.now() + delay, call)

    def every(self, interval: int, call: Call | None = None, *, start: int | None = None) -> Timer:
        """Call `call(context)` every `interval` ns, first at `start`, else an interval from now."""
        first = self._clock.now() + interval if start is None else start
        return self.set(first, call, interval)

    def set(self, due: int, call: Call | None, interval: int | None = None) -> Timer:
        """Set a timer; one due in the past fires before the next frame.

        Raises:
            UsageError: an interval that is not above 0, a time that is no integer, or no call
                where no strategy has `on_timer`.
        """
        for what, value in (("a time", due), ("an interval", 1 if interval is None else interval)):
            if type(value) is not int:
                raise UsageError(
                    f"expected {what} in integer ns, received {value!r}; a second is 1_000_000_000"
                )
        if interval is not None and interval <= 0:
            raise UsageError(f"expected an interval above 0 ns, received {interval}")
        if call is None and self.listener is None:
            raise UsageError(
                "expected a timer with a call, or a strategy with on_timer(timer, context), "
                "received neither; give context.at(time, call)"
            )
        now = self._clock.now()
        timer = Timer(max(due, now), self._set, call, interval, self.listener)
        self._set += 1
        heappush(self._heap, (timer.due, timer.order, timer))
        # Frames may be stamped before `now` (the clock of the recording stepped back).
        self.due = _AT_ONCE if timer.due <= now else min(self.due, timer.due)
        return timer

    def fire(self, ts_recv: int, context: object) -> None:
        """Fire what is due before a frame received at `ts_recv`, ns."""
        clock, heap = self._clock, self._heap
        until = max(ts_recv, clock.now())
        while heap and heap[0][0] <= until:
            due, order, timer = heappop(heap)
            if timer.is_cancelled:
                continue
            clock.advance(due)
            if timer.interval is not None:
                timer.due = due + timer.interval
                heappush(heap, (timer.due, order, timer))
            self.fired += 1
            listener = self.listener = timer.listener
            try:
                if timer.call is not None:
                    timer.call(context)
                elif listener is not None:
                    listener(timer, context)
            except Exception as error:
                error.add_note(f"{TIMER_NOTE} due at {format_time(due)}")
                raise
        self.due = heap[0][0] if heap else NEVER


TIMER_NOTE = "raised by the strategy for the timer"
"""How the note on an exception of a timer begins."""
