"""`replay backtest --report`: the page says what the tables hold."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from replay.backtest import backtest
from replay.backtest.report.contents import contents_of, write_page
from replay.cli.backtest import backtest_command

HALF_SECOND = 500_000_000


class Maker:
    """Quotes both sides anew, twice a second."""

    def on_start(self, context: Any) -> None:
        context.every(HALF_SECOND)

    def on_timer(self, timer: Any, context: Any) -> None:
        book = context.books.get("BTC-USDT")
        context.cancel()
        if book and book.is_whole:
            context.buy("BTC-USDT", "0.01", book.best_bid().price, kind="post_only")
            context.sell("BTC-USDT", "0.01", book.best_ask().price, kind="post_only")


@pytest.fixture(scope="module")
def ran(datasets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("backtest") / "tables"
    cash = {"USDT": 100_000, "BTC": 1}
    done = backtest(datasets / "btc-calm", Maker(), out=out, cash=cash, latency="5ms")
    return done.report, out


def test_figures_are_those_of_the_tables(ran: tuple[Any, Path]) -> None:
    report, tables = ran
    (section,) = contents_of(report, tables).sections
    fills = pq.read_table(tables / "fills.parquet").to_pylist()
    orders = pq.read_table(tables / "orders.parquet").to_pylist()
    equity = pq.read_table(tables / "equity.parquet").to_pylist()
    assert len(fills) > 50
    (traded,) = section.traded
    bought = [(row["ts_event"], row["price"]) for row in fills if row["side"] == "buy"]
    assert list(traded.buys) == bought
    assert traded.buy_count + traded.sell_count == len(fills)
    assert section.order_count == len(orders)
    assert len(section.orders) == min(len(orders), 500)
    assert section.orders[-1][2] == orders[-1]["side"]
    assert section.equity == [(row["ts"], row["equity"]) for row in equity]
    assert section.drawdown == [(row["ts"], -row["drawdown"]) for row in equity]
    assert set(section.latency_ms) >= {10.0}  # 5 ms there and 5 ms back
    held = pq.read_table(tables / "positions.parquet").to_pylist()
    assert traded.position[0] == (section.span[0], 1.0)  # what the account began with
    assert traded.position[-1][1] == held[-1]["position"]
    assert traded.position_unit == "BTC"


def test_page_is_the_same_for_the_same_run(ran: tuple[Any, Path], tmp_path: Path) -> None:
    report, tables = ran
    write_page(report, tables, tmp_path / "a.html")
    write_page(report, tables, tmp_path / "b.html")
    html = (tmp_path / "a.html").read_text()
    assert html == (tmp_path / "b.html").read_text()
    assert report.digest in html
    charts = [json.loads(unescape(found)) for found in re.findall('data-chart="([^"]*)"', html)]
    assert [chart["lines"][0]["name"] for chart in charts] == [
        "equity", "below the highest so far", "mid", "position",
    ]  # fmt: skip
    assert "5 ms to the venue, 5 ms back" in html
    assert "http" not in html.replace("https://www.w3.org", "")


def test_command_writes_it_without_tables(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "still.py").write_text("def still(event, context): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [str(datasets / "eth-stress"), "--strategy", "still:still", "--report", "r.html"]
    done = CliRunner().invoke(backtest_command, words, standalone_mode=False)
    assert done.exception is None
    assert "report   r.html" in done.stdout
    assert "None was placed." in (tmp_path / "r.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != "") == [
        "r.html", "still.py",
    ]  # fmt: skip


def test_a_place_that_cannot_be_written_is_one_sentence(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "still.py").write_text("def still(event, context): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [str(datasets / "eth-stress"), "--strategy", "still:still"]
    words += ["--report", str(tmp_path / "none" / "r.html")]
    done = CliRunner().invoke(backtest_command, words, standalone_mode=False)
    assert "expected to write the report to" in str(done.exception)
