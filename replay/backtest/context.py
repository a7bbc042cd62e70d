"""BacktestContext: what a strategy of a backtest is given beside the event in hand.

Responsible for reading a strategy's requests, for handing them to the exchange, and for showing no
more than the strategy can know. Refuses to answer them: answers are events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from decimal import Context as Arithmetic
from types import MappingProxyType
from typing import Any

from recorder.book import Books
from recorder.errors import UsageError
from recorder.event import InstrumentUpdate
from recorder.okx.contracts import exact
from recorder.okx.orders import KINDS
from recorder.strategy import Context
from recorder.timers import Call, Listener, Timer, Timers
from recorder.trading import Order, Price
from replay.backtest.exchange import Exchange
from replay.backtest.journal import Journal
from replay.backtest.member import Member

_EXACT = Arithmetic(prec=60)
_ROUNDINGS = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}


class OwnTimers:
    """The timers of one strategy, among those of the run: its calls get its own context.

    Attributes:
        listener: the strategy's `on_timer`.
    """

    def __init__(self, timers: Timers) -> None:
        self.listener: Listener | None = None
        self.context: Any = None
        self._timers = timers

    def set(self, due: int, call: Call | None, interval: int | None = None) -> Timer:
        """Set a timer; see `recorder.timers`."""
        self._timers.listener = None
        if call is not None:
            return self._timers.set(due, lambda _: call(self.context), interval)
        listener = self.listener
        if listener is None:
            return self._timers.set(due, None, interval)  # which says what is missing
        timer = self._timers.set(due, lambda _: listener(timer, self.context), interval)
        return timer


class BacktestContext:
    """See `recorder.trading.TradingContext`, which this is.

    Attributes:
        clock: data time. restarts: always 0.
        instruments: rules by instrument, as recorded until now.
        timers: what was set; see `at`, `after`, `every`.
    """

    restarts = 0

    def __init__(
        self,
        member: Member,
        stream: Context,
        exchange: Exchange,
        journal: Journal,
    ) -> None:
        self.clock = stream.clock
        self.timers = OwnTimers(stream.timers)
        self.timers.context = self
        self.instruments: Mapping[str, InstrumentUpdate] = MappingProxyType(exchange.instruments)
        self.balances: Mapping[str, Decimal] = MappingProxyType(member.balances)
        self.positions: Mapping[str, Decimal] = MappingProxyType(member.positions)
        self._member, self._exchange, self._journal = member, exchange, journal
        self._stream = stream
        self._sent = 0

    @property
    def books(self) -> Books:
        """Every order book as recorded and received until now."""
        return self._stream.books

    # --- timers --------------------------------------------------------------------------------

    def at(self, time: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, at a time, ns since the Unix epoch; else `on_timer`."""
        return self.timers.set(time, call)

    def after(self, delay: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, `delay` ns of data time from now."""
        return self.timers.set(self.clock.now() + delay, call)

    def every(self, interval: int, call: Call | None = None, *, start: int | None = None) -> Timer:
        """Call `call(context)` every `interval` ns of data time, first at `start`, ns."""
        first = self.clock.now() + interval if start is None else start
        return self.timers.set(first, call, interval)

    # --- orders --------------------------------------------------------------------------------

    @property
    def open_orders(self) -> Sequence[Order]:
        """Orders that may still trade as far as the answers tell, oldest first."""
        return list(self._member.known.values())

    def buy(
        self, instrument: str, size: Price, price: Price | None = None, *, kind: str | None = None
    ) -> Order:
        """Send an order to buy; see `recorder.trading`.

        Raises:
            UsageError: what no venue could be asked: an unknown kind, a price that is no number.
        """
        return self._order("buy", instrument, size, price, kind)

    def sell(
        self, instrument: str, size: Price, price: Price | None = None, *, kind: str | None = None
    ) -> Order:
        """Send an order to sell; see `buy`."""
        return self._order("sell", instrument, size, price, kind)

    def cancel(self, order: Order | None = None) -> None:
        """Ask to cancel an order; None: every open one. The answer is an OrderUpdate."""
        for each in self.open_orders if order is None else (order,):
            self._exchange.cancel(self._member, each)

    def amend(self, order: Order, *, price: Price | None = None, size: Price | None = None) -> None:
        """Ask to change an order; size is the whole one, filled part included.

        Raises:
            UsageError: neither is given, or one is no number.
        """
        if price is None and size is None:
            raise UsageError("expected a price or a size to amend, received neither")
        self._exchange.amend(
            self._member,
            order,
            None if price is None else _number(price, "a price"),
            None if size is None else _number(size, "a size"),
        )

    def position(self, instrument: str) -> Decimal:
        """Return contracts held, negative is short; 0 for none."""
        return self.positions.get(instrument, Decimal(0))

    def balance(self, currency: str) -> Decimal:
        """Return cash of a currency; 0 for none."""
        return self.balances.get(currency, Decimal(0))

    def to_tick(self, instrument: str, price: Price, rounding: str = "nearest") -> Decimal:
        """Return a price on the instrument's tick: `nearest`, `down` or `up`."""
        return self._to_step(instrument, "tick_size", price, rounding)

    def to_lot(self, instrument: str, size: Price, rounding: str = "down") -> Decimal:
        """Return a size on the instrument's lot: `down`, `nearest` or `up`."""
        return self._to_step(instrument, "lot_size", size, rounding)

    # --- results -------------------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Write a line into `logs`."""
        self._journal.log(self._member, self.clock.now(), str(text))

    def record(self, name: str, value: float) -> None:
        """Write a value into `records`."""
        self._journal.record(self._member, self.clock.now(), name, float(value))

    # -------------------------------------------------------------------------------------------

    def _order(
        self, side: str, instrument: str, size: Price, price: Price | None, kind: str | None
    ) -> Order:
        kind = kind or ("market" if price is None else "limit")
        if kind not in KINDS:
            raise UsageError(f"expected an order kind, {', '.join(KINDS)}, received {kind!r}")
        if (price is None) is not (kind == "market"):
            raise UsageError(
                f"expected a price with every order but market ones, received {price!r} with {kind}"
            )
        self._sent += 1
        order = Order(
            f"s{self._member.rank + 1}o{self._sent}",
            instrument,
            side,
            kind,
            None if price is None else _number(price, "a price"),
            _number(size, "a size"),
            self.clock.now(),
        )
        self._member.known[order.id] = order
        self._exchange.place(self._member, order)
        return order

    def _to_step(self, instrument: str, step: str, value: Price, rounding: str) -> Decimal:
        rules = self.instruments.get(instrument)
        size = None if rules is None else getattr(rules, step)
        if not size:
            raise UsageError(
                f"expected recorded rules of {instrument} to round by, received none; record "
                f"with REST, or round yourself"
            )
        unit = exact(size)
        steps = _EXACT.divide(_number(value, "a number"), unit)
        whole = steps.to_integral_value(rounding=_ROUNDINGS[rounding])
        return _EXACT.multiply(whole, unit)


def _number(value: Price, what: str) -> Decimal:
    try:
        return exact(value)
    except ValueError as error:
        raise UsageError(f"expected {what} as a number, received {value!r}") from error
