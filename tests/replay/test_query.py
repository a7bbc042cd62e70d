"""Goal: SQL answers exactly what went in, whatever form the capture has on disk.

Method: invented sessions whose truth is known; every view against that truth, against the events
of `Capture.events`, and against itself between a sealed, a journal-only and a mixed capture.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from invented_session import INSTRUMENTS, RENAMED, START, Invented, S, write_capture

from recorder.capture.reader import Capture
from recorder.capture.snapshot import Snapshot
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import ExitCode, NotACapture, UsageError
from recorder.event import VIEW_NAMES
from recorder.frame import LABELS
from replay.sql import connect, query, refresh
from replay.views import VIEWS


@pytest.fixture(scope="module")
def session() -> Invented:
    return Invented(1_500)


@pytest.fixture(scope="module")
def sealed(session: Invented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "sealed"
    write_capture(path, session.frames, segment_seconds=7)
    assert len(Capture(path).snapshot().sealed) > 2
    return path


@pytest.fixture(scope="module")
def connection(sealed: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    opened = connect(sealed)
    yield opened
    opened.close()


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def test_frames_are_what_was_written(
    connection: duckdb.DuckDBPyConnection, session: Invented
) -> None:
    assert rows(
        connection,
        "SELECT seq, ts_recv, ts_mono, connection, kind, payload FROM frames ORDER BY seq",
    ) == [
        (f.seq, f.ts_recv, f.ts_mono, f.connection, LABELS[f.kind], f.payload)
        for f in session.frames
    ]
    assert rows(
        connection,
        "SELECT count(*) FROM frames WHERE epoch_ns(recv_time) <> ts_recv "
        "OR strftime(recv_time, '%Y-%m-%d') <> CAST(date AS VARCHAR)",
    ) == [(0,)]


def test_trades_and_quotes_are_the_truth(
    connection: duckdb.DuckDBPyConnection, session: Invented
) -> None:
    names = "seq, index, ts_recv, instrument, trade_id, price, size, side"
    assert rows(connection, f"SELECT {names} FROM trades ORDER BY seq, index") == [
        tuple(trade.values()) for trade in session.truth.trades
    ]
    assert rows(connection, "SELECT seq, instrument, bid_price FROM quotes ORDER BY seq") == [
        tuple(quote.values()) for quote in session.truth.quotes
    ]


def test_aggregates_equal_plain_python(
    connection: duckdb.DuckDBPyConnection, session: Invented
) -> None:
    expected: dict[tuple[str, str], list[float]] = {}
    for trade in session.truth.trades:
        total = expected.setdefault((trade["instrument"], trade["side"]), [0, 0.0])
        total[0] += 1
        total[1] += trade["size"]
    assert rows(
        connection,
        "SELECT instrument, side, count(*), sum(size) FROM trades GROUP BY ALL ORDER BY ALL",
    ) == [(*key, count, size) for key, (count, size) in sorted(expected.items())]


def test_bbo_is_the_best_after_every_update(
    connection: duckdb.DuckDBPyConnection, session: Invented
) -> None:
    assert (
        rows(connection, "SELECT seq, instrument, bid_price, ask_price FROM bbo ORDER BY seq")
        == session.truth.bests
    )
    assert rows(
        connection,
        "SELECT count(*) FROM bbo WHERE is_whole = (bid_price IS NULL AND ask_price IS NULL)",
    ) == [(0,)]


def test_book_levels_and_updates(connection: duckdb.DuckDBPyConnection, session: Invented) -> None:
    assert rows(connection, "SELECT count(*) FROM book_levels") == [(session.truth.levels,)]
    assert rows(connection, "SELECT count(*) FROM book_updates") == [(session.truth.updates,)]
    unnested = """
        SELECT seq, 'bid' AS side, unnest(bids, recursive := true) FROM book_updates
        UNION ALL SELECT seq, 'ask', unnest(asks, recursive := true) FROM book_updates
    """
    flat = "SELECT seq, side, price, size, orders FROM book_levels"
    assert rows(connection, f"({flat}) EXCEPT ALL ({unnested})") == []
    assert rows(connection, f"({unnested}) EXCEPT ALL ({flat})") == []
    assert rows(
        connection,
        "SELECT count(*) FROM (SELECT level, lag(level) OVER (PARTITION BY seq, side "
        "ORDER BY level) AS below FROM book_levels) WHERE level <> coalesce(below + 1, 0)",
    ) == [(0,)]


def test_ledger_names_every_fault(connection: duckdb.DuckDBPyConnection, session: Invented) -> None:
    truth = session.truth

    def of(kind: str) -> list[int]:
        found = rows(connection, f"SELECT seq FROM ledger WHERE type = '{kind}' ORDER BY seq")
        return [seq for (seq,) in found]

    assert of("SequenceGap") == [seq for seq, _ in truth.gaps]
    assert of("BookReset") == [seq for seq, _ in truth.resets]
    assert of("Lost") == truth.lost
    assert of("RunStarted") == truth.runs
    assert of("ClockStep") == []  # samples are no steps
    assert (
        rows(
            connection,
            "SELECT seq, connection, duration FROM ledger WHERE type = 'Disconnected' ORDER BY 1",
        )
        == truth.disconnects
    )
    assert rows(connection, "SELECT DISTINCT count, cause FROM ledger WHERE type = 'Lost'") == [
        (3, "queue full")
    ]
    ends = rows(connection, "SELECT DISTINCT cause FROM ledger WHERE type = 'Disconnected'")
    assert ends == [("network (1006)",)]  # the frame gives no reason
    detail = rows(connection, "SELECT detail FROM ledger WHERE type = 'SequenceGap' LIMIT 1")
    assert set(json.loads(detail[0][0])) == {"expected_seq_id", "prev_seq_id", "seq_id"}


def test_sessions_and_instruments(connection: duckdb.DuckDBPyConnection, session: Invented) -> None:
    found = rows(
        connection, "SELECT connection, opened, closed, duration FROM sessions ORDER BY connection"
    )
    opened = [row for row in found if row[1] is not None]
    assert [(row[0], row[3]) for row in opened] == [
        (number, duration) for _, number, duration in session.truth.disconnects
    ]
    counts: dict[int, int] = {}
    for frame in session.frames:
        counts[frame.connection] = counts.get(frame.connection, 0) + 1
    assert all(
        counts[number] == frames
        for number, frames in rows(connection, "SELECT connection, frames FROM sessions")
    )
    assert [
        row[0] for row in rows(connection, "SELECT instrument FROM instruments ORDER BY 1")
    ] == sorted(INSTRUMENTS)


def test_every_view_is_the_events_of_its_type(
    connection: duckdb.DuckDBPyConnection, sealed: Path
) -> None:
    seen: dict[str, list[tuple[int, int]]] = {name: [] for name in VIEW_NAMES.values()}
    for event in Capture(sealed).events():
        seen[VIEW_NAMES[type(event)]].append((event.seq, event.index))
    for name, expected in seen.items():
        assert rows(connection, f"SELECT seq, index FROM {name} ORDER BY ALL") == expected, name
    assert sum(map(len, seen.values())) == Capture(sealed).info().events


PREDICATES = (
    "instrument = 'BTC-USDT'",
    f"instrument = '{RENAMED}'",
    "instrument IN ('BTC-USDT', 'XRP-USDT')",
    "instrument = 'nobody''s \"x\" and (y)'",
    "instrument <> 'BTC-USDT'",
    "instrument IS NULL",
    "seq BETWEEN 700 AND 1300",
    "seq < 50 OR (seq > 2000 AND seq <= 2100)",
    f"ts_recv >= {START + 20 * S} AND ts_recv < {START + 30 * S}",
    f"instrument = 'ETH-USDT-SWAP' AND seq > 1000 AND ts_recv > {START}",
    "seq = 1000000",
    "(instrument = 'BTC-USDT' AND seq < 900) OR (instrument = 'XRP-USDT' AND seq > 1900)",
    "NOT (seq < 1500)",
)


@pytest.mark.parametrize(
    "view", ["trades", "book_updates", "bbo", "candles", "sequence_gaps", "data", "ledger"]
)
def test_a_filter_never_changes_what_a_view_holds(
    connection: duckdb.DuckDBPyConnection, view: str
) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE whole AS SELECT * FROM {view}")
    for predicate in PREDICATES:
        picked = rows(connection, f"SELECT * FROM {view} WHERE {predicate} ORDER BY seq, index")
        expected = rows(connection, f"SELECT * FROM whole WHERE {predicate} ORDER BY seq, index")
        assert picked == expected, predicate
        projected = f"SELECT index FROM {view} WHERE {predicate} ORDER BY ALL"
        assert rows(connection, projected) == sorted((row[1],) for row in expected), predicate


def test_ledger_by_type_and_frames_by_kind(
    connection: duckdb.DuckDBPyConnection, session: Invented
) -> None:
    assert rows(connection, "SELECT count(*) FROM ledger WHERE type IN ('Lost', 'Nothing')") == [
        (len(session.truth.lost),)
    ]
    kinds = {"lost": "Lost", "run": "RunStarted"}
    for kind, name in kinds.items():
        assert rows(connection, f"SELECT seq FROM frames WHERE kind = '{kind}' ORDER BY 1") == rows(
            connection, f"SELECT seq FROM ledger WHERE type = '{name}' ORDER BY 1"
        )


def test_all_forms_of_a_capture_answer_alike(
    session: Invented, connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    views = [*VIEWS, "frames", "sessions", "instruments"]
    expected = {view: rows(connection, f"SELECT * FROM {view} ORDER BY ALL") for view in views}
    half = len(session.frames) // 2
    write_capture(tmp_path / "mixed", session.frames[:half], segment_seconds=4)
    mixed = CaptureWriter(tmp_path / "mixed", append=True)
    journal = CaptureWriter(tmp_path / "journal")
    try:
        mixed.write(session.frames[half:])
        journal.write(session.frames)
        for writer in (mixed, journal):
            writer.flush(timeout=60)
        for form in ("mixed", "journal"):
            snapshot = Capture(tmp_path / form).snapshot()
            assert snapshot.journals
            # The session's other boots end segments in both.
            assert (len(snapshot.sealed) > 2) == (form == "mixed")
            other = connect(tmp_path / form)
            for view in views:
                found = rows(other, f"SELECT * FROM {view} ORDER BY ALL")
                assert found == expected[view], (form, view)
            some = (
                "SELECT count(*), min(seq), max(seq) FROM frames WHERE channel = 'trades' "
                "AND instrument = 'BTC-USDT' AND kind = 'text' AND seq > 100"
            )
            assert rows(other, some) == rows(connection, some)
            other.close()
    finally:
        mixed.close()
        journal.close()


def test_joins_scan_several_views_at_once(connection: duckdb.DuckDBPyConnection) -> None:
    (counted,) = rows(
        connection,
        """
        SELECT count(*), count(b.bid_price) FROM trades t
        ASOF JOIN (SELECT * FROM bbo WHERE channel = 'books') b
        ON t.instrument = b.instrument AND t.seq >= b.seq
        """,
    )
    (trades,) = rows(connection, f"SELECT count(*) FROM trades WHERE instrument <> '{RENAMED}'")
    assert counted[0] == trades[0]
    assert 0 < counted[1] <= counted[0]


def test_views_and_columns_are_documented(connection: duckdb.DuckDBPyConnection) -> None:
    views = dict(
        rows(connection, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal")
    )
    missing = {
        name for name in [*VIEWS, "frames", "sessions", "instruments"] if not views.get(name)
    }
    assert not missing
    columns = rows(
        connection,
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal",
    )
    said = {(table, column): comment for table, column, comment in columns}
    assert said["trades", "price"] == "in quote currency"
    assert "ns since the Unix epoch" in said["book_levels", "ts_recv"]
    undescribed = [key for key, comment in said.items() if not comment and key[0] in views]
    assert undescribed == []


def test_a_connection_sees_one_snapshot_until_refreshed(session: Invented, tmp_path: Path) -> None:
    frames = session.frames
    with CaptureWriter(tmp_path / "live") as writer:
        writer.write(frames[:500])
        writer.flush(timeout=60)
        connection = connect(tmp_path / "live")
        before = rows(connection, "SELECT count(*), max(seq) FROM frames")
        trades = rows(connection, "SELECT count(*) FROM trades")
        writer.write(frames[500:])
        writer.flush(timeout=60)
        assert rows(connection, "SELECT count(*), max(seq) FROM frames") == before == [(500, 499)]
        assert rows(connection, "SELECT count(*) FROM trades") == trades
        refresh(connection)
        assert rows(connection, "SELECT count(*) FROM frames") == [(len(frames),)]
        assert rows(connection, "SELECT count(*) FROM trades") > trades
        connection.close()


def test_a_cursor_gets_the_views_by_refresh(connection: duckdb.DuckDBPyConnection) -> None:
    cursor = connection.cursor()
    with pytest.raises(duckdb.CatalogException):
        cursor.execute("SELECT count(*) FROM trades")
    refresh(cursor)
    assert rows(cursor, "SELECT count(*) FROM trades") == rows(
        connection, "SELECT count(*) FROM trades"
    )
    cursor.close()


def test_queries_on_a_live_capture_never_err(session: Invented, tmp_path: Path) -> None:
    """Segments roll, seal and leave the journal while one query after the other runs."""
    path = tmp_path / "live"
    failures: list[BaseException] = []
    first_written, done = threading.Event(), threading.Event()

    def write() -> None:
        try:
            options = WriterOptions(segment_seconds=2)
            with CaptureWriter(path, options=options) as writer:
                for at in range(0, len(session.frames), 100):
                    writer.write(session.frames[at : at + 100])
                    writer.flush(timeout=60)
                    first_written.set()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)
        finally:
            first_written.set()
            done.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert first_written.wait(60)
    counts: list[int] = []
    sql = "SELECT (SELECT count(*) FROM frames) AS frames, (SELECT count(*) FROM trades) AS trades"
    last = False
    while not last:
        last = done.is_set()
        output = io.BytesIO()
        query(path, sql, format="json", output=output)
        (row,) = json.loads(output.getvalue())
        counts.append(row["frames"])
        expected = sum(1 for trade in session.truth.trades if trade["seq"] < row["frames"])
        assert row["trades"] == expected
    thread.join(60)
    assert not failures
    assert counts == sorted(counts)
    assert counts[-1] == len(session.frames)


class StaleOnce(Capture):
    """A capture whose first snapshot is an old one, as when a compaction comes in between."""

    stale: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        stale, self.stale = self.stale, None
        return super().snapshot() if stale is None else stale


def test_a_segment_gone_since_the_snapshot_means_a_new_snapshot(
    session: Invented, tmp_path: Path
) -> None:
    path = write_capture(tmp_path / "c", session.frames, segment_seconds=7)
    capture = StaleOnce(path)
    capture.stale = capture.snapshot()
    moved = path / capture.stale.sealed[1].path
    moved.rename(moved.with_name(moved.name[:-24] + "f" * 16 + ".parquet"))
    output = io.BytesIO()
    report = query(capture, "SELECT count(*) AS n FROM frames", format="json", output=output)
    assert json.loads(output.getvalue()) == [{"n": len(session.frames)}]
    assert report.rows == 1


def test_a_damaged_segment_is_passed_over_and_said(session: Invented, tmp_path: Path) -> None:
    path = write_capture(tmp_path / "c", session.frames, segment_seconds=7)
    source = Capture(path).snapshot().sealed[1]
    file = path / source.path
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    missing = source.last_seq - source.first_seq + 1
    for sql in ("SELECT count(*) AS n FROM frames", "SELECT count(*) AS n FROM trades"):
        output = io.BytesIO()
        report = query(path, sql, format="json", output=output)
        assert report.exit_code is ExitCode.FAILED
        assert [problem.file for problem in report.problems] == [source.path]
        (row,) = json.loads(output.getvalue())
        if "frames" in sql:
            assert row["n"] == len(session.frames) - missing


@pytest.mark.parametrize("kept", [0, 2_000])  # bytes: nothing, or half a file without a footer
def test_a_damaged_last_segment_is_said_too(session: Invented, tmp_path: Path, kept: int) -> None:
    path = write_capture(tmp_path / "c", session.frames, segment_seconds=7)
    source = Capture(path).snapshot().sealed[-1]
    file = path / source.path
    file.write_bytes(file.read_bytes()[:kept])
    for sql in ("SELECT count(*) AS n FROM frames", "SELECT count(*) AS n FROM trades"):
        output = io.BytesIO()
        report = query(path, sql, format="json", output=output)
        assert report.exit_code is ExitCode.FAILED
        assert [problem.file for problem in report.problems] == [source.path]
        (row,) = json.loads(output.getvalue())
        if "frames" in sql:
            assert row["n"] == source.first_seq


@pytest.mark.parametrize("gone", [1, -1])
def test_a_missing_segment_is_said(session: Invented, tmp_path: Path, gone: int) -> None:
    path = write_capture(tmp_path / "c", session.frames, segment_seconds=7)
    source = Capture(path).snapshot().sealed[gone]
    (path / source.path).unlink()
    for sql in ("SELECT count(*) AS n FROM frames", "SELECT count(*) AS n FROM trades"):
        output = io.BytesIO()
        report = query(path, sql, format="json", output=output)
        assert report.exit_code is ExitCode.FAILED
        (problem,) = report.problems
        assert problem.first_seq == source.first_seq
        (row,) = json.loads(output.getvalue())
        if "frames" in sql:
            assert row["n"] == len(session.frames) - (source.last_seq - source.first_seq + 1)


def test_a_torn_tail_is_said(session: Invented, tmp_path: Path) -> None:
    path = tmp_path / "of the dead"
    with CaptureWriter(tmp_path / "c") as writer:
        writer.write(session.frames)
        writer.flush(timeout=60)
        shutil.copytree(tmp_path / "c", path)
    journal = max((path / "journal").iterdir())
    whole = query(path, "SELECT 1", output=io.BytesIO())
    assert (whole.exit_code, whole.torn_tail) == (ExitCode.DONE, False)
    journal.write_bytes(journal.read_bytes()[:-7])
    for sql in ("SELECT 1", "SELECT count(*) FROM trades"):
        torn = query(path, sql, output=io.BytesIO())
        assert (torn.exit_code, torn.torn_tail, torn.problems) == (ExitCode.LOSS, True, [])


@pytest.mark.parametrize("value", ["INTERVAL 3 HOURS", "union_value(a := 1)"])
def test_what_parquet_cannot_hold_is_told(sealed: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"columns that Parquet can hold.*cast the column"):
        query(sealed, f"SELECT {value} AS x", format="parquet", output=io.BytesIO())


def test_a_window_of_time_reads_only_segments_that_hold_it(
    session: Invented, tmp_path: Path
) -> None:
    path = write_capture(tmp_path / "c", session.frames, segment_bytes=60_000)
    sealed = Capture(path).snapshot().sealed
    assert len(sealed) > 4
    for source in (sealed[0], sealed[-1]):  # neither is needed for what lies between
        file = path / source.path
        data = bytearray(file.read_bytes())
        data[100 : len(data) // 2] = bytes(len(data) // 2 - 100)  # pages; the footer stays
        file.write_bytes(data)
    chosen = [f for f in session.frames if sealed[2].first_seq <= f.seq <= sealed[2].last_seq]
    start, end = chosen[0].ts_recv, chosen[-1].ts_recv
    sql = f"SELECT seq FROM trades WHERE ts_recv >= {start} AND ts_recv < {end} ORDER BY seq"
    output = io.BytesIO()
    report = query(path, sql, format="json", output=output)
    assert report.problems == []
    everything = query(path, "SELECT count(*) FROM trades", output=io.BytesIO())
    assert len(everything.problems) == 2
    assert [row["seq"] for row in json.loads(output.getvalue())] == [
        trade["seq"] for trade in session.truth.trades if start <= trade["ts_recv"] < end
    ]


def test_a_clock_that_stepped_back_hides_no_row(session: Invented, tmp_path: Path) -> None:
    steps = [
        msgspec.structs.replace(frame, ts_recv=frame.ts_recv - (frame.seq // 700) * 9 * S)
        for frame in session.frames
    ]
    path = write_capture(tmp_path / "c", steps, segment_bytes=60_000)
    connection = connect(path)
    for view in ("trades", "bbo", "ledger"):
        connection.execute(f"CREATE TEMP TABLE all_of_{view} AS SELECT * FROM {view}")
        for low in range(-20, 40, 6):
            where = f"WHERE ts_recv >= {START + low * S} AND ts_recv < {START + (low + 5) * S}"
            found = rows(connection, f"SELECT * FROM {view} {where} ORDER BY seq, index")
            expected = f"SELECT * FROM all_of_{view} {where} ORDER BY seq, index"
            assert found == rows(connection, expected)
    connection.close()


def test_declared_loss_is_exit_code_3(sealed: Path) -> None:
    for view in ("frames", "trades", "ledger"):
        report = query(sealed, f"SELECT count(*) FROM {view}", output=io.BytesIO())
        assert report.exit_code is ExitCode.LOSS


def test_bad_sql_is_one_sentence_with_a_hint(sealed: Path) -> None:
    for sql, hint in (
        ("SELEC 1", 'at or near "SELEC"'),
        ("SELECT * FROM trade", 'did you mean "trades"? `show tables` lists the views'),
        ("SELECT * FROM zzz", "`show tables` lists the views"),
        ("SELECT prise FROM trades", 'did you mean "price"'),
        ("SELECT nothing FROM trades", "`describe trades` lists the columns"),
    ):
        with pytest.raises(UsageError) as caught:
            query(sealed, sql, output=io.BytesIO())
        said = str(caught.value)
        assert "\n" not in said
        assert "Error" in said
        assert hint in said
        assert ("show tables" in said) == ("Table" in said)  # only where a view's name was wrong
    with pytest.raises(UsageError, match="format"):
        query(sealed, "SELECT 1", format="xml")
    with pytest.raises(NotACapture):
        connect(sealed / "frames")


def test_an_empty_capture_has_every_view(tmp_path: Path) -> None:
    CaptureWriter(tmp_path / "empty").close()
    connection = connect(tmp_path / "empty")
    for view in [*VIEWS, "frames", "sessions", "instruments"]:
        assert rows(connection, f"SELECT count(*) FROM {view}") == [(0,)]
    connection.close()


def test_nothing_is_downloaded_and_times_are_utc(connection: duckdb.DuckDBPyConnection) -> None:
    settings = dict(
        rows(
            connection,
            "SELECT name, value FROM duckdb_settings() WHERE name IN "
            "('autoinstall_known_extensions', 'autoload_known_extensions', 'TimeZone')",
        )
    )
    assert settings["autoinstall_known_extensions"] == "false"
    assert settings["autoload_known_extensions"] == "false"
    assert settings["TimeZone"] == "UTC"


def test_the_sql_of_the_docs_runs(connection: duckdb.DuckDBPyConnection, repository: Path) -> None:
    page = (repository / "docs" / "sql.md").read_text()
    statements = [
        statement
        for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
        for statement in block.split(";")
        if statement.strip()
    ]
    assert len(statements) >= 3  # those of the cookbook run in tests/test_cookbook.py
    for statement in statements:
        connection.execute(statement).fetchall()
    named = set(re.findall(r"`([a-z_]+)`", page.partition("## Views")[2].partition("## What")[0]))
    assert {*VIEWS, "frames", "sessions", "instruments", "journal_frames", "capture"} <= named


def test_real_sessions_answer_as_counted_by_hand(real_traffic: Path, tmp_path: Path) -> None:
    from recorder.capture.reshape.importer import import_sessions

    # The newest of them; the player's tests play all.
    for number, source in enumerate(sorted((real_traffic / "sessions").glob("*.jsonl"))[-1:]):
        payloads = [json.loads(line)["payload"] for line in source.read_text().splitlines()]
        pushes = [text for text in payloads if '"data":[' in text]
        books = [text for text in pushes if '"channel":"books' in text]
        trades = sum(text.count('"tradeId"') for text in pushes)
        out = tmp_path / str(number)
        import_sessions([source], out)
        connection = connect(out)
        assert rows(connection, "SELECT count(*) FROM frames") == [(len(payloads),)]
        assert rows(connection, "SELECT count(*) FROM trades") == [(trades,)]
        assert rows(connection, "SELECT count(*) FROM book_updates") == [(len(books),)]
        assert rows(connection, "SELECT count(*) FROM bbo WHERE is_whole") == [(len(books),)]
        assert rows(connection, "SELECT count(*) FROM checksum_mismatches") == [(0,)]
        assert rows(connection, "SELECT count(*) FROM unrecognized") == [(0,)]
        connection.close()
