"""What the venue tells one account, as it writes it on the wire.

Responsible for the exact text of the private channels of a watched trader: `account`, `positions`,
`balance_and_position`, `orders`, `fills`, `account-greeks`, `liquidation-warning`; for their first
and periodic snapshots, in pages, and for what an event pushes. Refuses to trade: `trader.py` does.

Wire forms are those of the OKX v5 API documentation, "Trading Account" and "Order Book Trading",
with the key order seen on the wire. A page holds two currencies, or one position, so that small
accounts have pages too; how long the venue's are is not documented.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from replay.market.account import DECIMALS, ONE, Outcome, Position, amount
from replay.market.chance import format_decimal
from replay.market.feed import Emit
from replay.market.orders import Order
from replay.market.private_rows import (
    balance_row,
    fill_row,
    greeks_row,
    order_row,
    position_row,
    warning_row,
)
from replay.market.trader import Trader

PRIVATE_CHANNELS = (
    "account",
    "positions",
    "balance_and_position",
    "orders",
    "fills",
    "account-greeks",
    "liquidation-warning",
)
"""What is told of a watched trader on the private socket."""

ARGUMENTS = {
    channel: {"channel": channel, **({"instType": "ANY"} if has_type else {})}
    for channel, has_type in zip(PRIVATE_CHANNELS, (0, 1, 0, 1, 0, 0, 1), strict=True)
}
"""Arguments by which the channels are asked for."""

_PERIOD_NS = 5 * NS_PER_SECOND
_WARN_BELOW = 3 * ONE
_encode = msgspec.json.Encoder().encode


class PrivateFeed:
    """Writes the private channels of one trader.

    Attributes:
        live: the channels switched on; uid: of the account.
    """

    def __init__(self, trader: Trader, uid: str, emit: Emit) -> None:
        self.live: set[str] = set()
        self.uid = uid
        self._trader = trader
        self._account = trader.account
        self._emit = emit
        trader.statement = self

    # --- on subscribe, and every five seconds ------------------------------------------------

    def start(self, channel: str, now_ns: int) -> None:
        """Switch a channel on and push its snapshot, where it has one."""
        self.live.add(channel)
        if channel in ("account", "positions", "account-greeks"):
            self._snapshot(channel, now_ns)
        elif channel == "balance_and_position":
            positions = list(self._account.positions.values())
            self._changed("snapshot", list(self._account.cash), positions, [], now_ns)

    def stop(self, channel: str) -> None:
        """Switch a channel off."""
        self.live.discard(channel)

    def repeat(self, now_ns: int) -> int:
        """Push the periodic snapshots; return when to do so again."""
        for channel in ("account", "positions", "account-greeks"):
            if channel in self.live:
                self._snapshot(channel, now_ns)
        self._warn(now_ns)
        return now_ns + _PERIOD_NS

    def _snapshot(self, channel: str, now_ns: int) -> None:
        ms = now_ns // NS_PER_MS
        if channel == "account":
            self._pages(channel, [
                [self._account_row(page, ms)] for page in _paged(list(self._account.cash), 2)
            ])  # fmt: skip
        elif channel == "positions":
            rows = [self._position_row(p, ms) for p in self._account.positions.values()]
            self._pages(channel, _paged(rows, 1) or [[]])
        else:
            rows = [greeks_row(ccy, self._delta(ccy), self._price(ccy), ms)
                    for ccy in self._account.cash if ccy != "USDT"]  # fmt: skip
            self._push(channel, rows)

    def _pages(self, channel: str, pages: Sequence[list[Any]]) -> None:
        for number, rows in enumerate(pages, 1):
            self._push(channel, rows, eventType="snapshot", curPage=number,
                       lastPage=number == len(pages))  # fmt: skip

    # --- events -----------------------------------------------------------------------------

    def ordered(self, order: Order, now_ns: int, request: str = "") -> None:
        """Push an order after a change; its fill on `fills`, which is ahead of it."""
        ms = now_ns // NS_PER_MS
        if order.last is not None:
            self._push("fills", [fill_row(order, order.last)])
        mark = self._trader.mark_of(order.instrument.id)
        self._push("orders", [order_row(order, mark, request)])
        if order.last is None and order.mode == "cash" and order.price is not None:
            # An order that comes or goes changes what is frozen.
            currency = "USDT" if order.is_buy else order.instrument.base
            self._push("account", [self._account_row([currency], ms)], eventType="event_update")

    def settled(self, order: Order, outcome: Outcome, now_ns: int) -> None:
        """Push balances and positions after a fill."""
        ms = now_ns // NS_PER_MS
        rows = [self._account_row(outcome.currencies, ms)]
        self._push("account", rows, eventType="event_update")
        positions = [] if outcome.position is None else [outcome.position]
        if positions:
            told = [self._position_row(position, ms) for position in positions]
            self._push("positions", told, eventType="event_update")
        trade = {
            "instId": order.instrument.id,
            "tradeId": str(order.last.trade_id if order.last else 0),
        }
        self._changed("filled", outcome.currencies, positions, [trade], now_ns)

    def _warn(self, now_ns: int) -> None:
        ms = now_ns // NS_PER_MS
        for position in self._account.positions.values():
            ratio = self._ratio(position)
            if position.mode == "isolated" and ratio < _WARN_BELOW:
                mark = self._trader.mark_of(position.instrument.id)
                self._push("liquidation-warning", [warning_row(position, mark, ratio, ms)])

    # --- rows -------------------------------------------------------------------------------

    def _account_row(self, currencies: Iterable[str], ms: int) -> dict[str, Any]:
        account = self._account
        held = list(account.positions.values())
        profit = sum(account.unrealized(p, self._trader.mark_of(p.instrument.id)) for p in held)
        margins = [account.margins(p, self._trader.mark_of(p.instrument.id)) for p in held]
        initial, maintenance = sum(m[0] for m in margins), sum(m[1] for m in margins)
        worth = sum(initial_margin * p.leverage for (initial_margin, _), p
                    in zip(margins, held, strict=True))  # fmt: skip
        total = sum(self._usd(c, cash) for c, cash in account.cash.items()) + profit
        isolated = sum(p.margin for p in held)
        ratio = total * ONE // maintenance if maintenance else 0
        return {
            "adjEq": _money(total), "availEq": _money(total - initial), "borrowFroz": "0",
            "delta": "", "deltaLever": "", "deltaNeutralStatus": "0",
            "details": [
                balance_row(c, account.cash[c], account.frozen.get(c, 0), self._price(c),
                            profit if c == "USDT" else 0, account.touched_ms[c],
                            initial if c == "USDT" else 0)
                for c in currencies
            ],
            "imr": _money(initial), "isoEq": _money(isolated),
            "mgnRatio": _money(ratio) if maintenance else "", "mmr": _money(maintenance),
            "notionalUsd": _money(worth), "notionalUsdForBorrow": "0",
            "notionalUsdForFutures": "0", "notionalUsdForOption": "0",
            "notionalUsdForSwap": _money(worth),
            "ordFroz": _money(sum(self._usd(c, n) for c, n in account.frozen.items())),
            "totalEq": _money(total), "uTime": str(ms), "upl": _money(profit),
        }  # fmt: skip

    def _position_row(self, position: Position, ms: int) -> dict[str, Any]:
        mark = self._trader.mark_of(position.instrument.id)
        profit = self._account.unrealized(position, mark)
        margins = self._account.margins(position, mark)
        last = self._trader.swap.tape.last_price
        return position_row(position, mark, last, profit, margins, self._ratio(position), ms)

    def _changed(
        self, why: str, currencies: Iterable[str], positions: Iterable[Position],
        trades: list[dict[str, str]], now_ns: int,
    ) -> None:  # fmt: skip
        account = self._account
        row = {
            "pTime": str(now_ns // NS_PER_MS),
            "eventType": why,
            "balData": [
                {"ccy": c, "cashBal": format_decimal(account.cash[c], DECIMALS),
                 "uTime": str(account.touched_ms[c])}
                for c in currencies
            ],
            "posData": [_short_position(position) for position in positions],
            "trades": trades,
        }  # fmt: skip
        self._push("balance_and_position", [row])

    def _push(self, channel: str, rows: Sequence[Any], **top: Any) -> None:
        if channel in self.live:
            argument = ARGUMENTS[channel] | {"uid": self.uid}
            self._emit(channel, _encode({"arg": argument, **top, "data": rows}).decode())

    # --- prices -----------------------------------------------------------------------------

    def _price(self, currency: str) -> int:
        """Return the US dollars that a unit of a currency is worth, 1e-8."""
        return 10**8 if currency == "USDT" else self._trader.spot.asset.price

    def _usd(self, currency: str, number: int) -> int:
        return number * self._price(currency) // 10**8

    def _delta(self, currency: str) -> int:
        held = sum(
            amount(p.instrument, p.lots)
            for p in self._account.positions.values()
            if p.instrument.base == currency
        )
        return self._account.cash[currency] + held

    def _ratio(self, position: Position) -> int:
        """Return the margin ratio of a position, 1e-18: margin and profit over maintenance."""
        mark = self._trader.mark_of(position.instrument.id)
        _, maintenance = self._account.margins(position, mark)
        margin = position.margin if position.mode == "isolated" else self._account.cash["USDT"]
        margin += self._account.unrealized(position, mark)
        return margin * ONE // maintenance if maintenance else 0


def _money(number: int) -> str:
    return format_decimal(number, DECIMALS)


def _paged(rows: Sequence[Any], size: int) -> list[list[Any]]:
    return [list(rows[at : at + size]) for at in range(0, len(rows), size)]


def _short_position(position: Position) -> dict[str, str]:
    instrument = position.instrument
    return {
        "posId": str(position.id), "tradeId": str(position.trade_id), "instId": instrument.id,
        "instType": instrument.type, "mgnMode": position.mode, "posSide": "net",
        "pos": format_decimal(position.lots, instrument.size_decimals), "ccy": "USDT",
        "posCcy": "", "avgPx": format_decimal(position.average, 10) if position.lots else "",
        "nonSettleAvgPx": "", "settledPnl": "", "uTime": str(position.updated_ms),
    }  # fmt: skip
