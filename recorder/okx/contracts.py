"""Contracts: what an instrument's rules make of a price and a size, in integers.

Responsible for the arithmetic of spot, linear and inverse instruments: values, average prices,
profits, fees and funding. Refuses to hold an account and to round anything but the last digit.

Units. Prices are counted in ticks and sizes in lots of the instrument; money in 1e-18 of its
currency (`ONE`). Integers are exact and quick, and depend on no decimal context; the division of an
inverse value and of a part of a cost alone rounds, below 1e-18.

The rules are OKX's ("Contract value", API docs and help centre): a linear contract is `ctVal` x
`ctMult` of the base currency, valued and settled in the quote currency; an inverse one is so
many US dollars, valued and settled in the coin: dollars / price.
"""

from __future__ import annotations

from decimal import Context, Decimal

import msgspec

from recorder.event import InstrumentUpdate

DECIMALS = 18
ONE: int = 10**DECIMALS
"""Parts of a unit in which money is counted."""

_EXACT = Context(prec=120)
_DERIVATIVES = ("SWAP", "FUTURES")


def exact(value: Decimal | float | int | str) -> Decimal:
    """Return a number as a Decimal; a float as its shortest text.

    Raises:
        ValueError: it is none, or not finite.
    """
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except ArithmeticError as error:
        raise ValueError(f"not a number: {value!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return number


def to_units(value: Decimal | float | int | str) -> int:
    """Return a number in 1e-18, cut off below."""
    return int(_EXACT.scaleb(exact(value), DECIMALS))


def whole_steps(value: Decimal, step: Decimal) -> int | None:
    """Return how many steps a number is, None where it is no whole number of them."""
    return None if _EXACT.remainder(value, step) else int(_EXACT.divide_int(value, step))


def to_decimal(units: int) -> Decimal:
    """Return a number of 1e-18 without trailing zeros."""
    short = _EXACT.normalize(_EXACT.scaleb(Decimal(units), -DECIMALS))
    return short if short.as_tuple().exponent <= 0 else short.quantize(Decimal(1), context=_EXACT)  # type: ignore[operator]


class Contract(msgspec.Struct, frozen=True):
    """An instrument that can be traded here.

    Attributes:
        kind: `spot`, `linear` or `inverse`; type: the venue's `instType`.
        base, quote: currencies; settle: of value, profit and (derivatives) fee.
        tick, lot: smallest steps of price and size; in units of 1e-18: tick_units, and lot_units
            of what a lot is: base currency, of an inverse one quote currency.
        min_lots: smallest order.
        rules: what it was made of.
    """

    instrument: str
    kind: str
    type: str
    base: str
    quote: str
    settle: str
    tick: Decimal
    lot: Decimal
    tick_units: int
    lot_units: int
    min_lots: int
    rules: InstrumentUpdate

    @property
    def is_spot(self) -> bool:
        """Whether currencies change hands, and no position is held."""
        return self.kind == "spot"

    def price(self, ticks: int) -> Decimal:
        """Return a price."""
        return _EXACT.multiply(self.tick, Decimal(ticks))

    def size(self, lots: int) -> Decimal:
        """Return a size in the venue's unit."""
        return _EXACT.multiply(self.lot, Decimal(lots))

    def base_units(self, lots: int) -> int:
        """Return a size in base currency, 1e-18; spot and linear."""
        return lots * self.lot_units

    def value(self, ticks: int, lots: int) -> int:
        """Return what so many lots are worth at a price, 1e-18 of `settle`."""
        return self.value_at(ticks * self.tick_units, lots)

    def value_at(self, price: int, lots: int) -> int:
        """Return the same at a price in 1e-18, which need not be a whole number of ticks."""
        if self.kind == "inverse":
            return lots * self.lot_units * ONE // price if price else 0
        return price * lots * self.lot_units // ONE

    def average(self, cost: int, lots: int) -> Decimal | None:
        """Return the average price of lots that cost so much, None for none; 34 digits."""
        if not cost or not lots:
            return None
        size = Decimal(lots * self.lot_units)
        context = Context(prec=34)
        if self.kind == "inverse":
            return context.divide(size, Decimal(cost))
        return context.divide(Decimal(cost), size)

    def profit(self, cost: int, value: int, *, is_long: bool) -> int:
        """Return what is gained where lots that cost `cost` are worth `value` now."""
        gain = cost - value if self.kind == "inverse" else value - cost
        return gain if is_long else -gain


def fee(value: int, rate: int) -> int:
    """Return the change of cash that a fee rate in 1e-18 makes; negative is paid."""
    return -(value * rate // ONE)


def funding(value: int, rate: int, *, is_long: bool) -> int:
    """Return the change of cash at a settlement: a positive rate is paid by longs to shorts."""
    paid = value * rate // ONE
    return -paid if is_long else paid


def contract_of(rules: InstrumentUpdate) -> Contract | str:
    """Return the instrument, or why it cannot be traded here."""
    kind = rules.instrument_type or ""
    if (
        rules.tick_size is None
        or rules.lot_size is None
        or not (rules.tick_size and rules.lot_size)
    ):
        return "its recorded rules have no tick or lot size"
    tick, lot = exact(rules.tick_size), exact(rules.lot_size)
    smallest = exact(rules.min_size) if rules.min_size is not None else lot
    parts = rules.instrument.split("-")
    base, quote = rules.base or parts[0], rules.quote or (parts[1] if len(parts) > 1 else "")
    if kind in ("SPOT", "MARGIN"):
        form, settle, lot_units = "spot", quote, to_units(lot)
    elif kind in _DERIVATIVES:
        form, settle = rules.contract_type or "", rules.settle or ""
        if form not in ("linear", "inverse") or not settle or not rules.contract_value:
            return "its recorded rules have no contract type, contract value or settlement currency"
        if rules.underlying and "-" in rules.underlying:
            base, quote = rules.underlying.split("-")[:2]
        multiplier = exact(1 if rules.contract_multiplier is None else rules.contract_multiplier)
        one = _EXACT.multiply(exact(rules.contract_value), multiplier)
        lot_units = to_units(_EXACT.multiply(one, lot))
    else:
        return f"instruments of type {kind or 'unknown'} are not simulated"
    return Contract(
        rules.instrument, form, kind, base, quote, settle, tick, lot, to_units(tick), lot_units,
        max(1, int(_EXACT.divide(smallest, lot).to_integral_value(rounding="ROUND_CEILING"))),
        rules,
    )  # fmt: skip
