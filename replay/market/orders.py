"""One order of a watched trader, and the states it goes through.

Responsible for what an order is. Refuses to decide anything: `trader.py` does.
"""

from __future__ import annotations

import msgspec

from replay.market.instruments import Instrument

LIVE = ("live", "partially_filled")
"""States in which an order can still trade."""


class LastFill(msgspec.Struct, frozen=True, gc=False):
    """The fill that an order's push tells: ticks, lots, 1e-18 of the fee's currency.

    `count` is that of the trade for a taker, 1 for a maker.
    """

    price: int
    lots: int
    trade_id: int
    execution: str
    fee: int
    pnl: int
    time_ms: int
    count: int


class Order(msgspec.Struct, gc=False):
    """An order.

    Attributes:
        kind: `limit`, `market`, `post_only` or `ioc`; mode: `cash`, `cross` or `isolated`.
        price: ticks, None for market orders; lots: wanted; filled: so far.
        worth: of the fills, ticks × lots; fee, pnl: so far, 1e-18 of their currencies.
        state: `live`, `partially_filled`, `filled` or `canceled`.
        cancel_source: why canceled, as the venue writes it; amended: how often.
        last: the fill of the push that is due, None without one.
    """

    id: int
    instrument: Instrument
    kind: str
    mode: str
    leverage: int
    is_buy: bool
    price: int | None
    lots: int
    created_ms: int
    updated_ms: int
    filled: int = 0
    worth: int = 0
    fee: int = 0
    fee_currency: str = ""
    pnl: int = 0
    state: str = "live"
    cancel_source: str = ""
    amended: int = 0
    last: LastFill | None = None
    reduce_only: bool = False

    @property
    def left(self) -> int:
        """Lots that can still trade."""
        return self.lots - self.filled if self.state in LIVE else 0
