"""Valuation: what positions and currencies are worth now, from what was recorded until now.

Responsible for the prices used: the recorded mark price, else the middle of the book, else the last
recorded trade; of a currency its spot instrument or index. Refuses to guess: what has no price is
named, not counted as nothing.
"""

from __future__ import annotations

from recorder.event import IndexPrice, MarkPrice, Trade
from recorder.okx.contracts import ONE, Contract, to_units
from recorder.strategy import Context
from replay.backtest.account import Account

_DOLLARS = ("USD", "USDT", "USDC")
"""Counted as the same where no price between them is recorded."""


class Valuation:
    """Prices of the moment.

    Attributes:
        unpriced: currencies that could not be valued, in the order they were met.
    """

    def __init__(self, stream: Context, currency: str) -> None:
        self.unpriced: dict[str, None] = {}
        self._stream = stream
        self._currency = currency
        self._marks: dict[str, float] = {}
        self._indexes: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def on_mark(self, event: MarkPrice) -> None:
        """Take a recorded mark price over."""
        if event.price is not None:
            self._marks[event.instrument] = event.price

    def on_index(self, event: IndexPrice) -> None:
        """Take a recorded index price over."""
        if event.price is not None:
            self._indexes[event.instrument] = event.price

    def on_trade(self, event: Trade) -> None:
        """Take a recorded trade over."""
        self._last[event.instrument] = event.price

    def mark(self, instrument: str) -> int | None:
        """Return the price of an instrument, 1e-18; None where none is known."""
        price = self._marks.get(instrument)
        if price is None:
            price = self.mid(instrument)
        if price is None:
            price = self._last.get(instrument)
        return None if price is None else to_units(price)

    def mid(self, instrument: str) -> float | None:
        """Return the middle of an instrument's book, None where that is not whole."""
        book = self._stream.books.get(instrument)
        if book is None or not book.is_whole:
            return None
        mid: float | None = book.mid()
        return mid

    def price_of(self, currency: str) -> int | None:
        """Return what one of a currency is worth, 1e-18; None where no price is known."""
        if currency == self._currency:
            return ONE
        for quote in (self._currency, *_DOLLARS):
            if quote != self._currency and self._currency not in _DOLLARS:
                break
            found = self.mark(f"{currency}-{quote}")
            if found is None and f"{currency}-{quote}" in self._indexes:
                found = to_units(self._indexes[f"{currency}-{quote}"])
            if found is not None:
                return found
        if currency in _DOLLARS and self._currency in _DOLLARS:
            return ONE
        opposite = self.mark(f"{self._currency}-{currency}")
        if opposite:
            return ONE * ONE // opposite
        if self._currency in _DOLLARS:
            return self.mark(f"{currency}-USD-SWAP")
        return None

    def equity(self, account: Account) -> int:
        """Return the worth of an account's cash and open positions, 1e-18."""
        owned = dict(account.cash)
        for position in account.positions.values():
            if position.lots:
                mark = self.mark(position.contract.instrument)
                settle = position.contract.settle
                gain = 0 if mark is None else position.unrealized(mark)
                owned[settle] = owned.get(settle, 0) + gain
        return self.total(owned)

    def total(self, amounts: dict[str, int]) -> int:
        """Return what amounts of currencies are worth together, 1e-18."""
        total = 0
        for currency, amount in amounts.items():
            if not amount:
                continue
            price = self.price_of(currency)
            if price is None:
                self.unpriced[currency] = None
                continue
            total += amount * price // ONE
        return total

    def worth(self, contract: Contract, value: int) -> int:
        """Return a value in an instrument's settlement currency in the reporting one."""
        return self.total({contract.settle: value})
