"""Books that cannot be trusted: fresh snapshots, one book at a time or all at once, no storm.

The venue of these tests is the pure other side (`okx.exchange`), with its own count of requests;
what it sends is read by the one interpreter. Time is an integer.
"""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from recorder.clock import NS_PER_SECOND
from recorder.event import (
    ChecksumMismatch,
    ConnectionCount,
    Event,
    LoggedIn,
    SequenceGap,
    Subscribed,
    Unsubscribed,
    VenueError,
)
from recorder.frame import Frame, Kind
from recorder.okx import exchange
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import parse
from recorder.okx.session import Action, Send, Session, Standing
from recorder.okx.subscription import Subscription, parse_subscription

S = NS_PER_SECOND
MS = S // 1_000
QUIET = 10**9 * S
BOOKS, DEEP50, DEEP, TRADES, ORDERS = (
    parse_subscription(text)
    for text in (
        "books:BTC-USDT",
        "books50-l2-tbt:BTC-USDT",
        "books-l2-tbt:BTC-USDT",
        "trades:BTC-USDT",
        "orders",
    )
)


def opened(*wanted: Subscription, **options: Any) -> tuple[Session, list[Action]]:
    session = Session(wanted, 0, **{"ping_after": QUIET, **options})
    return session, session.tick(0)


def told(actions: list[Action]) -> list[str]:
    found = []
    for action in actions:
        assert isinstance(action, Send)
        body = json.loads(action.payload)
        found.append(" ".join([body["op"], *(item["channel"] for item in body["args"])]))
    return found


def event_of(payload: bytes) -> Event:
    (event,) = parse(Frame(0, 0, 0, 0, Kind.TEXT, payload))
    return event


def ack(subscription: Subscription, request_id: str | None = None, op: str = "subscribe") -> Event:
    event = event_of(exchange.ack(op, subscription.argument, "9f3c01ab", request_id))
    assert isinstance(event, Subscribed | Unsubscribed)
    return event


def error(code: str, message: str = "no", request_id: str | None = None) -> Event:
    event = event_of(exchange.error(message, code, "9f3c01ab", request_id))
    assert isinstance(event, VenueError)
    return event


def gap(instrument: str = "BTC-USDT", channel: str = "books") -> SequenceGap:
    return SequenceGap(9, 1, 0, 0, instrument, channel, 15, 22, 30)


def held(*wanted: Subscription, **options: Any) -> Session:
    session, _ = opened(*wanted, **options)
    for item in wanted:
        session.handle(ack(item, "r1"), 0)
    return session


def deadline_of(session: Session) -> int:
    deadline = session.deadline
    assert deadline is not None
    return deadline


# --- one book ------------------------------------------------------------------------------


def test_a_wrong_checksum_is_a_broken_book() -> None:
    session = held(BOOKS, TRADES)
    wrong = ChecksumMismatch(9, 1, 0, 0, "BTC-USDT", "books", 5, 6)
    assert told(session.handle(wrong, S)) == ["unsubscribe books"]
    assert told(session.handle(ack(BOOKS, "r2", "unsubscribe"), 2 * S)) == ["subscribe books"]
    assert session.standings[TRADES] is Standing.HELD


def test_books_whose_updates_the_capture_lacks_begin_anew_in_one_request() -> None:
    other = parse_subscription("books:ETH-USDT")
    session = held(BOOKS, TRADES, other)
    assert told(session.renew_books(S)) == ["unsubscribe books books"]
    assert session.renew_books(S) == [], "they are leaving already"
    session.handle(ack(BOOKS, "r2", "unsubscribe"), 2 * S)
    asked = session.handle(ack(other, "r2", "unsubscribe"), 2 * S)
    assert told(asked) == ["subscribe books books"]
    for item in (BOOKS, other):
        session.handle(ack(item, "r3"), 2 * S)
    assert session.renew_books(3 * S) == [], "not again at once"
    assert told(session.tick(deadline_of(session))) == ["unsubscribe books books"]


def test_books_are_left_alone_where_nobody_wants_fresh_ones() -> None:
    session = held(BOOKS, resync=False)
    assert session.renew_books(S) == []
    closing = held(BOOKS)
    closing.closed(1006, "", S)
    assert closing.renew_books(S) == []


def test_an_answer_to_the_unsubscribe_that_comes_twice_is_no_eviction() -> None:
    session = held(BOOKS)
    session.handle(gap(), S)
    session.handle(ack(BOOKS, "r2", "unsubscribe"), 2 * S)
    session.handle(ack(BOOKS, "r3"), 3 * S)
    assert session.handle(ack(BOOKS, "r2", "unsubscribe"), 4 * S) == []
    assert session.standings == {BOOKS: Standing.HELD}


def test_an_ack_from_before_we_left_is_no_ack() -> None:
    session = held(BOOKS)
    session.handle(gap(), S)
    session.handle(ack(BOOKS, "r2", "unsubscribe"), 2 * S)
    session.handle(ack(BOOKS, "r1"), 3 * S)
    assert session.standings == {BOOKS: Standing.ASKED}
    session.handle(ack(BOOKS, "r3"), 4 * S)
    assert session.standings == {BOOKS: Standing.HELD}


def test_a_book_without_a_snapshot_is_asked_for_again() -> None:
    """The unsubscribe got lost, so the second subscribe is acked and brings nothing."""
    has: set[Subscription] = set()
    session = held(BOOKS, TRADES, has_book=lambda item: item in has)
    assert deadline_of(session) == 30 * S
    assert told(session.tick(30 * S)) == ["unsubscribe books"]
    assert told(session.tick(40 * S)) == ["subscribe books"], "no answer to that either"
    session.handle(ack(BOOKS, "r3"), 41 * S)
    assert not session.is_restored
    has.add(BOOKS)
    assert session.is_restored
    assert session.tick(71 * S) == []
    assert deadline_of(session) == QUIET


def test_a_book_that_never_comes_is_asked_for_ever_more_seldom() -> None:
    session, _ = opened(BOOKS, has_book=lambda _: False)
    session.handle(ack(BOOKS, "r1"), 0)
    leaves, now, number = [], 0, 1
    while now < 3_600 * S:
        now = deadline_of(session)
        for line in told(session.tick(now)):
            assert line == "unsubscribe books"
            leaves.append(now)
            session.handle(ack(BOOKS, f"r{number + 1}", "unsubscribe"), now)
            number += 2
            session.handle(ack(BOOKS, f"r{number}"), now)
    waits = [after - before for before, after in pairwise(leaves)]
    assert waits == sorted(waits)
    assert waits[0] == 30 * S
    assert waits[-1] == 320 * S


def test_it_is_restored_when_all_is_held_or_refused_and_every_book_is_there() -> None:
    has: set[Subscription] = set()
    session, _ = opened(BOOKS, TRADES, ORDERS, has_book=lambda item: item in has)
    session.handle(ack(BOOKS, "r1"), 1)
    session.handle(ack(TRADES, "r1"), 1)
    has.add(BOOKS)
    assert not session.is_restored
    session.handle(error("60018", "channel:orders,instType:ANY doesn't exist", "r1"), 2)
    assert session.is_restored
    session.handle(gap(), 3)
    assert not session.is_restored


# --- after the ack -------------------------------------------------------------------------


def count(channel: str, event: str = "channel-conn-count-error") -> Event:
    payload = {"event": event, "channel": channel, "connCount": "30", "connId": "9f3c01ab"}
    found = event_of(json.dumps(payload).encode())
    assert isinstance(found, ConnectionCount)
    return found


def test_too_many_connections_refuse_all_of_that_channel() -> None:
    btc = parse_subscription("orders:instType=SWAP,instId=BTC-USDT-SWAP")
    account = parse_subscription("account")
    session = held(ORDERS, btc, account)
    assert session.handle(count("orders", "channel-conn-count"), 1) == []
    assert session.refusals == ()
    assert session.handle(count("orders"), 2) == []
    assert [(item.subscription, item.code) for item in session.refusals] == [
        (ORDERS, "channel-conn-count-error"),
        (btc, "channel-conn-count-error"),
    ]
    assert "30 connections" in session.refusals[0].message
    session.handle(ack(ORDERS, "r1"), 3)
    assert session.standings == {
        ORDERS: Standing.REFUSED,
        btc: Standing.REFUSED,
        account: Standing.HELD,
    }, "an ack that comes late or twice does not bring it back"
    assert deadline_of(session) == QUIET


@pytest.mark.parametrize("request_id", ["r1", None])
def test_the_deep_book_excludes_the_others_of_its_instrument(request_id: str | None) -> None:
    """OKX acks `books` and then says 64004, which names nothing."""
    other = parse_subscription("books:ETH-USDT")
    session, _ = opened(DEEP, other, BOOKS, DEEP50)
    for item in (DEEP, other, BOOKS):
        session.handle(ack(item, "r1"), 1)
    session.handle(error("64004", "Subscribed already.", request_id), 2)
    session.handle(ack(DEEP50, "r1"), 3)
    session.handle(error("64004", "Subscribed already.", request_id), 4)
    assert session.standings == {
        DEEP: Standing.HELD,
        other: Standing.HELD,
        BOOKS: Standing.REFUSED,
        DEEP50: Standing.REFUSED,
    }


@pytest.mark.parametrize("code", ["64003", "60029"])
def test_a_tier_that_is_too_low_hits_what_needs_it(code: str) -> None:
    session, _ = opened(BOOKS, DEEP, TRADES)
    session.handle(error(code, "fee tier", "r1"), 1)
    assert session.standings == {
        BOOKS: Standing.ASKED,
        DEEP: Standing.REFUSED,
        TRADES: Standing.ASKED,
    }


def test_evicted_books_come_back_in_one_request() -> None:
    wanted = [parse_subscription(f"books:COIN{n}-USDT") for n in range(50)]
    session = held(*wanted)
    for n, item in enumerate(wanted):
        session.handle(ack(item, None, "unsubscribe"), S + n * MS)
    assert told(session.tick(deadline_of(session))) == ["subscribe" + 50 * " books"]


def test_words_about_the_connection_refuse_nothing() -> None:
    session, _ = opened(BOOKS)
    for code in ("64008", "60015"):
        session.handle(error(code, "soon"), 1)
    assert session.standings == {BOOKS: Standing.ASKED}


def test_an_illegal_request_is_found_by_the_id_it_repeats() -> None:
    session, actions = opened(BOOKS)
    (sent,) = actions
    assert isinstance(sent, Send)
    session.handle(error("60012", f"Illegal request: {sent.payload.decode()}"), 1)
    assert [item.code for item in session.refusals] == ["60012"]


# --- many books ----------------------------------------------------------------------------


class Venue:
    """The other side: answers each request, numbers each book, breaks the ones it is told to."""

    def __init__(self, wanted: list[Subscription], **options: Any) -> None:
        now = 0
        self.conversation = exchange.Conversation("public", "9f3c01ab", lambda _: True)
        self.interpreter = Interpreter()
        self.session = Session(wanted, now, ping_after=QUIET, has_book=self.has_book, **options)
        self.seq_ids: dict[str, int] = {}
        self.seq = 0
        self.requests: list[int] = []
        self.too_fast = 0
        self.perform(self.session.tick(now), now)

    def has_book(self, subscription: Subscription) -> bool:
        return any(
            book.is_whole for book in self.interpreter.books.of(subscription.instrument or "")
        )

    def perform(self, actions: list[Action], now: int) -> None:
        for action in actions:
            assert isinstance(action, Send)
            self.requests.append(now)
            for reply in self.conversation.receive(action.payload, now):
                if isinstance(reply, exchange.Send):
                    self.too_fast += b"60014" in reply.payload
                    self.receive(reply.payload, now)
                elif isinstance(reply, exchange.Started):
                    instrument = str(reply.argument["instId"])
                    self.seq_ids[instrument] = 10
                    self.receive(self.push(instrument, "snapshot", 10, -1), now)
                elif isinstance(reply, exchange.Stopped):
                    del self.seq_ids[str(reply.argument["instId"])]

    def receive(self, payload: bytes, now: int) -> None:
        self.seq += 1
        for event in self.interpreter.step(Frame(self.seq, now, now, 0, Kind.TEXT, payload)):
            self.perform(self.session.handle(event, now), now)

    @staticmethod
    def push(instrument: str, action: str, seq_id: int, previous: int) -> bytes:
        book = {"asks": [], "bids": [["1", "1", "0", "1"]], "ts": "1790000000000", "checksum": 0}
        data = {**book, "seqId": seq_id, "prevSeqId": previous}
        argument = {"channel": "books", "instId": instrument}
        return json.dumps({"arg": argument, "action": action, "data": [data]}).encode()

    def update(self, instrument: str, now: int, *, broken: bool) -> None:
        if instrument in self.seq_ids:
            last = self.seq_ids[instrument]
            self.seq_ids[instrument] = last + 10
            self.receive(self.push(instrument, "update", last + 10, last + 5 * broken), now)

    def run_until(self, end: int) -> None:
        """Let the session act at each of its deadlines."""
        ticks = 0
        while (deadline := deadline_of(self.session)) <= end:
            self.perform(self.session.tick(deadline), deadline)
            ticks += 1
            assert ticks < 20_000, "a busy loop"

    def check_rate(self) -> None:
        assert self.too_fast == 0
        for position, moment in enumerate(self.requests):
            within = [t for t in self.requests[position : position + 481] if t < moment + 3_600 * S]
            assert len(within) <= 480

    @property
    def whole(self) -> int:
        return sum(book.is_whole for book in self.interpreter.books)


def books(count: int) -> list[Subscription]:
    return [parse_subscription(f"books:COIN{n:04d}-USDT") for n in range(count)]


def test_a_burst_that_breaks_every_book_costs_a_few_requests() -> None:
    wanted = books(400)
    venue = Venue(wanted)
    at_first = len(venue.requests)
    assert venue.whole == 400
    for n, item in enumerate(wanted):
        venue.update(item.instrument or "", S + n * 20_000, broken=True)
    venue.run_until(10 * S)
    assert venue.whole == 400
    assert len(venue.requests) - at_first <= 2 * at_first + 4
    assert set(venue.session.standings.values()) == {Standing.HELD}


def test_a_storm_of_gaps_for_hours_breaks_no_limit_and_every_book_comes_back() -> None:
    random, wanted = Random(1), books(100)
    venue = Venue(wanted)
    now = 0
    for _ in range(1_500):  # about two hours of it
        now += random.randrange(9_600 * MS)
        venue.run_until(now)
        item = random.choice(wanted)
        venue.update(item.instrument or "", now, broken=random.random() < 0.7)
    venue.check_rate()
    assert len(venue.requests) > 150
    venue.run_until(now + 3_600 * S)
    venue.check_rate()
    assert venue.whole == len(wanted)
    assert set(venue.session.standings.values()) == {Standing.HELD}


def test_resynchronising_leaves_room_for_what_was_never_held() -> None:
    wanted = books(20)
    venue = Venue(wanted, requests_per_hour=24)
    now = 0
    while now < 3_500 * S:
        now += 5 * S
        venue.run_until(now)
        for item in wanted[:10]:
            venue.update(item.instrument or "", now, broken=True)
    assert 16 <= len(venue.requests) <= 18, "three quarters of what there is"
    venue.session.handle(ack(wanted[15], None, "unsubscribe"), now)  # evicted
    venue.run_until(now + 61 * S)
    assert venue.session.standings[wanted[15]] is Standing.HELD
    assert len(venue.requests) <= 24


def test_a_login_event_changes_no_book() -> None:
    session = held(BOOKS)
    assert session.handle(LoggedIn(1, 0, 0, 0, "0", None), 1) == []
    assert session.standings == {BOOKS: Standing.HELD}
