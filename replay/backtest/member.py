"""Member: one strategy of a backtest: its account at the venue, and what it knows of it.

Responsible for keeping the two apart. What the venue has done is known to the strategy when the
answer is here, not before; so orders, balances and positions exist twice, and only `take` brings
the second up to the first. Refuses to decide when: the exchange does.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from recorder.event import AccountUpdate, Event, OrderUpdate, PositionUpdate
from recorder.okx.contracts import to_decimal, to_units
from recorder.strategy import Adapted
from recorder.trading import OPEN, Order
from replay.backtest.account import Account
from replay.backtest.resting import Resting
from replay.backtest.settings import Settings


class Member:
    """One strategy, its account, and its view of it.

    Attributes:
        rank: place among the strategies, from 0; name: of its rows.
        account: at the venue; orders: those the venue holds, by `clOrdId`.
        known: orders that may still trade as far as the strategy knows.
        balances, positions: as the strategy knows them.
        holdings: base currencies it traded spot, and what it had of them at first, 1e-18.
        arrives, answered: no later request arrives, no later answer comes, before these, ns.
        context: what it is given; set by who makes it.
    """

    def __init__(self, rank: int, name: str, adapted: Adapted, settings: Settings) -> None:
        self.rank = rank
        self.name = name
        self.adapted = adapted
        self.handle = adapted.handle
        cash = {name: to_units(amount) for name, amount in settings.cash.items()}
        self.account = Account(cash, settings.leverage)
        self.orders: dict[str, Resting] = {}
        self.known: dict[str, Order] = {}
        self.balances: dict[str, Decimal] = {n: to_decimal(amount) for n, amount in cash.items()}
        self.positions: dict[str, Decimal] = {}
        self.random = Random(f"{settings.seed}/{rank}")
        self.holdings: dict[str, int] = {}
        self.arrives = 0
        self.answered = 0
        self.context: Any = None

    def take(self, event: Event) -> None:
        """Let the strategy's view become what an answer says."""
        if type(event) is OrderUpdate:
            order = self.known.get(event.client_order_id or "")
            if order is None:
                return
            if event.code not in (None, "0"):
                order.code, order.message = event.code or "", event.message or ""
            order.state = event.state
            order.price = event.price
            order.size = event.size if event.size is not None else order.size
            order.filled = event.filled_size or Decimal(0)
            order.average_price = event.average_price
            order.updated = event.ts_recv
            if order.state not in OPEN:
                del self.known[order.id]
        elif type(event) is AccountUpdate:
            for balance in event.balances:
                self.balances[balance.currency] = balance.cash or Decimal(0)
        elif type(event) is PositionUpdate:
            if event.position:
                self.positions[event.instrument] = event.position
            else:
                self.positions.pop(event.instrument, None)
