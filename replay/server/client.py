"""One client of a served capture, as the server sees it.

Responsible for sending to a socket without waiting, for knowing how much of it is unsent, and for
cutting off a client that does not read. Refuses to decide when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, broadcast

from recorder.okx.exchange import Conversation


class Client:
    """One WebSocket connection and the venue's side of its conversation.

    Args:
        dress: changes what is pushed on its way out; None: nothing is changed.
    """

    def __init__(
        self,
        socket: ServerConnection,
        endpoint: str,
        conversation: Conversation,
        dress: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.socket = socket
        self.endpoint = endpoint
        self.conversation = conversation
        self._dress = dress
        self._closing: asyncio.Task[None] | None = None

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self.socket.transport.get_write_buffer_size()

    def push(self, payload: bytes) -> None:
        """Send one text message without waiting; a closed socket takes it silently."""
        dressed = payload if self._dress is None else self._dress(payload)
        broadcast([self.socket], dressed, text=True)

    async def cut_off(
        self, code: int = 4005, reason: str = "Connection write buffer is full"
    ) -> None:
        """Close; a peer that does not even read the close frame is aborted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self.socket.close(code, reason)
                return
        self.drop()

    def close_soon(self, code: int, reason: str) -> None:
        """Close without waiting for it."""
        self._closing = asyncio.create_task(self.cut_off(code, reason))

    def drop(self) -> None:
        """Cut the connection without a word: the client sees 1006."""
        self.socket.transport.abort()
