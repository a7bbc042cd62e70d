"""Callback: a handler that is called with live events, in the event loop or in a thread.

Responsible for when it is called and for ending with it. Refuses to let a handler's mistake or
slowness cost anybody else anything.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable

from recorder.errors import UsageError
from recorder.live.delivery import Delivery
from recorder.live.handling import Handling
from recorder.live.lane import Item, Lane
from recorder.strategy import Adapted, adapt

_SOLACE = "the handler is told so by a Lost"
_GOES_ON = "the client goes on"
_PATIENCE_S = 10.0
_TURN_EVENTS = 64  # so often a handler that is behind lets others run: the sockets, for one


class Callback:
    """One handler of a `Client`.

    Attributes:
        lane: what waits for it.

    Args:
        handler: a strategy, or a coroutine function `(event, context)`.
        state: of an interpreter, to go on from. queue_bytes: memory of the frames that may wait.
        in_thread: in a thread of its own; else in the event loop. on_close: called once.
    """

    def __init__(
        self,
        handler: object,
        *,
        state: bytes,
        queue_bytes: int,
        in_thread: bool,
        on_close: Callable[[Callback], object],
    ) -> None:
        strategy = adapt(handler)
        _refuse_coroutines(handler, in_thread=in_thread)
        self._on_close = on_close
        self._is_closed = False
        self._delivery: Delivery | None = None
        self._task: asyncio.Task[None] | None = None
        if in_thread:
            self._delivery = Delivery(
                strategy, queue_bytes=queue_bytes, state=state, solace=_SOLACE, goes_on=_GOES_ON
            )
            self.lane = self._delivery.lane
            return
        self._items: deque[Item | None] = deque()
        self._arrived = asyncio.Event()
        self.lane = Lane(self._put, queue_bytes=queue_bytes, who="handler", solace=_SOLACE)
        self._handling = Handling(strategy, self.lane, state=state, goes_on=_GOES_ON)
        self._task = asyncio.create_task(self._run())

    @property
    def errors(self) -> int:
        """Exceptions the handler raised."""
        return self._handling.errors if self._delivery is None else self._delivery.errors

    @property
    def lost(self) -> int:
        """Frames it missed, for it was too slow."""
        return self.lane.lost

    @property
    def waiting_bytes(self) -> int:
        """Memory of the frames that wait."""
        return self.lane.waiting_bytes

    def finish(self) -> None:
        """Say that nothing more comes; the handler goes on with what waits."""
        self.lane.finish()

    async def close(self) -> None:
        """End it: nothing more is handed to it than what waits already, its `on_stop` comes last.

        A handler that waits for something is not waited for longer than 10 s; then it is left.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._on_close(self)
        self.finish()
        if self._delivery is not None:
            await asyncio.to_thread(self._delivery.wait)
        elif self._task is not None and self._task is not asyncio.current_task():
            try:
                await asyncio.wait([self._task], timeout=_PATIENCE_S)
            finally:
                self._task.cancel()

    def _put(self, item: Item | None) -> None:
        self._items.append(item)
        self._arrived.set()

    async def _run(self) -> None:
        handling, turn = self._handling, 0
        while True:
            while not self._items:
                self._arrived.clear()
                await self._arrived.wait()
            item = self._items.popleft()
            if item is None:
                handling.stop()
                return
            for event in handling.events_of(item):
                result = handling.call(event)
                turn += 1
                if inspect.isawaitable(result):
                    try:
                        await result
                    except Exception as error:  # noqa: BLE001  # as of the handler itself
                        handling.tell(error, f"at seq {event.seq}")
                elif turn % _TURN_EVENTS == 0:
                    await asyncio.sleep(0)


def _refuse_coroutines(handler: object, *, in_thread: bool) -> None:
    """Refuse coroutine functions where nobody would await them.

    Raises:
        UsageError: the handler has one.
    """
    if isinstance(handler, Adapted):
        return
    plain = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "on_event", None)
    )
    methods = [name for name in dir(handler) if name.startswith("on_")]
    hidden = [
        name
        for name in methods
        if inspect.iscoroutinefunction(getattr(handler, name, None))
        and (name != "on_event" or len(methods) > 1)
    ]
    if (
        hidden
        or (plain and in_thread)
        or (
            isinstance(handler, (list, tuple))
            and any(inspect.iscoroutinefunction(item) for item in handler)
        )
    ):
        raise UsageError(
            "expected plain functions, or one coroutine function (event, context) called in the "
            "event loop, received a coroutine function elsewhere; nobody would await it"
        )
