"""Faults on the wire of a served capture, as a client's socket meets them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from recorder.capture.reader import Capture
from recorder.errors import UsageError
from recorder.frame import Kind
from recorder.okx.faults import CloseWith, Split, read_scenario
from recorder.okx.route import is_push, route
from replay.player import play
from replay.server import Server, serve

BOOKS = ("books", "BTC-USDT")
TRADES = ("trades", "BTC-USDT")


@pytest.fixture
def path(datasets: Path) -> Path:
    return datasets / "btc-calm"


def recorded(path: Path, subject: tuple[str, str]) -> list[bytes]:
    return [f.payload for f in Capture(path).frames(channels=[subject[0]], kinds=[Kind.TEXT])
            if is_push(f.payload) and route(f.payload) == subject]  # fmt: skip


async def client(server: Server, *subjects: tuple[str, str]) -> ClientConnection:
    socket = await connect(
        f"{server.url}/public", ping_interval=None, max_queue=None, compression=None
    )
    await ask(socket, "subscribe", *subjects)
    return socket


async def ask(socket: ClientConnection, op: str, *subjects: tuple[str, str]) -> None:
    arguments = [{"channel": channel, "instId": name} for channel, name in subjects]
    await socket.send(json.dumps({"op": op, "args": arguments}))


async def all_of(socket: ClientConnection) -> list[bytes]:
    """Return every push until the socket closes."""
    pushes: list[bytes] = []
    async with asyncio.timeout(120):
        try:
            while True:
                text = await socket.recv(decode=False)
                if isinstance(text, bytes) and is_push(text):
                    pushes.append(text)
        except ConnectionClosed:
            return pushes


def served(path: Path, *faults: str, **options: Any) -> Server:
    options = {"speed": "max", "at_end": "close", "wait_for_subscribers": 1} | options
    return serve(path, port=0, faults=faults, seed=7, **options)


async def test_every_client_and_the_engine_lose_the_same_pushes(path: Path) -> None:
    fault = "drop:trades@p=0.1"
    hit: list[int] = []
    play(path, faults=[fault], seed=7, on_fault=lambda injected: hit.append(injected.seq))
    lost = {f.payload for f in Capture(path).frames(channels=["trades"]) if f.seq in hit}
    expected = [payload for payload in recorded(path, TRADES) if payload not in lost]
    assert 0 < len(lost) == len(hit)
    async with served(path, fault, wait_for_subscribers=2) as server:
        first = await client(server, TRADES)
        second = await client(server, TRADES, BOOKS)
        got = await asyncio.gather(all_of(first), all_of(second))
        report = server.report()
    assert got[0] == [p for p in got[1] if route(p) == TRADES] == expected
    assert [p for p in got[1] if route(p) == BOOKS] == recorded(path, BOOKS)
    assert report.faults == {"lose": 2 * len(lost)}


async def test_a_corrupted_push_has_other_bytes_and_the_same_length(path: Path) -> None:
    async with served(path, "corrupt:trades@p=0.05") as server:
        socket = await client(server, TRADES)
        texts: list[bytes] = []
        async with asyncio.timeout(120):
            try:
                while True:
                    text = await socket.recv(decode=False)
                    if isinstance(text, bytes) and b'"event":' not in text:
                        texts.append(text)
            except ConnectionClosed:
                pass
    pairs = list(zip(texts, recorded(path, TRADES), strict=True))
    different = [sum(a != b for a, b in zip(*pair, strict=True)) for pair in pairs]
    assert set(different) == {0, 1}


async def test_a_client_recovers_from_a_gap_by_subscribing_again(path: Path) -> None:
    async with served(path, "gap:books:BTC-USDT@pushes=10", speed=5) as server:
        socket = await client(server, BOOKS)
        last, snapshots = None, 0
        async with asyncio.timeout(120):
            while snapshots < 2:
                text = await socket.recv(decode=False)
                if not (isinstance(text, bytes) and is_push(text)):
                    continue
                body = json.loads(text)
                row = body["data"][0]
                if body["action"] == "snapshot":
                    snapshots += 1
                elif row["prevSeqId"] != last:
                    await ask(socket, "unsubscribe", BOOKS)
                    await ask(socket, "subscribe", BOOKS)
                last = row["seqId"]
            follows = json.loads(await next_book(socket))["data"][0]
        assert follows["prevSeqId"] == last
        await socket.close()


async def next_book(socket: ClientConnection) -> bytes:
    while True:
        text = await socket.recv(decode=False)
        if isinstance(text, bytes) and is_push(text):
            return text


@pytest.mark.parametrize(
    ("fault", "code"),
    [("close:trades@pushes=20,code=4006", 4006), ("disconnect@pushes=20", 1006),
     ("cut@pushes=20,how=reset", 1006), ("cut@pushes=20,how=inside", 1006)],
)  # fmt: skip
async def test_a_disconnect_really_closes_the_socket(path: Path, fault: str, code: int) -> None:
    async with served(path, fault, at_end="idle") as server:
        socket = await client(server, TRADES)
        got = await all_of(socket)
        assert socket.close_code == code
        again = await client(server, TRADES)  # once: the next one is left alone
        assert json.loads(await asyncio.wait_for(again.recv(), 60))["event"] == "subscribe"
        await again.close()
    assert got == recorded(path, TRADES)[: len(got)]
    assert len(got) <= 21


async def test_a_stall_holds_everything_back_and_loses_nothing(path: Path) -> None:
    async with served(path, "stall@pushes=20,seconds=1", at_end="idle") as server:
        socket = await client(server, TRADES)
        whole = recorded(path, TRADES)
        got: list[bytes] = []
        async with asyncio.timeout(120):
            while len(got) < len(whole):
                got.append(await next_book(socket))
        assert got == whole
        assert server.report().faults == {"hold": 1}
        await socket.close()


async def test_a_handshake_is_refused_and_the_next_is_not(path: Path) -> None:
    scenario = read_scenario('[[faults]]\ndo = "refuse"\nstatus = 503\nretry_after = 3')
    async with serve(path, port=0, faults=scenario) as server:
        with pytest.raises(InvalidStatus) as refused:
            await client(server, TRADES)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "3"
        socket = await client(server, TRADES)
        await socket.close()


async def test_a_fault_can_be_ordered_while_it_runs(path: Path) -> None:
    async with serve(path, port=0, speed=1) as server:
        socket = await client(server, TRADES)
        assert json.loads(await asyncio.wait_for(socket.recv(), 60))["event"] == "subscribe"
        server.inject(CloseWith(code=4008))
        await all_of(socket)
        assert socket.close_code == 4008
        with pytest.raises(UsageError, match="split"):
            server.inject(Split())


def test_what_cannot_be_served_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="drip"):
        serve(path, port=0, faults=["drip"])


async def test_a_silent_server_sends_nothing_more_and_answers_nothing(path: Path) -> None:
    scenario = read_scenario('[[faults]]\ndo = "silence"\nconnection = 0\npushes = 20')
    async with serve(path, port=0, faults=scenario, wait_for_subscribers=2) as server:
        silenced, other = await client(server, TRADES), await client(server, BOOKS)
        await server.wait_finished()
        got = 0
        async with asyncio.timeout(120):
            while got < 20:
                text = await silenced.recv(decode=False)
                got += isinstance(text, bytes) and is_push(text)
            await silenced.send("ping")
            await other.send("ping")
            while await other.recv() != "pong":
                pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(silenced.recv(), 0.05)
        assert silenced.close_code is None, "half-open: nobody closed it"
        assert server.report().faults == {"silence": 1}
        silenced.transport.abort()
        await other.close()


async def test_arguments_are_taken_away_unasked(path: Path) -> None:
    async with served(path, "evict:trades@pushes=20", wait_for_subscribers=2) as server:
        socket = await client(server, BOOKS, TRADES)
        texts: list[bytes] = []
        async with asyncio.timeout(120):
            try:
                while True:
                    text = await socket.recv(decode=False)
                    texts += [text] if isinstance(text, bytes) else []
            except ConnectionClosed:
                pass
    told = [json.loads(text) for text in texts if b'"event":"unsubscribe"' in text]
    assert [message["arg"] for message in told] == [{"channel": "trades", "instId": "BTC-USDT"}]
    place = next(n for n, text in enumerate(texts) if b'"event":"unsubscribe"' in text)
    before, behind = texts[:place], texts[place:]
    trades = recorded(path, TRADES)
    taken = [text for text in before if route(text) == TRADES and is_push(text)]
    assert taken == trades[: len(taken)]
    assert len(taken) < len(trades)
    assert not any(route(text) == TRADES and is_push(text) for text in behind)
    books = [text for text in texts if route(text) == BOOKS and is_push(text)]
    assert books == recorded(path, BOOKS), "other arguments go on"


async def test_a_notice_comes_before_the_close_it_announces(path: Path) -> None:
    fault = "notice@pushes=20,close_after=0.2,code=4006"
    async with served(path, fault, at_end="idle") as server:
        socket = await client(server, TRADES)
        texts: list[bytes] = []
        async with asyncio.timeout(120):
            try:
                while True:
                    text = await socket.recv(decode=False)
                    texts += [text] if isinstance(text, bytes) else []
            except ConnectionClosed:
                pass
        assert socket.close_code == 4006
    acked = json.loads(texts[0])
    place = next(n for n, text in enumerate(texts) if b'"event":"notice"' in text)
    notice = json.loads(texts[place])
    assert (notice["code"], notice["connId"]) == ("64008", acked["connId"])
    pushes = [text for text in texts if is_push(text)]
    assert pushes == recorded(path, TRADES)[: len(pushes)], "nothing is lost before the close"
    assert place >= 20
