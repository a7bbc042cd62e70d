"""The view `links` says what `recorder info --json` does of redundant links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recorder.capture.reader import Capture
from recorder.cli.inspect import info_command
from recorder.okx.election import LinkFigures
from recorder.okx.faults import Gap, Scenario
from replay import connect
from replay.simulation.simulator import simulate
from tests.doubled import write_doubled

LOSING = (Scenario(seed=2, heal=None, faults=(Gap(p=0.1),)), Scenario(seed=7, heal=None))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("links")
    simulate(folder / "one", seed=5, instruments=["BTC-USDT"], duration=4.0, scenario="calm")
    return write_doubled(folder / "one", folder / "two", LOSING)


def rows_of(captures: Any) -> list[dict[str, Any]]:
    with connect(captures) as db:
        answer = db.execute("SELECT * FROM links ORDER BY ALL")
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def test_it_is_what_info_says(two: Path) -> None:
    done = CliRunner().invoke(info_command, [str(two), "--json"])
    told = json.loads(done.stdout)["links"]
    rows = rows_of(two)
    assert rows == told
    assert [(row["endpoint"], row["link"]) for row in rows] == [
        ("business", 0), ("business", 1), ("public", 0), ("public", 1),
    ]  # fmt: skip
    assert tuple(rows[0]) == LinkFigures.__struct_fields__
    assert rows[2]["missed"] > 0
    assert all(row["open_s"] > row["alone_s"] > 0 for row in rows if row["link"] == 0)
    with connect(two) as db:
        count = "SELECT count(*), sum(missed) FROM links WHERE endpoint = 'public' AND missed > 0"
        assert db.execute(count).fetchall() == [(1, rows[2]["missed"])]
        comments = db.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'links' AND comment IS NULL"
        )
        assert comments.fetchall() == [(0,)]


def test_one_link_has_no_row_and_several_captures_a_column_more(two: Path) -> None:
    one = two.parent / "one"
    assert rows_of(one) == []
    assert Capture(one).info().links == []
    assert {row["capture"] for row in rows_of([one, two])} == {"two"}
