"""TimescaleSink: batches into the database by COPY, with the position in the same transaction.

Responsible for exactly once: rows and position are committed together, and a row that is there
already is passed over; and for values that the database refuses, which are put aside one by one.
Refuses to decide when to try again: the runner does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg import Connection
from psycopg.errors import DataError, IntegrityError

from recorder.clock import NS_PER_SECOND
from recorder.errors import SinkDown, SinkRefused
from recorder.sinks import Position, Record, document_of
from recorder.sinks.timescale.schema import add_partition, is_partitioned, prepare
from recorder.sinks.timescale.tables import TABLES, Table, line_of, names_of

_REFUSED_MAX = 100
"""More values refused in one batch are no accident: then something is wrong with the table."""

_TABLE = {table.name: table for table in TABLES}
_EPOCH, _DAY = date(1970, 1, 1), timedelta(days=1)
_NS_PER_DAY = 86_400 * NS_PER_SECOND

_FOR_A_PERSON = ("28", "3D", "42", "0A", "3F")
"""Classes of SQLSTATE that do not pass by themselves: logins, names, rights, features."""


class TimescaleSink:
    """One database and the tables of it that are to be filled.

    Args:
        conninfo: as libpq takes it. tables: those to be filled. schema: where they are.
        hypertables: one of `schema.HYPERTABLES`.
    """

    history_seconds: float | None = None

    def __init__(
        self,
        conninfo: str,
        *,
        tables: Sequence[Table],
        schema: str,
        hypertables: str,
        batch_rows: int,
        batch_seconds: float,
    ) -> None:
        self.batch_rows = batch_rows
        self.batch_seconds = batch_seconds
        self.refused = 0
        self.wants: frozenset[type] | None = frozenset(t for table in tables for t in table.types)
        self._conninfo = conninfo
        self._tables = tuple(tables)
        self._table_of = {kind: table for table in tables for kind in table.types}
        self._schema = schema
        self._hypertables = hypertables
        self._connection: Connection[Any] | None = None
        self._capture = -1
        self._positions: dict[str, Position | None] = {}
        self._is_partitioned = False
        self._partitions: set[tuple[str, int]] = set()  # (table, day) that are there; asked only

    def open(self, capture: str) -> Sequence[Position | None]:
        """Connect, bring the schema up to date, and say where the tables stand."""
        self.close()
        try:
            connection = self._connection = psycopg.connect(
                self._conninfo, autocommit=True, client_encoding="utf8"
            )
            prepare(connection, self._schema, self._hypertables)
            self._partitions.clear()
            self._is_partitioned = is_partitioned(connection, self._schema)
            self._capture = self._number_of(connection, capture)
            self._positions = self._read_positions(connection)
        except psycopg.Error as error:
            raise _told(error) from None
        return [self._positions[table.name] for table in self._tables]

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        """Commit a batch and its position."""
        rows = self._rows(records)
        try:
            try:
                self._commit(rows, position, is_new=position is not None)
            except (DataError, IntegrityError):
                # A value that is refused, a row that was given before, out of turn, or a
                # partition that somebody took away.
                self._partitions.clear()
                self._commit(rows, position, is_new=False)
        except psycopg.Error as error:
            raise _told(error) from None

    def rewind(self, position: Position | None) -> None:
        """Delete the rows after a position, also of tables that are not filled now."""
        connection, capture = self._connected(), self._capture
        seq, index = (-1, 0) if position is None else (position.seq, position.index)
        try:
            with connection.transaction():
                after = f"capture = {capture} AND (seq, index) > ({seq}, {index})"
                for name in (*(table.name for table in TABLES), "rejected"):
                    connection.execute(f"DELETE FROM {self._schema}.{name} WHERE {after}".encode())
                connection.execute(
                    f"UPDATE {self._schema}.positions SET seq = %s, index = %s, ts_recv = %s "
                    f"WHERE {after}".encode()
                    if position is not None
                    else f"DELETE FROM {self._schema}.positions WHERE {after}".encode(),
                    None if position is None else msgspec.structs.astuple(position),
                )
            self._positions = self._read_positions(connection)
        except psycopg.Error as error:
            raise _told(error) from None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    # --- internals ---------------------------------------------------------------------------

    def _connected(self) -> Connection[Any]:
        if self._connection is None:
            raise SinkDown("expected a connection to the database, but it is closed")
        return self._connection

    def _rows(self, records: Sequence[Record]) -> dict[str, list[Record]]:
        """Sort records into the tables that do not have them yet."""
        rows: dict[str, list[Record]] = {}
        for record in records:
            table = self._table_of[type(record)]
            if table.keeps is not None and not table.keeps(record):
                continue
            stands = self._positions[table.name]
            if stands is None or not stands.has(record.seq, record.index):
                rows.setdefault(table.name, []).append(record)
        return rows

    def _commit(
        self, rows: dict[str, list[Record]], position: Position | None, *, is_new: bool
    ) -> None:
        connection = self._connected()
        if self._is_partitioned:
            self._make_partitions(connection, rows)
        refused, moved = 0, {}
        with connection.transaction():
            for name, records in rows.items():
                table = _TABLE[name]
                if is_new:
                    self._copy(connection, table, records, is_new=True)
                else:
                    refused += self._sift(connection, table, records, _REFUSED_MAX - refused)
            if position is not None:
                moved = self._move(connection, position)
        self.refused += refused
        self._positions |= moved

    def _copy(
        self, connection: Connection[Any], table: Table, records: Sequence[Record], *, is_new: bool
    ) -> None:
        """Copy rows into a table: straight, or past those that it has already."""
        name, columns = f"{self._schema}.{table.name}", names_of(table)
        target = name if is_new else f"pg_temp.new_{table.name}"
        if not is_new:
            connection.execute(
                f"CREATE TEMP TABLE new_{table.name} (LIKE {name}) ON COMMIT DROP".encode()
            )
        lines = "".join([line_of(table, self._capture, record) for record in records])
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY {target} ({columns}) FROM STDIN".encode()) as copy,
        ):
            copy.write(lines.encode())
        if not is_new:
            connection.execute(
                f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {target} "
                f"ON CONFLICT DO NOTHING".encode()
            )
            connection.execute(f"DROP TABLE {target}".encode())

    def _sift(
        self, connection: Connection[Any], table: Table, records: Sequence[Record], most: int
    ) -> int:
        """Copy what the table takes, put aside what it refuses, found by halving; count it."""
        try:
            with connection.transaction():  # a savepoint
                self._copy(connection, table, records, is_new=False)
            return 0
        except (DataError, IntegrityError) as error:
            if len(records) == 1:
                self._put_aside(connection, table, records[0], error)
                return 1
        refused, half = 0, len(records) // 2
        for part in (records[:half], records[half:]):
            refused += self._sift(connection, table, part, most - refused)
            if refused >= most:
                raise SinkRefused(
                    f"expected table {self._schema}.{table.name} to take its rows, but it refused "
                    f"more than {_REFUSED_MAX} of one batch; compare it with docs/sinks.md"
                )
        return refused

    def _put_aside(
        self, connection: Connection[Any], table: Table, record: Record, error: psycopg.Error
    ) -> None:
        connection.execute(
            f"INSERT INTO {self._schema}.rejected "
            f"(capture, seq, index, table_name, ts_recv, cause, document) "
            f"VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING".encode(),
            (self._capture, record.seq, record.index, table.name, record.ts_recv,
             error.diag.message_primary or str(error), document_of(record)),
        )  # fmt: skip

    def _move(self, connection: Connection[Any], position: Position) -> dict[str, Position]:
        """Move the tables that stand before a position there; nobody else may have moved them."""
        behind: dict[Position | None, list[str]] = {}
        for table in self._tables:
            stands = self._positions[table.name]
            if stands is None or not stands.has(position.seq, position.index):
                behind.setdefault(stands, []).append(table.name)
        moved = 0
        for stands, names in behind.items():
            if stands is None:
                moved += self._insert_positions(connection, names, position)
                continue
            moved += connection.execute(
                f"UPDATE {self._schema}.positions SET seq = %s, index = %s, ts_recv = %s "
                f"WHERE capture = %s AND table_name = ANY(%s) AND seq = %s AND index = %s".encode(),
                (position.seq, position.index, position.ts_recv, self._capture, names,
                 stands.seq, stands.index),
            ).rowcount  # fmt: skip
        names = [name for some in behind.values() for name in some]
        if moved != len(names):
            raise SinkDown(
                f"expected to be the only one to write this capture into schema {self._schema}, "
                f"but another did so meanwhile; end one of them, or let the first one go ahead"
            )
        return dict.fromkeys(names, position)

    def _insert_positions(
        self, connection: Connection[Any], names: Sequence[str], position: Position
    ) -> int:
        return connection.execute(
            f"INSERT INTO {self._schema}.positions (capture, table_name, seq, index, ts_recv) "
            f"SELECT %s, unnest(%s::text[]), %s, %s, %s ON CONFLICT DO NOTHING".encode(),
            (self._capture, list(names), position.seq, position.index, position.ts_recv),
        ).rowcount  # fmt: skip

    def _number_of(self, connection: Connection[Any], capture: str) -> int:
        find = f"SELECT id FROM {self._schema}.captures WHERE capture = %s".encode()
        row = connection.execute(find, (capture,)).fetchone()
        if row is None:
            connection.execute(
                f"INSERT INTO {self._schema}.captures (capture) VALUES (%s) "
                f"ON CONFLICT DO NOTHING".encode(),
                (capture,),
            )
            row = connection.execute(find, (capture,)).fetchone()
        if row is None:
            raise SinkDown(f"expected capture {capture} in {self._schema}.captures, found none")
        return int(row[0])

    def _read_positions(self, connection: Connection[Any]) -> dict[str, Position | None]:
        found = connection.execute(
            f"SELECT table_name, seq, index, ts_recv FROM {self._schema}.positions "
            f"WHERE capture = %s".encode(),
            (self._capture,),
        ).fetchall()
        stands = {name: Position(*rest) for name, *rest in found}
        return {table.name: stands.get(table.name) for table in self._tables}

    def _make_partitions(self, connection: Connection[Any], rows: dict[str, list[Record]]) -> None:
        """Make the partitions that rows go to, and the next one of each: ahead of its day."""
        for name, records in rows.items():
            for day in sorted({record.ts_recv // _NS_PER_DAY for record in records}):
                if (name, day) in self._partitions:
                    continue
                end = add_partition(connection, self._schema, _TABLE[name], _EPOCH + day * _DAY)
                add_partition(connection, self._schema, _TABLE[name], end)
                self._partitions.add((name, day))


def _told(error: psycopg.Error) -> SinkDown | SinkRefused:
    """Return what an error of the driver means, in one line."""
    words = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
    state = error.sqlstate or ""
    if state.startswith(_FOR_A_PERSON):
        return SinkRefused(f"expected the database to take rows, but it refuses: {words}")
    return SinkDown(f"expected the database to take rows, but: {words}")
