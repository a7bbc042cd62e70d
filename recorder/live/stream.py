"""Stream: live events to one `async for`, each with the books of just then.

Responsible for the consumer's own place in what came, its own interpreter and number type, and for
cancellation at any moment costing nothing. Refuses to read sockets and to be looped over by two.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from recorder.book import Books
from recorder.errors import UsageError
from recorder.event import Event
from recorder.frame import Frame
from recorder.live.lane import Item, Lane, Resume
from recorder.okx.interpreter import Interpreter

STREAM_BYTES = 32 << 20
"""Memory of the frames that may wait for one stream."""

_UNBOUNDED = 1 << 62
_TURN_FRAMES = 64  # so often a loop that is behind lets others run: the sockets, for one


class Stream:
    """An asynchronous iterator over events.

    Leaving a loop leaves the stream where it is: another loop goes on with the next event.

    Args:
        number: type of prices and sizes. state: of an interpreter, to go on from.
        queue_bytes: memory of the frames that may wait; what comes beyond is missed.
        is_patient: never miss anything; whoever feeds it stops while it `is_behind`.
        failure: says what ended the source, None where nothing did; raised at the end.
        on_close: called once.
    """

    def __init__(
        self,
        *,
        number: type = float,
        state: bytes | None = None,
        queue_bytes: int = STREAM_BYTES,
        is_patient: bool = False,
        failure: Callable[[], BaseException | None] = lambda: None,
        on_close: Callable[[Stream], object] = lambda _: None,
    ) -> None:
        if not queue_bytes > 0:
            raise UsageError(f"expected queue_bytes above 0, received {queue_bytes}")
        self.lane = Lane(
            self._put,
            queue_bytes=_UNBOUNDED if is_patient else queue_bytes,
            who="stream",
            solace="the stream is told so by a Lost",
        )
        self._queue_bytes = queue_bytes
        self._number = number
        self._interpreter = (
            Interpreter(number) if state is None else Interpreter.restore(state, number)
        )
        self._failure = failure
        self._on_close = on_close
        self._items: deque[Item] = deque()
        self._frames: deque[Frame] = deque()
        self._frame: Frame | None = None
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._is_ended = self._is_closed = self._is_taken = self._is_behind = False
        self._turn = 0

    @property
    def books(self) -> Books:
        """Every live order book, as it stood when the event in hand came; after a `Lost` new."""
        return self._interpreter.books

    @property
    def lost(self) -> int:
        """Frames that were missed, for the loop was too slow."""
        return self.lane.lost

    @property
    def waiting_bytes(self) -> int:
        """Memory of the frames that wait."""
        return self.lane.waiting_bytes

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing waits behind the event in hand."""
        return not (self._events or self._frames or self._items)

    @property
    def is_behind(self) -> bool:
        """True from a full queue on until half of it is taken."""
        waiting = self.lane.waiting_bytes
        if waiting >= self._queue_bytes:
            self._is_behind = True
        elif waiting * 2 < self._queue_bytes:
            self._is_behind = False
        return self._is_behind

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def close(self) -> None:
        """Take nothing more and forget what waits; a loop that waits ends."""
        if not self._is_closed:
            self._is_closed = True
            self._on_close(self)
            self.lane.is_dead = True
            for waiting in (self._items, self._frames, self._events):
                waiting.clear()
            self._end()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        """Return the next event; wait for it where there is none.

        Raises:
            StopAsyncIteration: the client was left, or the stream closed.
            UsageError: another task waits here already.
            RecorderError: what ended the client, once everything before was given.
        """
        if self._is_taken:
            raise UsageError(
                "expected one loop at a time over a stream, received a second; "
                "give each its own by client.stream()"
            )
        self._is_taken = True
        try:
            while not self._events:
                if not self._step():
                    await self._more()
                elif self._turn >= _TURN_FRAMES:
                    self._turn = 0
                    await asyncio.sleep(0)
            return self._events.popleft()
        finally:
            self._is_taken = False

    # --- internals -------------------------------------------------------------------------

    def _put(self, item: Item | None) -> None:
        if item is None:
            self._end()
        elif not self._is_closed:
            self._items.append(item)
            self._arrived.set()

    def _end(self) -> None:
        self._is_ended = True
        self._arrived.set()

    def _step(self) -> bool:
        """Take in the next frame, or what stands for missed ones; False where there is none."""
        if self._frame is not None:
            self.lane.took(self._frame)
            self._frame = None
        while not self._frames:
            if not self._items:
                return False
            item = self._items.popleft()
            if isinstance(item, Resume):
                if item.state is not None:
                    self._interpreter = Interpreter.restore(item.state, self._number)
                self._events.append(item.lost)
                return True
            self._frames.extend(item)
        self._frame = self._frames.popleft()
        self._turn += 1
        self._events.extend(self._interpreter.step(self._frame))
        return True

    async def _more(self) -> None:
        if self._is_ended:
            failure = None if self._is_closed else self._failure()
            if failure is not None:
                raise failure
            raise StopAsyncIteration
        self._turn = 0
        self._arrived.clear()
        await self._arrived.wait()
