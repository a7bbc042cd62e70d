"""What an election knows is in the checkpoint, and nothing else decides what it delivers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from faulty_links import (
    BOOK,
    MS,
    START,
    TRADES,
    Faults,
    delivered_by,
    numbered_book,
    push,
    recorded,
    timed_book,
)

from recorder.event import BookUpdate, Event, Trade
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter

A = Faults(frozenset({7, 8, 30}), frozenset(), ((12, 4, 900 * MS),), 20 * MS)
B = Faults(frozenset({3, 19, 20, 30}), frozenset({25}), (), 90 * MS)


def both(payloads: list[bytes]) -> list[Frame]:
    return recorded([delivered_by(payloads, A), delivered_by(payloads, B)])


def identities(interpreter: Interpreter, frames: list[Frame]) -> list[Event]:
    return [event for frame in frames for event in interpreter.step(frame)]


@pytest.mark.parametrize("book", [numbered_book, timed_book])
def test_a_restored_election_goes_on_exactly(book: Callable[[int], list[bytes]]) -> None:
    frames = both(book(40))
    interpreter, states = Interpreter(), list[bytes]()
    told: list[list[Event]] = []
    for frame in frames:
        states.append(interpreter.save())
        told.append(interpreter.step(frame))
    for at in range(0, len(frames), 5):
        again = Interpreter.restore(states[at])
        assert again.save() == states[at]
        rest = [event for events in told[at:] for event in events]
        assert identities(again, frames[at:]) == rest
        assert again.save() == interpreter.save()


def test_one_stream_is_the_same_whether_others_are_read_beside_it() -> None:
    trades = [
        push(TRADES, {"instId": "BTC-USDT", "tradeId": str(number), "px": "1", "sz": "1",
                      "side": "buy", "ts": str(number * 100)})
        for number in range(40)
    ]  # fmt: skip
    mixed = [payload for pair in zip(numbered_book(40), trades, strict=True) for payload in pair]
    frames = both(mixed)
    alone = [f for f in frames if f.kind is not Kind.TEXT or b'"books"' in f.payload]
    every = [e for e in identities(Interpreter(), frames) if isinstance(e, BookUpdate)]
    assert every == [e for e in identities(Interpreter(), alone) if isinstance(e, BookUpdate)]
    sold = [e.trade_id for e in identities(Interpreter(), frames) if isinstance(e, Trade)]
    assert len(sold) == len(set(sold))


def test_the_state_of_elected_links_is_not_taken_for_that_of_every_link() -> None:
    interpreter = Interpreter()
    identities(interpreter, both(numbered_book(10)))
    with pytest.raises(ValueError, match="state of every link"):
        Interpreter.restore(interpreter.save(), elects=False)


def test_one_link_costs_nothing_and_leaves_no_trace() -> None:
    frames = recorded([delivered_by(numbered_book(40), A)])
    elected, plain = Interpreter(), Interpreter(elects=False)
    assert identities(elected, frames) == identities(plain, frames)
    assert elected.save() == plain.save()
    assert elected.link_counts == {}


@pytest.mark.parametrize("book", [numbered_book, timed_book])
def test_a_book_that_has_stood_still_begins_anew_after_every_link_was_gone(
    book: Callable[[int], list[bytes]],
) -> None:
    payloads = book(12)
    frames = recorded([[(START, payloads[0])], [(START + MS, payloads[0])]])

    def add(after: int, connection: int, kind: Kind, payload: bytes) -> None:
        at = START + after * MS
        frames.append(Frame(len(frames), at, at, connection, kind, payload))

    for link in (0, 1):
        add(1000 + link, link, Kind.CLOSED, b"{}")
    for link in (0, 1):
        row = {"endpoint": "public", "link": link, "url": "wss://venue"}
        add(2000 + link, 2 + link, Kind.OPENED, json.dumps(row).encode())
    for number, payload in enumerate(payloads):  # the same snapshot: nothing has happened
        for link in (0, 1):
            add(3000 + 100 * number + link, 2 + link, Kind.TEXT, payload)
    interpreter = Interpreter()
    updates = [e for e in identities(interpreter, frames) if isinstance(e, BookUpdate)]
    assert [update.is_snapshot for update in updates[:2]] == [True, True]
    assert len(updates) >= len(payloads)
    assert [book.is_whole for book in interpreter.books.of("BTC-USDT")] == [True]
    assert interpreter.integrity.gaps == 0


def test_links_that_begin_behind_a_checkpoint_are_elected_as_without_one() -> None:
    frames: list[Frame] = []

    def add(connection: int, kind: Kind, payload: bytes) -> None:
        at = START + len(frames) * MS
        frames.append(Frame(len(frames), at, at, connection, kind, payload))

    for link in (0, 1):  # lines of two sockets, imported: no run row tells of both beforehand
        row = {"endpoint": "public", "link": link, "url": "wss://venue"}
        add(link, Kind.OPENED, json.dumps(row).encode())
        add(link, Kind.TEXT, json.dumps({"event": "subscribe", "arg": BOOK}).encode())
        add(link, Kind.TEXT, numbered_book(10)[0])
    for payload in numbered_book(10)[1:]:
        add(0, Kind.TEXT, payload)
        add(1, Kind.TEXT, payload)
    whole, first = Interpreter(), Interpreter()
    identities(first, frames[:3])
    again = Interpreter.restore(first.save())
    told = identities(whole, frames)
    assert [e for e in told if e.seq >= 3] == identities(again, frames[3:])
    assert sum(isinstance(event, BookUpdate) for event in told) == 11
