"""Write the result of a query: a table for people, CSV, JSON or Parquet.

Responsible for running one statement and for the form in which its values appear. Refuses to
know captures and to keep a result in memory: rows stream, batch by batch; a table for people
shows the first thousand and counts the rest.

In JSON and CSV integers of any size are numbers, decimals keep all their digits, times are
ISO 8601 in UTC with the digits they have, binary is base64, lists and structs are JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import UsageError
from replay.values import csv_cell, plain, table_cell

_BATCH_ROWS = 10_000
_TABLE_ROWS = 1_000
_SPOOL_BYTES = 8 << 20

Batches = Iterator[pa.RecordBatch]

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Output(Protocol):
    """Where bytes go: a binary file, standard output, a `Spool`."""

    def write(self, data: Any, /) -> object:
        """Take bytes."""
        ...

    def flush(self) -> object:
        """Pass on what is buffered."""
        ...


class Spool(io.RawIOBase):
    """Hold the first megabytes of an output back, so that a query may still be run again.

    Attributes:
        is_committed: something has been written to the output.
    """

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self._held = bytearray()
        self.is_committed = False

    def writable(self) -> bool:
        """Return True: it takes bytes."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes; pass all on once there are many."""
        size = len(memoryview(data).cast("B"))
        if self.is_committed:
            self._output.write(data)
        else:
            self._held += data
            if len(self._held) > _SPOOL_BYTES:
                self._commit()
        return size

    def clear(self) -> None:
        """Forget what is held."""
        self._held.clear()

    def finish(self) -> None:
        """Pass on what is held; call when the result is complete."""
        self._commit()
        self._output.flush()

    def _commit(self) -> None:
        self.is_committed = True
        self._output.write(bytes(self._held))
        self._held.clear()


def write_result(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    format: str,  # noqa: A002
    output: Output,
) -> int:
    """Run a statement, write its result, return how many rows it has.

    Raises:
        duckdb.Error: as DuckDB says.
    """
    write = _WRITERS[format]
    relation = connection.sql(sql)
    if relation is None:  # a statement without a result, e.g. SET
        return write(pa.schema([]), [], iter(()), output)
    types = [str(kind) for kind in relation.types]
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    try:
        return write(reader.schema, types, iter(reader), output)
    finally:
        # DuckDB 2.0 refuses the next statement while a result is open.
        reader.close()
        del relation


def _distinct(names: list[str]) -> list[str]:
    """Return column names of which no two are equal: `count`, `count_1`."""
    taken: dict[str, None] = {}
    for name in names:
        distinct, number = name, 0
        while distinct in taken:
            number += 1
            distinct = f"{name}_{number}"
        taken[distinct] = None
    return list(taken)


def _write_json(schema: pa.Schema, _types: list[str], batches: Batches, output: Output) -> int:
    names = _distinct(schema.names)
    count = 0
    output.write(b"[")
    for batch in batches:
        columns = [plain(column) for column in batch.columns]
        lines = [_encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        if lines:
            output.write((b",\n" if count else b"\n") + b",\n".join(lines))
        count += len(lines)
    output.write(b"\n]\n" if count else b"]\n")
    return count


def _write_csv(schema: pa.Schema, _types: list[str], batches: Batches, output: Output) -> int:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if schema.names:
        writer.writerow(schema.names)
    count = 0
    for batch in batches:
        columns = [[csv_cell(value) for value in plain(column)] for column in batch.columns]
        writer.writerows(zip(*columns, strict=True))
        count += batch.num_rows
        output.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    output.write(text.getvalue().encode())
    return count


def _write_parquet(schema: pa.Schema, _types: list[str], batches: Batches, output: Output) -> int:
    names = _distinct(schema.names)
    fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
    named = pa.schema(fields)
    count = 0
    sink: Any = output
    try:
        writer = pq.ParquetWriter(sink, named, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise UsageError(
            f"expected columns that Parquet can hold, but Arrow says: {error}; "
            "cast the column, e.g. to VARCHAR"
        ) from error
    with writer:
        for batch in batches:
            writer.write_table(pa.Table.from_arrays(batch.columns, schema=named))
            count += batch.num_rows
    return count


_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "BIGNUM")


def _write_table(schema: pa.Schema, types: list[str], batches: Batches, output: Output) -> int:
    if not schema.names:
        output.write(b"(no result)\n")
        return 0
    rows: list[tuple[str, ...]] = []
    count = 0
    for batch in batches:
        count += batch.num_rows
        head = batch.slice(0, max(0, _TABLE_ROWS - len(rows)))
        if head.num_rows:
            cells = [
                [table_cell(value) for value in plain(column, binary_as_text=True)]
                for column in head.columns
            ]
            rows.extend(zip(*cells, strict=True))
    shown_types = [kind.replace("WITH TIME ZONE", "UTC") for kind in types]
    shown_types = [kind if len(kind) <= 24 else kind[:23] + "…" for kind in shown_types]
    widths = [
        max(map(len, (name, kind, *column)), default=0)
        for name, kind, *column in zip(schema.names, shown_types, *rows, strict=True)
    ]
    right = [kind.split("(")[0].endswith(_NUMBERS) for kind in types]

    def line(cells: tuple[str, ...] | list[str]) -> str:
        return "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        ).rstrip()

    lines = [line(schema.names), line(shown_types), line(["─" * width for width in widths])]
    lines += [line(row) for row in rows]
    said = "1 row" if count == 1 else f"{count:,} rows"
    if count > len(rows):
        said += f", the first {len(rows):,} shown; --format csv, json or parquet gives all"
    output.write(("\n".join(lines) + f"\n({said})\n").encode())
    return count


_WRITERS: dict[str, Callable[[pa.Schema, list[str], Batches, Output], int]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}

FORMATS = tuple(_WRITERS)
"""What `query` can write."""
