"""The timeline of a capture: how much came when, and where it is less than whole.

Responsible for finding both in a process of its own, and for telling what is known so far: a page
that is opened must not slow the clock of the server. Refuses to keep more than `MARKS_MAX` marks;
what is beyond is counted.

As a program (`python -m replay.server.timeline CAPTURE`) it writes one `TimelinePart` a line, JSON.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
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

BINS = 480
MARKS_MAX = 2_000
_MARKS_A_LINE = 50
_LINE_MAX = 1 << 20
_KINDS = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN, Kind.CLOCK)


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that made the recording less than whole, or a new run.

    Attributes:
        what: `gap`, `reset`, `disconnect`, `connect-failed`, `lost`, `clock` or `run`.
        at: ns. until: ns, where it has a known end.
        text: the same for a person.
    """

    what: str
    at: int
    text: str
    until: int | None = None


class TimelinePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became known since the part before.

    Attributes:
        start, end: `ts_recv` of the first and last frame, ns.
        bins: received frames in equal parts of that time.
        marks: what was found; more: how many beyond `MARKS_MAX` were found and are not told.
        is_complete: this is the last part.
        problem: why something is not known, in one sentence.
    """

    start: int | None = None
    end: int | None = None
    bins: list[int] | None = None
    marks: list[Mark] = []
    more: int = 0
    is_complete: bool = False
    problem: str | None = None


class Timeline:
    """The timeline of one capture for everybody who asks: read once, when it is first asked for.

    Args:
        capture: whose; what a recorder still adds to it is not told.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._parts: list[TimelinePart] = []
        self._more = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def parts(self) -> AsyncIterator[TimelinePart]:
        """Give all that is known, then what becomes known, to the last part."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        told = 0
        while True:
            more = self._more
            while told < len(self._parts):
                told += 1
                yield self._parts[told - 1]
            if self._parts and self._parts[-1].is_complete:
                return
            await more.wait()

    async def close(self) -> None:
        """End the process that reads."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for part in _read_parts(self._capture):
                self._add(part)
        except OSError as error:
            self._add(TimelinePart(is_complete=True, problem=f"no timeline: {error}"))

    def _add(self, part: TimelinePart) -> None:
        self._parts.append(part)
        self._more.set()
        self._more = asyncio.Event()


async def _read_parts(capture: Capture) -> AsyncIterator[TimelinePart]:
    """Give the timeline as another process finds it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "replay.server.timeline",
        str(capture.path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE_MAX,
    )
    if process.stdout is None:
        return
    is_complete = False
    try:
        async for line in process.stdout:
            part = msgspec.json.decode(line, type=TimelinePart)
            is_complete = part.is_complete
            yield part
        if not is_complete:
            yield TimelinePart(is_complete=True, problem="the timeline could not be read")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


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
