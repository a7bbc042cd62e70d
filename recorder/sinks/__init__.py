"""Sinks: where events go beside the capture, such as a database or a cache; each is optional.

Responsible for what a sink is (`Sink`), what it is given (events, `BookTop`, `Missed`) and where it
stands (`Position`). Refuses to know where events come from: `recorder.live` feeds sinks from the
capture that is being recorded, `replay` from one that is played.

A sink is given every event it wants once, in order, in batches, and keeps each batch whole or not
at all, together with the position behind it. Whoever feeds it asks where it stands before the
first batch and after every failure, and goes on from there out of the capture, which is the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from recorder.book import Books
from recorder.event import BookUpdate, Event, encode_event

__all__ = ["BookTop", "Missed", "Position", "Record", "Sink", "document_of", "top_of"]


class Position(msgspec.Struct, frozen=True):
    """How far a sink has got: everything up to this event, and what its frame holds before it.

    Attributes:
        seq, index: of the last event that is kept; `index` is that of the last one there is where
            nothing of the frame was wanted.
        ts_recv: of its frame, ns: tells whether the capture still holds that very frame.
    """

    seq: int
    index: int
    ts_recv: int

    def has(self, seq: int, index: int) -> bool:
        """Tell whether an event lies at or before this position."""
        return (seq, index) <= (self.seq, self.index)


class BookTop(msgspec.Struct, frozen=True, gc=False):
    """Best bid and offer of a book after one `BookUpdate`, whose `(seq, index)` it has.

    Attributes:
        is_whole: False: updates are missing, and then there are no prices.
        bid_size, ask_size: in the venue's unit, as of every event.
    """

    seq: int
    index: int
    ts_recv: int
    ts_event: int | None
    instrument: str
    channel: str
    bid_price: Any
    bid_size: Any
    ask_price: Any
    ask_size: Any
    is_whole: bool


class Missed(msgspec.Struct, frozen=True, gc=False):
    """Frames that this sink was not given, because the capture holds them no more.

    Attributes:
        seq, index: those of the last frame missed, and 0. ts_recv: of the next frame there is, ns.
        first_seq, last_seq: inclusive. cause: one short phrase.
    """

    seq: int
    index: int
    ts_recv: int
    first_seq: int
    last_seq: int
    cause: str


Record: TypeAlias = Event | BookTop | Missed
"""What a batch holds, in the order of `(seq, index)`."""


class Sink(Protocol):
    """An output. All methods are called in one thread, and may block.

    What they raise is told, counted and tried again, later and later: `SinkRefused` where only a
    person can help, anything else where it may pass. After a failure come `close`, then `open`.

    Attributes:
        wants: types of records to be given, among them perhaps `BookTop` and `Missed`; None: every
            event.
        batch_rows: most records of a batch. batch_seconds: longest time one waits for more.
        history_seconds: how much data time before the end of the capture a sink that keeps nothing
            of it yet begins with; None: from the first frame on.
        refused: records that could not be kept because of what they hold, so far.
    """

    wants: frozenset[type] | None
    batch_rows: int
    batch_seconds: float
    history_seconds: float | None
    refused: int

    def open(self, capture: str) -> Sequence[Position | None]:
        """Make ready for the events of a capture; return where each part of the sink stands.

        Most have one part: `[position]`, or `[None]` where there is nothing of the capture yet.
        Records are given from behind the earliest on; each part passes over what it has.

        Args:
            capture: what tells captures apart, and is the same for a copy of one.
        """

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        """Keep a batch and the position behind it, both or neither.

        Args:
            records: may be none, and may hold what a part has already.
            position: None: parts of a capture are given, out of turn; records that the sink has
                already are to be passed over, and the position stays.
        """

    def rewind(self, position: Position | None) -> None:
        """Forget what came after a position (None: everything of the capture), and stand there.

        Those frames were lost with the machine before they were safe on its disk, and others have
        their numbers now.
        """

    def close(self) -> None:
        """Let go of everything; may come at any time, and more than once."""


def top_of(update: BookUpdate, books: Books) -> BookTop:
    """Return the best bid and offer after an update that `books` have seen, as view `bbo` does."""
    for book in books.of(update.instrument):
        # Redundant connections keep a book each; this one is the one just changed.
        if book.seq == update.seq and book.channel == update.channel and book.is_whole:
            bid, ask = book.best_bid(), book.best_ask()
            return BookTop(
                update.seq, update.index, update.ts_recv, update.ts_event,
                update.instrument, update.channel,
                None if bid is None else bid.price, None if bid is None else bid.size,
                None if ask is None else ask.price, None if ask is None else ask.size,
                is_whole=True,
            )  # fmt: skip
    return BookTop(
        update.seq, update.index, update.ts_recv, update.ts_event,
        update.instrument, update.channel, None, None, None, None, is_whole=False,
    )  # fmt: skip


def document_of(record: Record) -> str:
    """Return a record as JSON: `type`, `seq`, `index`, `ts_recv`, then its own fields."""
    if isinstance(record, Event):
        return encode_event(record).decode()
    fields = {"type": type(record).__name__, **msgspec.structs.asdict(record)}
    return msgspec.json.encode(fields).decode()
