"""What a served capture is read with: in a thread, one part ahead of the part in hand.

Responsible for decoding without stalling the clock, for going on while the capture is being
recorded where that is wanted, and for saying once what could not be read. Refuses to pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator

from recorder.capture.reader import Capture, ReadReport
from recorder.frame import KINDS, Frame, Kind
from replay.feed import Wanted, chunks

_PLAYED = tuple(kind for kind in KINDS if kind not in (Kind.BINARY, Kind.CLOCK))


class Reading:
    """Reads one capture, as often as it is played.

    Args:
        is_followed: go on while a recorder adds to it. log: takes lines for a person.
    """

    def __init__(self, capture: Capture, *, is_followed: bool, log: Callable[[str], None]) -> None:
        self._capture = capture
        self._is_followed = is_followed
        self._log = log

    async def ahead(self, start: int | None) -> AsyncGenerator[list[Frame], None]:
        """Yield the frames from a time on, ns; an empty list says that nothing is new yet."""
        report = ReadReport()
        parts = self._parts(start, report)
        pending = asyncio.ensure_future(asyncio.to_thread(next, parts, None))
        said = 0
        try:
            while (part := await pending) is not None:
                pending = asyncio.ensure_future(asyncio.to_thread(next, parts, None))
                yield part
                said = self._say(report, said)
            self._say(report, said)
        finally:
            pending.cancel()

    def _parts(self, start: int | None, report: ReadReport) -> Iterator[list[Frame]]:
        if self._is_followed:
            everything = Wanted(start, None, None, None)
            for frames in chunks(self._capture, everything, report, follow=True):
                kept = [frame for frame in frames if frame.kind in _PLAYED]
                if kept or not frames:
                    yield kept
            return
        for batch in self._capture.batches(start=start, kinds=_PLAYED, report=report):
            yield list(batch.frames())

    def _say(self, report: ReadReport, said: int) -> int:
        """Say what could not be read, once; the playback goes on behind it."""
        for problem in report.problems[said:]:
            self._log(
                f"passed over {problem.file}, frames {problem.first_seq} to {problem.last_seq}: "
                f"{problem.cause}; run `recorder verify {self._capture.path}`"
            )
        return len(report.problems)
