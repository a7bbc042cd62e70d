"""Recorded: what a recording tells of one instrument, as the venue had it.

Responsible for the venue's time, for the depth that goes with it and whether that can be trusted.
Refuses to match anything: `market` does.

The depth follows the interpreter's best book of the instrument; where no depth is recorded at all,
the quotes make a book of one level.
"""

from __future__ import annotations

from recorder.book import Book
from recorder.event import BookUpdate, Quote, Trade
from recorder.okx.contracts import Contract
from replay.backtest.depth import Depth, Side

KEPT, AGAIN, NOTHING = "kept", "again", "nothing"
"""What an update did: the depth went on, it began anew, or it is not to be used."""


class Recorded:
    """The depth of one instrument.

    Attributes:
        depth: levels in ticks and lots.
    """

    def __init__(self, contract: Contract) -> None:
        self.depth = Depth(contract)
        self._is_whole = False
        self._book: Book | None = None
        self._ahead = 0  # how far the venue's clock is ahead of the receiver's, at most 0

    @property
    def is_whole(self) -> bool:
        """Whether the depth is what the venue had, as far as anybody can tell."""
        if self._book is not None and not self._book.is_whole:
            self._is_whole = False
        return self._is_whole

    def begin(self, book: Book | None, quote: Quote | None) -> None:
        """Take over what is known at this moment."""
        self._book = None
        self._is_whole = False
        if book is not None:
            self._follow(book)
        elif quote is not None:
            self.take_quote(quote)

    def venue_time(self, ts_event: int | None, ts_recv: int) -> int:
        """Return when the venue sent something, by the receiver's clock as far as is known.

        Nothing is received before it is sent: where it seems so, the venue's clock is ahead by at
        least so much.
        """
        if ts_event is None:
            return ts_recv
        self._ahead = min(self._ahead, ts_recv - ts_event)
        return ts_event + self._ahead

    def feed_delay(self, book: Book | None) -> int:
        """Return how long the market data of the moment takes, ns; at least 0."""
        if book is None or book.ts_event is None:
            return 0
        delay = book.ts_recv - book.ts_event
        self._ahead = min(self._ahead, delay)
        return delay - self._ahead if self._ahead < 0 else delay

    def look_at(self, event: BookUpdate, book: Book | None) -> str:
        """Say what an update means; the interpreter's book has taken it over already."""
        if book is None or not book.is_whole:
            self._is_whole = False
            return NOTHING
        if book.seq != event.seq or book.channel != event.channel:
            return NOTHING  # of another book than the one that is followed
        if book is not self._book or not self._is_whole:
            self._follow(book)
            return AGAIN
        return KEPT

    def sides(self, event: BookUpdate) -> tuple[Side, Side]:
        """Return the levels of an update."""
        return self.depth.side(event.bids), self.depth.side(event.asks)

    def put(self, bids: Side, asks: Side, *, is_snapshot: bool) -> None:
        """Take the levels of an update over."""
        (self.depth.replace if is_snapshot else self.depth.put)(bids, asks)

    @property
    def has_only_quotes(self) -> bool:
        """Whether no depth is recorded."""
        return self._book is None

    def quote_sides(self, quote: Quote) -> tuple[Side, Side]:
        """Return a quote as levels."""
        depth, sides = self.depth, []
        for price, size in (
            (quote.bid_price, quote.bid_size),
            (quote.ask_price, quote.ask_size),
        ):
            has_one = price is not None and size is not None
            sides.append({depth.ticks(price or 0): depth.lots(size or 0)} if has_one else {})
        return sides[0], sides[1]

    def take_quote(self, quote: Quote) -> None:
        """Let a quote be the book."""
        self.depth.replace(*self.quote_sides(quote))
        self._is_whole = True

    def distrust_quotes(self) -> None:
        """Say that something was lost; a book made of quotes cannot notice it itself."""
        if self._book is None:
            self._is_whole = False

    def shows(self, trade: Trade) -> bool:
        """Tell whether the book has taken over already what a trade did to it."""
        book = self._book
        if book is None:
            return False
        if trade.venue_seq is not None and book.seq_id is not None:
            return trade.venue_seq <= book.seq_id
        if trade.ts_event is None or book.ts_event is None:
            return False
        return trade.ts_event < book.ts_event

    def _follow(self, book: Book) -> None:
        self._book = book
        self._is_whole = book.is_whole
        bids, asks = book.sides()
        self.depth.replace(self.depth.side(bids), self.depth.side(asks))
