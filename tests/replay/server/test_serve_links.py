"""A capture with redundant links is served as the one stream that is elected of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.errors import ExitCode
from recorder.frame import Frame, Kind
from recorder.live.recording import record
from recorder.okx.faults import Gap, Scenario
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import is_chained, push_of
from recorder.okx.subscription import Subscription
from replay.server import serve
from replay.server.catalogue import read_catalogue
from replay.server.survey import last_pushes_before
from replay.server.switchboard import Switchboard
from replay.simulation.simulator import simulate
from tests.doubled import doubled, write_capture, write_doubled

BOOKS = Subscription("books", (("instId", "BTC-USDT"),))
TICKERS = Subscription("tickers", (("instId", "BTC-USDT"),))
LOSING = tuple(Scenario(seed=n, heal=None, faults=(Gap(p=0.1),)) for n in (2, 7))  # nothing both


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("links") / "short"
    simulate(path, seed=5, instruments=["BTC-USDT"], duration=4.0, scenario="calm")
    return path


@pytest.fixture(scope="module")
def two(short: Path) -> Path:
    """The same on two links, either of which loses updates of books."""
    return write_doubled(short, short.parent / "two", LOSING)


class Listener:
    """A receiver that keeps what it is sent."""

    endpoint = "public"

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def push(self, payload: bytes) -> None:
        self.received.append(payload)


def play(board: Switchboard[Any], frames: list[Frame]) -> None:
    for frame in frames:
        for delivered in board.deliver(frame):
            for receiver in board.play(delivered):
                receiver.push(delivered.payload)


def pushes_of(path: Path) -> dict[Subscription, list[bytes]]:
    found: defaultdict[Subscription, list[bytes]] = defaultdict(list)
    for frame in Capture(path).frames(kinds=[Kind.TEXT]):
        push = push_of(frame.payload)
        if push is not None:
            found[push].append(frame.payload)
    return dict(found)


def test_either_link_has_lost_something(short: Path, two: Path) -> None:
    books = [frame for frame in Capture(two).frames(channels=["books"]) if push_of(frame.payload)]
    held = Counter(frame.connection for frame in books)
    assert len(held) == 2
    assert max(held.values()) < len(pushes_of(short)[BOOKS])


@pytest.mark.parametrize("speed", ["10", "max"])
async def test_the_recorder_of_a_served_capture_gets_each_push_once(
    short: Path, two: Path, tmp_path: Path, speed: str
) -> None:
    truth = pushes_of(short)
    async with serve(
        two, port=0, speed=speed, at_end="close", wait_for_subscribers=len(truth)
    ) as server:
        report = await record(tmp_path / "out", list(truth), url=server.url, until_closed=True)
    assert report.exit_code is ExitCode.DONE
    assert pushes_of(tmp_path / "out") == truth


def snapshot_rows(payload: bytes) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(payload)["data"][0]
    return row


def test_a_newcomer_gets_the_merged_book_and_the_rest_of_the_stream(short: Path, two: Path) -> None:
    frames = list(Capture(two).frames())
    for place in range(60, len(frames) - 10, 37):
        board: Switchboard[Listener] = Switchboard(read_catalogue(Capture(two)))
        play(board, frames[:place])
        listener = Listener()
        board.subscribe(listener, BOOKS.argument)
        if not listener.received:
            continue
        play(board, frames[place:])
        truth = pushes_of(short)[BOOKS]
        first = snapshot_rows(listener.received[0])
        follows = [json.loads(text)["data"][0]["seqId"] for text in truth].index(first["seqId"])
        assert listener.received[1:] == truth[follows + 1 :]
        assert [tuple(level[:2]) for level in first["bids"]] == bids_after(short, truth[follows])


def bids_after(path: Path, payload: bytes) -> list[tuple[Any, Any]]:
    """Return the bids of the only link there was, as of one of its pushes."""
    interpreter = Interpreter(str)
    for frame in Capture(path).frames():
        interpreter.step(frame)
        if frame.payload == payload:
            break
    (book,) = (book for book in interpreter.books.of("BTC-USDT") if book.channel == "books")
    return [(level.price, level.size) for level in book.bids(1 << 20)]


def test_the_end_of_one_link_is_no_end(two: Path) -> None:
    """Nobody is cut off, and the stream goes on, until the last link is gone."""
    frames = [frame for frame in Capture(two).frames() if frame.kind is not Kind.CLOSED]
    first = min(frame.connection for frame in frames if frame.kind is Kind.OPENED)
    cut = len(frames) // 2
    end = b'{"code":1006,"reason":"","by":"network","opened":true}'

    def closed(connection: int) -> Frame:
        at = frames[cut]
        return Frame(at.seq, at.ts_recv, at.ts_mono, connection, Kind.CLOSED, end)

    board: Switchboard[Listener] = Switchboard(read_catalogue(Capture(two)))
    listener = Listener()
    board.subscribe(listener, BOOKS.argument)
    play(board, frames[:cut])
    assert board.holders(first) == board.holders(first + 1) == []
    play(board, [closed(first)])
    before = len(listener.received)
    play(board, [frame for frame in frames[cut:-20] if frame.connection != first])
    assert len(listener.received) > before
    assert board.holders(first + 1) == [listener]

    play(board, [closed(first + 1)])
    again = [frame for frame in frames if frame.connection == first and frame.seq < cut]
    renumbered = [
        Frame(10_000 + n, frame.ts_recv, frame.ts_mono + 10**12, 90, frame.kind, frame.payload)
        for n, frame in enumerate(again)
    ]
    before = len(listener.received)
    play(board, renumbered)
    assert len(listener.received) > before


def test_what_was_pushed_before_a_place_is_what_was_delivered(short: Path, tmp_path: Path) -> None:
    """Behind the election: a lagging link's older state is not the last one."""
    frames = doubled(Capture(short).frames(), LOSING, lag_ns=900_000_000)
    two = write_capture(tmp_path / "lagging", frames)
    differ = 0
    interpreter, last = Interpreter(str), None
    for frame in frames:
        expected = last
        if frame.kind is Kind.TEXT and interpreter.elected is not None:
            for delivered in interpreter.elected.take(frame):
                push = push_of(delivered.payload)
                last = delivered.payload if push == TICKERS else last
                if push is not None and is_chained(push.channel):
                    interpreter.elected.apply(delivered)
        else:
            interpreter.step(frame)
        if frame.seq % 29 == 0 and expected is not None:
            found = last_pushes_before(Capture(two), [TICKERS], frame.seq, elects=True)
            assert found == {TICKERS: expected}
            differ += last_pushes_before(Capture(two), [TICKERS], frame.seq) != found
    assert differ
    assert last is not None


async def test_after_a_seek_the_stream_is_the_merged_one(
    short: Path, two: Path, tmp_path: Path
) -> None:
    wanted = list(pushes_of(short))
    start = Capture(two).info().start + 2 * 10**9
    async with serve(
        two, port=0, speed="max", start=start, at_end="close", wait_for_subscribers=len(wanted)
    ) as server:
        await record(tmp_path / "out", wanted, url=server.url, until_closed=True)
    truth, got = pushes_of(short), pushes_of(tmp_path / "out")
    for push, payloads in got.items():
        assert len(payloads) == len(set(payloads))
        assert payloads[1:] == truth[push][-len(payloads) + 1 :] or len(payloads) == 1
