"""`recorder record`: options in, a recording out, talk on standard error.

Responsible for reading options, for signals, for the progress line and for the process settings
that belong to a program and not to a library. Refuses to record: `recorder.live.record` does.
"""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from recorder.cli.progress import ProgressLine
from recorder.console import print_json, say
from recorder.errors import ExitCode, UsageError
from recorder.okx.hosts import REGIONS
from recorder.okx.subscription import Subscription, cross_subscriptions, parse_subscription

GC_THRESHOLDS = (100_000, 50, 100)
"""Garbage collection thresholds of a recorder process.

Events and frames are structs that the collector does not track, so almost everything it walks in
vain is what the handlers keep: with the default (700, 10, 10) retained events cost up to three
times as much per frame, with these nearly nothing; reference counting still frees the rest at once.
"""


_OUT_OF_RANGE = re.compile(r"expected ([a-z_]+) above ")


@click.command(name="record")
@click.argument("out", type=click.Path())
@click.option(
    "--subscribe",
    "-s",
    "subscribe",
    multiple=True,
    metavar="CHANNEL[:INSTRUMENT]",
    help="What to record, e.g. books:BTC-USDT or liquidation-orders:SWAP; repeatable.",
)
@click.option(
    "--channel",
    multiple=True,
    metavar="NAME",
    help="A channel, recorded for every --instrument; repeatable.",
)
@click.option(
    "--instrument", multiple=True, metavar="ID", help="An instrument, for every --channel."
)
@click.option(
    "--url",
    metavar="BASE",
    help="Connect here, e.g. ws://127.0.0.1:8765/ws/v5; /public and so on is appended. "
    "[OKX, by --region]",
)
@click.option(
    "--region",
    type=click.Choice(REGIONS),
    default="global",
    show_default=True,
    help="Which OKX: where accounts of that region trade.",
)
@click.option("--demo-trading", is_flag=True, help="The venue's demo instead of the real market.")
@click.option("--no-rest", is_flag=True, help="Do not fetch the instrument lists at the start.")
@click.option(
    "--duration",
    type=float,
    metavar="SECONDS",
    help="End so long after the first ack. [until stopped]",
)
@click.option("--frames", type=int, metavar="N", help="End after N received text frames.")
@click.option(
    "--until-closed",
    is_flag=True,
    help="End when the venue has closed every socket, instead of reconnecting.",
)
@click.option("--append", is_flag=True, help="Continue the capture at OUT.")
@click.option(
    "--segment-seconds",
    type=float,
    metavar="N",
    help="Seconds of data in one Parquet file. [60]",
)
@click.option(
    "--segment-bytes",
    type=int,
    metavar="N",
    help="A file also ends with this many bytes of data. [64 MiB]",
)
@click.option(
    "--sync-ms",
    type=int,
    metavar="N",
    help="After at most so many milliseconds a frame survives a power cut. [200]",
)
@click.option(
    "--ping-after",
    type=float,
    default=15.0,
    show_default=True,
    metavar="S",
    help="Send a ping after so long a silence.",
)
@click.option(
    "--pong-timeout",
    type=float,
    default=10.0,
    show_default=True,
    metavar="S",
    help="Reconnect when nothing comes for so long after a ping.",
)
@click.option(
    "--connect-timeout",
    type=float,
    metavar="S",
    help="Give up (exit 5) when nothing could be reached for so long. [never]",
)
@click.option(
    "--no-resync",
    is_flag=True,
    help="After a sequence gap, do not subscribe anew for a fresh book.",
)
@click.option("--note", metavar="TEXT", help="Kept in the header of a new capture.")
@click.option("--digest", is_flag=True, help="Hash the events as delivered; compare replay play.")
@click.option("--json", "as_json", is_flag=True, help="Print a report on standard output.")
def record_command(
    out: str,
    subscribe: tuple[str, ...],
    channel: tuple[str, ...],
    instrument: tuple[str, ...],
    no_rest: bool,  # noqa: FBT001  # click passes options by name
    no_resync: bool,  # noqa: FBT001
    ping_after: float,
    pong_timeout: float,
    segment_seconds: float | None,
    segment_bytes: int | None,
    sync_ms: int | None,
    as_json: bool,  # noqa: FBT001
    **options: Any,
) -> ExitCode:
    """Record market data of OKX into the capture OUT until interrupted.

    Every frame is stored byte for byte with the time it was read, and can be queried and
    replayed while it goes on. Ctrl-C (or SIGTERM) ends cleanly.

    \b
        recorder record captures/btc -s books:BTC-USDT -s trades:BTC-USDT
        recorder record captures/majors --channel books --channel trades \\
            --instrument BTC-USDT --instrument ETH-USDT --duration 3600
    """
    from recorder.capture.writer import WriterOptions
    from recorder.live import LinkOptions, record

    wanted = _wanted(subscribe, channel, instrument)
    given: dict[str, Any] = {
        "segment_seconds": segment_seconds,
        "segment_bytes": segment_bytes,
        "sync_ms": sync_ms,
    }
    with _named_as_options():
        link = LinkOptions(ping_after=ping_after, pong_timeout=pong_timeout, resync=not no_resync)
        writer_options = WriterOptions(**{k: v for k, v in given.items() if v is not None})
    gc.set_threshold(*GC_THRESHOLDS)
    line = ProgressLine(sys.stderr)

    async def main() -> Any:
        stop = asyncio.Event()
        with _stopped_by_signals(stop, line):
            return await record(
                out,
                wanted,
                rest=not no_rest,
                link=link,
                writer_options=writer_options,
                stop=stop,
                notify=line.say,
                on_progress=line.show,
                **options,
            )

    try:
        with _named_as_options():
            report = asyncio.run(main())
    finally:
        line.clear()
    say(line.summary(report, out))
    if as_json:
        print_json(report)
    return ExitCode(report.exit_code)


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Name an argument of Python that is out of range as the option it came from."""
    try:
        yield
    except UsageError as error:
        if found := _OUT_OF_RANGE.match(str(error)):
            option = "--" + found[1].replace("_", "-")
            raise UsageError(f"expected {option}{str(error)[found.end(1) :]}") from error
        raise


def _wanted(
    subscribe: tuple[str, ...], channel: tuple[str, ...], instrument: tuple[str, ...]
) -> list[Subscription]:
    if instrument and not channel:
        raise click.UsageError(
            "expected --channel with --instrument, received only instruments; "
            "e.g. --channel books --instrument BTC-USDT"
        )
    wanted = [parse_subscription(text) for text in subscribe]
    wanted += cross_subscriptions(channel, instrument)
    if not wanted:
        raise click.UsageError(
            "expected at least one --subscribe, received none; e.g. --subscribe books:BTC-USDT"
        )
    return wanted


@contextmanager
def _stopped_by_signals(stop: asyncio.Event, line: ProgressLine) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the recording cleanly, and a second one at once."""
    loop = asyncio.get_running_loop()
    caught = (signal.SIGINT, signal.SIGTERM)

    def on_signal(number: signal.Signals) -> None:
        line.say(f"{number.name}: closing the sockets and sealing; once more to leave at once")
        stop.set()
        for other in caught:
            loop.remove_signal_handler(other)

    for number in caught:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
