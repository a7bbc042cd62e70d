"""Session: the client's side of one WebSocket conversation, as a pure state machine.

Responsible for what is sent and when: the login, subscribe requests, the text ping, what an answer
means for each argument, a fresh snapshot of a book that cannot be trusted, and the venue's limit
of requests. Refuses to own a socket, to see a credential, to read a clock (every call takes the
monotonic time, ns), to decode a frame (it is handed the interpreter's events), and to reconnect:
a session is one connection.

Theory of operation. Each wanted argument is in one `Standing`:

    DUE ──request──▶ ASKED ──ack──▶ HELD ──gap──▶ LEAVING ──request, ack──▶ DUE
     ▲                 │ no answer      │ error, "unsubscribe" of the venue's own
     └──── delay ──────┴── 60014, 64007 ┘            any other error ──▶ REFUSED

DUE arguments are asked for as soon as their `due` time has come and the hour's budget allows, many
to a request; those that need a login not before the login is answered (`okx.login`), the others
beside it. Data may arrive before the ack and an ack is not final (OKX API docs, "Subscribe"; an
error such as 60011 or 64004, or too many connections, can follow it), so nothing here waits for an
order of answers. A book whose chain broke or whose checksum was wrong is left and asked for anew,
for only a fresh subscribe brings a snapshot; so is one that has had none for long. What breaks at
about the same time is asked for together, within the share of the budget that is there for it.
Calls return the actions the shell must perform, in order; `deadline` says when `tick` is due.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

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
from recorder.okx.actions import PING, Action, Close, GiveUp, LogIn, Send
from recorder.okx.budget import REQUESTS_PER_HOUR, RequestBudget
from recorder.okx.login import LoginState, LoginStep
from recorder.okx.standing import (
    DELAY_MAX,
    PLEASE_LOG_IN,
    SERVICE_UPGRADE,
    Argument,
    Refusal,
    Standing,
    argument_meant,
    request_number,
)
from recorder.okx.subscription import Subscription, build_requests
from recorder.okx.wanted import Wanted

__all__ = [
    "PING",
    "REQUESTS_PER_HOUR",
    "Action",
    "Close",
    "GiveUp",
    "LogIn",
    "LoginState",
    "Refusal",
    "Send",
    "Session",
    "Standing",
]

_TOO_FAST_DELAY = 2 * NS_PER_SECOND
_EVICTED_DELAY = 60 * NS_PER_SECOND
_GATHER = 1 * NS_PER_SECOND  # what is due so soon goes along with what is due now
_RETRY_CODES = {"60014": _TOO_FAST_DELAY, "64007": _TOO_FAST_DELAY, "60023": _TOO_FAST_DELAY}
_DENIALS = 3
_DENIED_DELAY = 5 * NS_PER_SECOND
_NO_REFUSALS = frozenset({"60015", "60016", SERVICE_UPGRADE})  # about the connection
CONNECTION_COUNT = "channel-conn-count-error"


class Session:
    """One conversation; create it when the connection is open.

    Args:
        wanted: arguments to hold; order is the order of asking.
        now: monotonic time, ns.
        log_in: log in where a wanted argument needs it, or the venue says so; otherwise such
            arguments are asked for like the others.
        login_failures: of the session before, so that tries are bounded over reconnects.
        ping_after: ns of silence after which `ping` is sent; OKX closes after 30 s of it.
        pong_timeout: ns without any frame after a ping until the connection counts as dead.
        resync: ask for a new snapshot when a book cannot be trusted.
        has_book: whether the whole book of a held argument is there, by this connection.
    """

    def __init__(
        self,
        wanted: Iterable[Subscription],
        now: int,
        *,
        log_in: bool = False,
        login_failures: int = 0,
        ping_after: int = 15 * NS_PER_SECOND,
        pong_timeout: int = 10 * NS_PER_SECOND,
        requests_per_hour: int = REQUESTS_PER_HOUR,
        resync: bool = True,
        has_book: Callable[[Subscription], bool] | None = None,
    ) -> None:
        self._wanted = Wanted(wanted, now)
        self._log_in = log_in
        needed = log_in and any(item.needs_login for item in self._wanted)
        self._login = LoginStep(wanted=needed, now=now, failures=login_failures)
        self._has_given_up = False
        self._ping_after = ping_after
        self._pong_timeout = pong_timeout
        self._resync = resync
        self._has_book = has_book
        self._budget = RequestBudget(requests_per_hour)
        self._request_count = 0
        self._last_heard = now
        self._pinged_at: int | None = None
        self._is_closing = False

    # --- what is known -------------------------------------------------------------------

    @property
    def standings(self) -> Mapping[Subscription, Standing]:
        """How every wanted argument stands, in the order of asking."""
        return self._wanted.standings

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The arguments the venue said no to, and why."""
        return self._wanted.refusals

    @property
    def known(self) -> Collection[Subscription]:
        """Keys of what is wanted, and of what was given up and is not confirmed to be left."""
        return self._wanted.arguments.keys()

    @property
    def login(self) -> LoginState:
        """How far the login is."""
        return self._login.state

    @property
    def login_failures(self) -> int:
        """Logins that failed in a row; hand it to the session of the next connection."""
        return self._login.failures

    @property
    def is_restored(self) -> bool:
        """Whether this conversation can stand in for another one.

        It can when every wanted argument is HELD or REFUSED, and every held incremental book has
        its snapshot (`has_book`).
        """
        return self._wanted.is_settled(self._sees_book)

    @property
    def deadline(self) -> int | None:
        """When `tick` has something to do next (monotonic ns); None: never."""
        if self._is_closing:
            return None
        pinged = self._pinged_at
        waits = self._last_heard + self._ping_after
        times = [waits if pinged is None else pinged + self._pong_timeout]
        dues = [self._login.next_time]
        arguments = self._wanted.arguments.values()
        dues += [item.next_time for item in arguments if self._may_ask(item)]
        earliest = min((time for time in dues if time is not None), default=None)
        if earliest is not None:
            times.append(max(earliest, self._budget.available_from))
        leaves = [item.leave_at for item in arguments if item.leave_at is not None]
        if leaves:
            times.append(max(min(leaves), self._budget.round_from, self._budget.available_from))
        return min(times)

    # --- what happens --------------------------------------------------------------------

    def heard(self, now: int) -> None:
        """Note that the connection delivered something, or could not (reading was paused)."""
        self._last_heard = now
        self._pinged_at = None

    def tick(self, now: int) -> list[Action]:
        """Do what has become due: requests, a ping, giving the connection up."""
        if self._is_closing:
            return []
        if self._pinged_at is not None:
            if now - self._pinged_at >= self._pong_timeout:
                self._is_closing = True
                seconds = self._pong_timeout / NS_PER_SECOND
                return [Close(f"no answer to a ping within {seconds:g} s")]
        elif now - self._last_heard >= self._ping_after:
            self._pinged_at = now
            return [Send(PING), *self._ask(now)]
        return self._ask(now)

    def handle(self, event: Event, now: int) -> list[Action]:
        """Take in one event of this connection; most change nothing."""
        if isinstance(event, Subscribed):
            self._acked(event, now)  # nothing becomes due at once by an ack
            return []
        if isinstance(event, Unsubscribed):
            self._left(event, now)
        elif isinstance(event, VenueError):
            if not self._login.refused(event, now):
                self._refused(event, now)
        elif isinstance(event, SequenceGap | ChecksumMismatch):
            self._broke(event, now)
        elif isinstance(event, LoggedIn):
            self._login.answered(event, now)
        elif isinstance(event, ConnectionCount):
            self._counted(event)
        else:
            return []
        return [] if self._is_closing else self._ask(now)

    def renew_books(self, now: int) -> list[Action]:
        """Ask for fresh snapshots of all held books: the capture lacks some of their updates."""
        for item in self._wanted if self._resync else ():
            if item.is_chained and item.standing is Standing.HELD:
                item.leave_soon(now)
        return [] if self._is_closing else self._ask(now)

    def subscribe(self, subscriptions: Iterable[Subscription], now: int) -> list[Action]:
        """Hold more arguments; those the venue had refused are asked for again."""
        for subscription in subscriptions:
            item = self._wanted.add(subscription, now)
            if item.needs_login and self._log_in:
                self._login.want(now)
                if self._login.state is LoginState.FAILED:
                    self._wanted.refuse(item, self._login.code, self._login.message)
        return [] if self._is_closing else self._ask(now)

    def unsubscribe(self, subscriptions: Iterable[Subscription], now: int) -> list[Action]:
        """Leave arguments for good; what was never asked for is simply not."""
        for subscription in subscriptions:
            self._wanted.give_up(subscription, now)
        return [] if self._is_closing else self._ask(now)

    def closed(self, code: int | None, reason: str, now: int) -> list[Action]:
        """Take the end of the connection; nothing is sent any more.

        Returns:
            A `GiveUp` where the close means that the login failed for good.
        """
        self._is_closing = True
        self._login.closed(code, reason, now)
        return self._give_up()

    # --- asking --------------------------------------------------------------------------

    @property
    def _may_log_in(self) -> bool:
        return self._log_in and self._login.state is not LoginState.FAILED

    def _may_ask(self, item: Argument) -> bool:
        return not (item.needs_login and self._login.is_under_way)

    def _next_id(self) -> str:
        self._request_count += 1
        return f"r{self._request_count}"

    def _ask(self, now: int) -> list[Action]:
        """Build the requests that are due and that the budget allows."""
        actions: list[Action] = []
        if self._login.is_due(now) and self._budget.take(now):
            self._login.asked(self._next_id(), now)
            actions.append(LogIn(self._login.request_id))
        actions += self._give_up()
        may_send = self._budget.available_from <= now
        if may_send:
            actions += self._request("unsubscribe", self._wanted.to_leave(now), now)
        due, is_urgent, leaves = [], False, False
        for item in self._wanted:
            if item.standing is Standing.HELD:
                if item.check_at is not None and now >= item.check_at:
                    self._check(item, now)
                leaves = leaves or (item.leave_at is not None and now >= item.leave_at)
                continue
            if item.standing in (Standing.ASKED, Standing.LEAVING) and now >= item.due:
                item.ask_at(now)  # no answer: ask (again)
            if item.standing is Standing.DUE and self._may_ask(item):
                is_urgent = is_urgent or now >= item.due
                if now + _GATHER >= item.due:
                    due.append(item)
        if leaves and may_send and now >= self._budget.round_from:
            room = self._budget.begin_round(now)
            leaving = self._wanted.to_renew(now + _GATHER)
            actions += self._request("unsubscribe", leaving, now, room)
        if is_urgent and may_send:
            actions += self._request("subscribe", due, now)
        return actions

    def _request(
        self, operation: str, items: list[Argument], now: int, room: int | None = None
    ) -> list[Action]:
        actions: list[Action] = []
        subscriptions = [item.subscription for item in items]
        for request in build_requests(operation, subscriptions, self._next_id)[:room]:
            if not self._budget.take(now):
                break
            actions.append(Send(request.payload))
            for subscription in request.subscriptions:
                item = self._wanted.arguments[subscription.key]
                item.requested(operation, request_number(request.id) or 0, now)
        return actions

    # --- answers -------------------------------------------------------------------------

    def _acked(self, event: Subscribed, now: int) -> None:
        item = self._wanted.find(event.argument)
        if item is None or item.standing is Standing.LEAVING:
            return  # an ack repeated while we leave does not mean that we are back
        number = item.request if event.request_id is None else request_number(event.request_id)
        if number is None or not item.left < number <= item.request:
            return  # nor does one repeated after we left, or one of something we never asked
        if item.standing is Standing.REFUSED and item.was_acked:
            return  # nor one repeated after the error that followed it
        item.acked(now, wants_snapshot=self._resync and self._has_book is not None)
        self._wanted.accepted(item)

    def _left(self, event: Unsubscribed, now: int) -> None:
        item = self._wanted.find(event.argument)
        if item is None:
            return
        is_repeated = item.left and request_number(event.request_id) == item.left
        if item.is_unwanted and (item.standing is Standing.LEAVING or not is_repeated):
            self._wanted.forget(item)
        elif item.standing is Standing.LEAVING:
            item.ask_at(now + _GATHER)
            together = [it for it in self._wanted if it.request == item.request]
            if all(it.standing is not Standing.LEAVING for it in together):
                for it in together:  # the last one: all of them in one request again
                    it.due = now if it.standing is Standing.DUE else it.due
        elif item.standing is Standing.HELD and not is_repeated:
            # Not asked for: the venue evicts `books` when `books-l2-tbt` of the same instrument
            # is subscribed (changelog 2024-07-17). Ask again, but not at once.
            item.ask_at(now + _EVICTED_DELAY)

    def _refused(self, event: VenueError, now: int) -> None:
        item = None if event.code in _NO_REFUSALS else argument_meant(event, self._wanted.arguments)
        if item is None or item.standing is Standing.REFUSED:
            return
        delay = _RETRY_CODES.get(event.code)
        if delay is not None:
            for other in self._wanted.arguments.values():
                if other.request == item.request and other.is_asked:
                    other.ask_at(now + min(delay << min(other.asks, 10), DELAY_MAX))
        elif item.is_unwanted:
            self._wanted.forget(item)  # it was not held
        elif item.standing is Standing.LEAVING:
            item.ask_at(now)  # it was not held: then ask for it
        elif event.code == PLEASE_LOG_IN and self._may_log_in and item.denials < _DENIALS:
            self._login.want(now)  # and ask again after it, or a little later if it is done
            item.needs_login = True
            item.ask_at(now + (_DENIED_DELAY << item.denials))
            item.denials += 1
        else:
            self._wanted.refuse(item, event.code, event.message)

    def _counted(self, event: ConnectionCount) -> None:
        """Too many connections hold a channel: this one has lost all its arguments of it."""
        if event.exceeded:
            words = f"{event.count} connections of the account hold this channel"
            self._wanted.refuse_for_good(
                lambda item: item.subscription.channel == event.channel, CONNECTION_COUNT, words
            )

    def _give_up(self) -> list[Action]:
        """Refuse what needs a login that failed for good, and say so once."""
        if self._login.state is not LoginState.FAILED or self._has_given_up:
            return []
        self._has_given_up = True
        code, message = self._login.code, self._login.message
        self._wanted.refuse_for_good(lambda item: item.needs_login, code, message)
        return [GiveUp(code, message)]

    # --- fresh snapshots -----------------------------------------------------------------

    def _broke(self, event: SequenceGap | ChecksumMismatch, now: int) -> None:
        """Ask for a new snapshot of a broken book: only a fresh subscribe brings one."""
        if not self._resync:
            return
        for item in self._wanted:
            subscription = item.subscription
            if subscription.channel != event.channel or item.standing is not Standing.HELD:
                continue
            if event.instrument in (subscription.instrument, subscription.get("sprdId")):
                item.leave_soon(now)

    def _check(self, item: Argument, now: int) -> None:
        """Leave a book that has had no snapshot since its ack."""
        item.check_at = None
        if not self._sees_book(item):
            item.leave_soon(now)

    def _sees_book(self, item: Argument) -> bool:
        return self._has_book is None or self._has_book(item.subscription)
