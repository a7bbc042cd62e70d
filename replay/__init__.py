"""Play, serve, query and simulate captures.

    from replay import connect, play
    play("captures/btc", lambda event, context: print(event))
    connect("captures/btc").sql("select count(*) from trades")

The public names below are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.controls import Controls as Controls
    from replay.dataframes import to_arrow as to_arrow
    from replay.dataframes import to_df as to_df
    from replay.dataframes import to_polars as to_polars
    from replay.ladder import book_at as book_at
    from replay.player import PlayReport as PlayReport
    from replay.player import play as play
    from replay.proving.proof import prove as prove
    from replay.regression.checking import check as check
    from replay.regression.distillation import distill as distill
    from replay.regression.recorded import assert_parses_as_recorded as assert_parses_as_recorded
    from replay.regression.surveying import census as census
    from replay.server import serve as serve
    from replay.simulation.simulator import simulate as simulate
    from replay.sql import connect as connect
    from replay.sql import query as query
    from replay.sql import refresh as refresh

_HOME = {
    "Controls": "replay.controls",
    "PlayReport": "replay.player",
    "assert_parses_as_recorded": "replay.regression.recorded",
    "book_at": "replay.ladder",
    "census": "replay.regression.surveying",
    "check": "replay.regression.checking",
    "connect": "replay.sql",
    "distill": "replay.regression.distillation",
    "play": "replay.player",
    "prove": "replay.proving.proof",
    "query": "replay.sql",
    "refresh": "replay.sql",
    "serve": "replay.server",
    "simulate": "replay.simulation.simulator",
    "to_arrow": "replay.dataframes",
    "to_df": "replay.dataframes",
    "to_polars": "replay.dataframes",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'replay' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
