"""Sweeps: one strategy, many parameters, many captures; each a backtest of its own.

    from replay.sweep import sweep
    report = sweep("captures/btc", "maker:Maker", {"edge": [1, 2, 3]}, out="results/edges")

The public names below are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.sweep.running import Progress as Progress
    from replay.sweep.running import SweepReport as SweepReport
    from replay.sweep.running import sweep as sweep

_HOME = {
    "Progress": "replay.sweep.running",
    "SweepReport": "replay.sweep.running",
    "sweep": "replay.sweep.running",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'replay.sweep' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
