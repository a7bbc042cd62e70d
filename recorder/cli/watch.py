"""`recorder watch`: live events on a terminal or as JSON lines, nothing stored.

Responsible for the options and for standard output: a slow one makes the venue wait, a closed one
ends the command. Refuses to say what a line looks like (`event_line`) and to talk to the venue
(`recorder.live.watch`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import click

from recorder.cli.ending import named_as_options, stopped_by_signals
from recorder.cli.event_line import EventLines
from recorder.cli.options import (
    SectionedCommand,
    SectionedOption,
    end_options,
    socket_options,
    venue_options,
    what_options,
)
from recorder.console import say
from recorder.errors import ExitCode
from recorder.event import encode_event
from recorder.live.settings import watch_arguments

_WRITE_BYTES = 1 << 16
_DEPTH_MAX = 400


@click.command(name="watch", cls=SectionedCommand)
@what_options
@venue_options
@end_options
@socket_options
@click.option(
    "--depth",
    cls=SectionedOption,
    type=click.IntRange(1, _DEPTH_MAX),
    default=1,
    metavar="N",
    help="Levels of each side of a book to show. [1]",
)
@click.option(
    "--json", "as_json", cls=SectionedOption, is_flag=True, help="Each event as one line of JSON."
)
def watch_command(depth: int, as_json: bool, **options: Any) -> ExitCode:  # noqa: FBT001
    """Print live events as they come, one line each; record nothing.

    Times are UTC, when a frame was received. Books are shown as they stand after each update.
    Ctrl-C ends it.

    \b
        recorder watch -s tickers:BTC-USDT -s candle1m:BTC-USDT
        recorder watch -s books:BTC-USDT --depth 3
        recorder watch --channel trades --instrument 'BTC-*-SWAP' --json | jq .price
    """
    from recorder.live.watching import watch

    with named_as_options():
        arguments = watch_arguments(options)

    async def main() -> ExitCode:
        stop = asyncio.Event()
        watching = watch(**arguments, number=float if as_json else str, notify=say, stop=stop)
        lines = EventLines(
            arguments["subscriptions"],
            watching.books,
            depth=depth,
            width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None,
            in_colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        )
        waiting: list[bytes] = []
        size = 0
        with stopped_by_signals(stop, say, "closing the sockets"), _told_when_nobody_reads(stop):
            async with aclosing(watching.__aiter__()) as events:
                async for event in events:
                    if as_json:
                        waiting.append(encode_event(event))
                    elif line := lines.line(event):
                        waiting.append(line.encode())
                    size += len(waiting[-1]) if waiting else 0
                    if waiting and (watching.is_caught_up or size > _WRITE_BYTES):
                        # In a thread: while a pipe is full, pings and answers still go out.
                        await asyncio.to_thread(_write, waiting)
                        waiting, size = [], 0
        return ExitCode.LOSS if watching.refusals else ExitCode.DONE

    with named_as_options():
        return asyncio.run(main())


def _write(lines: list[bytes]) -> None:
    sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def _told_when_nobody_reads(stop: asyncio.Event) -> Iterator[None]:
    """End when the reader of a pipe has gone, also while nothing is there to be written."""
    loop, output = asyncio.get_running_loop(), sys.stdout.fileno()
    if not stat.S_ISFIFO(os.fstat(output).st_mode):
        yield
        return

    def gone() -> None:
        loop.remove_reader(output)
        stop.set()

    loop.add_reader(output, gone)  # the writing end of a pipe is only ever "readable" when broken
    try:
        yield
    finally:
        loop.remove_reader(output)
