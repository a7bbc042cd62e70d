"""The venue's side of one WebSocket conversation: what OKX answers to what a client sends.

Responsible for every control frame the venue makes (acks, errors, pong, notices), for the limits
it enforces, and for which arguments one connection holds. Refuses to make data pushes, to own a
socket, or to read a clock: text and time come in as arguments, typed replies go out. The replay
server, the simulator and the tests' venues all speak through it, so OKX is written down once.

Theory of operation. A `Conversation` is created when a socket opens. The shell hands it every
text message (`receive`) and obeys the replies in order; it reports pushes of its own (`pushed`) and
calls `tick` at `deadline` where the idle rule is wanted. Requests are dispatched by the table
`_OPERATIONS`, arguments by `_refusal`; the text of frames is in `exchange_frames`; what differs
between accounts, times and sources is data in `exchange_rules` and in the callables given to the
constructor. What goes wrong on purpose is said by `faults` and done by `faults.conversation`.

Venue facts are from the OKX v5 API documentation (Overview/WebSocket, Error Code) and from
frames seen on the wire; where sources disagree the docstring says which side was taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.okx.exchange_frames import (
    CLOSE_REASONS,
    MESSAGES,
    PONG,
    Argument,
    ack,
    argument_key,
    connection_count,
    echo,
    error,
    format_connection_id,
    logged_in,
    service_notice,
    unknown_argument,
)
from recorder.okx.exchange_rules import (
    COUNTED,
    EXCLUDED,
    EXCLUSIVE,
    OKX_IDLE_NS,
    TIERS,
    TRADING,
    ChannelCounts,
    Rules,
)

__all__ = [
    "OKX_IDLE_NS",
    "Argument",
    "ChannelCounts",
    "Close",
    "Conversation",
    "Login",
    "Reply",
    "Rules",
    "Send",
    "Started",
    "Stopped",
    "accept_any_login",
    "argument_key",
    "format_connection_id",
    "refuse_login",
    "service_notice",
    "subscriptions_in",
]


class Send(msgspec.Struct, frozen=True):
    """Send this text message to the client."""

    payload: bytes


class Started(msgspec.Struct, frozen=True):
    """The client holds this argument from now on: start pushing, initial push first."""

    argument: Argument


class Stopped(msgspec.Struct, frozen=True):
    """The client gave this argument up: push no more of it."""

    argument: Argument


class Close(msgspec.Struct, frozen=True):
    """Close the socket with this code and reason; nothing may follow."""

    code: int
    reason: str


Reply: TypeAlias = Send | Started | Stopped | Close
Login: TypeAlias = Callable[[Mapping[str, Any], int], str | None]
"""Judge login credentials at a time (ns): None accepts, else the venue's error code."""

_ENDPOINTS = ("public", "private", "business")
_HOUR_NS = 3_600 * NS_PER_SECOND
_ID_LENGTH = 32
_decode = msgspec.json.Decoder().decode


def accept_any_login(credentials: Mapping[str, Any], now_ns: int) -> str | None:
    """Accept every complete login: a local server has no secrets to check."""
    wanted = ("apiKey", "passphrase", "timestamp", "sign")
    return None if all(credentials.get(key) for key in wanted) else "60009"


def refuse_login(credentials: Mapping[str, Any], now_ns: int) -> str | None:
    """Refuse every login with 60009."""
    return "60009"


class Conversation:
    """One client's connection, seen from the venue.

    Args:
        endpoint: `public`, `private` or `business`.
        connection_id: this socket's `connId` (`format_connection_id`).
        knows: whether the venue serves this argument on this endpoint; else error 60018.
        endpoint_of: where a channel lives, None if the channel is unknown; only used to answer
            64002 instead of 60018 on `business` for channels of the other two, and the like.
        needs_login: whether an argument is for logged-in clients; by default all of `private`.
        login: the judge of logins.
        rules: limits and choices in force.
        counts: sockets per private channel, shared by the connections of one account; by default
            this one is alone.
        now_ns: time of the handshake.
    """

    def __init__(
        self,
        endpoint: str,
        connection_id: str,
        knows: Callable[[Argument], bool],
        *,
        endpoint_of: Callable[[str], str | None] | None = None,
        needs_login: Callable[[Argument], bool] | None = None,
        login: Login = accept_any_login,
        rules: Rules = Rules(),  # noqa: B008 - frozen, so sharing it is safe
        counts: ChannelCounts | None = None,
        now_ns: int = 0,
    ) -> None:
        if endpoint not in _ENDPOINTS:
            raise ValueError(f"expected one of {_ENDPOINTS} as endpoint, received {endpoint!r}")
        self.endpoint = endpoint
        self.connection_id = connection_id
        self.is_logged_in = False
        self._knows = knows
        self._endpoint_of = endpoint_of
        self._needs_login = needs_login or (lambda argument: endpoint == "private")
        self._login = login
        self._rules = rules
        self._counts = counts or ChannelCounts()
        self._requests: deque[int] = deque()
        self._held: dict[tuple[tuple[str, str], ...], Argument] = {}
        self._last_push_ns = now_ns

    @property
    def arguments(self) -> list[Argument]:
        """The arguments this connection holds, oldest first."""
        return list(self._held.values())

    def holds(self, argument: Mapping[str, Any]) -> bool:
        """Say whether this connection is subscribed to an argument."""
        return argument_key(argument) in self._held

    def receive(self, text: bytes, now_ns: int, wall_ns: int | None = None) -> list[Reply]:
        """Answer one text message; never raises, whatever the bytes.

        Args:
            text: the message as received.
            now_ns: any clock that does not fall, ns; used for the limits.
            wall_ns: the venue's wall clock, ns since the epoch, by which a login is judged;
                None: `now_ns` is one.
        """
        if text == b"ping":
            return self._sent([Send(PONG)], now_ns)
        limit = self._rules.request_bytes
        if limit is not None and len(text) > limit:
            return [Close(1009, CLOSE_REASONS[1009])]
        request = _request(text)
        if request is None:
            shown = f"{self._rules.illegal} request: {text.decode('utf-8', 'replace')}"
            return self._sent([self._error("60012", None, shown)], now_ns)
        operation, arguments, request_id = request
        handler = _OPERATIONS.get(operation)
        if handler is None:
            code = "60028" if operation in TRADING else "60019"
            return self._sent([self._error(code, request_id)], now_ns)
        if not self._admit(now_ns):
            return self._sent([self._error("60014", request_id)], now_ns)
        replies: list[Reply] = []
        for argument in arguments:
            replies += handler(self, argument, request_id, now_ns if wall_ns is None else wall_ns)
            if replies and isinstance(replies[-1], Close):
                break
        return self._sent(replies, now_ns)

    def drop(self, argument: Mapping[str, Any]) -> list[Reply]:
        """Take an argument away without a word: `[Stopped]`, or nothing if it is not held."""
        held = self._held.pop(argument_key(argument), None)
        if held is None:
            return []
        self._counts.leave(held["channel"], self.connection_id)
        return [Stopped(held)]

    def evict(self, argument: Mapping[str, Any]) -> list[Reply]:
        """Take an argument away and say so: an `unsubscribe` event nobody asked for."""
        stopped = self.drop(argument)
        told: list[Reply] = [Send(ack("unsubscribe", argument, self.connection_id))]
        return stopped + told if stopped else []

    def end(self) -> None:
        """Give everything up: the socket is gone, and the account's counts forget it."""
        for argument in self.arguments:
            self.drop(argument)

    def pushed(self, now_ns: int) -> None:
        """Take note that data was pushed: the idle rule counts from here."""
        self._last_push_ns = now_ns

    @property
    def deadline(self) -> int | None:
        """When `tick` will close unless something is pushed before, ns; None without the rule."""
        idle = self._rules.idle_ns
        return None if idle is None else self._last_push_ns + idle

    def tick(self, now_ns: int) -> list[Reply]:
        """Apply the idle rule: `[Close(4004, …)]` once nothing was pushed for too long."""
        deadline = self.deadline
        if deadline is None or now_ns < deadline:
            return []
        # The reason, full stop included, is as OKX sends it (seen on the wire, 2026-09).
        seconds = (self._rules.idle_ns or 0) // NS_PER_SECOND
        return [Close(4004, f"No data received in {seconds}s.")]

    # --- what each operation does -----------------------------------------------------------

    def _subscribe(self, argument: Argument, request_id: str | None, now_ns: int) -> list[Reply]:
        code, acked_first = self._refusal(argument)
        acked = Send(ack("subscribe", argument, self.connection_id, request_id))
        if code is not None:
            text = unknown_argument(argument, self._rules.separator) if code == "60018" else None
            refused = self._error(code, request_id, text)
            return [acked, refused] if acked_first else [refused]
        key, channel = argument_key(argument), argument["channel"]
        counted = self._count(channel)
        if key in self._held:
            # Acked and harmless: OKX repeats no initial push (several acks, one snapshot seen).
            return [acked, *counted]
        if self._is_one_too_many(channel):
            return [acked, *counted]
        limit = self._rules.channels_per_connection
        if limit is not None and len(self._held) >= limit:
            return [Close(4009, CLOSE_REASONS[4009])]
        evicted: list[Reply] = []
        if channel == EXCLUSIVE and self._rules.has_exclusive_books:
            for other in EXCLUDED:
                evicted += self.evict({**echo(argument), "channel": other})
        self._held[key] = echo(argument)
        self._counts.join(channel, self.connection_id)
        return [acked, *evicted, *counted, Started(self._held[key])]

    def _unsubscribe(self, argument: Argument, request_id: str | None, now_ns: int) -> list[Reply]:
        # What OKX answers for an argument never subscribed is unknown; an ack harms nobody.
        return [
            *self.drop(argument),
            Send(ack("unsubscribe", argument, self.connection_id, request_id)),
        ]

    def _log_in(self, argument: Argument, request_id: str | None, now_ns: int) -> list[Reply]:
        if self.is_logged_in:
            return [self._error("60031", request_id)]
        code = self._login(argument, now_ns)
        if code is None:
            self.is_logged_in = True
            return [Send(logged_in(self.connection_id, request_id))]
        refused = self._error(code, request_id, MESSAGES.get(code, MESSAGES["60009"]))
        if self._rules.closes_after_failed_login:
            return [refused, Close(4001, CLOSE_REASONS[4001])]
        return [refused]

    def _refusal(self, argument: Argument) -> tuple[str | None, bool]:
        """Return the error code an argument earns, and whether an ack precedes the error."""
        channel = argument.get("channel")
        if not isinstance(channel, str):
            return "60018", False
        if argument.get("uly") is not None:
            return "64000", False
        if not self._knows(argument):
            return self._stranger(channel), False
        if self._needs_login(argument) and not self.is_logged_in:
            # On the public socket the ack comes first and the error after it (seen on the wire).
            return "60011", self.endpoint == "public"
        if self._rules.tier is not None and self._rules.tier < TIERS.get(channel, 0):
            return "64003", False
        is_exclusive = channel in EXCLUDED and self._rules.has_exclusive_books
        if is_exclusive and self.holds({**argument, "channel": EXCLUSIVE}):
            return "64004", True
        return None, False

    def _stranger(self, channel: str) -> str:
        """Return the error code of an argument that this endpoint does not serve."""
        home = self._endpoint_of(channel) if self._endpoint_of else None
        if self.endpoint == "business" and home in ("public", "private"):
            return "64002"
        if self.endpoint == "public" and home == "business":
            return self._rules.candles_on_public
        if self.endpoint == "public" and home == "private":
            return self._rules.login_on_public
        return "60018"

    def _count(self, channel: str) -> list[Reply]:
        """Return the word on how many sockets hold a channel, where the venue counts them."""
        if channel not in COUNTED:
            return []
        count = self._counts.count(channel, self.connection_id)
        is_refused = self._is_one_too_many(channel)
        limit = self._rules.channel_connections or 0
        shown = limit if is_refused else count
        told = connection_count(channel, shown, self.connection_id, is_refused=is_refused)
        return [Send(told)]

    def _is_one_too_many(self, channel: str) -> bool:
        limit = self._rules.channel_connections
        if limit is None or channel not in COUNTED:
            return False
        return self._counts.count(channel, self.connection_id) > limit

    def _error(self, code: str, request_id: str | None, message: str | None = None) -> Send:
        text = MESSAGES[code] if message is None else message
        return Send(error(text, code, self.connection_id, request_id))

    def _admit(self, now_ns: int) -> bool:
        """Count a request; False when the hour's allowance is used up."""
        limit = self._rules.requests_per_hour
        if limit is None:
            return True
        while self._requests and self._requests[0] <= now_ns - _HOUR_NS:
            self._requests.popleft()
        if len(self._requests) >= limit:
            return False
        self._requests.append(now_ns)
        return True

    def _sent(self, replies: list[Reply], now_ns: int) -> list[Reply]:
        """Restart the idle timer for frames the client will receive (pong counts as one)."""
        self._last_push_ns = now_ns
        return replies


_Operation: TypeAlias = Callable[[Conversation, Argument, str | None, int], list[Reply]]
_OPERATIONS: dict[str, _Operation] = {
    "subscribe": Conversation._subscribe,
    "unsubscribe": Conversation._unsubscribe,
    "login": Conversation._log_in,
}
"""What the venue does per argument of a request, by `op`."""


def subscriptions_in(text: bytes) -> list[Argument]:
    """Return the arguments a client asks to subscribe to; none where it asks for anything else."""
    request = _request(text)
    return [] if request is None or request[0] != "subscribe" else request[1]


def _request(text: bytes) -> tuple[str, list[Argument], str | None] | None:
    """Read a request into (op, args, id); None where the venue would answer 60012."""
    try:
        body = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    operation, arguments = body.get("op"), body.get("args")
    request_id = body.get("id")
    if not isinstance(operation, str) or not isinstance(arguments, list) or not arguments:
        return None
    if not all(isinstance(argument, dict) for argument in arguments):
        return None
    if request_id is not None and not _is_request_id(request_id):
        return None
    return operation, arguments, request_id


def _is_request_id(value: object) -> bool:
    """Say whether a value is a legal request id: 1 to 32 letters and digits."""
    if not isinstance(value, str) or not 1 <= len(value) <= _ID_LENGTH:
        return False
    return value.isascii() and value.isalnum()
