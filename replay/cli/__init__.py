"""The `replay` command: one module per family of commands, thin over the library.

Responsible for the group and for loading a family only when one of its commands runs. Refuses
to contain logic: everything a command does can be done from Python.
"""

from __future__ import annotations

from typing import NoReturn

from recorder.console import LazyGroup, run

cli = LazyGroup(
    "replay",
    help="Play, serve, query and simulate captures of OKX v5 WebSocket sessions.",
    commands_in={
        "play": "replay.cli.play",
        "backtest": "replay.cli.backtest",
        "sweep": "replay.cli.sweep",
        "cat": "replay.cli.cat",
        "book": "replay.cli.book",
        "census": "replay.cli.census",
        "check": "replay.cli.check",
        "distill": "replay.cli.distill",
        "prove": "replay.cli.prove",
        "query": "replay.cli.query",
        "serve": "replay.cli.serve",
        "tables": "replay.cli.tables",
        "simulate": "replay.cli.simulate",
        "demo": "replay.cli.demo",
    },
)


def main() -> NoReturn:
    """Entry point of the console script `replay`."""
    run(cli)
