"""How each wanted argument of a conversation stands, and which one an answer is about.

Responsible for what is remembered about one argument, and for finding the argument an error means:
the venue's error frames name none. Refuses to decide what happens next: that is `okx.session`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.event import VenueError
from recorder.okx.channels import CHANNELS
from recorder.okx.subscription import Subscription, subscription_of

DELAY_MAX = 600 * NS_PER_SECOND

_ANSWER_WAIT = 10 * NS_PER_SECOND  # a request without an answer is asked again, then ever later
_RESYNC_DELAY = 5 * NS_PER_SECOND  # between two of one argument; doubles while gaps go on
_CALM = 600 * NS_PER_SECOND  # without a gap for this long, doubling starts anew
_SNAPSHOT_WAIT = 30 * NS_PER_SECOND  # after the ack; it takes milliseconds

PLEASE_LOG_IN = "60011"
TIER_TOO_LOW = ("60029", "60030", "64003")  # the first two until 2026-04-07
DEEP_BOOK_EXCLUDES = "64004"
SERVICE_UPGRADE = "64008"
"""Code of the notice that the venue will close (OKX API docs, "Notification")."""

_DEEP_BOOK = "books-l2-tbt"
_EXCLUDED_BOOKS = ("books", "books50-l2-tbt")
_MENTIONED = re.compile(r"(channel|instType|instFamily|instId|sprdId|ccy|algoId):\s*([^,\s\"}]+)")
_ECHOED_ID = re.compile(r'"id"\s*:\s*"(\w{1,32})"')


class Standing(Enum):
    """How one argument stands with the venue."""

    DUE = "due"  # to be asked for
    ASKED = "asked"  # requested, no answer yet
    HELD = "held"  # acked
    LEAVING = "leaving"  # unsubscribing, to subscribe anew
    REFUSED = "refused"  # the venue said no


_UNSETTLED = (Standing.DUE, Standing.ASKED, Standing.LEAVING)
_UNANSWERED_FIRST = (
    Standing.ASKED,
    Standing.LEAVING,
    Standing.HELD,
    Standing.DUE,
    Standing.REFUSED,
)
_ACKED_FIRST = (Standing.HELD, *_UNANSWERED_FIRST)
"""Which of several arguments an error most likely means: some codes come right after the ack."""


class Refusal(msgspec.Struct, frozen=True):
    """The venue's no to one argument.

    Attributes:
        subscription: what was asked for.
        code: the venue's code, e.g. `60018`; message: its words.
    """

    subscription: Subscription
    code: str
    message: str


class Argument:
    """One wanted argument and where it stands.

    Attributes:
        due: DUE: when to ask; ASKED and LEAVING: when to stop waiting for the answer.
        asks: requests without an ack in a row; denials: times a login was asked for though done.
        request: number of the latest request that named it; left: of the latest unsubscribe.
        was_acked: the latest subscribe request was acked, so an ack more is a repetition.
        leave_at: HELD: when to unsubscribe for a new snapshot.
        check_at: HELD: when its book must have had its snapshot.
        resyncs: fresh snapshots in a row; resync_from: the next one no earlier.
        is_unwanted: it is to be left for good; leaves: requests for that so far.
    """

    __slots__ = (
        "asks",
        "check_at",
        "denials",
        "due",
        "is_chained",
        "is_unwanted",
        "leave_at",
        "leaves",
        "left",
        "needs_login",
        "request",
        "resync_from",
        "resyncs",
        "standing",
        "subscription",
        "was_acked",
    )

    def __init__(self, subscription: Subscription, now: int) -> None:
        self.subscription = subscription
        channel = CHANNELS.get(subscription.channel)
        self.needs_login = channel is not None and channel.login
        self.is_chained = channel is not None and channel.is_incremental
        self.standing = Standing.DUE
        self.due = now
        self.asks = self.denials = 0
        self.request = self.left = 0
        self.was_acked = False
        self.leave_at: int | None = None
        self.check_at: int | None = None
        self.resyncs = 0
        self.resync_from = now
        self.is_unwanted = False
        self.leaves = 0

    @property
    def is_asked(self) -> bool:
        """Whether an answer is awaited."""
        return self.standing in (Standing.ASKED, Standing.LEAVING)

    @property
    def next_time(self) -> int | None:
        """When something is to be done about it, but for `leave_at`; None: nothing."""
        if self.is_unwanted or self.standing in _UNSETTLED:
            return self.due
        return self.check_at

    def ask_at(self, moment: int) -> None:
        """Ask for it, now or later."""
        self.standing, self.due = Standing.DUE, moment
        self.leave_at = self.check_at = None

    def requested(self, operation: str, number: int, now: int) -> None:
        """Note that a request names it: `subscribe` or `unsubscribe`."""
        self.request = number
        self.leave_at = self.check_at = None
        if operation == "subscribe":
            self.standing, self.was_acked = Standing.ASKED, False
            self.due = now + min(_ANSWER_WAIT << min(self.asks, 10), DELAY_MAX)
            self.asks += 1
        else:
            self.standing, self.left = Standing.LEAVING, number
            self.due = now + _ANSWER_WAIT

    def acked(self, now: int, *, wants_snapshot: bool) -> None:
        """Hold it; the snapshot of an incremental book must come soon, if anybody looks."""
        if wants_snapshot and self.standing is not Standing.HELD and self.is_chained:
            self.check_at = now + _SNAPSHOT_WAIT
        self.standing, self.was_acked, self.asks = Standing.HELD, True, 0

    def refuse(self) -> None:
        """The venue said no."""
        self.standing = Standing.REFUSED
        self.leave_at = self.check_at = None

    def leave_soon(self, now: int) -> None:
        """Leave a book for a fresh snapshot, ever later while that does not help."""
        self.check_at = None
        if self.leave_at is not None:
            return
        if now - self.resync_from > _CALM:
            self.resyncs = 0
        self.leave_at = max(now, self.resync_from)
        self.resync_from = self.leave_at + (_RESYNC_DELAY << min(self.resyncs, 6))
        self.resyncs += 1


def request_number(request_id: str | None) -> int | None:
    """Return the number in a request id of ours (`r12`), None if it is none."""
    if request_id is None or not re.fullmatch(r"r\d{1,9}", request_id):
        return None
    return int(request_id[1:])


def argument_meant(
    event: VenueError, arguments: Mapping[Subscription, Argument]
) -> Argument | None:
    """Find the argument an error belongs to.

    By the argument where there is one after all; else by what the text mentions ("channel:X,
    instId:Y", with or without the space); else by the id: the first of that request without an
    answer, for arguments are answered in order; of those which the code can mean.
    """
    if event.argument is not None:
        subscription = subscription_of(event.argument)
        return None if subscription is None else arguments.get(subscription.key)
    candidates = _of_request(event, arguments.values())
    mentioned = dict(_MENTIONED.findall(event.message))
    if "channel" in mentioned:
        named = [
            item
            for item in candidates
            if all(item.subscription.argument.get(k) == v for k, v in mentioned.items())
        ]
        return _first(named, _UNANSWERED_FIRST)
    possible = _possible(event.code, candidates, arguments)
    if possible:
        acked = event.code in (PLEASE_LOG_IN, DEEP_BOOK_EXCLUDES)
        return _first(possible, _ACKED_FIRST if acked else _UNANSWERED_FIRST)
    asked = (Standing.ASKED, Standing.LEAVING)
    unanswered = [item for item in candidates if item.standing in asked]
    if unanswered:
        return unanswered[0]
    return candidates[0] if len(candidates) == 1 else None


def _of_request(event: VenueError, arguments: Iterable[Argument]) -> list[Argument]:
    """Return the arguments of the request an error answers; all where that cannot be told."""
    request_id = event.request_id
    if request_id is None:  # 60012 repeats the text of the request, in it the id
        echoed = _ECHOED_ID.search(event.message)
        request_id = None if echoed is None else echoed[1]
    if request_id is None:
        return list(arguments)
    number = request_number(request_id)
    return [item for item in arguments if number is not None and item.request == number]


def _possible(
    code: str, candidates: Sequence[Argument], arguments: Mapping[Subscription, Argument]
) -> list[Argument]:
    """Return the arguments that an error of this code can be about, empty if it may be any."""
    candidates = [item for item in candidates if item.standing is not Standing.REFUSED]
    if code == PLEASE_LOG_IN or code in TIER_TOO_LOW:
        return [item for item in candidates if item.needs_login]
    if code != DEEP_BOOK_EXCLUDES:
        return []
    books = [item for item in candidates if item.subscription.channel in _EXCLUDED_BOOKS]
    excluded = [
        item for item in books if Subscription(_DEEP_BOOK, item.subscription.arguments) in arguments
    ]
    return excluded or books


def _first(items: Sequence[Argument], order: Sequence[Standing]) -> Argument | None:
    return min(items, key=lambda item: order.index(item.standing), default=None)
