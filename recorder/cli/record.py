"""`recorder record`: options in, a recording out, talk on standard error.

Responsible for the progress line, for the report and for the process settings that belong to a
program and not to a library. Refuses to record: `recorder.live.record` does.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import click

from recorder.cli.dry_run import list_subscriptions
from recorder.cli.ending import named_as_options, stopped_by_signals
from recorder.cli.options import (
    SectionedCommand,
    capture_options,
    check_options,
    config_options,
    disk_options,
    end_options,
    json_option,
    metrics_options,
    rest_options,
    shard_options,
    sink_options,
    socket_options,
    venue_options,
    what_options,
    without_replaced,
)
from recorder.cli.progress import ProgressLine
from recorder.console import print_json, say
from recorder.errors import ExitCode
from recorder.live.config_file import config_text
from recorder.live.settings import in_force, record_arguments

GC_THRESHOLDS = (100_000, 50, 100)
"""Garbage collection thresholds of a recorder process.

Events and frames are structs that the collector does not track, so almost everything it walks in
vain is what the handlers keep: with the default (700, 10, 10) retained events cost up to three
times as much per frame, with these nearly nothing; reference counting still frees the rest at once.
"""

_TALK_ONLY = ("config", "print_config", "as_json", "dry_run")


@click.command(name="record", cls=SectionedCommand)
@click.argument("out", type=click.Path(), required=False)
@what_options
@shard_options
@venue_options
@rest_options
@end_options
@capture_options
@disk_options
@socket_options
@check_options
@metrics_options
@sink_options
@config_options
@json_option
@click.pass_context
def record_command(ctx: click.Context, /, **options: Any) -> ExitCode:
    """Record market data of OKX into the capture OUT until interrupted.

    Every frame is stored byte for byte with the time it was read, and can be queried and
    replayed while it goes on. Ctrl-C (or SIGTERM) ends cleanly. A SIZE is bytes, or 500M, 10G,
    64MiB.

    \b
        recorder record captures/btc -s books:BTC-USDT -s trades:BTC-USDT
        recorder record captures/swaps --channel books --channel trades \\
            --instrument 'BTC-*-SWAP' --instrument ETH-USDT-SWAP --duration 3600
        recorder record --config record.toml --append
    """
    from recorder.live import record

    settings = without_replaced(ctx, options)
    talk = {name: settings.pop(name, None) for name in _TALK_ONLY}
    if talk["print_config"]:
        click.echo(config_text(in_force(settings)), nl=False)
        return ExitCode.DONE
    with named_as_options():
        arguments = record_arguments(settings)
    if talk["dry_run"]:
        return list_subscriptions(arguments, as_json=bool(talk["as_json"]))
    gc.set_threshold(*GC_THRESHOLDS)
    line = ProgressLine(sys.stderr)

    async def main() -> Any:
        stop = asyncio.Event()
        with stopped_by_signals(stop, line.say, "closing the sockets and sealing"):
            return await record(**arguments, stop=stop, notify=line.say, on_progress=line.show)

    try:
        with named_as_options():
            report = asyncio.run(main())
    finally:
        line.clear()
    say(line.summary(report, str(arguments["out"])))
    if talk["as_json"]:
        print_json(report)
    return ExitCode(report.exit_code)
