"""Everything that is no data push: control messages, REST bodies and the recorder's own rows.

Responsible for turning these into events. Refuses to raise for what a venue or a file may hold:
what does not have the expected shape is `Unrecognized`, with the reason in one phrase.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.event import (
    ClockStep,
    Connected,
    ConnectFailed,
    ConnectionCount,
    ConnectionState,
    Disconnected,
    Event,
    InjectedFault,
    Int64,
    LoggedIn,
    Lost,
    Notice,
    NoveltySeen,
    RestResponse,
    RunStarted,
    Subscribed,
    Unrecognized,
    Unsubscribed,
    VenueError,
)
from recorder.frame import NO_CONNECTION, Frame, Kind
from recorder.okx import messages as wire

UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What decoding hostile bytes can raise: not JSON, not UTF-8, not the shape, too deep, too big."""


def unrecognized(frame: Frame, reason: str) -> list[Event]:
    """Return the one event of a frame nobody understands."""
    label = Kind(frame.kind).label
    return [
        Unrecognized(
            frame.seq, 0, frame.ts_recv, frame.connection, reason, label, len(frame.payload)
        )
    ]


def _text(value: Any) -> str | None:
    """Return a scalar as the text the venue meant, None for a blank or a missing one."""
    if value is None or value == "" or isinstance(value, (dict, list)):
        return None
    return value if isinstance(value, str) else str(value)


def text_key(document: Any, key: str) -> str | None:
    """Return a text member of a JSON object; None where it is blank, missing or no text."""
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, str) and value else None


def instrument_of(argument: dict[str, Any]) -> str | None:
    """Return the instrument an argument names: its `instId`, or a spread's `sprdId`."""
    return text_key(argument, "instId") or text_key(argument, "sprdId")


def control(frame: Frame, event: str, document: dict[str, Any]) -> list[Event]:
    """Return the event of a message with a top-level `event`."""
    build = _CONTROLS.get(event)
    built = build(frame, document) if build is not None else None
    if built is None:
        return unrecognized(frame, "unknown event")
    return [built]


def _subscription(
    event: type[Subscribed] | type[Unsubscribed],
) -> Callable[[Frame, dict[str, Any]], Event | None]:
    def build(frame: Frame, document: dict[str, Any]) -> Event | None:
        argument = document.get("arg")
        channel = text_key(argument, "channel")
        if channel is None or not isinstance(argument, dict):
            return None
        return event(
            frame.seq,
            0,
            frame.ts_recv,
            frame.connection,
            channel,
            instrument_of(argument),
            argument,
            _text(document.get("id")),
            # One sample of the API docs nests connId inside the argument.
            _text(document.get("connId")) or _text(argument.get("connId")),
        )

    return build


def _logged_in(frame: Frame, document: dict[str, Any]) -> Event:
    return LoggedIn(
        frame.seq,
        0,
        frame.ts_recv,
        frame.connection,
        _text(document.get("code")) or "",
        _text(document.get("connId")),
    )


def _error(frame: Frame, document: dict[str, Any]) -> Event:
    argument = document.get("arg")
    return VenueError(
        frame.seq,
        0,
        frame.ts_recv,
        frame.connection,
        _text(document.get("code")) or "",
        _text(document.get("msg")) or "",
        _text(document.get("id")),
        _text(document.get("connId")),
        argument if isinstance(argument, dict) else None,
    )


def _notice(frame: Frame, document: dict[str, Any]) -> Event:
    return Notice(
        frame.seq,
        0,
        frame.ts_recv,
        frame.connection,
        _text(document.get("code")) or "",
        _text(document.get("msg")) or "",
        _text(document.get("connId")),
    )


def _connection_count(frame: Frame, document: dict[str, Any]) -> Event | None:
    channel = text_key(document, "channel")
    try:
        count = msgspec.convert(document.get("connCount"), Int64, strict=False)
    except UNREADABLE:
        return None
    if channel is None:
        return None
    return ConnectionCount(
        frame.seq,
        0,
        frame.ts_recv,
        frame.connection,
        channel,
        count,
        document.get("event") == "channel-conn-count-error",
        _text(document.get("connId")),
    )


_CONTROLS: dict[str, Callable[[Frame, dict[str, Any]], Event | None]] = {
    "subscribe": _subscription(Subscribed),
    "unsubscribe": _subscription(Unsubscribed),
    "login": _logged_in,
    "error": _error,
    "notice": _notice,
    "channel-conn-count": _connection_count,
    "channel-conn-count-error": _connection_count,
}


_STATES = {
    "reconnecting": "reconnecting",
    "failed": "failed",
    "closed": "closed",
    "replaced": "closed",
}
"""State of the endpoint, by what the `closed` row says comes next."""

_RETRY_SECONDS_MAX = 1e9

_decode_body = msgspec.json.Decoder(wire.RestBody, strict=False).decode
_decode_opened = msgspec.json.Decoder(wire.Opened, strict=False).decode
_decode_closed = msgspec.json.Decoder(wire.Closed, strict=False).decode
_decode_lost = msgspec.json.Decoder(wire.LostRange, strict=False).decode
_decode_fault = msgspec.json.Decoder(wire.FaultMark).decode
msgspec.json.Decoder(wire.NoveltyRow)  # not at the first use: two threads at once would crash
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def rest_response(frame: Frame) -> tuple[RestResponse, list[Any]]:
    """Return the event of a REST body, and its rows; a body that is no JSON object has none."""
    try:
        body = _decode_body(frame.payload)
    except UNREADABLE:
        body = wire.RestBody()
    rows = body.data if isinstance(body.data, list) else []
    response = RestResponse(
        frame.seq, 0, frame.ts_recv, frame.connection,
        None, _text(body.code), body.msg, len(rows), len(frame.payload),
    )  # fmt: skip
    return response, rows


def opened(frame: Frame) -> list[Event]:
    """Return the events of an `opened` row: the socket, and what it makes of its endpoint."""
    try:
        row = _decode_opened(frame.payload)
    except UNREADABLE:
        return unrecognized(frame, "malformed opened row")
    return [
        Connected(frame.seq, 0, frame.ts_recv, frame.connection, row.url, row.endpoint, row.link),
        ConnectionState(
            frame.seq, 1, frame.ts_recv, frame.connection, row.endpoint, row.link, "connected",
            None, None,
        ),
    ]  # fmt: skip


def closed(frame: Frame) -> list[Event]:
    """Return the events of a `closed` row; the duration is the interpreter's to tell."""
    try:
        row = _decode_closed(frame.payload)
    except UNREADABLE:
        return unrecognized(frame, "malformed closed row")
    reason = row.reason or ""
    seq, ts_recv, connection = frame.seq, frame.ts_recv, frame.connection
    events: list[Event] = (
        [Disconnected(seq, 0, ts_recv, connection, row.code, reason, row.by, None)]
        if row.opened
        else [ConnectFailed(seq, 0, ts_recv, connection, row.code, reason, row.by)]
    )
    # Rows before parser version 3 do not say what follows: then a socket is closed, and of an
    # attempt (a REST exchange may be one) nothing is known.
    state = _STATES.get(row.then or "", "closed" if row.opened else None)
    if state is not None:
        seconds = row.retry_in_s
        told = seconds is not None and 0 <= seconds < _RETRY_SECONDS_MAX
        retry_in = round((seconds or 0) * NS_PER_SECOND) if told else None
        events.append(
            ConnectionState(
                seq, 1, ts_recv, connection, row.endpoint, row.link, state, reason or None, retry_in
            )
        )
    return events


def lost(frame: Frame) -> list[Event]:
    """Return the event of a `lost` row."""
    try:
        row = _decode_lost(frame.payload)
    except UNREADABLE:
        return unrecognized(frame, "malformed lost row")
    return [
        Lost(
            frame.seq, 0, frame.ts_recv, row.connection, row.first_seq, row.last_seq, row.count,
            row.bytes, row.cause,
        )
    ]  # fmt: skip


def run(frame: Frame) -> list[Event]:
    """Return the events of a `run` row: the run, and each endpoint it is about to connect."""
    try:
        info = _decode_object(frame.payload)
    except UNREADABLE:
        return unrecognized(frame, "malformed run row")
    events: list[Event] = [RunStarted(frame.seq, 0, frame.ts_recv, info)]
    endpoints = info.get("endpoints")
    for item in endpoints if isinstance(endpoints, list) else ():
        link = item.get("link") if isinstance(item, dict) else None
        events.append(
            ConnectionState(
                frame.seq, len(events), frame.ts_recv, NO_CONNECTION, text_key(item, "endpoint"),
                link if type(link) is int else None, "connecting", None, None,
            )
        )  # fmt: skip
    return events


def clock(frame: Frame) -> list[Event]:
    """Return the event of a `clock` row: a step, a sample (no `step`), or something new.

    A novelty stands in a `clock` row because that is the one kind that an older reader takes for
    nothing: a sample. A kind of its own would need a new format.
    """
    try:
        info = _decode_object(frame.payload)
        if "novelty" in info:
            new = msgspec.convert(info["novelty"], wire.NoveltyRow, strict=False)
            return [
                NoveltySeen(
                    frame.seq, 0, frame.ts_recv, new.connection, new.channel, new.what, new.seq
                )
            ]
        step = msgspec.convert(info.get("step"), Int64 | None, strict=False)
    except UNREADABLE:
        return unrecognized(frame, "malformed clock row")
    return [ClockStep(frame.seq, 0, frame.ts_recv, step, info)]


def fault(frame: Frame) -> list[Event]:
    """Return the event of a mark that a replay with faults puts into its stream."""
    try:
        row = _decode_fault(frame.payload)
    except UNREADABLE:
        return unrecognized(frame, "malformed fault row")
    return [
        InjectedFault(
            frame.seq, 0, frame.ts_recv, frame.connection, row.fault, row.channel, row.instrument,
            row.detail,
        )
    ]  # fmt: skip
