"""Book: one order book kept from updates, and Books: all of them.

Responsible for holding levels and answering what the best of them are. Refuses to judge whether
an update may be applied (sequence chains, checksums): that is `okx.interpreter`, which also says
through `is_whole` whether a book can be trusted.

Theory of operation. A side is a dict from price to level, which is all an update needs. A
snapshot is kept as it came until it matters. A sorted list of prices is made when somebody looks,
kept up by bisection as long as somebody keeps looking, and dropped again after `_PATIENCE` updates
without a look. So the thousands of books nobody watches cost little, and the few watched ones
stay fast.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, TypeAlias

from recorder.event import BookUpdate, Level

_PATIENCE = 256
"""Updates without a look after which the sorted prices are dropped."""

Levels: TypeAlias = list[Level[Any]]


def _same(price: Any) -> Any:
    return price


class Book:
    """The levels of one instrument as one channel of one connection tells them.

    Prices and sizes have the number type of the updates applied (float, Decimal or str); books
    of texts are ordered by value.

    Attributes:
        instrument, channel, connection: whose book it is.
        is_whole: it holds what the venue holds, as far as anybody can tell: a snapshot was seen,
            nothing was lost since, and the connection is open.
        seq_id: the venue's number of the last update seen, None where it sends none.
        ts_event: venue time of the last update applied, ns; ts_recv: receive time of its frame,
            ns; seq: its frame's `seq` (-1 before the first).
    """

    __slots__ = (
        "_ask_prices",
        "_asks",
        "_bid_prices",
        "_bids",
        "_of_texts",
        "_snapshot",
        "_unseen",
        "channel",
        "connection",
        "instrument",
        "is_whole",
        "seq",
        "seq_id",
        "ts_event",
        "ts_recv",
    )

    def __init__(
        self, instrument: str, channel: str, connection: int = 0, *, number: type = float
    ) -> None:
        self.instrument = instrument
        self.channel = channel
        self.connection = connection
        self.is_whole = False
        self.seq_id: int | None = None
        self.ts_event: int | None = None
        self.ts_recv = 0
        self.seq = -1
        self._of_texts = number is str
        # Keys are the prices as numbers; of a book of texts, their Decimals.
        self._bids: dict[Any, Level[Any]] = {}
        self._asks: dict[Any, Level[Any]] = {}
        self._bid_prices: list[Any] | None = None
        self._ask_prices: list[Any] | None = None
        self._unseen = 0
        self._snapshot: BookUpdate | None = None

    def apply(self, update: BookUpdate) -> None:
        """Take over an update: a snapshot replaces the book, else each level replaces its price.

        Deleting a level the book does not hold is legal and does nothing (OKX sends such rows).
        """
        self.seq_id = update.seq_id
        self.ts_event = update.ts_event
        self.ts_recv = update.ts_recv
        self.seq = update.seq
        if update.is_snapshot:
            # Taken apart when somebody looks or the next update builds on it: a channel that
            # sends whole books all the time (books5) is mostly replaced unseen.
            self._snapshot = update
            self._bid_prices = None
            self._ask_prices = None
            self.is_whole = True
            return
        if self._snapshot is not None:
            self._unpack()
        self._put(update)

    def _unpack(self) -> None:
        """Take the waiting snapshot apart into levels."""
        snapshot, self._snapshot = self._snapshot, None
        self._bids.clear()
        self._asks.clear()
        if snapshot is not None:
            self._put(snapshot)

    def _put(self, update: BookUpdate) -> None:
        """Let each level of an update replace its price."""
        if self._bid_prices is not None or self._ask_prices is not None or self._of_texts:
            self._apply_ordered(update)
            return
        for side, levels in ((self._bids, update.bids), (self._asks, update.asks)):
            for level in levels:
                if level.size:
                    side[level.price] = level
                else:
                    side.pop(level.price, None)

    def load(self, bids: Iterable[Level[Any]], asks: Iterable[Level[Any]]) -> None:
        """Replace the levels alone, e.g. by those of a checkpoint."""
        self._snapshot = None
        self._bid_prices = None
        self._ask_prices = None
        key = Decimal if self._of_texts else _same
        self._bids = {key(level.price): level for level in bids}
        self._asks = {key(level.price): level for level in asks}

    def _apply_ordered(self, update: BookUpdate) -> None:
        self._unseen += 1
        if self._unseen > _PATIENCE:
            self._bid_prices = None
            self._ask_prices = None
        for side, prices, levels in (
            (self._bids, self._bid_prices, update.bids),
            (self._asks, self._ask_prices, update.asks),
        ):
            for level in levels:
                price: Any = level.price
                is_gone = not level.size
                if self._of_texts:
                    price = Decimal(price)
                    is_gone = not Decimal(level.size)
                if price != price:  # NaN has no place in an order; the float decoder accepts it
                    continue
                if is_gone:
                    if side.pop(price, None) is not None and prices is not None:
                        del prices[bisect_left(prices, price)]
                else:
                    if prices is not None and price not in side:
                        insort(prices, price)
                    side[price] = level

    def _ordered_bids(self) -> list[Any]:
        self._unseen = 0
        if self._snapshot is not None:
            self._unpack()
        if self._bid_prices is None:
            self._bid_prices = sorted(price for price in self._bids if price == price)
        return self._bid_prices

    def _ordered_asks(self) -> list[Any]:
        self._unseen = 0
        if self._snapshot is not None:
            self._unpack()
        if self._ask_prices is None:
            self._ask_prices = sorted(price for price in self._asks if price == price)
        return self._ask_prices

    def best_bid(self) -> Level[Any] | None:
        """Return the highest bid, None where there is none."""
        prices = self._ordered_bids()
        return self._bids[prices[-1]] if prices else None

    def best_ask(self) -> Level[Any] | None:
        """Return the lowest ask, None where there is none."""
        prices = self._ordered_asks()
        return self._asks[prices[0]] if prices else None

    def bids(self, depth: int | None = None) -> Levels:
        """Return bids, best (highest) first, at most `depth` of them."""
        prices = self._ordered_bids()
        side = self._bids
        if depth is None or depth >= len(prices):
            return [side[price] for price in reversed(prices)]
        return [side[price] for price in prices[: -depth - 1 : -1]] if depth > 0 else []

    def asks(self, depth: int | None = None) -> Levels:
        """Return asks, best (lowest) first, at most `depth` of them."""
        prices = self._ordered_asks()
        side = self._asks
        return [side[price] for price in (prices if depth is None else prices[: max(depth, 0)])]

    def sides(self) -> tuple[Levels, Levels]:
        """Return all bids and all asks, best first, without this counting as a look."""
        if self._snapshot is not None:
            self._unpack()
        bids = sorted((price for price in self._bids if price == price), reverse=True)
        asks = sorted(price for price in self._asks if price == price)
        return [self._bids[price] for price in bids], [self._asks[price] for price in asks]

    def _best_prices(self) -> tuple[Any, Any] | None:
        bids = self._ordered_bids()
        asks = self._ordered_asks()
        return (bids[-1], asks[0]) if bids and asks else None

    def mid(self) -> Any:
        """Return the middle of best bid and ask, None for a one-sided book.

        A book of texts answers in Decimal.
        """
        best = self._best_prices()
        return (best[0] + best[1]) / 2 if best else None

    def spread(self) -> Any:
        """Return best ask less best bid (negative when crossed), None for a one-sided book.

        A book of texts answers in Decimal.
        """
        best = self._best_prices()
        return best[1] - best[0] if best else None

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is not below the best ask."""
        best = self._best_prices()
        return best is not None and best[0] >= best[1]

    @property
    def is_empty(self) -> bool:
        """Whether no side holds a level."""
        return not len(self)

    def __len__(self) -> int:
        """Return the number of levels of both sides."""
        if self._snapshot is not None:
            self._unpack()
        return len(self._bids) + len(self._asks)

    def __repr__(self) -> str:
        whole = "whole" if self.is_whole else "not whole"
        if self._snapshot is not None:
            self._unpack()
        return (
            f"<Book {self.instrument} {self.channel} connection={self.connection} {whole} "
            f"bids={len(self._bids)} asks={len(self._asks)} seq={self.seq}>"
        )


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
