"""Connection: one WebSocket to the venue, from dial to close; the place where time enters.

Responsible for stamping every socket read with both clocks before anything else happens, for
exact message bytes, the handshake and its timeout, control frames, flow control and the closing
handshake. Refuses to number, store or interpret a message, and to reconnect.

Theory of operation. An `asyncio.Protocol` of our own drives the sans-I/O core of `websockets`
(through `live.framing`, which takes plain messages past it).
Everything runs in callbacks of the event loop, so no message can be lost by cancelling a task that
awaits one: what the kernel handed over is delivered in the same callback. `run()` dials and then
only waits; its end and `Listener.on_closed` come exactly once, whatever happened. After `close()`
messages go on being delivered until the peer's close frame or the close timeout.

Nobody here checks UTF-8 in text messages, so invalid text is delivered as it came.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import NamedTuple, Protocol

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, WebSocketException
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from recorder.errors import UsageError
from recorder.live.dial import dial
from recorder.live.ending import Cause, Closed, closed_by_failure, http_date, words_of
from recorder.live.framing import Framing, Message

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Longest message taken; OKX's longest are a few hundred kB, so this only bounds memory."""

_UNREAD_BYTES_MAX = 1024 * 1024
_EOF_WAIT_SECONDS = 1.0
_ABNORMAL = 1006


class Stamp(NamedTuple):
    """Both clocks, read together.

    Attributes:
        ts_recv: wall clock, ns since the Unix epoch, UTC.
        ts_mono: monotonic clock, ns, origin per boot.
    """

    ts_recv: int
    ts_mono: int


class Listener(Protocol):
    """Who is told what happens on a connection; every call is synchronous and must be quick."""

    def on_opened(self, stamp: Stamp) -> None:
        """The handshake is done; messages of the same read follow."""

    def on_messages(self, messages: list[Message], stamp: Stamp) -> None:
        """All messages that one socket read completed, in order; never empty."""

    def on_closed(self, closed: Closed, stamp: Stamp) -> None:
        """The connection, or the attempt, is over; the last call of all."""


def read_clocks() -> Stamp:
    """Read both clocks now."""
    return Stamp(time.time_ns(), time.monotonic_ns())


class Connection(asyncio.Protocol):
    """One attempt at one WebSocket connection.

    Args:
        url: `ws://` or `wss://`, without credentials.
        listener: told of everything; see `Listener`.
        open_timeout: seconds for DNS, TCP, TLS and the handshake together.
        close_timeout: seconds to wait for the peer's close frame after ours.
        tls: context for `wss`; None means the system's certificates.

    Attributes:
        opened: the handshake has succeeded.
        venue_time: the venue's clock at the handshake by its `Date`, s since the Unix epoch.
    """

    def __init__(
        self,
        url: str,
        listener: Listener,
        *,
        open_timeout: float = 10.0,
        close_timeout: float = 5.0,
        max_size: int = MESSAGE_BYTES_MAX,
        tls: ssl.SSLContext | None = None,
        address: int | None = None,
    ) -> None:
        self._uri = parse_uri(url)
        self._listener = listener
        self._open_timeout = open_timeout
        self._close_timeout = close_timeout
        self._tls = tls
        self._address = address
        self._core = ClientProtocol(self._uri, max_size=max_size)
        self._core.debug = False  # its debug log would hold every message, logins among them
        self._framing = Framing(self._core, max_size)
        self._loop = asyncio.get_running_loop()
        self._handshake: asyncio.Future[None] = self._loop.create_future()
        self._finished: asyncio.Future[Closed] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._our_reason: str | None = None
        self._our_cause = Cause.STOPPED
        self._is_ending = False
        self.opened = False
        self.venue_time: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self.opened and self._core.state is State.OPEN and not self._finished.done()

    async def run(self) -> Closed:
        """Dial, stay until the connection is over, and say how it ended.

        Never raises for what the network or the venue does. Cancelling it while it dials ends
        the attempt; once `opened` is true, call `close()` instead: cancelling then aborts.
        """
        try:
            async with asyncio.timeout(self._open_timeout):
                await dial(self._uri, lambda: self, tls=self._tls, address=self._address)
                await self._handshake
        except (OSError, WebSocketException, UsageError) as error:
            # A stalled loop reads the answer and runs the timeout in one turn: it is open then.
            if not self.opened:
                self._fail(closed_by_failure(error, self._open_timeout))
        except asyncio.CancelledError:
            if self.opened:
                self._fail(Closed(_ABNORMAL, "aborted", "recorder", True, Cause.STOPPED))
            else:
                words = "stopped before the connection opened"
                self._fail(Closed(None, words, "recorder", False, Cause.STOPPED))
            raise
        try:
            return await asyncio.shield(self._finished)
        except asyncio.CancelledError:
            words = self._our_reason or "aborted"
            self._fail(Closed(_ABNORMAL, words, "recorder", True, Cause.STOPPED))
            raise

    def send(self, payload: bytes) -> None:
        """Send one text message of exact bytes; only while `is_open`."""
        self._core.send_text(payload)
        self._flush()

    def close(self, reason: str, *, code: int = 1000, cause: Cause = Cause.STOPPED) -> None:
        """Start the closing handshake; messages are delivered until the peer's close frame."""
        if not self.is_open:
            return
        self._our_reason, self._our_cause = reason, cause
        self._core.send_close(code, "")
        self._flush()
        self.resume_reading()
        self._give_up_after(self._close_timeout)

    def abort(self, reason: str) -> None:
        """Cut the connection at once."""
        if self._our_reason is None:
            self._our_reason, self._our_cause = reason, Cause.UNREAD
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Leave arriving bytes in the kernel, so that the venue is slowed down."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again after `pause_reading`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- asyncio.Protocol ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake request; no compression is offered, so bytes stay what they are."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # narrows for mypy
        self._transport = transport
        request = self._core.connect()
        request.headers["User-Agent"] = "okx-recorder"
        self._core.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Stamp, then parse, then deliver what one read completed."""
        stamp = read_clocks()
        core = self._core
        messages = self._framing.receive(data)
        if not self.opened and core.state is not State.CONNECTING and core.handshake_exc is None:
            self._opened(stamp)
        if messages:
            self._listener.on_messages(messages, stamp)
        self._flush()
        if core.state is not State.OPEN:
            self._note_the_end()

    def eof_received(self) -> None:
        """The peer ended its stream; asyncio closes the transport next."""
        self._core.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report how it ended."""
        self._core.receive_eof()
        if self._finished.done():
            return
        if not self.opened:
            error = self._core.handshake_exc or exc or ConnectionResetError("connection closed")
            if not self._handshake.done():
                self._handshake.set_exception(error)
            return
        self._finish(self._how_it_ended(exc))

    # --- internals -----------------------------------------------------------------------

    def _opened(self, stamp: Stamp) -> None:
        self.opened = True
        for event in self._core.events:
            if isinstance(event, Response):
                moment = http_date(event.headers, "Date")
                self.venue_time = None if moment is None else int(moment.timestamp())
        if not self._handshake.done():
            self._handshake.set_result(None)
        self._listener.on_opened(stamp)

    def _note_the_end(self) -> None:
        core = self._core
        if core.handshake_exc is not None:
            if not self._handshake.done():
                self._handshake.set_exception(core.handshake_exc)
        elif not self._is_ending and (core.close_rcvd is not None or core.parser_exc is not None):
            # The peer's close frame was read, or its bytes broke the protocol: no message can
            # follow, so only the end of the stream is awaited, and not for long.
            self._is_ending = True
            self._give_up_after(_EOF_WAIT_SECONDS)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        for data in self._core.data_to_send():
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:  # TLS has no half-close: the peer has said all it will say
                transport.close()
        if transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
            self.abort("the venue reads nothing of what it is sent")

    def _give_up_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _how_it_ended(self, exc: Exception | None) -> Closed:
        core = self._core
        ours = self._our_reason
        broken = core.parser_exc
        if isinstance(broken, PayloadTooBig):
            return Closed(1009, str(broken), "recorder", True, oversize=broken.size)
        own = self._our_cause
        if core.close_rcvd is not None:
            code, reason = int(core.close_rcvd.code), core.close_rcvd.reason
            if core.close_rcvd_then_sent:
                return Closed(code, reason, "venue", True)
            return Closed(code, ours or reason, "recorder", True, own)
        if broken is not None and not isinstance(broken, EOFError):
            words = f"broken protocol: {broken}"
            return Closed(1002, words, "recorder", True, Cause.PROTOCOL)
        if ours is not None:
            return Closed(_ABNORMAL, ours, "recorder", True, own)
        return Closed(_ABNORMAL, words_of(exc) if exc else "connection lost", "network", True)

    def _fail(self, closed: Closed) -> None:
        if self._handshake.done() and not self._handshake.cancelled():
            self._handshake.exception()  # read, so that asyncio does not complain about it
        self._handshake.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._finish(closed)

    def _finish(self, closed: Closed) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._finished.done():
            self._finished.set_result(closed)
            self._listener.on_closed(closed, read_clocks())
