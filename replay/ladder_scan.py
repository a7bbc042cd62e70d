"""Ladders as rows: the book of one instrument at one instant, for SQL.

Responsible for answering `instrument = … and at = …` with the book that the one interpreter had
then. Refuses to list every book of every instant: without those two bounds there is no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import pyarrow as pa

from recorder.book import Book, Books
from recorder.capture.reading.instant import first_after
from recorder.errors import UsageError
from replay.extent import Extent
from replay.pushdown import Bounds, interval, texts
from replay.scan import Scan

COMMENTS = {
    "instrument": "id of the venue; must be given",
    "at": "the instant, ns since the Unix epoch, UTC; must be given",
    "channel": "channel of the book",
    "side": "bid or ask",
    "level": "position within the side, 0 is best",
    "price": "in quote currency",
    "size": "in the venue's unit: contracts for derivatives, base currency for spot",
    "orders": "orders at this price; NULL where the channel does not say",
    "total": "sum of the sizes from the best price to here",
    "is_whole": "false where updates are missing: the book is not what the venue held",
    "is_preferred": "of the books of this instrument, the one to look at if you must choose",
    "seq": "the frame that changed the book last",
}

_FIELDS: dict[str, pa.DataType] = {
    "instrument": pa.string(),
    "at": pa.int64(),
    "channel": pa.string(),
    "side": pa.string(),
    "level": pa.int64(),
    "price": pa.float64(),
    "size": pa.float64(),
    "orders": pa.int64(),
    "total": pa.float64(),
    "is_whole": pa.bool_(),
    "is_preferred": pa.bool_(),
    "seq": pa.int64(),
}
_SCHEMA = pa.schema(_FIELDS)


class LadderScan(Scan):
    """The books of the instruments at the instant that a filter names."""

    def __init__(self, extent: Extent) -> None:
        super().__init__(_SCHEMA, extent)

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        first, last = interval(bounds, "at")
        instruments = texts(bounds, "instrument")
        if first is None or first != last or instruments is None:
            raise UsageError(
                "expected one instant and an instrument, as in book_at('BTC-USDT', "
                "ns('2026-11-02 08:00:30Z')), received a question about all of them; ask for one "
                "instant after another"
            )
        books = self._books_at(first)
        for instrument in sorted(instruments):
            preferred = books.get(instrument)
            for book in books.of(instrument):
                rows = _rows(book, first, is_preferred=book is preferred)
                yield rows.select(schema.names)

    def _books_at(self, at: int) -> Books:
        capture, report = self.extent.capture, self.extent.report
        seq = min(first_after(capture, at, report), self.extent.last_seq + 1)
        return capture.interpreter_before(seq, report=report).books


def _rows(book: Book, at: int, *, is_preferred: bool) -> pa.RecordBatch:
    rows = []
    for side, levels in (("bid", book.bids()), ("ask", book.asks())):
        totals = accumulate(level.size for level in levels)
        for number, (level, total) in enumerate(zip(levels, totals, strict=True)):
            rows.append(
                {
                    "instrument": book.instrument,
                    "at": at,
                    "channel": book.channel,
                    "side": side,
                    "level": number,
                    "price": level.price,
                    "size": level.size,
                    "orders": level.orders,
                    "total": total,
                    "is_whole": book.is_whole,
                    "is_preferred": is_preferred,
                    "seq": book.seq,
                }
            )
    return pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
