"""SQL over captures, finished or still being recorded.

Responsible for a DuckDB connection with every view over one snapshot (`connect`, `refresh`), and
for running one statement and writing its result (`query`). Refuses to parse frames: the views of
events are made by the one parser and the one interpreter while they are read (`replay.scan`); and
to let DuckDB download anything.

A connection sees the frames up to the snapshot's last one: of sealed segments through DuckDB's
own Parquet reader, from an explicit list of files, and of journals as a stream. Neither compaction
nor retention deletes a file that it sees, until no query has begun for ten minutes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import duckdb
import msgspec

from recorder.capture.reader import Problem, ReadReport
from recorder.capture.reading.hold import LAPSE_S
from recorder.errors import Damage, ExitCode, UsageError
from replay.asked import Asked, Question
from replay.attach import SEGMENT, asked_of, attach
from replay.extent import Extent
from replay.results import FORMATS, Output, Spool, write_result
from replay.running import Running

T = TypeVar("T")

_CATALOGUE = re.compile(r"comment|duckdb_|describe|show|pragma|_schema", re.IGNORECASE)
"""What a statement holds that may ask what columns mean."""

_GUESS = re.compile(r'^(Did you mean|Candidate bindings:) (".*")', re.MULTILINE)


class QueryReport(msgspec.Struct, frozen=True):
    """What a query did.

    Attributes:
        rows: rows of the result.
        exit_code: done; loss where the capture declares some; failed where a part could not be
            read (see problems) and the result lacks it.
        problems: the parts passed over.
        torn_tail: a recorder died; the capture is not recovered yet.
    """

    rows: int
    exit_code: ExitCode
    problems: list[Problem]
    torn_tail: bool = False


def connect(captures: Question) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection with all views over one snapshot of a capture, or of several.

    It is a plain connection in memory: attach, create and join what you like. Close it when
    done. `refresh(connection)` lets it see what was recorded since; `refresh(cursor)` gives the
    views to a cursor of it.

    Args:
        captures: a capture or its path, `s3://bucket/prefix`; or several: a list, a glob, a folder
            that holds captures. Then every view has a column `capture`.

    Raises:
        NotACapture: there is none at this path. StoreFailed: a store did not answer, or refused.
    """
    asked = Asked(captures)
    connection = opened()
    attach(connection, asked, lapse_s=LAPSE_S)
    return connection


def opened() -> duckdb.DuckDBPyConnection:
    """Return a connection without views, in UTC, that downloads nothing."""
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # The views count in UTC; a TIMESTAMPTZ must not print in the zone of this machine.
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET parquet_metadata_cache = true")
    return connection


def refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every view show the captures as they are now; a folder or a glob is looked at again.

    Args:
        connection: of `connect`, or a cursor of it.
    """
    attach(connection, asked_of(connection), lapse_s=LAPSE_S)


def query(
    captures: Question,
    sql: str,
    *,
    format: str = "table",  # noqa: A002
    output: Output | None = None,
    running: Running | None = None,
) -> QueryReport:
    """Run one SQL query and write its result to `output` (standard output by default).

    Args:
        captures: as for `connect`.
        format: `table` (for people), `csv`, `json` (one array of objects) or `parquet`.
        running: lets another thread look how far it is, and stop it.

    Raises:
        UsageError: DuckDB does not understand the query, or no such format.
        NotACapture: there is none at this path. StoreFailed: a store did not answer, or refused.
    """
    if format not in FORMATS:
        raise UsageError(f"expected a format of {', '.join(FORMATS)}, received {format!r}")
    spool = Spool(output or sys.stdout.buffer)

    def write(connection: duckdb.DuckDBPyConnection) -> int:
        spool.clear()
        rows = write_result(connection, sql, format, spool)
        spool.finish()
        return rows

    rows, report = answer(
        captures, sql, write, is_final=lambda: spool.is_committed, running=running or Running()
    )
    return QueryReport(rows, report.exit_code, report.problems, report.torn_tail)


def answer(
    captures: Question,
    sql: str,
    ask: Callable[[duckdb.DuckDBPyConnection], T],
    *,
    is_final: Callable[[], bool] = lambda: False,
    running: Running | None = None,
) -> tuple[T, ReadReport]:
    """Run a query; where DuckDB could not read a segment, again without handing that one to it.

    A segment that is gone (compacted, removed) is not in the new snapshot. One that is damaged is
    read by the capture's own reader, which serves what is whole of it and reports the rest.

    Args:
        ask: runs `sql` on a connection. is_final: what it gave has gone on, and cannot be taken
            back.
    """
    asked = Asked(captures)
    connection = opened()
    refused: list[str] = []
    try:
        while True:
            extents = attach(
                connection, asked, without=refused, with_comments=bool(_CATALOGUE.search(sql))
            )
            if running is not None:
                running.begin(connection, extents.values())
            try:
                return ask(connection), _report_of(connection, extents, sql)
            except duckdb.Error as error:
                if running is not None and running.is_stopped:
                    raise
                for extent in extents.values():
                    if extent.failures:
                        raise extent.failures[0] from error
                segment = SEGMENT.search(str(error))
                if segment is None:
                    raise UsageError(_sentence(error)) from error
                if is_final() or segment.group() in refused:
                    raise Damage(
                        f"expected a whole segment in {segment.group()}, but DuckDB says: "
                        f"{_first_line(error)}; run `recorder verify` for the extent",
                        file=segment.group(),
                        cause=_first_line(error),
                    ) from error
                refused.append(segment.group())
    finally:
        if running is not None:
            running.end()
        connection.close()


def _report_of(
    connection: duckdb.DuckDBPyConnection, extents: Mapping[str, Extent], sql: str
) -> ReadReport:
    """Return what the scans of all captures met."""
    together = ReadReport()
    for name, extent in extents.items():
        report = extent.report
        together.lost_rows += report.lost_rows
        together.torn_tail |= report.torn_tail
        for problem in report.problems:
            file = f"{name}/{problem.file}" if len(extents) > 1 else problem.file
            together.problems.append(msgspec.structs.replace(problem, file=file))
    if not together.lost_rows and re.search(r"\b(frames|sessions)\b", sql, re.IGNORECASE):
        lost = "SELECT count(*) FROM frames WHERE kind = 'lost'"
        ((together.lost_rows,),) = connection.execute(lost).fetchall()
    return together


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0].strip()


def _sentence(error: duckdb.Error) -> str:
    """Return what DuckDB said, and the advice that fits: its own guess, or how to look."""
    said = _first_line(error).rstrip("!.")
    guess = _GUESS.search(str(error))
    advice = f"; did you mean {guess[2]}?" if guess else ""
    join = " " if guess else "; "
    if isinstance(error, duckdb.CatalogException) and "Table" in said:
        advice += f"{join}`show tables` lists the views"
    elif isinstance(error, duckdb.BinderException):
        advice += f"{join}`describe trades` lists the columns of a view"
    return f"expected SQL that DuckDB understands, but it says: {said}{advice}"
