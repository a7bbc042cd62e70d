"""`recorder info`, `verify`, `recover`: look after a capture.

Responsible for how the answers look to a person and as JSON. Refuses to compute any of them:
that is `capture.info`, `capture.verify` and `capture.recover`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table

from recorder.capture.info import CaptureInfo
from recorder.capture.reader import Capture
from recorder.capture.recover import recover
from recorder.capture.serve import Problem
from recorder.capture.verify import VerifyReport, verify
from recorder.console import Output, print_json, say, talk, time_or_dash
from recorder.errors import ExitCode

_UNITS = ("B", "kB", "MB", "GB", "TB")


@click.command("info")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def info_command(capture: Path, as_json: bool) -> ExitCode:  # noqa: FBT001 - a click flag
    """Say what a capture holds: frames, time, channels, losses, sizes, digest.

    Reads the metadata of sealed segments and interprets the journal at the end; works while the
    capture is being recorded.
    """
    info = Capture(capture).info()
    if as_json:
        print_json(info)
    else:
        _print_info(info)
    for problem in info.problems:
        say(f"damage: {_sentence(problem)}")
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
        say(
            f"recovered {_count(report.frames, 'frame')}, cut {_count(report.bytes_cut, 'byte')}, "
            f"{_count(report.holes, 'hole')}, {seconds:.1f} s"
        )
        for path in report.quarantined:
            say(f"set aside: {path}")
    elif not report.problems:
        say(f"nothing to recover in {capture}: it was ended cleanly, or recovered before")
    for problem in report.problems:
        say(f"damage: {_sentence(problem)}")
    if report.problems:
        say("what was sealed cannot be recovered: restore those files from a copy")
    return report.exit_code


def _print_info(info: CaptureInfo) -> None:
    out = Output()
    facts = Table.grid(padding=(0, 3))
    facts.add_column(style="bold")
    facts.add_column()
    span = "" if info.start is None or info.end is None else _duration(info.end - info.start)
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
            f"{info.segments:,} sealed, {_count(info.runs, 'run')}, "
            f"{_count(info.connections, 'connection')}",
        ),
        ("gaps, lost", f"{_count(info.gaps, 'gap')}, {_losses(info)}"),
        ("size", f"{_size(info.raw_bytes)} of payloads, {_size(on_disk)} on disk{ratio}"),
        ("checkpoints", _size(info.checkpoint_bytes)),
        ("digest", info.input_digest or "unknown: a segment cannot be read"),
    ]
    for name, value in rows:
        facts.add_row(name, value.rstrip())
    out.print(facts)
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
            _size(channel.bytes),
            f"{channel.bytes / channel.frames:,.0f}",
        )
    out.print()
    out.print(table)


def _print_verify(report: VerifyReport) -> None:
    out = Output()
    for problem in report.problems:
        out.print(f"problem: {_sentence(problem)}")
    checks, chain = report.checksums, report.sequence
    verdict = "whole" if report.ok else _count(len(report.problems), "problem")
    if report.ok and report.lost_rows:
        verdict = f"whole, with {_count(report.lost_rows, 'declared loss', 'declared losses')}"
    facts = Table.grid(padding=(0, 3))
    facts.add_column(style="bold")
    facts.add_column()
    rows: list[tuple[str, Any]] = [
        ("verdict", verdict),
        (
            "frames",
            f"{report.frames:,} in {_count(report.segments, 'sealed segment')} and the journal",
        ),
        ("events", f"{report.events:,} ({report.unrecognized:,} unrecognized)"),
        (
            "book chains",
            f"{_count(chain['links'], 'link')}, {_count(chain['gaps'], 'gap')}, "
            f"{_count(chain['resets'], 'reset')}",
        ),
        (
            "checksums",
            f"{checks['match']:,} match, {checks['mismatch']:,} mismatch, "
            f"{checks['absent']:,} absent",
        ),
        ("digest", report.input_digest or "-"),
    ]
    for name, value in rows:
        facts.add_row(name, value)
    out.print(facts)


def _sentence(problem: Problem) -> str:
    where = "" if problem.segment is None else f" (segment {problem.segment}"
    if where and problem.first_seq is not None:
        last = "?" if problem.last_seq is None else str(problem.last_seq)
        where += f", seq {problem.first_seq} to {last}"
    return f"{problem.file}{where}{')' if where else ''}: {problem.cause}"


def _count(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _is_unfinished(info: CaptureInfo) -> bool:
    """Say whether a recorder ended without sealing: a clean end leaves no journal behind."""
    return not info.recording and (info.torn_tail or info.journal_frames > 0)


def _losses(info: CaptureInfo) -> str:
    if not info.lost_rows:
        return "no losses declared"
    return f"{_count(info.lost_rows, 'loss', 'losses')} ({info.lost:,} frames known)"


def _size(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _duration(ns: int) -> str:
    seconds = ns / 1e9
    if seconds < 120:
        return f"({seconds:.1f} s)"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return "(" + " ".join(f"{n} {unit}" for n, unit in parts if n) + ")"
