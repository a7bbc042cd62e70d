"""The timeline of a capture: how much came when, and where it is less than whole.

Responsible for its form, for having it found by another process (`timeline_process`), and for
telling what is known so far to everybody who asks: a page must not slow the clock of the server.
Refuses to keep more than `MARKS_MAX` marks; what is beyond is counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from recorder.capture.layout import is_locked
from recorder.capture.reader import Capture

BINS = 480
MARKS_MAX = 2_000
AGAIN_S = 2.0
_LINE_MAX = 1 << 20


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

    While a recorder adds to the capture it is read anew for who asks again, at most every
    `AGAIN_S` seconds; its first part then stands for a new beginning.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._parts: list[TimelinePart] = []
        self._more = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._began = 0.0
        self._was_live = False

    async def parts(self) -> AsyncIterator[TimelinePart]:
        """Give all that is known, then what becomes known, to the last part."""
        if self._reading is None or self._is_old():
            self._began, self._parts = time.monotonic(), []
            self._was_live = is_locked(self._capture.path)
            self._reading = asyncio.create_task(self._read(after=self._reading))
        told, parts = 0, self._parts
        while True:
            more = self._more
            while told < len(parts):
                told += 1
                yield parts[told - 1]
            if parts and parts[-1].is_complete:
                return
            await more.wait()

    def _is_old(self) -> bool:
        """Whether all that was read may be less than all there is now."""
        is_read = bool(self._parts) and self._parts[-1].is_complete
        return is_read and self._was_live and time.monotonic() - self._began > AGAIN_S

    async def close(self) -> None:
        """End the process that reads."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait((after,))  # its process may not quite have ended
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
        "replay.server.timeline_process",
        str(capture.path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LINE_MAX,
    )
    if process.stdout is None:
        return
    is_complete = is_over = False
    try:
        async for line in process.stdout:
            part = msgspec.json.decode(line, type=TimelinePart)
            is_complete = part.is_complete
            yield part
        is_over = True
        if not is_complete:
            yield TimelinePart(is_complete=True, problem="the timeline could not be read")
    finally:
        if not is_over:  # else it ends by itself, and a kill could take its end from asyncio
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
