"""Timeline process: finds the timeline of a capture, as a program of its own.

Responsible for counting frames by time and for finding what a person wants to jump to. Refuses to
keep anything: parts are written as they are found, one `TimelinePart` a line, in JSON.

    python -m replay.server.timeline_process CAPTURE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import msgspec

from recorder.capture.info import CaptureInfo
from recorder.capture.reader import Capture, ReadReport
from recorder.errors import RecorderError
from recorder.event import (
    BookReset,
    ClockStep,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    Lost,
    RunStarted,
    SequenceGap,
)
from recorder.frame import Kind
from recorder.okx.interpreter import Interpreter
from replay.server.timeline import BINS, MARKS_MAX, Mark, TimelinePart

_MARKS_A_LINE = 50
_KINDS = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN, Kind.CLOCK)


def parts_of(capture: Capture) -> Iterator[TimelinePart]:
    """Find the timeline of a capture: first its bounds, then how much came when, then the marks."""
    info = capture.info()
    if info.start is None or info.end is None:
        yield TimelinePart(is_complete=True)
        return
    yield TimelinePart(start=info.start, end=info.end)
    yield TimelinePart(bins=_bins(capture, info.start, info.end))
    told = found = 0
    pending: list[Mark] = []
    for mark in _marks(capture, info):
        found += 1
        if told + len(pending) >= MARKS_MAX:
            continue
        pending.append(mark)
        if len(pending) == _MARKS_A_LINE:
            told += len(pending)
            yield TimelinePart(marks=pending)
            pending = []
    yield TimelinePart(marks=pending, more=max(found - MARKS_MAX, 0), is_complete=True)


def _bins(capture: Capture, start: int, end: int) -> list[int]:
    """Count received frames in `BINS` equal parts of the time; a stepped clock's go to the ends."""
    # DuckDB takes as long to import as everything else here together.
    from replay.sql import connect

    bins = [0] * BINS
    connection = connect(capture)
    try:
        rows = connection.execute(
            "select cast(floor((ts_recv - ?)::double * ? / ?) as bigint) as part, count(*) "
            "from frames where kind in ('text', 'binary') group by part",
            [start, BINS, end - start + 1],
        ).fetchall()
    finally:
        connection.close()
    for part, count in rows:
        bins[min(max(part, 0), BINS - 1)] += count
    return bins


def _marks(capture: Capture, info: CaptureInfo) -> Iterator[Mark]:
    """Find what the rows of the recorder tell, then, if there is any, the breaks in books."""
    report = ReadReport()
    sockets = _Sockets()
    interpreter = Interpreter(str)
    for frame in capture.frames(kinds=_KINDS, report=report):
        for event in interpreter.step(frame):
            yield from sockets.marks_of(event)
    yield from sockets.still_closed()
    for problem in report.problems:
        yield Mark(what="lost", at=info.start or 0, text=f"not readable: {problem.cause}")
    if info.gaps or info.integrity.get("resets"):
        for event in capture.events(report=ReadReport()):
            if isinstance(event, SequenceGap):
                text = f"gap in {event.channel} {event.instrument}"
                yield Mark(what="gap", at=event.ts_recv, text=text)
            elif isinstance(event, BookReset):
                text = f"{event.channel} {event.instrument} was renumbered by the venue"
                yield Mark(what="reset", at=event.ts_recv, text=text)


class _Sockets:
    """Which sockets were open when; a closed one is marked when its follower opens."""

    def __init__(self) -> None:
        self._place: dict[int, tuple[str | None, int | None]] = {}
        self._closed: dict[tuple[str | None, int | None], Mark] = {}

    def marks_of(self, event: Event) -> Iterator[Mark]:
        """Give the marks an event makes."""
        at = event.ts_recv
        if isinstance(event, Connected):
            place = event.endpoint, event.link
            self._place[event.connection] = place
            closed = self._closed.pop(place, None)
            if closed is not None:
                yield msgspec.structs.replace(closed, until=at)
        elif isinstance(event, Disconnected):
            place = self._place.pop(event.connection, (None, None))
            if event.by != "recorder":
                code = "" if event.code is None else f", code {event.code}"
                text = f"{place[0] or 'a socket'} disconnected by {event.by or 'someone'}{code}"
                self._closed[place] = Mark(what="disconnect", at=at, text=text)
        elif isinstance(event, ConnectFailed):
            text = f"could not connect: {event.reason or event.code or 'no reason known'}"
            yield Mark(what="connect-failed", at=at, text=text)
        elif isinstance(event, Lost):
            count = "frames" if event.count is None else f"{event.count:,} frames"
            yield Mark(what="lost", at=at, text=f"{count} lost: {event.cause}")
        elif isinstance(event, ClockStep) and event.step is not None:
            yield Mark(what="clock", at=at, text=f"the clock stepped by {event.step / 1e6:,.1f} ms")
        elif isinstance(event, RunStarted):
            yield Mark(what="run", at=at, text="a recorder started")

    def still_closed(self) -> Iterator[Mark]:
        """Give the marks of sockets that nobody opened again."""
        yield from self._closed.values()


def main(path: str, output: TextIO) -> None:
    """Write the timeline of the capture at `path`, a part in JSON a line."""
    with suppress(OSError):
        os.nice(5)
    try:
        for part in parts_of(Capture(path)):
            output.write(msgspec.json.encode(part).decode() + "\n")
            output.flush()
    except RecorderError as error:
        part = TimelinePart(is_complete=True, problem=str(error))
        output.write(msgspec.json.encode(part).decode() + "\n")
        output.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.stdout)
