"""Rows of the private channels, key by key as on the wire.

Responsible for which key stands where and how each number is written; blank (`""`) what does not
apply, as the venue does. Refuses to compute: `account.py` and `statement.py` do.
"""

from __future__ import annotations

from typing import Any

from replay.market.account import DECIMALS, Position, value
from replay.market.chance import format_decimal
from replay.market.orders import LastFill, Order


def _money(number: int) -> str:
    return format_decimal(number, DECIMALS)


def balance_row(
    currency: str, cash: int, frozen: int, price: int, profit: int, touched_ms: int, margin: int
) -> dict[str, Any]:
    """Return one currency of `account`; amounts in 1e-18, the price in 1e-8 US dollars."""
    equity = cash + profit
    usd = equity * price // 10**8
    blank = dict.fromkeys(("accAvgPx", "clSpotInUseAmt", "maxSpotInUseAmt", "openAvgPx",
                           "spotInUseAmt", "spotUpl", "spotUplRatio", "totalPnl",
                           "totalPnlRatio"), "")  # fmt: skip
    return {
        "accAvgPx": "", "autoLendMtAmt": "0", "autoLendStatus": "unsupported",
        "availBal": _money(cash - frozen), "availEq": _money(equity - frozen - margin),
        "borrowFroz": "0", "cashBal": _money(cash), "ccy": currency,
        "coinUsdPrice": format_decimal(price, 8), "colBorrAutoConversion": "0",
        "colRes": "0", "collateralEnabled": True, "collateralRestrict": False, "crossLiab": "0",
        "disEq": _money(usd), "eq": _money(equity), "eqUsd": _money(usd), "fixedBal": "0",
        "frozenBal": _money(frozen + margin), "frpType": "0", "imr": _money(margin),
        "interest": "0", "isoEq": "0", "isoLiab": "0", "isoUpl": "0", "liab": "0",
        "maxLoan": "0", "mgnRatio": "", "mmr": "0", "notionalLever": "0",
        "ordFrozen": _money(frozen), "rewardBal": "0", "smtSyncEq": "0", "spotBal": "",
        "spotCopyTradingEq": "0", "spotIsoBal": "0", "stgyEq": "0", "twap": "0",
        "uTime": str(touched_ms), "upl": _money(profit), "uplLiab": "0", **blank,
    }  # fmt: skip


def position_row(
    position: Position, mark: int, last: int, profit: int, margins: tuple[int, int], ratio: int,
    ms: int,
) -> dict[str, Any]:  # fmt: skip
    """Return a position of `positions`; prices in ticks, amounts in 1e-18 USDT."""
    instrument = position.instrument
    ticks = instrument.price_decimals
    is_open = position.lots != 0
    worth = value(instrument, mark, abs(position.lots))
    initial, maintenance = margins
    share = format_decimal(profit * 10**10 // initial, 10) if initial else ""
    row = dict.fromkeys(
        ("baseBal", "baseBorrowed", "baseInterest", "clSpotInUseAmt", "deltaBS", "deltaPA",
         "gammaBS", "gammaPA", "interest", "liab", "liabCcy", "maxSpotInUseAmt",
         "nonSettleAvgPx", "optVal", "pendingCloseOrdLiabVal", "posCcy", "quoteBal",
         "quoteBorrowed", "quoteInterest", "settledPnl", "spotInUseAmt", "spotInUseCcy",
         "thetaBS", "thetaPA", "usdPx", "vegaBS", "vegaPA"), "",
    )  # fmt: skip
    row |= {
        "adl": "1" if is_open else "", "availPos": "",
        "avgPx": format_decimal(position.average, 10) if is_open else "",
        "bePx": "", "bizRefId": "", "bizRefType": "", "cTime": str(position.created_ms),
        "ccy": "USDT", "fee": _money(position.fee), "fundingFee": "0",
        "hedgedPos": "0", "idxPx": format_decimal(mark, ticks),
        "imr": _money(initial) if position.mode == "cross" else "", "instId": instrument.id,
        "instType": instrument.type, "last": format_decimal(last, ticks),
        "lever": str(position.leverage), "liqPenalty": "0", "liqPx": "",
        "margin": _money(position.margin) if position.mode == "isolated" else "",
        "markPx": format_decimal(mark, ticks), "mgnMode": position.mode,
        "mgnRatio": _money(ratio) if is_open else "", "mmr": _money(maintenance),
        "notionalUsd": _money(worth), "pTime": str(ms),
        "pnl": _money(position.realized - position.fee),
        "pos": format_decimal(position.lots, instrument.size_decimals),
        "posId": str(position.id), "posSide": "net", "realizedPnl": _money(position.realized),
        "tradeId": str(position.trade_id), "uTime": str(position.updated_ms),
        "upl": _money(profit), "uplLastPx": _money(profit), "uplRatio": share,
        "uplRatioLastPx": share,
    }  # fmt: skip
    return dict(sorted(row.items())) | {"closeOrderAlgo": []}


def order_row(order: Order, mark: int, request: str) -> dict[str, Any]:
    """Return an order of `orders`; the mark price in ticks."""
    instrument, last = order.instrument, order.last
    ticks, lots = instrument.price_decimals, instrument.size_decimals
    is_market = order.kind == "market"
    price = "" if order.price is None else format_decimal(order.price, ticks)
    ratio = order.worth * 10**10 // order.filled if order.filled else 0
    worth = value(instrument, order.price or mark, order.lots)
    filled_worth = "" if last is None else _money(value(instrument, last.price, last.lots))
    no_fill = {"fillPx": "", "tradeId": "", "fillSz": "0", "fillTime": "", "fillPnl": "0",
               "fillFee": "0", "fillFeeCcy": "", "execType": ""}  # fmt: skip
    fill = no_fill if last is None else {
        "fillPx": format_decimal(last.price, ticks), "tradeId": str(last.trade_id),
        "fillSz": format_decimal(last.lots, lots), "fillTime": str(last.time_ms),
        "fillPnl": _money(last.pnl), "fillFee": _money(last.fee),
        "fillFeeCcy": order.fee_currency, "execType": last.execution,
    }  # fmt: skip
    base, quote = instrument.base, "USDT"
    fee_currency = order.fee_currency or (quote if instrument.is_swap or not order.is_buy else base)
    return {
        "instType": instrument.type, "instId": instrument.id,
        "tgtCcy": "base_ccy" if is_market and not instrument.is_swap else "", "ccy": "",
        "tradeQuoteCcy": "" if instrument.is_swap else quote, "ordId": str(order.id),
        "clOrdId": f"c{order.id}", "algoClOrdId": "", "algoId": "", "tag": "", "px": price,
        "sz": format_decimal(order.lots, lots), "notionalUsd": _money(worth),
        "ordType": order.kind, "side": "buy" if order.is_buy else "sell",
        "posSide": "net" if instrument.is_swap else "", "tdMode": order.mode,
        "accFillSz": format_decimal(order.filled, lots), "fillNotionalUsd": filled_worth,
        "avgPx": format_decimal(ratio, ticks + 10), "state": order.state,
        "lever": str(order.leverage) if instrument.is_swap else "", "pnl": _money(order.pnl),
        "feeCcy": fee_currency, "fee": _money(order.fee),
        "rebateCcy": base if fee_currency == quote and not instrument.is_swap else quote,
        "rebate": "0", "category": "normal", "uTime": str(order.updated_ms),
        "cTime": str(order.created_ms), "source": "",
        "reduceOnly": "true" if order.reduce_only else "false",
        "cancelSource": order.cancel_source, "quickMgnType": "", "stpId": "",
        "stpMode": "cancel_maker", "attachAlgoClOrdId": "",
        "lastPx": format_decimal(mark, ticks), "isTpLimit": "false", "slTriggerPx": "",
        "slTriggerPxType": "", "tpOrdPx": "", "tpTriggerPx": "", "tpTriggerPxType": "",
        "slOrdPx": "", **fill, "fillPxVol": "", "fillPxUsd": "", "fillMarkVol": "",
        "fillFwdPx": "", "fillMarkPx": "", "fillIdxPx": "",
        "amendSource": "1" if request else "", "reqId": request,
        "amendResult": "0" if request else "", "code": "0", "msg": "", "pxType": "",
        "pxUsd": "", "pxVol": "", "outcome": "", "linkedAlgoOrd": {"algoId": ""},
        "attachAlgoOrds": [],
    }  # fmt: skip


def fill_row(order: Order, last: LastFill) -> dict[str, Any]:
    """Return the last fill of an order for `fills`."""
    instrument = order.instrument
    return {
        "instId": instrument.id, "fillSz": format_decimal(last.lots, instrument.size_decimals),
        "fillPx": format_decimal(last.price, instrument.price_decimals),
        "side": "buy" if order.is_buy else "sell", "ts": str(last.time_ms),
        "ordId": str(order.id), "clOrdId": "0", "tradeId": str(last.trade_id),
        "execType": last.execution, "count": str(last.count),
    }  # fmt: skip


def greeks_row(currency: str, delta: int, price: int, ms: int) -> dict[str, Any]:
    """Return one currency of `account-greeks`: without options all is delta."""
    usd = format_decimal(delta * price // 10**8, DECIMALS)
    return {
        "ccy": currency, "deltaBS": usd, "deltaPA": _money(delta), "gammaBS": "0",
        "gammaPA": "0", "thetaBS": "0", "thetaPA": "0", "vegaBS": "0", "vegaPA": "0",
        "ts": str(ms),
    }  # fmt: skip


def warning_row(position: Position, mark: int, ratio: int, ms: int) -> dict[str, Any]:
    """Return a position of `liquidation-warning`."""
    instrument = position.instrument
    return {
        "cTime": str(position.created_ms), "ccy": "USDT", "instId": instrument.id,
        "instType": instrument.type, "lever": str(position.leverage),
        "markPx": format_decimal(mark, instrument.price_decimals), "mgnMode": position.mode,
        "mgnRatio": _money(ratio), "pTime": str(ms),
        "pos": format_decimal(position.lots, instrument.size_decimals), "posCcy": "",
        "posId": str(position.id), "posSide": "net", "uTime": str(position.updated_ms),
    }  # fmt: skip
