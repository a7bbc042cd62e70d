"""Versus: two parsers over one capture, each in a process of its own.

Responsible for `compare_parsers(...)`: what differs per event type and field, the first frame of
each kind of difference, and the speed of both. Refuses to say which of the two is right.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from recorder.capture.batch import FrameBatch
from recorder.capture.reader import Capture, Problem, ReadReport
from recorder.errors import ExitCode
from replay.regression.checking import FirstDifference, first_difference
from replay.regression.differences import Differences, FirstOfKind, TypeTotals
from replay.regression.rival import Answer, Rival, revision_into

Progress = Callable[[int], None]

_BATCH_BYTES = 8 << 20


class ParserFigures(msgspec.Struct):
    """One of the two parsers: what it is, its version, its events and its speed.

    Attributes:
        seconds: spent in the parser itself; reading, JSON and pipes do not count.
    """

    name: str
    mode: str
    version: int | None
    events: int = 0
    seconds: float = 0.0
    frames_per_second: float = 0.0


class VersusReport(msgspec.Struct, kw_only=True):
    """What differs between the events of two parsers; the names are those of `CheckReport`."""

    capture: str
    ok: bool = True
    frames: int = 0
    frames_differing: int = 0
    against: ParserFigures
    this: ParserFigures
    first: FirstDifference | None = None
    totals: dict[str, TypeTotals] = msgspec.field(default_factory=dict)
    kinds: list[FirstOfKind] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 the same events, 1 any other."""
        return ExitCode.DONE if self.ok else ExitCode.FAILED


def compare_parsers(
    capture: str | os.PathLike[str], against: str, *, progress: Progress | None = None
) -> VersusReport:
    """Run this package's parser and another one over a capture.

    Args:
        against: `MODULE:NAME`, importable from the current directory, or a git revision of this
            package. What it names is a class or an object with `step(frame)`, which may give
            derived events as `Interpreter` does, or with `parse(frame)`, or a function of a frame.
            It returns events, or mappings of the same form.
        progress: called with the number of frames read so far.

    Raises:
        UsageError: there is no such parser. CheckFailed: its process ended or hangs.
    """
    opened = Capture(capture)
    opened = opened.pinned(opened.snapshot())
    first_seq = opened.snapshot().first_seq
    state = opened.interpreter_before(first_seq).save() if first_seq else None
    with ExitStack() as stack:
        if ":" in against:
            rival = stack.enter_context(Rival(against, state=state))
            name = against
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="okx-parser-")))
            name = f"{against} ({revision_into(against, folder)[:12]})"
            rival = stack.enter_context(Rival("step", folder, state))
        this = stack.enter_context(Rival(rival.mode, state=state))
        report = VersusReport(
            capture=str(capture),
            against=ParserFigures(name, rival.mode, rival.version),
            this=ParserFigures("this parser", this.mode, this.version),
        )
        _run(opened, rival, this, report, progress)
    return report


def _run(
    capture: Capture, rival: Rival, this: Rival, report: VersusReport, progress: Progress | None
) -> None:
    differences, reading = Differences(), ReadReport()
    first = None
    for batch in capture.batches(report=reading):
        for part in _parts(batch):
            frames = list(part.frames())
            rival.give(frames)
            this.give(frames)
            theirs, ours = rival.take(), this.take()
            _count(report.against, theirs)
            _count(report.this, ours)
            for frame, one, two in zip(frames, theirs.lines, ours.lines, strict=True):
                if differences.add(frame.seq, frame.ts_recv, one, two) and first is None:
                    first = first_difference(frame, frame.seq, differences.first)
            report.frames += len(frames)
        if progress is not None:
            progress(report.frames)
    for figures in (report.against, report.this):
        figures.frames_per_second = report.frames / figures.seconds if figures.seconds else 0.0
    report.frames_differing = differences.frames
    report.first, report.totals, report.kinds = first, differences.totals, differences.kinds
    report.problems += reading.problems
    report.ok = not differences.frames and not reading.problems


def _parts(batch: FrameBatch) -> list[FrameBatch]:
    """Cut a batch so that no part is longer than a few MiB, but for a single frame."""
    parts, begin, size = [], 0, 0
    for at, payload in enumerate(batch.payload):
        if size and size + len(payload) > _BATCH_BYTES:
            parts.append(batch.part(begin, at))
            begin, size = at, 0
        size += len(payload)
    parts.append(batch.part(begin, len(batch)))
    return parts


def _count(figures: ParserFigures, answer: Answer) -> None:
    figures.seconds += answer.spent / 1e9
    figures.events += sum(len(_events_in(line)) for line in answer.lines if line != b"[]")


def _events_in(line: bytes) -> list[msgspec.Raw]:
    return msgspec.json.decode(line, type=list[msgspec.Raw])
