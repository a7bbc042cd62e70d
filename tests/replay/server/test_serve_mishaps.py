"""What a recording met on its way happens again where it is asked for; times move to now."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from recorder.capture.writer import CaptureWriter
from recorder.frame import Frame, Kind
from replay.server import serve
from replay.server.recorded_end import Ending, ending_of
from replay.server.shift import NowShift

START = 1_790_000_000_000_000_000
TICKER = {"channel": "tickers", "instId": "A-B"}
CANDLE = {"channel": "candle1m", "instId": "A-B"}


def ticker(number: int) -> bytes:
    row = {"instId": "A-B", "last": str(number), "ts": str(START // 10**6 + number)}
    return json.dumps({"arg": TICKER, "data": [row]}, separators=(",", ":")).encode()


NOTICE = b'{"event":"notice","msg":"soon","code":"64008","connId":"recorded"}'
CUT = b'{"code":4006,"reason":"Abnormal disconnection","by":"venue","opened":true}'
ROWS = [
    (Kind.OPENED, 0, b'{"endpoint":"public"}'),
    (Kind.TEXT, 0, ticker(1)),
    (Kind.TEXT, 0, NOTICE),
    (Kind.TEXT, 0, ticker(2)),
    (Kind.CLOSED, 0, CUT),
    (Kind.OPENED, 1, b'{"endpoint":"public"}'),
    (Kind.TEXT, 1, ticker(3)),
]


@pytest.fixture(scope="module")
def mishaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mishaps") / "capture"
    with CaptureWriter(path) as writer:
        for seq, (kind, connection, payload) in enumerate(ROWS):
            at = START + seq * 1_000_000
            writer.write([Frame(seq, at, at, connection, kind, payload)])
    return path


async def subscribe(socket: ClientConnection, *arguments: dict[str, Any]) -> None:
    await socket.send(json.dumps({"op": "subscribe", "args": list(arguments)}))


async def all_of(socket: ClientConnection) -> tuple[list[bytes], int]:
    """What comes until the connection is closed, and the code it is closed with."""
    received: list[bytes] = []
    async with asyncio.timeout(60):
        try:
            while True:
                received.append(await socket.recv(decode=False))
        except ConnectionClosed as closed:
            return received, 1006 if closed.rcvd is None else closed.rcvd.code


async def test_a_recorded_notice_and_disconnect_happen_to_those_they_met(mishaps: Path):
    async with serve(
        mishaps, port=0, speed=None, wait_for_subscribers=1, reproduce=True, at_end="close"
    ) as server:
        address = f"{server.url}/public"
        async with connect(address) as socket, connect(address) as bystander:
            await subscribe(socket, TICKER)
            (acked, *received), code = await all_of(socket)
            _, bystanders_code = await all_of(bystander)

    own = json.loads(acked)["connId"]
    assert received == [ticker(1), NOTICE.replace(b"recorded", own.encode()), ticker(2)]
    assert code == 4006
    assert bystanders_code == 1000


async def test_unasked_they_do_not(mishaps: Path):
    async with (
        serve(mishaps, port=0, speed=None, wait_for_subscribers=1, at_end="close") as server,
        connect(f"{server.url}/public") as socket,
    ):
        await subscribe(socket, TICKER)
        (_, *received), code = await all_of(socket)

    assert received == [ticker(1), ticker(2), ticker(3)]
    assert code == 1000


@pytest.mark.parametrize(
    ("row", "ending"),
    [
        (CUT, Ending(4006, "Abnormal disconnection", is_sent=True)),
        (b'{"code":1006,"reason":"","by":"network","opened":true}', Ending(1006, "", False)),
        (b'{"code":1000,"reason":"","by":"recorder","opened":true}', None),
        (b'{"code":null,"reason":"refused","by":"network","opened":false}', None),
        (b"nothing", None),
    ],
)
def test_which_ends_happen_again(row: bytes, ending: Ending | None):
    assert ending_of(row) == ending


async def test_times_are_moved_to_now(mishaps: Path):
    before = time.time()
    async with (
        serve(
            mishaps, port=0, speed=1, wait_for_subscribers=1, retime=True, at_end="close"
        ) as server,
        connect(f"{server.url}/public") as socket,
    ):
        await subscribe(socket, TICKER)
        (_, *received), _ = await all_of(socket)
    after = time.time()

    rows = [json.loads(text)["data"][0] for text in received]
    assert [row["last"] for row in rows] == ["1", "2", "3"]
    times = [int(row["ts"]) / 1_000 for row in rows]
    assert before - 1 <= times[0] <= times[1] <= times[2] <= after + 1


def test_at_the_recordings_own_speed_times_keep_their_distances():
    now = iter([START + 10**12, START + 10**12 + 1_600_000, START + 2 * 10**12])
    shift = NowShift(lambda: 1, clock=lambda: next(now))

    assert shift.shift_ms(START) == 1_000_000
    assert shift.shift_ms(START + 1_000_000) == 1_000_000
    assert shift.shift_ms(START + 1_000_000) == 1_999_999, "after a pause it is now again"
