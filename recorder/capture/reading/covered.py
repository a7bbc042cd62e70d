"""Covered: the coverage of a capture, or of a time in it.

Responsible for reading what coverage needs through the one interpreter. Refuses to know what a
subscription is: `okx.coverage` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from recorder.capture.reader import Capture, ReadReport
from recorder.errors import UsageError
from recorder.okx.coverage import Coverage, Covered, Span, summary

_TOLD_EVERY = 65_536


class CoverageReport(msgspec.Struct, frozen=True):
    """When what was received.

    Attributes:
        start, end: the window, ns since the Unix epoch; `end` is not part of it.
        arguments: how much of it each argument was received, by channel and subject.
        spans: the times, connection by connection, in the order they ended.
    """

    start: int
    end: int
    arguments: list[Covered]
    spans: list[Span]


def coverage_of(
    capture: Capture,
    *,
    start: int | None = None,
    end: int | None = None,
    channels: Iterable[str] = (),
    instruments: Iterable[str] = (),
    report: ReadReport | None = None,
    progress: Callable[[int], None] | None = None,
) -> CoverageReport:
    """Return when what was received.

    Args:
        start, end: the window, ns; by default the whole capture.
        channels, instruments: only these; an instrument named and never received has no share.
        report: collects losses and damage met on the way. progress: called with frames read.

    Raises:
        UsageError: the capture is empty, or the window is.
        Damage: something could not be read, and there is no `report`.
    """
    coverage, last, count = None, None, 0
    interpreter = None
    for frame in capture.frames(start=start, end=end, report=report):
        if interpreter is None or coverage is None:
            interpreter = capture.interpreter_before(frame.seq, report=report)
            begin = frame.ts_recv if start is None else start
            coverage = Coverage(interpreter, start=begin, first_seq=frame.seq)
        coverage.step(frame, interpreter.step(frame))
        last, count = frame, count + 1
        if progress is not None and count % _TOLD_EVERY == 0:
            progress(count)
    if coverage is None or last is None:
        raise UsageError(
            f"expected frames in that time of {capture.path}, found none; "
            f"`recorder info {capture.path}` says where it begins and ends"
        )
    low = begin
    high = max(last.ts_recv, low) if end is None else end
    wanted_channels, wanted_subjects = frozenset(channels), frozenset(instruments)
    goes_on = end is not None and next(capture.frames(start=end, report=report), None) is not None
    spans = [
        span
        for span in coverage.finish(high if goes_on else None)
        if (not wanted_channels or span.channel in wanted_channels)
        and (not wanted_subjects or span.subject in wanted_subjects)
    ]
    return CoverageReport(low, high, summary(spans, start=low, end=high), spans)
