"""Checkpoint: the saved state of an interpreter, as bytes.

Responsible for the form of those bytes and for giving prices their number type back. Refuses to
know what the state means: `interpreter.py` does.

Equal states give equal bytes: everything is sorted, nothing depends on the order of arrival, on
hash seeds or on which books somebody happened to look at.

Numbers. The state keeps prices and sizes in the number type of the interpreter that wrote it:
doubles for float, texts for Decimal and str. Reading it with another number type goes through the
shortest text of a double. A decimal of up to 15 significant digits (every price and size OKX has
sent so far) survives that exactly as a value; only its trailing zeros are lost, which matters to
nothing but a checksum, and books with a checksum have their texts saved beside them. Where digits
beyond 15 matter, write the state with Decimal.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from recorder.event import Level
from recorder.okx.election import ElectionState
from recorder.okx.responses import UNREADABLE

VERSION = 1


class BookState(msgspec.Struct, array_like=True, gc=False):
    """One book: its chain, its levels best first, and its texts where it has a checksum."""

    connection: int
    channel: str
    instrument: str
    is_whole: bool
    is_stale: bool
    seq_id: int | None
    ts_event: int | None
    ts_recv: int
    seq: int
    bids: list[Any]
    asks: list[Any]
    text_bids: list[Level[str]] | None
    text_asks: list[Level[str]] | None


class BookGround(msgspec.Struct, array_like=True, gc=False):
    """What `BookState` says of one book, its levels not taken apart: nobody may want them."""

    connection: int
    channel: str
    instrument: str
    is_whole: bool
    is_stale: bool
    seq_id: int | None
    ts_event: int | None
    ts_recv: int
    seq: int
    bids: msgspec.Raw
    asks: msgspec.Raw


class ConnectionState(msgspec.Struct, array_like=True, gc=False):
    """One connection: when it opened (monotonic ns), what it subscribed, what it requested."""

    connection: int
    opened_mono: int | None
    subscriptions: list[bytes]
    request: str | None


class TrialState(msgspec.Struct, array_like=True, gc=False):
    """One comparison with the venue's book under way, or the levels an earlier one suspected."""

    connection: int
    channel: str
    instrument: str
    asked: int
    began: int
    depth: int
    count: int
    seq_id: int | None
    bids: list[Any]
    asks: list[Any]
    updates: list[bytes]
    body: bytes | None
    suspects: list[tuple[str, str]]


class State(msgspec.Struct, gc=False, omit_defaults=True):
    """All of an interpreter's state."""

    version: int
    number: str
    books: list[BookState]
    connections: list[ConnectionState]
    trials: list[TrialState] = []
    election: ElectionState | None = None


class _Grounds(msgspec.Struct, gc=False):
    """Of a state, the books alone."""

    version: int
    number: str
    books: list[BookGround]


_NUMBERS: dict[str, type] = {"float": float, "Decimal": Decimal, "str": str}
_LEVELS: dict[type, Any] = {
    float: list[Level[float]],
    Decimal: list[Level[Decimal]],
    str: list[Level[str]],
}
for _kind in _LEVELS.values():
    msgspec.msgpack.Decoder(_kind)  # not at the first use: two threads at once would crash
_encode = msgspec.msgpack.Encoder(decimal_format="string").encode
_decode = msgspec.msgpack.Decoder(State).decode
_decode_grounds = msgspec.msgpack.Decoder(_Grounds).decode
_decode_levels = msgspec.msgpack.Decoder(list[Level[float]]).decode


def text_of(number: float | Decimal | str) -> str:
    """Return a number as the venue would write it: plain decimal digits, no exponent."""
    if isinstance(number, str):
        return number
    exact = Decimal(repr(number)) if isinstance(number, float) else number
    text = format(exact, "f")
    if isinstance(number, float) and text.endswith(".0"):
        return text[:-2]
    return text


def _float_of(number: Any) -> float:
    return float(number)


def _decimal_of(number: Any) -> Decimal:
    return Decimal(text_of(number))


_CONVERT: dict[type, Callable[[Any], Any]] = {
    float: _float_of,
    Decimal: _decimal_of,
    str: text_of,
}


def encode(
    books: list[BookState],
    connections: list[ConnectionState],
    number: type,
    trials: list[TrialState] | None = None,
    *,
    election: ElectionState | None = None,
) -> bytes:
    """Return the bytes of a state whose levels have this number type."""
    books.sort(key=lambda book: (book.instrument, book.channel, book.connection))
    connections.sort(key=lambda connection: connection.connection)
    trials = sorted(trials or (), key=lambda trial: (trial.asked, trial.instrument, trial.channel))
    return _encode(State(VERSION, number.__name__, books, connections, trials, election))


def decode(state: bytes, number: type) -> State:
    """Return a saved state with the levels of its books in this number type.

    Raises:
        ValueError: the bytes are no state, or of a version this code does not know.
    """
    try:
        decoded = _decode(state)
        written = _NUMBERS[decoded.number]
    except (*UNREADABLE, KeyError) as error:
        raise ValueError(
            f"expected a saved interpreter state, received other bytes: {error}"
        ) from error
    if decoded.version != VERSION:
        raise ValueError(
            f"expected an interpreter state of version {VERSION}, received {decoded.version}; "
            f"read it with the release that wrote it"
        )
    try:
        held: list[BookState | TrialState] = [*decoded.books, *decoded.trials]
        for book in held:
            book.bids = _levels(book.bids, written, number)
            book.asks = _levels(book.asks, written, number)
    except msgspec.ValidationError as error:
        raise ValueError(f"expected levels of {decoded.number} in the state: {error}") from error
    return decoded


def grounds(state: bytes) -> list[BookGround]:
    """Return the books of a state of floats, their levels not taken apart; none of another one."""
    try:
        decoded = _decode_grounds(state)
    except UNREADABLE:
        return []
    return decoded.books if (decoded.version, decoded.number) == (VERSION, "float") else []


def levels_of(ground: BookGround) -> tuple[list[Level[float]], list[Level[float]]]:
    """Return the bids and asks of a book, best first."""
    return _decode_levels(ground.bids), _decode_levels(ground.asks)


def _levels(plain: list[Any], written: type, number: type) -> list[Level[Any]]:
    levels: list[Level[Any]] = msgspec.convert(plain, _LEVELS[written])
    if written is number:
        return levels
    convert = _CONVERT[number]
    return [
        Level(
            convert(level.price),
            convert(level.size),
            None if level.non_rpi_size is None else convert(level.non_rpi_size),
            level.orders,
        )
        for level in levels
    ]
