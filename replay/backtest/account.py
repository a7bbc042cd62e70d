"""Account: cash, positions, fees and funding of one strategy at the simulated venue.

Responsible for what a fill and a settlement do to the money, to the last digit. Refuses to know
orders' ways and prices' sources. Money is in 1e-18 of its currency (`okx.contracts`), positions are
one-way (`net`), margin is one number: `leverage`. There is no liquidation: a strategy that loses
more than it has goes on with negative equity, which the results show.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from recorder.okx.contracts import Contract, fee, funding
from replay.backtest.resting import Resting


class Position(msgspec.Struct):
    """Contracts held.

    Attributes:
        lots: negative is short; cost: of them when they were opened, 1e-18 of `settle`.
        realized, fees, funding: since the beginning, 1e-18 of `settle`.
        opened, updated: venue time, ns.
    """

    contract: Contract
    opened: int
    lots: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0
    funding: int = 0
    updated: int = 0

    def unrealized(self, mark: int) -> int:
        """Return what closing at a price in 1e-18 would gain, 1e-18 of `settle`."""
        if not self.lots:
            return 0
        value = self.contract.value_at(mark, abs(self.lots))
        return self.contract.profit(self.cost, value, is_long=self.lots > 0)


class Change(msgspec.Struct, frozen=True):
    """What a fill did: fee and profit as changes of cash, 1e-18."""

    fee: int
    fee_currency: str
    pnl: int
    value: int


class Account:
    """Cash by currency and positions by instrument.

    Attributes:
        cash: 1e-18 of each currency; positions: also those that are flat now.
        fees, funding: sums of changes by currency; touched: when each currency changed, ns.
    """

    def __init__(self, cash: dict[str, int], leverage: int) -> None:
        self.cash = dict(cash)
        self.positions: dict[str, Position] = {}
        self.fees: dict[str, int] = {}
        self.funding: dict[str, int] = {}
        self.touched: dict[str, int] = dict.fromkeys(cash, 0)
        self._leverage = leverage

    def fill(
        self, contract: Contract, price: int, lots: int, rate: int, time: int, *, is_buy: bool
    ) -> Change:
        """Book a fill.

        Args:
            rate: of the fee, 1e-18; time: of the venue, ns.
        """
        value = contract.value(price, lots)
        if contract.is_spot:
            return self._exchange(contract, value, lots, rate, time, is_buy=is_buy)
        position = self.positions.get(contract.instrument)
        if position is None:
            position = self.positions[contract.instrument] = Position(contract, time)
        pnl = self._turn(position, price, lots if is_buy else -lots)
        paid = fee(value, rate)
        position.realized += pnl
        position.fees += paid
        position.updated = time
        self._add(contract.settle, pnl + paid, time)
        self.fees[contract.settle] = self.fees.get(contract.settle, 0) + paid
        return Change(paid, contract.settle, pnl, value)

    def settle(self, contract: Contract, mark: int, rate: int, time: int) -> int | None:
        """Pay or receive funding; return the change of cash, None without a position.

        Args:
            mark: price in 1e-18; rate: in 1e-18; time: of the settlement, ns.
        """
        position = self.positions.get(contract.instrument)
        if position is None or not position.lots:
            return None
        value = contract.value_at(mark, abs(position.lots))
        paid = funding(value, rate, is_long=position.lots > 0)
        position.funding += paid
        self.funding[contract.settle] = self.funding.get(contract.settle, 0) + paid
        self._add(contract.settle, paid, time)
        return paid

    def affords(
        self, contract: Contract, price: int, lots: int, orders: Iterable[Resting], *, is_buy: bool
    ) -> bool:
        """Tell whether an order's currency, or margin, is there.

        Args:
            orders: this account's open ones, without this.
        """
        if contract.is_spot:
            others = [o for o in orders if o.contract.is_spot and o.is_buy is is_buy]
            if is_buy:
                currency, need = contract.quote, contract.value(price, lots)
                frozen = sum(
                    o.contract.value(o.price or 0, o.left)
                    for o in others
                    if o.contract.quote == currency
                )
            else:
                currency, need = contract.base, contract.base_units(lots)
                frozen = sum(
                    o.contract.base_units(o.left) for o in others if o.contract.base == currency
                )
            return need + frozen <= self.cash.get(currency, 0)
        held = sum(o.left for o in orders if o.is_buy is is_buy and o.contract is contract)
        position = self.positions.get(contract.instrument)
        now = position.lots if position is not None else 0
        after = now + lots + held if is_buy else now - lots - held
        if abs(after) <= abs(now):
            return True  # closing needs no margin
        equity = self.cash.get(contract.settle, 0)
        margin = contract.value(price, abs(after)) // self._leverage
        for other in self.positions.values():
            if other.contract.settle != contract.settle or not other.lots:
                continue
            if other.contract is contract:
                equity += other.unrealized(price * contract.tick_units)
            else:
                margin += other.cost // self._leverage
        return margin <= equity

    def _exchange(
        self, contract: Contract, value: int, lots: int, rate: int, time: int, *, is_buy: bool
    ) -> Change:
        """Exchange base against quote currency; the fee is taken from what is received."""
        size = contract.base_units(lots)
        received, currency = (size, contract.base) if is_buy else (value, contract.quote)
        paid = fee(received, rate)
        self._add(contract.base, size if is_buy else -size, time)
        self._add(contract.quote, -value if is_buy else value, time)
        self._add(currency, paid, time)
        self.fees[currency] = self.fees.get(currency, 0) + paid
        return Change(paid, currency, 0, value)

    def _turn(self, position: Position, price: int, signed: int) -> int:
        """Open, add to, reduce or turn a position; return the profit of what was closed."""
        contract, pnl = position.contract, 0
        lots = abs(signed)
        held = abs(position.lots)
        closing = min(lots, held) if position.lots * signed < 0 else 0
        if closing:
            cost = position.cost * closing // held
            pnl = contract.profit(cost, contract.value(price, closing), is_long=position.lots > 0)
            position.cost -= cost
        if lots > closing:
            position.cost += contract.value(price, lots - closing)
        position.lots += signed
        return pnl

    def _add(self, currency: str, amount: int, time: int) -> None:
        self.cash[currency] = self.cash.get(currency, 0) + amount
        self.touched[currency] = time
