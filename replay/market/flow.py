"""Order flow: what traders do to the book of one instrument.

Responsible for orders that arrive, are cancelled and trade, in bursts, around a fair price.
Refuses to decide when a burst comes (`simulator`) and to write pushes (`feed`).

The rules are few. Where the fair price has crossed the book, takers lift what is stale, makers
withdraw the rest and quote again on the new side. Otherwise a taker comes now and then, more
often on the side of the last one. Makers add, change and cancel orders, mostly close to the best
price. Trades execute at the best levels and the book shrinks by exactly what was traded.
"""

from __future__ import annotations

from random import Random

import msgspec

from replay.market.book import SHOWN, Side, VenueBook
from replay.market.chance import EXPONENTIAL, LOGNORMAL
from replay.market.instruments import Instrument

_LEVELS = SHOWN + 24
"""Levels the venue's book is filled up to; those beyond 400 are what shown levels give way to."""

_ORDERS = (1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 6, 11)


class Fill(msgspec.Struct, gc=False):
    """What one taker order traded at one price.

    Attributes:
        price: ticks. size: lots. is_buy: the taker bought. count: maker orders it met.
        seq: the book's sequence number of it.
    """

    price: int
    size: int
    is_buy: bool
    count: int
    seq: int


class Flow:
    """The traders of one instrument, acting on `book`."""

    def __init__(self, instrument: Instrument, fair: int, random: Random) -> None:
        self._bits = random.getrandbits
        sizes = [max(1, instrument.typical_lots * share // 1_000) for share in LOGNORMAL]
        self._sizes = sizes
        self._round_sizes = [_two_digits(lots) for lots in sizes]
        # Tick distances scale with the price: a near order lies some 3 basis points away.
        self._near = max(3, fair // 12_000)
        self._leans_to_buy = True
        bits = self._bits
        seq = 10_000_000 + bits(33)
        self.book = VenueBook(instrument.price_decimals, instrument.size_decimals, seq)
        for side, best in ((self.book.bids, fair - 1), (self.book.asks, -(fair + 1))):
            side.put(best, self._size(), self._order_count())
            self._fill_up(side)
            side.forget_changes()

    def burst(self, fair: int) -> list[Fill]:
        """Let traders act once, at one instant; return what traded, in order."""
        book, bits = self.book, self._bits
        fills: list[Fill] = []
        book.seq += 1 + bits(2)
        draw = bits(16)
        if fair >= book.best_ask:
            self._chase(book.asks, book.bids, -fair, fills)
        elif fair <= book.best_bid:
            self._chase(book.bids, book.asks, fair, fills)
        elif draw & 15 < 5:
            if draw & 48 == 0:
                self._leans_to_buy = not self._leans_to_buy
            side = book.asks if self._leans_to_buy else book.bids
            self._take(side, 1 + self._size() // 3, 3, fills)
        for _ in range(1 + (draw >> 6 & 3)):
            self._quote(fair)
        return fills

    def settle(self) -> None:
        """Act far from the best price, and keep both sides deep: once per `books` push."""
        bits = self._bits
        for side in (self.book.bids, self.book.asks):
            keys = side.keys
            for _ in range(bits(1) + bits(1)):
                key = keys[-1 - (bits(16) * min(len(keys), SHOWN) >> 16)]
                if key != keys[-1]:
                    if bits(2) == 0:
                        side.remove(key)
                    else:
                        side.put(key, self._size(), self._order_count())
            if len(keys) < SHOWN + 8:
                self._fill_up(side)
            elif len(keys) > _LEVELS + 40:
                side.trim(_LEVELS)

    def restart_sequence(self) -> None:
        """Start counting from a low number, as OKX may after maintenance."""
        self.book.seq = 1 + self._bits(12)

    def take(self, lots: int, *, is_buy: bool, limit: int | None = None) -> list[Fill]:
        """Execute a taker order of somebody watched; return what traded, maybe less than asked.

        Args:
            lots: wanted.
            is_buy: it buys.
            limit: worst price in ticks; None: any of the best three levels.
        """
        fills: list[Fill] = []
        side = self.book.asks if is_buy else self.book.bids
        bound = None if limit is None else limit * side.sign
        self.book.seq += 1
        self._take(side, lots, 3, fills, bound)
        return fills

    # --- takers -----------------------------------------------------------------------------

    def _chase(self, stale: Side, behind: Side, limit: int, fills: list[Fill]) -> None:
        """Trade and withdraw levels of `stale` better than `limit`; quote anew behind them."""
        keys = stale.keys
        self._leans_to_buy = stale.sign < 0
        if self._bits(1):
            self._take(stale, self._size() * 2, 2, fills, limit)
        withdrawn = 0
        while keys[-1] >= limit and withdrawn < 24 and len(keys) > 1:
            stale.remove(keys[-1])
            withdrawn += 1
        if len(keys) < SHOWN // 2:
            self._fill_up(stale)
        bits = self._bits
        for _ in range(1 + bits(1)):
            # Keys of the two sides mirror each other: behind the fair price is at −limit.
            key = min(-limit, -keys[-1]) - 1 - (EXPONENTIAL[bits(8)] * self._near >> 13)
            behind.put(key, self._size(), self._order_count())

    def _take(
        self, side: Side, lots: int, levels: int, fills: list[Fill], limit: int | None = None
    ) -> None:
        """Execute a taker order against the best levels of `side`."""
        book, keys, sizes = self.book, side.keys, side.sizes
        while lots > 0 and levels > 0 and len(keys) > 1:
            key = keys[-1]
            if limit is not None and key < limit:
                break
            resting, orders = sizes[key], side.orders[key]
            book.seq += 1
            if lots >= resting:
                side.remove(key)
                fill = Fill(key * side.sign, resting, side.sign < 0, orders, book.seq)
            else:
                met = max(1, orders * lots // resting)
                side.put(key, resting - lots, max(1, orders - met + 1))
                fill = Fill(key * side.sign, lots, side.sign < 0, met, book.seq)
            # Every fill has at least one lot per maker order it met.
            fill.count = min(fill.count, fill.size)
            fills.append(fill)
            lots -= fill.size
            levels -= 1

    # --- makers -----------------------------------------------------------------------------

    def _quote(self, fair: int) -> None:
        """Add, change or cancel an order close to the best price of one side."""
        book, bits = self.book, self._bits
        draw = bits(24)
        side, other = (book.bids, book.asks) if draw & 1 else (book.asks, book.bids)
        best, cross = side.keys[-1], -other.keys[-1]
        distance = EXPONENTIAL[draw >> 1 & 255] * self._near >> 10
        if cross - best > 1 and draw & 0x600:
            # A wide spread draws somebody in, up to but not across the fair price.
            key = min(cross - 1, fair * side.sign) - (distance >> 6)
        else:
            key = best - distance
        if key not in side.sizes:
            side.put(key, self._size(), self._order_count())
            return
        action = draw >> 11 & 7
        orders = side.orders[key]
        if action < 3 or key == side.keys[0]:
            side.put(key, side.sizes[key] + self._size(), orders + 1)
        elif orders > 1 and action < 6:
            left = side.sizes[key] * (orders - 1) // orders
            side.put(key, max(1, left), orders - 1)
        else:
            side.remove(key)

    def _fill_up(self, side: Side) -> None:
        """Add levels at the far end, gaps and sizes growing with the distance."""
        bits = self._bits
        key, near = side.keys[0], self._near
        for index in range(len(side.keys), _LEVELS):
            gap = EXPONENTIAL[bits(8)] * near * (40 + index) >> 19
            key -= 1 + gap
            side.extend(key, self._size() * (100 + index) // 100, self._order_count())

    def _size(self) -> int:
        """Draw an order size in lots: lognormal, half of them round numbers as people write."""
        draw = self._bits(72)
        rank = (draw >> 8).bit_count()
        if draw & 1:
            return self._round_sizes[rank]
        lots = self._sizes[rank]
        return lots + (lots * (draw & 255) >> 9)

    def _order_count(self) -> int:
        return _ORDERS[self._bits(4)]


def _two_digits(lots: int) -> int:
    """Round down to two significant digits."""
    step: int = 10 ** max(0, len(str(lots)) - 2)
    return lots // step * step
