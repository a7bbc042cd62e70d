"""Books of one trader: cash, holdings, positions, fees and profit, to the last digit.

Responsible for the arithmetic of an account alone. Refuses to know orders (`trader.py`) and the
wire (`statement.py`).

All amounts of money and currency are integers in 1e-18 of their unit, so that a price in ticks
times a size in lots is exact whatever the instrument; only an average price is rounded, down to
1e-10. Derivatives are linear contracts settled in USDT, one-way (`net`) positions.
"""

from __future__ import annotations

import msgspec

from replay.market.instruments import Instrument

DECIMALS = 18
"""Of amounts."""
ONE = 10**DECIMALS
_AVERAGE = 10**10
"""Parts of a unit in which an average price is kept."""

MAKER_FEE, TAKER_FEE = 200, 500
"""Of what is traded, 1e-6: 2 and 5 basis points."""
_MAINTENANCE = 4_000
"""Maintenance margin of a position, 1e-6 of its value."""


class Position(msgspec.Struct, gc=False):
    """A position in one instrument and margin mode.

    Attributes:
        id: of the venue; mode: `cross` or `isolated`; leverage: multiple.
        lots: signed, negative is short; average: entry price, 1e-10 quote currency.
        realized, fee: since it was opened, 1e-18 USDT; trade_id: that changed it last.
        margin: set aside for it, 1e-18 USDT, isolated only.
    """

    id: int
    instrument: Instrument
    mode: str
    leverage: int
    created_ms: int
    updated_ms: int
    lots: int = 0
    average: int = 0
    realized: int = 0
    fee: int = 0
    margin: int = 0
    trade_id: int = 0


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a fill did to the account: fee (negative is paid) and profit, 1e-18 of the currency."""

    fee: int
    fee_currency: str
    pnl: int
    currencies: tuple[str, ...]
    position: Position | None


def amount(instrument: Instrument, lots: int) -> int:
    """Return a size in base currency, 1e-18."""
    decimals = instrument.size_decimals + instrument.contract_decimals
    return lots * int(10 ** (DECIMALS - decimals))


def value(instrument: Instrument, price: int, lots: int) -> int:
    """Return a price in ticks times a size in lots, in quote currency, 1e-18."""
    decimals = instrument.size_decimals + instrument.contract_decimals
    return price * lots * int(10 ** (DECIMALS - decimals - instrument.price_decimals))


def _at_average(position: Position, lots: int) -> int:
    """Return lots at the average entry price, 1e-18 quote currency."""
    return position.average * amount(position.instrument, lots) // _AVERAGE


class Account:
    """Cash and positions.

    Attributes:
        cash: by currency, 1e-18.
        frozen: by currency, held by open orders, 1e-18; kept by the trader.
        positions: open ones by (instId, margin mode).
        touched_ms: when each currency changed last, ms since the epoch.
    """

    def __init__(self, cash: dict[str, int], now_ms: int) -> None:
        self.cash = cash
        self.frozen = dict.fromkeys(cash, 0)
        self.positions: dict[tuple[str, str], Position] = {}
        self.touched_ms = dict.fromkeys(cash, now_ms)
        self._ids = 900

    def spot(
        self, instrument: Instrument, price: int, lots: int, now_ms: int, *,
        is_buy: bool, fee_rate: int,
    ) -> Outcome:  # fmt: skip
        """Exchange base against quote currency; the fee is taken from what is received."""
        base, size = instrument.base, amount(instrument, lots)
        money = value(instrument, price, lots)
        received, currency = (size, base) if is_buy else (money, "USDT")
        fee = -(received * fee_rate // 1_000_000)
        self.cash[base] = self.cash.get(base, 0) + (size if is_buy else -size)
        self.cash["USDT"] += -money if is_buy else money
        self.cash[currency] += fee
        self._touch(now_ms, base, "USDT")
        return Outcome(fee, currency, 0, (base, "USDT"), None)

    def swap(
        self, instrument: Instrument, price: int, lots: int, now_ms: int, *,
        is_buy: bool, fee_rate: int, mode: str, leverage: int, trade_id: int,
    ) -> Outcome:  # fmt: skip
        """Open, add to, reduce or turn a position."""
        position = self._position(instrument, mode, leverage, now_ms)
        signed = lots if is_buy else -lots
        pnl = 0
        closing = min(lots, abs(position.lots)) if position.lots * signed < 0 else 0
        if closing:
            pnl = value(instrument, price, closing) - _at_average(position, closing)
            pnl = pnl if position.lots > 0 else -pnl
        opening = lots - closing
        if opening:
            held = abs(position.lots) - closing
            total = _at_average(position, held) + value(instrument, price, opening)
            size = amount(instrument, held + opening)
            position.average = total * _AVERAGE // size
        position.lots += signed
        fee = -(value(instrument, price, lots) * fee_rate // 1_000_000)
        position.realized += pnl + fee
        position.fee += fee
        position.trade_id, position.updated_ms = trade_id, now_ms
        self.cash["USDT"] += pnl + fee
        if mode == "isolated":
            position.margin = _at_average(position, abs(position.lots)) // leverage
        if not position.lots:
            position.average = 0
            del self.positions[instrument.id, mode]
        self._touch(now_ms, "USDT")
        return Outcome(fee, "USDT", pnl, ("USDT",), position)

    def unrealized(self, position: Position, mark: int) -> int:
        """Return the profit of a position at a mark price in ticks, 1e-18 USDT."""
        now: int = value(position.instrument, mark, abs(position.lots))
        gain = now - _at_average(position, abs(position.lots))
        return gain if position.lots > 0 else -gain

    def margins(self, position: Position, mark: int) -> tuple[int, int]:
        """Return initial and maintenance margin of a position, 1e-18 USDT."""
        worth = value(position.instrument, mark, abs(position.lots))
        return worth // position.leverage, worth * _MAINTENANCE // 1_000_000

    def _position(self, instrument: Instrument, mode: str, leverage: int, now_ms: int) -> Position:
        known = self.positions.get((instrument.id, mode))
        if known is None:
            self._ids += 1
            known = Position(self._ids, instrument, mode, leverage, now_ms, now_ms)
            self.positions[instrument.id, mode] = known
        return known

    def _touch(self, now_ms: int, *currencies: str) -> None:
        for currency in currencies:
            self.touched_ms[currency] = now_ms
            self.frozen.setdefault(currency, 0)
