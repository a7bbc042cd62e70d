"""Parser: what one frame means, and nothing but that frame.

Responsible for the one way from a frame to its events. Refuses to raise, whatever the bytes, to
keep state (that is `interpreter.py`) and to read a clock.

Theory of operation. A push begins `{"arg":{"channel":"NAME",...`, so its channel can be read off
the bytes and a decoder compiled for exactly that channel used, in one pass over the payload:

1. the first 27 bytes are looked up among the busiest channels (27 bytes are enough to hold the
   whole name and its closing quote, so a hit is exact);
2. else the name up to its closing quote is looked up among the channels seen before;
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
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import Any

import msgspec

from recorder.event import Data, Event, Pong
from recorder.frame import Frame, Kind
from recorder.okx import responses
from recorder.okx.lenient import (
    WIRE_NUMBERS,
    fast_decoder,
    lenient_decoder,
    nests_too_deep,
    sparse_decoder,
    without_blanks,
)
from recorder.okx.pushes import SHAPES, instrument_row_type, instrument_update, shape_of
from recorder.okx.responses import UNREADABLE, unrecognized
from recorder.okx.shape import NS, Handle, Shape
from recorder.okx.versions import earlier_versions

PARSER_VERSION = 3
"""Raised whenever the same frame gives other events than before."""

_PREFIX = b'{"arg":{"channel":"'
_NAME = len(_PREFIX)
_PEEK = _NAME + 8
_BUSY = ("trades", "books", "bbo-tbt", "tickers", "books5")

_decode_generic = msgspec.json.Decoder().decode

_compiling = Lock()
"""Held while decoders are made: msgspec crashes where two threads make the first one of a type at
the same time, and each thread that reads a capture or consumes a recording has a parser."""


class Parser:
    """Turns frames into events, with numbers of one type.

    The same code serves float (default), Decimal (exact) and str (as sent).

    Attributes:
        number: the number type of the events.
        parse: `parse(frame)` returns the frame's events in the order of its rows, and never
            raises. It is a function of the frame alone.
    """

    def __init__(self, number: type = float) -> None:
        if number not in WIRE_NUMBERS:
            raise TypeError(f"expected float, Decimal or str as the number type, got {number!r}")
        self.number = number
        self._instrument_row = instrument_row_type(WIRE_NUMBERS[number])
        with _compiling:
            msgspec.json.Decoder(self._instrument_row)
        self._fast: dict[bytes, Handle] = {}
        self._lenient: dict[str, Handle] = {}
        for name in _BUSY:
            self._add(name, SHAPES[name])
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
            Kind.FAULT: responses.fault,
        }
        self.parse: Callable[[Frame], list[Event]] = self._compile()

    def _add(self, channel: str, shape: Shape) -> None:
        """Compile a channel's two ways: fast by its name, lenient for what the fast one refuses."""
        with _compiling:
            self._compile_ways(channel, shape)

    def _compile_ways(self, channel: str, shape: Shape) -> None:
        number = shape.number or self.number
        push = shape.push(WIRE_NUMBERS[number])
        lenient = lenient_decoder(push, shape, number)
        first = sparse_decoder(lenient) if shape.is_sparse else fast_decoder(push, number)
        handle = shape.reading(first)
        for version in reversed(earlier_versions(channel)):
            earlier = shape.reading(fast_decoder(version.push(WIRE_NUMBERS[number]), number))
            handle = _by_date(version.until, earlier, handle)
        self._fast[channel.encode()] = handle
        self._lenient[channel] = shape.reading(lenient)

    def _compile(self) -> Callable[[Frame], list[Event]]:
        # A closure: what it needs is bound once, not looked up for every frame.
        peeked = {
            (_PREFIX + name.encode() + b'","instId')[:_PEEK]: self._fast[name.encode()]
            for name in _BUSY
        }
        find, named, generic = peeked.get, self._text, self._generic
        text, rows = Kind.TEXT, self._rows

        def parse(frame: Frame) -> list[Event]:
            if frame.kind is text:
                payload = frame.payload
                handle = find(payload[:_PEEK])
                if handle is None:
                    return named(frame)
                try:
                    return handle(frame, payload)
                except UNREADABLE:
                    return generic(frame)
            return rows[frame.kind](frame)

        return parse

    def _text(self, frame: Frame) -> list[Event]:
        payload = frame.payload
        if payload.startswith(_PREFIX):
            handle = self._fast.get(payload[_NAME : payload.find(b'"', _NAME)])
            if handle is not None:
                try:
                    return handle(frame, payload)
                except UNREADABLE:
                    pass
        elif payload == b"pong":
            return [Pong(frame.seq, 0, frame.ts_recv, frame.connection)]
        elif not payload:
            return unrecognized(frame, "empty message")
        return self._generic(frame)

    def _generic(self, frame: Frame) -> list[Event]:
        try:
            document = _decode_generic(frame.payload)
        except UNREADABLE:
            return unrecognized(frame, "not JSON")
        if not isinstance(document, dict):
            return unrecognized(frame, "not a JSON object")
        if nests_too_deep(document, frame.payload):
            return unrecognized(frame, "nested too deep")
        event = document.get("event")
        if isinstance(event, str):
            return responses.control(frame, event, document)
        argument = document.get("arg")
        channel = responses.text_key(argument, "channel")
        rows = document.get("data")
        if channel is None or not isinstance(argument, dict) or not isinstance(rows, list):
            return unrecognized(frame, "neither a push nor an event")
        handle = self._lenient_of(channel)
        if handle is not None:
            try:
                return handle(frame, frame.payload)
            except UNREADABLE:
                pass
        return [_data(frame, channel, argument, document.get("action"), rows)]

    def _lenient_of(self, channel: str) -> Handle | None:
        """Return a typed channel's lenient way; the rarer ones are compiled when first seen."""
        handle = self._lenient.get(channel)
        if handle is None:
            shape = shape_of(channel)
            if shape is not None:
                self._add(channel, shape)
                handle = self._lenient[channel]
        return handle

    def _rest(self, frame: Frame) -> list[Event]:
        response, rows = responses.rest_response(frame)
        events: list[Event] = [response]
        for row in rows:
            if isinstance(row, dict) and "instId" in row and "tickSz" in row:
                plain = without_blanks(row, number=self.number)
                try:
                    typed = msgspec.convert(plain, self._instrument_row, strict=False)
                except UNREADABLE:
                    continue
                events.append(instrument_update(frame, len(events), typed))
        return events


def _by_date(until: int, earlier: Handle, later: Handle) -> Handle:
    """Return what reads frames received before `until` in their earlier layout first."""

    def handle(frame: Frame, payload: bytes) -> list[Event]:
        if frame.ts_recv < until:
            with suppress(*UNREADABLE):
                return earlier(frame, payload)
        return later(frame, payload)

    return handle


def _data(
    frame: Frame, channel: str, argument: dict[str, Any], action: Any, rows: list[Any]
) -> Data:
    """Return a push nobody has given a type, its texts as sent."""
    text = responses.text_key(rows[0], "ts") if rows else None
    is_time = text is not None and text.isascii() and text.isdigit() and len(text) <= 13
    return Data(
        frame.seq,
        0,
        frame.ts_recv,
        int(text) * NS if is_time and text is not None else None,
        responses.instrument_of(argument),
        channel,
        argument,
        action if isinstance(action, str) else None,
        rows,
    )


@cache
def parser_of(number: type = float) -> Parser:
    """Return the one parser of a number type: compiling one costs milliseconds, and it is pure."""
    return Parser(number)


parse: Callable[[Frame], list[Event]] = parser_of(float).parse
"""`Parser().parse`: events with float numbers."""
