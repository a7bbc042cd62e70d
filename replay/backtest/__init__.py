"""Backtests: strategies that trade on recorded markets, at a simulated exchange.

    from replay.backtest import backtest
    result = backtest("captures/btc", MyStrategy(), latency="5ms", cash={"USDT": 10_000})
    print(result.report.strategies[0].pnl)

A backtest is a replay whose strategy is a `Simulation`. Not to be confused with `replay.market`,
which makes markets up. The public names below are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.backtest.running import Backtest as Backtest
    from replay.backtest.running import BacktestReport as BacktestReport
    from replay.backtest.running import backtest as backtest
    from replay.backtest.settings import Settings as Settings
    from replay.backtest.settings import make_settings as make_settings
    from replay.backtest.simulation import Simulation as Simulation
    from replay.backtest.stats import Stats as Stats

_HOME = {
    "Backtest": "replay.backtest.running",
    "BacktestReport": "replay.backtest.running",
    "Settings": "replay.backtest.settings",
    "Simulation": "replay.backtest.simulation",
    "Stats": "replay.backtest.stats",
    "backtest": "replay.backtest.running",
    "make_settings": "replay.backtest.settings",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'replay.backtest' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
