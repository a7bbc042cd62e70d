"""Follow: read a capture to its end and go on while it is being recorded, without a seam.

Responsible for which files to read on in, for every frame exactly once and in order while segments
roll, are sealed, joined and expire, and for the end, which is when the recorder has let go of LOCK.
Refuses to wait: where nothing is new it says so, and whoever follows decides how long to sleep.

Theory of operation. Everything before the journal that is being written stands on disk for good:
a *stretch*, read like any part of a capture (`Capture.select`, which knows sealing, joining and
retention). The journal itself is tailed with its file held open, so that it may be sealed and
deleted meanwhile. Behind its trailer a new listing begins, and the two take turns. LOCK is looked
at before a listing: where it was free then, the listing holds all there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from recorder.capture import layout
from recorder.capture.batch import FrameBatch, batch_of, index_of
from recorder.capture.block import Selection
from recorder.capture.journal.file import JournalFile
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.window import seq_bounds
from recorder.errors import UsageError
from recorder.event import Event
from recorder.frame import Frame, Kind

_LOOKS = 16
"""After so many looks at a journal that does not grow the directory is looked at, too."""
_FRAMES = 4096
"""Frames given out at once: bounds memory while catching up."""
_SHORTEST_S, _LONGEST_S = 0.001, 0.02


class Stretch(msgspec.Struct, frozen=True):
    """A part of a capture that is complete on disk; inclusive numbers, None: to the end.

    Attributes:
        is_first: nothing was given out before: what has expired by now was never promised.
    """

    first_seq: int
    last_seq: int | None
    is_first: bool


class Patience:
    """How long to sleep between two looks: a millisecond behind news, up to twenty without."""

    def __init__(self) -> None:
        self.seconds = _SHORTEST_S

    def news(self) -> None:
        """Look again soon: something came."""
        self.seconds = _SHORTEST_S

    def grow(self) -> float:
        """Return how long to sleep now, seconds; the next time it is longer."""
        seconds, self.seconds = self.seconds, min(self.seconds * 1.2, _LONGEST_S)
        return seconds


def follow(
    capture: Capture,
    *,
    start: int | None = None,
    end: int | None = None,
    first_seq: int = 0,
    report: ReadReport | None = None,
) -> Iterator[Stretch | list[Frame] | None]:
    """Yield stretches to be read, frames just written, and None where nothing is new.

    Args:
        start, end: as in `Capture.batches`; the end may lie in the future, and the start as well.
        first_seq: begin with this number.

    Raises:
        UsageError: `start` is after `end`.
    """
    if start is not None and end is not None and start > end:
        raise UsageError(
            f"expected a start before the end, received start {start} and end {end}; swap them"
        )
    return _Following(capture, start, end, first_seq, report).parts()


class _Following:
    def __init__(
        self,
        capture: Capture,
        start: int | None,
        end: int | None,
        first_seq: int,
        report: ReadReport | None,
    ) -> None:
        self.capture = capture
        self.start = start
        self.end = end
        self.report = report
        self.position = first_seq
        self.has_begun = start is None  # the first frame at or after the start has been met
        self.is_over = False
        self.given = False
        self.tailed = -1  # the last journal that was read to its trailer

    def parts(self) -> Iterator[Stretch | list[Frame] | None]:
        while not self.is_over:
            self.is_over = not layout.is_locked(self.capture.path)
            journal = None if self.is_over else self._open_journal()
            try:
                if journal is None and not self.is_over:
                    yield None  # a recorder between two journals
                    continue
                stretch = self._stretch(None if journal is None else journal.first_seq)
                if stretch is not None:
                    yield stretch
                    self.given = True
                if journal is not None and not self.is_over:
                    yield from self._tail(journal)
            finally:
                if journal is not None:
                    journal.close()

    def _open_journal(self) -> JournalFile | None:
        """Return the first journal that may still grow; None where there is none to be read."""
        snapshot = self.capture.list_again()
        for source in snapshot.journals:
            if not source.is_open or source.segment <= self.tailed:
                continue
            try:
                journal = JournalFile(
                    snapshot.root, source.segment, capture_id=self.capture.header.id
                )
            except FileNotFoundError:
                return None  # sealed since the listing
            if journal.header_fault is None and journal.cut is None:
                return journal
            journal.close()  # just being made, or its last numbers stand in a later one
        return None

    def _stretch(self, before: int | None) -> Stretch | None:
        """Return what is complete from the position to before a number, None if nothing."""
        first, last = self.position, None if before is None else before - 1
        if before is not None:
            self.position = max(self.position, before)
        if self.end is not None or not self.has_begun:
            low, high = seq_bounds(self.capture, self.start, self.end, self.report)
            if last is not None and low > last:
                return None  # the start may come yet
            self.has_begun = True
            first = max(first, low)
            if high is not None and (last is None or high <= last):
                last, self.is_over = high, True
        if last is not None and last < first:
            return None
        return Stretch(first, last, not self.given)

    def _tail(self, journal: JournalFile) -> Iterator[list[Frame] | None]:
        """Yield what comes in one journal, until its trailer or until others have come after it."""
        tail = journal.tail(self.position)
        quiet = 0
        while not self.is_over:
            fresh: list[Frame] = []
            for frames in tail.look():
                fresh += frames
                if len(fresh) >= _FRAMES:
                    yield self._within(fresh)
                    fresh = []
                    if self.is_over:
                        return
            self.position = tail.position
            if fresh:
                quiet = 0
                yield self._within(fresh)
            if tail.is_finished:
                self.tailed = journal.segment
                return
            if fresh:
                continue
            if quiet >= _LOOKS and (tail.is_unlinked or self._is_left(journal)):
                return
            quiet += 1
            yield None

    def _is_left(self, journal: JournalFile) -> bool:
        """Tell whether nobody will write this journal any more, as far as a look can tell."""
        return not layout.is_locked(self.capture.path) or any(
            segment > journal.segment for segment in layout.list_journals(self.capture.path)
        )

    def _within(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames that lie in the window."""
        self.given = True
        if self.has_begun and self.end is None:
            return frames
        first = 0
        if not self.has_begun and self.start is not None:
            start = self.start
            first = next((i for i, f in enumerate(frames) if f.ts_recv >= start), len(frames))
            self.has_begun = first < len(frames)
        for at in range(first, len(frames)):
            if self.end is not None and frames[at].ts_recv >= self.end:
                self.is_over = True
                return frames[first:at]
        return frames[first:]


def read_stretch(
    capture: Capture, stretch: Stretch, wanted: Selection, report: ReadReport | None
) -> Iterator[FrameBatch]:
    """Yield the wanted frames of a stretch; what retention took from it meanwhile is damage."""
    bounds = msgspec.structs.replace(wanted, first_seq=stretch.first_seq, last_seq=stretch.last_seq)
    # A number that was promised and has expired is told; the first stretch promised none.
    return capture.select(bounds, report, on_jump=None if stretch.is_first else _told)


def _told(_seq: int) -> None:
    """Go on behind what has expired: the report has it."""


def following_batches(
    capture: Capture,
    wanted: Selection,
    *,
    start: int | None = None,
    end: int | None = None,
    report: ReadReport | None = None,
) -> Iterator[FrameBatch | None]:
    """Yield the wanted frames in seq order as they come, and None where nothing is new."""
    for part in follow(capture, start=start, end=end, first_seq=wanted.first_seq, report=report):
        if isinstance(part, Stretch):
            yield from read_stretch(capture, part, wanted, report)
        elif part is None:
            yield None
        else:
            kept = keep(part, wanted, report)
            if kept:
                yield batch_of(kept)


def keep(frames: list[Frame], wanted: Selection, report: ReadReport | None) -> list[Frame]:
    """Return the frames just written that pass the filters; count `lost` rows, as any read does."""
    if report is not None:
        report.lost_rows += sum(frame.kind is Kind.LOST for frame in frames)
    if not wanted.filters:
        return frames
    return [f for f in frames if wanted.wants(f, index_of(f.kind, f.payload))]


def following_events(
    capture: Capture,
    wanted: Selection,
    *,
    start: int | None = None,
    end: int | None = None,
    report: ReadReport | None = None,
    number: type = float,
) -> Iterator[list[Event] | None]:
    """Yield the events of the wanted frames as they come, and None where nothing is new."""
    interpreter = None
    for batch in following_batches(capture, Selection(), start=start, end=end, report=report):
        if batch is None:
            yield None
            continue
        if interpreter is None:
            interpreter = capture.interpreter_before(batch.seq[0], number, report=report)
        events: list[Event] = []
        for frame in batch.frames():
            of_frame = interpreter.step(frame)
            if not wanted.filters or wanted.wants(frame, index_of(frame.kind, frame.payload)):
                events += of_frame
        yield events


def waiting(batches: Iterator[FrameBatch | None]) -> Iterator[FrameBatch]:
    """Yield batches; sleep a little where nothing is new."""
    patience = Patience()
    for batch in batches:
        if batch is None:
            time.sleep(patience.grow())
        else:
            patience.news()
            yield batch
