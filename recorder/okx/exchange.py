"""The venue's side of one WebSocket conversation: what OKX answers to what a client sends.

Responsible for every control frame the venue makes (acks, errors, pong, notices), for the limits
it enforces, and for which arguments one connection holds. Refuses to make data pushes, to own a
socket, or to read a clock: text and time come in as arguments, typed replies go out. The replay
server, the simulator and the tests' venues all speak through it, so OKX is written down once.

Theory of operation. A `Conversation` is created when a socket opens. The shell hands it every
text message (`receive`) and obeys the replies in order; it reports pushes of its own (`pushed`) and
calls `tick` at `deadline` where the idle rule is wanted. Requests are dispatched by the table
`_OPERATIONS`, arguments by `_refusal`; what differs between venues, modes and faults is data in
`Rules` and in the callables given to the constructor.

Venue facts are from the OKX v5 API documentation (Overview/WebSocket, Error Code) and from
frames seen on the wire; where sources disagree the docstring says which side was taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from recorder.clock import NS_PER_SECOND

Argument: TypeAlias = dict[str, Any]
"""One element of a request's `args`: `{"channel": "books", "instId": "BTC-USDT"}`."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the venue; None switches one off.

    Attributes:
        requests_per_hour: subscribe, unsubscribe and login requests of one connection; a request
            with many arguments counts once. Above it: error 60014, the socket stays open.
        request_bytes: longest request; above it the venue closes with 1009. OKX documents 64 KB;
            clients that were built against the older 4,096 bytes still exist.
        idle_ns: the venue drops a connection that subscribed to nothing, or to which it pushed
            nothing, for this long (30 s at OKX).
    """

    requests_per_hour: int | None = 480
    request_bytes: int | None = 65_536
    idle_ns: int | None = None


OKX_IDLE_NS = 30 * NS_PER_SECOND


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

PONG = b"pong"

MESSAGES = {
    "60009": "Login failed.",
    "60011": "Please log in",
    "60013": "Invalid args",
    "60014": "Requests too frequent",
    "60019": "Invalid op",
    "60031": "Multiple or repeated login is not allowed",
    "64002": 'This channel is not supported by "/business" URL',
}
"""Texts of the error codes that have a fixed one."""

_ENDPOINTS = ("public", "private", "business")
_HOUR_NS = 3_600 * NS_PER_SECOND
_ID_LENGTH = 32
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def accept_any_login(credentials: Mapping[str, Any], now_ns: int) -> str | None:
    """Accept every complete login: a local server has no secrets to check."""
    wanted = ("apiKey", "passphrase", "timestamp", "sign")
    return None if all(credentials.get(key) for key in wanted) else "60009"


def refuse_login(credentials: Mapping[str, Any], now_ns: int) -> str | None:
    """Refuse every login with 60009."""
    return "60009"


def argument_key(argument: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return what makes two arguments the same subscription, hashable.

    The order of keys does not matter, `null` means absent (some clients send `"instType":null`),
    and `extraParams` tunes a subscription without making it another.
    """
    return tuple(sorted((k, str(v)) for k, v in echo(argument).items()))


def echo(argument: Mapping[str, Any]) -> Argument:
    """Return an argument as acks repeat it: as sent, without `extraParams` and nulls."""
    return {k: v for k, v in argument.items() if v is not None and k != "extraParams"}


def ack(
    event: str, argument: Mapping[str, Any], connection_id: str, request_id: str | None = None
) -> bytes:
    """Return the answer to one argument; `event` is `subscribe` or `unsubscribe`."""
    return _control(request_id, {"event": event, "arg": echo(argument)}, connection_id)


def error(message: str, code: str, connection_id: str, request_id: str | None = None) -> bytes:
    """Return an error frame; it names no argument: clients match by `id` or by the text."""
    return _control(request_id, {"event": "error", "msg": message, "code": code}, connection_id)


def logged_in(connection_id: str, request_id: str | None = None) -> bytes:
    """Return the answer to an accepted login."""
    return _control(request_id, {"event": "login", "msg": "", "code": "0"}, connection_id)


def service_notice(connection_id: str) -> bytes:
    """Return notice 64008, sent about 60 s before the venue closes for an upgrade."""
    message = "The connection will soon be closed for a service upgrade. Please reconnect."
    return _control(None, {"event": "notice", "msg": message, "code": "64008"}, connection_id)


def unknown_argument(argument: Mapping[str, Any]) -> str:
    """Return the text of error 60018, which is how a client finds the argument it is about."""
    what = ",".join(f"{key}:{value}" for key, value in echo(argument).items())
    return (
        f"Wrong URL or {what} doesn't exist. Please use the correct URL, channel and "
        f"parameters referring to API document."
    )


def format_connection_id(bits: int) -> str:
    """Return a `connId`: 8 lower-case hex digits of the low 32 bits, constant per socket."""
    return f"{bits & 0xFFFFFFFF:08x}"


def _control(request_id: str | None, body: dict[str, Any], connection_id: str) -> bytes:
    """Encode a control frame in the wire's key order: `id` first if sent, `connId` last."""
    head = {} if request_id is None else {"id": request_id}
    return _encode({**head, **body, "connId": connection_id})


class Conversation:
    """One client's connection, seen from the venue.

    Args:
        endpoint: `public`, `private` or `business`.
        connection_id: this socket's `connId` (`format_connection_id`).
        knows: whether the venue serves this argument on this endpoint; else error 60018.
        endpoint_of: where a channel lives, None if the channel is unknown; only used to answer
            64002 instead of 60018 on `business` for channels of the other two.
        needs_login: whether an argument is for logged-in clients; by default all of `private`.
        login: the judge of logins.
        rules: limits in force.
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

    def receive(self, text: bytes, now_ns: int) -> list[Reply]:
        """Answer one text message; never raises, whatever the bytes.

        Args:
            text: the message as received.
            now_ns: any clock that does not fall, ns; used for the limits only.
        """
        if text == b"ping":
            return self._sent([Send(PONG)], now_ns)
        limit = self._rules.request_bytes
        if limit is not None and len(text) > limit:
            return [Close(1009, "message too big")]
        request = _request(text)
        if request is None:
            shown = text.decode("utf-8", "replace")
            return self._sent([self._error("60012", None, f"Illegal request: {shown}")], now_ns)
        operation, arguments, request_id = request
        handler = _OPERATIONS.get(operation)
        if handler is None:
            return self._sent([self._error("60019", request_id)], now_ns)
        if not self._admit(now_ns):
            return self._sent([self._error("60014", request_id)], now_ns)
        replies: list[Reply] = []
        for argument in arguments:
            replies += handler(self, argument, request_id, now_ns)
        return self._sent(replies, now_ns)

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
            text = unknown_argument(argument) if code == "60018" else None
            refused = self._error(code, request_id, text)
            return [acked, refused] if acked_first else [refused]
        key = argument_key(argument)
        if key in self._held:
            # Acked and harmless: OKX repeats no initial push (several acks, one snapshot seen).
            return [acked]
        self._held[key] = echo(argument)
        return [acked, Started(self._held[key])]

    def _unsubscribe(self, argument: Argument, request_id: str | None, now_ns: int) -> list[Reply]:
        # What OKX answers for an argument never subscribed is unknown; an ack harms nobody.
        acked = Send(ack("unsubscribe", argument, self.connection_id, request_id))
        held = self._held.pop(argument_key(argument), None)
        return [acked] if held is None else [Stopped(held), acked]

    def _log_in(self, argument: Argument, request_id: str | None, now_ns: int) -> list[Reply]:
        if self.is_logged_in:
            return [self._error("60031", request_id)]
        code = self._login(argument, now_ns)
        if code is not None:
            return [self._error(code, request_id, MESSAGES.get(code, MESSAGES["60009"]))]
        self.is_logged_in = True
        return [Send(logged_in(self.connection_id, request_id))]

    def _refusal(self, argument: Argument) -> tuple[str | None, bool]:
        """Return the error code an argument earns, and whether an ack precedes the error."""
        if not isinstance(argument.get("channel"), str):
            return "60018", False
        if not self._knows(argument):
            home = self._endpoint_of(argument["channel"]) if self._endpoint_of else None
            is_stranger = self.endpoint == "business" and home in ("public", "private")
            return ("64002" if is_stranger else "60018"), False
        if self._needs_login(argument) and not self.is_logged_in:
            # On the public socket the ack comes first and the error after it (seen on the wire).
            return "60011", self.endpoint == "public"
        return None, False

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
