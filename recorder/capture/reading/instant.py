"""Instant: the order book of an instrument as it stood at any moment of a capture.

Responsible for finding it from the nearest checkpoint and the frames since, and for saying why
there is none. Refuses to show it: `replay.ladder` does.
"""

from __future__ import annotations

from recorder.book import Book
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.window import seq_bounds
from recorder.clock import format_time
from recorder.errors import UsageError
from recorder.frame import Kind

_BEYOND = 1 << 62
_NAMES_TOLD = 12


def book_at(
    capture: Capture,
    instrument: str,
    at: int | None = None,
    *,
    channel: str | None = None,
    number: type = float,
    report: ReadReport | None = None,
) -> Book:
    """Return the book of an instrument as it stood at an instant; see `Capture.book_at`."""
    listed = capture.pinned(capture.snapshot())
    seq = first_after(listed, at, report)
    books = listed.interpreter_before(seq, number, report=report).books
    book = books.get(instrument, channel)
    if book is not None:
        return book
    when = "at its end" if at is None else f"at {format_time(at)}"
    wanted = f"{channel} {instrument}" if channel else instrument
    held = list(dict.fromkeys(f"{item.channel} {item.instrument}" for item in books))
    shown = ", ".join(held[:_NAMES_TOLD]) + (" …" if len(held) > _NAMES_TOLD else "")
    found = f"only {shown}" if held else "no book at all: none was recorded before"
    first = next(capture.frames(report=ReadReport()), None)
    if at is not None and first is not None and at < first.ts_recv:
        found = f"that it begins later, at {format_time(first.ts_recv)}"
    raise UsageError(
        f"expected a book of {wanted} in {capture.path} {when}, found {found}; "
        f"`recorder info {capture.path}` lists channels and times"
    )


def first_after(capture: Capture, at: int | None, report: ReadReport | None) -> int:
    """Return the number of the first frame that is no part of the state at an instant.

    Args:
        at: ns; None: after the last message received. Behind the last frame there is no such
            number: a very high one.
    """
    if at is not None:
        first_seq, _ = seq_bounds(capture, at + 1, None, report)
        return first_seq
    starts = [0, *(source.first_seq for source in capture.snapshot().sealed)]
    for first_seq in reversed(starts):
        last = None
        for batch in capture.batches(first_seq=first_seq, kinds=[Kind.TEXT], report=report):
            last = batch.seq[-1]
        if last is not None:
            return last + 1
    return _BEYOND
