"""The venue's own order book of one instrument, and what of it a subscriber is told.

Responsible for price levels in ticks and lots, and for rows: a snapshot of the best 400 per side,
and the difference since the last push, with explicit deletes for levels that fell out of
the 400. Refuses to decide what happens to the book (`flow`) or how a push is written (`feed`).

A side keys its levels so that the best key is the largest: +price for bids, −price for asks. One
implementation then serves both. Deletes of prices a subscriber never saw and rows that repeat the
value it has come about by themselves, as on OKX: a level that came and went within one interval
is a delete, one that changed and changed back is a row.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from replay.market.chance import PriceTexts, format_decimal

SHOWN = 400
"""Levels per side that `books` shows."""

_NO_FLOOR = -(1 << 62)


class Side:
    """One side of a book; `sign` is +1 for bids, −1 for asks.

    Attributes:
        keys: every level's key, ascending, best last.
        sizes, orders: lots and number of orders by key.
    """

    __slots__ = (
        "_rows", "_shown_from", "_size_decimals", "_texts", "_touched", "keys", "orders", "sign",
        "sizes",
    )  # fmt: skip

    def __init__(self, sign: int, texts: PriceTexts, size_decimals: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.sizes: dict[int, int] = {}
        self.orders: dict[int, int] = {}
        self._texts = texts
        self._size_decimals = size_decimals
        self._rows: dict[int, str] = {}
        self._touched: set[int] = set()
        self._shown_from = _NO_FLOOR

    def put(self, key: int, size: int, orders: int) -> None:
        """Set a level: lots and number of orders, both above 0."""
        if key not in self.sizes:
            insort(self.keys, key)
        else:
            self._rows.pop(key, None)
        self.sizes[key] = size
        self.orders[key] = orders
        self._touched.add(key)

    def remove(self, key: int) -> None:
        """Delete a level that exists."""
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]
        del self.sizes[key]
        del self.orders[key]
        self._rows.pop(key, None)
        self._touched.add(key)

    def extend(self, key: int, size: int, orders: int) -> None:
        """Add a level worse than all others."""
        self.keys.insert(0, key)
        self.sizes[key] = size
        self.orders[key] = orders
        self._touched.add(key)

    def trim(self, levels: int) -> None:
        """Forget all but the best `levels` (at least `SHOWN`): no subscriber sees those."""
        surplus = self.keys[: max(0, len(self.keys) - levels)]
        del self.keys[: len(surplus)]
        for key in surplus:
            del self.sizes[key]
            del self.orders[key]
            self._rows.pop(key, None)
            self._touched.add(key)

    def row(self, key: int) -> str:
        """Return a level as on the wire: `["63913.1","0.512","0","4"]`."""
        text = self._rows.get(key)
        if text is None:
            price = self._texts[key * self.sign]
            size = format_decimal(self.sizes[key], self._size_decimals)
            text = self._rows[key] = f'["{price}","{size}","0","{self.orders[key]}"]'
        return text

    def best(self, depth: int) -> str:
        """Return the rows of the best levels, best first, joined by commas."""
        row = self.row
        return ",".join([row(key) for key in reversed(self.keys[-depth:])])

    def changes(self) -> str:
        """Return the rows a subscriber needs since the last call, best first; "" for none."""
        keys, touched, sizes = self.keys, self._touched, self.sizes
        start = keys[-SHOWN] if len(keys) >= SHOWN else _NO_FLOOR
        before, self._shown_from = self._shown_from, start
        if start != before:
            low, high = (before, start) if before < start else (start, before)
            touched.update(keys[bisect_left(keys, low) : bisect_left(keys, high)])
        if not touched:
            return ""
        rows = []
        row, texts, sign = self.row, self._texts, self.sign
        for key in sorted(touched, reverse=True):
            if key >= start and key in sizes:
                rows.append(row(key))
            elif key >= start or key >= before:
                rows.append(f'["{texts[key * sign]}","0","0","0"]')
            else:
                break  # worse than anything shown before or now
        touched.clear()
        return ",".join(rows)

    def forget_changes(self) -> None:
        """Start the next difference here: a snapshot has just been taken."""
        self.changes()


class VenueBook:
    """Both sides of one instrument's book and its sequence number.

    Attributes:
        seq: the venue's counter for this instrument, shared by books, quotes and trades.
    """

    __slots__ = ("asks", "bids", "seq")

    def __init__(self, price_decimals: int, size_decimals: int, seq: int) -> None:
        texts = PriceTexts(price_decimals)
        self.bids = Side(+1, texts, size_decimals)
        self.asks = Side(-1, texts, size_decimals)
        self.seq = seq

    @property
    def best_bid(self) -> int:
        """Best bid in ticks."""
        return self.bids.keys[-1]

    @property
    def best_ask(self) -> int:
        """Best ask in ticks."""
        return -self.asks.keys[-1]
