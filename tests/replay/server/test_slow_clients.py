"""A client that does not take what it is sent: bounded, closed with 4005, and alone in it."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed

from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.frame import Frame, Kind
from recorder.okx.exchange import Conversation
from recorder.okx.faults import read_scenario
from recorder.okx.route import is_push
from replay.server import Server
from replay.server.client import Client, text_frame
from replay.server.settings import Settings

TRADES = {"channel": "trades", "instId": "BTC-USDT"}
MESSAGE = 1_000_000
COUNT = 40


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than the kernel takes for a client: 40 pushes of a megabyte."""
    path = tmp_path_factory.mktemp("slow") / "big"
    payload = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[%s]}' % (b" " * MESSAGE)
    with CaptureWriter(path) as writer:
        writer.write([Frame(n, n * 10**6, n * 10**6, 0, Kind.TEXT, payload) for n in range(COUNT)])
    return path


async def client_of(server: Server) -> ClientConnection:
    """A client that has been told that it is subscribed."""
    socket = await connect(
        f"{server.url}/public", ping_interval=None, max_queue=None, max_size=None, compression=None
    )
    await socket.send(json.dumps({"op": "subscribe", "args": [TRADES]}))
    assert b'"event":"subscribe"' in await asyncio.wait_for(socket.recv(decode=False), 60)
    return socket


async def pushes_until_closed(socket: ClientConnection) -> int:
    count = 0
    async with asyncio.timeout(120):
        try:
            while True:
                text = await socket.recv(decode=False)
                count += isinstance(text, bytes) and is_push(text)
        except ConnectionClosed:
            return count


class _Deaf:
    """A client that subscribes and then reads nothing, with a small window."""

    def __init__(self, server: Server) -> None:
        self._socket = sockets.socket()
        self._socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
        self._socket.settimeout(60)
        self._socket.connect(("127.0.0.1", server.port))

    def subscribe(self) -> None:
        """Return when it is subscribed."""
        self._socket.sendall(
            b"GET /ws/v5/public HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        self._read_past(b"\r\n\r\n")
        request = json.dumps({"op": "subscribe", "args": [TRADES]}).encode()
        self._socket.sendall(bytes((0x81, 0x80 | len(request))) + bytes(4) + request)  # mask: 0
        self._read_past(b'"event":"subscribe"')

    def _read_past(self, wanted: bytes) -> None:
        got = b""
        while wanted not in got:
            some = self._socket.recv(1)
            assert some, got
            got += some

    def close(self) -> None:
        self._socket.close()


async def test_at_max_one_that_takes_nothing_is_closed_when_patience_ends(big: Path):
    said: list[str] = []
    settings = Settings(port=0, start_paused=True, at_end="close", patience=0.3)
    async with Server(Capture(big), settings, log=said.append) as server:
        deaf = _Deaf(server)
        try:
            await asyncio.to_thread(deaf.subscribe)
            good = await client_of(server)
            server.controls.resume()
            assert await pushes_until_closed(good) == COUNT, "the others lose nothing"
            assert good.close_code == 1000
            assert server.report().too_slow == 1
        finally:
            deaf.close()
    assert any("4005" in line for line in said)


@pytest.mark.parametrize("speed", [None, 1_000])
async def test_what_a_stall_holds_back_is_bounded_as_well(big: Path, speed: float | None):
    scenario = read_scenario('[[faults]]\ndo = "hold"\nseconds = 3600\npushes = 1')
    settings = Settings(
        port=0,
        speed=speed,
        start_paused=True,
        at_end="close",
        patience=0.3,
        buffer_bytes=4 * MESSAGE,
        scenario=scenario,
    )
    async with Server(Capture(big), settings, log=lambda line: None) as server:
        stalled = await client_of(server)
        server.controls.resume()
        assert await pushes_until_closed(stalled) == 0
        assert stalled.close_code == 4005
        report = server.report()
    assert report.too_slow == 1
    assert report.sent <= (2 if speed is None else 5), "no more was held for it than its bound"


async def test_nobody_ever_has_more_unsent_than_the_bound():
    """However it comes about: here a hundred snapshots in a row."""
    overflown: list[Client] = []
    seen: list[int] = []
    is_done = asyncio.Event()

    async def converse(socket: ServerConnection) -> None:
        conversation = Conversation("public", "00000000", lambda argument: True)
        client = Client(socket, "public", conversation, most=5 * MESSAGE, overflow=overflown.append)
        for _ in range(100):
            client.push(b"x" * MESSAGE)
            seen.append(client.unsent)
        is_done.set()
        client.drop()

    async with listen(converse, "127.0.0.1", 0, compression=None) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None):
            await asyncio.wait_for(is_done.wait(), 60)
    assert len(overflown) == 1
    assert 5 * MESSAGE < max(seen) <= 6 * MESSAGE + 100


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
async def test_the_wire_form_is_read_by_a_client(size: int):
    payload = b"a" * size

    async def converse(socket: ServerConnection) -> None:
        socket.transport.write(text_frame(payload))
        await socket.wait_closed()

    async with listen(converse, "127.0.0.1", 0, compression=None) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            assert await asyncio.wait_for(socket.recv(), 60) == payload.decode()
