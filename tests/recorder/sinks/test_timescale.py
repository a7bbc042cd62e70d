"""Rows in a real PostgreSQL: what they are, each exactly once, whatever the order of the days."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recorder.capture.expiry.retention import GRACE_S, expire
from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND
from recorder.errors import SinkDown, SinkRefused, UsageError
from recorder.frame import Kind
from recorder.sinks import Missed
from recorder.sinks.addresses import sink_of
from recorder.sinks.timescale.schema import MIGRATIONS, prepare
from tests.recorder.sinks.feeding import (
    MS,
    START,
    Fed,
    Recording,
    assert_equal,
    assert_equal_to_views,
    fed,
    frame,
    query,
    trade,
)

ALL = "tables=trades,candles,quotes,book_tops,tickers,funding,account"


def test_every_table_holds_what_the_view_of_its_name_does(datasets: Path, database: str) -> None:
    address = f"timescale:{database}?{ALL}"
    fed(datasets / "every-channel", address)
    fed(datasets / "eth-stress", f"{address}&batch_rows=700")
    many = assert_equal_to_views(database, datasets / "every-channel")
    assert min(many.values()) >= 1
    assert assert_equal(database, datasets / "eth-stress") > 5_000
    (documents,) = query(
        database, "SELECT count(*), count(DISTINCT type), min(document->>'type') "
        "FROM okx.account_events",
    )  # fmt: skip
    assert documents == (224, 12, "AccountUpdate")
    (lag,) = query(database, "SELECT min(recv_time - event_time) FROM okx.trades")
    assert abs(lag[0].total_seconds()) < 60
    assert query(database, "SELECT * FROM okx.rejected") == []


def test_a_second_feed_adds_nothing_and_a_new_table_gets_everything(
    datasets: Path, database: str
) -> None:
    path = datasets / "btc-calm"
    first = fed(path, f"timescale:{database}")
    assert first.counts.records > 1_000
    again = fed(path, f"timescale:{database}")
    assert (again.counts.records, again.counts.batches) == (0, 0)
    later = fed(path, f"timescale:{database}?tables=quotes,trades")
    assert later.counts.records > 500
    assert_equal(database, path)
    (found,) = query(database, "SELECT count(*) FROM okx.quotes")
    assert found == (692,)
    assert query(database, "SELECT DISTINCT seq, index FROM okx.positions") == [
        (again.counts.seq, again.counts.index)
    ]


def test_partitions_are_made_ahead_and_names_are_told(database: str, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    before_midnight = (86_400 - START // NS_PER_SECOND % 86_400) * 1_000
    recording.add([frame(1), frame(2, late=before_midnight)])
    recording.end()
    fed(tmp_path / "c", f"timescale:{database}")
    assert_equal(database, tmp_path / "c")
    partitions = query(
        database,
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'okx.trades'::regclass",
    )
    assert partitions == [(3,)]  # two days, and the one after them
    comment = query(database, "SELECT obj_description('okx.trades'::regclass)")
    assert comment == [("One row per trade push",)]


def test_parts_given_out_of_turn_are_merged_and_the_whole_passes_over_them(
    datasets: Path, database: str
) -> None:
    path = datasets / "btc-calm"
    sink = sink_of(f"timescale:{database}")
    capture = Capture(path)
    events = [event for event in capture.events() if type(event).__name__ == "Trade"]
    for _ in range(2):
        assert sink.open(fed_key(capture)) == [None] * 3
        sink.write(events[100:900], None)
        sink.close()
    assert query(database, "SELECT count(*) FROM okx.trades") == [(800,)]
    fed(path, f"timescale:{database}")
    assert_equal(database, path)


def fed_key(capture: Capture) -> str:
    from recorder.capture.reading.resume import capture_key

    return capture_key(capture)


def test_what_the_database_refuses_is_put_aside_and_nothing_else(
    database: str, tmp_path: Path
) -> None:
    fed_first = Recording(tmp_path / "c")
    fed_first.trades(1, 20)
    feeding = Fed(tmp_path / "c", f"timescale:{database}")
    feeding.until_at(20)
    query(database, "ALTER TABLE okx.trades ADD CONSTRAINT sane CHECK (size < 1000)")
    fed_first.add(
        [
            *(frame(seq) for seq in range(21, 500)),
            frame(500, trade(500, size="5000")),
            frame(501, trade(501, trade_id="a\\u0000b")),  # no text of PostgreSQL
            *(frame(seq) for seq in range(502, 700)),
        ]
    )
    fed_first.end()
    feeding.end()
    assert (feeding.counts.refused, feeding.counts.failures, feeding.words) == (2, 0, [])
    refused = query(database, "SELECT seq, table_name, cause, document FROM okx.rejected")
    assert [row[:2] for row in sorted(refused)] == [(500, "trades"), (501, "trades")]
    by_seq = {row[0]: row for row in refused}
    assert "sane" in by_seq[500][2]
    assert by_seq[500][3]["size"] == 5000.0
    found = query(database, "SELECT seq FROM okx.trades ORDER BY seq")
    assert [seq for (seq,) in found] == [seq for seq in range(1, 700) if seq not in (500, 501)]


def test_a_table_that_takes_nothing_is_a_matter_for_a_person(database: str, datasets: Path) -> None:
    sink = sink_of(f"timescale:{database}")
    capture = Capture(datasets / "btc-calm")
    sink.open("x")
    query(database, "ALTER TABLE okx.trades ADD CONSTRAINT none CHECK (price < 0)")
    trades = [event for event in capture.events() if type(event).__name__ == "Trade"][:150]
    with pytest.raises(SinkRefused, match="refused more than 100 of one batch"):
        sink.write(trades, None)
    sink.close()
    assert query(database, "SELECT count(*) FROM okx.rejected") == [(0,)]


def test_a_schema_of_a_newer_version_is_left_alone(database: str, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 5)
    sink = sink_of(f"timescale:{database}")
    sink.open("x")
    query(database, "UPDATE okx.schema_version SET version = 99")
    with pytest.raises(SinkRefused, match=r"schema okx of version 1 or older, received version 99"):
        sink.open("x")
    feeding = Fed(tmp_path / "c", f"timescale:{database}")
    feeding.until_state("refused")
    assert len(feeding.words) == 1
    recording.trades(6, 50)  # a recording goes on
    recording.end()
    feeding.leave()
    assert [f.seq for f in Capture(tmp_path / "c").frames()] == list(range(51))
    assert query(database, "SELECT count(*) FROM okx.trades") == [(0,)]
    fed(tmp_path / "c", f"timescale:{database}?schema=another")
    assert query(database, "SELECT count(*) FROM another.trades") == [(50,)]


def test_a_schema_of_an_older_version_is_brought_up_to_date_once(database: str) -> None:
    done = []

    def add_column(connection: Any, schema: str, hypertables: bool) -> None:
        done.append(hypertables)
        connection.execute(f"ALTER TABLE {schema}.trades ADD COLUMN remark text".encode())

    with psycopg.connect(database, autocommit=True) as connection:
        prepare(connection, "okx", "auto")
        for _ in range(2):
            prepare(connection, "okx", "auto", migrations=(*MIGRATIONS, add_column))
        assert done == [False]
        with pytest.raises(SinkRefused):
            prepare(connection, "okx", "auto")
    assert query(database, "SELECT version FROM okx.schema_version") == [(2,)]


def test_hypertables_where_the_extension_is_active(database: str, tmp_path: Path) -> None:
    # TimescaleDB itself cannot be had from the system's packages: what it would be told is.
    query(
        database,
        "CREATE TABLE asked (what text); CREATE SCHEMA ts;"
        "CREATE TYPE ts.dimension AS (name text, span text);"
        "CREATE FUNCTION ts.by_range(name, interval) RETURNS ts.dimension LANGUAGE sql AS "
        "$$ SELECT ROW($1::text, $2::text)::ts.dimension $$;"
        "CREATE FUNCTION ts.create_hypertable(t regclass, d ts.dimension, "
        "create_default_indexes boolean) RETURNS void LANGUAGE sql AS "
        "$$ INSERT INTO asked SELECT t || ' ' || (d).name || ' ' || (d).span $$;"
        "SET allow_system_table_mods = on;"
        "INSERT INTO pg_extension SELECT 424242, 'timescaledb', 10, oid, false, '2', NULL, NULL "
        "FROM pg_namespace WHERE nspname = 'ts'",
    )
    recording = Recording(tmp_path / "c")
    recording.trades(1, 5)
    recording.end()
    fed(tmp_path / "c", f"timescale:{database}")
    assert_equal(database, tmp_path / "c")
    asked = [row[0] for row in query(database, "SELECT what FROM asked")]
    assert "okx.trades recv_time 1 day" in asked
    assert "okx.candles recv_time 1 mon" in asked
    assert len(asked) == 8


def test_an_extension_is_never_activated_where_it_is_not_preloaded(database: str) -> None:
    sink = sink_of(f"timescale:{database}?hypertables=create")
    with pytest.raises(SinkRefused, match="does not preload it"):
        sink.open("x")
    sink.close()
    assert query(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'okx'") == [(0,)]


def test_frames_lost_with_the_machine_are_taken_back(database: str, tmp_path: Path) -> None:
    """A power cut takes frames that were read before they were durable; numbers come again."""
    once, then = tmp_path / "once", tmp_path / "then"
    recording = Recording(once)
    recording.trades(1, 60)
    recording.end()
    shutil.copytree(once, then)
    recording = Recording(once, append=True)
    recording.trades(61, 100)
    recording.end()
    address = f"timescale:{database}"
    fed(once, address)
    assert_equal(database, once)
    # What the disk held after the cut: less. Repaired and continued it has other frames there.
    hour = 3_600_000
    recording = Recording(then, append=True)
    recording.add([frame(61, b'{"count":null,"cause":"torn"}', Kind.LOST, late=-1)])
    recording.add([frame(62, b"{}", Kind.RUN, late=hour)])
    recording.add(frame(seq, trade(seq, size="7"), late=hour) for seq in range(63, 90))
    recording.end()
    fed(then, address)
    assert assert_equal(database, then) == 87


def test_frames_that_were_lost_and_not_yet_followed_by_others(
    database: str, tmp_path: Path
) -> None:
    once, then = tmp_path / "once", tmp_path / "then"
    recording = Recording(once)
    recording.trades(1, 60)
    recording.end()
    shutil.copytree(once, then)
    recording = Recording(once, append=True)
    recording.trades(61, 100)
    recording.end()
    fed(once, f"timescale:{database}")
    fed(then, f"timescale:{database}")
    assert assert_equal(database, then) == 60


def test_what_expired_before_it_was_fed_stands_in_the_ledger(database: str, tmp_path: Path) -> None:
    path = tmp_path / "c"
    recording = Recording(path, segment_ns=500 * MS)
    recording.trades(1, 1_400)
    recording.end(seal=True)
    later = START + int(GRACE_S + 86_400) * NS_PER_SECOND
    assert expire(path, days=0.5, now_ns=later)
    first = Capture(path).snapshot().first_seq
    assert first > 500
    feeding = fed(path, f"timescale:{database}")
    assert feeding.counts.missed == first
    ledger = query(
        database,
        "SELECT type, cause, document->>'first_seq', document->>'last_seq' FROM okx.ledger",
    )
    assert ledger == [(Missed.__name__, "expired before it was fed", "0", str(first - 1))]
    assert_equal(database, path)


def test_two_that_write_one_capture_do_not_double_a_row(database: str, datasets: Path) -> None:
    path = datasets / "btc-calm"
    one, two = (Fed(path, f"timescale:{database}?batch_rows=50") for _ in range(2))
    one.end()
    two.end()
    assert_equal(database, path)


def test_a_position_that_another_moved_is_seen(database: str, datasets: Path) -> None:
    sink = sink_of(f"timescale:{database}")
    other = sink_of(f"timescale:{database}")
    records = [e for e in Capture(datasets / "btc-calm").events() if type(e).__name__ == "Trade"]
    from recorder.sinks import Position

    def at(number: int) -> Position:
        return Position(records[number].seq, records[number].index, records[number].ts_recv)

    sink.open("x")
    other.open("x")
    sink.write(records[:10], at(9))
    with pytest.raises(SinkDown, match="expected to be the only one"):
        other.write(records[:20], at(19))
    assert query(database, "SELECT count(*) FROM okx.trades") == [(10,)]
    other.open("x")
    other.write(records[:20], at(19))
    assert query(database, "SELECT count(*) FROM okx.trades") == [(20,)]
    sink.close()
    other.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("tables=trades,book", "expected tables out of trades, candles, quotes"),
        ("tables=", "received none"),
        ("schema=Robert'); DROP", "expected a schema of lower-case letters"),
        ("hypertables=maybe", "hypertables to be one of auto, never, create"),
        ("batch_rows=0", "expected batch_rows of a sink as a whole number of at least 1"),
        ("tabels=trades", "options of this sink are tables"),
        ("tables=trades&tables=quotes", "expected each option of a sink once"),
    ],
)
def test_options_that_cannot_be(options: str, words: str) -> None:
    with pytest.raises(UsageError, match="expected") as raised:
        sink_of(f"timescale:postgresql://me:hush@host/db?{options}")
    assert words in str(raised.value)
    assert "hush" not in str(raised.value)
