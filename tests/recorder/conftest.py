"""A scripted venue: a real WebSocket server on loopback that tests tell what to do.

Control frames come from `recorder.okx.exchange`, so no test knows a second form of them.
"""

from __future__ import annotations

import contextlib
import inspect
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from recorder.okx.exchange import Close, Conversation, Send, Started, Stopped

Script = Callable[["Socket"], Awaitable[None]]


@dataclass
class Socket:
    """One accepted connection and what the client sent on it."""

    number: int
    endpoint: str
    ws: ServerConnection
    knows: Callable[[dict[str, Any]], bool]
    received: list[bytes] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.endpoint, f"{self.number:08x}", self.knows)

    async def send(self, *payloads: bytes) -> None:
        """Send exact bytes as text messages, one frame each."""
        for payload in payloads:
            await self.ws.send(payload, text=True)

    async def answer(self) -> bytes:
        """Take one message, answer it as the venue does, return it."""
        message = await self.ws.recv(decode=False)
        self.received.append(message)
        for reply in self.conversation.receive(message, 0):
            match reply:
                case Send(payload):
                    await self.send(payload)
                case Started(argument):
                    self.started.append(argument)
                case Stopped(argument):
                    self.stopped.append(argument)
                case Close(code, reason):
                    await self.ws.close(code, reason)
        return message

    async def until_subscribed(self, count: int = 1) -> None:
        """Answer until the client holds so many arguments."""
        while len(self.started) < count:
            await self.answer()

    async def until_closed(self) -> None:
        """Go on answering until the connection is closed."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.answer()

    async def stay_silent(self) -> None:
        """Answer nothing until the connection is closed."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.received.append(await self.ws.recv(decode=False))


@dataclass
class Venue:
    """A running server and everything that connected to it."""

    server: Server
    port: int
    sockets: list[Socket] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base address, for `record(url=…)`."""
        return f"ws://127.0.0.1:{self.port}/ws/v5"

    def socket(self, endpoint: str) -> Socket:
        """The latest connection to an endpoint."""
        return next(item for item in reversed(self.sockets) if item.endpoint == endpoint)


@contextlib.asynccontextmanager
async def open_venue(
    script: Script,
    *,
    knows: Callable[[dict[str, Any]], bool] = lambda _: True,
    refusals: list[int] | None = None,
    http: Callable[[ServerConnection, Request], Any] = lambda *_: None,
    **options: Any,
) -> AsyncIterator[Venue]:
    """Run a server whose every connection follows `script`.

    The first handshakes are refused with the statuses in `refusals`; `http` may answer requests
    that are no handshakes.
    """
    venue: Venue

    async def handle(ws: ServerConnection) -> None:
        assert ws.request is not None
        endpoint = ws.request.path.rsplit("/", 1)[-1]
        socket = Socket(len(venue.sockets), endpoint, ws, knows)
        venue.sockets.append(socket)
        with contextlib.suppress(ConnectionClosed):
            await script(socket)

    async def check(connection: ServerConnection, request: Request) -> Response | None:
        answer = http(connection, request)
        answer = await answer if inspect.isawaitable(answer) else answer
        if answer is not None:
            assert isinstance(answer, Response)
            return answer
        venue.attempts.append(request.path)
        if venue.refusals and "/ws/v5/" in request.path:
            status = HTTPStatus(venue.refusals.pop(0))
            return connection.respond(status, f"{status.phrase}\n")
        return None

    server = await serve(
        handle,
        "127.0.0.1",
        0,
        process_request=check,
        compression=None,
        ping_interval=None,
        close_timeout=1,
        max_size=None,
        **options,
    )
    port = int(server.sockets[0].getsockname()[1])
    venue = Venue(server, port, refusals=list(refusals or ()))
    try:
        yield venue
    finally:
        server.close(close_connections=True)
        await server.wait_closed()


@pytest.fixture
def venue_of() -> Callable[..., contextlib.AbstractAsyncContextManager[Venue]]:
    """`async with venue_of(script) as venue`: a scripted venue on a port of its own."""
    return open_venue


@pytest.fixture
def fast() -> Any:
    """Link options whose waits are milliseconds."""
    from recorder.live import LinkOptions

    return LinkOptions(
        open_timeout=5, close_timeout=2, first_delay=0.02, longest_delay=0.05, lived=60,
        later_delay=0.05, refused_delay=0.05,
    )  # fmt: skip


@pytest.fixture
def unused_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[], ssl.SSLContext]:
    """A server context with a certificate made for this test, signed by nobody."""

    def make() -> ssl.SSLContext:
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("no openssl command to make a certificate with")
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context

    return make
