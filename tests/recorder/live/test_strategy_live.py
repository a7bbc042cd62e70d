"""A strategy is called live as in a replay of what was recorded; a recorder records its shard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recorder import record
from recorder.cli.record import record_command
from recorder.errors import UsageError
from recorder.event import BookUpdate, Event, SequenceGap, Trade
from recorder.live import LinkOptions
from replay import play

VenueOf = Callable[..., AbstractAsyncContextManager[Any]]
MS = 1_000_000


def trade(number: int) -> bytes:
    return (
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":'
        b'"%d","px":"1.5","sz":"2","side":"buy","ts":"1790000000101","count":"1","source":"0",'
        b'"seqId":7}]}' % number
    )


def book(number: int, after: int) -> bytes:
    action = b"snapshot" if after < 0 else b"update"
    return (
        b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"%s","data":[{"asks":[["%d","1",'
        b'"0","1"]],"bids":[["%d","2","0","1"]],"ts":"1790000000101","checksum":0,"seqId":%d,'
        b'"prevSeqId":%d}]}' % (action, 200 + number, 100 + number, number, after)
    )


class Strategy:
    """Writes down everything it is told, with time and book of the moment."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def note(self, what: str, context: Any, *more: Any) -> None:
        known = context.books.get("BTC-USDT")
        best = None if known is None else known.best_bid()
        self.calls.append((what, context.clock.now(), best and best.price, *more))

    def on_start(self, context: Any) -> None:
        self.note("start", context)
        context.every(20 * MS)

    def on_event(self, event: Event, context: Any) -> None:
        self.note("event", context, event)

    def on_trade(self, event: Trade, context: Any) -> None:
        self.note("trade", context, event.trade_id)
        context.after(7 * MS, lambda context: self.note("later", context))

    def on_book(self, event: BookUpdate, context: Any) -> None:
        self.note("book", context, event.seq_id)

    def on_gap(self, event: Event, context: Any) -> None:
        self.note("gap", context, type(event))

    def on_timer(self, timer: Any, context: Any) -> None:
        self.note("timer", context)

    def on_stop(self, context: Any) -> None:
        self.note("stop", context)


async def test_live_and_replayed_it_is_called_identically(
    venue_of: VenueOf, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        first = 1 + 100 * socket.number
        await socket.send(book(first, -1), trade(first))
        for number in range(first, first + 30):
            await socket.send(book(number + 1, number if number % 17 else number + 5))
            await socket.send(trade(number + 1))
        if socket.number == 0:
            await socket.ws.close(1001, "restart")
        else:
            await socket.until_closed()

    live, beside, replayed = Strategy(), list[Event](), Strategy()
    async with venue_of(script) as venue:
        await record(
            tmp_path / "c", ["books:BTC-USDT", "trades:BTC-USDT"], url=venue.url, rest=False,
            strategy=live, on_event=lambda event, _: beside.append(event), frames=120, link=fast,
        )  # fmt: skip
    play(tmp_path / "c", replayed)
    assert live.calls == replayed.calls
    told = [call[0] for call in live.calls]
    assert (told[0], told[-1]) == ("start", "stop")
    assert {"event", "trade", "book", "gap", "timer", "later"} <= set(told)
    assert any(call[0] == "gap" and call[3] is SequenceGap for call in live.calls)
    assert beside == [call[3] for call in live.calls if call[0] == "event"]


async def test_shards_record_their_parts(venue_of: VenueOf, tmp_path: Path) -> None:
    wanted = [f"trades:{name}-USDT" for name in ("BTC", "ETH", "SOL", "XRP", "ADA")] + ["status"]

    async def script(socket: Any) -> None:
        await socket.until_subscribed()

    words: list[str] = []
    async with venue_of(script) as venue:
        for number in (1, 2):
            await record(
                tmp_path / str(number), wanted, url=venue.url, rest=False, until_closed=True,
                shard=f"{number}/2", notify=words.append,
            )  # fmt: skip
    assert sum("of 6 subscriptions" in line for line in words) == 2
    texts = [b"".join(socket.received) for socket in venue.sockets]
    for item in wanted:
        name = item.removeprefix("trades:").encode()
        assert sum(name in text for text in texts) == 1
    with pytest.raises(UsageError, match="such as 2/5"):
        await record(tmp_path / "x", wanted, shard="3/2")
    assert not (tmp_path / "x").exists()


def test_a_dry_run_lists_the_parts_and_opens_nothing(tmp_path: Path) -> None:
    wanted = [f"books:C{number}-USDT" for number in range(20)]
    arguments = [part for item in wanted for part in ("-s", item)]
    found: list[str] = []
    for number in (1, 2, 3):
        done = CliRunner().invoke(
            record_command, [str(tmp_path / "c"), *arguments, "--shard", f"{number}/3", "--dry-run"]
        )
        assert done.exit_code == 0, done.output
        found += [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert sorted(found) == sorted(wanted)
    assert not (tmp_path / "c").exists()
