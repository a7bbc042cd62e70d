"""What is wanted changes while the conversation goes on: subscribe and unsubscribe of a session."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_SECOND
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.okx import exchange
from recorder.okx.parser import parse
from recorder.okx.session import Action, LogIn, LoginState, Send, Session, Standing
from recorder.okx.subscription import Subscription, parse_subscription, subscription_of

S = NS_PER_SECOND
BOOKS, TRADES, CANDLE = (
    parse_subscription(text) for text in ("books:BTC-USDT", "trades:BTC-USDT", "tickers:BTC-USDT")
)
ORDERS = parse_subscription("orders")
POOL = (*(parse_subscription(f"trades:{name}") for name in "ABCDEF"), BOOKS)
REFUSED = "trades:F"


def events_of(payload: bytes) -> list[Event]:
    return parse(Frame(0, 0, 0, 0, Kind.TEXT, payload))


def requests(actions: list[Action]) -> list[tuple[str, list[str]]]:
    bodies = [
        json.loads(a.payload) for a in actions if isinstance(a, Send) and a.payload != b"ping"
    ]
    return [(b["op"], [str(subscription_of(arg)) for arg in b["args"]]) for b in bodies]


class Both:
    """A session and the venue it talks to, with messages under way in both directions."""

    def __init__(self, *wanted: Subscription, **options: Any) -> None:
        self.now = 0
        self.session = Session(wanted, 0, **options)
        self.venue = exchange.Conversation(
            "public", "9f3c01ab", lambda arg: str(subscription_of(arg)) != REFUSED
        )
        self.served: dict[str, None] = {}
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.log: list[tuple[str, list[str]]] = []
        self.do(self.session.tick(0))

    def do(self, actions: list[Action]) -> None:
        self.log += requests(actions)
        self.up.extend(action.payload for action in actions if isinstance(action, Send))

    def venue_reads(self) -> None:
        for reply in self.venue.receive(self.up.popleft(), self.now):
            if isinstance(reply, exchange.Send):
                self.down.append(reply.payload)
            elif isinstance(reply, exchange.Started):
                self.served[str(subscription_of(reply.argument))] = None
            elif isinstance(reply, exchange.Stopped):
                self.served.pop(str(subscription_of(reply.argument)), None)

    def session_reads(self) -> None:
        self.session.heard(self.now)
        for event in events_of(self.down.popleft()):
            self.do(self.session.handle(event, self.now))

    def settle(self) -> None:
        """Let everything under way arrive, and time pass, until nothing is left to do."""
        for _ in range(400):
            while self.up or self.down:
                if self.up:
                    self.venue_reads()
                if self.down:
                    self.session_reads()
            self.now += S
            self.do(self.session.tick(self.now))
        assert not self.down


def test_more_is_asked_for_at_once_and_what_is_given_up_is_left_and_forgotten() -> None:
    both = Both(TRADES)
    both.settle()
    assert list(both.served) == ["trades:BTC-USDT"]
    both.do(both.session.subscribe([BOOKS, CANDLE, TRADES], both.now))
    assert both.log[-1] == ("subscribe", ["books:BTC-USDT", "tickers:BTC-USDT"])
    both.settle()
    both.do(both.session.unsubscribe([TRADES, CANDLE], both.now))
    assert both.log[-1] == ("unsubscribe", ["trades:BTC-USDT", "tickers:BTC-USDT"])
    assert both.session.known
    assert both.session.standings == {BOOKS: Standing.HELD}
    both.settle()
    assert list(both.served) == ["books:BTC-USDT"]
    both.do(both.session.unsubscribe([BOOKS], both.now))
    both.settle()
    assert not both.session.known
    assert both.session.is_restored
    assert not both.served
    assert len(both.log) == 4, "nothing was asked twice"


def test_what_was_never_asked_for_is_dropped_without_a_word() -> None:
    session = Session([], 0)
    session.subscribe([ORDERS], 0)  # asked at once: no login here
    waiting = Session([], 0, log_in=True)
    assert [type(action) for action in waiting.subscribe([ORDERS], 0)] == [LogIn]
    assert waiting.unsubscribe([ORDERS], 0) == []
    assert not waiting.known


def test_a_login_that_failed_refuses_what_comes_later_too() -> None:
    session = Session([ORDERS], 0, log_in=True)
    session.tick(0)
    session.handle(events_of(exchange.error("Wrong passphrase", "60024", "9f3c01ab", "r1"))[0], 0)
    assert session.login is LoginState.FAILED
    session.subscribe([parse_subscription("account")], 0)
    assert [item.code for item in session.refusals] == ["60024", "60024"]


def test_a_refused_argument_is_asked_for_again_when_somebody_wants_it_again() -> None:
    refused = parse_subscription(REFUSED)
    both = Both(refused)
    both.settle()
    assert [item.code for item in both.session.refusals] == ["60018"]
    both.do(both.session.subscribe([refused], both.now))
    assert both.session.refusals == ()
    both.settle()
    assert [item.code for item in both.session.refusals] == ["60018"]
    both.do(both.session.unsubscribe([refused], both.now))
    assert not both.session.known
    assert [op for op, _ in both.log] == ["subscribe", "subscribe"]


def test_an_unsubscribe_without_an_answer_is_repeated_and_then_counts_as_done() -> None:
    session = Session([TRADES], 0)
    session.tick(0)
    session.handle(events_of(exchange.ack("subscribe", TRADES.argument, "9f3c01ab", "r1"))[0], 0)
    sent = requests(session.unsubscribe([TRADES], 0))
    now = 0
    while session.known:
        now += S
        session.heard(now)
        sent += requests(session.tick(now))
        assert now < 60 * S
    assert sent == [("unsubscribe", ["trades:BTC-USDT"])] * 3
    assert session.deadline is not None
    assert session.deadline > now, "nothing spins"


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["want", "drop"]), st.sets(st.integers(0, len(POOL) - 1))),
        st.tuples(st.just("venue"), st.none()),
        st.tuples(st.just("session"), st.none()),
        st.tuples(st.just("pass"), st.none()),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_whatever_was_wanted_and_dropped_in_between_the_venue_serves_what_is_wanted(
    steps: list[tuple[str, Any]],
) -> None:
    both, wanted = Both(), dict[Subscription, None]()
    for what, which in steps:
        chosen = [POOL[number] for number in sorted(which or ())]
        if what == "want":
            wanted |= dict.fromkeys(chosen)
            both.do(both.session.subscribe(chosen, both.now))
        elif what == "drop":
            wanted = {item: None for item in wanted if item not in chosen}
            both.do(both.session.unsubscribe(chosen, both.now))
        elif what == "venue" and both.up:
            both.venue_reads()
        elif what == "session" and both.down:
            both.session_reads()
        elif what == "pass":
            both.now += S
            both.do(both.session.tick(both.now))
        assert set(both.session.standings) == set(wanted)
    both.settle()
    expected = {str(item) for item in wanted} - {REFUSED}
    assert set(both.served) == expected
    held = {str(k) for k, how in both.session.standings.items() if how is Standing.HELD}
    assert held == expected
    assert {str(item.subscription) for item in both.session.refusals} == (
        {REFUSED} & {str(item) for item in wanted}
    )
    if not wanted:
        assert not both.session.known
