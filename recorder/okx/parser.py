"""Parser: what one frame means, and nothing but that frame.

Responsible for the one way from a frame to its events. Refuses to raise, whatever the bytes, to
keep state (that is `interpreter.py`) and to read a clock.

Theory of operation. A push begins `{"arg":{"channel":"NAME",...`, so its channel can be read off
the bytes and a decoder compiled for exactly that channel used, in one pass over the payload:

1. the first 27 bytes are looked up among the busiest channels (27 bytes are enough to hold the
   whole name and its closing quote, so a hit is exact);
2. else the name up to its closing quote is looked up among all typed channels;
3. else, or where the typed decoder refused the frame, the generic path: decode to plain objects,
   look at the top-level keys, and try the typed shape once more leniently.

Why a lenient second try: the venue writes a missing number as `""`, which no number type accepts,
and teaching the fast decoders to accept it would slow every number of every frame for the sake of
rare ones (`nextFundingRate`, quotes of an illiquid option). In the second try blank members are
removed, so that they take their default, which is None. A push that fits no shape even then is
still a push: `Data`. Only what is no push of a channel at all is `Unrecognized`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from recorder.event import Data, Event, Pong
from recorder.frame import Frame, Kind
from recorder.okx import responses
from recorder.okx.pushes import (
    NS,
    SHAPES,
    Build,
    Shape,
    instrument_row_type,
    instrument_update,
    shape_of,
)
from recorder.okx.responses import UNREADABLE, unrecognized

PARSER_VERSION = 1
"""Raised whenever the same frame gives other events than before."""

_PREFIX = b'{"arg":{"channel":"'
_NAME = len(_PREFIX)
_PEEK = _NAME + 8
_BUSY = ("trades", "books", "bbo-tbt", "tickers", "books5")

_WIRE_NUMBERS: dict[type, Any] = {
    # Infinity and NaN are numbers to a float decoder, and poison to a book.
    float: Annotated[float, msgspec.Meta(ge=-1.7e308, le=1.7e308)],
    Decimal: Decimal,
    str: Annotated[str, msgspec.Meta(pattern=r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$")],
}

_decode_generic = msgspec.json.Decoder().decode


class _Typed:
    """A typed channel made ready for one number type."""

    __slots__ = ("build", "decode", "shape", "type")

    def __init__(self, shape: Shape, number: Any) -> None:
        self.shape = shape
        self.type = shape.push(number)
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(self.type, strict=False).decode
        self.build: Build = shape.build


class Parser:
    """Turns frames into events, with numbers of one type.

    The same code serves float (default), Decimal (exact) and str (as sent).
    """

    def __init__(self, number: type = float) -> None:
        if number not in _WIRE_NUMBERS:
            raise TypeError(f"expected float, Decimal or str as the number type, got {number!r}")
        self.number = number
        self._wire_number = _WIRE_NUMBERS[number]
        self._instrument_row: Any = instrument_row_type(self._wire_number)
        # Numbers of the wire that are no strings keep their digits where digits matter.
        self._decode_exact = (
            _decode_generic if number is float else msgspec.json.Decoder(float_hook=number).decode
        )
        typed = {name: _Typed(shape, self._wire_number) for name, shape in SHAPES.items()}
        self._channels: dict[str, _Typed | None] = dict(typed)
        self._named = {name.encode(): (t.decode, t.build) for name, t in typed.items()}
        self._peeked: dict[bytes, tuple[Callable[[bytes], Any], Build]] = {}
        for name in _BUSY:
            head = (_PREFIX + name.encode() + b'","instId')[:_PEEK]
            self._peeked[head] = self._named[name.encode()]
        self._rows: dict[Kind, Callable[[Frame], list[Event]]] = {
            Kind.TEXT: self._text,
            Kind.BINARY: lambda frame: unrecognized(frame, "binary message"),
            Kind.SENT: lambda frame: [],
            Kind.REST: self._rest,
            Kind.OPENED: responses.opened,
            Kind.CLOSED: responses.closed,
            Kind.LOST: responses.lost,
            Kind.RUN: responses.run,
            Kind.CLOCK: responses.clock,
        }

    def parse(self, frame: Frame) -> list[Event]:
        """Return the events of a frame, in the order of its rows; never raise."""
        if frame.kind is not Kind.TEXT:
            return self._rows[frame.kind](frame)
        payload = frame.payload
        typed = self._peeked.get(payload[:_PEEK])
        if typed is None:
            return self._text(frame)
        try:
            return typed[1](frame, typed[0](payload))
        except UNREADABLE:
            return self._generic(frame)

    def _text(self, frame: Frame) -> list[Event]:
        payload = frame.payload
        if payload.startswith(_PREFIX):
            typed = self._named.get(payload[_NAME : payload.find(b'"', _NAME)])
            if typed is not None:
                try:
                    return typed[1](frame, typed[0](payload))
                except UNREADABLE:
                    pass
        elif payload == b"pong":
            return [Pong(frame.seq, 0, frame.ts_recv, frame.connection)]
        return self._generic(frame)

    def _generic(self, frame: Frame) -> list[Event]:
        if not frame.payload:
            return unrecognized(frame, "empty message")
        try:
            document = _decode_generic(frame.payload)
        except UNREADABLE:
            return unrecognized(frame, "not JSON")
        if not isinstance(document, dict):
            return unrecognized(frame, "not a JSON object")
        event = document.get("event")
        if isinstance(event, str):
            return responses.control(frame, event, document)
        argument = document.get("arg")
        channel = responses.text_key(argument, "channel")
        rows = document.get("data")
        if channel is None or not isinstance(argument, dict) or not isinstance(rows, list):
            return unrecognized(frame, "neither a push nor an event")
        typed = self._typed(channel)
        if typed is not None:
            try:
                return typed.build(frame, self._lenient(typed, frame.payload))
            except UNREADABLE:
                pass
        first = rows[0] if rows else None
        action = document.get("action")
        return [
            Data(
                frame.seq,
                0,
                frame.ts_recv,
                _time_of(first),
                responses.instrument_of(argument),
                channel,
                argument,
                action if isinstance(action, str) else None,
                rows,
            )
        ]

    def _typed(self, channel: str) -> _Typed | None:
        """Return a channel's decoder; candles are compiled when first seen."""
        typed = self._channels.get(channel)
        if typed is None:
            shape = shape_of(channel)
            if shape is None:
                return None
            typed = self._channels[channel] = _Typed(shape, self._wire_number)
            self._named[channel.encode()] = (typed.decode, typed.build)
        return typed

    def _lenient(self, typed: _Typed, payload: bytes) -> Any:
        document = self._decode_exact(payload)
        columns = typed.shape.columns
        if columns is not None:
            document["data"] = [columns(row) for row in document["data"]]
        plain = _without_blanks(document, as_text=self.number is str)
        return msgspec.convert(plain, typed.type, strict=False)

    def _rest(self, frame: Frame) -> list[Event]:
        response, rows = responses.rest_response(frame)
        events: list[Event] = [response]
        for row in rows:
            if isinstance(row, dict) and "instId" in row and "tickSz" in row:
                plain = _without_blanks(row, as_text=self.number is str)
                try:
                    typed = msgspec.convert(plain, self._instrument_row, strict=False)
                except UNREADABLE:
                    continue
                events.append(instrument_update(frame, len(events), typed))
        return events


def _without_blanks(value: Any, *, as_text: bool) -> Any:
    """Return JSON without blank members: `""` and null go, in arrays they become None.

    With `as_text`, numbers become their digits, for a parser that gives texts.
    """
    if isinstance(value, dict):
        return {
            key: _without_blanks(member, as_text=as_text)
            for key, member in value.items()
            if member is not None and member != ""
        }
    if isinstance(value, list):
        return [_without_blanks(member, as_text=as_text) for member in value]
    if isinstance(value, str):
        return value or None
    if as_text and type(value) is int:
        return str(value)
    return value


def _time_of(row: Any) -> int | None:
    """Return the `ts` of an untyped row in ns, None where it has none."""
    text = responses.text_key(row, "ts")
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 13:
        return None
    return int(text) * NS


_DEFAULT = Parser()
parse = _DEFAULT.parse
"""`Parser().parse`: events with float numbers."""
