"""Depth: the recorded book of one instrument in ticks and lots, as the venue had it.

Responsible for levels as integers. Refuses to judge whether the book is whole: the interpreter's
own book says so. It is kept only while an order is under way or resting, and begins as a copy of
that book; it differs from it in being one frame behind where an order comes before that frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recorder.event import Level
from recorder.okx.contracts import Contract

Side = dict[int, int]


class Depth:
    """Levels of both sides: lots by ticks."""

    __slots__ = ("_per_lot", "_per_tick", "asks", "bids")

    def __init__(self, contract: Contract) -> None:
        self._per_tick = 1 / float(contract.tick)
        self._per_lot = 1 / float(contract.lot)
        self.bids: Side = {}
        self.asks: Side = {}

    def ticks(self, price: float) -> int:
        """Return a recorded price in ticks."""
        return round(price * self._per_tick)

    def lots(self, size: float) -> int:
        """Return a recorded size in lots."""
        return round(size * self._per_lot)

    def side(self, levels: Iterable[Level[Any]]) -> Side:
        """Return levels as lots by ticks; 0 is one that is gone."""
        per_tick, per_lot = self._per_tick, self._per_lot
        return {round(level.price * per_tick): round(level.size * per_lot) for level in levels}

    def replace(self, bids: Side, asks: Side) -> None:
        """Take over a whole book."""
        self.bids = {price: lots for price, lots in bids.items() if lots}
        self.asks = {price: lots for price, lots in asks.items() if lots}

    def put(self, bids: Side, asks: Side) -> None:
        """Take over changed levels."""
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, lots in levels.items():
                if lots:
                    side[price] = lots
                else:
                    side.pop(price, None)

    def best_bid(self) -> int | None:
        """Return the highest bid, ticks."""
        return max(self.bids) if self.bids else None

    def best_ask(self) -> int | None:
        """Return the lowest ask, ticks."""
        return min(self.asks) if self.asks else None

    def double_mid(self) -> int | None:
        """Return best bid plus best ask, ticks; None for a one-sided book."""
        return max(self.bids) + min(self.asks) if self.bids and self.asks else None

    def level(self, price: int, *, is_bid: bool) -> int | None:
        """Return the lots of a level; None where the book does not reach so far."""
        side = self.bids if is_bid else self.asks
        if price in side:
            return side[price]
        if not side:
            return None
        worst = min(side) if is_bid else max(side)
        return None if (price < worst if is_bid else price > worst) else 0

    def walk(self, lots: int, limit: int | None, *, is_buy: bool) -> list[tuple[int, int]]:
        """Return (price, lots) that a taker meets, best first, as far as his limit and size go."""
        side = self.asks if is_buy else self.bids
        met = []
        for price in sorted(side, reverse=not is_buy):
            if limit is not None and (price > limit if is_buy else price < limit):
                break
            taken = min(lots, side[price])
            met.append((price, taken))
            lots -= taken
            if not lots:
                break
        return met

    def quoted(self, limit: int, *, is_buy: bool) -> int:
        """Return the lots quoted at or beyond what an order would pay or take."""
        side = self.asks if is_buy else self.bids
        if is_buy:
            return sum(lots for price, lots in side.items() if price <= limit)
        return sum(lots for price, lots in side.items() if price >= limit)
