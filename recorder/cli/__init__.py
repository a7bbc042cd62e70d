"""The `recorder` command: one module per family of commands, thin over the library.

Responsible for the group and for loading a family only when one of its commands runs, so that
`recorder info` does not pay for the network stack. Refuses to contain logic: everything a
command does can be done from Python.
"""

from __future__ import annotations

from typing import NoReturn

from recorder.console import LazyGroup, run

cli = LazyGroup(
    "recorder",
    help="Record OKX v5 WebSocket sessions byte for byte, and look after the captures.",
    commands_in={
        "record": "recorder.cli.record",
        "watch": "recorder.cli.watch",
        "channels": "recorder.cli.channels",
        "import": "recorder.cli.importing",
        "info": "recorder.cli.inspect",
        "verify": "recorder.cli.inspect",
        "recover": "recorder.cli.inspect",
        "seal": "recorder.cli.reshape",
        "compact": "recorder.cli.reshape",
        "slice": "recorder.cli.reshape",
        "merge": "recorder.cli.reshape",
    },
)


def main() -> NoReturn:
    """Entry point of the console script `recorder`."""
    run(cli)
