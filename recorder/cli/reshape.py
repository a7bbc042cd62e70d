"""`recorder seal`, `compact`, `slice`, `merge`: other files, or another capture, of what is there.

Responsible for the options and for one line about what was done. Refuses to touch a frame: that
is `capture.finish`, `capture.reshape.compact`, `capture.reshape.slice` and `capture.reshape.merge`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from recorder.capture.expiry.retention import GRACE_S
from recorder.capture.finish import seal_journals
from recorder.capture.reshape.compact import LEVEL, SPAN_S, compact
from recorder.capture.reshape.merge import merge_captures
from recorder.capture.reshape.slice import slice_capture
from recorder.cli.words import count_text, problem_sentence, size_text, span_text
from recorder.console import TIME, print_json, say, talk
from recorder.errors import ExitCode, UsageError

_LEVEL_MAX = 22
_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output."
)


@click.command("seal")
@click.argument("capture", type=click.Path(path_type=Path))
@_json
def seal_command(capture: Path, as_json: bool) -> ExitCode:  # noqa: FBT001 - a click flag
    """Seal what lies whole in the journals of a capture that nobody records.

    Adds nothing and cuts nothing: journals that need either are named and left for `recorder
    recover`. Exit code 0: all is sealed; 1: something is left.
    """
    with _told("sealing") as show:
        report = seal_journals(capture, progress=show)
    if as_json:
        print_json(report)
    elif report.segments:
        say(
            f"sealed {count_text(report.segments, 'segment')} with "
            f"{count_text(report.frames, 'frame')}"
        )
    elif not report.left:
        say(f"nothing to seal in {capture}: its journals are sealed already")
    for problem in report.problems:
        say(f"damage: {problem_sentence(problem)}")
    if report.left:
        say(f"left for `recorder recover {capture}`: {', '.join(report.left)}")
    return report.exit_code


@click.command("compact")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option(
    "--span",
    type=click.FloatRange(min=0, min_open=True),
    default=SPAN_S,
    show_default=True,
    metavar="SECONDS",
    help="Data time one file may hold; a file never crosses a UTC date.",
)
@click.option(
    "--level",
    type=click.IntRange(1, _LEVEL_MAX),
    default=LEVEL,
    show_default=True,
    metavar="N",
    help="zstd level: higher is smaller and slower to write.",
)
@click.option(
    "--wait/--no-wait",
    default=True,
    help=f"Stay the {GRACE_S:g} s until the originals may be removed, or leave them to the next "
    f"compaction.  [default: wait]",
)
@_json
def compact_command(
    capture: Path,
    span: float,
    level: int,
    wait: bool,  # noqa: FBT001 - a click flag
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Join sealed segments into files of up to an hour, smaller and quicker to query.

    Works beside a recorder and beside readers. Frames, order and digests stay; an original is
    removed only after the joined file was read back, and not while somebody reads it.
    """
    with _told("compacting") as show:
        report = compact(
            capture,
            clock=time.time_ns,
            sleep=time.sleep,
            span_s=span,
            level=level,
            wait=wait,
            progress=show,
        )
    if as_json:
        print_json(report)
    elif report.joined:
        saved = 1 - report.bytes_after / report.bytes_before if report.bytes_before else 0.0
        say(
            f"joined {count_text(report.segments, 'segment')} into "
            f"{count_text(report.joined, 'file')}: {size_text(report.bytes_before)} became "
            f"{size_text(report.bytes_after)} ({saved:.0%} less)"
        )
    elif not report.problems:
        say(f"nothing to join in {capture}")
    if report.waiting and not as_json:
        say(
            f"{count_text(report.waiting, 'original')} still there: in use, or listed less than "
            f"{GRACE_S:g} s ago; the next `recorder compact {capture}` removes them"
        )
    for problem in report.problems:
        say(f"damage: {problem_sentence(problem)}")
    return report.exit_code


@click.command("slice")
@click.argument("capture", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--start", type=TIME, metavar="T", help="From the first frame received at or after this time."
)
@click.option(
    "--end", type=TIME, metavar="T", help="To before the first later frame at or after this time."
)
@click.option("--first-seq", type=click.IntRange(min=0), metavar="N", help="From this number on.")
@click.option("--last-seq", type=click.IntRange(min=0), metavar="N", help="Up to this number.")
@click.option(
    "--channel", "channels", multiple=True, metavar="NAME", help="Only this one; again for more."
)
@click.option(
    "--instrument", "instruments", multiple=True, metavar="ID", help="Only this; again for more."
)
@_json
def slice_command(
    capture: Path,
    out: Path,
    start: int | None,
    end: int | None,
    first_seq: int | None,
    last_seq: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Write a part of CAPTURE as a capture OUT of its own, whose books are right from the start.

    Times are RFC 3339 or ns. Frames that name no channel or instrument (connections, answers,
    losses) stay. The slice begins with a checkpoint, is verified, and keeps its numbers unless
    frames are left out by channel or instrument.
    """
    if start is not None and end is not None and start > end:
        raise UsageError("expected --start before --end, received them the other way; swap them")
    if first_seq is not None and last_seq is not None and first_seq > last_seq:
        raise UsageError("expected --first-seq up to --last-seq, received a greater one; swap them")
    with _told("slicing") as show:
        report = slice_capture(
            capture,
            out,
            start=start,
            end=end,
            first_seq=first_seq,
            last_seq=last_seq,
            channels=channels or None,
            instruments=instruments or None,
            progress=show,
        )
    if as_json:
        print_json(report)
    else:
        numbers = "numbered anew" if report.renumbered else "numbers kept"
        say(_made(report.frames, report.start, report.end, out, numbers))
    return ExitCode.LOSS if report.lost_rows else ExitCode.DONE


@click.command("merge")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--elect",
    is_flag=True,
    help="They recorded the same: make their sockets redundant links of one capture.",
)
@click.option(
    "--skew",
    type=float,
    metavar="SECONDS",
    help="With --elect: how far the clock of the one with the larger id was ahead. "
    "[what common pushes say]",
)
@_json
def merge_command(
    first: Path,
    second: Path,
    out: Path,
    elect: bool,  # noqa: FBT001 - a click flag
    skew: float | None,
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Write every frame of two captures as one capture OUT, in the order they were received.

    Each keeps its own order; the connections of SECOND are numbered after those of FIRST. What
    both recorded is there twice: nothing is chosen. With --elect it is stored twice as well, and
    whoever reads gets one stream of both; docs/redundancy.md.
    """
    if skew is not None and not elect:
        raise UsageError("expected --skew with --elect, received it alone; add --elect")
    skew_ns = None if skew is None else round(skew * 1_000_000_000)
    with _told("merging") as show:
        report = merge_captures(first, second, out, elect=elect, skew_ns=skew_ns, progress=show)
    if as_json:
        print_json(report)
    else:
        note = f"connections of {report.sources[1]} from {report.connections_from}"
        if (common := report.elected) is not None:
            note += (
                f", its clock {common.skew_ns / 1e6:,.3f} ms ahead by {common.pushes:,} common "
                f"pushes"
            )
        say(_made(report.frames, report.start, report.end, out, note))
    return ExitCode.LOSS if report.lost_rows else ExitCode.DONE


def _made(frames: int, start: int | None, end: int | None, out: Path, note: str) -> str:
    span = ""
    if start is not None and end is not None:
        span = f" {span_text(end - start)}"
    return f"wrote {count_text(frames, 'frame')}{span} to {out} ({note})"


@contextmanager
def _told(what: str) -> Iterator[Callable[[int], None]]:
    """Say on a terminal how far it is; give the function that is told the frames so far."""
    with talk.status(what) as status:
        yield lambda frames: status.update(f"{what}: {frames:,} frames")
