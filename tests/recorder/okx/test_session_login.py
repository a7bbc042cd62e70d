"""The login of a session as a playbook: when it is asked for, what each answer leads to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recorder.clock import NS_PER_SECOND
from recorder.event import Event, LoggedIn, Subscribed, VenueError
from recorder.frame import Frame, Kind
from recorder.okx import exchange
from recorder.okx.login import TRIES, login_cause
from recorder.okx.parser import parse
from recorder.okx.session import Action, Close, GiveUp, LogIn, LoginState, Send, Session, Standing
from recorder.okx.subscription import Subscription, parse_subscription

S = NS_PER_SECOND
QUIET = 10**9 * S  # no ping in between
BOOKS, DEEP, CANDLE, ALGO, ORDERS, ACCOUNT = (
    parse_subscription(text)
    for text in (
        "books:BTC-USDT",
        "books-l2-tbt:BTC-USDT",
        "candle1m:BTC-USDT",
        "orders-algo",
        "orders",
        "account",
    )
)


def opened(*wanted: Subscription, **options: Any) -> tuple[Session, list[Action]]:
    session = Session(wanted, 0, **{"log_in": True, "ping_after": QUIET, **options})
    return session, session.tick(0)


def told(actions: list[Action]) -> list[Any]:
    """Actions in short: `login r1`, `subscribe books …`, and anything else as it is."""
    found: list[Any] = []
    for action in actions:
        match action:
            case LogIn(request_id):
                found.append(f"login {request_id}")
            case Send(payload):
                body = json.loads(payload)
                found.append(" ".join([body["op"], *(item["channel"] for item in body["args"])]))
            case other:
                found.append(other)
    return found


def event_of(payload: bytes) -> Event:
    (event,) = parse(Frame(0, 0, 0, 0, Kind.TEXT, payload))
    return event


def logged_in() -> Event:
    event = event_of(exchange.logged_in("9f3c01ab", "r1"))
    assert isinstance(event, LoggedIn)
    return event


def error(code: str, message: str = "no", request_id: str | None = "r1") -> Event:
    event = event_of(exchange.error(message, code, "9f3c01ab", request_id))
    assert isinstance(event, VenueError)
    return event


def ack(subscription: Subscription, request_id: str | None = None) -> Event:
    event = event_of(exchange.ack("subscribe", subscription.argument, "9f3c01ab", request_id))
    assert isinstance(event, Subscribed)
    return event


def next_actions(session: Session) -> tuple[int, list[Any]]:
    """Tick at the deadline; return when that was, s, and what was done."""
    deadline = session.deadline
    assert deadline is not None
    return deadline // S, told(session.tick(deadline))


def test_a_private_socket_asks_for_nothing_before_the_login() -> None:
    session, actions = opened(ORDERS, ACCOUNT)
    assert told(actions) == ["login r1"]
    assert session.login is LoginState.ASKED
    assert session.tick(5 * S) == []
    assert told(session.handle(logged_in(), 6 * S)) == ["subscribe orders account"]
    assert session.login is LoginState.DONE
    assert session.login_failures == 0


@pytest.mark.parametrize(("free", "bound"), [(BOOKS, DEEP), (CANDLE, ALGO)])
def test_what_needs_no_login_is_asked_for_beside_it(
    free: Subscription, bound: Subscription
) -> None:
    session, actions = opened(bound, free)
    assert told(actions) == ["login r1", f"subscribe {free.channel}"]
    session.handle(ack(free), 1)
    assert told(session.handle(logged_in(), 2)) == [f"subscribe {bound.channel}"]


def test_no_login_where_nothing_needs_one_or_nobody_can() -> None:
    session, actions = opened(BOOKS)
    assert told(actions) == ["subscribe books"]
    assert session.login is LoginState.NOT_WANTED
    assert session.handle(logged_in(), 1) == []
    session, actions = opened(BOOKS, DEEP, log_in=False)
    assert told(actions) == ["subscribe books books-l2-tbt"], "a local server asks for no login"
    assert session.handle(error("60009"), 1) == []
    assert session.refusals == ()


def test_answers_that_come_again_change_nothing() -> None:
    session, _ = opened(ORDERS)
    assert told(session.handle(logged_in(), 1)) == ["subscribe orders"]
    for event in (logged_in(), error("60031"), error("60031", request_id=None), error("60009")):
        assert session.handle(event, 2) == []
    assert session.login is LoginState.DONE
    assert session.standings == {ORDERS: Standing.ASKED}


@pytest.mark.parametrize("code", ["60031", "60010"])
def test_already_logged_in_is_logged_in(code: str) -> None:
    """The answer to the first login was late; the second one is told that it is repeated."""
    session, _ = opened(ORDERS)
    moment, actions = next_actions(session)
    assert (moment, actions) == (10, ["login r2"])
    assert told(session.handle(error(code, request_id="r2"), 11 * S)) == ["subscribe orders"]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("60004", "timestamp"),
        ("60005", "OKX_API_KEY"),
        ("60007", "OKX_SECRET_KEY"),
        ("60009", "do not fit"),
        ("60024", "OKX_PASSPHRASE"),
        ("60026", "at once"),
        ("60032", "--region"),
        ("99999", "check key, secret and passphrase"),
    ],
)
@pytest.mark.parametrize("request_id", ["r1", None])
def test_what_cannot_succeed_is_not_tried_again(
    code: str, cause: str, request_id: str | None
) -> None:
    if code == "99999" and request_id is None:
        request_id = "r1"  # a code nobody knows is the login's by its id only
    session, _ = opened(DEEP, BOOKS)
    session.handle(ack(BOOKS, "r2"), 1)
    assert session.handle(error(code, "words", request_id), 2) == [GiveUp(code, "words")]
    assert session.login is LoginState.FAILED
    assert session.standings == {DEEP: Standing.REFUSED, BOOKS: Standing.HELD}
    assert [(item.subscription, item.code) for item in session.refusals] == [(DEEP, code)]
    assert session.handle(error(code, "words", request_id), 3) == [], "said once"
    assert session.handle(logged_in(), 4) == []
    assert session.deadline == QUIET, "nothing left to do"
    assert session.closed(4001, "Login failed.", 5) == []
    assert cause in login_cause(code)


@pytest.mark.parametrize(("code", "first"), [("60006", 2), ("63999", 2), ("60014", 10)])
def test_what_may_pass_is_tried_again_but_not_for_ever(code: str, first: int) -> None:
    session, actions = opened(ORDERS)
    now, moments = 0, []
    for number in range(1, TRIES):
        assert told(actions) == [f"login r{number}"]
        assert session.handle(error(code, "words", f"r{number}"), now) == []
        deadline = session.deadline
        assert deadline is not None
        moments.append((deadline - now) // S)
        now, actions = deadline, session.tick(deadline)
    assert moments == [first << n for n in range(TRIES - 1)]
    assert session.handle(error(code, "words", f"r{TRIES}"), now) == [GiveUp(code, "words")]


def test_success_after_a_failure_starts_counting_anew() -> None:
    session, _ = opened(ORDERS, login_failures=TRIES - 2)
    session.handle(error("60006"), 0)
    assert session.login_failures == TRIES - 1
    assert next_actions(session)[1] == ["login r2"]
    assert told(session.handle(logged_in(), 20 * S)) == ["subscribe orders"]
    assert session.login_failures == 0


def test_no_answer_at_all_is_given_up_too() -> None:
    session, _ = opened(ORDERS)
    steps = []
    while session.login is not LoginState.FAILED:
        steps.append(next_actions(session))
    assert steps == [
        (10, ["login r2"]),
        (20, ["login r3"]),
        (30, ["login r4"]),
        (40, [GiveUp("no answer", "none within 10 s")]),
    ]


def test_a_close_4001_is_an_answer_where_there_is_no_other() -> None:
    failures = 0
    for _ in range(TRIES - 1):
        session, actions = opened(ORDERS, login_failures=failures)
        assert told(actions) == ["login r1"]
        assert session.closed(4001, "Login failed.", 1) == []
        assert session.login_failures == failures + 1
        failures = session.login_failures
    session, _ = opened(ORDERS, login_failures=failures)
    assert session.closed(4001, "Login failed.", 1) == [GiveUp("4001", "Login failed.")]
    assert [item.code for item in session.refusals] == ["4001"]


def test_the_close_after_a_login_error_is_not_a_second_failure() -> None:
    session, _ = opened(ORDERS)
    session.handle(error("60006"), 1)
    assert session.closed(4001, "Login failed.", 2) == []
    assert session.login_failures == 1


@pytest.mark.parametrize("code", [1006, 4004, 1000, None])
def test_a_connection_that_is_lost_says_nothing_about_the_login(code: int | None) -> None:
    session, _ = opened(ORDERS)
    assert session.closed(code, "", 1) == []
    assert session.login_failures == 0
    assert session.tick(100 * S) == []
    assert session.deadline is None


def test_please_log_in_although_we_did_is_asked_again_a_few_times() -> None:
    session, _ = opened(ORDERS)
    assert told(session.handle(logged_in(), 0)) == ["subscribe orders"]
    now, waits = 0, []
    for number in range(2, 5):
        session.handle(ack(ORDERS, f"r{number}"), now)
        assert session.handle(error("60011", "Please log in", f"r{number}"), now) == []
        deadline = session.deadline
        assert deadline is not None
        waits.append((deadline - now) // S)
        now = deadline
        assert told(session.tick(now)) == ["subscribe orders"]
    assert waits == [5, 10, 20]
    assert session.handle(error("60011", "Please log in", "r5"), now) == []
    assert [item.code for item in session.refusals] == ["60011"]


def test_a_channel_that_wants_a_login_against_the_table_gets_one() -> None:
    session, actions = opened(CANDLE, BOOKS)
    assert told(actions) == ["subscribe candle1m books"]
    words = "channel:candle1m,instId:BTC-USDT Please log in"
    assert told(session.handle(error("60011", words), 1)) == ["login r2"]
    session.handle(ack(BOOKS, "r1"), 2)
    session.handle(logged_in(), 3)
    assert next_actions(session) == (5, ["subscribe candle1m"])


def test_a_login_counts_against_the_budget() -> None:
    session, actions = opened(ORDERS, BOOKS, requests_per_hour=2)
    assert told(actions) == ["login r1", "subscribe books"]
    session.handle(ack(BOOKS), 1)
    assert session.handle(logged_in(), S) == [], "the hour's two are used up"
    assert next_actions(session) == (3_600, ["subscribe orders"])


def test_a_login_event_with_an_error_code_is_a_failure() -> None:
    session, _ = opened(ORDERS)
    event = event_of(b'{"event":"login","msg":"Login failed.","code":"60009"}')
    assert session.handle(event, 1) == [GiveUp("60009", "login refused")]


def test_a_dead_connection_closes_whatever_the_login_does() -> None:
    session, _ = opened(ORDERS, ping_after=S, pong_timeout=S)
    assert session.tick(S) == [Send(b"ping")]
    (last,) = session.tick(2 * S)
    assert isinstance(last, Close)
    assert session.handle(logged_in(), 3 * S) == []
