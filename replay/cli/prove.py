"""`replay prove`: hold every way to the events of a capture against the others.

Responsible for the options, for the surroundings of the processes it starts, and for telling a
person what differs. Refuses to compare: `replay.proving.proof`.
"""

from __future__ import annotations

import locale
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from recorder.clock import format_time
from recorder.console import TIME, print_json, say
from recorder.errors import ExitCode, UsageError
from recorder.event import encode_event
from replay.cli.selection import quiet_pipe
from replay.difference import PAYLOAD_SHOWN, difference_lines
from replay.proving.evidence import Check, ProofReport
from replay.proving.proof import digests_of, events_of, prove

_SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "yellow")}

_NAME_COLUMNS = 58


@click.command("prove")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--start", type=TIME, metavar="T", help="From this receive time on. [the beginning]")
@click.option("--end", type=TIME, metavar="T", help="To before this receive time. [the end]")
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True),
    metavar="OTHER",
    help="Compare with this capture, or with digests that --digests printed, and nothing else.",
)
@click.option(
    "--digests",
    is_flag=True,
    help="Compare nothing; print the digests of this window as JSON, to be kept, or compared on "
    "another machine.",
)
@click.option(
    "--no-processes", is_flag=True, help="Start no processes of other hash seed, zone and locale."
)
@click.option(
    "--no-forms",
    is_flag=True,
    help="Do not write the frames anew as journal, sealed, recovered and compacted.",
)
@click.option("--events-of", "block", type=int, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def prove_command(
    capture: Path,
    start: int | None,
    end: int | None,
    against: Path | None,
    block: int | None,
    *,
    digests: bool,
    no_processes: bool,
    no_forms: bool,
    as_json: bool,
) -> ExitCode:
    """Prove that a capture gives the same events whichever way they are asked for.

    It is read from its first frame on, and block digests of all frames and events are made. Then
    it is streamed, played at several speeds, steered, begun in the middle, filtered; read by
    processes of another hash seed, time zone and locale; and its frames are written anew as a
    journal, killed and recovered, sealed, and compacted. What the recorder noted of the events it
    delivered live is compared, too. Where two ways differ, the first differing frame is shown with
    both events, field by field, and the exit code is 1.
    """
    if digests or block is not None:
        with suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, "")  # on purpose: none of it may matter
        with quiet_pipe():
            if block is None:
                print_json(digests_of(capture, start, end))
            else:
                for event in events_of(capture, start, end, block):
                    sys.stdout.buffer.write(encode_event(event) + b"\n")
        return ExitCode.DONE
    if against is not None and against.resolve() == capture.resolve():
        raise UsageError(
            f"expected something else than {capture} to compare it with, received it again; leave "
            f"--against out to hold its own ways against each other"
        )
    report = prove(
        capture,
        start=start,
        end=end,
        against=against,
        environment=None if no_processes else os.environ,
        rewrite=not no_forms,
        sleep=time.sleep,
        on_check=(lambda check: None) if as_json else _tell,
    )
    with quiet_pipe():
        if as_json:
            print_json(report)
        else:
            _conclude(report)
    return report.exit_code


def _tell(check: Check) -> None:
    """Say a check as it ends."""
    sign, colour = _SIGNS[check.ok]
    line = click.style(sign, fg=colour) + f" {check.name:<{_NAME_COLUMNS}}"
    click.echo(f"{line}  {click.style(check.note, dim=True)}".rstrip())
    if check.frame is not None:
        shown = str(check.frame.get("payload", check.frame.get("payload_hex", "")))
        cut = " …" if len(shown) > PAYLOAD_SHOWN else ""
        click.echo(
            f"    first differing frame: seq {check.frame['seq']}, "
            f"{format_time(check.frame['ts_recv'])}, {check.frame['kind']}, connection "
            f"{check.frame['connection']}\n    {shown[:PAYLOAD_SHOWN]}{cut}"
        )
    if check.difference is not None:
        for line in difference_lines(check.difference, ("expected", "found")):
            click.echo(f"    {line}")
    sys.stdout.flush()


def _conclude(report: ProofReport) -> None:
    tried = [check for check in report.checks if check.ok is not None]
    differ = sum(check.ok is False for check in tried)
    click.echo(f"\nframes  {report.frames:>12,}  {report.input_digest}")
    click.echo(f"events  {report.events:>12,}  {report.output_digest}")
    if not tried:
        say("note: nothing could be compared")
    elif differ:
        say(f"error: {differ} of {len(tried)} ways differ")
    else:
        click.secho(f"all {len(tried)} ways agree", bold=True)
