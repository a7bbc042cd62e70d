"""A watched trader on the simulated market: orders, their fills in real trades, his account.

Responsible for what he does (a round of takers, makers, amendments and cancellations), for the
order state machine, and that everything he is told agrees: every fill is a trade of the public
tape with the same id and price, as taker the same size; cash, positions and fees are the sum of
the fills. Refuses to write pushes: `statement.py` does, through the callbacks given.

A maker order stands in the venue's book: it adds to its level, its share of a trade there is his,
and where makers withdraw his level it is put back, or, if the price has run through it, traded.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from recorder.clock import NS_PER_MS
from replay.market.account import MAKER_FEE, ONE, TAKER_FEE, Account, Outcome, amount, value
from replay.market.book import Side
from replay.market.flow import Fill
from replay.market.orders import LIVE, LastFill, Order
from replay.market.venue import Market

_PAUSE_NS = 700 * NS_PER_MS
_ROUND = (
    "buy", "bid", "short", "cross", "offer", "amend", "cover", "sweep", "bid", "cancel_oldest",
    "sell", "offer", "isolate",
)  # fmt: skip
"""What he does, one after the other: names of methods."""
POST_ONLY_WOULD_TAKE, BY_USER, IOC_LEFT_OVER = "31", "1", "14"
"""`cancelSource` of the API docs."""


class Statement(Protocol):
    """Who writes down what happens to the trader."""

    def ordered(self, order: Order, now_ns: int, request: str = "") -> None:
        """An order has changed; `request` is the id of the amendment that did it."""

    def settled(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        """A fill has changed the account."""


class Trader:
    """One account at one spot market and one swap.

    Attributes:
        account: his money; open: his live orders, oldest first.
    """

    def __init__(self, spot: Market, swap: Market, random: Random, now_ns: int) -> None:
        self.spot, self.swap = spot, swap
        now_ms = now_ns // NS_PER_MS
        base = spot.instrument.base
        self._holding = 50 * amount(spot.instrument, spot.instrument.typical_lots)
        self.account = Account({"USDT": 250_000 * ONE, base: self._holding}, now_ms)
        self.open: list[Order] = []
        self.statement: Statement | None = None
        self._bits = random.getrandbits
        self._order_id = 5_000_000_000 + random.getrandbits(30)
        self._step = 0
        self._claim: tuple[Order, int] | None = None
        self._taking: Order | None = None
        self._run_over: Order | None = None
        for market in (spot, swap):
            market.feed.watchers.append(_Part(self, market))
            market.settle = self._settle_of(market)

    def act(self, now_ns: int) -> int:
        """Do the next thing; return when to act again."""
        step: Callable[[int], None] = getattr(self, "_" + _ROUND[self._step % len(_ROUND)])
        self._step += 1
        step(now_ns)
        return now_ns + _PAUSE_NS + self._bits(29)

    def mark_of(self, name: str) -> int:
        """Return the mark price of the swap, ticks."""
        return self.swap.fair() if name == self.swap.instrument.id else self.spot.tape.last_price

    # --- what he does -----------------------------------------------------------------------

    def _buy(self, now: int) -> None:
        self._take(self.spot, now, is_buy=True, share=2)

    def _sell(self, now: int) -> None:
        """Sell what he holds beyond what he began with."""
        instrument = self.spot.instrument
        beyond = self.account.cash[instrument.base] - self._holding
        lots = beyond // amount(instrument, 1)
        if lots > 0:
            order = self._order(self.spot, "market", now, is_buy=False, lots=lots, price=None)
            self._execute(self.spot, order, now)

    def _short(self, now: int) -> None:
        self._take(self.swap, now, is_buy=False, share=1)

    def _isolate(self, now: int) -> None:
        """Hold a small short with little margin once: the venue warns of it."""
        if (self.swap.instrument.id, "isolated") not in self.account.positions:
            self._take(self.swap, now, is_buy=False, share=4, mode="isolated", leverage=100)

    def _cover(self, now: int) -> None:
        position = self.account.positions.get((self.swap.instrument.id, "cross"))
        if position is not None and position.lots:
            order = self._order(self.swap, "market", now, is_buy=position.lots < 0,
                                lots=abs(position.lots), price=None)  # fmt: skip
            order.reduce_only = True
            self._execute(self.swap, order, now)

    def _bid(self, now: int) -> None:
        self._rest(self.spot, now, is_buy=True)

    def _offer(self, now: int) -> None:
        self._rest(self.swap, now, is_buy=False)

    def _cross(self, now: int) -> None:
        """Post what would take: the venue cancels it at once, without a live state."""
        market = self.spot
        order = self._order(market, "post_only", now, is_buy=True, price=market.flow.book.best_ask,
                            lots=market.instrument.typical_lots)  # fmt: skip
        self._cancel(order, now, POST_ONLY_WOULD_TAKE)

    def _sweep(self, now: int) -> None:
        """Take what the best price offers, and give the rest up."""
        market = self.spot
        book = market.flow.book
        ask = book.best_ask
        lots = book.asks.sizes[-ask] + market.instrument.typical_lots
        lots = min(lots, 12 * market.instrument.typical_lots)
        order = self._order(market, "ioc", now, is_buy=True, price=ask, lots=lots)
        self._execute(market, order, now, limit=ask)

    def _amend(self, now: int) -> None:
        """Move the oldest order to the best price of its side."""
        if not self.open:
            return
        order = self.open[0]
        self._remove(order)
        side, sign = self._side(order)
        order.price = side.keys[-1] * sign
        order.amended += 1
        order.updated_ms = now // NS_PER_MS
        self._add(order)
        self._freeze()
        self._told(order, now, f"a{order.amended}")

    def _cancel_oldest(self, now: int) -> None:
        if self.open:
            order = self.open[0]
            self._remove(order)
            self.open.remove(order)
            self._cancel(order, now, BY_USER)

    # --- orders -----------------------------------------------------------------------------

    def _order(
        self, market: Market, kind: str, now: int, *, is_buy: bool, lots: int,
        price: int | None, mode: str | None = None, leverage: int = 5,
    ) -> Order:  # fmt: skip
        self._order_id += 1 + self._bits(6)
        is_swap = market.instrument.is_swap
        now_ms = now // NS_PER_MS
        return Order(
            self._order_id, market.instrument, kind, mode or ("cross" if is_swap else "cash"),
            leverage, is_buy, price, lots, now_ms, now_ms,
        )  # fmt: skip

    def _rest(self, market: Market, now: int, *, is_buy: bool) -> None:
        book = market.flow.book
        price = book.best_bid if is_buy else book.best_ask
        lots = market.instrument.typical_lots
        order = self._order(market, "limit", now, is_buy=is_buy, lots=lots, price=price)
        self.open.append(order)
        self._add(order)
        self._freeze()
        self._told(order, now)

    def _take(
        self, market: Market, now: int, *, is_buy: bool, share: int,
        mode: str | None = None, leverage: int = 5,
    ) -> None:  # fmt: skip
        lots = max(1, market.instrument.typical_lots // share)
        order = self._order(market, "market", now, is_buy=is_buy, lots=lots, price=None,
                            mode=mode, leverage=leverage)  # fmt: skip
        self._execute(market, order, now)

    def _execute(self, market: Market, order: Order, now: int, limit: int | None = None) -> None:
        """Let an order take; what is left of it is canceled."""
        for other in [o for o in self.open if o.instrument is order.instrument]:
            if other.is_buy is not order.is_buy:  # nobody trades with himself
                self._remove(other)
                self.open.remove(other)
                self._cancel(other, now, BY_USER)
        self._told(order, now)
        fills = market.flow.take(order.lots, is_buy=order.is_buy, limit=limit)
        self._taking = order
        market.feed.traded(fills, now)
        self._taking = None
        if order.state in LIVE:
            self._cancel(order, now, IOC_LEFT_OVER)

    def _cancel(self, order: Order, now: int, source: str) -> None:
        order.state, order.cancel_source = "canceled", source
        order.updated_ms = now // NS_PER_MS
        self._freeze()
        self._told(order, now)

    def _told(self, order: Order, now: int, request: str = "") -> None:
        if self.statement is not None:
            self.statement.ordered(order, now, request)
        order.last = None

    def _freeze(self) -> None:
        """Set aside what open spot orders need."""
        frozen = dict.fromkeys(self.account.cash, 0)
        for order in self.open:
            if order.mode == "cash" and order.price is not None:
                currency = "USDT" if order.is_buy else order.instrument.base
                frozen[currency] += (
                    value(order.instrument, order.price, order.left)
                    if order.is_buy
                    else amount(order.instrument, order.left)
                )
        self.account.frozen = frozen

    # --- fills ------------------------------------------------------------------------------

    def filled(self, order: Order, fill: Fill, lots: int, trade_id: int, now: int) -> None:
        """Book a fill of an order."""
        instrument, now_ms = order.instrument, now // NS_PER_MS
        is_taker = self._taking is order
        rate = TAKER_FEE if is_taker else MAKER_FEE
        if instrument.is_swap:
            outcome = self.account.swap(
                instrument, fill.price, lots, now_ms, is_buy=order.is_buy, fee_rate=rate,
                mode=order.mode, leverage=order.leverage, trade_id=trade_id,
            )  # fmt: skip
        else:
            outcome = self.account.spot(
                instrument, fill.price, lots, now_ms, is_buy=order.is_buy, fee_rate=rate
            )
        order.filled += lots
        order.worth += fill.price * lots
        order.fee += outcome.fee
        order.fee_currency = outcome.fee_currency
        order.pnl += outcome.pnl
        order.state = "filled" if order.filled >= order.lots else "partially_filled"
        order.updated_ms = now_ms
        execution = "T" if is_taker else "M"
        order.last = LastFill(
            fill.price, lots, trade_id, execution, outcome.fee, outcome.pnl, now_ms,
            fill.count if is_taker else 1,
        )  # fmt: skip
        if order.state == "filled" and order in self.open:
            self.open.remove(order)
        self._freeze()
        if self.statement is not None:
            # The order first: balances and positions are told in batches, a little later.
            self.statement.ordered(order, now)
            self.statement.settled(order, outcome, now)
        order.last = None

    def claim(self, market: Market, fill: Fill) -> int:
        """Return his share of a trade at one of his prices."""
        self._claim = None
        if self._taking is not None:
            return 0
        if self._run_over is not None:
            self._claim = (self._run_over, fill.size)
            return fill.size
        for order in self.open:
            is_met = order.price == fill.price and order.is_buy is not fill.is_buy
            if order.instrument is market.instrument and is_met and order.left:
                side, sign = self._side(order)
                rest = side.sizes.get(fill.price * sign, 0)
                share = order.left if not rest else fill.size * order.left // (rest + fill.size)
                lots = min(share, order.left, fill.size)
                self._claim = (order, lots)
                return lots
        return 0

    def traded(self, fill: Fill, trade_id: int, own: int, now: int) -> None:
        """Take note of a trade: as taker all of it is his, as maker what he claimed."""
        if self._taking is not None:
            self.filled(self._taking, fill, fill.size, trade_id, now)
        elif own and self._claim is not None:
            order, lots = self._claim
            self.filled(order, fill, lots, trade_id, now)

    # --- his orders in the book ---------------------------------------------------------------

    def _market(self, order: Order) -> Market:
        return self.swap if order.instrument.is_swap else self.spot

    def _side(self, order: Order) -> tuple[Side, int]:
        book = self._market(order).flow.book
        side = book.bids if order.is_buy else book.asks
        return side, side.sign

    def _add(self, order: Order) -> None:
        side, sign = self._side(order)
        key = (order.price or 0) * sign
        count = side.orders.get(key, 0)
        side.put(key, side.sizes.get(key, 0) + order.left, count + 1)

    def _remove(self, order: Order) -> None:
        side, sign = self._side(order)
        key = (order.price or 0) * sign
        left = side.sizes.get(key, 0) - order.left
        if left > 0:
            side.put(key, left, max(1, side.orders[key] - 1))
        elif key in side.sizes and len(side.keys) > 1:
            side.remove(key)

    def _settle_of(self, market: Market) -> Callable[[int], None]:
        def settle(now: int) -> None:
            for order in [o for o in self.open if o.instrument is market.instrument]:
                self._settle(market, order, now)

        return settle

    def _settle(self, market: Market, order: Order, now: int) -> None:
        """Put an order's level back that others withdrew, or trade what the price ran over."""
        book, price = market.flow.book, order.price or 0
        is_run_over = price >= book.best_ask if order.is_buy else price <= book.best_bid
        if is_run_over:
            self._remove(order)
            book.seq += 1
            fill = Fill(price, order.left, not order.is_buy, 1, book.seq)
            self._run_over = order
            market.feed.traded([fill], now)
            self._run_over = None
            return
        side, sign = self._side(order)
        size = side.sizes.get(price * sign, 0)
        if size < order.left:
            side.put(price * sign, order.left, max(1, side.orders.get(price * sign, 0)))


class _Part:
    """The trader's eyes on one market."""

    def __init__(self, trader: Trader, market: Market) -> None:
        self._trader, self._market = trader, market

    def part_of(self, fill: Fill) -> int:
        return self._trader.claim(self._market, fill)

    def traded(self, fill: Fill, trade_id: int, own: int, now_ns: int) -> None:
        self._trader.traded(fill, trade_id, own, now_ns)
