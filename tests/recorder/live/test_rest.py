"""REST of a session: the exact body is recorded; failures are rows and warnings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from recorder.capture.reader import Capture
from recorder.errors import ExitCode
from recorder.event import Event, InstrumentUpdate, RestResponse
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.live.rest import TIMEOUT_SECONDS, RestFailure, fetch

SPOT = (
    b'{"code":"0","msg":"","data":[ {"instType":"SPOT","instId":"BTC-USDT","baseCcy":"BTC",'
    b'"quoteCcy":"USDT","tickSz":"0.10","lotSz":"0.00000001","minSz":"0.00001","state":"live"}]}\n'
)


@asynccontextmanager
async def web(
    answer: bytes, *, hold: asyncio.Event | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """An HTTP server that gives everybody the same bytes."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if hold is not None:
            await hold.wait()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


def http(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_the_exact_body() -> None:
    body = b'{"a": 1,\r\n\x00"\xff"}'
    async with web(http(body)) as (url, heads):
        assert await fetch(f"{url}/x?y=1", demo_trading=True) == body
    lines = heads[0].split(b"\r\n")
    assert lines[0] == b"GET /x?y=1 HTTP/1.1"
    assert b"X-Simulated-Trading: 1" in lines
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with web(chunked) as (url, _):
        assert await fetch(url) == b"abcde"


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (http(b"{}", "503 Service Unavailable"), 503, "HTTP 503 Service Unavailable"),
        (http(b"", "302 Found", "Location: http://127.0.0.1:1/"), 302, "HTTP 302"),
        (http(b"x" * 101), 200, "more than 100 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
            None,
            "45 bytes of the body missing",
        ),
        (b"nonsense\r\n\r\n", None, "nonsense"),
        (b"", None, "closed"),
    ],
)
async def test_what_is_no_body(answer: bytes, status: int | None, words: str) -> None:
    async with web(answer) as (url, _):
        with pytest.raises(RestFailure, match=words) as caught:
            await fetch(url, limit=100)
    assert caught.value.status == status


async def test_a_server_that_says_nothing() -> None:
    hold = asyncio.Event()
    async with web(b"", hold=hold) as (url, _):
        with pytest.raises(RestFailure, match=r"within 0\.1 s"):
            await fetch(url, timeout=0.1)
        hold.set()


def instruments(body: bytes, status: int = 200) -> Callable[[Any, Request], Response | None]:
    def check(connection: Any, request: Request) -> Response | None:
        if not request.path.startswith("/api/"):
            return None
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return Response(status, "whatever", headers, body)

    return check


async def test_instrument_lists_are_part_of_the_session(
    venue_of: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path, fast: LinkOptions
) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def on_event(event: Event, _context: object) -> None:
        if isinstance(event, RestResponse):
            loop.call_soon_threadsafe(done.set)

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await done.wait()

    async with venue_of(script, http=instruments(SPOT)) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, link=fast, until_closed=True,
            on_event=on_event,
        )  # fmt: skip
    assert report.exit_code is ExitCode.DONE
    frames = list(Capture(tmp_path / "c").frames())
    body = next(frame for frame in frames if frame.kind is Kind.REST)
    assert body.payload == SPOT
    mine = [frame for frame in frames if frame.connection == body.connection]
    assert [frame.kind for frame in mine] == [Kind.SENT, Kind.REST]
    assert mine[0].payload == b"GET /api/v5/public/instruments?instType=SPOT HTTP/1.1"
    events = list(Capture(tmp_path / "c").events())
    response = next(event for event in events if isinstance(event, RestResponse))
    assert response.request == mine[0].payload.decode()
    update = next(event for event in events if isinstance(event, InstrumentUpdate))
    assert (update.instrument, update.tick_size) == ("BTC-USDT", 0.1)


async def test_a_rest_failure_is_a_warning_and_a_row(
    venue_of: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path, fast: LinkOptions
) -> None:
    told: list[str] = []
    done = asyncio.Event()

    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        await done.wait()

    def notify(message: str) -> None:
        told.append(message)
        if sum(line.startswith("warning") for line in told) == 2:
            done.set()

    async with venue_of(script, http=instruments(b"{}", 429)) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT", "books:BTC-USDT-SWAP"], url=venue.url, link=fast,
            until_closed=True, notify=notify,
        )  # fmt: skip
    assert report.exit_code is ExitCode.DONE
    warned = [line for line in told if line.startswith("warning")]
    assert len(warned) >= 2
    assert all("HTTP 429" in line and "recording goes on" in line for line in warned[:2])
    frames = list(Capture(tmp_path / "c").frames())
    ends = [json.loads(f.payload) for f in frames if f.kind is Kind.CLOSED]
    failed = [row for row in ends if not row["opened"]]
    assert [row["code"] for row in failed] == [429, 429]


async def test_a_slow_rest_server_does_not_hold_up_the_end(
    venue_of: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path, fast: LinkOptions
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def hang(connection: Any, request: Request) -> Response | None:
        if request.path.startswith("/api/"):
            asked.set()
            await release.wait()
        return None

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await asked.wait()

    async with venue_of(script, http=hang) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, link=fast, until_closed=True
        )
        release.set()
    assert report.seconds < TIMEOUT_SECONDS
    frames = list(Capture(tmp_path / "c").frames())
    ends = [json.loads(f.payload) for f in frames if f.kind is Kind.CLOSED]
    assert [row["reason"] for row in ends if not row["opened"]] == ["stopped before an answer came"]


async def test_a_body_that_drips_is_given_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RestFailure, match=r"no whole body within 0\.3 s"):
            await fetch(url, whole=0.3)


async def test_a_fault_of_ours_in_the_thread_is_a_failure_and_no_wait_for_ever(
    monkeypatch: Any,
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("no")

    monkeypatch.setattr("recorder.live.rest._get", broken)
    with pytest.raises(RestFailure, match="ZeroDivisionError: no"):
        await fetch("http://127.0.0.1:1", whole=20)
