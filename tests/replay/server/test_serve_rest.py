"""REST beside the sockets: at the instant of the replay, from what was pushed before it."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.frame import Kind
from recorder.okx.served import push_of
from replay.server import Server, serve
from replay.simulation.simulator import simulate


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rest") / "calm"
    simulate(path, seed=8, instruments=["BTC-USDT"], duration=12.0, rate=3.0, scenario="calm")
    return path


async def get(server: Server, target: str) -> tuple[int, Any]:
    def ask() -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    return await asyncio.to_thread(ask)


def pushed(path: Path, channel: str, before: int) -> list[Any]:
    """The rows pushed on a channel by a time, in order."""
    rows: list[Any] = []
    for frame in Capture(path).frames(kinds=[Kind.TEXT], channels=[channel], end=before):
        if push_of(frame.payload) is not None:
            rows += json.loads(frame.payload)["data"]
    return rows


async def test_answers_are_those_of_the_instant(calm: Path):
    capture = Capture(calm)
    times = [frame.ts_recv for frame in capture.frames(kinds=[Kind.TEXT])]
    start = times[2 * len(times) // 3]
    async with serve(calm, port=0, speed=1, start=start, start_paused=True) as server:
        status, ticker = await get(server, "/api/v5/market/ticker?instId=BTC-USDT")
        _, tickers = await get(server, "/api/v5/market/tickers?instType=SPOT")
        _, swaps = await get(server, "/api/v5/market/tickers?instType=SWAP")
        _, trades = await get(server, "/api/v5/market/trades?instId=BTC-USDT&limit=7")
        _, candles = await get(server, "/api/v5/market/candles?instId=BTC-USDT&bar=1m")
        _, moment = await get(server, "/api/v5/public/time")

    assert status == 200
    assert ticker == {"code": "0", "msg": "", "data": [pushed(calm, "tickers", start)[-1]]}
    assert tickers["data"] == ticker["data"]
    assert swaps["data"] == []
    expected = [
        {key: row[key] for key in ("instId", "side", "sz", "source", "px", "tradeId", "ts")}
        for row in reversed(pushed(calm, "trades", start)[-7:])
    ]
    assert trades["data"] == expected
    bars = {row[0]: row for row in pushed(calm, "candle1m", start)}
    assert candles["data"] == [bars[key] for key in sorted(bars, reverse=True)]
    assert moment["data"] == [{"ts": str(start // 1_000_000)}]


async def test_lists_come_from_what_was_recorded(calm: Path):
    async with serve(calm, port=0, start_paused=True) as server:
        _, one = await get(server, "/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT")
        _, none = await get(server, "/api/v5/public/instruments?instType=SPOT&instId=NO-SUCH")
        _, underlying = await get(server, "/api/v5/public/underlying?instType=OPTION")

    assert [row["instId"] for row in one["data"]] == ["BTC-USDT"]
    assert none["data"] == []
    assert underlying["data"] == [[]]
    assert "capture" in underlying["msg"]


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/api/v5/market/ticker", 400, "50014"),
        ("/api/v5/market/books", 400, "50014"),
        ("/api/v5/public/instruments", 400, "50014"),
        ("/api/v5/market/ticker?instId=NO-SUCH", 200, "51001"),
        ("/api/v5/market/candles?instId=BTC-USDT&bar=4H", 200, "51001"),
        ("/api/v5/market/books?instId=NO-SUCH&sz=5", 200, "51001"),
        ("/api/v5/account/balance", 404, "404"),
        ("/api/v4/market/ticker", 404, "404"),
    ],
)
async def test_errors_are_those_of_the_venue(calm: Path, target: str, status: int, code: str):
    async with serve(calm, port=0, start_paused=True) as server:
        answered, body = await get(server, target)

    assert (answered, body["code"], body["data"]) == (status, code, [])


async def test_one_client_too_many_is_told_so(calm: Path):
    async with serve(calm, port=0, start_paused=True, clients=1) as server:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus

        async with connect(f"{server.url}/public"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{server.url}/public"):
                    pass

    assert refused.value.response.status_code == 503
