"""Who receives what, without a socket: parallel links, disconnects, the end of a recording."""

from __future__ import annotations

import json
from pathlib import Path

from recorder.capture.reader import Capture
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from replay.server.catalogue import Catalogue, read_catalogue
from replay.server.switchboard import Switchboard

TRADES = {"channel": "trades", "instId": "A-USDT"}
BOOKS = {"channel": "books", "instId": "ETH-USDT"}


class Listener:
    """A receiver that keeps what it is sent."""

    endpoint = "public"

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def push(self, payload: bytes) -> None:
        self.received.append(payload)


def opened(connection: int) -> tuple[Kind, int, bytes]:
    return Kind.OPENED, connection, b'{"url":"ws://x/ws/v5/public","endpoint":"public","link":0}'


def closed(connection: int) -> tuple[Kind, int, bytes]:
    return Kind.CLOSED, connection, b'{"code":1006,"reason":"","by":"network","opened":true}'


def trade(connection: int, number: int) -> tuple[Kind, int, bytes]:
    text = b'{"arg":{"channel":"trades","instId":"A-USDT"},"data":[{"tradeId":"%d"}]}' % number
    return Kind.TEXT, connection, text


def board_of(rows: list[tuple[Kind, int, bytes]]) -> tuple[Switchboard[Listener], list[Frame]]:
    frames = [
        Frame(seq, seq, seq, connection, kind, payload)
        for seq, (kind, connection, payload) in enumerate(rows)
    ]
    catalogue = Catalogue()
    for frame in frames:
        if frame.kind is Kind.OPENED:
            catalogue.opened(frame.connection, frame.payload)
        elif frame.kind is Kind.TEXT:
            catalogue.text(frame.seq, frame.connection, frame.payload)
    return Switchboard(catalogue), frames


def play(board: Switchboard[Listener], frames: list[Frame]) -> None:
    for frame in frames:
        for receiver in board.play(frame):
            receiver.push(frame.payload)


def numbers(listener: Listener) -> list[int]:
    return [int(json.loads(payload)["data"][0]["tradeId"]) for payload in listener.received]


def test_the_first_of_two_connections_serves_until_it_closes_then_the_other_goes_on():
    rows = [opened(0), opened(1), trade(0, 1), trade(1, 1), trade(1, 2), trade(0, 2), closed(0)]
    board, frames = board_of([*rows, trade(1, 3), trade(1, 4)])
    listener = Listener()
    board.subscribe(listener, TRADES)

    play(board, frames)

    assert numbers(listener) == [1, 2, 3, 4]


def test_a_new_run_may_use_other_connections():
    board, frames = board_of(
        [opened(0), trade(0, 1), (Kind.RUN, -1, b"{}"), opened(1), trade(1, 2)]
    )
    listener = Listener()
    board.subscribe(listener, TRADES)

    play(board, frames)

    assert numbers(listener) == [1, 2]


def test_every_receiver_leaves_for_itself():
    board, frames = board_of([opened(0), trade(0, 1), trade(0, 2), trade(0, 3)])
    staying, leaving, forgotten = Listener(), Listener(), Listener()
    for listener in (staying, leaving, forgotten):
        board.subscribe(listener, TRADES)
        board.subscribe(listener, TRADES)  # a repeated subscribe doubles nothing
    play(board, frames[:2])
    board.unsubscribe(leaving, TRADES)
    board.forget(forgotten)
    play(board, frames[2:])

    assert numbers(staying) == [1, 2, 3]
    assert numbers(leaving) == numbers(forgotten) == [1]


def test_an_argument_is_known_where_it_was_recorded():
    board, _ = board_of([opened(0), trade(0, 1)])

    assert board.knows("public", TRADES)
    assert board.knows("public", {**TRADES, "instType": None})
    assert not board.knows("business", TRADES)
    assert not board.knows("public", {"channel": "trades"})
    assert not board.knows("public", {"channel": 7})


def stressed(datasets: Path) -> tuple[Switchboard[Listener], list[Frame]]:
    capture = Capture(datasets / "eth-stress")
    return Switchboard(read_catalogue(capture)), list(capture.frames())


def test_between_a_disconnect_and_the_reconnect_newcomers_wait_for_the_recorded_snapshot(
    datasets: Path,
):
    board, frames = stressed(datasets)
    cut = next(
        index
        for index, frame in enumerate(frames)
        if frame.kind is Kind.CLOSED and b"1006" in frame.payload
    )
    play(board, frames[: cut + 2])
    listener = Listener()
    board.subscribe(listener, BOOKS)
    assert listener.received == []

    play(board, frames[cut + 2 :])

    recorded = {frame.payload for frame in frames}
    assert b'"action":"snapshot"' in listener.received[0]
    assert set(listener.received) <= recorded


def test_the_end_of_a_recording_leaves_its_last_books(datasets: Path):
    board, frames = stressed(datasets)
    play(board, frames)
    listener = Listener()
    board.subscribe(listener, BOOKS)

    (snapshot,) = listener.received
    interpreter = Interpreter(str)
    for frame in frames:
        if frame.kind is not Kind.CLOSED or frame.seq < frames[-3].seq:
            interpreter.step(frame)
    book = interpreter.books.get("ETH-USDT", "books")
    assert book is not None
    (row,) = json.loads(snapshot)["data"]
    assert row["seqId"] == book.seq_id
    assert [level[:2] for level in row["bids"]] == [[b.price, b.size] for b in book.bids(400)]


def test_a_rewound_board_starts_everybody_anew(datasets: Path):
    board, frames = stressed(datasets)
    listener = Listener()
    board.subscribe(listener, BOOKS)
    play(board, frames)
    once = list(listener.received)
    board.rewind(0, Interpreter(str), is_beginning=True)
    play(board, frames)

    assert listener.received == once + once
