"""The session machine: whatever comes in whatever order, what is wanted stays true.

One machine drives a `Session` with every event it can be handed, in any order and at any pace, and
checks after each step: no limit of the venue's is broken, no argument has two requests under way,
nothing that needs a login is asked for before it, nothing due is left undone and nothing spins,
what is refused has a reason, and memory is bounded. At the end a venue that answers settles all.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recorder.clock import NS_PER_SECOND
from recorder.event import (
    ChecksumMismatch,
    ConnectionCount,
    Event,
    LoggedIn,
    Notice,
    Pong,
    SequenceGap,
    Subscribed,
    Unsubscribed,
    VenueError,
)
from recorder.okx.channels import CHANNELS
from recorder.okx.exchange import unknown_argument
from recorder.okx.login import TRIES
from recorder.okx.session import (
    Action,
    Close,
    GiveUp,
    LogIn,
    LoginState,
    Send,
    Session,
    Standing,
)
from recorder.okx.subscription import REQUEST_BYTES_MAX, Subscription, parse_subscription

S = NS_PER_SECOND
HOUR = 3_600 * S
ANSWER_WAIT = 10 * S
WANTED = tuple(
    parse_subscription(text)
    for text in (
        "books:A-B",
        "books:C-D",
        "books-l2-tbt:A-B",
        "trades:A-B",
        "status",
        "candle1m:C-D",
        "orders",
        "orders:instType=SWAP,instId=A-B-SWAP",
        "account",
    )
)
NEEDS_LOGIN = {item for item in WANTED if CHANNELS[item.channel].login}
BOOKS = tuple(item for item in WANTED if CHANNELS[item.channel].is_incremental)
CODES = (
    "60004", "60005", "60006", "60007", "60009", "60010", "60011", "60012", "60013", "60014",
    "60018", "60023", "60024", "60029", "60031", "60032", "63999", "64001", "64003", "64004",
    "64007", "64008", "99999",
)  # fmt: skip
ids = st.one_of(st.none(), st.just("stranger"), st.integers(1, 12), st.just("latest"))
which = st.integers(0, len(WANTED) - 1)


class SessionMachine(RuleBasedStateMachine):
    """A session, the venue's possible answers, and what must never happen."""

    @initialize(
        log_in=st.booleans(),
        limit=st.sampled_from([2, 5, 30, 480]),
        failures=st.integers(0, TRIES - 1),
        resync=st.booleans(),
        looks=st.booleans(),
    )
    def open(self, log_in: bool, limit: int, failures: int, resync: bool, looks: bool) -> None:
        self.now = 0
        self.limit, self.log_in, self.resync, self.looks = limit, log_in, resync, looks
        self.connect(failures)

    def connect(self, failures: int) -> None:
        self.whole: set[Subscription] = set()
        self.sent_at: list[int] = []
        self.latest = "r1"
        self.under_way: dict[Subscription, int] = {}
        self.logged_in = self.given_up = self.dead = self.ended = False
        self.session = Session(
            WANTED, self.now, log_in=self.log_in, login_failures=failures,
            requests_per_hour=self.limit, resync=self.resync,
            has_book=self.whole.__contains__ if self.looks else None,
        )  # fmt: skip
        self.tick()

    # --- what the session does --------------------------------------------------------------

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            assert not self.dead, "nothing may follow a close"
            match action:
                case Close():
                    self.dead = True
                case GiveUp(code):
                    assert self.log_in
                    assert not self.given_up, "said once"
                    assert code
                    self.given_up = True
                case LogIn(request_id):
                    assert self.log_in
                    assert not self.logged_in, "one login per connection"
                    self.count(request_id)
                case Send(b"ping"):
                    pass
                case Send(payload):
                    self.requested(payload)

    def requested(self, payload: bytes) -> None:
        assert len(payload) <= REQUEST_BYTES_MAX
        body = json.loads(payload)
        self.count(body["id"])
        for argument in body["args"]:
            item = next(item for item in WANTED if item.argument == argument)
            assert item not in self.under_way or self.now - self.under_way[item] >= ANSWER_WAIT, (
                "two requests for one argument are under way"
            )
            self.under_way[item] = self.now
            if self.log_in and item in NEEDS_LOGIN:
                assert self.logged_in, "asked for before the login"
            if body["op"] == "unsubscribe":
                assert item in BOOKS, "only a book is ever left"

    def count(self, request_id: str) -> None:
        self.latest = request_id
        self.sent_at.append(self.now)
        within = [moment for moment in self.sent_at if self.now - moment < HOUR]
        assert len(within) <= self.limit

    def hand(self, event: Event) -> None:
        self.session.heard(self.now)
        before = dict(self.session.standings)
        actions = self.session.handle(event, self.now)
        if self.session.login is LoginState.DONE and not self.logged_in:
            assert event == LoggedIn(1, 0, 0, 0, "0", None) or (
                isinstance(event, VenueError) and event.code in ("60010", "60031")
            ), "only the venue can say so"
            self.logged_in = True
        for item, standing in before.items():
            if standing in (Standing.ASKED, Standing.LEAVING) and (
                self.session.standings[item] is not standing
            ):
                self.under_way.pop(item, None)
        # What was answered and asked for anew within one call is not under way twice.
        if isinstance(event, Unsubscribed | VenueError):
            for item, standing in before.items():
                if standing in (Standing.ASKED, Standing.LEAVING) and self.answers(event, item):
                    self.under_way.pop(item, None)
        self.perform(actions)

    def answers(self, event: Event, item: Subscription) -> bool:
        if isinstance(event, Unsubscribed):
            return event.argument == item.argument
        return True  # an error may be about any

    def tick(self) -> None:
        self.perform(self.session.tick(self.now))
        self.check_deadline()

    def check_deadline(self) -> None:
        deadline = self.session.deadline
        if self.dead or self.ended:
            assert deadline is None
        else:
            assert deadline is not None
            assert deadline > self.now, "tick left undone what was due"

    # --- what happens -----------------------------------------------------------------------

    def live(self) -> bool:
        return not self.dead and not self.ended

    def id_of(self, choice: Any) -> str | None:
        if choice is None:
            return None
        if choice == "latest":
            return self.latest
        return f"r{choice}" if isinstance(choice, int) else "x9"

    @precondition(live)
    @rule(item=which, request=ids)
    def ack(self, item: int, request: Any) -> None:
        wanted = WANTED[item]
        self.hand(
            Subscribed(
                1, 0, 0, 0, wanted.channel, wanted.instrument, wanted.argument,
                self.id_of(request), None,
            )
        )  # fmt: skip

    @precondition(live)
    @rule(item=which, request=ids)
    def unsubscribed(self, item: int, request: Any) -> None:
        wanted = WANTED[item]
        self.whole.discard(wanted)
        self.hand(
            Unsubscribed(
                1, 0, 0, 0, wanted.channel, wanted.instrument, wanted.argument,
                self.id_of(request), None,
            )
        )  # fmt: skip

    @precondition(live)
    @rule(
        code=st.sampled_from(CODES),
        item=which,
        request=ids,
        names=st.sampled_from(["nothing", "text", "argument", "request"]),
    )
    def error(self, code: str, item: int, request: Any, names: str) -> None:
        wanted = WANTED[item]
        message, argument = "words", None
        if names == "text":
            message = unknown_argument(wanted.argument)
        elif names == "argument":
            argument = wanted.argument
        elif names == "request":
            message = f'Illegal request: {{"id":"{self.latest}","op":"subscribe"}}'
        self.hand(VenueError(1, 0, 0, 0, code, message, self.id_of(request), None, argument))

    @precondition(live)
    @rule(code=st.sampled_from(["0", "", "60009"]))
    def login_answer(self, code: str) -> None:
        if code == "":
            self.hand(LoggedIn(1, 0, 0, 0, "0", None))
        self.hand(LoggedIn(1, 0, 0, 0, code or "0", None))

    @precondition(live)
    @rule(item=st.integers(0, len(BOOKS) - 1), is_gap=st.booleans())
    def broken_book(self, item: int, is_gap: bool) -> None:
        book = BOOKS[item]
        instrument = book.instrument or ""
        self.whole.discard(book)
        if is_gap:
            self.hand(SequenceGap(9, 1, 0, 0, instrument, book.channel, 1, 2, 3))
        else:
            self.hand(ChecksumMismatch(9, 1, 0, 0, instrument, book.channel, 1, 2))

    @precondition(live)
    @rule(item=st.integers(0, len(BOOKS) - 1))
    def snapshot(self, item: int) -> None:
        self.whole.add(BOOKS[item])
        self.session.heard(self.now)

    @precondition(live)
    @rule(channel=st.sampled_from(["orders", "account", "nothing"]), exceeded=st.booleans())
    def connection_count(self, channel: str, exceeded: bool) -> None:
        self.hand(ConnectionCount(1, 0, 0, 0, channel, 30, exceeded, None))

    @precondition(live)
    @rule()
    def talk(self) -> None:
        self.hand(Pong(1, 0, 0, 0))
        self.hand(Notice(1, 0, 0, 0, "64008", "soon", None))

    @precondition(live)
    @rule(seconds=st.sampled_from([0, 1, 2, 9, 15, 61, 400, 3_599]))
    def pass_time(self, seconds: int) -> None:
        """Let time pass with data coming in, the session acting at each of its deadlines."""
        end, ticks = self.now + seconds * S, 0
        while self.live() and self.session.deadline is not None and self.session.deadline <= end:
            self.now = self.session.deadline
            self.session.heard(self.now)
            self.tick()
            ticks += 1
            assert ticks < 3_000, "a busy loop"
        self.now = end
        if self.live():
            self.session.heard(self.now)
            self.tick()

    @precondition(live)
    @rule(seconds=st.integers(1, 40))
    def silence(self, seconds: int) -> None:
        """Nothing comes in; the session pings, and gives the connection up in the end."""
        self.now += seconds * S
        self.tick()

    @precondition(live)
    @rule(code=st.sampled_from([None, 1000, 1006, 4001, 4004, 4008]))
    def close(self, code: int | None) -> None:
        login = self.session.login
        self.perform(self.session.closed(code, "words", self.now))
        assert login is LoginState.ASKED or not self.given_up or login is LoginState.FAILED
        self.ended = True

    @precondition(lambda self: not self.live())
    @rule(seconds=st.integers(0, 100))
    def reconnect(self, seconds: int) -> None:
        """A new connection, a new session: it knows how often the login failed before."""
        self.now += seconds * S
        self.connect(0 if self.given_up else self.session.login_failures)

    # --- what is always true ----------------------------------------------------------------

    @invariant()
    def what_is_wanted_stays_wanted(self) -> None:
        session = getattr(self, "session", None)
        if session is None:
            return
        standings = session.standings
        assert tuple(standings) == WANTED
        refused = {item.subscription: item.code for item in session.refusals}
        for item, standing in standings.items():
            assert (standing is Standing.REFUSED) == (item in refused)
        assert all(refused.values()), "a reason"
        if session.login is LoginState.FAILED:
            assert self.given_up
            assert all(standings[item] is Standing.REFUSED for item in NEEDS_LOGIN)
        assert session.login_failures <= TRIES + 1
        assert len(session._budget._times) <= self.limit, "memory is bounded"
        self.check_deadline()

    def teardown(self) -> None:
        """Let a venue that answers every request settle everything."""
        if getattr(self, "session", None) is None or not self.live():
            return
        for _ in range(3_000):
            waiting = [
                item
                for item, standing in self.session.standings.items()
                if standing not in (Standing.HELD, Standing.REFUSED)
            ]
            if not waiting:
                return
            if self.session.login is LoginState.ASKED:
                self.hand(LoggedIn(1, 0, 0, 0, "0", None))
            for item in waiting:
                standing = self.session.standings[item]
                if standing is Standing.ASKED:
                    self.whole.add(item)
                    self.hand(
                        Subscribed(
                            1, 0, 0, 0, item.channel, None, item.argument, None, None
                        )
                    )  # fmt: skip
                elif standing is Standing.LEAVING:
                    self.hand(
                        Unsubscribed(
                            1, 0, 0, 0, item.channel, None, item.argument, None, None
                        )
                    )  # fmt: skip
            self.now = max(self.now, self.session.deadline or self.now)
            self.session.heard(self.now)
            self.tick()
        raise AssertionError(f"never settled: {self.session.standings}")


TestSession = SessionMachine.TestCase
TestSession.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # of a busy machine
)
