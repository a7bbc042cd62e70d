"""Unmodified OKX clients follow a served capture and end with our book, level by level."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.event import Trade
from replay.server import Server, serve
from replay.server.tls import kept_pair
from tests.clients.table import CLIENTS, Client, Truth, follow, truth_of

RECOVERS = ("ccxt",)
"""Clients that resubscribe by themselves after a gap.

cryptofeed raises and reconnects; the others, driven as here, go on with a wrong book.
"""


def client_of(name: str) -> Client:
    client = CLIENTS[name]
    if client.executable is None:
        pytest.skip(f"{name} is not installed: {client.refusal}")
    return client


@asynccontextmanager
async def serving(
    capture: Path, client: Client, folder: Path, speed: float | str, faults: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Server, Path | None]]:
    tls, authority = kept_pair(folder, "127.0.0.1") if client.wants_tls else (None, None)
    async with serve(
        capture,
        port=0,
        speed=speed,
        wait_for_subscribers=client.arguments,
        tls=tls,
        faults=faults,
    ) as server:
        yield server, authority


def assert_same_book(told: dict[str, Any], truth: Truth) -> None:
    for side, ours in (("bids", truth.bids), ("asks", truth.asks)):
        theirs = [(float(price), float(size)) for price, size in told[side]]
        assert theirs == ours, f"{told['client']}: {side} differ"


@pytest.mark.parametrize("name", CLIENTS)
async def test_it_ends_with_our_book(name: str, datasets: Path, tmp_path: Path):
    client = client_of(name)
    capture = datasets / "btc-calm"
    truth = truth_of(capture, "BTC-USDT")
    async with serving(capture, client, tmp_path, "max") as (server, authority):
        told = await follow(client, server, "BTC-USDT", truth, authority=authority)
        report = server.report()
    assert_same_book(told, truth)
    assert report.too_slow == 0
    events = Capture(capture).events(channels=["trades"], instruments=["BTC-USDT"])
    trades = {event.trade_id for event in events if isinstance(event, Trade)}
    assert told.get("trades") in (None, len(trades))
    if name == "ccxt":
        assert told["ticker"] is not None
        assert len(told["candle"]) == 6


@pytest.mark.parametrize("name", RECOVERS)
async def test_it_recovers_from_a_recorded_gap(name: str, datasets: Path, tmp_path: Path):
    """The capture has a gap at 18 s and a disconnect at 45 s: as live, a resubscription heals."""
    client = client_of(name)
    capture = datasets / "eth-stress"
    truth = truth_of(capture, "ETH-USDT")
    async with serving(capture, client, tmp_path, 4) as (server, authority):
        told = await follow(client, server, "ETH-USDT", truth, authority=authority)
    assert_same_book(told, truth)
    if name == "ccxt":
        assert any("InvalidNonce" in error for error in told["errors"])


@pytest.mark.parametrize("name", RECOVERS)
async def test_it_recovers_from_an_injected_gap(name: str, datasets: Path, tmp_path: Path):
    """One update is kept from it: it unsubscribes, subscribes, and is right again."""
    client = client_of(name)
    capture = datasets / "btc-calm"
    truth = truth_of(capture, "BTC-USDT")
    faults = ("gap:books:BTC-USDT@pushes=300",)
    async with serving(capture, client, tmp_path, 10, faults) as (server, authority):
        told = await follow(client, server, "BTC-USDT", truth, authority=authority)
        assert server.report().faults == {"gap": 1}
    assert_same_book(told, truth)
    if name == "ccxt":
        assert any("InvalidNonce" in error for error in told["errors"])
