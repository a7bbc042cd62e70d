"""`replay census`: what the venue sends, and what of it is new.

Responsible for the options and for what a person sees. Refuses to look at frames:
`replay.regression` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from recorder.clock import format_time
from recorder.console import TIME, print_json
from recorder.errors import ExitCode
from replay.cli.check import problem_lines, progress_of
from replay.cli.selection import quiet_pipe
from replay.regression.census import ChannelCensus
from replay.regression.news import New
from replay.regression.surveying import CensusReport, census

_VALUES_SHOWN = 12
_NEW_SHOWN = 60


@click.command("census")
@click.argument(
    "captures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CAPTURE..."
)
@click.option(
    "--since",
    type=TIME,
    metavar="T",
    help="Tell what was first seen then or later: RFC 3339, or ns.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tell what this expected.json, or the capture there, does not have.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the census as JSON, with all times.")
def census_command(
    captures: tuple[Path, ...], *, since: int | None, against: Path | None, as_json: bool
) -> ExitCode:
    """List every JSON shape, field, type and enumerated value per channel.

    With --since or --against, only what is new, and the command ends with 1 if anything is: the
    venue changed something. Several captures count as one. Prices, ids and other values that are
    no words of the venue are not kept.
    """
    with progress_of("looking") as progress:
        report = census(captures, since=since, against=against, progress=progress)
    if as_json:
        print_json(report)
        return report.exit_code
    with quiet_pipe():
        for line in _new_lines(report) if report.new is not None else _lines(report):
            click.echo(line)
    return report.exit_code


def _lines(report: CensusReport) -> Iterator[str]:
    for name, channel in report.channels.items():
        yield (
            f"{name}  {channel.seen.count:,} frames, {len(channel.shapes)} shapes, "
            f"{format_time(channel.seen.first)} to {format_time(channel.seen.last)}"
        )
        width = max(map(len, channel.fields), default=0)
        for path, types in channel.fields.items():
            values = _values(channel, path)
            told = " | ".join(types)
            yield f"  {path:<{width}}  {told}{'  = ' if values else ''}{values}"
        yield ""
    yield f"{report.frames:,} frames"
    if report.beyond:
        yield f"{report.beyond:,} messages hold more shapes or fields than a census keeps"
    yield from problem_lines(report.problems)


def _values(channel: ChannelCensus, path: str) -> str:
    values = list(channel.values.get(path, ()))
    more = f" and {len(values) - _VALUES_SHOWN} more" if len(values) > _VALUES_SHOWN else ""
    return ", ".join(values[:_VALUES_SHOWN]) + more


def _new_lines(report: CensusReport) -> Iterator[str]:
    new = report.new or []
    yield f"{report.frames:,} frames: " + (
        f"{len(new):,} things are new" if new else "nothing is new"
    )
    for item in new[:_NEW_SHOWN]:
        yield f"  {_sentence(item)}"
    if len(new) > _NEW_SHOWN:
        yield f"  and {len(new) - _NEW_SHOWN} more: --json has them"
    yield from problem_lines(report.problems)


def _sentence(new: New) -> str:
    about = "" if new.what == "channel" else f" in {new.channel}"
    return (
        f"{new.what} {new.name}{about}: {new.count:,} times since {format_time(new.first)} "
        f"(seq {new.first_seq})"
    )
