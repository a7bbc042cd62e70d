"""One client of a served capture, as the server sees it.

Responsible for sending to a socket without waiting, for knowing how much of it is unsent, and for
cutting off a client that does not read. Refuses to decide when.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, broadcast

from recorder.okx.exchange import Conversation


class Client:
    """One WebSocket connection and the venue's side of its conversation."""

    def __init__(self, socket: ServerConnection, endpoint: str, conversation: Conversation) -> None:
        self.socket = socket
        self.endpoint = endpoint
        self.conversation = conversation

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self.socket.transport.get_write_buffer_size()

    def push(self, payload: bytes) -> None:
        """Send one text message without waiting; a closed socket takes it silently."""
        broadcast([self.socket], payload, text=True)

    async def cut_off(self) -> None:
        """Close with 4005; a peer that does not even read the close frame is aborted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self.socket.close(4005, "Connection write buffer is full")
                return
        self.socket.transport.abort()
