"""`replay tables`: make the derived tables of a capture, once or while it is recorded.

Responsible for the options and for what a person sees. Refuses to make any: `replay.derived` does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.status import Status

from recorder.capture.derived import remove_tables
from recorder.capture.place import on_disk
from recorder.capture.reader import Capture
from recorder.console import print_json, say, talk
from recorder.errors import ExitCode
from replay.derived.making import Progress, TablesReport, make_tables


@click.command("tables")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="NAME",
    help="Only this view (repeatable). [every view that is made of events]",
)
@click.option("--follow", is_flag=True, help="Go on with every new segment until it is recorded.")
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=64),
    help="Processes at once. [one for each processor, at most 4]",
)
@click.option("--remove", is_flag=True, help="Remove all tables instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def tables_command(
    capture: Path,
    *,
    views: tuple[str, ...],
    follow: bool,
    workers: int | None,
    remove: bool,
    as_json: bool,
) -> ExitCode:
    """Make the rows of the views ahead, as Parquet, so that queries need not parse.

    For every sealed segment that has none yet, or an old one. Queries use what is fresh and ask
    the frames for the rest: the results are the same. Tables may be removed at any time.

    \b
        replay tables captures/btc
        replay tables captures/btc --follow --view trades --view bbo
        replay query captures/btc "from ohlcv(interval '1 minute')"
    """
    if remove:
        root = on_disk(Capture(capture).path, "given tables")
        freed = remove_tables(root, lambda _segment: True)
        say(f"removed {freed:,} bytes of tables")
        return ExitCode.DONE
    if follow:
        os.nice(10)  # it works beside a recorder
    started = time.perf_counter()
    with _stopping() as stop, _progress(capture) as show:
        report = make_tables(
            capture,
            views=views or None,
            follow=follow,
            workers=workers,
            should_stop=stop.is_set,
            progress=show,
        )
    seconds = time.perf_counter() - started
    for skipped in report.skipped:
        say(f"skipped segment {skipped.segment}: {skipped.reason}")
    if as_json:
        print_json(report)
    else:
        _show(report, seconds)
    left = report.segments - report.built - report.fresh - len(report.skipped)
    if stop.is_set() and left > 0 and not follow:
        raise KeyboardInterrupt  # not done: 130, as everywhere; what is made stays
    return report.exit_code


def _show(report: TablesReport, seconds: float) -> None:
    for name, made in report.views.items():
        size = made.bytes / made.rows
        click.echo(f"{name:24} {made.rows:>12,} rows {made.bytes:>14,} bytes {size:>8.1f} a row")
    rate = f", {report.frames / seconds:,.0f} frames/s" if report.frames else ""
    removed = f", {report.removed_bytes:,} old bytes removed" if report.removed_bytes else ""
    click.echo(
        f"{report.built} of {report.segments} segments made, {report.fresh} fresh already: "
        f"{report.rows:,} rows, {report.bytes:,} bytes in {seconds:.1f} s{rate}{removed}"
    )


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM end it in good order; a second one ends it at once."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(capture: Path) -> Iterator[Progress]:
    """Show on a terminal how far it is."""
    if not sys.stderr.isatty():
        yield lambda _report, _left: None
        return
    with Status(f"looking at {capture}", console=talk) as status:
        yield lambda report, left: status.update(
            f"tables of {capture}: {report.built:,} segments, {report.rows:,} rows made, "
            f"{left:,} segments to go"
        )
