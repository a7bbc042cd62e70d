"""`watch`: the events a recording would deliver, without a capture, at the loop's own pace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder import record, watch
from recorder.errors import ConnectError, StartError, UsageError
from recorder.event import BookUpdate, Connected, Disconnected, Event, Subscribed, Trade
from recorder.live import watching

TRADE = (
    b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d",'
    b'"px":"1.5","sz":"2","side":"buy","ts":"1790000000101","count":"1","source":"0","seqId":7}]}'
)
BOOK = (
    b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"%s","data":[{"asks":[["%d.5","1","0",'
    b'"1"]],"bids":[["%d","1","0","1"]],"ts":"1790000000101","checksum":0,"seqId":%d,"prevSeqId":%d}]}'
)
VenueOf = Callable[..., AbstractAsyncContextManager[Any]]


def market(events: list[Event]) -> list[tuple[Any, ...]]:
    """Return what a market said, without the times of this run."""
    return [(type(e), e.trade_id, e.price) for e in events if isinstance(e, Trade)]


async def test_watch_and_record_see_the_same(venue_of: VenueOf, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*(TRADE % number for number in range(20)))

    recorded: list[Event] = []
    async with venue_of(script) as venue:
        shared: dict[str, Any] = {"url": venue.url, "until_closed": True}
        watched = [event async for event in watch(["trades:BTC-USDT"], **shared)]
        await record(
            tmp_path / "c", ["trades:BTC-USDT"], rest=False,
            on_event=lambda event, _: recorded.append(event), **shared,
        )  # fmt: skip
    assert [type(event) for event in watched if type(event) in (Connected, Subscribed)] == [
        Connected,
        Subscribed,
    ]
    assert len(market(watched)) == 20
    assert market(watched) == market(recorded)
    assert isinstance([e for e in watched if isinstance(e, Disconnected)][-1], Disconnected)
    assert not (tmp_path / "watch").exists()


async def test_books_are_those_of_the_event_in_hand(venue_of: VenueOf) -> None:
    """All updates come in one read; the loop still sees each book as it stood."""
    payloads = [BOOK % (b"snapshot", 100, 100, 10, -1)]
    payloads += [BOOK % (b"update", 100, 100 + n, 10 + n, 9 + n) for n in range(1, 30)]

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*payloads)

    seen = []
    async with venue_of(script) as venue:
        watched = watch(["books:BTC-USDT"], url=venue.url, until_closed=True, number=Decimal)
        async for event in watched:
            if isinstance(event, BookUpdate):
                best = watched.books["BTC-USDT"].best_bid()
                assert best is not None
                seen.append(best.price)
    assert seen == [Decimal(100 + number) for number in range(30)]


async def test_leaving_the_loop_closes_the_socket(venue_of: VenueOf) -> None:
    closed = asyncio.Event()

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(TRADE % 1)
        await socket.until_closed()
        closed.set()

    async with venue_of(script) as venue:
        async with aclosing(aiter(watch(["trades:BTC-USDT"], url=venue.url))) as events:
            async for event in events:
                if isinstance(event, Trade):
                    break
        await asyncio.wait_for(closed.wait(), 60)
        assert len(venue.sockets) == 1


async def test_a_slow_loop_makes_the_venue_wait_and_misses_nothing(
    venue_of: VenueOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "STREAM_BYTES", 100_000)
    total, sent = 20_000, 0

    async def script(socket: Any) -> None:
        nonlocal sent
        await socket.until_subscribed()
        for _ in range(total):
            await socket.send(TRADE % sent)
            sent += 1

    async with venue_of(script) as venue:
        watched = watch(["trades:BTC-USDT"], url=venue.url, until_closed=True)
        most, ids = 0, []
        async for event in watched:
            if not isinstance(event, Trade):
                continue
            if len(ids) % 50 == 0:  # others run: frames pile up as far as they may
                await asyncio.sleep(0.001)
            most = max(most, watched._stream.waiting_bytes)
            ids.append(int(event.trade_id))
    assert ids == list(range(total))
    # The limit, and at most one read of the socket beyond it.
    assert most < 100_000 + 3 * (256 << 10)


async def test_ends_when_told(venue_of: VenueOf) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(TRADE % 1, TRADE % 2, TRADE % 3)
        await socket.until_closed()

    async with venue_of(script) as venue:
        stop = asyncio.Event()
        events = []
        async for event in watch(["trades:BTC-USDT"], url=venue.url, stop=stop):
            events.append(event)
            if isinstance(event, Trade):
                stop.set()
        assert [e for e in events if isinstance(e, Disconnected)][-1].by == "recorder"
        count = [e async for e in watch(["trades:BTC-USDT"], url=venue.url, frames=3)]
        assert len(market(count)) == 2  # the ack is one of the three


async def test_refusals_and_a_venue_that_is_not_there(venue_of: VenueOf, unused_port: int) -> None:
    async def script(socket: Any) -> None:
        await socket.until_closed()

    async with venue_of(script, knows=lambda arg: False) as venue:
        watched = watch(["trades:FOO"], url=venue.url)
        with pytest.raises(StartError, match="60018"):
            async for _ in watched:
                pass
        assert [item.code for item in watched.refusals] == ["60018"]
    nobody = f"ws://127.0.0.1:{unused_port}/ws/v5"
    with pytest.raises(ConnectError):
        async for _ in watch(["trades:BTC-USDT"], url=nobody, connect_timeout=0.3):
            pass


def test_mistakes_are_told_before_anything_is_opened() -> None:
    with pytest.raises(UsageError, match="did you mean books"):
        watch(["bokos:BTC-USDT"])
    with pytest.raises(UsageError, match="at least one subscription"):
        watch([])
    with pytest.raises(UsageError, match="above 0"):
        watch(["trades:BTC-USDT"], frames=0)


async def test_a_pattern_is_looked_up(venue_of: VenueOf, tmp_path: Path) -> None:
    rows = [{"instType": "SWAP", "instId": f"{base}-USDT-SWAP", "state": "live"}
            for base in ("BTC", "ETH", "BTCX")]  # fmt: skip
    listed = tmp_path / "instruments.json"
    listed.write_text(json.dumps({"code": "0", "msg": "", "data": rows}))

    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)

    async with venue_of(script) as venue:
        watched = watch(
            ["trades:BTC*-USDT-SWAP"], url=venue.url, instruments_file=listed, until_closed=True
        )
        held = [e.instrument async for e in watched if isinstance(e, Subscribed)]
    assert held == ["BTC-USDT-SWAP", "BTCX-USDT-SWAP"]
