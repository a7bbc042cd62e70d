"""Schema of the database sink: created once, brought up to date by version, partitions ahead.

Responsible for every CREATE and ALTER. Refuses to touch a schema of a newer version, to create an
extension that nobody asked for, and to drop anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from psycopg import Connection, sql

from recorder.errors import SinkRefused
from recorder.sinks.timescale.tables import LEADING, TABLES, Table

HYPERTABLES = ("auto", "never", "create")
"""Hypertables where the extension is active; never; or after activating it."""

_LOCK = 0x6F6B7873  # "okxs": one session at a time changes the schema
_KEY = "capture, seq, index, recv_time"

Migration = Callable[[Connection[Any], str, bool], None]


def prepare(
    connection: Connection[Any],
    schema: str,
    hypertables: str,
    migrations: Sequence[Migration] | None = None,
) -> None:
    """Create what is missing, or bring it up to date; one transaction, one session at a time.

    Raises:
        SinkRefused: it is of a newer version, or hypertables cannot be had.
    """
    steps = MIGRATIONS if migrations is None else migrations
    with connection.transaction():
        _execute(connection, "SELECT pg_advisory_xact_lock({})", sql.Literal(_LOCK))
        version = _version(connection, schema)
        if version > len(steps):
            raise SinkRefused(
                f"expected schema {schema} of version {len(steps)} or older, received version "
                f"{version}; update this program, or name another one with ?schema="
            )
        if version == len(steps):
            return
        uses_hypertables = _has_timescale(connection, hypertables)
        if version == 0:
            _execute(connection, "CREATE SCHEMA IF NOT EXISTS {}", sql.Identifier(schema))
            _run(connection, f"CREATE TABLE {schema}.schema_version (version integer NOT NULL)")
            _run(connection, f"INSERT INTO {schema}.schema_version VALUES (0)")
        for step in steps[version:]:
            step(connection, schema, uses_hypertables)
        _run(connection, f"UPDATE {schema}.schema_version SET version = {len(steps)}")


def is_partitioned(connection: Connection[Any], schema: str) -> bool:
    """Tell whether this program has to make the partitions: without hypertables."""
    row = connection.execute(
        "SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", (f"{schema}.trades",)
    ).fetchone()
    return row is not None and bool(row[0])


def add_partition(connection: Connection[Any], schema: str, table: Table, day: date) -> date:
    """Make the partition that holds a day, if it is not there; return the day after it.

    It is made beside the table and then attached, which no reader of the table waits for.
    """
    first, end = _bounds(table, day)
    name = f"{table.name}_p{first:%Y%m%d}" if table.span == "day" else f"{table.name}_p{first:%Y%m}"
    with connection.transaction():
        _execute(connection, "SELECT pg_advisory_xact_lock({})", sql.Literal(_LOCK))
        row = connection.execute("SELECT to_regclass(%s)", (f"{schema}.{name}",)).fetchone()
        if row is None or row[0] is None:
            _run(
                connection,
                f"CREATE TABLE {schema}.{name} (LIKE {schema}.{table.name} INCLUDING CONSTRAINTS)",
            )
            _run(
                connection,
                f"ALTER TABLE {schema}.{table.name} ATTACH PARTITION {schema}.{name} "
                f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{end} 00:00:00+00')",
            )
    return end


def _bounds(table: Table, day: date) -> tuple[date, date]:
    if table.span == "day":
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _version(connection: Connection[Any], schema: str) -> int:
    row = connection.execute(
        "SELECT to_regclass(%s)", (f"{schema}.schema_version",)
    ).fetchone()  # fmt: skip
    if row is None or row[0] is None:
        return 0
    found = connection.execute(f"SELECT max(version) FROM {schema}.schema_version".encode())
    version = found.fetchone()
    return 0 if version is None or version[0] is None else int(version[0])


def _has_timescale(connection: Connection[Any], hypertables: str) -> bool:
    """Tell whether hypertables are to be made.

    The extension is never activated unasked: where its library is not preloaded the server ends
    the connection over it.
    """
    if hypertables == "never":
        return False
    if _one(connection, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"):
        return True
    if hypertables == "auto":
        return False
    preloaded = str(_one(connection, "SELECT current_setting('shared_preload_libraries')"))
    available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"
    if "timescaledb" not in preloaded or not _one(connection, available):
        raise SinkRefused(
            "expected TimescaleDB for hypertables=create, but the server does not preload it; add "
            "timescaledb to shared_preload_libraries and restart it, or leave the option out"
        )
    _run(connection, "CREATE EXTENSION timescaledb")
    return True


def _create_everything(connection: Connection[Any], schema: str, hypertables: bool) -> None:  # noqa: FBT001
    """Version 1."""
    for statement in (
        "CREATE TABLE {}.captures (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "capture text NOT NULL UNIQUE, added timestamptz NOT NULL DEFAULT now())",
        "COMMENT ON TABLE {}.captures IS 'Every capture that was ever written here; capture is "
        "the id in its capture.json'",
        "CREATE TABLE {}.positions (capture integer NOT NULL REFERENCES {}.captures, "
        "table_name text NOT NULL, seq bigint NOT NULL, index integer NOT NULL, "
        "ts_recv bigint NOT NULL, PRIMARY KEY (capture, table_name))",
        "COMMENT ON TABLE {}.positions IS 'How far each table has got with each capture: "
        "everything up to (seq, index) is in it, committed with the rows themselves'",
        "CREATE TABLE {}.rejected (capture integer NOT NULL, seq bigint NOT NULL, "
        "index integer NOT NULL, table_name text NOT NULL, ts_recv bigint NOT NULL, "
        "cause text NOT NULL, document json NOT NULL, "
        "PRIMARY KEY (capture, seq, index, table_name))",
        "COMMENT ON TABLE {}.rejected IS 'Events that a table refused to hold, and why'",
    ):
        _run(connection, statement.replace("{}", schema))
    for table in TABLES:
        _create(connection, schema, table, hypertables)


def _create(connection: Connection[Any], schema: str, table: Table, hypertables: bool) -> None:  # noqa: FBT001
    columns = (*LEADING, *table.columns)
    name = f"{schema}.{table.name}"
    lines = ", ".join(f'"{column.name}" {column.type}' for column in columns)
    partitions = "" if hypertables else " PARTITION BY RANGE (recv_time)"
    _run(connection, f"CREATE TABLE {name} ({lines}, PRIMARY KEY ({_KEY})){partitions}")
    if hypertables:
        where = _one(
            connection,
            "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n "
            "ON n.oid = extnamespace WHERE extname = 'timescaledb'",
        )
        _run(
            connection,
            f"SELECT {where}.create_hypertable('{name}', "
            f"{where}.by_range('recv_time', INTERVAL '1 {table.span}'), "
            f"create_default_indexes => false)",
        )
    if any(column.name == "instrument" for column in table.columns):
        _run(connection, f"CREATE INDEX ON {name} (instrument, recv_time)")
    _comment(connection, f"TABLE {name}", table.comment)
    for column in columns:
        if column.comment:
            _comment(connection, f'COLUMN {name}."{column.name}"', column.comment)


def _comment(connection: Connection[Any], what: str, words: str) -> None:
    _run(connection, f"COMMENT ON {what} IS '" + words.replace("'", "''") + "'")


MIGRATIONS: tuple[Migration, ...] = (_create_everything,)
"""What makes each version out of the one before; never changed once released, only added to."""


def _one(connection: Connection[Any], statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]


def _run(connection: Connection[Any], statement: str) -> None:
    connection.execute(statement.encode())


def _execute(connection: Connection[Any], statement: str, *parts: sql.Composable) -> None:
    connection.execute(sql.SQL(statement).format(*parts))
