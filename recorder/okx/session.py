"""Session: the client's side of one WebSocket conversation, as a pure state machine.

Responsible for what is sent and when: subscribe requests, the text ping, what an ack or an error
means for each argument, a fresh snapshot after a sequence gap, and the venue's limit of requests.
Refuses to own a socket, to read a clock (every call takes the monotonic time, ns), to decode a
frame (it is handed the interpreter's events), and to reconnect: a session is one connection.

Theory of operation. Each wanted argument is in one `Standing`:

    DUE ──request──▶ ASKED ──ack──▶ HELD ──gap──▶ LEAVING ──request, ack──▶ DUE
     ▲                 │ no answer      │ error, "unsubscribe" of the venue's own
     └──── delay ──────┴── 60014, 64007 ┘            any other error ──▶ REFUSED

DUE arguments are asked for as soon as their `due` time has come and the hour's budget allows, many
to a request. Data may arrive before the ack and an ack is not final (OKX API docs, "Subscribe";
an error such as 60011 or 64004 can follow it), so nothing here waits for an order of answers.
Calls return the actions the shell must perform, in order; `deadline` says when `tick` is due.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TypeAlias

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.event import Event, SequenceGap, Subscribed, Unsubscribed, VenueError
from recorder.okx.channels import CHANNELS
from recorder.okx.subscription import Subscription, build_requests, subscription_of

PING = b"ping"

REQUESTS_PER_HOUR = 480
"""Subscribe, unsubscribe and login requests of one connection (OKX API docs, "Overview")."""

_HOUR = 3_600 * NS_PER_SECOND
_ANSWER_WAIT = 10 * NS_PER_SECOND  # a request without an answer is asked again, then ever later
_DELAY_MAX = 600 * NS_PER_SECOND
_TOO_FAST_DELAY = 2 * NS_PER_SECOND
_EVICTED_DELAY = 60 * NS_PER_SECOND
_RESYNC_DELAY = 5 * NS_PER_SECOND  # between two of one argument; doubles while gaps go on
_CALM = 600 * NS_PER_SECOND  # without a gap for this long, doubling starts anew
_RETRY_CODES = {"60014": _TOO_FAST_DELAY, "64007": _TOO_FAST_DELAY, "60023": _TOO_FAST_DELAY}
_LOGIN_CODES = ("60011", "64003")

_MENTIONED = re.compile(r"(channel|instType|instFamily|instId|sprdId|ccy|algoId):\s*([^,\s\"}]+)")


class Send(msgspec.Struct, frozen=True):
    """Send this text message, exact bytes."""

    payload: bytes


class Close(msgspec.Struct, frozen=True):
    """Close the connection: it is dead or useless."""

    reason: str


Action: TypeAlias = Send | Close


class Standing(Enum):
    """How one argument stands with the venue."""

    DUE = "due"  # to be asked for
    ASKED = "asked"  # requested, no answer yet
    HELD = "held"  # acked
    LEAVING = "leaving"  # unsubscribing, to subscribe anew
    REFUSED = "refused"  # the venue said no


class Refusal(msgspec.Struct, frozen=True):
    """The venue's no to one argument.

    Attributes:
        subscription: what was asked for.
        code: the venue's code, e.g. `60018`; message: its words.
    """

    subscription: Subscription
    code: str
    message: str


class _Argument:
    """One wanted argument and where it stands."""

    __slots__ = (
        "asks",
        "due",
        "leave_at",
        "needs_login",
        "request_id",
        "resync_from",
        "resyncs",
        "standing",
        "subscription",
    )

    def __init__(self, subscription: Subscription, now: int) -> None:
        self.subscription = subscription
        channel = CHANNELS.get(subscription.channel)
        self.needs_login = channel is not None and channel.login
        self.standing = Standing.DUE
        self.due = now  # DUE: when to ask; ASKED and LEAVING: when to stop waiting
        self.asks = 0
        self.request_id = ""
        self.leave_at: int | None = None  # HELD: when to unsubscribe for a new snapshot
        self.resyncs = 0
        self.resync_from = now  # no earlier than this


class Session:
    """One conversation; create it when the connection is open.

    Args:
        wanted: arguments to hold; order is the order of asking.
        now: monotonic time, ns.
        ping_after: ns of silence after which `ping` is sent; OKX closes after 30 s of it.
        pong_timeout: ns without any frame after a ping until the connection counts as dead.
        resync: ask for a new snapshot when a book's chain breaks.
    """

    def __init__(
        self,
        wanted: Iterable[Subscription],
        now: int,
        *,
        ping_after: int = 15 * NS_PER_SECOND,
        pong_timeout: int = 10 * NS_PER_SECOND,
        requests_per_hour: int = REQUESTS_PER_HOUR,
        resync: bool = True,
    ) -> None:
        self._arguments = {item.key: _Argument(item, now) for item in wanted}
        self._ping_after = ping_after
        self._pong_timeout = pong_timeout
        self._requests_per_hour = requests_per_hour
        self._resync = resync
        self._request_times: deque[int] = deque()
        self._request_count = 0
        self._last_heard = now
        self._pinged_at: int | None = None
        self._is_closing = False
        self._refusals: dict[Subscription, Refusal] = {}

    # --- what is known -------------------------------------------------------------------

    @property
    def standings(self) -> Mapping[Subscription, Standing]:
        """How every wanted argument stands, in the order of asking."""
        return {item.subscription: item.standing for item in self._arguments.values()}

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The arguments the venue said no to, and why."""
        return tuple(self._refusals.values())

    @property
    def holds_any(self) -> bool:
        """Whether at least one argument is acked."""
        return any(item.standing is Standing.HELD for item in self._arguments.values())

    @property
    def deadline(self) -> int | None:
        """When `tick` has something to do next (monotonic ns); None: never."""
        if self._is_closing:
            return None
        if self._pinged_at is not None:
            times = [self._pinged_at + self._pong_timeout]
        else:
            times = [self._last_heard + self._ping_after]
        waiting = (Standing.DUE, Standing.ASKED, Standing.LEAVING)
        dues = [item.due for item in self._arguments.values() if item.standing in waiting]
        dues += [item.leave_at for item in self._arguments.values() if item.leave_at is not None]
        if dues:
            times.append(max(min(dues), self._budget_from()))
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
            self._acked(event)  # nothing becomes due by an ack
            return []
        if isinstance(event, Unsubscribed):
            self._left(event, now)
        elif isinstance(event, VenueError):
            self._refused(event, now)
        elif isinstance(event, SequenceGap):
            self._broke(event, now)
        else:
            return []
        return [] if self._is_closing else self._ask(now)

    # --- internals -----------------------------------------------------------------------

    def _budget_from(self) -> int:
        """Return when the hour's budget next allows a request."""
        if len(self._request_times) < self._requests_per_hour:
            return 0
        return self._request_times[0] + _HOUR

    def _next_id(self) -> str:
        self._request_count += 1
        return f"r{self._request_count}"

    def _ask(self, now: int) -> list[Action]:
        """Build the requests that are due and that the budget allows."""
        for item in self._arguments.values():
            if item.standing in (Standing.ASKED, Standing.LEAVING) and now >= item.due:
                item.standing, item.due = Standing.DUE, now  # no answer: ask (again)
        due = [
            item
            for item in self._arguments.values()
            if item.standing is Standing.DUE and now >= item.due
        ]
        leaving = [
            item
            for item in self._arguments.values()
            if item.leave_at is not None and now >= item.leave_at
        ]
        actions: list[Action] = []
        if leaving:
            self._request("unsubscribe", leaving, now, actions)
        if due:
            self._request("subscribe", due, now, actions)
        return actions

    def _request(
        self, operation: str, items: list[_Argument], now: int, actions: list[Action]
    ) -> None:
        subscriptions = [item.subscription for item in items]
        times = self._request_times
        while times and now - times[0] >= _HOUR:
            times.popleft()
        if len(times) >= self._requests_per_hour:
            return
        for request in build_requests(operation, subscriptions, self._next_id):
            if len(times) >= self._requests_per_hour:
                return
            times.append(now)
            actions.append(Send(request.payload))
            for subscription in request.subscriptions:
                item = self._arguments[subscription.key]
                item.request_id = request.id
                if operation == "subscribe":
                    item.standing = Standing.ASKED
                    item.due = now + min(_ANSWER_WAIT << min(item.asks, 10), _DELAY_MAX)
                    item.asks += 1
                else:
                    item.standing = Standing.LEAVING
                    item.due = now + _ANSWER_WAIT
                    item.leave_at = None

    def _find(self, argument: Mapping[str, object]) -> _Argument | None:
        subscription = subscription_of(argument)
        return None if subscription is None else self._arguments.get(subscription.key)

    def _acked(self, event: Subscribed) -> None:
        item = self._find(event.argument)
        if item is None or item.standing is Standing.LEAVING:
            return  # an ack repeated while we leave does not mean that we are back
        if item.standing is Standing.REFUSED and event.request_id not in (None, item.request_id):
            return
        item.standing = Standing.HELD
        item.asks = 0
        self._refusals.pop(item.subscription, None)

    def _left(self, event: Unsubscribed, now: int) -> None:
        item = self._find(event.argument)
        if item is None:
            return
        if item.standing is Standing.LEAVING:
            item.standing, item.due = Standing.DUE, now
        elif item.standing is Standing.HELD:
            item.leave_at = None
            # Not asked for: the venue evicts `books` when `books-l2-tbt` of the same instrument
            # is subscribed (changelog 2024-07-17). Ask again, but not at once.
            item.standing, item.due = Standing.DUE, now + _EVICTED_DELAY

    def _refused(self, event: VenueError, now: int) -> None:
        item = self._meant_by(event)
        if item is None:
            return
        delay = _RETRY_CODES.get(event.code)
        if delay is not None:
            for other in self._of_request(item.request_id):
                if other.standing in (Standing.ASKED, Standing.LEAVING):
                    other.standing = Standing.DUE
                    other.due = now + min(delay << min(other.asks, 10), _DELAY_MAX)
        elif item.standing is Standing.LEAVING:
            item.standing, item.due = Standing.DUE, now  # it was not held: then ask for it
        else:
            item.standing, item.leave_at = Standing.REFUSED, None
            self._refusals[item.subscription] = Refusal(
                item.subscription, event.code, event.message
            )

    def _of_request(self, request_id: str | None) -> list[_Argument]:
        if request_id is None:
            return []
        return [item for item in self._arguments.values() if item.request_id == request_id]

    def _meant_by(self, event: VenueError) -> _Argument | None:
        """Find the argument an error belongs to: error frames carry no `arg`.

        By the argument where there is one after all, else by what the text mentions ("channel:X,
        instId:Y", with or without the space), else by the id: the first of that request without
        an answer, for arguments are answered in order.
        """
        if event.argument is not None:
            return self._find(event.argument)
        asked = (Standing.ASKED, Standing.LEAVING)
        candidates = self._of_request(event.request_id)
        if not candidates:
            if event.request_id is not None:
                return None  # an answer to something older
            candidates = list(self._arguments.values())
        mentioned = dict(_MENTIONED.findall(event.message))
        if "channel" in mentioned:
            for item in candidates:
                argument = item.subscription.argument
                if all(argument.get(key) == value for key, value in mentioned.items()):
                    return item
            return None
        if event.code in _LOGIN_CODES:  # "Please log in", after an ack, names nothing at all
            candidates = [item for item in candidates if item.needs_login] or candidates
            candidates = [item for item in candidates if item.standing is not Standing.REFUSED]
            return candidates[0] if candidates else None
        unanswered = [item for item in candidates if item.standing in asked]
        if unanswered:
            return unanswered[0]
        return candidates[0] if len(candidates) == 1 else None

    def _broke(self, event: SequenceGap, now: int) -> None:
        """Ask for a new snapshot of a broken book: only a fresh subscribe brings one."""
        if not self._resync:
            return
        for item in self._arguments.values():
            subscription = item.subscription
            if subscription.channel != event.channel or item.standing is not Standing.HELD:
                continue
            if event.instrument not in (subscription.instrument, subscription.get("sprdId")):
                continue
            if item.leave_at is not None:
                return
            if now - item.resync_from > _CALM:
                item.resyncs = 0
            item.leave_at = max(now, item.resync_from)
            item.resync_from = item.leave_at + (_RESYNC_DELAY << min(item.resyncs, 6))
            item.resyncs += 1
