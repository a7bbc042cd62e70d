"""Controls of a served capture: orders while it runs.

Responsible for waking the server's clock when an order is given, from any thread. Refuses to obey:
`playback` does, between two frames.
"""

from __future__ import annotations

import asyncio

from replay.controls import Controls, Order


class ServedControls(Controls):
    """The handle of one served capture; orders are those of `replay.controls.Controls`.

        async with serve(capture, speed=1) as server:
            server.controls.seek(1_790_000_000_000_000_000)
            server.controls.change_speed(10)
            print(server.status().achieved_speed)

    After a seek every subscribed argument starts as if it had just been subscribed: books with a
    snapshot of that instant.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- the server's side ------------------------------------------------------------------

    def bind(self) -> None:
        """Belong to the running event loop."""
        self._loop = asyncio.get_running_loop()

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
