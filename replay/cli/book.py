"""`replay book`: one order book at one instant.

Responsible for the options and where the answer goes. Refuses to find or draw the book:
`replay.ladder`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from recorder.capture.reader import Capture, ReadReport
from recorder.console import TIME, print_json, say
from recorder.errors import ExitCode
from replay.cli.selection import quiet_pipe, say_problems
from replay.ladder import as_lines, as_svg, book_at, ladder_of

_STYLES: dict[str, dict[str, Any]] = {
    "title": {"bold": True},
    "head": {"dim": True},
    "ask": {"fg": "red"},
    "middle": {"bold": True},
    "bid": {"fg": "green"},
}


@click.command("book")
@click.argument("capture", type=click.Path())
@click.option("--instrument", required=True, metavar="ID", help="Whose book, e.g. BTC-USDT.")
@click.option(
    "--at",
    type=TIME,
    metavar="T",
    help="After every frame received until then: RFC 3339, or ns. [the last message]",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Levels of each side.",
)
@click.option("--channel", metavar="NAME", help="The book of this channel. [the best there is]")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw it into this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the levels as JSON, exact texts.")
def book_command(
    capture: str,
    instrument: str,
    at: int | None,
    depth: int,
    channel: str | None,
    svg: Path | None,
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Show an order book as it stood at an instant of the capture.

    Prices and sizes are the venue's own texts. A book that was not whole at that instant (after a
    sequence gap, without a snapshot, connection closed) is shown, said, and ends with exit code 3.
    """
    report = ReadReport()
    opened = Capture(capture)
    book = book_at(opened, instrument, at, channel=channel, number=str, report=report)
    ladder = ladder_of(book, depth, at=at)
    if svg is not None:
        svg.write_text(as_svg(ladder), encoding="utf-8")
    with quiet_pipe():
        if as_json:
            print_json(ladder)
        elif svg is None:
            for role, line in as_lines(ladder, width=shutil.get_terminal_size().columns):
                click.secho(line, **_STYLES[role])  # colours reach a terminal only
    if at is not None and next(opened.frames(start=at, report=ReadReport()), None) is None:
        say("note: the capture ends before that instant: this is the book at its end")
    if not ladder.is_whole:
        say("note: this book was not whole at that instant: do not trade on it")
    say_problems(report.problems, lost_rows=0, torn_tail=report.torn_tail)
    return report.exit_code or (ExitCode.DONE if ladder.is_whole else ExitCode.LOSS)
