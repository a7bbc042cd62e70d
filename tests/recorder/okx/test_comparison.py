"""The venue's book by REST against the rebuilt one: payloads in, verdicts out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recorder.event import BookMismatch, Event
from recorder.frame import Frame, Kind
from recorder.okx.comparison import instrument_asked_for
from recorder.okx.interpreter import Interpreter

SECOND = 1_000_000_000
REQUEST = "GET /api/v5/market/books?instId=ELM-USDT&sz=400 HTTP/1.1"


class Tape:
    """Frames one after the other into one interpreter, or into a restored one at any moment."""

    def __init__(self, number: type = float) -> None:
        self.interpreter = Interpreter(number)
        self.number = number
        self.seq = 0
        self.now = 0
        self.restores = False

    def step(self, kind: Kind, payload: bytes, connection: int = 0) -> list[Event]:
        frame = Frame(self.seq, self.now, self.seq, connection, kind, payload)
        self.seq += 1
        self.now += 1_000_000
        events = self.interpreter.step(frame)
        if self.restores:
            counts = self.interpreter.integrity
            self.interpreter = Interpreter.restore(self.interpreter.save(), self.number)
            for name in counts.__struct_fields__:
                setattr(self.interpreter.integrity, name, getattr(counts, name))
        return events

    def book(self, seq_id: int, previous: int, bids: Any = (), asks: Any = ()) -> list[Event]:
        action = "snapshot" if previous == -1 else "update"
        row = {**sides(bids, asks), "checksum": 0, "seqId": seq_id, "prevSeqId": previous}
        argument = {"channel": "books", "instId": "ELM-USDT"}
        return self.step(Kind.TEXT, encode({"arg": argument, "action": action, "data": [row]}))

    def ask(self, connection: int = 7, request: str = REQUEST) -> None:
        assert self.step(Kind.SENT, request.encode(), connection) == []

    def answer(
        self, seq_id: int, bids: Any = (), asks: Any = (), connection: int = 7
    ) -> list[Event]:
        row = {**sides(bids, asks), "seqId": seq_id}
        body = {"code": "0", "msg": "", "data": [row]}
        return self.step(Kind.REST, encode(body), connection)[1:]

    @property
    def counts(self) -> tuple[int, int, int]:
        found = self.interpreter.integrity
        return (found.books_match, found.books_mismatch, found.books_unproven)


def encode(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def sides(bids: Any, asks: Any) -> dict[str, Any]:
    return {
        "asks": [[price, size, "0", "1"] for price, size in asks],
        "bids": [[price, size, "0", "1"] for price, size in bids],
        "ts": "1790000000100",
    }


OPENING = {"bids": [("2.4", "5"), ("2.3", "7")], "asks": [("2.5", "1")]}


@pytest.fixture(params=[False, True], ids=["straight", "restored after each frame"])
def tape(request: pytest.FixtureRequest) -> Tape:
    made = Tape()
    made.restores = request.param
    made.book(10, -1, **OPENING)
    return made


def test_the_same_number_and_the_same_book(tape: Tape) -> None:
    tape.ask()
    assert tape.answer(10, **OPENING) == []
    assert tape.counts == (1, 0, 0)


def test_trailing_zeros_are_no_difference(tape: Tape) -> None:
    tape.ask()
    assert tape.answer(10, [("2.40", "5.0"), ("2.3", "7")], [("2.5", "1")]) == []
    assert tape.counts == (1, 0, 0)


def test_a_body_of_an_update_that_came_before_it(tape: Tape) -> None:
    tape.ask()
    tape.book(15, 10, bids=[("2.4", "6")])
    tape.book(22, 15, bids=[("2.3", "0")])
    assert tape.answer(15, [("2.4", "6"), ("2.3", "7")], OPENING["asks"]) == []
    assert tape.counts == (1, 0, 0)


def test_a_body_of_an_update_that_comes_after_it(tape: Tape) -> None:
    tape.ask()
    assert tape.answer(22, [("2.4", "6")], OPENING["asks"]) == []
    assert tape.counts == (0, 0, 0), "not yet"
    tape.book(15, 10, bids=[("2.4", "6")])
    tape.book(22, 15, bids=[("2.3", "0")])
    assert tape.counts == (1, 0, 0)


def test_a_wrong_level_is_told_with_both_sizes(tape: Tape) -> None:
    tape.ask()
    tape.book(15, 10, bids=[("2.4", "6")])
    (event,) = tape.answer(15, [("2.4", "6"), ("2.2", "3")], [("2.5", "9")])
    assert isinstance(event, BookMismatch)
    assert (event.index, event.connection, event.channel) == (1, 0, "books")
    assert (event.seq_id, event.is_exact, event.bids, event.asks) == (15, True, 2, 1)
    assert (event.side, event.price, event.size, event.venue_size) == ("bid", 2.3, 7.0, None)
    assert tape.counts == (0, 1, 0)
    book = tape.interpreter.books["ELM-USDT"]
    assert book.is_whole, "the book in force is left alone: no storm of snapshots"


def test_a_mismatch_that_an_update_brings_to_light_belongs_to_its_frame(tape: Tape) -> None:
    tape.ask()
    tape.answer(15, [("2.4", "8"), ("2.3", "7")], OPENING["asks"])
    update, mismatch = tape.book(15, 10, bids=[("2.4", "6")])
    assert (update.index, mismatch.index) == (0, 1)
    assert isinstance(mismatch, BookMismatch)
    assert (mismatch.price, mismatch.size, mismatch.venue_size) == (2.4, 6.0, 8.0)


def test_between_two_updates_each_level_is_that_before_or_that_after(tape: Tape) -> None:
    tape.ask()
    tape.book(20, 10, bids=[("2.4", "6"), ("2.2", "1")])
    # The first change of the update has happened, the second not yet.
    assert tape.answer(15, [("2.4", "6"), ("2.3", "7")], OPENING["asks"]) == []
    assert tape.counts == (1, 0, 0)


def test_between_two_updates_a_difference_counts_when_it_is_found_twice(tape: Tape) -> None:
    tape.ask()
    tape.book(20, 10, bids=[("2.4", "6")])
    assert tape.answer(15, [("2.4", "6"), ("2.3", "9")], OPENING["asks"]) == []
    assert tape.counts == (0, 0, 1), "it may have changed and changed back"
    tape.ask(8)
    tape.book(30, 20, bids=[("2.4", "7")])
    (event,) = tape.answer(25, [("2.4", "7"), ("2.3", "9")], OPENING["asks"], connection=8)
    assert isinstance(event, BookMismatch)
    assert (event.is_exact, event.seq_id, event.price, event.size) == (False, 25, 2.3, 7.0)
    assert tape.counts == (0, 1, 1)


def test_another_level_the_second_time_proves_nothing(tape: Tape) -> None:
    tape.ask()
    tape.book(20, 10, bids=[("2.4", "6")])
    tape.answer(15, [("2.4", "6"), ("2.3", "9")], OPENING["asks"])
    tape.ask(8)
    tape.book(30, 20, bids=[("2.4", "7")])
    assert tape.answer(25, [("2.4", "7"), ("2.3", "7")], [("2.5", "2")], connection=8) == []
    assert tape.counts == (0, 0, 2)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"data":[]}', b'{"data":[7]}', b'{"data":[{"asks":[],"bids":[]}]}'],
)
def test_a_body_that_is_none_proves_nothing(tape: Tape, body: bytes) -> None:
    tape.ask()
    tape.step(Kind.REST, body, 7)
    assert tape.counts == (0, 0, 1)


def test_an_old_body_a_gap_a_reset_and_a_lost_connection_prove_nothing(tape: Tape) -> None:
    tape.ask()
    tape.answer(9, **OPENING)
    tape.ask(8)
    tape.book(20, 15)
    tape.answer(20, **OPENING, connection=8)
    assert tape.counts == (0, 0, 2)
    tape.book(30, -1, **OPENING)
    tape.ask(9)
    tape.book(4, 30)
    tape.answer(50, **OPENING, connection=9)
    assert tape.counts == (0, 0, 3)
    tape.ask(10)
    end = {"code": 1006, "reason": "", "by": "network", "opened": True}
    tape.step(Kind.CLOSED, encode(end), 0)
    assert tape.answer(4, **OPENING, connection=10) == []
    assert tape.counts == (0, 0, 4)


def test_a_request_that_failed_is_over(tape: Tape) -> None:
    tape.ask()
    end = {"code": 429, "reason": "HTTP 429", "by": "venue", "opened": False}
    tape.step(Kind.CLOSED, encode(end), 7)
    assert tape.counts == (0, 0, 1)
    tape.book(15, 10)
    assert tape.counts == (0, 0, 1)


def test_a_comparison_does_not_wait_for_ever(tape: Tape) -> None:
    tape.ask()
    tape.answer(99, **OPENING)
    tape.now += 61 * SECOND
    tape.book(15, 10)
    assert tape.counts == (0, 0, 1)
    tape.book(99, 15)
    assert tape.counts == (0, 0, 1)


def test_a_quiet_book_is_given_up_when_the_next_comparison_begins(tape: Tape) -> None:
    tape.ask()
    tape.answer(99, **OPENING)
    tape.now += 61 * SECOND
    tape.ask(8)
    assert tape.counts == (0, 0, 1)
    tape.answer(10, **OPENING, connection=8)
    assert tape.counts == (1, 0, 1)


def test_only_as_deep_as_was_asked_for(tape: Tape) -> None:
    tape.ask(request=REQUEST.replace("400", "1"))
    assert tape.answer(10, [("2.4", "5")], [("2.5", "1")]) == []
    assert tape.counts == (1, 0, 0)


def test_a_body_that_is_cut_hides_no_missing_level(tape: Tape) -> None:
    tape.ask()
    (event,) = tape.answer(10, [("2.4", "5"), ("2.3", "7"), ("2.2", "1")], [("2.5", "1")])
    assert isinstance(event, BookMismatch)
    assert (event.price, event.size, event.venue_size) == (2.2, None, 1.0)


def test_only_the_books_that_rest_gives_are_compared() -> None:
    tape = Tape()
    argument = {"channel": "books5", "instId": "ELM-USDT"}
    row = {**sides([("2.4", "5")], []), "seqId": 10}
    tape.step(Kind.TEXT, encode({"arg": argument, "data": [row]}))
    tape.ask()
    assert tape.answer(10, [("2.4", "6")], []) == []
    assert tape.counts == (0, 0, 0)


@pytest.mark.parametrize(
    ("request_line", "instrument"),
    [
        (REQUEST, "ELM-USDT"),
        ("GET /api/v5/market/books?instId=A-B HTTP/1.1", "A-B"),
        ("GET /api/v5/public/instruments?instId=A-B HTTP/1.1", None),
        ("POST /api/v5/market/books?instId=A-B HTTP/1.1", None),
        ("GET", None),
        ("GET http://[ HTTP/1.1", None),
        ("GET /api/v5/market/books HTTP/1.1", None),
        ("", None),
    ],
)
def test_request_lines(request_line: str, instrument: str | None) -> None:
    assert instrument_asked_for(request_line) == instrument


def test_a_recording_of_a_thousand_comparisons_keeps_the_state_small() -> None:
    tape = Tape()
    tape.book(10, -1, **OPENING)
    sizes = set()
    for number in range(1_000):
        tape.ask(100 + number)
        if number % 3 == 0:
            tape.answer(10, **OPENING, connection=100 + number)
        sizes.add(len(tape.interpreter.save()))
        tape.now += 30 * SECOND
    assert max(sizes) < 45_000, "requests without an answer are remembered, but not all"
    for number in range(1_000, 3_000):
        tape.ask(100 + number)
        tape.now += 30 * SECOND
    assert len(tape.interpreter.save()) < 75_000
    assert tape.interpreter.integrity.dropped > 1_000
