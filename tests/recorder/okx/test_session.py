"""Session as a playbook: what happens, when, and what the session wants done. No sockets."""

from __future__ import annotations

import json
from typing import Any

from recorder.clock import NS_PER_SECOND
from recorder.event import Event, Pong, SequenceGap, Subscribed, Unsubscribed, VenueError
from recorder.frame import Frame, Kind
from recorder.okx import exchange
from recorder.okx.parser import parse
from recorder.okx.session import Action, Close, Send, Session, Standing
from recorder.okx.subscription import Subscription, parse_subscription

S = NS_PER_SECOND
BOOKS, TRADES, CANDLE = (
    parse_subscription(text) for text in ("books:BTC-USDT", "trades:BTC-USDT", "candle1m:BTC-USDT")
)


def opened(*wanted: Subscription, now: int = 0, **options: Any) -> tuple[Session, list[Action]]:
    session = Session(wanted, now, **options)
    return session, session.tick(now)


def requests(actions: list[Action]) -> list[tuple[str, str, list[str]]]:
    """(op, id, arguments) of each request among actions."""
    found = []
    for action in actions:
        assert isinstance(action, Send)
        if action.payload != b"ping":
            body = json.loads(action.payload)
            arguments = [f"{a['channel']}:{a.get('instId')}" for a in body["args"]]
            found.append((body["op"], body["id"], arguments))
    return found


def event_of(payload: bytes) -> Event:
    """What the one parser says about a frame of the venue's."""
    (event,) = parse(Frame(0, 0, 0, 0, Kind.TEXT, payload))
    return event


def ack(subscription: Subscription, request_id: str | None = "r1") -> Event:
    event = event_of(exchange.ack("subscribe", subscription.argument, "9f3c01ab", request_id))
    assert isinstance(event, Subscribed)
    return event


def unsubscribed(subscription: Subscription, request_id: str | None = None) -> Event:
    event = event_of(exchange.ack("unsubscribe", subscription.argument, "9f3c01ab", request_id))
    assert isinstance(event, Unsubscribed)
    return event


def error(code: str, message: str, request_id: str | None = "r1") -> Event:
    event = event_of(exchange.error(message, code, "9f3c01ab", request_id))
    assert isinstance(event, VenueError)
    return event


def unknown(subscription: Subscription, request_id: str | None = "r1") -> Event:
    return error("60018", exchange.unknown_argument(subscription.argument), request_id)


def gap(channel: str = "books") -> SequenceGap:
    return SequenceGap(9, 1, 0, 0, "BTC-USDT", channel, 15, 22, 30)


def test_one_request_asks_for_everything_and_acks_settle_it() -> None:
    session, actions = opened(BOOKS, TRADES)
    assert requests(actions) == [("subscribe", "r1", ["books:BTC-USDT", "trades:BTC-USDT"])]
    assert session.standings == {BOOKS: Standing.ASKED, TRADES: Standing.ASKED}
    assert session.handle(ack(TRADES), 1) == []
    assert session.handle(ack(BOOKS), 2) == []
    assert session.handle(ack(BOOKS), 3) == [], "repeated acks change nothing"
    assert session.standings == {BOOKS: Standing.HELD, TRADES: Standing.HELD}
    assert session.tick(S) == []


def test_an_ack_without_an_id_counts() -> None:
    session, _ = opened(BOOKS)
    session.handle(ack(BOOKS, None), 1)  # frames of 2022 carry none
    assert Standing.HELD in session.standings.values()


def test_many_arguments_are_split_into_requests_below_the_limit() -> None:
    wanted = [parse_subscription(f"books:COIN{n:05d}-USDT") for n in range(500)]
    _, actions = opened(*wanted)
    asked = requests(actions)
    assert len(asked) == 6
    assert [argument for _, _, part in asked for argument in part] == [str(w) for w in wanted]
    assert all(len(a.payload) < 4096 for a in actions if isinstance(a, Send))
    assert len({request_id for _, request_id, _ in asked}) == len(asked)


def test_an_error_hits_only_the_argument_its_text_names() -> None:
    session, _ = opened(BOOKS, TRADES)
    session.handle(unknown(BOOKS), 1)
    session.handle(ack(TRADES), 2)
    assert session.standings == {BOOKS: Standing.REFUSED, TRADES: Standing.HELD}
    assert [(r.subscription, r.code) for r in session.refusals] == [(BOOKS, "60018")]


def test_both_spellings_of_60018_and_no_id_at_all() -> None:
    for text in (
        "Wrong URL or channel:trades,instId:BTC-USDT doesn't exist. Please use …",
        "Wrong URL or channel:trades, instId:BTC-USDT doesn't exist. Please use …",
    ):
        session, _ = opened(BOOKS, TRADES)
        session.handle(error("60018", text, None), 1)
        assert session.standings == {BOOKS: Standing.ASKED, TRADES: Standing.REFUSED}


def test_a_text_that_names_nothing_means_the_first_without_an_answer() -> None:
    session, _ = opened(BOOKS, TRADES, CANDLE)
    session.handle(ack(BOOKS), 1)
    session.handle(error("60013", "Invalid args"), 2)
    session.handle(ack(CANDLE), 3)
    assert list(session.standings.values()) == [Standing.HELD, Standing.REFUSED, Standing.HELD]


def test_a_stranger_to_us_changes_nothing() -> None:
    session, _ = opened(BOOKS)
    other = parse_subscription("tickers:ETH-USDT")
    for event in (ack(other), unsubscribed(other), unknown(other), error("60012", "?", "x9")):
        assert session.handle(event, 1) == []
    assert session.standings == {BOOKS: Standing.ASKED}


def test_an_ack_is_not_final() -> None:
    """60011 after the ack, as the public socket answers `books-l2-tbt` without a login."""
    deep = parse_subscription("books-l2-tbt:BTC-USDT")
    session, _ = opened(BOOKS, deep)
    session.handle(ack(BOOKS), 1)
    session.handle(ack(deep), 2)
    session.handle(error("60011", "Please log in"), 3)
    assert session.standings == {BOOKS: Standing.HELD, deep: Standing.REFUSED}


def test_too_fast_means_later_not_never() -> None:
    session, _ = opened(BOOKS, TRADES)
    assert session.handle(error("60014", "Requests too frequent"), 1 * S) == []
    assert session.refusals == ()
    deadline = session.deadline
    assert deadline is not None
    assert requests(session.tick(deadline)) == [
        ("subscribe", "r2", ["books:BTC-USDT", "trades:BTC-USDT"])
    ]


def test_no_answer_is_asked_again_ever_later() -> None:
    session, _ = opened(BOOKS, ping_after=10**6 * S)
    moments = []
    now = 0
    for _ in range(5):
        deadline = session.deadline
        assert deadline is not None
        now = deadline
        assert requests(session.tick(now))
        moments.append(now // S)
    assert moments == [10, 30, 70, 150, 310]


def test_silence_ping_pong_silence_ping_dead() -> None:
    session, _ = opened(BOOKS)
    session.handle(ack(BOOKS), 1 * S)
    session.heard(1 * S)
    assert session.deadline == 16 * S
    assert session.tick(15 * S) == [], "the timer restarts with every frame"
    assert session.tick(16 * S) == [Send(b"ping")]
    assert session.deadline == 26 * S
    session.heard(17 * S)
    assert session.handle(Pong(5, 0, 0, 0), 17 * S) == []
    assert session.tick(32 * S) == [Send(b"ping")]
    assert session.tick(41 * S) == []
    assert session.tick(42 * S) == [Close("no answer to a ping within 10 s")]
    assert session.tick(99 * S) == []
    assert session.deadline is None


def test_a_gap_leaves_waits_and_comes_back() -> None:
    session, _ = opened(BOOKS, TRADES)
    session.handle(ack(BOOKS), 1)
    session.handle(ack(TRADES), 1)
    assert requests(session.handle(gap(), 2 * S)) == [("unsubscribe", "r2", ["books:BTC-USDT"])]
    assert session.handle(gap(), 2 * S) == [], "once"
    assert session.standings[BOOKS] is Standing.LEAVING
    assert requests(session.handle(unsubscribed(BOOKS, "r2"), 3 * S)) == [
        ("subscribe", "r3", ["books:BTC-USDT"])
    ]
    session.handle(ack(BOOKS, "r3"), 4 * S)
    assert session.standings == {BOOKS: Standing.HELD, TRADES: Standing.HELD}


def test_a_storm_of_gaps_is_slowed_down_but_not_forgotten() -> None:
    session, _ = opened(BOOKS, ping_after=10**6 * S)
    session.handle(ack(BOOKS), 0)
    leaves = []
    now = 0
    while len(leaves) < 5:
        actions = session.handle(gap(), now)
        while not actions:
            deadline = session.deadline
            assert deadline is not None
            now = deadline
            actions = session.tick(now)
        leaves.append(now // S)
        session.handle(unsubscribed(BOOKS), now)
        session.handle(ack(BOOKS, None), now)
    assert leaves == [0, 5, 15, 35, 75]


def test_a_gap_may_be_left_alone() -> None:
    session, _ = opened(BOOKS, resync=False)
    session.handle(ack(BOOKS), 1)
    assert session.handle(gap(), 2) == []


def test_an_eviction_is_asked_again_after_a_minute() -> None:
    session, _ = opened(BOOKS, ping_after=10**6 * S)
    session.handle(ack(BOOKS), 1)
    assert session.handle(unsubscribed(BOOKS), 2 * S) == []
    assert session.deadline == 62 * S
    assert requests(session.tick(62 * S)) == [("subscribe", "r2", ["books:BTC-USDT"])]
    session.handle(ack(BOOKS, "r2"), 63 * S)
    session.handle(error("64004", "channel:books,instId:BTC-USDT taken", "r2"), 63 * S)
    assert session.standings == {BOOKS: Standing.REFUSED}


def test_the_hours_budget_is_kept() -> None:
    session, _ = opened(BOOKS, requests_per_hour=3, ping_after=10**9 * S)
    asked = 1
    while (deadline := session.deadline) is not None and deadline < 3_600 * S:
        asked += len(requests(session.tick(deadline)))
    assert asked == 3
    assert session.deadline == 3_600 * S
    assert session.tick(3_599 * S) == []
    assert requests(session.tick(3_600 * S)) == [("subscribe", "r4", ["books:BTC-USDT"])]
