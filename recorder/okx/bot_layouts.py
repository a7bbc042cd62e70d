"""Layouts of grids, recurring buys and lead trading (OKX API docs, sections of these names).

Responsible for which key of the wire is which field of the event, and that all of these numbers
are Decimal. Refuses to follow a bot: its pushes are events like any other.
"""

from __future__ import annotations

from decimal import Decimal

from recorder.event import (
    BotRebate,
    BotTrigger,
    GridBotUpdate,
    GridOrderUpdate,
    GridPositionUpdate,
    LeadTradingNotice,
    RecurringBuyPart,
    RecurringBuyUpdate,
)
from recorder.okx.layout import Layout, shape_from
from recorder.okx.shape import Shape

_REBATE = Layout(BotRebate, {"rebate": "rebate", "currency": "rebateCcy"})

_TRIGGER = Layout(BotTrigger, {
    "action": "triggerAction", "strategy": "triggerStrategy", "trigger_type": "triggerType",
    "trigger_time": "triggerTime", "delay": "delaySeconds", "trigger_price": "triggerPx",
    "timeframe": "timeframe", "threshold": "thold", "condition": "triggerCond",
    "period": "timePeriod", "stop_type": "stopType",
})  # fmt: skip

_GRID_BOT = Layout(GridBotUpdate, {
    "ts_event": "pTime", "instrument": "instId", "instrument_type": "instType",
    "algo_id": "algoId", "client_algo_id": "algoClOrdId", "bot_type": "algoOrdType",
    "state": "state", "run_type": "runType", "max_price": "maxPx", "min_price": "minPx",
    "grid_count": "gridNum", "run_price": "runPx", "amount_per_grid": "singleAmt",
    "min_profit_rate": "perMinProfitRate", "max_profit_rate": "perMaxProfitRate",
    "take_profit_price": "tpTriggerPx", "stop_loss_price": "slTriggerPx",
    "take_profit_ratio": "tpRatio", "stop_loss_ratio": "slRatio", "investment": "investment",
    "total_pnl": "totalPnl", "pnl_ratio": "pnlRatio", "grid_profit": "gridProfit",
    "float_profit": "floatProfit", "annualized_rate": "annualizedRate",
    "total_annualized_rate": "totalAnnualizedRate", "trade_count": "tradeNum",
    "arbitrage_count": "arbitrageNum", "active_order_count": "activeOrdNum",
    "cancel_type": "cancelType", "stop_type": "stopType", "stop_result": "stopResult",
    "quote_size": "quoteSz", "base_size": "baseSz", "current_quote_size": "curQuoteSz",
    "current_base_size": "curBaseSz", "profit": "profit", "direction": "direction",
    "has_base_position": "basePos", "margin": "sz", "equity": "eq",
    "available_equity": "availEq", "order_frozen": "ordFrozen", "leverage": "lever",
    "actual_leverage": "actualLever", "liquidation_price": "liqPx", "fee": "fee",
    "funding_fee": "fundingFee", "profit_sharing_ratio": "profitSharingRatio",
    "copy_type": "copyType", "tag": "tag", "trade_quote_currency": "tradeQuoteCcy",
    "rebates": "rebateTrans", "triggers": "triggerParams", "create_time": "cTime",
    "update_time": "uTime",
}, {"rebates": _REBATE, "triggers": _TRIGGER})  # fmt: skip

_GRID_POSITION = Layout(GridPositionUpdate, {
    "ts_event": "pTime", "instrument": "instId", "instrument_type": "instType",
    "algo_id": "algoId", "client_algo_id": "algoClOrdId", "position_side": "posSide",
    "margin_mode": "mgnMode", "position": "pos", "currency": "ccy", "average_price": "avgPx",
    "mark_price": "markPx", "last": "last", "liquidation_price": "liqPx", "leverage": "lever",
    "notional_usd": "notionalUsd", "initial_margin": "imr", "maintenance_margin": "mmr",
    "margin_ratio": "mgnRatio", "unrealized_pnl": "upl", "unrealized_pnl_ratio": "uplRatio",
    "adl": "adl", "create_time": "cTime", "update_time": "uTime",
})  # fmt: skip

_GRID_ORDER = Layout(GridOrderUpdate, {
    "ts_event": "pTime", "instrument": "instId", "instrument_type": "instType",
    "algo_id": "algoId", "client_algo_id": "algoClOrdId", "bot_type": "algoOrdType",
    "group_id": "groupId", "order_id": "ordId", "order_type": "ordType",
    "trade_mode": "tdMode", "side": "side", "position_side": "posSide", "state": "state",
    "price": "px", "size": "sz", "filled_size": "accFillSz", "average_price": "avgPx",
    "contract_value": "ctVal", "leverage": "lever", "fee": "fee", "fee_currency": "feeCcy",
    "rebate": "rebate", "rebate_currency": "rebateCcy", "pnl": "pnl", "tag": "tag",
    "create_time": "cTime", "update_time": "uTime",
})  # fmt: skip

_RECURRING_BUY_PART = Layout(RecurringBuyPart, {
    "currency": "ccy", "ratio": "ratio", "amount": "totalAmt", "average_price": "avgPx",
    "price": "px", "profit": "profit", "min_price": "minPx", "max_price": "maxPx",
})  # fmt: skip

_RECURRING_BUY = Layout(RecurringBuyUpdate, {
    "ts_event": "pTime", "instrument_type": "instType", "algo_id": "algoId",
    "client_algo_id": "algoClOrdId", "bot_type": "algoOrdType", "state": "state",
    "name": "stgyName", "period": "period", "day": "recurringDay", "hour": "recurringHour",
    "time": "recurringTime", "time_zone": "timeZone", "time_type": "recurringTimeType",
    "minutes": "recurringTimeMinutes", "amount": "amt", "invested": "investmentAmt",
    "currency": "investmentCcy", "cycles": "cycles", "total_pnl": "totalPnl",
    "pnl_ratio": "pnlRatio", "annualized_rate": "totalAnnRate", "market_value": "mktCap",
    "tag": "tag", "trade_quote_currency": "tradeQuoteCcy", "parts": "recurringList",
    "next_time": "nextInvestTime", "create_time": "cTime", "update_time": "uTime",
}, {"parts": _RECURRING_BUY_PART})  # fmt: skip

_LEAD_TRADING_NOTICE = Layout(LeadTradingNotice, {
    "instrument": "instId", "instrument_type": "instType", "info_type": "infoType",
    "side": "side", "position_side": "posSide", "position_id": "subPosId",
    "trader_code": "uniqueCode", "max_daily_trades": "maxLeadTraderNum",
    "min_equity": "minLeadEq",
})  # fmt: skip

BOT_SHAPES: dict[str, Shape] = {
    channel: shape_from(channel, layout, number=Decimal, is_sparse=True)
    for channel, layout in {
        "grid-orders-spot": _GRID_BOT,
        "grid-orders-contract": _GRID_BOT,
        "grid-positions": _GRID_POSITION,
        "grid-sub-orders": _GRID_ORDER,
        "algo-recurring-buy": _RECURRING_BUY,
        "copytrading-lead-notification": _LEAD_TRADING_NOTICE,
    }.items()
}
"""Shapes of these channels by name; nearly every push of theirs has blanks."""
