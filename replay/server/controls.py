"""Controls of a served capture: orders while it runs, and what it is doing.

Responsible for waking the server's clock when an order is given, from any thread, and for the
status in plain values, ready to be JSON. Refuses to obey: `playback` does, between two frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from replay.controls import Controls, Order


class ServedControls(Controls):
    """The handle of one served capture; orders are those of `replay.controls.Controls`.

        async with serve(capture, speed=1) as server:
            server.controls.seek(1_790_000_000_000_000_000)
            server.controls.change_speed(10)
            print(server.controls.status()["percent"])

    After a seek every subscribed argument starts as if it had just been subscribed: books with a
    snapshot of that instant.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._look: Callable[[], dict[str, Any]] | None = None

    def status(self) -> dict[str, Any]:
        """Return what the server is doing now; call it in the server's event loop.

        Returns:
            state: `reading` (looking for a position), `waiting` (for subscribers), `paused`,
                `playing` or `ended`. paused: whether the clock stands still.
            seq: of the next frame. time: where in the recording the clock is, ns since the Unix
                epoch; start, end: of the capture, None while not known yet.
            percent: 0 to 100 of its time, None while start or end is not known.
            speed: as asked for, a number or `max`; achieved_speed: None before time has passed.
            lag_ms: of the frame sent last; max_lag_ms: of the latest.
            clients: a list of `{endpoint, address, arguments, unsent, logged_in}`.
            frames: recorded pushes that had a receiver; sent: messages; too_slow: closed clients.
            gaps: `[{start, end, kind, count}]` in ns, kind `gap`, `disconnect` or `lost`, as far
                as the capture has been surveyed; surveyed: whether that is all of it.
        """
        return {} if self._look is None else self._look()

    # --- the server's side ------------------------------------------------------------------

    def bind(self, look: Callable[[], dict[str, Any]]) -> None:
        """Belong to the running event loop; `look` makes the status."""
        self._loop = asyncio.get_running_loop()
        self._look = look

    def unbind(self) -> None:
        """Wake nobody any more."""
        self._loop = None

    def give(self, order: Order) -> None:
        """Hand an order over and wake the clock."""
        super().give(order)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._wake)

    async def given(self, seconds: float) -> None:
        """Return when an order is there, at the latest after so many seconds."""
        if self.pending:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
