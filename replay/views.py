"""The catalogue of views made of events: one per event type, and the ones that combine.

Responsible for which views there are and what their rows mean: `book_levels` (a row per level of
every update), `bbo` (best bid and offer after every update), `ledger` (everything that makes data
less than whole, on one timeline). Refuses to read captures: `replay.scan` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa

from recorder.book import Books
from recorder.event import (
    EVENT_TYPES,
    BookUpdate,
    Event,
    Lost,
    Quote,
)
from recorder.event.ledger import LEDGER_TYPES, cause_of, is_in_ledger
from replay.tables import COMMENTS, Column, Row, View, attribute, comment_of, event_view, json_text

VIEWS_VERSION = 1
"""Raised when the same events give other rows: tables that were made before are then stale."""

_INT, _FLOAT, _TEXT, _BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()


def _repeated(name: str) -> Callable[[Sequence[Row]], list[Any]]:
    """Return a reader that repeats a field of a book update for each of its levels."""
    get = attrgetter(name)
    return lambda rows: [
        value for row in rows for value in repeat(get(row), len(row.bids) + len(row.asks))
    ]


def _of_level(name: str) -> Callable[[Sequence[Row]], list[Any]]:
    get = attrgetter(name)
    return lambda rows: [get(level) for row in rows for level in chain(row.bids, row.asks)]


def _sides(rows: Sequence[Row]) -> list[str]:
    return [
        side
        for row in rows
        for side in chain(repeat("bid", len(row.bids)), repeat("ask", len(row.asks)))
    ]


def _positions(rows: Sequence[Row]) -> list[int]:
    return [at for row in rows for at in chain(range(len(row.bids)), range(len(row.asks)))]


def _levels_of(update: BookUpdate) -> int:
    return len(update.bids) + len(update.asks) + 1


def _column(
    name: str, type_: pa.DataType, values: Callable[[Sequence[Row]], Any], comment: str = ""
) -> Column:
    return Column(name, type_, comment or comment_of(name), values)


BOOK_LEVELS = View(
    "book_levels",
    "One row per level of every book update, in the order sent",
    (BookUpdate,),
    (
        _column("seq", _INT, _repeated("seq")),
        _column("index", _INT, _repeated("index")),
        _column("ts_recv", _INT, _repeated("ts_recv")),
        _column("ts_event", _INT, _repeated("ts_event")),
        _column("instrument", _TEXT, _repeated("instrument")),
        _column("channel", _TEXT, _repeated("channel")),
        _column("side", _TEXT, _sides, "bid or ask"),
        _column("level", _INT, _positions, "position within the side as sent, best is 0"),
        _column("price", _FLOAT, _of_level("price")),
        _column("size", _FLOAT, _of_level("size"), COMMENTS["size"] + "; 0 deletes the level"),
        _column("orders", _INT, _of_level("orders")),
        _column("is_snapshot", _BOOL, _repeated("is_snapshot"), "the update replaces the book"),
        _column(
            "non_rpi_size", _FLOAT, _of_level("non_rpi_size"), "third wire column; books-rpi only"
        ),
    ),
    weight=_levels_of,
)


class _Best(NamedTuple):
    """Best bid and offer after one event."""

    event: BookUpdate | Quote
    channel: str
    bid_price: float | None
    bid_size: float | None
    ask_price: float | None
    ask_size: float | None
    is_whole: bool


def _best(event: BookUpdate | Quote, books: Books) -> _Best:
    if isinstance(event, Quote):
        return _Best(
            event,
            event.channel,
            event.bid_price,
            event.bid_size,
            event.ask_price,
            event.ask_size,
            is_whole=True,
        )
    for book in books.of(event.instrument):
        # Redundant connections keep a book each; this one is the one just changed.
        if book.seq == event.seq and book.channel == event.channel and book.is_whole:
            bid, ask = book.best_bid(), book.best_ask()
            return _Best(
                event,
                event.channel,
                None if bid is None else bid.price,
                None if bid is None else bid.size,
                None if ask is None else ask.price,
                None if ask is None else ask.size,
                is_whole=True,
            )
    return _Best(event, event.channel, None, None, None, None, is_whole=False)


BBO = View(
    "bbo",
    "Best bid and offer after every book update and every quote",
    (BookUpdate, Quote),
    (
        _column("seq", _INT, attribute("event.seq")),
        _column("index", _INT, attribute("event.index")),
        _column("ts_recv", _INT, attribute("event.ts_recv")),
        _column("ts_event", _INT, attribute("event.ts_event")),
        _column("instrument", _TEXT, attribute("event.instrument")),
        _column("channel", _TEXT, attribute("channel"), "channel the book or quote comes from"),
        _column("bid_price", _FLOAT, attribute("bid_price"), "in quote currency; NULL: no bid"),
        _column("bid_size", _FLOAT, attribute("bid_size"), COMMENTS["size"]),
        _column("ask_price", _FLOAT, attribute("ask_price"), "in quote currency; NULL: no offer"),
        _column("ask_size", _FLOAT, attribute("ask_size"), COMMENTS["size"]),
        _column(
            "is_whole",
            _BOOL,
            attribute("is_whole"),
            "false where updates are missing: then no prices",
        ),
    ),
    row=_best,
    follows_books=True,
)


# --- the ledger ----------------------------------------------------------------------------

_COMMON = frozenset({"seq", "index", "ts_recv", "connection", "channel", "instrument"})


def _ledger_row(event: Event, _books: Books) -> Event | None:
    return event if is_in_ledger(event) else None


def _optional(name: str) -> Callable[[Sequence[Row]], list[Any]]:
    return lambda rows: [getattr(row, name, None) for row in rows]


def _types(rows: Sequence[Row]) -> list[str]:
    return [type(row).__name__ for row in rows]


def _causes(rows: Sequence[Row]) -> list[str | None]:
    return [cause_of(row) for row in rows]


def _counts(rows: Sequence[Row]) -> list[int | None]:
    return [row.count if isinstance(row, Lost) else None for row in rows]


def _details(rows: Sequence[Row]) -> list[str | None]:
    """Return what the other columns leave out, as JSON."""
    return [
        json_text(
            {field: getattr(row, field) for field in row.__struct_fields__ if field not in _COMMON}
        )
        for row in rows
    ]


LEDGER = View(
    "ledger",
    "Everything that makes the data less than whole, and every restart, on one timeline",
    LEDGER_TYPES,
    (
        _column("seq", _INT, attribute("seq")),
        _column("index", _INT, attribute("index")),
        _column("ts_recv", _INT, attribute("ts_recv")),
        _column("type", _TEXT, _types, "event type, e.g. SequenceGap, Disconnected, Lost"),
        _column("connection", _INT, _optional("connection")),
        _column("channel", _TEXT, _optional("channel")),
        _column("instrument", _TEXT, _optional("instrument")),
        _column("cause", _TEXT, _causes, "why, in words; NULL where the type says it"),
        _column("count", _INT, _counts, "frames lost; NULL: unknown or none"),
        _column("duration", _INT, _optional("duration"), "how long the socket had been open, ns"),
        _column("step", _INT, _optional("step"), "jump of the wall clock, ns"),
        _column("detail", _TEXT, _details, "the event's own fields (JSON text)"),
    ),
    row=_ledger_row,
)

VIEWS: dict[str, View] = {
    view.name: view
    for view in (*(event_view(event_type) for event_type in EVENT_TYPES), BOOK_LEVELS, BBO, LEDGER)
}
"""Every view made of events, by its SQL name."""
