"""`replay check`: hold what captures mean today against what they meant before.

Responsible for the options and for what a person sees. Refuses to compare anything itself:
`replay.regression` does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.status import Status

from recorder.capture.reader import Problem
from recorder.clock import format_time
from recorder.console import print_json, talk
from recorder.errors import ExitCode, UsageError
from replay.cli.selection import quiet_pipe
from replay.difference import difference_lines
from replay.regression.checking import CheckReport, FirstDifference, check
from replay.regression.differences import FirstOfKind, TypeTotals
from replay.regression.versus import VersusReport, compare_parsers

_PAYLOAD_SHOWN = 600
_EVENTS_SHOWN = 3
_LINES_SHOWN = 30
_KINDS_SHOWN = 20


@click.command("check")
@click.argument(
    "captures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CAPTURE..."
)
@click.option("--update", is_flag=True, help="Show what changed, then write the expectation anew.")
@click.option(
    "--expect",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The expectation, or a directory with one NAME.json for each capture NAME. "
    "[expected.json in the capture]",
)
@click.option(
    "--figures",
    is_flag=True,
    help="With --update: keep counts and digests only, nothing of the events themselves.",
)
@click.option(
    "--against",
    metavar="PARSER",
    help="Compare this parser with another one instead, each in a process of its own: MODULE:NAME, "
    "or a git revision of this package.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the reports as one JSON array.")
def check_command(
    captures: tuple[Path, ...],
    *,
    update: bool,
    expect: Path | None,
    figures: bool,
    against: str | None,
    as_json: bool,
) -> ExitCode:
    """Tell whether captures still parse to the events that were expected.

    Prints the first frame whose events differ, both versions field by field, then totals. Ends
    with 1 where anything differs.

    \b
        replay check captures/btc --update        # expect what it means now
        replay check captures/btc                 # after a change of the parser, or an upgrade
        replay check captures/btc --against HEAD~3
        replay check captures/btc --against mypackage.parsing:Parser
    """
    if against is not None and (update or expect is not None):
        raise UsageError(
            "expected either --against or an expectation (--expect, --update), received both"
        )
    if figures and not update:
        raise UsageError("expected --figures together with --update, received it alone")
    if expect is not None and not expect.is_dir() and len(captures) > 1:
        raise UsageError(
            f"expected a directory at {expect} for {len(captures)} captures, one NAME.json for "
            f"each; make it, or check one capture at a time"
        )
    reports: list[CheckReport | VersusReport] = []
    for capture in captures:
        if against is not None:
            with progress_of(f"comparing over {capture}") as progress:
                versus = compare_parsers(capture, against, progress=progress)
            reports.append(versus)
            lines = _versus_lines(versus)
        else:
            with progress_of(f"checking {capture}") as progress:
                report = check(
                    capture,
                    expect=expect,
                    update=update,
                    figures_only=figures,
                    announce=None if as_json else _announce,
                    progress=progress,
                )
            reports.append(report)
            lines = iter([_written(report)] if report.updated else _lines(report))
        if not as_json:
            _show(lines)
    if as_json:
        print_json(reports)
    return max((report.exit_code for report in reports), default=ExitCode.DONE)


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[int], None] | None]:
    """Show on a terminal how many frames have been read."""
    if not sys.stderr.isatty():
        yield None
        return
    with Status(what, console=talk) as status:
        yield lambda frames: status.update(f"{what}: {frames:,} frames")


def _show(lines: Iterator[str]) -> None:
    with quiet_pipe():
        for line in lines:
            click.echo(line)


def _announce(report: CheckReport) -> None:
    """Show what changes, before it is written."""
    if not report.new:
        _show(_lines(report))


def _written(report: CheckReport) -> str:
    return (
        f"{report.capture}: {report.frames:,} frames, {report.events:,} events; expectation "
        f"written to {report.expectation}"
    )


def _lines(report: CheckReport) -> Iterator[str]:
    name = report.capture
    if report.other_frames is not None:
        yield f"{name}: {report.other_frames}; --update accepts the frames it holds now"
    elif report.ok:
        yield f"{name}: as expected: {report.frames:,} frames, {report.events:,} events"
    else:
        yield (
            f"{name}: {_differing(report)} of {report.frames:,} frames differ "
            f"(parser {report.parser_version}, expected from parser "
            f"{report.expected_parser_version})"
        )
        yield from difference_report(report.first, report.totals, report.kinds)
        for field, (before, after) in report.integrity.items():
            yield f"integrity: {field} expected {before:,}, found {after:,}"
    yield from problem_lines(report.problems)


def _versus_lines(report: VersusReport) -> Iterator[str]:
    differing = f"{report.frames_differing:,}" if report.frames_differing else "none"
    yield f"{report.capture}: {differing} of {report.frames:,} frames differ"
    for parser in (report.against, report.this):
        version = "" if parser.version is None else f", version {parser.version}"
        yield (
            f"  {parser.name}{version}: {parser.events:,} events, "
            f"{parser.frames_per_second:,.0f} frames/s"
        )
    yield from difference_report(
        report.first, report.totals, report.kinds, (report.against.name[:20], "this parser")
    )
    yield from problem_lines(report.problems)


def problem_lines(problems: list[Problem]) -> Iterator[str]:
    """Yield a line for each part of a capture that could not be read."""
    for problem in problems:
        yield f"damage: {problem.file}: {problem.cause}; skipped"


def _differing(report: CheckReport) -> str:
    return f"{'at least ' if report.counted_in_blocks else ''}{report.frames_differing:,}"


def difference_report(
    first: FirstDifference | None,
    totals: dict[str, TypeTotals],
    kinds: list[FirstOfKind],
    names: tuple[str, str] = ("expected", "found"),
) -> Iterator[str]:
    """Yield lines for a person: the first frame, both versions of its events, then totals."""
    if first is not None:
        yield from _first_lines(first, names)
    if totals:
        yield ""
        yield "totals by event type"
        width = max(map(len, totals))
        for type_, total in sorted(totals.items()):
            yield f"  {type_:<{width}}  {_total(total)}"
    if kinds:
        yield ""
        yield "first frame of each kind of difference"
        for kind in kinds[:_KINDS_SHOWN]:
            yield f"  seq {kind.seq:<10} {kind.type} {kind.field}"
        if len(kinds) > _KINDS_SHOWN:
            yield f"  and {len(kinds) - _KINDS_SHOWN} more kinds: --json names all"


def _first_lines(first: FirstDifference, names: tuple[str, str]) -> Iterator[str]:
    about = " ".join(filter(None, (first.channel, first.instrument)))
    place = f"seq {first.seq}"
    if first.last_seq != first.seq:
        place = f"one of seq {first.seq} to {first.last_seq}, from"
    yield ""
    yield (
        f"first difference: {place}, {format_time(first.ts_recv)}, connection "
        f"{first.connection}, {first.kind} {about}".rstrip()
    )
    if first.last_seq == first.seq:
        cut = len(first.payload) > _PAYLOAD_SHOWN
        yield f"  {first.payload[:_PAYLOAD_SHOWN]}{' …' if cut else ''}"
    if not first.events:
        yield "  the expectation keeps figures only: no event to show beside the one of today"
    for event in first.events[:_EVENTS_SHOWN]:
        lines = difference_lines(event, names)
        yield from (f"  {line}" for line in lines[:_LINES_SHOWN])
        if len(lines) > _LINES_SHOWN:
            yield f"    and {len(lines) - _LINES_SHOWN} more lines: --json has them"
    if len(first.events) > _EVENTS_SHOWN:
        yield f"  and {len(first.events) - _EVENTS_SHOWN} more events of this frame"


def _total(total: TypeTotals) -> str:
    parts = []
    if total.changed:
        fields = sorted(total.fields.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{name} {count:,}" for name, count in fields)
        parts.append(f"{total.changed:,} changed ({told})")
    if total.missing:
        parts.append(f"{total.missing:,} missing")
    if total.added:
        parts.append(f"{total.added:,} added")
    return ", ".join(parts) or "changed"
