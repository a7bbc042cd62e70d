"""`recorder channels`: what there is to subscribe to.

Responsible for showing the table of channels and for choosing rows of it. Refuses to know a
channel: that is `okx.channels`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import click
from rich.table import Table

from recorder.console import Output, print_json
from recorder.errors import UsageError
from recorder.okx.channels import BARS, CHANNELS, ENDPOINTS, Channel, channel_of

_PIPE_COLUMNS = 250
_NAME_COLUMNS, _ARGUMENT_COLUMNS = 29, 22
_BAR = re.compile(rf"(.*candle)(?:1s|{'|'.join(BARS)})")


@click.command("channels")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--endpoint", type=click.Choice(ENDPOINTS), help="Only those of this socket.")
@click.option("--login/--no-login", default=None, help="Only those that want a login, or do not.")
@click.option("--books", is_flag=True, help="Only those that carry order books.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def channels_command(
    names: tuple[str, ...],
    endpoint: str | None,
    login: bool | None,  # noqa: FBT001 - a click flag
    books: bool,  # noqa: FBT001 - a click flag
    as_json: bool,  # noqa: FBT001 - a click flag
) -> None:
    """List the channels: socket, login, argument, pace.

    NAME keeps those whose name contains it. Candles are listed one by one when asked for by
    name, e.g. `recorder channels candle1`.

    A channel is subscribed to as CHANNEL:ARGUMENT, where an argument without a name fills the one
    that is listed first: books:BTC-USDT, liquidation-orders:SWAP, orders:instType=SWAP.
    """
    found = [
        channel
        for channel in CHANNELS.values()
        if (not names or any(name in channel.name for name in names))
        and endpoint in (None, channel.endpoint)
        and login in (None, channel.login)
        and (channel.is_book or not books)
    ]
    for name in names:
        if not any(name in channel for channel in CHANNELS):
            channel_of(name)  # says which names are near
    if not found:
        raise UsageError(
            "expected filters that some channel passes, received none that does; leave one out"
        )
    if as_json:
        print_json([_row(channel) for channel in found])
        return
    shown = found if names else _folded(found)
    if sys.stdout.isatty():
        _print_sections(shown)
    else:
        _print_table(shown)


def _row(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "endpoint": channel.endpoint,
        "login": channel.login,
        "argument": channel.subject,
        "required": list(channel.required),
        "optional": list(channel.optional),
        "defaults": dict(channel.defaults),
        "pace": channel.pace,
        "depth": channel.depth,
        "incremental": channel.is_incremental,
        "note": channel.note,
    }


def _folded(channels: Iterable[Channel]) -> list[Channel]:
    """Return the channels with those that differ in their bar only as one row."""
    rows: dict[str, Channel] = {}
    for channel in channels:
        bar = _BAR.fullmatch(channel.name)
        name = f"{bar[1]}BAR" if bar else channel.name
        if name not in rows:
            rows[name] = Channel(
                name,
                channel.endpoint,
                subject=channel.subject,
                required=channel.required,
                optional=channel.optional,
                defaults=channel.defaults,
                login=channel.login,
                pace=channel.pace,
                depth=channel.depth,
                note="; ".join(filter(None, [channel.note, _BARS_NOTE[bar[1]] if bar else ""])),
            )
    return list(rows.values())


_BARS_NOTE = {
    "candle": "BAR: 1s 1m 3m … 3M, 6Hutc … 3Mutc",
    "mark-price-candle": "BAR: 1m 3m … 3M, 6Hutc … 3Mutc",
    "index-candle": "BAR: as mark-price",
    "sprd-candle": "BAR: as mark-price",
}


def _print_table(channels: Iterable[Channel]) -> None:
    """Print one row a channel, with every column: what a pipe can be cut and searched by."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("channel", "socket", "login", "argument", "pace", "depth", "note"):
        table.add_column(name, no_wrap=True)
    for channel in channels:
        table.add_row(
            channel.name,
            channel.endpoint,
            "yes" if channel.login else "no",
            _argument(channel, with_defaults=True) or "-",
            channel.pace,
            "-" if channel.depth is None else str(channel.depth),
            channel.note,
        )
    Output(_PIPE_COLUMNS).print_table(table)


def _print_sections(channels: Sequence[Channel]) -> None:
    """Print a list for each socket, which fits a terminal of 80 columns."""
    out = Output(_PIPE_COLUMNS)
    for endpoint, login in product(ENDPOINTS, (False, True)):
        rows = [item for item in channels if (item.endpoint, item.login) == (endpoint, login)]
        if not rows:
            continue
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        title = f"{endpoint}{', after a login' if login else ''}"
        table.add_column(title, no_wrap=True, width=_NAME_COLUMNS, style="cyan")
        table.add_column("argument", width=_ARGUMENT_COLUMNS)
        table.add_column("pace; note")
        for channel in rows:
            depth = "" if channel.depth is None else f", {channel.depth} levels"
            if channel.depth == 1:
                depth = ", the best level"
            note = f"; {channel.note}" if channel.note else ""
            table.add_row(channel.name, _argument(channel), f"{channel.pace}{depth}{note}")
        out.print_table(table)
        click.echo()


def _argument(channel: Channel, *, with_defaults: bool = False) -> str:
    """Return what a channel takes: the one a bare value fills first, optional ones in brackets."""
    words = [key.replace("|", " or ") for key in channel.required]
    if with_defaults:
        words += [f"{key}={value}" for key, value in channel.defaults]
    words += [f"[{key}]" for key in channel.optional]
    subject = channel.subject or ""
    words.sort(key=lambda word: subject not in re.split(r"\W+", word))
    return ", ".join(words)
