"""`recorder info`, `verify`, `recover`: look after a capture.

Responsible for how the answers look to a person and as JSON. Refuses to compute any of them:
that is `capture.info`, `capture.verify` and `capture.recover`.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

from recorder.capture.info import CaptureInfo
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.covered import CoverageReport, coverage_of
from recorder.capture.recover import recover
from recorder.capture.verify import VerifyReport, verify
from recorder.cli.words import count_text, problem_sentence, size_text, span_text
from recorder.clock import format_time
from recorder.console import TIME, Output, print_json, say, talk, time_or_dash
from recorder.errors import ExitCode, UsageError
from recorder.okx.election.figures import LinkFigures
from recorder.okx.novelty import Novelty
from recorder.okx.validation import RULES

_CAUSES = {"begin": "not begun", "end": "nothing later", "gap": "sequence gap"}

_COMPARED = ("match", "mismatch", "unproven")
"""How comparisons of a book with the venue's own can end; see `okx.chains.Integrity`."""


@click.command("info")
@click.argument("capture", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option(
    "--coverage", is_flag=True, help="Say also when each argument was received, and the holes."
)
@click.option("--start", type=TIME, metavar="T", help="With --coverage: from this time.")
@click.option("--end", type=TIME, metavar="T", help="With --coverage: to this time.")
def info_command(
    capture: str,
    as_json: bool,  # noqa: FBT001 - a click flag
    coverage: bool,  # noqa: FBT001
    start: int | None,
    end: int | None,
) -> ExitCode:
    """Say what a capture holds: frames, time, channels, losses, sizes, digest.

    CAPTURE is a directory, or a folder of an object store: s3://bucket/prefix.

    Reads the metadata of sealed segments and interprets the journal at the end; works while the
    capture is being recorded. With --coverage it reads every frame of the time asked for.
    """
    if not coverage and (start is not None or end is not None):
        raise UsageError("expected --coverage beside --start and --end; add it")
    opened = Capture(capture)
    info = opened.info()
    covered = _coverage_of(opened, start, end) if coverage else None
    if as_json:
        extra = {} if covered is None else {"coverage": covered}
        print_json({**msgspec.structs.asdict(info), **extra})
    else:
        _print_info(info)
        if covered is not None:
            _print_coverage(covered)
    for problem in info.problems:
        say(f"damage: {problem_sentence(problem)}")
    if _is_unfinished(info):
        say(
            "warning: the last recorder did not end cleanly; what it received last may be lost, "
            f"`recorder recover {info.path}` seals the rest and declares it"
        )
    return info.exit_code


@click.command("verify")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify_command(capture: Path, as_json: bool) -> ExitCode:  # noqa: FBT001 - a click flag
    """Read everything and check it: hashes, digests, numbers, checkpoints, book chains.

    Changes nothing. Exit code 0: whole; 1: a problem, named on standard output; 3: whole, with
    losses that the recorder declared.
    """
    with talk.status("verifying") as status:
        report = verify(
            capture, progress=lambda frames: status.update(f"verifying: {frames:,} frames")
        )
    if as_json:
        print_json(report)
    else:
        _print_verify(report)
    return report.exit_code


@click.command("recover")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def recover_command(capture: Path, as_json: bool) -> ExitCode:  # noqa: FBT001 - a click flag
    """Finish what a dead recorder left: keep everything whole, name what is missing.

    `recorder record --append` does the same by itself. Damaged bytes are set aside in
    quarantine/, never deleted. A second run finds nothing to do. Exit code 0: done; 3: done, with
    losses now declared; 1: a sealed segment is damaged or missing, which no recovery can repair.
    """
    started = time.monotonic()
    report = recover(capture)
    seconds = time.monotonic() - started
    if as_json:
        print_json({**msgspec.structs.asdict(report), "seconds": round(seconds, 3)})
    elif report.segments or report.frames or report.bytes_cut or report.holes or report.quarantined:
        kept, cut = count_text(report.frames, "frame"), count_text(report.bytes_cut, "byte")
        say(f"recovered {kept}, cut {cut}, {count_text(report.holes, 'hole')}, {seconds:.1f} s")
        for path in report.quarantined:
            say(f"set aside: {path}")
    elif not report.problems:
        say(f"nothing to recover in {capture}: it was ended cleanly, or recovered before")
    for problem in report.problems:
        say(f"damage: {problem_sentence(problem)}")
    if report.problems:
        say("what was sealed cannot be recovered: restore those files from a copy")
    return report.exit_code


def _coverage_of(capture: Capture, start: int | None, end: int | None) -> CoverageReport:
    with talk.status("reading") as status:
        return coverage_of(
            capture,
            start=start,
            end=end,
            report=ReadReport(),
            progress=lambda frames: status.update(f"reading: {frames:,} frames"),
        )


def _print_coverage(report: CoverageReport) -> None:
    out = Output()
    out.print()
    out.print(f"received from {format_time(report.start)} to {format_time(report.end)}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # Times of day where the window lies within one.
    first, last = format_time(report.start), format_time(report.end)
    shown = slice(11, 23) if first[:10] == last[:10] else slice(0, 19)
    for name in ("received", "holes", "longest", "from", "because", "argument"):
        is_number = name in ("received", "holes", "longest")
        is_name = name == "argument"
        justify: JustifyMethod = "right" if is_number else "left"
        table.add_column(name, justify=justify, no_wrap=not is_name, overflow="fold")
    for one in report.arguments:
        longest = max(one.holes, key=lambda hole: hole.end - hole.start, default=None)
        share = f"{math.floor(one.share * 10_000) / 100:.2f} %" if one.holes else "all"
        argument = f"{one.channel}:{one.subject}" if one.subject else one.channel
        row = [share, f"{len(one.holes):,}"]
        row += (
            ["", "", ""]
            if longest is None
            else [
                span_text(longest.end - longest.start).strip("()"),
                format_time(longest.start)[shown],
                _CAUSES.get(longest.cause, longest.cause),
            ]
        )
        table.add_row(*row, argument)
    out.print(table)


def _link(item: LinkFigures) -> str:
    """Return how a redundant link fared, in words."""
    lag = ""
    if item.lag_p50_ms is not None:
        lag = f" {item.lag_p50_ms:,.1f} ms behind (99 %: {item.lag_p99_ms:,.1f} ms)"
    return (
        f"first with {item.first:,}, {item.copies:,} copies{lag}; missed {item.missed:,}, "
        f"{item.late:,} too late; alone for {item.alone_s:,.1f} of {item.open_s:,.1f} s"
    )


def _print_info(info: CaptureInfo) -> None:
    out = Output()
    facts = Table.grid(padding=(0, 3))
    facts.add_column(style="bold")
    facts.add_column()
    span = "" if info.start is None or info.end is None else span_text(info.end - info.start)
    on_disk = info.disk_bytes + info.journal_bytes
    # A journal is larger than what it holds, until it is sealed: no ratio to tell then.
    is_smaller = 0 < on_disk < info.raw_bytes
    ratio = f", {info.raw_bytes / on_disk:.1f} times smaller" if is_smaller else ""
    state = (
        "recording now" if info.recording else "unfinished" if _is_unfinished(info) else "closed"
    )
    rows: list[tuple[str, str]] = [
        ("capture", f"{info.path} ({info.venue}, {state})"),
        ("note", info.note or "-"),
        ("start", time_or_dash(info.start)),
        ("end", f"{time_or_dash(info.end)}  {span}"),
        ("frames", f"{info.frames:,} ({info.journal_frames:,} in the journal)"),
        ("events", f"{info.events:,} ({info.unrecognized:,} unrecognized)"),
        (
            "segments",
            f"{info.segments:,} sealed, {count_text(info.runs, 'run')}, "
            f"{count_text(info.connections, 'connection')}",
        ),
        ("gaps, lost", f"{count_text(info.gaps, 'gap')}, {_losses(info)}"),
        ("size", f"{size_text(info.raw_bytes)} of payloads, {size_text(on_disk)} on disk{ratio}"),
        ("checkpoints", size_text(info.checkpoint_bytes)),
        ("digest", info.input_digest or "unknown: a segment cannot be read"),
    ]
    if info.table_bytes:
        rows.insert(-1, ("tables", f"{size_text(info.table_bytes)}, made from the rest"))
    if info.origin is not None:
        rows.insert(2, ("made by", _origin(info.origin)))
    if info.expired is not None:
        gone = info.expired
        words = f"{count_text(gone.segments, 'segment')}, {count_text(gone.frames, 'frame')}"
        rows.append(("expired", f"{words} up to seq {gone.last_seq} ({size_text(gone.bytes)})"))
    rows += [(f"{item.endpoint} link {item.link}", _link(item)) for item in info.links]
    for name, value in rows:
        facts.add_row(name, value.rstrip())
    out.print_table(facts)
    if not info.channels:
        return
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold", title_justify="left")
    table.add_column("channel")
    for name in ("frames", "instruments", "payloads", "bytes/frame"):
        table.add_column(name, justify="right")
    for channel in info.channels:
        table.add_row(
            channel.name,
            f"{channel.frames:,}",
            f"{channel.instruments:,}",
            size_text(channel.bytes),
            f"{channel.bytes / channel.frames:,.0f}",
        )
    out.print()
    out.print_table(table)


def _print_verify(report: VerifyReport) -> None:
    out = Output()
    for problem in report.problems:
        out.print(f"problem: {problem_sentence(problem)}")
    checks, chain, books = report.checksums, report.sequence, report.integrity
    verdict = "whole" if report.ok else count_text(len(report.problems), "problem")
    if report.ok and report.lost_rows:
        verdict = f"whole, with {count_text(report.lost_rows, 'declared loss', 'declared losses')}"
    rows: list[tuple[str, str]] = [
        ("verdict", verdict),
        (
            "frames",
            f"{report.frames:,} in {count_text(report.segments, 'sealed segment')} and "
            f"{count_text(report.journals, 'journal')}",
        ),
        ("events", f"{report.events:,} ({report.unrecognized:,} unrecognized)"),
        (
            "book chains",
            f"{count_text(chain['links'], 'link')}, {count_text(chain['gaps'], 'gap')}, "
            f"{count_text(chain['resets'], 'reset')}",
        ),
        (
            "checksums",
            f"{checks['match']:,} match, {checks['mismatch']:,} mismatch, "
            f"{checks['absent']:,} absent",
        ),
    ]
    if any(books.get(f"books_{found}") for found in _COMPARED):
        found = ", ".join(f"{books.get(f'books_{name}', 0):,} {name}" for name in _COMPARED)
        rows.append(("books by REST", found))
    rows.append(("checkpoints", f"{report.checkpoints:,} compared or read"))
    if report.expired:
        rows.append(("expired", f"{count_text(report.expired, 'frame')}, let go by retention"))
    rows.append(("digest", report.input_digest or "-"))
    facts = Table.grid(padding=(0, 3))
    facts.add_column(style="bold")
    facts.add_column()
    for name, value in rows:
        facts.add_row(name, value)
    out.print_table(facts)
    if report.validation:
        _print_validation(out, report.validation)
    if report.new_fields:
        _print_new_fields(out, report.new_fields)


def _print_validation(out: Output, counts: dict[str, int]) -> None:
    """Say what a market would not do, most first; it is no problem of the capture."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("market data", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("what was seen; the bytes are as the venue sent them")
    for rule, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(rule, f"{count:,}", RULES.get(rule, ""))
    out.print()
    out.print_table(table)


def _print_new_fields(out: Output, novelties: list[Novelty]) -> None:
    """Say what the venue sends that no type knows; it is recorded all the same."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("new in channel", no_wrap=True)
    table.add_column("what; events leave it out, the frames hold it")
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("first seq", justify="right", no_wrap=True)
    for new in novelties:
        table.add_row(escape(new.channel), escape(new.what), f"{new.count:,}", f"{new.first_seq:,}")
    out.print()
    out.print_table(table)


def _origin(origin: dict[str, Any]) -> str:
    """Return what a slice or a merge was made of, e.g. `slice of 1b2c3d4e`."""
    sources = origin.get("sources") or []
    ids = [str(item.get("id", "?"))[:8] for item in sources if isinstance(item, dict)]
    return f"{origin.get('made_by', '?')} of {', '.join(ids)}"


def _is_unfinished(info: CaptureInfo) -> bool:
    """Say whether a recorder ended without sealing: a clean end leaves no journal behind."""
    return not info.recording and (info.torn_tail or info.journal_frames > 0)


def _losses(info: CaptureInfo) -> str:
    if not info.lost_rows:
        return "no losses declared"
    return f"{count_text(info.lost_rows, 'loss', 'losses')} ({info.lost:,} frames known)"
