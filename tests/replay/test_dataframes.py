"""Results as frames: one call, and every digit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from recorder.capture.reader import Capture, ReadReport
from recorder.errors import UsageError
from recorder.event import Trade
from replay import to_arrow, to_df, to_polars

CALM = Path(__file__).parents[2] / "datasets" / "btc-calm"
SQL = """
    SELECT seq, ts_event, price, nullif(ts_recv, 0) + CASE WHEN seq % 2 = 0 THEN NULL ELSE 0 END
           AS odd, make_timestamp_ns(ts_recv) AS time
    FROM trades WHERE channel = 'trades' ORDER BY seq, "index" LIMIT 50
"""


def trades() -> list[Trade]:
    return [
        event
        for event in Capture(CALM).events()
        if isinstance(event, Trade) and event.channel == "trades"
    ]


def test_arrow() -> None:
    table = to_arrow(CALM, "trades")
    assert table.num_rows == sum(isinstance(event, Trade) for event in Capture(CALM).events())
    prices = to_arrow(CALM, SQL).column("price").to_pylist()
    assert prices == [trade.price for trade in trades()[:50]]
    report = ReadReport()
    assert to_arrow(CALM, "SELECT 1", report=report).num_rows == 1
    assert report.problems == []


def test_pandas_keeps_every_nanosecond() -> None:
    pytest.importorskip("pandas", reason="needs the extra `frames`")
    frame = to_df(CALM, SQL)
    expected = trades()[:50]
    assert frame["ts_event"].tolist() == [trade.ts_event for trade in expected]
    assert str(frame["odd"].dtype) == "Int64"
    odd = frame["odd"].dropna().tolist()
    assert odd == [trade.ts_recv for trade in expected if trade.seq % 2]
    assert [time.value for time in frame["time"]] == [trade.ts_recv for trade in expected]


def test_polars_keeps_every_nanosecond() -> None:
    pytest.importorskip("polars", reason="needs the extra `frames`")
    frame = to_polars(CALM, SQL)
    expected = trades()[:50]
    assert frame["ts_event"].to_list() == [trade.ts_event for trade in expected]
    assert frame["time"].cast(int).to_list() == [trade.ts_recv for trade in expected]


@pytest.mark.parametrize(("call", "library"), [(to_df, "pandas"), (to_polars, "polars")])
def test_without_the_library(monkeypatch: pytest.MonkeyPatch, call: object, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=r"pip install 'okx-recorder\[frames\]'"):
        call(CALM, "trades")  # type: ignore[operator]


def test_what_is_no_query() -> None:
    with pytest.raises(UsageError, match="did you mean"):
        to_arrow(CALM, "trade")
