"""Surveying: the census of whole captures, and what of it is new.

Responsible for `census(...)`: reading captures into one census, and comparing it with another one
or with a time. Refuses to know what a shape is: `replay.regression.census` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from recorder.capture.layout import CAPTURE_FILE
from recorder.capture.reader import Capture, Problem, ReadReport
from recorder.errors import ExitCode, UsageError
from replay.regression.census import Census, ChannelCensus
from replay.regression.expectation import FILE, read_expectation
from replay.regression.news import New, new_against, new_since

Progress = Callable[[int], None]


class CensusReport(msgspec.Struct, kw_only=True):
    """What the venue sent.

    Attributes:
        frames: looked at. channels: by channel, control event, request and kind of row.
        new: what was not there before; None where nothing was asked for.
        beyond: messages with a shape or field beyond the bounds of a census.
        problems: parts that could not be read.
    """

    captures: list[str]
    frames: int = 0
    channels: dict[str, ChannelCensus] = msgspec.field(default_factory=dict)
    new: list[New] | None = None
    beyond: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 nothing new, or nothing asked; 1 something is new, or could not be read."""
        return ExitCode.FAILED if self.new or self.problems else ExitCode.DONE


def census(
    captures: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    since: int | None = None,
    against: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> CensusReport:
    """Tell every shape, field, type and enumerated value per channel, with first and last time.

    Args:
        captures: one or several; they count as one.
        since: `new` holds what was first seen at or after this time, ns.
        against: `new` holds what this expectation (`replay check --update`), or the capture with
            or without one, does not have. Both together: what is new by both.
        progress: called with the number of frames read so far.

    Raises:
        UsageError: `against` is no expectation.
    """
    several = [captures] if isinstance(captures, (str, os.PathLike)) else list(captures)
    known = None if against is None else _known(Path(against))
    report = CensusReport(captures=[str(path) for path in several])
    taken = Census()
    for path in several:
        reading = ReadReport()
        for batch in Capture(path).batches(report=reading):
            for frame in batch.frames():
                taken.take(frame)
            report.frames += len(batch)
            if progress is not None:
                progress(report.frames)
        report.problems += reading.problems
    report.channels, report.beyond = taken.channels, taken.beyond
    if known is not None:
        report.new = new_against(report.channels, known)
    if since is not None:
        fresh = new_since(report.channels, since)
        if report.new is None:
            report.new = fresh
        else:
            both = {(new.channel, new.what, new.name) for new in fresh}
            report.new = [n for n in report.new if (n.channel, n.what, n.name) in both]
    return report


def _known(path: Path) -> dict[str, ChannelCensus]:
    if not path.is_dir():
        return read_expectation(path).census
    if (path / FILE).exists():
        return read_expectation(path / FILE).census
    if (path / CAPTURE_FILE).exists():
        return census(path).channels
    raise UsageError(
        f"expected an expectation ({FILE}) or a capture to compare with at {path}, found neither"
    )
