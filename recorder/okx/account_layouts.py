"""Layouts of the account's channels (OKX API docs, private channels and algo orders).

Responsible for which key of the wire is which field of the event, and that all of these numbers
are Decimal. Refuses pages and duplicates: they are events like any other, and whoever keeps the
state of an account puts them together.
"""

from __future__ import annotations

from decimal import Decimal

from recorder.event import (
    AccountUpdate,
    AlgoOrderUpdate,
    Balance,
    BalanceAndPosition,
    CashChange,
    CloseOrder,
    Fill,
    Greeks,
    LiquidationWarning,
    OrderUpdate,
    PositionChange,
    PositionUpdate,
    TradeReference,
)
from recorder.okx.layout import Layout, shape_from
from recorder.okx.shape import Shape

_BALANCE = Layout(Balance, {
    "currency": "ccy", "equity": "eq", "equity_usd": "eqUsd", "discounted_equity": "disEq",
    "cash": "cashBal", "available": "availBal", "available_equity": "availEq",
    "frozen": "frozenBal", "order_frozen": "ordFrozen", "fixed": "fixedBal",
    "isolated_equity": "isoEq", "liability": "liab", "cross_liability": "crossLiab",
    "isolated_liability": "isoLiab", "unrealized_pnl": "upl",
    "unrealized_pnl_liability": "uplLiab", "isolated_unrealized_pnl": "isoUpl",
    "initial_margin": "imr", "maintenance_margin": "mmr", "margin_ratio": "mgnRatio",
    "notional_leverage": "notionalLever", "interest": "interest", "max_loan": "maxLoan",
    "borrow_frozen": "borrowFroz", "usd_price": "coinUsdPrice", "strategy_equity": "stgyEq",
    "copy_trading_equity": "spotCopyTradingEq", "smart_sync_equity": "smtSyncEq",
    "reward": "rewardBal", "spot_balance": "spotBal", "spot_isolated_balance": "spotIsoBal",
    "spot_in_use": "spotInUseAmt", "user_spot_in_use": "clSpotInUseAmt",
    "max_spot_in_use": "maxSpotInUseAmt", "open_average_price": "openAvgPx",
    "accumulated_average_price": "accAvgPx", "spot_unrealized_pnl": "spotUpl",
    "spot_unrealized_pnl_ratio": "spotUplRatio", "total_pnl": "totalPnl",
    "total_pnl_ratio": "totalPnlRatio", "twap_risk": "twap",
    "forced_repayment_type": "frpType", "collateral_restriction": "colRes",
    "collateral_auto_conversion": "colBorrAutoConversion",
    "auto_lend_status": "autoLendStatus", "auto_lend_amount": "autoLendMtAmt",
    "collateral_enabled": "collateralEnabled", "collateral_restricted": "collateralRestrict",
    "update_time": "uTime",
})  # fmt: skip

_ACCOUNT = Layout(AccountUpdate, {
    "ts_event": "uTime", "total_equity": "totalEq", "isolated_equity": "isoEq",
    "adjusted_equity": "adjEq", "available_equity": "availEq", "order_frozen": "ordFroz",
    "borrow_frozen": "borrowFroz", "initial_margin": "imr", "maintenance_margin": "mmr",
    "margin_ratio": "mgnRatio", "notional_usd": "notionalUsd",
    "notional_usd_borrow": "notionalUsdForBorrow",
    "notional_usd_futures": "notionalUsdForFutures",
    "notional_usd_option": "notionalUsdForOption", "notional_usd_swap": "notionalUsdForSwap",
    "unrealized_pnl": "upl", "delta": "delta", "delta_leverage": "deltaLever",
    "delta_neutral_status": "deltaNeutralStatus", "balances": "details",
}, {"balances": _BALANCE})  # fmt: skip

_CLOSE_ORDER = Layout(CloseOrder, {
    "algo_id": "algoId", "take_profit_price": "tpTriggerPx",
    "take_profit_type": "tpTriggerPxType", "stop_loss_price": "slTriggerPx",
    "stop_loss_type": "slTriggerPxType", "close_fraction": "closeFraction",
})  # fmt: skip

_POSITION = Layout(PositionUpdate, {
    "ts_event": "pTime", "instrument": "instId", "instrument_type": "instType",
    "position_id": "posId", "position_side": "posSide", "margin_mode": "mgnMode",
    "position": "pos", "position_currency": "posCcy", "currency": "ccy",
    "available_position": "availPos", "hedged_position": "hedgedPos", "average_price": "avgPx",
    "unsettled_average_price": "nonSettleAvgPx", "breakeven_price": "bePx",
    "mark_price": "markPx", "index_price": "idxPx", "last": "last",
    "liquidation_price": "liqPx", "usd_price": "usdPx", "leverage": "lever",
    "notional_usd": "notionalUsd", "margin": "margin", "initial_margin": "imr",
    "maintenance_margin": "mmr", "margin_ratio": "mgnRatio", "unrealized_pnl": "upl",
    "unrealized_pnl_ratio": "uplRatio", "unrealized_pnl_last": "uplLastPx",
    "unrealized_pnl_last_ratio": "uplRatioLastPx", "realized_pnl": "realizedPnl",
    "settled_pnl": "settledPnl", "pnl": "pnl", "fee": "fee", "funding_fee": "fundingFee",
    "liquidation_penalty": "liqPenalty", "liability": "liab", "liability_currency": "liabCcy",
    "interest": "interest", "base_borrowed": "baseBorrowed", "base_interest": "baseInterest",
    "base_balance": "baseBal", "quote_borrowed": "quoteBorrowed",
    "quote_interest": "quoteInterest", "quote_balance": "quoteBal", "option_value": "optVal",
    "pending_close_liability": "pendingCloseOrdLiabVal", "spot_in_use": "spotInUseAmt",
    "spot_in_use_currency": "spotInUseCcy", "user_spot_in_use": "clSpotInUseAmt",
    "max_spot_in_use": "maxSpotInUseAmt", "delta_bs": "deltaBS", "gamma_bs": "gammaBS",
    "vega_bs": "vegaBS", "theta_bs": "thetaBS", "delta_pa": "deltaPA", "gamma_pa": "gammaPA",
    "vega_pa": "vegaPA", "theta_pa": "thetaPA", "adl": "adl", "trade_id": "tradeId",
    "reference_id": "bizRefId", "reference_type": "bizRefType",
    "close_orders": "closeOrderAlgo", "create_time": "cTime", "update_time": "uTime",
}, {"close_orders": _CLOSE_ORDER})  # fmt: skip

_CASH_CHANGE = Layout(CashChange, {
    "currency": "ccy", "cash": "cashBal", "update_time": "uTime",
})  # fmt: skip

_POSITION_CHANGE = Layout(PositionChange, {
    "instrument": "instId", "instrument_type": "instType", "position_id": "posId",
    "position_side": "posSide", "margin_mode": "mgnMode", "position": "pos",
    "position_currency": "posCcy", "currency": "ccy", "average_price": "avgPx",
    "unsettled_average_price": "nonSettleAvgPx", "settled_pnl": "settledPnl",
    "trade_id": "tradeId", "update_time": "uTime",
})  # fmt: skip

_TRADE_REFERENCE = Layout(TradeReference, {
    "instrument": "instId", "trade_id": "tradeId",
})  # fmt: skip

_BALANCE_AND_POSITION = Layout(BalanceAndPosition, {
    "ts_event": "pTime", "event_type": "eventType", "balances": "balData",
    "positions": "posData", "trades": "trades",
}, {
    "balances": _CASH_CHANGE, "positions": _POSITION_CHANGE, "trades": _TRADE_REFERENCE,
})  # fmt: skip

_ORDER = Layout(OrderUpdate, {
    "ts_event": "uTime", "instrument": "instId", "instrument_type": "instType",
    "order_id": "ordId", "client_order_id": "clOrdId", "tag": "tag", "side": "side",
    "position_side": "posSide", "order_type": "ordType", "trade_mode": "tdMode",
    "state": "state", "price": "px", "size": "sz", "size_unit": "tgtCcy", "currency": "ccy",
    "filled_size": "accFillSz", "average_price": "avgPx", "fill_price": "fillPx",
    "fill_size": "fillSz", "trade_id": "tradeId", "fill_time": "fillTime",
    "fill_fee": "fillFee", "fill_fee_currency": "fillFeeCcy", "fill_pnl": "fillPnl",
    "execution": "execType", "fee": "fee", "fee_currency": "feeCcy", "rebate": "rebate",
    "rebate_currency": "rebateCcy", "pnl": "pnl", "leverage": "lever",
    "notional_usd": "notionalUsd", "fill_notional_usd": "fillNotionalUsd", "last": "lastPx",
    "price_type": "pxType", "price_usd": "pxUsd", "price_volatility": "pxVol",
    "fill_price_usd": "fillPxUsd", "fill_price_volatility": "fillPxVol",
    "fill_mark_volatility": "fillMarkVol", "fill_forward_price": "fillFwdPx",
    "fill_mark_price": "fillMarkPx", "fill_index_price": "fillIdxPx",
    "stop_loss_price": "slTriggerPx", "stop_loss_type": "slTriggerPxType",
    "stop_loss_order_price": "slOrdPx", "take_profit_price": "tpTriggerPx",
    "take_profit_type": "tpTriggerPxType", "take_profit_order_price": "tpOrdPx",
    "is_take_profit_limit": "isTpLimit", "reduce_only": "reduceOnly",
    "quick_margin_type": "quickMgnType", "self_trade_id": "stpId",
    "self_trade_mode": "stpMode", "category": "category", "source": "source",
    "cancel_source": "cancelSource", "amend_source": "amendSource",
    "amend_result": "amendResult", "request_id": "reqId", "code": "code", "message": "msg",
    "outcome": "outcome", "trade_quote_currency": "tradeQuoteCcy", "algo_id": "algoId",
    "client_algo_id": "algoClOrdId", "attached_client_algo_id": "attachAlgoClOrdId",
    "linked_algo": "linkedAlgoOrd", "attached": "attachAlgoOrds", "create_time": "cTime",
})  # fmt: skip

_ALGO_ORDER = Layout(AlgoOrderUpdate, {
    "ts_event": "uTime", "algo_id": "algoId", "client_algo_id": "algoClOrdId",
    "instrument": "instId", "instrument_type": "instType", "order_id": "ordId",
    "client_order_id": "clOrdId", "tag": "tag", "side": "side", "position_side": "posSide",
    "order_type": "ordType", "trade_mode": "tdMode", "state": "state",
    "order_ids": "ordIdList", "sub_algo_ids": "subAlgoIdList", "size": "sz",
    "size_unit": "tgtCcy", "currency": "ccy", "close_fraction": "closeFraction",
    "leverage": "lever", "notional_usd": "notionalUsd", "last": "last",
    "trigger_price": "triggerPx", "trigger_type": "triggerPxType", "order_price": "ordPx",
    "stop_loss_price": "slTriggerPx", "stop_loss_type": "slTriggerPxType",
    "stop_loss_order_price": "slOrdPx", "take_profit_price": "tpTriggerPx",
    "take_profit_type": "tpTriggerPxType", "take_profit_order_price": "tpOrdPx",
    "actual_price": "actualPx", "actual_size": "actualSz", "actual_side": "actualSide",
    "reduce_only": "reduceOnly", "quick_margin_type": "quickMgnType",
    "is_borrow_mode": "isTradeBorrowMode", "advance_order_type": "advanceOrdType",
    "chase_type": "chaseType", "chase_value": "chaseVal", "max_chase_type": "maxChaseType",
    "max_chase_value": "maxChaseVal", "price_limit": "pxLimit", "price_spread": "pxSpread",
    "price_variance": "pxVar", "size_limit": "szLimit", "interval": "timeInterval",
    "count": "count", "callback_ratio": "callbackRatio", "callback_spread": "callbackSpread",
    "active_price": "activePx", "move_trigger_price": "moveTriggerPx",
    "amend_on_trigger": "amendPxOnTriggerType", "amend_result": "amendResult",
    "request_id": "reqId", "fail_code": "failCode", "trade_quote_currency": "tradeQuoteCcy",
    "linked_order": "linkedOrd", "attached": "attachAlgoOrds", "trigger_time": "triggerTime",
    "push_time": "pTime", "create_time": "cTime",
})  # fmt: skip

_FILL = Layout(Fill, {
    "ts_event": "ts", "instrument": "instId", "trade_id": "tradeId", "order_id": "ordId",
    "client_order_id": "clOrdId", "price": "fillPx", "size": "fillSz", "side": "side",
    "execution": "execType", "count": "count",
})  # fmt: skip

_LIQUIDATION_WARNING = Layout(LiquidationWarning, {
    "ts_event": "pTime", "instrument": "instId", "instrument_type": "instType",
    "position_id": "posId", "position_side": "posSide", "margin_mode": "mgnMode",
    "position": "pos", "position_currency": "posCcy", "currency": "ccy", "leverage": "lever",
    "mark_price": "markPx", "margin_ratio": "mgnRatio", "create_time": "cTime",
    "update_time": "uTime",
})  # fmt: skip

_GREEKS = Layout(Greeks, {
    "ts_event": "ts", "currency": "ccy", "delta_bs": "deltaBS", "gamma_bs": "gammaBS",
    "vega_bs": "vegaBS", "theta_bs": "thetaBS", "delta_pa": "deltaPA", "gamma_pa": "gammaPA",
    "vega_pa": "vegaPA", "theta_pa": "thetaPA",
})  # fmt: skip

ACCOUNT_SHAPES: dict[str, Shape] = {
    channel: shape_from(channel, layout, number=Decimal, is_sparse=True)
    for channel, layout in {
        "account": _ACCOUNT,
        "positions": _POSITION,
        "balance_and_position": _BALANCE_AND_POSITION,
        "orders": _ORDER,
        "orders-algo": _ALGO_ORDER,
        "algo-advance": _ALGO_ORDER,
        "fills": _FILL,
        "liquidation-warning": _LIQUIDATION_WARNING,
        "account-greeks": _GREEKS,
    }.items()
}
"""Shapes of these channels by name; nearly every push of theirs has blanks."""
