"""PlayContext: what a strategy may look at, and set, while a capture is played.

Responsible for data time, timers and the books of the moment. Refuses to move any of them: the
player does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recorder.book import Book, Books
from recorder.clock import DataClock
from recorder.timers import Call, Timer, Timers
from recorder.trading import Watching


class PlayContext(Watching):
    """What a strategy may look at.

    Attributes:
        clock: data time: `ts_recv` of the frame in hand, ns, never running backwards; in a timer
            the time it was due.
        books: the books of what is played, already changed by the event in hand; of several
            sources those of all.
        source: rank of the source of the event in hand; 0 where one capture is played.
        books_of: the books of each source, by rank.
        timers: what was set; see `at`, `after`, `every`.
        restarts: how often the stream was begun anew so far, by a seek or a loop: time and books
            may have jumped, also back; timers are gone. What a strategy remembers is its own
            affair.
    """

    __slots__ = ("books", "books_of", "clock", "restarts", "source", "timers")

    def __init__(self, books_of: Sequence[Books], restarts: int = 0) -> None:
        self.clock = DataClock()
        self.books_of = tuple(books_of)
        self.books = books_of[0] if len(books_of) == 1 else AllBooks(books_of)
        self.source = 0
        self.timers = Timers(self.clock)
        self.restarts = restarts

    def show(self, books_of: Sequence[Books]) -> None:
        """Take other books in the place of a source's, which got its state only now."""
        self.books_of = tuple(books_of)
        if isinstance(self.books, AllBooks):
            self.books.show(self.books_of)

    def at(self, time: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, at a time, ns since the Unix epoch; `cancel()` takes it back.

        A time that has passed already: before the next frame. Without a call, the strategy's
        `on_timer(timer, context)`; so with `after` and `every`.

        Raises:
            UsageError: the time is no integer.
        """
        return self.timers.at(time, call)

    def after(self, delay: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, `delay` ns of data time from now."""
        return self.timers.after(delay, call)

    def every(self, interval: int, call: Call | None = None, *, start: int | None = None) -> Timer:
        """Call `call(context)` every `interval` ns of data time.

        Args:
            start: first time, ns since the Unix epoch; None: an interval from now.

        Raises:
            UsageError: the interval is not above 0, or no integer.
        """
        return self.timers.every(interval, call, start=start)


class AllBooks(Books):
    """The books of several sources; of an instrument that several hold, the lowest rank's first.

    A view: it holds none itself. A whole book of a higher rank comes before a broken one.
    """

    __slots__ = ("_sources",)

    def __init__(self, sources: Sequence[Books]) -> None:
        super().__init__()
        self._sources = tuple(sources)

    def show(self, sources: Sequence[Books]) -> None:
        """View these from here on."""
        self._sources = tuple(sources)

    def of(self, instrument: str) -> tuple[Book, ...]:
        """Return every book of an instrument, by rank, then (channel, connection)."""
        return tuple(book for books in self._sources for book in books.of(instrument))

    def get(self, instrument: str, channel: str | None = None) -> Book | None:
        """Return the best book of the first source that holds a whole one, else of the first."""
        found: Book | None = None
        for books in self._sources:
            book = books.get(instrument, channel)
            if book is not None and book.is_whole:
                return book
            found = found or book
        return found

    def __contains__(self, instrument: object) -> bool:
        return any(instrument in books for books in self._sources)

    def __iter__(self) -> Iterator[Book]:
        for books in self._sources:
            yield from books

    def __len__(self) -> int:
        return sum(len(books) for books in self._sources)
