"""The venue over real sockets: its pushes make whole books, its faults are what they say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    WebSocketException,
)

from recorder.frame import Frame, Kind
from recorder.okx import faults as kinds
from recorder.okx.exchange import Rules
from recorder.okx.faults import AnyFault, Scenario
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import push_of
from replay.simulation.simulator import simulate
from tests.venue.feeds import CaptureFeed, MarketFeed, QuietFeed
from tests.venue.server import Venue

BOOKS = {"channel": "books", "instId": "BTC-USDT"}
TRADES = {"channel": "trades", "instId": "BTC-USDT"}
ROOT = Path(__file__).resolve().parent.parent.parent


def quiet(*faults: AnyFault, **options: Any) -> Venue:
    return Venue(Scenario(faults=faults, **options), QuietFeed("trades:BTC-USDT", "orders"))


def trade(number: int, size: int = 0) -> bytes:
    head = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"tradeId":"%d",' % number
    return head + b'"x":"' + b"x" * size + b'"}]}'


async def ask(socket: ClientConnection, op: str, *arguments: dict[str, Any]) -> None:
    await socket.send(json.dumps({"op": op, "args": list(arguments)}))


async def take(socket: ClientConnection, count: int) -> list[bytes]:
    async with asyncio.timeout(60):
        return [bytes(await socket.recv(decode=False)) for _ in range(count)]


async def until_closed(socket: ClientConnection) -> tuple[list[bytes], int]:
    """Read to the end; return the messages and the close code as a client sees it."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(60):
            while True:
                messages.append(bytes(await socket.recv(decode=False)))
    return messages, socket.close_code or 0


def facts(venue: Venue, what: str) -> list[dict[str, Any]]:
    return [item for item in venue.oracle.lines if item["what"] == what]


async def test_books_of_a_newcomer_and_of_those_before_it_are_whole():
    feed = MarketFeed(seed=5, instruments=["BTC-USDT"], rate=3)
    async with Venue(feed=feed) as venue:
        async with connect(venue.url + "/public") as first:
            await ask(first, "subscribe", BOOKS)
            early = await take(first, 8)
            async with connect(venue.url + "/public?x=1") as second:
                await ask(second, "subscribe", BOOKS)
                late = await take(second, 12)
            early += await take(first, 8)
        body = json.loads(venue.rest("/api/v5/market/books?instId=BTC-USDT&sz=400")[1])

    for received in (early, late):
        interpreter = Interpreter()
        for seq, payload in enumerate(received):
            interpreter.step(Frame(seq, seq, seq, 0, Kind.TEXT, payload))
        assert interpreter.integrity.gaps == 0
        assert interpreter.integrity.links >= 6
        book = interpreter.books.get("BTC-USDT")
        assert book is not None
        assert book.is_whole
        assert book.seq_id is not None
        assert book.seq_id <= body["data"][0]["seqId"]


async def test_private_channels_push_snapshots_and_orders_do_not():
    async with Venue(feed=MarketFeed(seed=5)) as venue, connect(venue.url + "/private") as socket:
        keys = {"apiKey": "my-key", "passphrase": "p", "timestamp": "1", "sign": "s"}
        await ask(socket, "login", keys)
        await ask(socket, "subscribe", {"channel": "account"})
        login, ack, count, account = await take(socket, 4)
        said = venue.connections("private")[0].received

    assert json.loads(login)["event"] == "login"
    assert json.loads(ack)["event"] == "subscribe"
    assert json.loads(count)["event"] == "channel-conn-count"
    assert json.loads(account)["eventType"] == "snapshot"
    assert b"my-key" not in msgspec.json.encode(venue.oracle.lines)
    assert said[0] == b'{"op":"login"}'


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (kinds.Refuse(status=403), InvalidStatus),
        (kinds.Refuse(status=429, retry_after=3), InvalidStatus),
        (kinds.Drop(), InvalidMessage),
        (kinds.Stall(), TimeoutError),
    ],
)
async def test_handshakes_that_fail(fault, raised):
    patience = 0.3 if raised is TimeoutError else 60
    async with quiet(fault) as venue:
        with pytest.raises((WebSocketException, TimeoutError)) as failed:
            async with connect(venue.url + "/public", open_timeout=patience):
                pass
        assert isinstance(failed.value, raised)
        if isinstance(failed.value, InvalidStatus):
            assert failed.value.response.status_code == fault.status
            assert failed.value.response.headers.get("Retry-After") == (
                None if fault.retry_after is None else "3"
            )
        async with connect(venue.url + "/public"):
            pass

    assert [made.fault for made in venue.made] == [kinds.name_of(fault)]
    assert len(facts(venue, "attempt")) == 2
    assert len(facts(venue, "opened")) == 1


@pytest.mark.parametrize(
    ("fault", "code", "how"),
    [
        (kinds.CloseWith(code=4007, pushes=3), 4007, "close"),
        (kinds.CutOff(how="eof", pushes=3), 1006, "eof"),
        (kinds.CutOff(how="inside", pushes=3), 1006, "inside"),
        (kinds.CutOff(how="reset", pushes=3), 1006, "reset"),
        (kinds.BreakFraming(pushes=3), 1006, "broken"),
    ],
)
async def test_ends_and_what_was_handed_before_them(fault, code: int, how: str):
    async with quiet(fault) as venue, connect(venue.url + "/public") as socket:
        await ask(socket, "subscribe", TRADES)
        await take(socket, 1)
        for number in range(5):
            venue.push(trade(number))
            await asyncio.sleep(0)
        messages, seen = await until_closed(socket)
        await venue.until(lambda: venue.connections()[0].is_gone)

    assert seen == code
    (ended,) = facts(venue, "ended")
    assert ended["how"] == how
    assert ended["handed"] == 4 == len(facts(venue, "frame"))
    if how != "reset":
        assert messages == [trade(number) for number in range(3)]


async def test_silence_answers_nothing_and_never_closes():
    async with (
        quiet(kinds.GoSilent(after=0.05)) as venue,
        connect(venue.url + "/public", ping_interval=None, close_timeout=0.2) as socket,
    ):
        await ask(socket, "subscribe", TRADES)
        await take(socket, 1)
        await venue.until(lambda: bool(venue.made))
        await socket.send("ping")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await socket.recv()

    assert facts(venue, "ended")[0]["how"] == "hang"


async def test_split_and_dripped_messages_arrive_whole():
    faults = (kinds.Split(pieces=4, seconds=60), kinds.Drip(bytes_per_second=50_000, seconds=60))
    async with quiet(*faults) as venue, connect(venue.url + "/public") as socket:
        await ask(socket, "subscribe", TRADES)
        await take(socket, 1)
        begun = asyncio.get_running_loop().time()
        for number in range(4):
            venue.push(trade(number, 2_000))
        messages = await take(socket, 4)
        took = asyncio.get_running_loop().time() - begun

    assert messages == [trade(number, 2_000) for number in range(4)]
    assert took > 0.1, "8 kB at 50 kB/s"
    assert [item["order"] for item in facts(venue, "frame")] == [0, 1, 2, 3, 4]


async def test_a_message_is_handed_when_the_kernel_has_all_of_it():
    async with quiet() as venue:
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port, limit=1 << 10)
        writer.write(
            b"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        text = json.dumps({"op": "subscribe", "args": [TRADES]}).encode()
        writer.write(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
        await venue.until(lambda: bool(venue.holders("trades:BTC-USDT")))
        (peer,) = venue.connections()
        for number in range(12):
            venue.push(trade(number, 1 << 20))
        stuck = peer.handed
        writer.transport.abort()
        await venue.until(lambda: peer.is_gone)
        del reader

    assert stuck < 13, "a client that does not read is not handed 12 MiB"
    handed, pending = facts(venue, "frame"), facts(venue, "pending")
    assert len(handed) + len(pending) == 13
    assert facts(venue, "ended")[0]["how"] == "vanished"


async def test_rest_serves_the_time_instruments_and_faults():
    async with Venue(
        Scenario(faults=(kinds.Refuse(status=500, endpoint="rest"),)), MarketFeed(seed=1)
    ) as venue:

        def get(target: str) -> tuple[int, Any]:
            connection = HTTPConnection("127.0.0.1", venue.port, timeout=60)
            connection.request("GET", target)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

        answers = [
            await asyncio.to_thread(get, target)
            for target in (
                "/api/v5/public/time",
                "/api/v5/public/time",
                "/api/v5/public/instruments?instType=SWAP",
                "/api/v5/nothing",
            )
        ]

    assert [status for status, _ in answers] == [500, 200, 200, 404]
    assert answers[2][1]["data"][0]["instId"] == "BTC-USDT-SWAP"
    assert len(facts(venue, "rest")) == 4


async def test_rules_and_injected_faults():
    async with (
        quiet(rules=Rules(requests_per_hour=1)) as venue,
        connect(venue.url + "/public") as socket,
    ):
        await ask(socket, "subscribe", TRADES)
        await ask(socket, "subscribe", TRADES)
        _, refused = await take(socket, 2)
        venue.inject(kinds.Say(text="hello", endpoint="public"))
        assert await take(socket, 1) == [b"hello"]

    assert json.loads(refused)["code"] == "60014"


async def test_a_capture_is_pushed_again(tmp_path: Path):
    path = tmp_path / "capture"
    simulate(path, seed=3, instruments=["BTC-USDT"], frames=400)
    feed = CaptureFeed(path, speed=50)
    wanted = next(item for item in feed.arguments() if item.channel == "trades")
    async with Venue(feed=feed) as venue, connect(venue.url + "/public") as socket:
        await ask(socket, "subscribe", wanted.argument)
        received = await take(socket, 4)

    assert [push_of(payload) for payload in received[1:]] == [wanted] * 3


async def test_as_a_process_it_prints_its_url_and_leaves_a_log(tmp_path: Path):
    log, scenario = tmp_path / "oracle.jsonl", tmp_path / "faults.toml"
    scenario.write_text('[[faults]]\ndo = "close"\ncode = 4006\npushes = 5\n')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.venue", "--seed", "3", "--log", log, "--scenario", scenario,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(120):
            assert process.stdout is not None
            url = (await process.stdout.readline()).decode().strip()
            async with connect(url + "/public") as socket:
                await ask(socket, "subscribe", BOOKS, TRADES)
                messages, code = await until_closed(socket)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    assert code == 4006
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [item["what"] for item in lines if item["what"] in ("opened", "fault", "ended")] == [
        "opened",
        "fault",
        "ended",
    ]
    assert sum(item["what"] == "frame" for item in lines) == len(messages) >= 5
