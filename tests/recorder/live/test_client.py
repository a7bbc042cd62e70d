"""`Client`: what a program does with live data, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder import Client
from recorder.errors import ConnectError, HandshakeError, RecorderError, UsageError, VenueRefused
from recorder.event import BookUpdate, Disconnected, Event, Lost, Trade, Unsubscribed
from recorder.live import LinkOptions
from recorder.okx.subscription import parse_subscription

VenueOf = Callable[..., AbstractAsyncContextManager[Any]]
SECONDS = 60.0


def trade(number: int, instrument: str = "BTC-USDT") -> bytes:
    return (
        f'{{"arg":{{"channel":"trades","instId":"{instrument}"}},"data":[{{"instId":"{instrument}",'
        f'"tradeId":"{number}","px":"1.50","sz":"2","side":"buy","ts":"1790000000101","count":"1",'
        f'"source":"0","seqId":{number}}}]}}'
    ).encode()


def book(number: int, *, after: int | None = None, instrument: str = "BTC-USDT") -> bytes:
    action = "snapshot" if after is None else "update"
    return (
        f'{{"arg":{{"channel":"books","instId":"{instrument}"}},"action":"{action}","data":[{{'
        f'"asks":[["{200 + number}","1","0","1"]],"bids":[["{100 + number}","1","0","1"]],'
        f'"ts":"1790000000101","checksum":0,"seqId":{number},"prevSeqId":'
        f"{-1 if after is None else after}}}]}}"
    ).encode()


class Market:
    """A venue that pushes a trade of what is subscribed, one after the other, while it may."""

    def __init__(self, *, known: Callable[[str], bool] = lambda _: True) -> None:
        self.served: dict[str, int] = {}
        self.going = asyncio.Event()
        self.going.set()
        self.changed = asyncio.Event()
        self.knows = lambda argument: known(argument.get("instId", ""))

    async def __call__(self, socket: Any) -> None:
        pushing = asyncio.create_task(self._push(socket))
        try:
            while True:
                await socket.answer()
                gone = [a["instId"] for a in socket.stopped if "instId" in a]
                held = [a["instId"] for a in socket.started if "instId" in a]
                for name in dict.fromkeys(held):
                    if held.count(name) > gone.count(name):
                        self.served.setdefault(name, 0)
                    else:
                        self.served.pop(name, None)
                self.changed.set()
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)

    async def _push(self, socket: Any) -> None:
        while True:
            await self.going.wait()
            for name in list(self.served):
                self.served[name] += 1
                await socket.send(trade(self.served[name], name))
            await asyncio.sleep(0.002)


async def some(events: Any, count: int, kind: type = Trade) -> list[Any]:
    """Take so many events of a type from a loop that is then left."""
    found = []
    async with asyncio.timeout(SECONDS):
        async for event in events:
            if isinstance(event, kind):
                found.append(event)
                if len(found) == count:
                    break
    return found


def others_running() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_ten_lines(venue_of: VenueOf) -> None:
    market = Market()
    async with venue_of(market) as venue:
        before, threads = others_running(), set(threading.enumerate())
        async with Client(url=venue.url) as client:
            held = await client.subscribe("trades:BTC-USDT", "trades:ETH-USDT")
            assert [str(item) for item in held] == ["trades:BTC-USDT", "trades:ETH-USDT"]
            names = {event.instrument for event in await some(client, 20)}
            assert names == {"BTC-USDT", "ETH-USDT"}
            state = client.state
            assert [item.standing for item in state.subscriptions] == ["held", "held"]
            assert [item["state"] for item in state.connections] == ["connected"]
            assert state.messages >= 20
            msgspec.json.encode(state)
            assert not set(threading.enumerate()) - threads, "no thread of its own"
        assert not client.is_running
        assert client.state.connections[0]["state"] == "closed"
        assert "recorder" not in repr(others_running() - before), "nothing is left running"


async def test_subscriptions_come_and_go_and_an_endpoint_without_any_has_no_socket(
    venue_of: VenueOf,
) -> None:
    market = Market()
    async with venue_of(market) as venue, Client(url=venue.url) as client:
        await client.subscribe("trades:BTC-USDT")
        await client.subscribe("trades:ETH-USDT", "candle1m:BTC-USDT")
        assert [item.endpoint for item in venue.sockets] == ["public", "business"]
        await client.unsubscribe("candle1m:BTC-USDT")
        async with asyncio.timeout(SECONDS):
            await venue.socket("business").ws.wait_closed()
        await client.unsubscribe("trades:BTC-USDT")
        assert list(market.served) == ["ETH-USDT"]
        left = await some(client, 1, Unsubscribed)
        assert left[0].argument["channel"] == "candle1m"
        await client.subscribe("candle1m:BTC-USDT")  # and a socket again
        assert [item.endpoint for item in venue.sockets] == ["public", "business", "business"]
        held = {item.subscription: item.standing for item in client.state.subscriptions}
        assert held == {"trades:ETH-USDT": "held", "candle1m:BTC-USDT": "held"}
        await client.unsubscribe("trades:ETH-USDT", "candle1m:BTC-USDT")
        assert client.state.subscriptions == []


async def test_everything_since_the_beginning_is_looped_over(venue_of: VenueOf) -> None:
    """The snapshot may come in the same read as the ack: a loop that begins later still has it."""

    watched = asyncio.Event()

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(book(1), *(book(n + 1, after=n) for n in range(1, 30)))
        await watched.wait()
        await socket.send(trade(1))
        await socket.until_closed()

    async with venue_of(script) as venue, Client(url=venue.url, number=Decimal) as client:
        await client.subscribe("books:BTC-USDT")
        beside = client.stream()
        watched.set()
        await some(beside, 1)  # all books are read by now
        seen = []
        async with asyncio.timeout(SECONDS):
            async for event in client:
                if isinstance(event, BookUpdate):
                    best = client.books["BTC-USDT"].best_bid()
                    assert best is not None
                    seen.append(best.price)
                    if len(seen) == 30:
                        break
    assert seen == [Decimal(101 + number) for number in range(30)]


async def test_a_loop_broken_off_goes_on_where_it_was(venue_of: VenueOf) -> None:
    async with venue_of(Market()) as venue, Client(url=venue.url) as client:
        await client.subscribe("trades:BTC-USDT")
        ids = [int(e.trade_id) for n in (3, 1, 40, 2) for e in await some(client, n)]
        assert ids == list(range(1, 47))


async def test_a_lost_socket_is_replaced_and_everything_is_held_again(
    venue_of: VenueOf, fast: LinkOptions
) -> None:
    market = Market()
    async with venue_of(market) as venue, Client(url=venue.url, link=fast) as client:
        await client.subscribe("trades:A", "trades:B")
        await client.unsubscribe("trades:A")
        market.served.clear()
        await venue.sockets[0].ws.close(1001, "restart")
        seen = await some(client, 1, Disconnected)
        await client.subscribe("trades:C")  # while it is away, or already back
        async with asyncio.timeout(SECONDS):
            while set(market.served) != {"B", "C"}:
                market.changed.clear()
                await market.changed.wait()
        assert {event.instrument for event in await some(client, 20)} <= {"B", "C"}
        assert seen[0].code == 1001
        assert client.state.disconnects == 1
        assert len(venue.sockets) == 2


async def test_a_refused_subscription_raises_with_the_code_and_the_rest_is_held(
    venue_of: VenueOf,
) -> None:
    market = Market(known=lambda name: not name.startswith("NO"))
    async with venue_of(market, knows=market.knows) as venue, Client(url=venue.url) as client:
        with pytest.raises(VenueRefused, match="60018 for trades:NO-1") as refused:
            await client.subscribe("trades:NO-1")
        assert (refused.value.code, refused.value.refused) == ("60018", ("trades:NO-1",))
        with pytest.raises(VenueRefused) as refused:
            await client.subscribe("trades:YES", "trades:NO-2", "trades:NO-3")
        assert refused.value.refused == ("trades:NO-2", "trades:NO-3")
        assert [item.subscription for item in client.state.subscriptions] == ["trades:YES"]
        assert (await some(client, 1))[0].instrument == "YES"
        with pytest.raises(UsageError, match="did you mean"):
            await client.subscribe("trads:BTC-USDT")
        with pytest.raises(UsageError, match="account's own"):
            await client.subscribe("orders")
        with pytest.raises(UsageError, match="at least one"):
            await client.subscribe()


async def test_where_nobody_answers_whoever_subscribes_is_told_and_the_client_goes_on(
    venue_of: VenueOf, unused_port: int, fast: LinkOptions
) -> None:
    nobody = f"ws://127.0.0.1:{unused_port}/ws/v5"
    async with Client(url=nobody, connect_timeout=0.2, link=fast) as client:
        with pytest.raises(ConnectError, match="raise connect_timeout"):
            await client.subscribe("trades:A")
        assert client.state.subscriptions == []
        assert client.is_running
    async with venue_of(Market(), refusals=[404]) as venue, Client(url=venue.url) as client:
        with pytest.raises(HandshakeError, match="404"):
            await client.subscribe("trades:A")
        assert [str(item) for item in await client.subscribe("trades:A")] == ["trades:A"]


async def test_cancelled_at_any_moment_nothing_is_lost_and_nothing_stays(
    venue_of: VenueOf, fast: LinkOptions
) -> None:
    """Cancel each await after a few turns of the loop, more and more, and go on as if nothing."""
    market = Market()
    async with venue_of(market) as venue:
        for turns in (1, 2, 3, 5, 8, 13, 40):
            async with Client(url=venue.url, link=fast) as client:
                await cancelled_after(turns, client.subscribe("trades:A"))
                await cancelled_after(turns, anext(client.stream()))
                await client.subscribe("trades:B")
                assert (await some(client.stream(), 1, Trade))[0].instrument in "AB"
                await cancelled_after(turns, client.unsubscribe("trades:B"))
                names = [item.subscription for item in client.state.subscriptions]
                assert names in ([], ["trades:A"]), "A stays only where the venue had accepted it"
                await cancelled_after(turns, anext(aiter(client)))
                await client.subscribe("trades:A")
                ids = [int(e.trade_id) for e in await some(client, 5) if e.instrument == "A"]
                assert ids == sorted(set(ids))
        for turns in range(1, 20, 4):
            client = Client(url=venue.url, link=fast)
            await client.__aenter__()
            await client.subscribe("trades:A")
            before = others_running()
            await cancelled_after(turns, client.__aexit__(None, None, None))
            async with asyncio.timeout(SECONDS):
                await asyncio.wait([task for task in before if "Endpoint" in repr(task)] or before)
            assert not client.is_running


async def cancelled_after(turns: int, awaitable: Awaitable[Any]) -> None:
    """Await something in a task that is cancelled after so many turns, if it is not done."""

    async def wait() -> None:
        with contextlib.suppress(RecorderError):
            await awaitable

    task = asyncio.create_task(wait())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=SECONDS)
    assert task.done()


async def test_two_consumers_of_which_one_is_slow(venue_of: VenueOf) -> None:
    """The slow one misses frames and is told; its books are right again; the other sees all."""
    total, slow_may_go = 3_000, asyncio.Event()

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(book(1), *(book(n + 1, after=n) for n in range(1, total)))
        await slow_may_go.wait()
        n = total
        while True:
            await socket.send(book(n + 1, after=n))
            n += 1
            await asyncio.sleep(0.005)

    words: list[str] = []
    async with venue_of(script) as venue, Client(url=venue.url, notify=words.append) as client:
        quick, slow = client.stream(), client.stream(number=str, queue_bytes=300_000)
        exact = client.stream(number=Decimal)
        await client.subscribe("books:BTC-USDT")
        seen = [event.seq_id for event in await some(quick, total, BookUpdate)]
        assert seen == list(range(1, total + 1))
        slow_may_go.set()
        lost = (await some(slow, 1, Lost))[0]
        assert lost.cause == "stream too slow"
        after = (await some(slow, 1, BookUpdate))[0]
        assert after.seq_id > total
        best = slow.books["BTC-USDT"].best_bid()
        assert slow.books["BTC-USDT"].is_whole
        assert best is not None
        assert best.price == str(100 + after.seq_id)
        assert slow.lost == lost.count > 0
        assert quick.lost == exact.lost == 0
        assert (await some(exact, 1, BookUpdate))[0].seq_id == 1
        async with asyncio.timeout(SECONDS):
            while not any("the stream is too slow" in line for line in words):
                await anext(quick)
        assert [item.lost > 0 for item in client.state.consumers].count(True) == 1
        slow.close()
        assert [event async for event in slow] == []
        with pytest.raises(UsageError, match="second"):
            await asyncio.gather(anext(exact), anext(exact), both_wait(quick))


async def both_wait(stream: Any) -> None:
    await asyncio.gather(*(some(stream, 1_000_000) for _ in range(2)))


async def test_callbacks_in_the_loop_and_in_a_thread(venue_of: VenueOf) -> None:
    seen: dict[str, list[Any]] = {"plain": [], "slow": [], "thread": []}
    threads = set()

    def plain(event: Event, context: Any) -> None:
        seen["plain"].append((event, context.clock.now()))
        if isinstance(event, Trade) and event.trade_id == "3":
            raise ValueError("a mistake")

    async def slow(event: Event, context: Any) -> None:
        await asyncio.sleep(0.001)
        seen["slow"].append(event)

    class Strategy:
        def on_start(self, context: Any) -> None:
            seen["thread"].append("start")

        def on_trade(self, event: Trade, context: Any) -> None:
            threads.add(threading.current_thread())
            seen["thread"].append(int(event.trade_id))

        def on_stop(self, context: Any) -> None:
            seen["thread"].append("stop")

    async with venue_of(Market()) as venue, Client(url=venue.url) as client:
        handlers = [client.call(plain), client.call(slow), client.call(Strategy(), in_thread=True)]
        await client.subscribe("trades:A")
        await some(client, 60)
        await handlers[1].close()
        count = len(seen["slow"])
        await some(client, 30)
        assert len(seen["slow"]) == count > 0
    assert handlers[0].errors == 1
    assert [now for event, now in seen["plain"]] == [e.ts_recv for e, _ in seen["plain"]]
    assert sum(isinstance(event, Trade) for event, _ in seen["plain"]) >= 90
    assert Disconnected in [type(event) for event, _ in seen["plain"][-2:]], "to the very end"
    numbers = [item for item in seen["thread"] if isinstance(item, int)]
    assert seen["thread"][0], seen["thread"][-1] == ("start", "stop")
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 90
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


async def test_a_coroutine_where_nobody_would_await_it_is_refused(unused_port: int) -> None:
    class Strategy:
        async def on_trade(self, event: Event, context: Any) -> None: ...

    async def handler(event: Event, context: Any) -> None: ...

    async with Client(url=f"ws://127.0.0.1:{unused_port}/ws/v5") as client:
        for wrong in (
            lambda: client.call(Strategy()),
            lambda: client.call(handler, in_thread=True),
            lambda: client.call([handler]),
        ):
            with pytest.raises(UsageError, match="nobody would await"):
                wrong()


async def test_many_clients_in_one_loop(venue_of: VenueOf) -> None:
    async with venue_of(Market()) as venue:

        async def one(number: int) -> int:
            async with Client(url=venue.url) as client:
                await client.subscribe(f"trades:{number % 3}")
                return len(await some(client, 5 + number))

        async with asyncio.timeout(SECONDS):
            assert await asyncio.gather(*map(one, range(8))) == [5 + n for n in range(8)]


async def test_leaving_answers_whoever_still_waits(venue_of: VenueOf) -> None:
    async def script(socket: Any) -> None:
        await socket.stay_silent()

    async with venue_of(script) as venue:
        async with Client(url=venue.url) as client:
            asking = asyncio.create_task(client.subscribe("trades:A"))
            looping = asyncio.create_task(collect(client))
            watching = client.stream()
            async with asyncio.timeout(SECONDS):
                await anext(watching)
        with pytest.raises(ConnectError, match="the client was left"):
            await asking
        assert "closed" in [getattr(event, "state", "") for event in await looping]
        with pytest.raises(UsageError, match="one that was left"):
            await client.subscribe("trades:A")
        with pytest.raises(UsageError, match="entered once"):
            await client.__aenter__()
        assert await collect(watching), "what had come can still be read"
        with pytest.raises(UsageError, match="async with"):
            await Client().subscribe("trades:A")


async def collect(events: Any) -> list[Event]:
    return [event async for event in events]


async def test_unread_events_of_a_client_nobody_loops_over_are_dropped(venue_of: VenueOf) -> None:
    words: list[str] = []
    async with (
        venue_of(Market()) as venue,
        Client(url=venue.url, queue_bytes=5_000, notify=words.append) as client,
    ):
        await client.subscribe("trades:A")
        await some(client.stream(), 200)
        first = (await some(client, 1))[0]
        assert int(first.trade_id) > 100, "it begins now"
    assert not words


async def test_patterns_and_what_cannot_be_given_up(venue_of: VenueOf, tmp_path: Path) -> None:
    listed = tmp_path / "list.json"
    rows = [
        {"instId": f"{name}-USDT-SWAP", "instType": "SWAP", "state": "live"} for name in ("A", "B")
    ]
    listed.write_bytes(msgspec.json.encode({"code": "0", "data": rows}))
    async with (
        venue_of(Market()) as venue,
        Client(url=venue.url, instruments_file=listed) as client,
    ):
        held = await client.subscribe("trades:*-USDT-SWAP")
        assert [str(item) for item in held] == ["trades:A-USDT-SWAP", "trades:B-USDT-SWAP"]
        with pytest.raises(UsageError, match="without a pattern"):
            await client.unsubscribe("trades:*-USDT-SWAP")
        await client.unsubscribe(*held, parse_subscription("trades:NEVER-HELD"))
        assert client.state.subscriptions == []


def test_making_a_client_opens_nothing_and_needs_no_loop() -> None:
    client = Client(region="eea", demo_trading=True)
    assert not client.is_running
    with pytest.raises(UsageError, match="above 0"):
        Client(connect_timeout=0)
