"""Results as data frames: `to_arrow`, `to_polars`, `to_df` (pandas), each in one call.

Responsible for handing a result over without losing a digit: nanoseconds stay integers also where
a column has NULLs, which pandas by itself would make floats. Refuses to import pandas or polars
before somebody asks for one of their frames.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recorder.capture.reader import ReadReport
from recorder.errors import Damage, UsageError
from replay.asked import Question
from replay.sql import answer

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]
    import polars

_NAME = re.compile(r"\s*[A-Za-z_]\w*\s*")


def to_arrow(captures: Question, sql: str, *, report: ReadReport | None = None) -> pa.Table:
    """Return the result of a query as an Arrow table.

    Args:
        captures: as for `connect`.
        sql: a query, or just the name of a view.
        report: collects losses and damage; damaged parts are then passed over.

    Raises:
        UsageError: DuckDB does not understand the query, or it has no result.
        NotACapture: there is none at this path. StoreFailed: a store did not answer, or refused.
        Damage: something could not be read, and there is no `report`.
    """
    if _NAME.fullmatch(sql):
        sql = f"FROM {sql}"

    def ask(connection: Any) -> pa.Table:
        relation = connection.sql(sql)
        if relation is None:
            raise UsageError(f"expected a query, received a statement without a result: {sql}")
        table: pa.Table = relation.to_arrow_table()
        return table

    table, met = answer(captures, sql, ask)
    if report is not None:
        report.lost_rows += met.lost_rows
        report.torn_tail |= met.torn_tail
        report.problems += [problem for problem in met.problems if problem not in report.problems]
    elif met.problems:
        first = met.problems[0]
        raise Damage(
            f"expected a whole capture, but {first.file} could not be read: {first.cause}; run "
            f"`recorder verify` for the extent, or pass report=ReadReport() to go without it",
            file=first.file,
            cause=first.cause,
            segment=first.segment,
            first_seq=first.first_seq,
            last_seq=first.last_seq,
        )
    return table


def to_polars(
    captures: Question, sql: str, *, report: ReadReport | None = None
) -> polars.DataFrame:
    """Return the result of a query as a polars frame; arguments and errors as `to_arrow`.

    Raises:
        UsageError: polars is not installed.
    """
    library = _installed("polars")
    frame: polars.DataFrame = library.from_arrow(to_arrow(captures, sql, report=report))
    return frame


def to_df(captures: Question, sql: str, *, report: ReadReport | None = None) -> pandas.DataFrame:
    """Return the result of a query as a pandas frame; arguments and errors as `to_arrow`.

    Integers stay integers: where a column has NULLs its type is `Int64`.

    Raises:
        UsageError: pandas is not installed.
    """
    library = _installed("pandas")
    table = to_arrow(captures, sql, report=report)
    frame = table.to_pandas()
    for at, column in enumerate(table.columns):
        if column.null_count and pa.types.is_integer(column.type):
            exact = library.array(column.to_pylist(), dtype=_nullable(column.type))
            frame.isetitem(at, exact)
    return frame


def _nullable(kind: pa.DataType) -> str:
    """Return what pandas calls the integers that may be missing, e.g. Int64."""
    return str(kind).replace("uint", "UInt").replace("int", "Int")


def _installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"expected {name} to be installed, but it cannot be imported ({error}); "
            f"pip install 'okx-recorder[frames]', or take to_arrow"
        ) from error
