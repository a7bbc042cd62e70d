"""A private capture, served: logins, snapshots for late subscribers, books and time by REST."""

from __future__ import annotations

import asyncio
import json
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from recorder.capture.writer import CaptureWriter
from recorder.frame import Frame, Kind
from recorder.okx.auth import Credentials, judge, login_request
from replay.server import Server, serve
from tests.venue.account import AccountFeed

START = 1_790_000_000_000_000_000
ORDERS = {"channel": "orders", "instType": "ANY"}
POSITIONS = {"channel": "positions", "instType": "ANY"}
BOOKS = {"channel": "books", "instId": "BTC-USDT"}
LOGIN = {"apiKey": "k", "passphrase": "p", "timestamp": "1", "sign": "s"}


def book(seq_id: int, previous: int, size: str) -> bytes:
    action = "snapshot" if previous < 0 else "update"
    row = {
        "asks": [["2", "1", "0", "1"]] if previous < 0 else [],
        "bids": [["1", size, "0", "1"]],
        "ts": "1790000000000",
        "checksum": 0,
        "seqId": seq_id,
        "prevSeqId": previous,
    }
    return msgspec.json.encode({"arg": BOOKS, "action": action, "data": [row]})


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A private and a public connection; the private pushes of half a minute."""
    path = tmp_path_factory.mktemp("private") / "capture"
    pushes: list[bytes] = []
    feed = AccountFeed(3, ["BTC-USDT", "BTC-USDT-SWAP"])
    feed.begin(START, pushes.append)
    now = START
    while now < START + 30_000_000_000:
        now = feed.act(now, pushes.append)
    rows = [(Kind.OPENED, n, f'{{"endpoint":"{name}"}}'.encode()) for n, name in
            enumerate(("private", "public"))]  # fmt: skip
    rows.append((Kind.TEXT, 1, book(10, -1, "5")))
    rows += [(Kind.TEXT, 0, payload) for payload in pushes]
    rows.append((Kind.TEXT, 1, book(20, 10, "7")))
    with CaptureWriter(path) as writer:
        for seq, (kind, connection, payload) in enumerate(rows):
            at = START + seq * 1_000_000
            writer.write([Frame(seq, at, at, connection, kind, payload)])
    return path, pushes


async def ask(socket: ClientConnection, op: str, *arguments: dict[str, Any]) -> None:
    await socket.send(json.dumps({"op": op, "args": list(arguments)}))


async def next_text(socket: ClientConnection) -> bytes:
    async with asyncio.timeout(60):
        return bytes(await socket.recv(decode=False))


def get(server: Server, target: str) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", target)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


async def test_private_channels_want_a_login_and_then_come_byte_for_byte(recording):
    path, pushes = recording
    async with (
        serve(path, port=0, speed=None, at_end="close", wait_for_subscribers=1) as server,
        connect(server.url + "/private") as socket,
    ):
        await ask(socket, "subscribe", ORDERS)
        assert json.loads(await next_text(socket))["code"] == "60011"
        await ask(socket, "login", LOGIN)
        assert json.loads(await next_text(socket))["event"] == "login"
        await ask(socket, "subscribe", ORDERS)
        assert json.loads(await next_text(socket))["event"] == "subscribe"
        assert json.loads(await next_text(socket))["event"] == "channel-conn-count"
        received = [text async for text in socket]

    orders = [payload for payload in pushes if b'"channel":"orders"' in payload]
    assert [str(text).encode() for text in received] == orders


async def test_only_these_keys_may_log_in(recording):
    credentials = Credentials("some-key", "some-secret", "some-words")
    async with (
        serve(recording[0], port=0, login=judge(credentials)) as server,
        connect(server.url + "/private") as socket,
    ):
        await ask(socket, "login", LOGIN)
        refused = json.loads(await next_text(socket))
        await socket.send(login_request(credentials, int(time.time()), "r1").decode())
        accepted = json.loads(await next_text(socket))

    assert refused["event"] == "error"
    assert accepted["event"] == "login"


async def test_a_late_subscriber_of_positions_gets_the_whole_state_first(recording):
    path, pushes = recording
    async with serve(path, port=0, speed=None) as server:
        await server.wait_finished()
        async with connect(server.url + "/private") as socket:
            await ask(socket, "login", LOGIN)
            await next_text(socket)
            await ask(socket, "subscribe", POSITIONS, ORDERS)
            received = [await next_text(socket) for _ in range(5)]

    whole = json.loads(received[2])
    latest: dict[str, str] = {}
    for payload in pushes:
        body = json.loads(payload)
        if body["arg"]["channel"] == "positions":
            latest |= {row["instId"]: row["pos"] for row in body["data"]}
    assert whole["eventType"] == "snapshot"
    assert {row["instId"]: row["pos"] for row in whole["data"]} == {
        name: held for name, held in latest.items() if held != "0"
    }
    assert latest
    assert json.loads(received[4])["event"] == "channel-conn-count", "orders have no snapshot"


async def test_a_start_in_the_middle_knows_the_account_before_it(recording):
    path, _ = recording
    start = START + 200 * 1_000_000
    async with (
        serve(path, port=0, speed=1, start=start, wait_for_subscribers=6) as server,
        connect(server.url + "/private") as socket,
    ):
        await ask(socket, "login", LOGIN)
        await next_text(socket)
        await ask(socket, "subscribe", POSITIONS)
        received = [await next_text(socket) for _ in range(3)]

    assert json.loads(received[2])["eventType"] == "snapshot"


async def test_rest_has_the_book_and_the_time_of_the_instant(recording):
    path, _ = recording
    async with serve(path, port=0, speed=None, wait_for_subscribers=1) as server:
        before = await asyncio.to_thread(get, server, "/api/v5/market/books?instId=BTC-USDT&sz=400")
        async with connect(server.url + "/public") as socket:
            await ask(socket, "subscribe", BOOKS)
            await next_text(socket)
            await server.wait_finished()
            book_now = await asyncio.to_thread(
                get, server, "/api/v5/market/books?instId=BTC-USDT&sz=400"
            )
            one = await asyncio.to_thread(get, server, "/api/v5/market/books?instId=BTC-USDT")
            instant = await asyncio.to_thread(get, server, "/api/v5/public/time")
            nothing = await asyncio.to_thread(get, server, "/api/v5/market/books?instId=NO-SUCH")

    assert before == (200, {"code": "51001", "data": [], "msg": before[1]["msg"]})
    assert book_now[0] == one[0] == 200
    row = book_now[1]["data"][0]
    assert row["seqId"] == 20
    assert row["bids"] == [["1", "7", "0", "1"]]
    assert row["asks"] == [["2", "1", "0", "1"]]
    assert int(instant[1]["data"][0]["ts"]) >= START // 1_000_000
    assert nothing[1]["code"] == "51001"
