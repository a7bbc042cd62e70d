"""`replay backtest`: whole captures, files, figures and mistakes, as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from recorder import Capture
from recorder.clock import NS_PER_SECOND
from replay.backtest import backtest
from replay.cli import cli

STRATEGIES = """
class Maker:
    def on_start(self, context):
        context.every(500_000_000)
    def on_timer(self, timer, context):
        book = context.books.get("BTC-USDT")
        context.cancel()
        if book and book.is_whole:
            context.buy("BTC-USDT", "0.01", book.best_bid().price, kind="post_only")
            context.record("spread", book.spread())
    def on_fill(self, fill, context):
        context.log(f"{fill.side} {fill.size}")
        if context.balance("BTC") > 1:
            context.sell("BTC-USDT", "1")

class Broken:
    def on_trade(self, event, context):
        raise ValueError("mistake")
"""
TABLES = ("orders", "fills", "positions", "equity", "prices", "funding", "records", "logs")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "strategies_of_the_backtest.py").write_text(STRATEGIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def run(capture: Path, *options: str, strategy: str = "Maker") -> Result:
    spec = f"strategies_of_the_backtest:{strategy}"
    return CliRunner().invoke(cli, ["backtest", str(capture), "--strategy", spec, *options])


def test_results_are_files_that_anything_reads_and_the_figures_are_theirs(
    there: Path, repository: Path
) -> None:
    calm = repository / "datasets/btc-calm"
    result = run(calm, "--out", "results", "--maker-fee", "0.0001", "--queue", "expected")
    assert result.exit_code == 0, result.output
    assert "profit" in result.output
    report = json.loads((there / "results/report.json").read_text())
    (stats,) = json.loads((there / "results/stats.json").read_text())
    assert report["strategies"] == [stats]
    assert report["digest"] in result.output
    assert report["settings"]["queue"] == "expected"
    files = {path.name for path in (there / "results").iterdir()}
    assert files == {"report.json", "stats.json", *(f"{name}.parquet" for name in TABLES)}
    sql = duckdb.connect()
    for name in TABLES:
        sql.execute(f"create view {name} as from 'results/{name}.parquet'")
        assert sql.execute(f"select count(*) from {name}").fetchone() == (report["rows"][name],)
    fills, bought, value = sql.execute(
        "select count(*), sum(size) filter (side = 'buy'), sum(value) from fills"
    ).fetchone()  # type: ignore[misc]
    assert fills == stats["fills"] > 10
    assert value == pytest.approx(float(stats["turnover"]))
    assert bought - float(stats["balances"]["BTC"]) == pytest.approx(bought * 0.0001, rel=1e-6)
    curve = sql.execute("select equity from equity").fetchall()
    assert curve[-1][0] == pytest.approx(float(stats["final_equity"]))
    assert sql.execute("select count(*) from orders where state = 'filled'").fetchone() != (0,)


def test_equal_runs_leave_equal_bytes_in_any_process(there: Path, repository: Path) -> None:
    outputs = []
    for seed in ("0", "1"):
        command = [
            sys.executable, "-m", "replay", "backtest", str(repository / "datasets/btc-calm"),
            "--strategy", "strategies_of_the_backtest:Maker", "--json", "--out", f"run{seed}",
            "--latency", "lognormal:4ms,0.5", "--seed", "7", "--end", "2026-11-02T08:01:00Z",
        ]  # fmt: skip
        path = f"{repository}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        told = os.environ | {"PYTHONHASHSEED": seed, "TZ": f"UTC+{seed}", "PYTHONPATH": path}
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=told
        )
        assert ended.returncode == 0, ended.stderr
        outputs.append(ended.stdout)
    assert json.loads(outputs[0])["digest"] == json.loads(outputs[1])["digest"]
    assert outputs[0] == outputs[1]
    for path_of_one in sorted((there / "run0").iterdir()):
        assert path_of_one.read_bytes() == (there / "run1" / path_of_one.name).read_bytes()


def test_a_window_and_a_filter_find_the_rules_recorded_at_the_start(repository: Path) -> None:
    capture = Capture(repository / "datasets/btc-calm")
    start = capture.info().start or 0

    class Once:
        def __init__(self) -> None:
            self.states: list[str] = []

        def on_start(self, context: object) -> None:
            context.after(NS_PER_SECOND, lambda c: c.buy("BTC-USDT", "0.1"))  # type: ignore[attr-defined]

        def on_order(self, event: object, context: object) -> None:
            self.states.append(event.state)  # type: ignore[attr-defined]

    windows = ({"start": start + 60 * NS_PER_SECOND}, {"channels": ["books"]})
    for window in windows:
        strategy = Once()
        done = backtest(
            capture,
            strategy,
            end=start + 90 * NS_PER_SECOND,
            **window,  # type: ignore[arg-type]
        )
        assert strategy.states[-1] == "filled"
        assert done.report.exit_code == 0


def test_a_mistake_of_the_strategy_is_told_as_one(there: Path, repository: Path) -> None:
    result = run(repository / "datasets/btc-calm", "--out", "results", strategy="Broken")
    assert result.exit_code == 1
    assert "mistake" in result.output
    assert "expected the strategy to handle Trade" in str(result.exception or result.output)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--cash", "USDT"], "CURRENCY=AMOUNT"),
        (["--cash", "USDT=much"], "expected cash USDT as a number"),
        (["--cash", "USDT=-1"], "at least 0"),
        (["--latency", "soon"], "expected a latency"),
        (["--maker-fee", "2"], "as a fraction"),
        (["--out", "."], "new or empty directory"),
        (["--channel", "no-such"], "no-such"),
    ],
)
def test_a_mistake_of_the_user_is_one_sentence(
    there: Path, repository: Path, options: list[str], told: str
) -> None:
    result = run(repository / "datasets/btc-calm", *options)
    assert result.exit_code != 0
    assert told in f"{result.output} {result.exception}"


def test_faults_put_into_the_recording_reach_the_strategy(repository: Path) -> None:
    class Listener:
        gaps = 0

        def on_gap(self, event: object, context: object) -> None:
            self.gaps += 1

    listener = Listener()
    backtest(
        repository / "datasets/btc-calm", listener, faults=["gap:books:BTC-USDT@p=0.02"],
        fault_seed=1, keep=False,
    )  # fmt: skip
    assert listener.gaps > 3
