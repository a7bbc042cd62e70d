"""Connection against a real server: exact bytes, stamps, refusals, every way to end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from recorder.frame import Kind
from recorder.live.connection import Connection, Stamp
from recorder.live.ending import Cause, Closed
from recorder.live.framing import Message
from recorder.live.rules import Retry, rule_of

WEIRD = [
    b"x",
    b"",
    "snow ☃, line\nbreak, \x00 null".encode(),
    b'{"arg":{"channel":"books"},"data":[]}',
    b"\xff\xfe not utf-8 \x80",
    bytes(range(256)),
    b"y" * 70_000,
]


class Ear:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.opened: list[Stamp] = []
        self.reads: list[tuple[list[Message], Stamp]] = []
        self.closed: list[Closed] = []
        self.order: list[str] = []
        self.heard = asyncio.Event()
        self.up = asyncio.Event()
        self.wanted = 1

    def on_opened(self, stamp: Stamp) -> None:
        self.opened.append(stamp)
        self.order.append("opened")
        self.up.set()

    def on_messages(self, messages: list[Message], stamp: Stamp) -> None:
        assert messages
        self.reads.append((messages, stamp))
        self.order.append("messages")
        if len(self.messages) >= self.wanted:
            self.heard.set()

    def on_closed(self, closed: Closed, stamp: Stamp) -> None:
        self.closed.append(closed)
        self.order.append("closed")

    @property
    def messages(self) -> list[Message]:
        return [message for messages, _ in self.reads for message in messages]


async def listen(url: str, **options: Any) -> tuple[Ear, Closed]:
    ear = Ear()
    return ear, await Connection(url, ear, **options).run()


async def test_payloads_arrive_byte_for_byte(venue_of: Any) -> None:
    async def script(venue: Any) -> None:
        for payload in WEIRD:
            await venue.ws.send(payload, text=True)
            await venue.ws.send(payload, text=False)

    async with venue_of(script) as venue:
        ear, closed = await listen(f"{venue.url}/public")
    assert ear.messages == [
        (kind, payload) for payload in WEIRD for kind in (Kind.TEXT, Kind.BINARY)
    ]
    assert closed == Closed(1000, "", "venue", True)
    assert (ear.order[0], ear.order[-1], len(ear.closed)) == ("opened", "closed", 1)


async def test_large_and_fragmented_messages_are_joined(venue_of: Any) -> None:
    big = bytes(range(256)) * 20_000  # 5 MB
    pieces = [b"one ", "zw\u00f6lf".encode()[:3], "zw\u00f6lf".encode()[3:], b"", b" end"]

    async def script(venue: Any) -> None:
        await venue.ws.send(big, text=True)
        transport = venue.ws.transport
        for position, piece in enumerate(pieces):  # control frames may stand between fragments
            opcode = Opcode.TEXT if position == 0 else Opcode.CONT
            frame = WireFrame(opcode, piece, fin=position == len(pieces) - 1)
            transport.write(frame.serialize(mask=False))
            transport.write(WireFrame(Opcode.PING, b"between").serialize(mask=False))

    async with venue_of(script) as venue:
        ear, _ = await listen(f"{venue.url}/public")
    assert ear.messages == [(Kind.TEXT, big), (Kind.TEXT, b"".join(pieces))]


async def test_bytes_that_trickle_in_one_by_one() -> None:
    messages = [b"ab", b"c" * 130, b""]
    stream = b"".join(WireFrame(Opcode.TEXT, m).serialize(mask=False) for m in messages)

    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        for byte in stream:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    async with server:
        ear, closed = await listen(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert [payload for _, payload in ear.messages] == messages
    assert closed == Closed(1006, "connection lost", "network", True)


async def test_messages_in_the_read_of_the_handshake_come_after_opened() -> None:
    stream = WireFrame(Opcode.TEXT, b"early").serialize(mask=False)

    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer, more=stream)
        writer.close()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    async with server:
        ear, _ = await listen(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert ear.order == ["opened", "messages", "closed"]
    assert ear.reads[0][1] == ear.opened[0], "one read, one stamp"


async def test_stamps_are_taken_at_the_read_and_never_fall(venue_of: Any) -> None:
    async def script(venue: Any) -> None:
        for number in range(500):
            await venue.send(b"%d" % number)

    before = Stamp(0, 0)
    async with venue_of(script) as venue:
        ear, _ = await listen(f"{venue.url}/public")
    for _, stamp in ear.reads:
        assert stamp.ts_mono >= before.ts_mono
        before = stamp
    assert [payload for _, payload in ear.messages] == [b"%d" % number for number in range(500)]


async def test_a_stalled_consumer_loses_nothing_while_reading_is_paused(venue_of: Any) -> None:
    payloads = [b"%d" % number * 1000 for number in range(2_000)]

    async def script(venue: Any) -> None:
        await venue.ws.recv()
        await venue.send(*payloads)

    async with venue_of(script) as venue:
        ear = Ear()
        connection = Connection(f"{venue.url}/public", ear)
        task = asyncio.create_task(connection.run())
        await ear.up.wait()
        connection.pause_reading()
        connection.send(b"go")
        await asyncio.sleep(0.05)
        assert ear.reads == []
        connection.resume_reading()
        await task
    assert [payload for _, payload in ear.messages] == payloads


async def test_control_pings_are_answered(venue_of: Any) -> None:
    async def script(venue: Any) -> None:
        await (await venue.ws.ping())
        await venue.send(b"pong came")

    async with venue_of(script) as venue:
        ear, _ = await listen(f"{venue.url}/public")
    assert [payload for _, payload in ear.messages] == [b"pong came"]


async def test_what_the_venue_sends_after_our_close_frame_is_delivered() -> None:
    tail = [b"in flight %d" % number for number in range(50)]

    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(WireFrame(Opcode.TEXT, b"first").serialize(mask=False))
        await reader.readexactly(8)  # our close frame: 2 header, 4 mask, 2 code
        for payload in tail:
            writer.write(WireFrame(Opcode.TEXT, payload).serialize(mask=False))
        writer.write(WireFrame(Opcode.CLOSE, b"\x03\xe8bye").serialize(mask=False))
        writer.close()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    async with server:
        ear = Ear()
        connection = Connection(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", ear)
        task = asyncio.create_task(connection.run())
        await ear.heard.wait()
        connection.close("enough")
        assert not connection.is_open
        closed = await task
    assert [payload for _, payload in ear.messages] == [b"first", *tail]
    assert closed == Closed(1000, "enough", "recorder", True, Cause.STOPPED)


async def test_a_venue_that_never_closes_is_given_up() -> None:
    release = asyncio.Event()

    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await release.wait()
        writer.close()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    async with server:
        ear = Ear()
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connection = Connection(url, ear, close_timeout=0.05)
        task = asyncio.create_task(connection.run())
        await ear.up.wait()
        connection.close("enough")
        assert await task == Closed(1006, "enough", "recorder", True, Cause.STOPPED)
        release.set()
    assert len(ear.closed) == 1


@pytest.mark.parametrize(
    ("wire", "code", "by"),
    [
        (WireFrame(Opcode.CLOSE, b"\x0f\xa4No data received in 30s.").serialize(mask=False),
         4004, "venue"),
        (WireFrame(Opcode.CLOSE, b"").serialize(mask=False), 1005, "venue"),
        (b"\x83\x00", 1002, "recorder"),  # opcode 3 does not exist
        (WireFrame(Opcode.CLOSE, b"\x03\xe8\xff").serialize(mask=False), 1002, "recorder"),
    ],
    ids=["4004", "empty close", "bad opcode", "close reason not utf-8"],
)  # fmt: skip
async def test_every_end_has_code_and_cause(wire: bytes, code: int, by: str) -> None:
    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(WireFrame(Opcode.TEXT, b"kept").serialize(mask=False) + wire)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    async with server:
        ear, closed = await listen(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (closed.code, closed.by, closed.opened) == (code, by, True)
    assert [payload for _, payload in ear.messages] == [b"kept"]
    if code == 4004:
        assert closed.reason == "No data received in 30s."


async def test_a_reset_is_the_networks_doing() -> None:
    async def serve_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    async with server:
        _, closed = await listen(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (closed.code, closed.by, closed.opened) == (1006, "network", True)
    assert "reset" in closed.reason.lower()


async def test_an_oversize_message_is_a_declared_loss(venue_of: Any) -> None:
    async def script(venue: Any) -> None:
        await venue.send(b"small", b"x" * 2_000)
        await venue.until_closed()

    async with venue_of(script) as venue:
        ear, closed = await listen(f"{venue.url}/public", max_size=1_000)
    assert [payload for _, payload in ear.messages] == [b"small"]
    assert (closed.code, closed.by, closed.oversize) == (1009, "recorder", 2_000)


@pytest.mark.parametrize(
    ("status", "first"),
    [
        (401, Retry.NEVER),
        (403, Retry.NEVER),
        (404, Retry.NEVER),
        (302, Retry.NEVER),
        (200, Retry.NEVER),
        (408, Retry.BACK_OFF),
        (429, Retry.LATER),
        (500, Retry.BACK_OFF),
        (503, Retry.BACK_OFF),
    ],
)
async def test_refused_handshakes_keep_their_status(
    venue_of: Any, status: int, first: Retry
) -> None:
    async def script(venue: Any) -> None:
        raise AssertionError("nobody may get here")

    async with venue_of(script, refusals=[status]) as venue:
        ear, closed = await listen(f"{venue.url}/public")
    assert (closed.code, closed.by, closed.opened) == (status, "venue", False)
    assert closed.cause is Cause.HTTP
    assert rule_of(closed).first is first
    assert closed.reason.startswith(f"HTTP {status} ")
    assert ear.order == ["closed"]


async def test_a_port_nobody_listens_on(unused_port: int) -> None:
    ear, closed = await listen(f"ws://127.0.0.1:{unused_port}/x")
    assert closed == Closed(None, "Connection refused", "network", False, Cause.TCP)
    assert ear.order == ["closed"]


async def test_a_server_that_never_answers_the_handshake() -> None:
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, closed = await listen(f"ws://127.0.0.1:{port}", open_timeout=0.05)
        assert closed == Closed(None, "no answer within 0.05 s", "network", False, Cause.TIMEOUT)
        release.set()


async def test_an_answer_read_together_with_the_timeout_counts() -> None:
    """A loop that stalls finds both at once; what was opened is not reported as never opened."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer, more=b"\x81\x02hi")
        time.sleep(0.3)  # noqa: ASYNC251  # the stall itself: longer than the timeout below
        writer.write(b"\x88\x02\x03\xe8")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ear, closed = await listen(f"ws://127.0.0.1:{port}", open_timeout=0.15)
    assert ear.order == ["opened", "messages", "closed"]
    assert closed == Closed(1000, "", "venue", True)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_server_that_is_no_websocket(answer: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ear, closed = await listen(f"ws://127.0.0.1:{port}", open_timeout=5)
    assert not closed.opened
    assert closed.reason
    assert ear.order == ["closed"]


async def test_a_certificate_nobody_trusts_is_final(certificate: Callable[[], Any]) -> None:
    server_context = certificate()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0, ssl=server_context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, closed = await listen(f"wss://127.0.0.1:{port}/ws")
    assert closed.cause is Cause.CERTIFICATE
    assert "certificate" in closed.reason.lower()


async def test_tls_carries_the_same_bytes(certificate: Callable[[], Any], venue_of: Any) -> None:
    server_context = certificate()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE

    async def script(venue: Any) -> None:
        await venue.send(*WEIRD)

    async with venue_of(script, ssl=server_context) as venue:
        ear, closed = await listen(f"wss://127.0.0.1:{venue.port}/ws/v5/public", tls=trusting)
    assert [payload for _, payload in ear.messages] == WEIRD
    assert closed == Closed(1000, "", "venue", True)


async def test_cancelling_an_attempt_ends_it(unused_port: int) -> None:
    hold = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        ear = Ear()
        port = server.sockets[0].getsockname()[1]
        task = asyncio.create_task(Connection(f"ws://127.0.0.1:{port}", ear).run())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hold.set()
    assert ear.closed == [
        Closed(None, "stopped before the connection opened", "recorder", False, Cause.STOPPED)
    ]


async def test_an_http_proxy_of_the_environment_is_used(
    venue_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that only the proxy knows is reached through it."""

    async def script(venue: Any) -> None:
        await venue.send(b"through the proxy")

    asked: list[bytes] = []

    async with venue_of(script) as venue:

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", venue.port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        async with proxy:
            address = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
            monkeypatch.setenv("http_proxy", address)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            ear, _ = await listen("ws://venue.example:8443/ws/v5/public")
    assert asked == [b"CONNECT venue.example:8443 HTTP/1.1"]
    assert [payload for _, payload in ear.messages] == [b"through the proxy"]


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def shake_hands(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: bytes = b""
) -> None:
    """Do the server's side of the handshake by hand, so that the test owns every byte after it."""
    from websockets.utils import accept_key

    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert "permessage-deflate" not in head, "compression must not be offered"
    key = next(
        line.split(":")[1].strip()
        for line in head.split("\r\n")
        if "sec-websocket-key" in line.lower()
    )
    answer = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    )
    writer.write(answer.encode() + more)
    await writer.drain()
