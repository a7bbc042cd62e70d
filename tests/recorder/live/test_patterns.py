"""Patterns are looked up before anything is recorded: by REST, or in a saved list."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from recorder.errors import RestError, UsageError
from recorder.live.patterns import resolve
from recorder.okx.hosts import hosts_at
from recorder.okx.subscription import Subscription, parse_subscription

VenueOf = Callable[..., AbstractAsyncContextManager[Any]]
NOBODY = hosts_at("ws://127.0.0.1:9/ws/v5")


def wanted(*texts: str) -> list[Subscription]:
    return [parse_subscription(text) for text in texts]


def listing(*names: str, kind: str = "SWAP") -> bytes:
    rows = [{"instType": kind, "instId": name, "state": "live"} for name in names]
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


async def unused(_: Any) -> None:
    """No socket is opened by looking a pattern up."""


async def test_by_rest(venue_of: VenueOf) -> None:
    asked: list[str] = []

    def http(_: Any, request: Any) -> Response:
        asked.append(request.path)
        body = listing("ETH-USDT-SWAP", "BTC-USDT-SWAP", "BTC-USD-SWAP")
        return Response(200, "OK", Headers({"Content-Length": str(len(body))}), body)

    async with venue_of(unused, http=http) as venue:
        found = await resolve(wanted("trades:BTC-*-SWAP", "books:ETH-USDT"), hosts_at(venue.url))
    assert [str(item) for item in found] == [
        "trades:BTC-USD-SWAP",
        "trades:BTC-USDT-SWAP",
        "books:ETH-USDT",
    ]
    assert asked == ["/api/v5/public/instruments?instType=SWAP"]


async def test_without_a_pattern_nobody_is_asked() -> None:
    plain = wanted("books:BTC-USDT", "status")
    assert await resolve(plain, NOBODY) == plain


async def test_a_venue_without_a_list_ends_the_start(unused_port: int) -> None:
    hosts = hosts_at(f"ws://127.0.0.1:{unused_port}/ws/v5")
    with pytest.raises(RestError, match="--instruments-file") as caught:
        await resolve(wanted("trades:BTC-*-SWAP"), hosts)
    assert caught.value.exit_code == 5


async def test_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_bytes(listing("BTC-USDT-SWAP", "SOL-USDT-SWAP"))
    found = await resolve(wanted("books:*-SWAP"), NOBODY, instruments_file=path)
    assert [item.instrument for item in found] == ["BTC-USDT-SWAP", "SOL-USDT-SWAP"]
    with pytest.raises(UsageError, match="expected an instrument that matches DOGE"):
        await resolve(wanted("books:DOGE*-SWAP"), NOBODY, instruments_file=path)
    path.write_text("no list")
    with pytest.raises(UsageError, match=r"i\.json"):
        await resolve(wanted("books:*-SWAP"), NOBODY, instruments_file=path)
    with pytest.raises(UsageError, match="No such file"):
        await resolve(wanted("books:*-SWAP"), NOBODY, instruments_file=tmp_path / "absent")
