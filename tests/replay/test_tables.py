"""Goal: every field of every event is a column of the right type, and batches are bounded.

Method: the event types themselves say which columns there must be; rows are compared value by
value with the events they were made of.
"""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from recorder.book import Books
from recorder.event import (
    EVENT_TYPES,
    VIEW_NAMES,
    BookUpdate,
    ConnectionCount,
    Data,
    Event,
    Level,
    Quote,
    RunStarted,
    Trade,
    VenueError,
)
from recorder.okx.origins import ORIGINS
from recorder.okx.pushes import SHAPES
from replay.tables import BATCH_ROWS, BatchBuilder
from replay.views import VIEWS

TRADE = Trade(7, 1, 1_000, 900, "BTC-USDT", "trades", "55", 1.5, 2.25, "buy", 3, "0", None)
UPDATE = BookUpdate(
    8, 0, 1_001, 901, "BTC-USDT", "books", True,
    [Level(1.5, 2.0, 0.5, 4), Level(1.4, 1.0, None, 1)], [Level(1.6, 0.0, 0.0, 0)],
    12, -1, 0,
)  # fmt: skip


def table(view: str, events: list[Event], names: list[str] | None = None) -> pa.Table:
    builder = BatchBuilder(VIEWS[view], names or VIEWS[view].schema.names)
    for event in events:
        builder.add(event, Books())
    return pa.Table.from_batches([builder.take()])


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=lambda t: t.__name__)
def test_every_field_is_a_column(event_type: type[Event]) -> None:
    view = VIEWS[VIEW_NAMES[event_type]]
    fields = {field.name: field.type for field in msgspec.structs.fields(event_type)}
    assert view.schema.names == list(fields)
    assert view.takes == (event_type,)
    kinds = {
        int: pa.int64(),
        float: pa.float64(),
        Decimal: pa.float64(),
        str: pa.string(),
        bool: pa.bool_(),
    }
    for name, annotation in fields.items():
        options = getattr(annotation, "__args__", (annotation,))
        scalar = next((kinds[o] for o in (annotation, *options) if o in kinds), None)
        if scalar is not None and not re.search("dict|tuple", str(annotation)):
            assert view.schema.field(name).type == scalar, name


def test_values_arrive_as_they_are() -> None:
    (row,) = table("trades", [TRADE]).to_pylist()
    assert row == msgspec.structs.asdict(TRADE)
    (row,) = table("book_updates", [UPDATE]).to_pylist()
    assert row["bids"] == [
        {"price": 1.5, "size": 2.0, "orders": 4},
        {"price": 1.4, "size": 1.0, "orders": 1},
    ]
    assert row["asks"] == [{"price": 1.6, "size": 0.0, "orders": 0}]


def test_nested_fields_are_json_text() -> None:
    data = Data(1, 0, 2, None, None, "status", {"channel": "status"}, None, [{"a": "ü"}, 1])
    (row,) = table("data", [data]).to_pylist()
    assert (row["argument"], row["rows"]) == ('{"channel":"status"}', '[{"a":"ü"},1]')
    error = VenueError(1, 0, 2, 3, "60012", "no", None, None)
    assert table("venue_errors", [error]).to_pylist()[0]["argument"] is None


def test_book_levels_are_one_row_a_level() -> None:
    rows = table("book_levels", [UPDATE, UPDATE]).to_pylist()
    assert len(rows) == 6
    assert [(r["side"], r["level"], r["price"], r["non_rpi_size"]) for r in rows[:3]] == [
        ("bid", 0, 1.5, 0.5),
        ("bid", 1, 1.4, None),
        ("ask", 0, 1.6, 0.0),
    ]
    assert {r["seq"] for r in rows} == {8}
    assert {r["is_snapshot"] for r in rows} == {True}


def test_bbo_of_a_book_nobody_can_trust_has_no_prices() -> None:
    (row,) = table("bbo", [UPDATE]).to_pylist()
    assert (row["bid_price"], row["ask_price"], row["is_whole"]) == (None, None, False)
    quote = Quote(1, 0, 2, 3, "X", None, None, None, 5.0, 6.0, 1)
    (row,) = table("bbo", [quote]).to_pylist()
    assert (row["channel"], row["bid_price"], row["ask_price"]) == ("bbo-tbt", None, 5.0)


def test_what_the_venue_refused_is_in_the_ledger() -> None:
    events = [
        VenueError(4, 0, 5, 1, "60018", "Wrong URL or channel:x doesn't exist", "r1", "c", None),
        ConnectionCount(6, 0, 7, 1, "orders", 3, False, "c"),
        ConnectionCount(8, 0, 9, 1, "orders", 20, True, "c"),
    ]
    refused, too_many = table("ledger", events).to_pylist()
    assert (refused["type"], refused["seq"], refused["connection"]) == ("VenueError", 4, 1)
    assert refused["cause"] == "60018 Wrong URL or channel:x doesn't exist"
    assert (too_many["type"], too_many["channel"], too_many["seq"]) == (
        "ConnectionCount", "orders", 8,
    )  # fmt: skip
    assert too_many["count"] is None, "the column counts frames lost"


def test_the_ledger_keeps_what_has_no_column_as_json() -> None:
    (row,) = table("ledger", [RunStarted(4, 0, 5, {"version": "1"})]).to_pylist()
    assert (row["type"], row["connection"]) == ("RunStarted", None)
    assert row["detail"] == '{"info":{"version":"1"}}'


def test_only_the_columns_asked_for_are_built() -> None:
    built = table("trades", [TRADE], ["price", "seq"])
    assert built.schema.names == ["seq", "price"]  # in the view's order


def test_batches_are_bounded_by_rows_and_by_levels() -> None:
    builder = BatchBuilder(VIEWS["trades"], ["seq"])
    due = [builder.add(TRADE, Books()) for _ in range(BATCH_ROWS)]
    assert due.index(True) == BATCH_ROWS - 1
    assert builder.take().num_rows == BATCH_ROWS
    assert builder.take().num_rows == 0
    deep = msgspec.structs.replace(UPDATE, bids=[Level(1.0, 1.0)] * 400)
    builder = BatchBuilder(VIEWS["book_updates"], ["bids"])
    added = 1
    while not builder.add(deep, Books()):
        added += 1
    assert added <= BATCH_ROWS // 400 + 1


def test_every_type_and_every_typed_channel_has_an_origin() -> None:
    assert list(ORIGINS) == list(EVENT_TYPES)
    named = {channel for origin in ORIGINS.values() for channel in origin.channels or ()}
    assert set(SHAPES) <= named
