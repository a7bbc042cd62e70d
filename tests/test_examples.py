"""The examples of docs/examples run as they are, against a local OKX."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from recorder.strategy import load_strategy
from replay.backtest import backtest

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
PATIENCE_S = 60


def test_ticker_prints_tickers_and_candles_and_ends_by_ctrl_c(repository: Path) -> None:
    served = [
        sys.executable, "-m", "replay", "serve", str(repository / "datasets/btc-calm"),
        "--port", "0", "--speed", "100", "--wait-for-subscribers", "2", "--at-end", "loop",
    ]  # fmt: skip
    with started(served, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        command = [sys.executable, "-u", str(EXAMPLES / "ticker.py"), url]
        with started(command, stderr=subprocess.PIPE) as shown:
            assert shown.stdout is not None
            tickers = candles = 0
            for line in shown.stdout:
                tickers += bool(re.fullmatch(r"BTC-USDT  [\d.]+ \| [\d.]+\n", line))
                candles += bool(re.fullmatch(r"BTC-USDT  1 m closed at .*, volume .*\n", line))
                if tickers >= 5 and candles >= 1:
                    break
            shown.send_signal(signal.SIGINT)
            # Reads on: who prints into a full pipe ends no sooner than somebody does.
            _, errors = shown.communicate(timeout=PATIENCE_S)
            assert (shown.returncode, errors) == (0, "")


@contextmanager
def started(command: list[str], *, stderr: int) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the test is over, however it ends."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_ticker_ends_with_one_sentence_when_it_cannot_start() -> None:
    command = [sys.executable, str(EXAMPLES / "ticker.py"), "http://127.0.0.1:1/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(r"error: expected an address ws://.*\n", ended.stderr)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert path.read_text().count("\n") <= (75 if path.name.endswith("_sink.py") else 36)


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.mark.usefixtures("examples")
def test_the_market_maker_quotes_both_sides_and_leans_back(datasets: Path) -> None:
    cash = {"BTC": 1, "USDT": 100_000}
    done = backtest(datasets / "btc-calm", load_strategy("market_maker:MarketMaker"), cash=cash)
    (stats,) = done.report.strategies
    assert stats.maker_share == 1.0  # post-only: it never takes
    assert {fill["side"] for fill in done.rows["fills"]} == {"buy", "sell"}
    assert stats.rejected == 0
    assert max(abs(row["value"]) for row in done.rows["records"]) < 0.2  # of 300 quotes of 0.01


@pytest.mark.usefixtures("examples")
def test_the_momentum_taker_goes_along_and_leaves(datasets: Path) -> None:
    done = backtest(datasets / "eth-stress", load_strategy("momentum:Momentum"))
    fills = done.rows["fills"]
    assert len(fills) >= 6
    assert done.report.strategies[0].maker_share == 0.0
    held = [row["position"] for row in done.rows["positions"]]
    assert {abs(position) for position in held} <= {0, Decimal("0.1")}  # one push at a time
    pairs = list(zip(fills[::2], fills[1::2], strict=False))
    assert all(entry["side"] != leave["side"] for entry, leave in pairs)
    assert all(leave["ts_event"] - entry["ts_event"] > 4_900_000_000 for entry, leave in pairs)


@pytest.mark.usefixtures("examples")
def test_the_basis_has_two_legs_and_closes_both(datasets: Path) -> None:
    done = backtest(datasets / "eth-stress", load_strategy("basis:Basis"))
    records = {row["name"] for row in done.rows["records"]}
    assert records == {"entry_bps", "exit_bps"}
    assert all(row["value"] >= 5 for row in done.rows["records"] if row["name"] == "entry_bps")
    by_leg = Counter((fill["instrument"], fill["side"]) for fill in done.rows["fills"])
    assert len(by_leg) == 4
    (stats,) = done.report.strategies
    assert stats.positions == {}
    assert abs(stats.balances.get("ETH", Decimal(0))) < Decimal("0.000001")
