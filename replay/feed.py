"""Feed: which frames a replay must see, and the state before the first of them.

Responsible for windows and filters: rows that a filter drops still reach the interpreter where they
change what it knows. Refuses to pace or to deliver anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from recorder.book import Book
from recorder.capture.reader import Capture, ReadReport
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter

MESSAGES = (Kind.TEXT, Kind.SENT)
"""Kinds that may have a channel; a filter by channel or instrument drops all others."""

_LIFECYCLE = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN)
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


def chunks(capture: Capture, wanted: Wanted, report: ReadReport) -> Iterator[list[Frame]]:
    """Yield the frames that the interpreter must see, some thousand at a time."""
    start, end = wanted.start, wanted.end
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
    lifecycle = capture.frames(start=start, end=end, kinds=_LIFECYCLE, report=ReadReport())
    frames = merge(played, lifecycle, key=attrgetter("seq"))
    while chunk := list(islice(frames, _CHUNK)):
        yield chunk
