"""Goal: several captures, and captures in an object store, answer as each does alone.

Method: the datasets, asked one by one, as a folder, a list, a glob and from a real S3-compatible
server; what the server gave is counted there.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from recorder.capture.reader import Capture
from recorder.errors import Damage, ExitCode, NotACapture, UsageError
from replay import connect, query, refresh, to_arrow
from replay.asked import Asked, distinct_names
from replay.cli.query import query_command
from replay.macros import MACROS
from tests.object_store import BUCKET, Store, object_store

DATASETS = Path(__file__).parents[2] / "datasets"
CALM, STRESS = DATASETS / "btc-calm", DATASETS / "eth-stress"
VIEWS = ("trades", "bbo", "ledger", "frames", "sessions", "instruments", "sequence_gaps")
CALLS = (
    "ohlcv(interval 1 minute)",
    "quoted_trades()",
    "latency()",
    "book_gaps()",
    "coverage()",
    "gaps()",
    "book_at('BTC-USDT', ns('2026-11-02 08:01:30Z'))",
)


@pytest.fixture(scope="module")
def both() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect([CALM, STRESS]) as connection:
        yield connection


@pytest.fixture(scope="module")
def alone() -> Iterator[dict[str, duckdb.DuckDBPyConnection]]:
    connections = {path.name: connect(path) for path in (CALM, STRESS)}
    yield connections
    for connection in connections.values():
        connection.close()


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


@pytest.mark.parametrize("relation", [*VIEWS, *CALLS])
def test_each_row_is_of_one_capture(
    both: duckdb.DuckDBPyConnection, alone: dict[str, Any], relation: str
) -> None:
    expected = [
        (name, *row) for name, one in alone.items() for row in rows(one, f"FROM {relation}")
    ]
    found = rows(both, f"FROM {relation}")
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    assert rows(both, f"SELECT * FROM {relation} LIMIT 0") == []
    of_one = rows(both, f"SELECT * EXCLUDE (capture) FROM {relation} WHERE capture = 'eth-stress'")
    only = [row[1:] for row in expected if row[0] == "eth-stress"]
    assert sorted(map(repr, of_one)) == sorted(map(repr, only))


def test_every_macro_is_tried() -> None:
    tried = {call.partition("(")[0] for call in CALLS}
    assert tried == {macro.name for macro in MACROS if macro.is_table}


def test_a_capture_not_asked_for_is_not_read(tmp_path: Path) -> None:
    shutil.copytree(CALM, tmp_path / "calm")
    shutil.copytree(STRESS, tmp_path / "broken")
    (sealed,) = Capture(tmp_path / "broken").snapshot().sealed
    file = tmp_path / "broken" / sealed.path
    data = bytearray(file.read_bytes())
    data[1000 : len(data) // 2] = bytes(len(data) // 2 - 1000)
    file.write_bytes(data)
    one = query(
        tmp_path,
        "SELECT count(*) FROM trades WHERE capture = 'calm'",
        output=io.BytesIO(),
    )
    assert one.problems == []
    all_of_them = query(tmp_path, "SELECT count(*) FROM trades", output=io.BytesIO())
    (problem,) = all_of_them.problems
    assert problem.file == f"broken/{sealed.path}"
    assert all_of_them.exit_code is ExitCode.FAILED
    with pytest.raises(Damage, match=r"report=ReadReport\(\)"):
        to_arrow(tmp_path, "trades")


def test_how_captures_are_named(tmp_path: Path) -> None:
    for place in ("a/btc", "b/btc", "b/eth"):
        shutil.copytree(CALM, tmp_path / place)
    (tmp_path / "b" / "notes").mkdir()
    assert list(Asked(tmp_path / "b").captures) == ["btc", "eth"]
    assert list(Asked(str(tmp_path / "*" / "b*")).captures) == ["a/btc", "b/btc"]
    assert list(Asked([tmp_path / "b", str(tmp_path / "a/btc")]).captures) == [
        "b/btc",
        "b/eth",
        "a/btc",
    ]
    assert list(Asked([tmp_path / "b/eth", tmp_path / "b"]).captures) == ["eth", "btc"]
    assert not Asked(tmp_path / "a" / "btc").is_several
    assert Asked([tmp_path / "a" / "btc"]).is_several
    assert distinct_names(["/x/a", "/y/a", "/y/b"]) == ["x/a", "y/a", "y/b"]
    for nothing in (tmp_path / "c", tmp_path / "b" / "notes", str(tmp_path / "z*"), []):
        with pytest.raises(NotACapture):
            Asked(nothing)


def test_refresh_looks_at_a_folder_again(tmp_path: Path) -> None:
    shutil.copytree(CALM, tmp_path / "one")
    with connect(tmp_path) as db:
        cursor = db.cursor()
        assert rows(db, "SELECT capture FROM capture") == [("one",)]
        shutil.copytree(CALM, tmp_path / "two")
        assert rows(db, "SELECT DISTINCT capture FROM trades") == [("one",)]
        for connection in (db, cursor):
            refresh(connection)
            assert rows(connection, "SELECT DISTINCT capture FROM trades ORDER BY 1") == [
                ("one",),
                ("two",),
            ]


def test_the_command_takes_several(tmp_path: Path) -> None:
    sql = "select capture, count(*) as n from trades group by all order by all"
    expected = rows(connect(DATASETS), sql)
    for captures in ([str(DATASETS)], [str(DATASETS / "*-*")], [*map(str, DATASETS.glob("*-*"))]):
        done = CliRunner().invoke(query_command, [*captures, sql, "--format", "csv"])
        assert done.exit_code == 0
        assert [tuple(line.split(",")) for line in done.stdout.split()[1:]] == [
            (name, str(count)) for name, count in expected
        ]
    with pytest.raises(UsageError, match="received 'from trades' alone"):
        CliRunner().invoke(query_command, ["from trades"], catch_exceptions=False)


# --- in an object store ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as running:
        for path in (CALM, STRESS):
            running.put(path, f"captures/{path.name}")
        yield running


@pytest.fixture(scope="module")
def stored(store: Store) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]]:
    """One capture of the store, and the folder of both."""
    with (
        connect(store.address("captures/btc-calm")) as one,
        connect(store.address("captures")) as two,
    ):
        yield one, two


@pytest.mark.parametrize("relation", [*VIEWS, "latency()", "coverage()"])
def test_a_store_answers_like_the_disk(
    stored: tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection],
    alone: dict[str, Any],
    both: duckdb.DuckDBPyConnection,
    relation: str,
) -> None:
    for remote, local in zip(stored, (alone["btc-calm"], both), strict=True):
        assert sorted(map(repr, rows(remote, f"FROM {relation}"))) == sorted(
            map(repr, rows(local, f"FROM {relation}"))
        )


def test_globs_lists_and_refresh_of_a_store(store: Store) -> None:
    assert list(Asked(store.address("captures/*-*")).captures) == ["btc-calm", "eth-stress"]
    assert list(Asked([store.address("captures/btc-calm"), STRESS]).captures) == [
        "btc-calm",
        "eth-stress",
    ]
    with connect([store.address("captures/btc-calm"), STRESS]) as db:
        assert rows(db, "SELECT count(*) FROM frames") == [(3_509 + 11_745,)]
        refresh(db)
        paths = [path for (path,) in rows(db, "SELECT path FROM capture")]
    assert paths == [f"s3://{BUCKET}/captures/btc-calm", str(STRESS)]


def test_only_what_is_asked_for_is_fetched(store: Store) -> None:
    address = store.address("captures/eth-stress")
    (sealed,) = Capture(STRESS).snapshot().sealed
    size = (STRESS / sealed.path).stat().st_size
    given = {}
    for name, sql in {
        "columns": "SELECT channel, count(*) FROM frames GROUP BY ALL",
        "nothing": "SELECT count(*) FROM frames WHERE seq > 1000000",
        "all": "SELECT sum(octet_length(payload)), sum(ts_mono) FROM frames",
    }.items():
        with connect(address) as db:
            before = store.given("eth-stress/frames")
            rows(db, sql)
            given[name] = store.given("eth-stress/frames") - before
    assert given["nothing"] == 0
    assert 0 < given["columns"] < size / 2 < given["all"]


def test_damage_in_a_store_is_reported(store: Store, tmp_path: Path) -> None:
    shutil.copytree(CALM, tmp_path / "c")
    (sealed,) = Capture(CALM).snapshot().sealed
    file = tmp_path / "c" / sealed.path
    data = bytearray(file.read_bytes())
    data[1000 : len(data) // 2] = bytes(len(data) // 2 - 1000)
    file.write_bytes(data)
    address = store.put(tmp_path / "c", "damaged")
    for sql in ("SELECT sum(octet_length(payload)) AS n FROM frames", "SELECT 1 AS n FROM trades"):
        report = query(address, sql, format="json", output=(output := io.BytesIO()))
        assert report.exit_code is ExitCode.FAILED
        assert [problem.file for problem in report.problems] == [sealed.path]
        json.loads(output.getvalue())
