"""Events as columns: the Arrow schema of each view, and how events become record batches.

Responsible for the columns, their types, units and comments, derived from the event types
themselves, so that a new field of an event is a new column. Refuses to read captures, to parse
and to know SQL: `replay.scan` and `replay.sql` do.

Prices and sizes are DOUBLE, times and sequence numbers BIGINT (ns), dicts and lists JSON text.
So are the Decimals of account events: a column is there to be summed and joined, a double holds 15
digits of it, and no DECIMAL of SQL has room for every scale the venue sends. Whoever needs the
digit after that takes the events themselves, which are exact.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from recorder.book import Books
from recorder.event import VIEW_NAMES, BookUpdate, Event
from replay.comments import COMMENTS as COMMENTS
from replay.comments import comment_of as comment_of

BATCH_ROWS = 8_192
"""Rows (of a book: levels) after which a record batch is handed on."""

LEVEL = pa.struct([("price", pa.float64()), ("size", pa.float64()), ("orders", pa.int64())])

Row = Any
"""What a view keeps of one event until its batch is built: mostly the event itself."""


class Column(NamedTuple):
    """One column of a view: its Arrow field and how to read it from collected rows."""

    name: str
    type: pa.DataType
    comment: str
    values: Callable[[Sequence[Row]], Any]


class View(NamedTuple):
    """One relation made of events.

    Attributes:
        name: the SQL name.
        comment: one line for a person.
        takes: the event types that rows are made of.
        columns: in SQL order.
        row: make the row of one event, right after the interpreter's step; None drops it.
        weight: how much of a batch one row fills.
        follows_books: `row` looks at the books, so they must be kept.
    """

    name: str
    comment: str
    takes: tuple[type[Event], ...]
    columns: tuple[Column, ...]
    row: Callable[[Any, Books], Row | None] | None = None
    weight: Callable[[Row], int] | None = None
    follows_books: bool = False

    @property
    def schema(self) -> pa.Schema:
        """All columns, in order."""
        return self.schema_of([column.name for column in self.columns])

    def schema_of(self, names: Iterable[str]) -> pa.Schema:
        """Return the schema of some columns, in the view's order."""
        wanted = set(names)
        return pa.schema([pa.field(c.name, c.type) for c in self.columns if c.name in wanted])


class BatchBuilder:
    """Collect rows of one view; give a record batch of some of its columns when there are enough.

    Args:
        view: what the rows are.
        names: the columns to build; the others cost nothing.
    """

    def __init__(self, view: View, names: Iterable[str]) -> None:
        self.schema = view.schema_of(names)
        by_name = {column.name: column for column in view.columns}
        self._columns = [by_name[name] for name in self.schema.names]
        self._row = view.row
        self._weigh = view.weight
        self._rows: list[Row] = []
        self._weight = 0

    def add(self, event: Event, books: Books) -> bool:
        """Take one event of a type that the view takes; return whether a batch is due."""
        row = event if self._row is None else self._row(event, books)
        if row is not None:
            self._rows.append(row)
            self._weight += 1 if self._weigh is None else self._weigh(row)
        return self._weight >= BATCH_ROWS

    def take(self) -> pa.RecordBatch:
        """Return what was collected as a record batch (maybe of no rows) and start anew."""
        rows, self._rows, self._weight = self._rows, [], 0
        arrays = [pa.array(column.values(rows), type=column.type) for column in self._columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


# --- columns from the event types ----------------------------------------------------------

_SCALARS: dict[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    Decimal: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
}

_JSON = msgspec.json.Encoder(decimal_format="string")


def json_text(value: Any) -> str | None:
    """Return JSON for a nested value, None for None."""
    return None if value is None else _JSON.encode(value).decode()


def _plain(annotation: Any) -> Any:
    """Return an annotation without its None."""
    options = [option for option in getattr(annotation, "__args__", ()) if option is not type(None)]
    return options[0] if annotation not in _SCALARS and len(options) == 1 else annotation


def _documented(event_type: type[Event]) -> tuple[str, dict[str, str]]:
    """Return the first sentence of a type's docstring and its attributes' own ones.

    The docstring is the one place where a field's unit is written down.
    """
    head, _, attributes = inspect.cleandoc(event_type.__doc__ or "").partition("Attributes:")
    entries = re.split(r"\n(?=\w)|(?<=;) (?=\w+(?:, \w+)*: )", inspect.cleandoc("\n" + attributes))
    comments: dict[str, str] = {}
    for entry in entries:
        names, colon, text = entry.partition(":")
        if colon and re.fullmatch(r"\w+(, \w+)*", names.strip()):
            said = " ".join(text.split()).rstrip(".;").replace("None", "NULL")
            comments.update(dict.fromkeys(names.strip().split(", "), said))
    summary = " ".join(head.split("\n\n")[0].split()).rstrip(".").replace("None", "NULL")
    return summary, comments


def attribute(name: str) -> Callable[[Sequence[Row]], list[Any]]:
    """Return a reader of one attribute of every row."""
    get = attrgetter(name)
    return lambda rows: list(map(get, rows))


def _doubles(name: str) -> Callable[[Sequence[Row]], list[float | None]]:
    """Return a reader of one Decimal attribute of every row as doubles."""
    get = attrgetter(name)
    return lambda rows: [None if (n := get(row)) is None else float(n) for row in rows]


def _json_attribute(name: str) -> Callable[[Sequence[Row]], list[str | None]]:
    get = attrgetter(name)
    return lambda rows: [json_text(get(row)) for row in rows]


def _levels(side: str) -> Callable[[Sequence[Row]], pa.Array[Any]]:
    """Return a reader of one side of book updates as list<struct<price, size, orders>>."""
    get = attrgetter(side)

    def values(rows: Sequence[Row]) -> pa.Array[Any]:
        sides = [get(row) for row in rows]
        offsets = pa.array([0, *accumulate(map(len, sides))], type=pa.int32())
        flat = list(chain.from_iterable(sides))
        fields: list[Any] = [
            pa.array([level.price for level in flat], type=pa.float64()),
            pa.array([level.size for level in flat], type=pa.float64()),
            pa.array([level.orders for level in flat], type=pa.int64()),
        ]
        structs = pa.StructArray.from_arrays(fields, fields=list(LEVEL.fields))
        return pa.ListArray.from_arrays(offsets, structs)

    return values


def _column(name: str, annotation: Any, comment: str) -> Column:
    plain = _plain(annotation)
    scalar = _SCALARS.get(plain)
    if scalar is not None:
        values = _doubles(name) if plain is Decimal else attribute(name)
        return Column(name, scalar, comment, values)
    if name in ("bids", "asks"):
        return Column(name, pa.list_(LEVEL), comment, _levels(name))
    return Column(name, pa.string(), f"{comment} (JSON text)".lstrip(), _json_attribute(name))


def event_view(event_type: type[Event]) -> View:
    """Return the view of one event type: its fields in their order."""
    summary, documented = _documented(event_type)
    columns = tuple(
        _column(field.name, field.type, documented.get(field.name) or comment_of(field.name))
        for field in msgspec.structs.fields(event_type)
    )
    weight = _levels_of if event_type is BookUpdate else None
    return View(VIEW_NAMES[event_type], summary, (event_type,), columns, weight=weight)


def _levels_of(update: BookUpdate) -> int:
    return len(update.bids) + len(update.asks) + 1
