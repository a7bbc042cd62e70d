"""Words: the values the venue is known to send where it chooses from a list.

Responsible for these lists, per channel and wire key (OKX API docs and changelog through 2026-09).
Refuses to judge: types keep every word as sent; the census (`novelty.py`) counts the unknown ones,
because a word that nobody knows is how a change of the venue shows first.
"""

from __future__ import annotations

Values = dict[str, tuple[str, ...]]
"""Known values by wire key."""

_SIDE = ("buy", "sell")
_POSITION_SIDE = ("long", "short", "net")
_MARGIN_MODE = ("cross", "isolated", "cash")
_TRADE_MODE = ("cross", "isolated", "cash", "spot_isolated")
_TYPE = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS")
_TRIGGER = ("last", "index", "mark")
_FLAG = ("true", "false")
_EXECUTION = ("T", "M")
_RUN = ("starting", "running", "stopping", "stopped", "no_close_position", "pause")
_ORDER_STATE = ("live", "partially_filled", "filled", "canceled", "mmp_canceled")
_EVENT_TYPE = ("snapshot", "event_update")

_TRADES: Values = {"side": _SIDE, "source": ("0", "1")}
_LEGS: Values = {"legs.side": _SIDE, "legs.posSide": _POSITION_SIDE, "legs.tdMode": _TRADE_MODE}
_ALGO: Values = {
    "instType": _TYPE, "side": _SIDE, "posSide": _POSITION_SIDE, "tdMode": _TRADE_MODE,
    "ordType": ("conditional", "oco", "chase", "trigger", "move_order_stop", "iceberg", "twap",
                "smart_iceberg"),
    "state": ("live", "pause", "effective", "partially_effective", "canceled", "order_failed",
              "partially_failed"),
    "slTriggerPxType": _TRIGGER, "tpTriggerPxType": _TRIGGER, "triggerPxType": _TRIGGER,
    "tgtCcy": ("base_ccy", "quote_ccy"), "reduceOnly": _FLAG,
}  # fmt: skip
_GRID: Values = {
    "instType": _TYPE, "algoOrdType": ("grid", "contract_grid"), "state": _RUN,
    "runType": ("1", "2"), "cancelType": ("0", "1", "2", "3", "4", "5", "6"),
    "stopType": ("0", "1", "2"), "stopResult": ("0", "1", "-1"),
    "direction": ("long", "short", "neutral"), "copyType": ("0", "1", "2", "3"),
    "triggerParams.triggerAction": ("start", "stop"),
    "triggerParams.triggerStrategy": ("instant", "price", "rsi"),
    "triggerParams.triggerType": ("manual", "auto"),
}  # fmt: skip

WORDS: dict[str, Values] = {
    "trades": _TRADES,
    "trades-all": _TRADES,
    "sprd-public-trades": {"side": _SIDE},
    "option-trades": {"side": _SIDE, "optType": ("C", "P")},
    "public-block-trades": {"side": _SIDE},
    "public-struc-block-trades": {"legs.side": _SIDE},
    "block-tickers": {"instType": _TYPE},
    "funding-rate": {
        "formulaType": ("noRate", "withRate"), "method": ("current_period", "next_period"),
        "settState": ("processing", "settled"),
    },
    "instruments": {
        "instType": _TYPE, "ctType": ("linear", "inverse"), "optType": ("C", "P"),
        "state": ("live", "suspend", "preopen", "expired", "rebase", "post_only", "test",
                  "settling"),
        "ruleType": ("normal", "pre_market", "rebase_contract", "xperp"),
        "openType": ("fix_price", "pre_quote", "call_auction"),
        "instCategory": ("1", "3", "4", "5", "6"),
    },
    "estimated-price": {"instType": _TYPE, "settleType": ("settlement", "delivery", "exercise")},
    "liquidation-orders": {
        "instType": _TYPE, "details.side": _SIDE, "details.posSide": _POSITION_SIDE,
    },
    "adl-warning": {"instType": _TYPE, "state": ("normal", "warning", "adl")},
    "status": {
        "env": ("1", "2"), "maintType": ("1", "2", "3"), "system": ("unified",),
        "serviceType": ("0", "5", "6", "7", "8", "9", "10", "11", "99"),
        "state": ("scheduled", "ongoing", "pre_open", "completed", "canceled"),
    },
    "call-auction-details": {"state": ("call_auction", "continuous_trading")},
    "event-contract-markets": {
        "state": ("preopen", "live", "settling", "expired"), "outcome": ("0", "1", "2"),
        "hitDir": ("up", "dn"),
    },
    "economic-calendar": {"importance": ("1", "2", "3")},
    "account": {"/eventType": _EVENT_TYPE, "deltaNeutralStatus": ("0", "1", "2")},
    "positions": {
        "/eventType": _EVENT_TYPE, "instType": _TYPE, "mgnMode": _MARGIN_MODE,
        "posSide": _POSITION_SIDE, "closeOrderAlgo.slTriggerPxType": _TRIGGER,
        "closeOrderAlgo.tpTriggerPxType": _TRIGGER,
    },
    "balance_and_position": {
        "eventType": ("snapshot", "delivered", "exercised", "transferred", "filled",
                      "liquidation", "claw_back", "adl", "funding_fee", "adjust_margin",
                      "set_leverage", "interest_deduction", "settlement"),
        "posData.instType": _TYPE, "posData.mgnMode": _MARGIN_MODE,
        "posData.posSide": _POSITION_SIDE,
    },
    "orders": {
        "instType": _TYPE, "side": _SIDE, "posSide": _POSITION_SIDE, "tdMode": _TRADE_MODE,
        "ordType": ("market", "limit", "post_only", "fok", "ioc", "optimal_limit_ioc", "mmp",
                    "mmp_and_post_only", "op_fok", "elp", "rpi"),
        "state": _ORDER_STATE, "tgtCcy": ("base_ccy", "quote_ccy"), "execType": _EXECUTION,
        "pxType": ("px", "pxVol", "pxUsd"), "reduceOnly": _FLAG, "isTpLimit": _FLAG,
        "category": ("normal", "twap", "adl", "full_liquidation", "partial_liquidation",
                     "delivery", "ddh", "auto_conversion"),
        "amendSource": ("1", "2", "3", "4", "5", "6"), "amendResult": ("-1", "0", "1", "2"),
        "slTriggerPxType": _TRIGGER, "tpTriggerPxType": _TRIGGER,
        "stpMode": ("cancel_maker", "cancel_taker", "cancel_both"),
    },
    "orders-algo": _ALGO,
    "algo-advance": _ALGO,
    "fills": {"side": _SIDE, "execType": _EXECUTION},
    "liquidation-warning": {
        "instType": _TYPE, "mgnMode": _MARGIN_MODE, "posSide": _POSITION_SIDE,
    },
    "grid-orders-spot": _GRID,
    "grid-orders-contract": _GRID,
    "grid-positions": {
        "instType": _TYPE, "mgnMode": _MARGIN_MODE, "posSide": _POSITION_SIDE,
    },
    "grid-sub-orders": {
        "instType": _TYPE, "side": _SIDE, "posSide": _POSITION_SIDE, "tdMode": _TRADE_MODE,
        "algoOrdType": ("grid", "contract_grid"), "ordType": ("market", "limit", "ioc"),
        "state": ("live", "partially_filled", "filled", "cancelling", "canceled"),
    },
    "algo-recurring-buy": {
        "instType": _TYPE, "algoOrdType": ("recurring",), "state": _RUN,
        "period": ("monthly", "weekly", "daily", "hourly"),
    },
    "copytrading-lead-notification": {
        "instType": _TYPE, "infoType": ("1", "2", "3"), "side": _SIDE, "posSide": _POSITION_SIDE,
    },
    "rfqs": {
        "state": ("active", "canceled", "pending_fill", "filled", "expired", "failed",
                  "traded_away"),
        **_LEGS,
    },
    "quotes": {
        "state": ("active", "canceled", "filled", "expired", "failed"), "quoteSide": _SIDE,
        "reason": ("mmp_canceled",), **_LEGS,
    },
    "struc-block-trades": {"legs.side": _SIDE},
    "sprd-orders": {
        "side": _SIDE, "ordType": ("market", "limit", "post_only", "ioc"),
        "state": ("live", "partially_filled", "filled", "canceled"),
        "amendResult": ("-1", "0"),
    },
    "sprd-trades": {
        "side": _SIDE, "state": ("filled", "rejected"), "execType": _EXECUTION,
        "legs.side": _SIDE,
    },
    "deposit-info": {"state": ("0", "1", "2", "8", "11", "12", "13", "14")},
    "withdrawal-info": {
        "state": ("-3", "-2", "-1", "0", "1", "2", "4", "5", "6", "7", "8", "9", "10", "12",
                  "15", "16", "17"),
        "toAddrType": ("1", "2"),
    },
}  # fmt: skip
"""Known values by channel and wire key; inside an array of objects as `array.key`, at the top of
the push as `/key`. A blank is always known."""

UNREAD: dict[str, tuple[str, ...]] = {
    "tickers": ("instType",),
    "mark-price": ("instType",),
    "open-interest": ("instType",),
    "price-limit": ("instType",),
    "funding-rate": ("instType",),
    "opt-summary": ("instType",),
    "instruments": ("alias", "auctionEndTime", "category"),
}
"""Row keys that are documented, and that no type reads: told by the instrument, or deprecated."""
