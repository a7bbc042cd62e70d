"""Journal: what happens in a backtest, written into its tables and added to its sums.

Responsible for the rows. Refuses to decide anything, and to tell a strategy anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from recorder.okx.contracts import Contract, to_decimal, to_units
from recorder.okx.orders import CANCELED, MAKER, REJECTED
from recorder.trading import Order
from replay.backtest.account import Position
from replay.backtest.member import Member
from replay.backtest.resting import Resting, Taken
from replay.backtest.results import Results
from replay.backtest.stats import Stats, Tally
from replay.backtest.valuation import Valuation


class Journal:
    """Rows and sums of every strategy."""

    def __init__(self, results: Results, valuation: Valuation, cash: dict[str, str]) -> None:
        self.results = results
        self._valuation = valuation
        self._cash_at_first = cash
        self._tallies: dict[int, Tally] = {}
        self._sent: dict[str, int] = {}

    def begin(self, member: Member) -> None:
        """Begin a strategy's sums."""
        self._tallies[member.rank] = Tally()

    def sent(self, member: Member, order: Order) -> None:
        """Note when an order was sent; the equity curve begins before the first."""
        tally = self._tallies[member.rank]
        if not tally.samples:
            self.sample(member, order.sent)
        tally.orders += 1
        self._sent[order.id] = order.sent

    def refused(self, member: Member, order: Order, code: str, message: str) -> None:
        """Write an order for something that cannot be traded here."""
        tally = self._tallies[member.rank]
        tally.orders += 1
        tally.rejected += 1
        self.results.add("orders", (
            member.name, order.id, order.instrument, order.side, order.kind, order.price,
            order.size, order.filled, None, REJECTED, None, code, message, Decimal(0), None,
            Decimal(0), 0, order.sent, None, None, None,
        ))  # fmt: skip

    def ended(self, member: Member, order: Resting, *, is_over: bool = True) -> None:
        """Write an order that ended, or was left open at the end of the run."""
        tally, contract = self._tallies[member.rank], order.contract
        tally.rejected += order.state == REJECTED
        tally.canceled += order.state == CANCELED
        average = contract.average(order.cost, order.filled)
        price = None if order.price is None else contract.price(order.price)
        if order.state != REJECTED and order.lots:
            reckoned = average if price is None else price
            worth = 0.0 if reckoned is None else contract.value_at(to_units(reckoned), order.lots)
            tally.ordered += worth
            tally.filled += worth * (order.filled / order.lots)
        self.results.add("orders", (
            member.name, order.client_id, contract.instrument, "buy" if order.is_buy else "sell",
            order.kind, price, contract.size(order.lots), contract.size(order.filled), average,
            order.state, order.cancel_source or None, order.code or None, order.message or None,
            to_decimal(order.fee), order.fee_currency or None, to_decimal(order.pnl),
            order.amended, self._sent.pop(order.client_id, None), order.created or None,
            order.answered or None,
            order.updated if is_over else None,
        ))  # fmt: skip

    def filled(self, member: Member, order: Resting, last: Taken, due: int) -> None:
        """Write a fill."""
        tally, contract = self._tallies[member.rank], order.contract
        price = contract.price(last.price)
        value = self._valuation.worth(contract, last.value)
        if contract.is_spot:
            member.holdings.setdefault(
                contract.base, to_units(self._cash_at_first.get(contract.base, "0"))
            )
        tally.fills += 1
        tally.turnover += value
        tally.made += value if last.execution == MAKER else 0
        tally.fees += self._valuation.total({last.fee_currency: last.fee})
        sign = 1 if order.is_buy else -1
        mids = [
            None if double is None else to_decimal(double * contract.tick_units // 2)
            for double in (last.mid, order.mid_sent)
        ]
        for name, mid in (("fill", mids[0]), ("sent", mids[1])):
            if mid:
                tally.slipped(name, sign * (float(price) / float(mid) - 1) * 10_000, value)
        self.results.add("fills", (
            member.name, order.client_id, last.trade_id, contract.instrument,
            "buy" if order.is_buy else "sell", price, contract.size(last.lots),
            to_decimal(last.value), contract.settle, last.execution, to_decimal(last.fee),
            last.fee_currency, to_decimal(last.pnl), *mids, last.time, due,
        ))  # fmt: skip
        self._held(member, contract, last.time, "fill")

    def funded(self, member: Member, position: Position, paid: int, rate: int, time: int) -> None:
        """Write a settlement of funding."""
        contract = position.contract
        self._tallies[member.rank].funding += self._valuation.worth(contract, paid)
        self.results.add("funding", (
            member.name, time, contract.instrument, to_decimal(rate),
            contract.size(position.lots), to_decimal(paid), contract.settle,
        ))  # fmt: skip
        self._held(member, contract, time, "funding")

    def sample(self, member: Member, time: int) -> None:
        """Write a value of the equity curve."""
        tally, account = self._tallies[member.rank], member.account
        equity = self._valuation.equity(account)
        has_position = any(position.lots for position in account.positions.values())
        if not has_position:
            has_position = any(
                account.cash.get(name, 0) != amount for name, amount in member.holdings.items()
            )
        fall = tally.sample(time, equity, has_position=has_position)
        self.results.add("equity", (
            member.name, time, to_decimal(equity), to_decimal(fall), to_decimal(tally.fees),
            to_decimal(tally.funding), to_decimal(tally.turnover),
        ))  # fmt: skip

    def prices(self, instruments: Iterable[str], time: int) -> None:
        """Write the middle of the book of each instrument that has a whole one."""
        for name in instruments:
            mid = self._valuation.mid(name)
            if mid is not None:
                self.results.add("prices", (time, name, mid))

    def record(self, member: Member, time: int, name: str, value: float) -> None:
        """Write a value that a strategy recorded."""
        self.results.add("records", (member.name, time, name, value))

    def log(self, member: Member, time: int, text: str) -> None:
        """Write a line that a strategy logged."""
        self.results.add("logs", (member.name, time, text))

    def stats(self, member: Member, currency: str, sample: int) -> Stats:
        """Return a strategy's result."""
        account = member.account
        return self._tallies[member.rank].stats(
            member.name,
            currency,
            sample,
            {
                name: position.contract.size(position.lots)
                for name, position in sorted(account.positions.items())
                if position.lots
            },
            {name: to_decimal(amount) for name, amount in sorted(account.cash.items())},
        )

    def _held(self, member: Member, contract: Contract, time: int, cause: str) -> None:
        """Write what is held of an instrument now: contracts, or base currency."""
        row: tuple[object, ...]
        if contract.is_spot:
            base = to_decimal(member.account.cash.get(contract.base, 0))
            row = (base, None, None, None, None, contract.base)
        else:
            position = member.account.positions[contract.instrument]
            row = (
                contract.size(position.lots),
                contract.average(position.cost, abs(position.lots)),
                to_decimal(position.realized),
                to_decimal(position.fees),
                to_decimal(position.funding),
                contract.settle,
            )
        self.results.add("positions", (member.name, time, contract.instrument, cause, *row))
