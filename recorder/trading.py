"""Trading: what a strategy that trades is given beside the market; a backtest is what gives it.

Responsible for the protocol (`TradingContext`) and for an order as its strategy knows it. Refuses
to match, to count money and to reach a venue: this project records, it places no orders.

Sizes are in the venue's unit (base currency for spot, contracts for derivatives), prices in quote
currency, both exact: texts and Decimals are taken as they are, a float as its shortest text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

from recorder.errors import UsageError
from recorder.event import InstrumentUpdate
from recorder.strategy import Context

Price: TypeAlias = Decimal | float | int | str
"""A price or a size as a strategy may write it."""

OPEN = ("sent", "live", "partially_filled")
"""States in which an order may still trade, as far as its strategy knows."""


class Order:
    """An order as its strategy knows it: what the venue did is known once the answer is here.

    Attributes:
        id: `client_order_id` of its events; unique in a run.
        instrument, side (`buy`, `sell`), kind (`limit`, `market`, `post_only`, `ioc`, `fok`).
        price: quote currency, None for a market order; size: wanted.
        state: `sent` (no answer yet), `live`, `partially_filled`, `filled`, `canceled`, or
            `rejected` with the venue's `code`.
        filled: size so far; average_price: of all fills, None before the first.
        code, message: of the last refusal, of the order or of a request about it.
        sent: when, ns of data time; updated: when the last answer came, 0 before.
    """

    __slots__ = (
        "average_price", "code", "filled", "id", "instrument", "kind", "message", "price", "sent",
        "side", "size", "state", "updated",
    )  # fmt: skip

    def __init__(
        self,
        id: str,  # noqa: A002  # the field's name for it
        instrument: str,
        side: str,
        kind: str,
        price: Decimal | None,
        size: Decimal,
        sent: int,
    ) -> None:
        self.id = id
        self.instrument = instrument
        self.side = side
        self.kind = kind
        self.price = price
        self.size = size
        self.state = "sent"
        self.filled = Decimal(0)
        self.average_price: Decimal | None = None
        self.code = ""
        self.message = ""
        self.sent = sent
        self.updated = 0

    @property
    def is_open(self) -> bool:
        """Whether it may still trade, as far as is known."""
        return self.state in OPEN

    @property
    def left(self) -> Decimal:
        """Size that has not traded yet."""
        return self.size - self.filled

    def __repr__(self) -> str:
        price = "market" if self.price is None else self.price
        return (
            f"<Order {self.id} {self.side} {self.size} {self.instrument} at {price} "
            f"{self.kind} {self.state} filled={self.filled}>"
        )


class TradingContext(Context, Protocol):
    """What a strategy that trades is given."""

    @property
    def instruments(self) -> Mapping[str, InstrumentUpdate]:
        """The rules of each instrument, as recorded until now."""
        ...

    @property
    def balances(self) -> Mapping[str, Decimal]:
        """Cash by currency, as the last answers told it."""
        ...

    @property
    def positions(self) -> Mapping[str, Decimal]:
        """Contracts by instrument, negative is short; only those that are not flat."""
        ...

    @property
    def open_orders(self) -> Sequence[Order]:
        """Orders that may still trade, as far as is known, oldest first."""
        ...

    def buy(
        self, instrument: str, size: Price, price: Price | None = None, *, kind: str | None = None
    ) -> Order:
        """Send an order to buy.

        Args:
            size: base currency for spot, contracts for derivatives.
            price: quote currency; None is a market order.
            kind: `limit`, `market`, `post_only`, `ioc`, `fok`; None: `limit` with a price, else
                `market`.
        """
        ...

    def sell(
        self, instrument: str, size: Price, price: Price | None = None, *, kind: str | None = None
    ) -> Order:
        """Send an order to sell; see `buy`."""
        ...

    def cancel(self, order: Order | None = None) -> None:
        """Ask to cancel an order; None: every open one."""
        ...

    def amend(self, order: Order, *, price: Price | None = None, size: Price | None = None) -> None:
        """Ask to change an order; its place in the queue is kept where only its size shrinks."""
        ...

    def log(self, text: str) -> None:
        """Write a line into the results, with the time."""
        ...

    def record(self, name: str, value: float) -> None:
        """Write a value into the results, with the time."""
        ...


_NAMES = frozenset({
    "amend", "balance", "balances", "buy", "cancel", "instruments", "log", "open_orders",
    "position", "positions", "record", "sell", "to_lot", "to_tick",
})  # fmt: skip


class CannotTrade(UsageError, AttributeError):
    """A strategy that trades was given a stream that is only watched.

    It is an AttributeError too, so `hasattr(context, "buy")` is how a strategy asks.
    """


class Watching:
    """What a context is that has the market, and no account: that of `play` and of `record`."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Say what to do instead, for what a trading context would have."""
        if name in _NAMES:
            raise CannotTrade(
                f"expected a context that trades for context.{name}, received one that only "
                f"watches; run the strategy with replay backtest, or wrap it in "
                f"replay.backtest.Simulation"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
