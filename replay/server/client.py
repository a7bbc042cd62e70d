"""One client of a served capture, as the server sees it.

Responsible for sending to a socket without waiting, for knowing how much of it is unsent, and for
cutting off a client that does not read. Refuses to decide when.

What goes to many clients is put into its wire form once (`text_frame`: a server masks nothing, and
compression is off), and what goes to one client in one turn of the clock is one write: the system
call is what sending costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from recorder.okx.exchange import Conversation


def text_frame(payload: bytes) -> bytes:
    """Return a text message in wire form, as a server sends it (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2) + payload
    return b"\x81\x7f" + size.to_bytes(8) + payload


class Client:
    """One WebSocket connection and the venue's side of its conversation.

    Args:
        dress: changes what is pushed on its way out; None: nothing is changed.
        most: unsent bytes above which nothing more is taken and `overflow` is called, once.

    Attributes:
        held: bytes that a fault holds back. is_hung: a fault made it half-open, for good.
        pending: what is to be written next, in wire form; whoever puts something here calls
            `flush` before anything else can run.
    """

    def __init__(
        self,
        socket: ServerConnection,
        endpoint: str,
        conversation: Conversation,
        dress: Callable[[bytes], bytes] | None = None,
        *,
        most: int,
        overflow: Callable[[Client], None],
    ) -> None:
        self.socket = socket
        self.endpoint = endpoint
        self.conversation = conversation
        self.pending: list[bytes] = []
        self.held = 0
        self.is_hung = False
        self._most = most
        self._overflow: Callable[[Client], None] | None = overflow
        self._dress = dress
        self._closing: asyncio.Task[None] | None = None

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet, and those that a fault holds back."""
        return self.socket.transport.get_write_buffer_size() + self.held

    def push(self, payload: bytes) -> None:
        """Send one text message without waiting; a closed socket takes it silently."""
        dressed = payload if self._dress is None else self._dress(payload)
        self.pending.append(text_frame(dressed))
        self.flush()

    def flush(self) -> None:
        """Write what is pending, in one go; a closed socket takes it silently."""
        pending = self.pending
        if not pending:
            return
        if self._overflow is not None and self.socket.state is State.OPEN:
            self.socket.transport.write(b"".join(pending))
            if self.unsent > self._most:
                tell, self._overflow = self._overflow, None
                tell(self)
        pending.clear()

    @property
    def is_closing(self) -> bool:
        """Whether `close_soon` was called."""
        return self._closing is not None

    async def cut_off(self, code: int, reason: str) -> None:
        """Close; a peer that does not even read the close frame is aborted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self.socket.close(code, reason)
                return
        self.drop()

    def close_soon(self, code: int, reason: str) -> None:
        """Close without waiting for it."""
        if self._closing is None:
            self._closing = asyncio.create_task(self.cut_off(code, reason))

    def drop(self) -> None:
        """Cut the connection without a word: the client sees 1006."""
        self.socket.transport.abort()
