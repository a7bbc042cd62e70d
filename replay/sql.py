"""SQL over a capture, finished or still being recorded.

Responsible for a DuckDB connection with every view over one snapshot of a capture (`connect`,
`refresh`), and for running one statement and writing its result (`query`). Refuses to parse
frames: the views of events are made by the one parser and the one interpreter while they are
read (`replay.scan`); and to let DuckDB download anything.

A connection sees the frames up to the snapshot's last one: of sealed segments through DuckDB's
own Parquet reader, from an explicit list of files, and of journals as a stream. Neither compaction
nor retention deletes a file that it sees, until no query has begun for ten minutes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence

import duckdb
import msgspec

from recorder.capture.reader import Capture, Problem, ReadReport
from recorder.capture.reading.hold import LAPSE_S, hold_snapshot
from recorder.capture.reading.holes import missing_by_name
from recorder.capture.snapshot import SealedSource, SourceGone
from recorder.errors import Damage, ExitCode, UsageError
from replay.extent import Extent
from replay.ladder_scan import COMMENTS as LADDER_COMMENTS
from replay.ladder_scan import LadderScan
from replay.macros import create_macros
from replay.results import FORMATS, Output, Spool, write_result
from replay.scan import FRAMES, EventScan, FrameScan
from replay.tables import COMMENTS
from replay.views import VIEWS

_SEGMENT = re.compile(r"frames/date=[^/]+/[^/\s\"']+\.parquet")

_GUESS = re.compile(r'^(Did you mean|Candidate bindings:) (".*")', re.MULTILINE)

_FRAME_COLUMNS = "seq, ts_recv, ts_mono, connection, kind, channel, instrument, payload"

_FRAME_COMMENTS = {
    "seq": COMMENTS["seq"],
    "ts_recv": COMMENTS["ts_recv"],
    "ts_mono": "monotonic clock read together with ts_recv, ns, arbitrary origin per boot",
    "connection": COMMENTS["connection"],
    "kind": "text, binary, sent, rest, opened, closed, lost, run or clock",
    "channel": "channel of the message's one argument; NULL where it has none or several",
    "instrument": "instrument of the message's one argument; NULL likewise",
    "payload": "exact bytes of the message; decode(payload) gives text",
    "recv_time": "ts_recv as TIMESTAMP_NS, UTC",
    "date": "UTC date of ts_recv",
}

_INSTRUMENTS = """
    SELECT * FROM instrument_updates
    QUALIFY row_number() OVER (PARTITION BY instrument ORDER BY seq DESC, index DESC) = 1
"""

_SESSIONS = """
    SELECT coalesce(o.connection, c.connection) AS connection, o.url, o.endpoint, o.link,
           o.ts_recv AS opened, c.ts_recv AS closed, c.code, c.reason, c."by", c.duration,
           f.frames, f.received, f.first_seq, f.last_seq
    FROM connected o
    FULL JOIN (
        SELECT connection, ts_recv, code, reason, "by", duration FROM disconnected
        UNION ALL SELECT connection, ts_recv, code, reason, "by", NULL FROM connect_failed
    ) c USING (connection)
    LEFT JOIN (
        SELECT connection, count(*) AS frames,
               count(*) FILTER (kind IN ('text', 'binary')) AS received,
               min(seq) AS first_seq, max(seq) AS last_seq
        FROM frames GROUP BY connection
    ) f ON f.connection = coalesce(o.connection, c.connection)
"""

_SESSION_COMMENTS = {
    "connection": COMMENTS["connection"],
    "url": COMMENTS["url"],
    "opened": "ts_recv of the opened row, ns; NULL where the connect failed",
    "endpoint": COMMENTS["endpoint"],
    "closed": "ts_recv of the closed row, ns; NULL while open, or where the recorder died",
    "code": "WebSocket close code",
    "by": "who closed: venue, recorder or network",
    "duration": "how long it was open, ns on the monotonic clock",
    "frames": "rows of every kind",
    "received": "messages received",
    "reason": COMMENTS["reason"],
    "link": COMMENTS["link"],
    "first_seq": "number of its first row",
    "last_seq": "number of its last row",
}


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


def connect(capture: Capture | str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection with all views over one snapshot of a capture.

    It is a plain connection in memory: attach, create and join what you like. Close it when
    done. `refresh(connection)` lets it see what was recorded since; `refresh(cursor)` gives the
    views to a cursor of it.

    Raises:
        NotACapture: there is none at this path.
    """
    if not isinstance(capture, Capture):
        capture = Capture(capture)
    connection = _open()
    _attach(connection, capture, lapse_s=LAPSE_S)
    return connection


def _open() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    # The views count in UTC; a TIMESTAMPTZ must not print in the zone of this machine.
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET parquet_metadata_cache = true")
    return connection


def refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every view show the capture as it is now.

    Args:
        connection: of `connect`, or a cursor of it.
    """
    # fetchall: DuckDB 2.0 refuses other work on a connection while a result is unfinished.
    ((path,),) = connection.execute("SELECT path FROM capture").fetchall()
    _attach(connection, Capture(path), lapse_s=LAPSE_S)


def query(
    capture: Capture | str | os.PathLike[str],
    sql: str,
    *,
    format: str = "table",  # noqa: A002
    output: Output | None = None,
) -> QueryReport:
    """Run one SQL query and write its result to `output` (standard output by default).

    Args:
        format: `table` (for people), `csv`, `json` (one array of objects) or `parquet`.

    Raises:
        UsageError: DuckDB does not understand the query, or no such format.
        NotACapture: there is none at this path.
    """
    if format not in FORMATS:
        raise UsageError(f"expected a format of {', '.join(FORMATS)}, received {format!r}")
    if not isinstance(capture, Capture):
        capture = Capture(capture)
    connection = _open()
    try:
        return _run(connection, capture, sql, format, output or sys.stdout.buffer)
    finally:
        connection.close()


def _run(
    connection: duckdb.DuckDBPyConnection,
    capture: Capture,
    sql: str,
    format: str,  # noqa: A002
    output: Output,
) -> QueryReport:
    """Run a query; where DuckDB could not read a segment, again without handing that one to it.

    A segment that is gone (compacted, removed) is not in the new snapshot. One that is damaged is
    read by the capture's own reader, which serves what is whole of it and reports the rest.
    """
    refused: list[str] = []
    while True:
        extent = _attach(connection, capture, without=refused)
        spool = Spool(output)
        try:
            rows = write_result(connection, sql, format, spool)
            spool.finish()
            break
        except duckdb.Error as error:
            if extent.failures:
                raise extent.failures[0] from error
            segment = _SEGMENT.search(str(error))
            if segment is None:
                raise UsageError(_sentence(error)) from error
            if spool.is_committed or segment.group() in refused:
                raise Damage(
                    f"expected a whole segment in {segment.group()}, but DuckDB says: "
                    f"{_first_line(error)}; run `recorder verify` for the extent",
                    file=segment.group(),
                    cause=_first_line(error),
                ) from error
            refused.append(segment.group())
    report = extent.report
    if not report.lost_rows and re.search(r"\b(frames|sessions)\b", sql, re.IGNORECASE):
        lost = "SELECT count(*) FROM frames WHERE kind = 'lost'"
        ((report.lost_rows,),) = connection.execute(lost).fetchall()
    return QueryReport(rows, report.exit_code, report.problems, report.torn_tail)


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


def _attach(
    connection: duckdb.DuckDBPyConnection,
    capture: Capture,
    *,
    without: Sequence[str] = (),
    lapse_s: float | None = None,
) -> Extent:
    """Put all views over a new snapshot into a connection.

    Args:
        without: sealed segments that DuckDB shall not open itself.
        lapse_s: how long its files are held after the beginning of the last query; None: until
            the next snapshot.
    """
    refused = list(without)
    while True:
        try:
            return _attach_snapshot(connection, capture, refused, lapse_s)
        except SourceGone:
            continue  # sealed while it was listed
        except duckdb.Error as error:
            # A view over Parquet looks at its files when it is made.
            segment = _SEGMENT.search(str(error))
            if segment is None or segment.group() in refused:
                raise
            refused.append(segment.group())


def _attach_snapshot(
    connection: duckdb.DuckDBPyConnection,
    capture: Capture,
    without: Sequence[str],
    lapse_s: float | None,
) -> Extent:
    # DuckDB opens the files by itself, whenever a query needs them: held, they stay.
    snapshot, hold = hold_snapshot(capture, lapse_s=lapse_s)
    capture = capture.pinned(snapshot)
    sealed = [source for source in snapshot.sealed if source.path not in without]
    # A segment that cannot be read still has its numbers: a scan of them says what is missing.
    named = snapshot.sealed[-1].last_seq if snapshot.sealed else -1
    has_more = len(sealed) < len(snapshot.sources)
    tail = ReadReport()
    gaps, last_seq = _between(
        capture, sealed, tail, first_seq=snapshot.first_seq, has_more=has_more, named=named
    )
    extent = Extent(capture, snapshot, last_seq, gaps, hold)
    extent.report.torn_tail = tail.torn_tail  # scans stop before it
    for hole in missing_by_name(snapshot):  # DuckDB reads files and asks for nothing between them
        extent.report.add(hole)
    known = extent.report.problems
    known += [problem for problem in tail.problems if problem not in known]
    connection.register("journal_frames", FrameScan(extent))
    of_frames = {name: _FRAME_COMMENTS[name] for name in FRAMES.names}
    _comment(connection, "journal_frames", "Frames that are not in Parquet yet", of_frames)
    files = [str(snapshot.root / source.path) for source in sealed]
    _create(connection, "frames", _frames_sql(files), "Every frame, as recorded", _FRAME_COMMENTS)
    for view in VIEWS.values():
        connection.register(view.name, EventScan(view, extent))
        columns = {column.name: column.comment for column in view.columns}
        _comment(connection, view.name, view.comment, columns)
    connection.register("ladders", LadderScan(extent))
    _comment(connection, "ladders", "The book of one instrument at one instant", LADDER_COMMENTS)
    of_instruments = {c.name: c.comment for c in VIEWS["instrument_updates"].columns}
    _create(
        connection, "instruments", _INSTRUMENTS, "Latest rules of each instrument", of_instruments
    )
    _create(connection, "sessions", _SESSIONS, "One row per connection", _SESSION_COMMENTS)
    header = capture.header
    # Not temporary: a cursor, which sees no temporary views, finds its capture here.
    connection.execute(
        f"CREATE OR REPLACE VIEW capture AS SELECT {_text(str(capture.path.absolute()))} AS path, "
        f"{_text(header.venue)} AS venue, {_text(header.id)} AS id, "
        f"{last_seq}::BIGINT AS last_seq"
    )
    columns = {"last_seq": "last frame that this connection sees; -1: none"}
    _comment(connection, "capture", "The capture behind these views", columns)
    create_macros(connection)
    return extent


def _between(
    capture: Capture,
    sealed: Sequence[SealedSource],
    tail: ReadReport,
    *,
    first_seq: int,
    has_more: bool,
    named: int,
) -> tuple[list[tuple[int, int]], int]:
    """Return the seq ranges that are not in these segments, and the last seq of the capture.

    Args:
        tail: is told what the end of the capture looks like.
        first_seq: number that the capture begins with.
        named: last number that the name of a segment promises, readable or not; -1: none.
    """
    last_seq = sealed[-1].last_seq if sealed else -1
    if not has_more:
        return [], last_seq
    gaps: list[tuple[int, int]] = []
    expected = first_seq
    for source in sealed:
        if source.first_seq > expected:
            gaps.append((expected, source.first_seq - 1))
        expected = source.last_seq + 1
    for batch in capture.batches(first_seq=expected, report=tail):
        last_seq = batch.seq[-1]
    last_seq = max(last_seq, named)
    if last_seq >= expected:
        gaps.append((expected, last_seq))
    return gaps, last_seq


def _frames_sql(files: Sequence[str]) -> str:
    parts = [f"SELECT {_FRAME_COLUMNS} FROM journal_frames"]
    if files:
        listed = ", ".join(map(_text, files))
        parts.insert(
            0, f"SELECT {_FRAME_COLUMNS} FROM read_parquet([{listed}], hive_partitioning = false)"
        )
    return (
        f"SELECT *, make_timestamp_ns(ts_recv) AS recv_time, "
        f"CAST(make_timestamp_ns(ts_recv) AS DATE) AS date FROM ({' UNION ALL '.join(parts)})"
    )


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    sql: str,
    comment: str,
    columns: Mapping[str, str],
) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")
    _comment(connection, name, comment, columns)


def _comment(
    connection: duckdb.DuckDBPyConnection, name: str, comment: str, columns: Mapping[str, str]
) -> None:
    statements = [f"COMMENT ON VIEW {name} IS {_text(comment)}"]
    statements += [
        f'COMMENT ON COLUMN {name}."{column}" IS {_text(text)}'
        for column, text in columns.items()
        if text
    ]
    connection.execute("; ".join(statements))


def _text(value: str) -> str:
    """Return a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
