"""Control frames as OKX writes them, and what an argument of a request means.

Responsible for the exact text of every control frame the venue makes and for telling arguments
apart. Refuses to decide which frame is due: that is `okx.exchange`.

Shapes and key order are those of the OKX v5 API documentation (Overview/WebSocket, Error Code) and
of frames seen on the wire: compact JSON, `id` first where one was sent, `connId` last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

Argument: TypeAlias = dict[str, Any]
"""One element of a request's `args`: `{"channel": "books", "instId": "BTC-USDT"}`."""

PONG = b"pong"

MESSAGES = {
    "60004": "Invalid timestamp",
    "60005": "Invalid apiKey",
    "60006": "Timestamp request expired",
    "60007": "Invalid sign",
    "60008": "The current WebSocket endpoint does not support subscribing to this channel. "
    "Please check the WebSocket endpoint and try again.",
    "60009": "Login failed.",
    "60011": "Please log in",
    "60013": "Invalid args",
    "60014": "Requests too frequent",
    "60019": "Invalid op",
    "60024": "Wrong passphrase",
    "60028": "The current operation is not supported by this URL. Please use the correct URL.",
    "60031": "Multiple or repeated login is not allowed",
    "60032": "API key doesn't exist.",
    "63999": "Login failed due to internal error. Please try again later.",
    "64000": "Subscription parameter uly is unavailable anymore. "
    "Please replace uly with instFamily.",
    "64001": "This channel has been migrated to the '/business' URL. "
    "Please subscribe using the new URL.",
    "64002": 'This channel is not supported by "/business" URL',
    "64003": "Your trading fee tier doesn't meet the requirement to access this channel.",
    "64004": "Subscribe to both books-l2-tbt and books/books50-l2-tbt is not allowed.",
    "64007": "Operation failed due to WebSocket internal error. Please try again later.",
}
"""Texts of the error codes that have a fixed one."""

CLOSE_REASONS = {
    1009: "message too big",
    4001: "Login failed",
    4002: "Invalid request",
    4003: "APIKey subscribe amount exceeds 100",
    4004: "No data received in 30s.",
    4005: "Connection write buffer is full",
    4006: "Abnormal disconnection",
    4007: "API key has been updated or deleted. Please reconnect.",
    4008: "The number of subscribed channels exceeds the maximum limit.",
    4009: "The number of subscription channels for this connection exceeds the limit",
}
"""Reasons of the venue's own close codes (OKX API docs, "Error Code", WebSocket close frames)."""

_CONNECTION_ID = re.compile(rb'("connId":\s?")[^"]*(")')
_encode = msgspec.json.Encoder().encode


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


def is_notice(payload: bytes) -> bool:
    """Say whether a received text is a notice of the venue."""
    return b'"event":"notice"' in payload[:512] or b'"event": "notice"' in payload[:512]


def readdressed(payload: bytes, connection_id: str) -> bytes:
    """Return a recorded control frame with the `connId` of another connection."""
    return _CONNECTION_ID.sub(rb"\g<1>%s\g<2>" % connection_id.encode(), payload)


def connection_count(
    channel: str, count: int, connection_id: str, *, is_refused: bool = False
) -> bytes:
    """Return how many sockets hold a private channel; `is_refused`: this one is one too many."""
    event = "channel-conn-count-error" if is_refused else "channel-conn-count"
    return _control(
        None, {"event": event, "channel": channel, "connCount": str(count)}, connection_id
    )


def unknown_argument(argument: Mapping[str, Any], separator: str = ",") -> str:
    """Return the text of error 60018, which is how a client finds the argument it is about.

    Args:
        separator: stands between the pairs; `", "` has been seen on the wire as well.
    """
    what = separator.join(f"{key}:{value}" for key, value in echo(argument).items())
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
