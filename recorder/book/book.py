"""Book: one order book kept from updates.

Responsible for holding levels and answering what the best of them are. Refuses to judge whether
an update may be applied (sequence chains, checksums): that is `okx.interpreter`, which also says
through `is_whole` whether a book can be trusted.

Theory of operation. A side is a dict from price to level, which is all an update needs. A
snapshot is kept as it came until it matters. A sorted list of prices is made when somebody looks,
kept up by bisection as long as somebody keeps looking, and dropped again after `_PATIENCE` updates
without a look. So the thousands of books nobody watches cost little, and the few watched ones
stay fast.

Whoever plays at full speed may also let updates wait (`defer`): their frames are kept, and read
again when somebody looks. A book that says what it held at some moment (`rest_on`) forgets what
waited until then. Keeping levels is what costs: a level that stays lies in memory that has gone
cold by the time it is replaced, while a payload that waits is just there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from recorder.event import BookUpdate, Event, Level
from recorder.frame import Frame

_PATIENCE = 256
"""Updates without a look after which the sorted prices are dropped."""
_WATCHED = 16
"""Updates without a look after which they may wait."""

Levels: TypeAlias = list[Level[Any]]
Read: TypeAlias = Callable[[Frame], Sequence[Event]]
"""The parser: the first event of a frame that waits is the book's update."""
Ground: TypeAlias = Callable[[], tuple[Levels, Levels]]
"""Gives bids and asks that a book is known to have held."""


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
        "_ground",
        "_is_behind",
        "_of_texts",
        "_read",
        "_snapshot",
        "_unseen",
        "_waiting",
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
        # What is to be taken over when somebody looks, in this order.
        self._is_behind = False
        self._ground: Ground | None = None
        self._snapshot: BookUpdate | None = None
        self._waiting: list[Frame] = []
        self._read: Read | None = None

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
            self._is_behind = True
            self._ground = None
            if self._waiting:
                self._waiting = []
            self._bid_prices = None
            self._ask_prices = None
            self.is_whole = True
            return
        if self._is_behind:
            self._catch_up()
        self._put(update)

    def defer(self, update: BookUpdate, frame: Frame, read: Read) -> bool:
        """Let an update wait in its frame until somebody looks; then `read` makes it again.

        Returns False, having done nothing, where somebody looked a moment ago: apply it then.
        """
        if self._unseen < _WATCHED:
            self._unseen += 1
            return False
        self.seq_id = update.seq_id
        self.ts_event = update.ts_event
        self.ts_recv = update.ts_recv
        self.seq = update.seq
        self._waiting.append(frame)
        self._read = read
        self._is_behind = True
        return True

    def rest_on(self, ground: Ground) -> None:
        """Take note of what the book holds now; it is asked for when somebody looks."""
        self._is_behind = True
        self._ground = ground
        self._snapshot = None
        self._waiting = []
        self._bids, self._asks = {}, {}
        self._bid_prices = self._ask_prices = None

    @property
    def waiting(self) -> int:
        """Bytes of the payloads that wait to be read again."""
        return sum(len(frame.payload) for frame in self._waiting)

    def catch_up(self) -> None:
        """Take over what waits, without this counting as a look."""
        if self._is_behind:
            self._catch_up()

    def _catch_up(self) -> None:
        """Take over what the book rests on, the snapshot and the updates that wait."""
        self._is_behind = False
        if self._ground is not None:
            ground, self._ground = self._ground, None
            self._hold(*ground())
        if self._snapshot is not None:
            snapshot, self._snapshot = self._snapshot, None
            self._bids, self._asks = {}, {}
            self._put(snapshot)
        if self._waiting and self._read is not None:
            waiting, self._waiting = self._waiting, []
            self._bid_prices = self._ask_prices = None
            for frame in waiting:
                update = self._read(frame)[0]
                if type(update) is BookUpdate:
                    self._put(update)

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
        self._is_behind = False
        self._ground = self._snapshot = None
        self._waiting = []
        self._bid_prices = self._ask_prices = None
        self._hold(bids, asks)

    def _hold(self, bids: Iterable[Level[Any]], asks: Iterable[Level[Any]]) -> None:
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
        if self._is_behind:
            self._catch_up()
        if self._bid_prices is None:
            self._bid_prices = sorted(price for price in self._bids if price == price)
        return self._bid_prices

    def _ordered_asks(self) -> list[Any]:
        self._unseen = 0
        if self._is_behind:
            self._catch_up()
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
        if self._is_behind:
            self._catch_up()
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
        if self._is_behind:
            self._catch_up()
        return len(self._bids) + len(self._asks)

    def __repr__(self) -> str:
        whole = "whole" if self.is_whole else "not whole"
        if self._is_behind:
            self._catch_up()
        return (
            f"<Book {self.instrument} {self.channel} connection={self.connection} {whole} "
            f"bids={len(self._bids)} asks={len(self._asks)} seq={self.seq}>"
        )
