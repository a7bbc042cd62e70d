"""`replay distill`: the smallest capture that still shows everything a large one does.

Responsible for the options and for what a person sees. Refuses to choose frames:
`replay.regression` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.status import Status

from recorder.console import print_json, say, talk
from recorder.errors import ExitCode
from replay.regression.distillation import EFFORT, DistillReport, Progress, distill

_MISSING_SHOWN = 10


@click.command("distill")
@click.argument(
    "captures", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CAPTURE..."
)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--redact",
    is_flag=True,
    help="Mask account data: numbers, ids and names in the pushes of an account, the machine.",
)
@click.option(
    "--effort",
    type=click.IntRange(min=0),
    default=EFFORT,
    show_default=True,
    metavar="N",
    help="How many frames may be gone over while frames are left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a report as JSON.")
def distill_command(
    captures: tuple[Path, ...], out: Path, *, redact: bool, effort: int, as_json: bool
) -> ExitCode:
    """Write the smallest capture OUT that still covers every shape, word and parser branch seen.

    What is kept is measured on the written capture; the command ends with 1 if anything of it is
    missing. Frames are numbered anew, and books are whole where they were.
    """
    if sys.stderr.isatty():
        with Status("distilling", console=talk) as status:
            report = distill(
                captures, out, redact=redact, effort=effort, progress=_shown_in(status)
            )
    else:
        report = distill(captures, out, redact=redact, effort=effort)
    if as_json:
        print_json(report)
    else:
        _say(report)
    return ExitCode.DONE if report.is_complete else ExitCode.FAILED


def _shown_in(status: Status) -> Progress:
    return lambda what, frames: status.update(f"{what} {frames:,} frames")


def _say(report: DistillReport) -> None:
    share = report.frames / report.of_frames
    say(
        f"{report.path}: {report.frames:,} of {report.of_frames:,} frames ({share:.2%}), "
        f"{report.bytes:,} of {report.of_bytes:,} bytes"
    )
    kept, of = report.covered, report.of
    say(
        f"covers {kept.shapes:,} of {of.shapes:,} shapes, {kept.values:,} of {of.values:,} words, "
        f"{kept.events:,} of {of.events:,} event types, {kept.branches:,} of {of.branches:,} "
        f"branches"
    )
    if report.redacted:
        say(f"{report.redacted:,} frames masked")
    for name in report.missing[:_MISSING_SHOWN]:
        say(f"missing: {name}")
    if len(report.missing) > _MISSING_SHOWN:
        say(f"and {len(report.missing) - _MISSING_SHOWN} more: --json names all")
