"""Attach: every view over one snapshot of captures, in a DuckDB connection.

Responsible for what each relation is made of, and for saying what every column means. Refuses to
run a query, and to parse: views of events are scans (`replay.scan`), made while they are read.

Of several captures every relation has one more column, `capture`, in front.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

import duckdb

from recorder.capture.place import Remote
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.hold import hold_snapshot
from recorder.capture.reading.holes import missing_by_name
from recorder.capture.snapshot import SealedSource, SourceGone
from replay.asked import Asked
from replay.coverage_scan import COMMENTS as COVERAGE_COMMENTS
from replay.coverage_scan import CoverageScan
from replay.extent import Extent
from replay.ladder_scan import COMMENTS as LADDER_COMMENTS
from replay.ladder_scan import LadderScan
from replay.ledger_scan import LedgerScan
from replay.links_scan import COMMENTS as LINKS_COMMENTS
from replay.links_scan import LinksScan
from replay.macros import create_macros
from replay.scan import FRAMES, EventScan, FrameScan, Scan
from replay.several import CAPTURE_COMMENT, SeveralScan, StoredFrames
from replay.tables import COMMENTS, View
from replay.views import LEDGER, VIEWS

SEGMENT = re.compile(r"frames/date=[^/]+/[^/\s\"']+\.parquet")
"""How a sealed segment is called in what DuckDB says about it."""

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
    QUALIFY row_number() OVER (PARTITION BY {capture}instrument ORDER BY seq DESC, index DESC) = 1
"""

_SESSIONS = """
    WITH ended AS (
        SELECT {capture}connection, ts_recv, code, reason, "by", duration FROM disconnected
        UNION ALL SELECT {capture}connection, ts_recv, code, reason, "by", NULL FROM connect_failed
    ), counted AS (
        SELECT {capture}connection, count(*) AS frames,
               count(*) FILTER (kind IN ('text', 'binary')) AS received,
               min(seq) AS first_seq, max(seq) AS last_seq
        FROM frames GROUP BY {capture}connection
    )
    SELECT {capture}connection, o.url, o.endpoint, o.link,
           o.ts_recv AS opened, c.ts_recv AS closed, c.code, c.reason, c."by", c.duration,
           f.frames, f.received, f.first_seq, f.last_seq
    FROM connected o FULL JOIN ended c USING ({capture}connection)
    LEFT JOIN counted f USING ({capture}connection)
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

_CAPTURE_COMMENTS = {
    "path": "where it lies",
    "venue": "whose messages it holds",
    "id": "its own, for ever",
    "last_seq": "last frame that this connection sees; -1: none",
}

_questions: WeakValueDictionary[int, Asked] = WeakValueDictionary()
_numbers = count(1)


class Seen(NamedTuple):
    """One capture as a connection sees it.

    Attributes:
        sealed: the segments that are read as Parquet, not as frames.
    """

    extent: Extent
    sealed: list[SealedSource]


def attach(
    connection: duckdb.DuckDBPyConnection,
    asked: Asked,
    *,
    without: Sequence[str] = (),
    lapse_s: float | None = None,
    with_comments: bool = True,
) -> dict[str, Extent]:
    """Put all views over a new snapshot into a connection; return what it sees of each capture.

    Args:
        without: sealed segments that DuckDB shall not open itself.
        lapse_s: how long files are held after the beginning of the last query; None: until the next
            snapshot.
        with_comments: say what every column means: a thousand statements, two thirds of the time.
    """
    refused = list(without)
    while True:
        try:
            seen = {
                name: _seen(capture, refused, lapse_s) for name, capture in asked.captures.items()
            }
            _Views(connection, seen, asked, with_comments=with_comments).create()
            return {name: one.extent for name, one in seen.items()}
        except SourceGone:
            continue  # sealed while it was listed
        except duckdb.Error as error:
            # A view over Parquet looks at its files when it is made.
            segment = SEGMENT.search(str(error))
            if segment is None or segment.group() in refused:
                raise
            refused.append(segment.group())


def asked_of(connection: duckdb.DuckDBPyConnection) -> Asked:
    """Return the question that a connection, or the one it is a cursor of, was made for."""
    # fetchall: DuckDB 2.0 refuses other work on a connection while a result is unfinished.
    ((number,),) = connection.execute("SELECT asked()").fetchall()
    known = _questions.get(number)
    if known is not None:
        return known.again()
    paths = connection.execute("SELECT path FROM capture").fetchall()
    return Asked(paths[0][0] if len(paths) == 1 else [path for (path,) in paths])


def _seen(capture: Capture, without: Sequence[str], lapse_s: float | None) -> Seen:
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
    return Seen(extent, sealed)


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


class _Views:
    """Makes the relations of one connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        seen: Mapping[str, Seen],
        asked: Asked,
        *,
        with_comments: bool,
    ) -> None:
        self._connection = connection
        self._seen = seen
        self._asked = asked
        self._with_comments = with_comments
        # Relations of several captures have a column more.
        self._first = {"capture": CAPTURE_COMMENT} if asked.is_several else {}

    def create(self) -> None:
        of_frames = {name: _FRAME_COMMENTS[name] for name in FRAMES.names}
        said = "Frames that are not in Parquet yet"
        self._register("journal_frames", lambda one: FrameScan(one.extent), said, of_frames)
        is_stored = any(isinstance(one.extent.root, Remote) for one in self._seen.values())
        if is_stored:
            said = "Frames in the Parquet files of an object store"
            self._register("stored_frames", _stored, said, of_frames)
        self._create(
            "frames", self._frames_sql(is_stored), "Every frame, as recorded", _FRAME_COMMENTS
        )
        for view in VIEWS.values():
            columns = {column.name: column.comment for column in view.columns}
            self._register(view.name, _scan_of(view), view.comment, columns)
        said = "The book of one instrument at one instant"
        self._register("ladders", lambda one: LadderScan(one.extent), said, LADDER_COMMENTS)
        said = "How much of a time each argument was received"
        self._register("covered", lambda one: CoverageScan(one.extent), said, COVERAGE_COMMENTS)
        said = "How each of redundant links fared"
        self._register("links", lambda one: LinksScan(one.extent), said, LINKS_COMMENTS)
        of_instruments = {c.name: c.comment for c in VIEWS["instrument_updates"].columns}
        said = "Latest rules of each instrument"
        self._create("instruments", self._told(_INSTRUMENTS), said, of_instruments)
        self._create("sessions", self._told(_SESSIONS), "One row per connection", _SESSION_COMMENTS)
        self._create_capture()
        create_macros(self._connection, is_several=self._asked.is_several)

    def _register(
        self, name: str, scan: Callable[[Seen], Scan], comment: str, columns: Mapping[str, str]
    ) -> None:
        scans = {capture: scan(one) for capture, one in self._seen.items()}
        relation = SeveralScan(scans) if self._first else next(iter(scans.values()))
        self._connection.register(name, relation)
        self._comment(name, comment, columns)

    def _create(self, name: str, sql: str, comment: str, columns: Mapping[str, str]) -> None:
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")
        self._comment(name, comment, columns)

    def _comment(self, name: str, comment: str, columns: Mapping[str, str]) -> None:
        if not self._with_comments:
            return
        statements = [f"COMMENT ON VIEW {name} IS {_text(comment)}"]
        statements += [
            f'COMMENT ON COLUMN {name}."{column}" IS {_text(text)}'
            for column, text in {**self._first, **columns}.items()
            if text
        ]
        self._connection.execute("; ".join(statements))

    def _told(self, sql: str) -> str:
        return sql.replace("{capture}", "capture, " if self._first else "")

    def _frames_sql(self, is_stored: bool) -> str:  # noqa: FBT001
        head = "capture, " if self._first else ""
        parts = []
        for name, one in self._seen.items():
            root = one.extent.root
            if isinstance(root, Path) and one.sealed:
                files = ", ".join(_text(str(root / source.path)) for source in one.sealed)
                named = f"{_text(name)} AS capture, " if self._first else ""
                parts.append(
                    f"SELECT {named}{_FRAME_COLUMNS} "
                    f"FROM read_parquet([{files}], hive_partitioning = false)"
                )
        if is_stored:
            parts.append(f"SELECT {head}{_FRAME_COLUMNS} FROM stored_frames")
        parts.append(f"SELECT {head}{_FRAME_COLUMNS} FROM journal_frames")
        return (
            f"SELECT *, make_timestamp_ns(ts_recv) AS recv_time, "
            f"CAST(make_timestamp_ns(ts_recv) AS DATE) AS date FROM ({' UNION ALL '.join(parts)})"
        )

    def _create_capture(self) -> None:
        rows = []
        for name, one in self._seen.items():
            header, root = one.extent.capture.header, one.extent.root
            known = (str(root), header.venue, header.id)
            texts = ", ".join(map(_text, (name, *known) if self._first else known))
            rows.append(f"({texts}, {one.extent.last_seq}::BIGINT)")
        names = ", ".join([*self._first, *_CAPTURE_COMMENTS])
        # Not temporary: a cursor, which sees no temporary views, finds its captures here.
        self._connection.execute(
            f"CREATE OR REPLACE VIEW capture AS SELECT * FROM (VALUES {', '.join(rows)}) t({names})"
        )
        self._comment("capture", "What is behind these views, a row each", _CAPTURE_COMMENTS)
        number = next(_numbers)
        self._connection.execute(f"CREATE OR REPLACE MACRO asked() AS {number}")
        _questions[number] = self._asked
        for one in self._seen.values():
            one.extent.asked = self._asked  # known as long as the views are there


def _scan_of(view: View) -> Callable[[Seen], Scan]:
    kind = LedgerScan if view is LEDGER else EventScan
    return lambda one: kind(view, one.extent)


def _stored(one: Seen) -> StoredFrames:
    return StoredFrames(one.extent, one.sealed if isinstance(one.extent.root, Remote) else [])


def _text(value: str) -> str:
    """Return a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"
