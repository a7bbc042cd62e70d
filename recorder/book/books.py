"""Books: all order books of an interpreter, and which of several to look at.

Responsible for finding them. Refuses to change any of them: `okx.chains` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recorder.book.book import Book

PREFERENCE = (
    "books-l2-tbt",
    "books",
    "books50-l2-tbt",
    "books5",
    "books-rpi",
    "books-elp",
    "sprd-books-l2-tbt",
    "sprd-books5",
)
"""Channels in the order `Books.get` prefers them: full depth before fewer levels, fast before
slow, and books of everybody's orders before those that hold retail (RPI, ELP) orders."""

_RANK = {channel: rank for rank, channel in enumerate(PREFERENCE)}


class Books:
    """All books of an interpreter.

    Iteration is in the order of (instrument, channel, connection).
    """

    __slots__ = ("_of_instrument",)

    def __init__(self, books: Iterable[Book] = ()) -> None:
        self._of_instrument: dict[str, list[Book]] = {}
        for book in books:
            self.add(book)

    def add(self, book: Book) -> None:
        """Hold a book, in the place of any of the same instrument, channel and connection."""
        kept = [
            other
            for other in self._of_instrument.get(book.instrument, ())
            if (other.channel, other.connection) != (book.channel, book.connection)
        ]
        self._of_instrument[book.instrument] = sorted(
            [*kept, book], key=lambda book: (book.channel, book.connection)
        )

    def remove(self, book: Book) -> None:
        """Hold this book no longer."""
        kept = [
            other for other in self._of_instrument.get(book.instrument, ()) if other is not book
        ]
        if kept:
            self._of_instrument[book.instrument] = kept
        else:
            self._of_instrument.pop(book.instrument, None)

    def of(self, instrument: str) -> tuple[Book, ...]:
        """Return every book of an instrument, in the order of (channel, connection)."""
        return tuple(self._of_instrument.get(instrument, ()))

    def get(self, instrument: str, channel: str | None = None) -> Book | None:
        """Return the best book of an instrument, or of one channel of it; None where none is kept.

        Whole books come before broken or stale ones, then channels in the order of `PREFERENCE`,
        then, of several connections, the book of the latest venue time, so that one which lags
        never brings an older book into force; then the one that changed last, then the lower
        connection.
        """
        books = self._of_instrument.get(instrument, ())
        if len(books) == 1 and channel is None:
            return books[0]
        best: Book | None = None
        best_rank: tuple[bool, int, int, int, int] | None = None
        for book in books:
            if channel is not None and book.channel != channel:
                continue
            rank = (
                not book.is_whole,
                _RANK.get(book.channel, len(_RANK)),
                -(book.ts_event or 0),
                -book.seq,
                book.connection,
            )
            if best_rank is None or rank < best_rank:
                best, best_rank = book, rank
        return best

    def __getitem__(self, instrument: str) -> Book:
        book = self.get(instrument)
        if book is None:
            raise KeyError(instrument)
        return book

    def __contains__(self, instrument: object) -> bool:
        return instrument in self._of_instrument

    def __iter__(self) -> Iterator[Book]:
        for instrument in sorted(self._of_instrument):
            yield from self._of_instrument[instrument]

    def __len__(self) -> int:
        return sum(len(books) for books in self._of_instrument.values())
