"""Goal: `coverage` and `gaps` say what `recorder info --coverage` does; the ledger what expired.

Method: the same windows asked of SQL, of the command, and added up here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from recorder.capture.expiry.retention import expire_oldest
from recorder.capture.reader import Capture
from recorder.cli.inspect import info_command
from replay import connect, to_arrow
from replay.simulation.simulator import simulate

DATASETS = Path(__file__).parents[2] / "datasets"
STRESS = DATASETS / "eth-stress"
WINDOWS = (
    (None, None),
    ("2026-11-02T08:00:30Z", "2026-11-02T08:00:50Z"),
    ("2026-11-02T07:00:00Z", "2026-11-02T08:00:46Z"),
)


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(STRESS) as connection:
        yield connection


def told(window: tuple[str | None, str | None]) -> list[dict[str, Any]]:
    """Return what the command says."""
    options = ["--coverage", "--json"]
    for name, value in zip(("--start", "--end"), window, strict=True):
        options += [] if value is None else [name, value]
    done = CliRunner().invoke(info_command, [str(STRESS), *options])
    return list(json.loads(done.stdout)["coverage"]["arguments"])


@pytest.mark.parametrize("window", WINDOWS)
def test_it_is_what_info_says(
    db: duckdb.DuckDBPyConnection, window: tuple[str | None, str | None]
) -> None:
    expected = told(window)
    arguments = ", ".join("NULL" if time is None else f"ns('{time}')" for time in window)
    columns = "channel, subject, covered_ns, share, holes"
    rows = db.execute(f"SELECT {columns} FROM coverage({arguments})").fetchall()
    assert rows == [
        (one["channel"], one["subject"], one["covered_ns"], one["share"], len(one["holes"]))
        for one in expected
    ]
    assert len(rows) == 18
    gaps = db.execute(
        f"SELECT channel, subject, since, until, cause, ms FROM gaps({arguments})"
    ).fetchall()
    assert gaps == [
        (
            one["channel"],
            one["subject"],
            hole["start"],
            hole["end"],
            hole["cause"],
            (hole["end"] - hole["start"]) / 1e6,
        )
        for one in expected
        for hole in one["holes"]
    ]
    assert gaps


def test_did_i_have_it(db: duckdb.DuckDBPyConnection) -> None:
    during = "ns('2026-11-02 08:00:30Z'), ns('2026-11-02 08:00:50Z')"
    (one,) = db.execute(
        f"FROM coverage({during}, channel := 'books', instrument := 'ETH-USDT')"
    ).fetchall()
    (channel, subject, share, covered, holes, longest) = one
    (gap,) = db.execute(
        f"FROM gaps({during}, channel := 'books', instrument := 'ETH-USDT')"
    ).fetchall()
    assert (channel, subject, holes) == ("books", "ETH-USDT", 1)
    assert longest == gap[4] == (gap[3] - gap[2]) / 1e6
    assert covered == 20_000_000_000 - (gap[3] - gap[2])
    assert share == covered / 20_000_000_000
    assert gap[5] == "disconnected"
    nothing = "FROM coverage(instrument := 'BTC-USDT')"
    assert db.execute(nothing).fetchall() == []
    later = "FROM coverage(ns('2030-01-01 00:00:00Z'), ns('2030-01-02 00:00:00Z'))"
    assert db.execute(later).fetchall() == []
    with pytest.raises(duckdb.Error, match="a start before the end"):
        db.execute("FROM coverage(ns('2026-11-02 08:00:30Z'), 5)").fetchall()


def test_what_expired_stands_in_the_ledger(tmp_path: Path) -> None:
    root = tmp_path / "c"
    simulate(root, seed=5, duration=30.0, segment_seconds=5.0)
    before = to_arrow(root, "select * from ledger order by seq, index").to_pylist()
    assert [row for row in before if row["type"] == "Expired"] == []
    frames = Capture(root).info().frames
    expire_oldest(root, 1, now_ns=2_000_000_000_000_000_000)
    info = Capture(root).info()
    assert info.expired is not None
    rows = to_arrow(root, "select * from ledger order by seq, index").to_pylist()
    (expired,) = (row for row in rows if row["type"] == "Expired")
    assert rows[0] == expired, "before all that is left"
    assert expired["count"] == info.expired.frames == frames - info.frames
    assert expired["seq"] == info.expired.last_seq
    assert expired["cause"] == "retention"
    assert expired["ts_recv"] is expired["connection"] is None
    assert json.loads(expired["detail"]) == {
        "segments": info.expired.segments,
        "bytes": info.expired.bytes,
    }
    only = to_arrow(root, "select type from ledger where type in ('Expired', 'Nothing')")
    assert only.column("type").to_pylist() == ["Expired"]
    others = [row for row in before if row["seq"] > info.expired.last_seq]
    assert [row for row in rows if row["type"] != "Expired"] == others
