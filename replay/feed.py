"""Feed: which frames a replay must see, and the state before the first of them.

Responsible for windows and filters: rows that a filter drops still reach the interpreter where they
change what it knows. Refuses to pace or to deliver anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import NamedTuple

from recorder.book import Book
from recorder.capture.block import Selection
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.follow import Stretch, keep, read_stretch
from recorder.capture.reading.follow import follow as follow_capture
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter

MESSAGES = (Kind.TEXT, Kind.SENT)
"""Kinds that may have a channel; a filter by channel or instrument drops all others."""

PLAYED = (*MESSAGES, Kind.FAULT)
"""Kinds that a filter may let through: messages, and the marks of faults that were put in."""

LIFECYCLE = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN)
"""Rows that change the interpreter's state, or the pace, though a filter drops them."""
_CHUNK = 4096


class Wanted(NamedTuple):
    """Which frames are played.

    Attributes:
        start, end: window of `ts_recv`, ns. channels, instruments: filters; None keeps all.
    """

    start: int | None
    end: int | None
    channels: frozenset[str] | None
    instruments: frozenset[str] | None

    @property
    def is_filtered(self) -> bool:
        """Whether a filter drops anything."""
        return not (self.channels is self.instruments is None)

    @property
    def played(self) -> Selection:
        """What passes the filters, whatever the window."""
        if not self.is_filtered:
            return Selection()
        return Selection(
            channels=self.channels, instruments=self.instruments, kinds=frozenset(MESSAGES)
        )

    def shows(self, book: Book) -> bool:
        """Tell whether a book is kept up by what is played."""
        return (self.channels is None or book.channel in self.channels) and (
            self.instruments is None or book.instrument in self.instruments
        )


def interpreter_before(capture: Capture, seq: int, wanted: Wanted, number: type) -> Interpreter:
    """Return the interpreter before a frame, showing only the books that are played."""
    interpreter = capture.interpreter_before(seq, number, report=ReadReport())
    for book in list(interpreter.books):
        if not wanted.shows(book):
            # It would stand still from here on: better no book than a stale one.
            interpreter.books.remove(book)
    return interpreter


def chunks(
    capture: Capture, wanted: Wanted, report: ReadReport, *, follow: bool = False
) -> Iterator[list[Frame]]:
    """Yield the frames that the interpreter must see, some thousand at a time.

    Args:
        follow: go on while the capture is being recorded; an empty list says that nothing is new.
    """
    start, end = wanted.start, wanted.end
    if follow:
        for part in follow_capture(capture, start=start, end=end, report=report):
            if part is None:
                yield []
            elif isinstance(part, Stretch):
                yield from _stretch(capture, wanted, part, report)
            elif frames := _kept(part, wanted, report):
                yield frames
        return
    if not wanted.is_filtered:
        for batch in capture.batches(start=start, end=end, report=report):
            yield list(batch.frames())
        return
    played = capture.frames(
        start=start,
        end=end,
        channels=wanted.channels,
        instruments=wanted.instruments,
        kinds=MESSAGES,
        report=report,
    )
    lifecycle = capture.frames(start=start, end=end, kinds=LIFECYCLE, report=ReadReport())
    yield from _in_order(played, lifecycle)


def _stretch(
    capture: Capture, wanted: Wanted, stretch: Stretch, report: ReadReport
) -> Iterator[list[Frame]]:
    """Yield the same of a part of a followed capture that is complete on disk."""
    if not wanted.is_filtered:
        for batch in read_stretch(capture, stretch, Selection(), report):
            yield list(batch.frames())
        return
    played = read_stretch(capture, stretch, wanted.played, report)
    lifecycle = read_stretch(capture, stretch, Selection(kinds=frozenset(LIFECYCLE)), ReadReport())
    yield from _in_order(
        chain.from_iterable(batch.frames() for batch in played),
        chain.from_iterable(batch.frames() for batch in lifecycle),
    )


def _kept(frames: list[Frame], wanted: Wanted, report: ReadReport) -> list[Frame]:
    """Return the same of frames that were just written."""
    played = keep(frames, wanted.played, report)
    if not wanted.is_filtered:
        return played
    lifecycle = [frame for frame in frames if frame.kind in LIFECYCLE]
    return list(merge(played, lifecycle, key=attrgetter("seq")))


def _in_order(played: Iterator[Frame], lifecycle: Iterator[Frame]) -> Iterator[list[Frame]]:
    frames = merge(played, lifecycle, key=attrgetter("seq"))
    while chunk := list(islice(frames, _CHUNK)):
        yield chunk
