"""A served capture, seen by real WebSocket clients: every test goes over a socket on loopback."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from recorder.capture.reader import Capture
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from recorder.errors import NotACapture, StartError, UsageError
from recorder.event import BookUpdate, SequenceGap
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import push_of
from recorder.okx.subscription import Subscription
from replay.server import Server, serve
from replay.simulation.simulator import simulate

BOOKS = {"channel": "books", "instId": "BTC-USDT"}
TRADES = {"channel": "trades", "instId": "BTC-USDT"}
CANDLE = {"channel": "candle1m", "instId": "BTC-USDT"}
UNKNOWN = {"channel": "books", "instId": "FOO-BAR"}


class Client:
    """A v5 client: keeps what it received, as bytes, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.received: list[bytes] = []
        self.code: int | None = None

    async def ask(self, op: str, *arguments: dict[str, Any], **extra: Any) -> None:
        await self.socket.send(json.dumps({**extra, "op": op, "args": list(arguments)}))

    async def next(self) -> bytes:
        async with asyncio.timeout(60):
            message = await self.socket.recv(decode=False)
        self.received.append(message)
        return message

    async def next_control(self) -> dict[str, Any]:
        """Read until an ack or an error comes."""
        while True:
            message = await self.next()
            if push_of(message) is None:
                return dict(json.loads(message))

    async def until_closed(self) -> None:
        try:
            while True:
                await self.next()
        except ConnectionClosed as closed:
            self.code = None if closed.rcvd is None else closed.rcvd.code

    @property
    def pushes(self) -> list[bytes]:
        return [message for message in self.received if push_of(message) is not None]


@asynccontextmanager
async def client_of(
    server: Server, endpoint: str = "public", query: str = ""
) -> AsyncIterator[Client]:
    address = f"{server.url}/{endpoint}{query}"
    async with connect(address, ping_interval=None, max_queue=None, compression=None) as socket:
        yield Client(socket)


def pushes_of(capture: Path | Capture, *arguments: dict[str, Any]) -> list[bytes]:
    """The recorded data pushes, in order; of these arguments, or all."""
    source = capture if isinstance(capture, Capture) else Capture(capture)
    return [
        frame.payload
        for frame in source.frames(kinds=[Kind.TEXT])
        if (push := push_of(frame.payload)) is not None
        and (not arguments or push.argument in arguments)
    ]


def by_argument(payloads: Iterable[bytes]) -> dict[Subscription, list[bytes]]:
    found = defaultdict(list)
    for payload in payloads:
        push = push_of(payload)
        assert push is not None
        found[push].append(payload)
    return dict(found)


async def serve_to_all(path: Path, speed: str) -> tuple[dict[Subscription, list[bytes]], Server]:
    """Serve a capture to clients that hold everything it has; return what they received."""
    known = serve_arguments(path)  # the server learns them while it serves
    total = sum(len(arguments) for arguments in known.values())
    async with serve(
        path, port=0, speed=speed, at_end="close", wait_for_subscribers=total
    ) as server:

        async def hold(endpoint: str, arguments: list[dict[str, str]]) -> list[bytes]:
            async with client_of(server, endpoint) as client:
                for argument in arguments:
                    await client.ask("subscribe", argument)
                await client.until_closed()
                assert client.code == 1000
                return client.pushes

        holders = [hold(endpoint, arguments) for endpoint, arguments in known.items() if arguments]
        received = await asyncio.gather(*holders)
        async with asyncio.timeout(60):
            await server.wait_finished()
    return by_argument(payload for pushes in received for payload in pushes), server


def serve_arguments(path: Path) -> dict[str, list[dict[str, str]]]:
    from replay.server.catalogue import read_catalogue

    known = read_catalogue(Capture(path)).known
    return {name: [item.argument for item in items] for name, items in known.items()}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of BTC-USDT without mishaps."""
    path = tmp_path_factory.mktemp("serve") / "calm"
    simulate(path, seed=8, instruments=["BTC-USDT"], duration=12.0, rate=0.5, scenario="calm")
    return path


# --- all that was recorded, byte for byte -------------------------------------------------------


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress"])
async def test_a_dataset_is_served_whole_at_max(datasets: Path, name: str):
    received, _ = await serve_to_all(datasets / name, "max")

    assert received == by_argument(pushes_of(datasets / name))


async def test_the_same_bytes_come_at_a_real_speed(calm: Path):
    received, server = await serve_to_all(calm, "20")

    assert received == by_argument(pushes_of(calm))
    report = server.report()
    assert report.achieved_speed is not None
    assert 1 < report.achieved_speed < 20.5


@pytest.mark.parametrize(
    "name",
    ["2022-05-13-books-trades-tickers", "2021-07-22-tbt-link-a", "2021-07-22-tbt-link-b"],
)
async def test_real_sessions_are_served_byte_for_byte(
    real_traffic: Path, tmp_path: Path, name: str
):
    capture = tmp_path / "capture"
    import_sessions([real_traffic / "sessions" / f"{name}.jsonl"], capture)

    received, _ = await serve_to_all(capture, "max")

    assert received == by_argument(pushes_of(capture))
    assert sum(len(pushes) for pushes in received.values()) > 300


async def test_of_two_parallel_links_each_argument_is_served_once(
    real_traffic: Path, tmp_path: Path
):
    links = [real_traffic / f"sessions/2021-07-22-tbt-link-{link}.jsonl" for link in "ab"]
    capture = tmp_path / "capture"
    import_sessions(links, capture)

    received, _ = await serve_to_all(capture, "max")

    whole = [
        by_argument(
            frame.payload
            for frame in Capture(capture).frames(connections=[number], kinds=[Kind.TEXT])
            if push_of(frame.payload) is not None
        )
        for number in (0, 1)
    ]
    for push, payloads in received.items():
        assert payloads in [link.get(push) for link in whole]


# --- the conversation ---------------------------------------------------------------------------


async def test_acks_errors_and_pong(calm: Path):
    async with (
        serve(calm, port=0, wait_for_subscribers=7) as server,
        client_of(server, query="?brokerId=9999") as client,
    ):
        await client.ask("subscribe", BOOKS, UNKNOWN, CANDLE, {**TRADES, "instType": None}, id="a1")
        acked, unknown, elsewhere, last = [await client.next_control() for _ in range(4)]

        assert acked["event"] == "subscribe"
        assert acked["arg"] == BOOKS
        assert acked["id"] == "a1"
        assert len(acked["connId"]) == 8
        assert (unknown["event"], unknown["code"]) == ("error", "60018")
        assert "instId:FOO-BAR" in unknown["msg"]
        assert elsewhere["code"] == "60018"
        assert last["arg"] == TRADES
        await client.socket.send("ping")
        assert await client.next() == b"pong"
        await client.socket.send("{")
        assert (await client.next_control())["code"] == "60012"


async def test_business_refuses_public_channels_with_64002(calm: Path):
    async with (
        serve(calm, port=0, wait_for_subscribers=7) as server,
        client_of(server, "business") as client,
    ):
        await client.ask("subscribe", BOOKS, CANDLE)

        assert (await client.next_control())["code"] == "64002"
        assert (await client.next_control())["arg"] == CANDLE


async def test_recorded_acks_and_pongs_are_not_served(datasets: Path):
    capture = datasets / "btc-calm"
    received, _ = await serve_to_all(capture, "max")

    recorded = {frame.payload for frame in Capture(capture).frames(kinds=[Kind.TEXT])}
    served = {payload for pushes in received.values() for payload in pushes}
    assert b"pong" in recorded
    assert not [payload for payload in served if b'"event"' in payload or payload == b"pong"]


async def test_an_oversize_request_is_closed_with_1009(calm: Path):
    async with serve(calm, port=0, wait_for_subscribers=7) as server, client_of(server) as client:
        await client.socket.send("x" * 70_000)
        await client.until_closed()

    assert client.code == 1009


async def test_the_idle_rule_closes_a_client_that_asks_for_nothing(calm: Path):
    async with (
        serve(calm, port=0, wait_for_subscribers=7, idle_close=0.5) as server,
        client_of(server) as client,
    ):
        await client.until_closed()

    assert client.code == 4004


# --- who receives what --------------------------------------------------------------------------


async def test_two_clients_receive_what_each_asked_for(calm: Path):
    async with (
        serve(calm, port=0, at_end="close", wait_for_subscribers=2) as server,
        client_of(server) as one,
        client_of(server) as other,
    ):
        await one.ask("subscribe", BOOKS)
        await one.next_control()
        await other.ask("subscribe", TRADES, BOOKS)
        await asyncio.gather(one.until_closed(), other.until_closed())

    assert one.pushes == pushes_of(calm, BOOKS)
    assert other.pushes == pushes_of(calm, TRADES, BOOKS)


async def test_the_clock_waits_for_distinct_arguments_over_all_clients(calm: Path):
    async with (
        serve(calm, port=0, at_end="close", wait_for_subscribers=2) as server,
        client_of(server) as one,
        client_of(server) as other,
    ):
        await one.ask("subscribe", BOOKS)
        await other.ask("subscribe", BOOKS)
        await asyncio.gather(one.next_control(), other.next_control())
        # Anything pushed by now would come before the answer to this.
        await one.socket.send("ping")
        assert await one.next() == b"pong"
        await other.ask("subscribe", TRADES)
        await asyncio.gather(one.until_closed(), other.until_closed())

    assert one.pushes == pushes_of(calm, BOOKS)


async def test_after_unsubscribe_nothing_more_comes_until_a_new_subscribe(calm: Path):
    async with (
        serve(calm, port=0, speed="4", at_end="close", wait_for_subscribers=2) as server,
        client_of(server) as client,
    ):
        await client.ask("subscribe", BOOKS, TRADES)
        while len(client.pushes) < 12:
            await client.next()
        await client.ask("unsubscribe", BOOKS)
        assert (await client.next_control())["event"] == "unsubscribe"
        seen = len(client.received)
        while len(client.received) < seen + 10:
            assert push_of(await client.next()) == Subscription("trades", (("instId", "BTC-USDT"),))
        await client.ask("subscribe", BOOKS)
        await client.until_closed()

    books = [payload for payload in client.pushes if b'"channel":"books"' in payload]
    assert len([payload for payload in books if b'"prevSeqId":-1' in payload]) == 2
    assert_unbroken(books)


async def test_a_late_subscriber_gets_one_snapshot_and_an_unbroken_chain(calm: Path):
    recorded = pushes_of(calm, BOOKS)
    async with (
        serve(calm, port=0, speed="4", at_end="close", wait_for_subscribers=1) as server,
        client_of(server) as early,
        client_of(server) as late,
    ):
        await early.ask("subscribe", BOOKS)
        while len(early.pushes) < 15:
            await early.next()
        await late.ask("subscribe", BOOKS)
        await asyncio.gather(early.until_closed(), late.until_closed())

    assert early.pushes == recorded
    snapshot, *rest = late.pushes
    assert rest == recorded[-len(rest) :]
    assert 0 < len(rest) < len(recorded) - 10
    assert_unbroken(late.pushes)
    # The rebuilt book is that of somebody who was there from the start, texts and all.
    before = interpret(early.pushes[: len(recorded) - len(rest)])
    after = interpret([snapshot])
    assert after.bids(400) == before.bids(400)
    assert after.asks(400) == before.asks(400)
    (row,) = json.loads(snapshot)["data"]
    assert list(row) == ["asks", "bids", "ts", "checksum", "seqId", "prevSeqId"]


async def test_a_subscriber_after_the_end_still_gets_the_book(calm: Path):
    async with serve(calm, port=0) as server:
        await server.wait_finished()
        async with client_of(server) as client:
            await client.ask("subscribe", BOOKS)
            await client.next_control()
            (row,) = json.loads(await client.next())["data"]

    assert row["prevSeqId"] == -1
    last = json.loads(pushes_of(calm, BOOKS)[-1])["data"][0]
    assert row["seqId"] == last["seqId"]


async def test_a_start_in_the_middle_begins_with_the_book_as_it_stood(calm: Path):
    capture = Capture(calm)
    start = next(capture.frames()).ts_recv + 6 * NS_PER_SECOND
    rest = [
        frame.payload
        for frame in capture.frames(start=start)
        if b'{"arg":{"channel":"books","' in frame.payload[:30]
    ]
    async with (
        serve(capture, port=0, start=start, at_end="close", wait_for_subscribers=1) as server,
        client_of(server) as client,
    ):
        await client.ask("subscribe", BOOKS)
        await client.until_closed()

    assert client.pushes[1:] == rest
    assert b'"prevSeqId":-1' in client.pushes[0]
    assert_unbroken(client.pushes)


async def test_a_loop_begins_again_with_the_recorded_snapshot(calm: Path):
    recorded = pushes_of(calm, BOOKS)
    async with (
        serve(calm, port=0, at_end="loop", wait_for_subscribers=1) as server,
        client_of(server) as client,
    ):
        await client.ask("subscribe", BOOKS)
        while len(client.pushes) < 2 * len(recorded) + 5:
            await client.next()

    assert client.pushes == recorded + recorded + recorded[:5]


async def test_a_newcomer_in_a_recorded_gap_waits_for_the_snapshot_that_ends_it(datasets: Path):
    capture = Capture(datasets / "eth-stress")
    argument = {"channel": "books", "instId": "ETH-USDT"}
    interpreter = Interpreter()
    gap = next(
        frame
        for frame in capture.frames()
        if any(isinstance(event, SequenceGap) for event in interpreter.step(frame))
    )
    # The first frame after the gap; the snapshot that ends it comes later.
    start = next(capture.frames(first_seq=gap.seq + 1)).ts_recv
    async with (
        serve(capture, port=0, start=start, at_end="close", wait_for_subscribers=1) as server,
        client_of(server) as client,
    ):
        await client.ask("subscribe", argument)
        await client.until_closed()

    recorded = pushes_of(capture, argument)
    assert client.pushes == recorded[-len(client.pushes) :]
    assert b'"action":"snapshot"' in client.pushes[0]


# --- slow clients -------------------------------------------------------------------------------


async def test_at_max_the_clock_waits_for_a_client_that_reads_late(datasets: Path):
    capture = datasets / "eth-stress"
    arguments = serve_arguments(capture)["public"]
    async with serve(
        capture, port=0, at_end="close", wait_for_subscribers=len(arguments)
    ) as server:
        address = f"{server.url}/public"
        async with connect(address, ping_interval=None, max_queue=2, compression=None) as socket:
            client = Client(socket)
            await client.ask("subscribe", *arguments)
            # The client's queue of two messages and the socket's buffers are full long before.
            await asyncio.sleep(0.3)
            await client.until_closed()

    assert client.code == 1000
    assert by_argument(client.pushes) == by_argument(pushes_of(capture, *arguments))


async def test_at_a_real_speed_a_client_that_does_not_read_is_closed_with_4005(tmp_path: Path):
    payload = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[%s]}' % (b" " * 1_000_000)
    with CaptureWriter(tmp_path / "big") as writer:
        writer.write([Frame(n, n * 10**6, n * 10**6, 0, Kind.TEXT, payload) for n in range(60)])
    said: list[str] = []
    async with serve(
        tmp_path / "big",
        port=0,
        speed=1,
        wait_for_subscribers=1,
        buffer_bytes=2_000_000,
        log=said.append,
    ) as server:
        address = f"{server.url}/public"
        async with connect(
            address,
            ping_interval=None,
            max_queue=1,
            max_size=None,
            compression=None,
            close_timeout=0.5,
        ) as socket:
            await socket.send(json.dumps({"op": "subscribe", "args": [TRADES]}))
            await server.wait_finished()
        assert server.report().too_slow == 1
    assert any("4005" in line for line in said)


# --- HTTP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/ws", "/ws/v5/spot", "/ws/v4/public", "/ws/v5/public/"])
async def test_other_paths_are_not_found(calm: Path, path: str):
    async with serve(calm, port=0, wait_for_subscribers=7) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{server.port}{path}"):
                pass

    assert refused.value.response.status_code == 404


async def test_rest_answers_with_the_recorded_body(calm: Path):
    (recorded,) = [frame.payload for frame in Capture(calm).frames(kinds=[Kind.REST])]

    def get(port: int, target: str) -> tuple[int, str | None, bytes]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheader("Content-Type"), body

    async with serve(calm, port=0, wait_for_subscribers=7) as server:
        there = await asyncio.to_thread(
            get, server.port, "/api/v5/public/instruments?instType=SPOT"
        )
        missing = await asyncio.to_thread(
            get, server.port, "/api/v5/public/instruments?instType=OPTION"
        )

    assert there == (200, "application/json", recorded)
    assert missing[0] == 200
    assert json.loads(missing[2])["data"] == []
    assert "capture" in json.loads(missing[2])["msg"]


# --- arguments ----------------------------------------------------------------------------------


async def test_a_port_in_use_is_one_sentence(calm: Path):
    async with serve(calm, port=0, wait_for_subscribers=7) as server:
        with pytest.raises(StartError, match="choose another port"):
            async with serve(calm, port=server.port):
                pass


async def test_waiting_for_more_arguments_than_there_are_is_refused(calm: Path):
    with pytest.raises(UsageError, match="at most 7"):
        async with serve(calm, port=0, wait_for_subscribers=8):
            pass


def test_nonsense_is_refused(calm: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="close, idle, loop"):
        serve(calm, at_end="stop")
    with pytest.raises(UsageError, match="speed"):
        serve(calm, speed="fast")
    with pytest.raises(UsageError, match="start before the end"):
        serve(calm, start=2**62)
    with pytest.raises(NotACapture):
        serve(tmp_path)


def interpret(payloads: list[bytes]) -> Any:
    """The book of texts that these pushes leave."""
    interpreter = Interpreter(str)
    for number, payload in enumerate(payloads):
        interpreter.step(Frame(number, number, number, 0, Kind.TEXT, payload))
    return interpreter.books["BTC-USDT"]


def assert_unbroken(payloads: list[bytes]) -> None:
    interpreter = Interpreter()
    updates = 0
    for number, payload in enumerate(payloads):
        for event in interpreter.step(Frame(number, number, number, 0, Kind.TEXT, payload)):
            updates += isinstance(event, BookUpdate)
            assert not isinstance(event, SequenceGap)
    assert updates == len(payloads)
    assert interpreter.books["BTC-USDT"].is_whole
