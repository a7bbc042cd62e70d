"""Golden events of the rarer public channels, of spreads and of the account's channels.

Each payload is invented after the API docs, with the blanks the venue sends; beside it stands what
must be said. Fields that are None or empty are left out there, so a field said without reason fails
as surely as one that is missing.
"""

from __future__ import annotations

import json
import zlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from recorder.event import (
    AccountUpdate,
    AdlWarning,
    AlgoOrderUpdate,
    BalanceAndPosition,
    BlockFill,
    BlockTicker,
    BlockTrade,
    BookUpdate,
    CallAuction,
    Candle,
    Data,
    DepositUpdate,
    EconomicRelease,
    EmptySnapshot,
    EstimatedPrice,
    Event,
    EventMarket,
    Fill,
    Greeks,
    GridBotUpdate,
    GridOrderUpdate,
    GridPositionUpdate,
    LeadTradingNotice,
    Level,
    Liquidation,
    LiquidationWarning,
    OptionSummary,
    OptionTrade,
    OrderUpdate,
    PositionUpdate,
    PriceLimit,
    Quote,
    RecurringBuyUpdate,
    RfqQuoteUpdate,
    RfqUpdate,
    SpreadFill,
    SpreadOrderUpdate,
    Ticker,
    Trade,
    Unrecognized,
    VenueStatus,
    WithdrawalUpdate,
    encode_event,
)
from recorder.frame import Frame, Kind
from recorder.okx.account_layouts import ACCOUNT_SHAPES
from recorder.okx.bot_layouts import BOT_SHAPES
from recorder.okx.deal_layouts import DEAL_SHAPES
from recorder.okx.interpreter import Interpreter
from recorder.okx.market_layouts import MARKET_SHAPES
from recorder.okx.parser import parser_of
from recorder.okx.spreads import SPREAD_SHAPES

D = Decimal
T = "1795000000001"
NS = 1_795_000_000_001_000_000
SPREAD = "ELM-USDT_ELM-USDT-SWAP"
LONG = "1.234567890123456789012345678"


def push(channel: str, *rows: Any, **more: Any) -> bytes:
    argument = more.pop("arg", {})
    return json.dumps(
        {"arg": {"channel": channel, **argument}, **more, "data": rows}, separators=(",", ":")
    ).encode()


def parsed(payload: bytes, number: type = float) -> list[Event]:
    return parser_of(number).parse(Frame(41, 9, 7, 3, Kind.TEXT, payload))


def said(event: Any) -> dict[str, Any]:
    """Return what an event says: its fields without None and empty arrays."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    for name in ("seq", "index", "ts_recv"):
        fields.pop(name, None)
    return {
        name: [said(member) if isinstance(member, msgspec.Struct) else member for member in value]
        if isinstance(value, tuple)
        else value
        for name, value in fields.items()
        if value is not None and value != ()
    }


OF_SPREAD: dict[str, Any] = {"arg": {"sprdId": SPREAD}}
BOOK = {"asks": [["0.5", "3", "1"]], "bids": [["-0.2", "1.5", "2"]], "ts": T}
SIDES = {"bids": [Level(-0.2, 1.5, None, 2)], "asks": [Level(0.5, 3.0, None, 1)]}

MARKET: list[tuple[str, bytes, type[Event], list[dict[str, Any]]]] = [
    (
        "price-limit",
        push("price-limit", {"buyLmt": "1.30", "enabled": True, "instId": "ELM-USDT-SWAP",
                             "instType": "SWAP", "sellLmt": "1.17", "ts": T}),
        PriceLimit,
        [{"ts_event": NS, "instrument": "ELM-USDT-SWAP", "buy_limit": 1.3, "sell_limit": 1.17,
          "enabled": True}],
    ),
    (
        "price-limit out of force",
        push("price-limit", {"buyLmt": "", "enabled": False, "instId": "E", "sellLmt": "",
                             "ts": T}),
        PriceLimit,
        [{"ts_event": NS, "instrument": "E", "enabled": False}],
    ),
    (
        "liquidation-orders: one event a detail",
        push("liquidation-orders",
             {"details": [{"bkLoss": "0", "bkPx": "1.19", "ccy": "", "posSide": "long",
                           "side": "sell", "sz": "13", "ts": T},
                          {"bkLoss": "", "bkPx": "1.18", "ccy": "USDT", "posSide": "net",
                           "side": "buy", "sz": "2", "ts": T}],
              "instFamily": "ELM-USDT", "instId": "ELM-USDT-SWAP", "instType": "SWAP",
              "uly": ""}),
        Liquidation,
        [{"ts_event": NS, "instrument": "ELM-USDT-SWAP", "instrument_type": "SWAP",
          "family": "ELM-USDT", "side": "sell", "position_side": "long", "size": 13.0,
          "bankruptcy_price": 1.19, "bankruptcy_loss": 0.0},
         {"ts_event": NS, "instrument": "ELM-USDT-SWAP", "instrument_type": "SWAP",
          "family": "ELM-USDT", "side": "buy", "position_side": "net", "size": 2.0,
          "bankruptcy_price": 1.18, "currency": "USDT"}],
    ),
    (
        "opt-summary",
        push("opt-summary",
             {"instType": "OPTION", "instId": "ELM-USD-261127-2-C", "uly": "ELM-USD",
              "delta": "0.41", "gamma": "1.2", "vega": "0.0001", "theta": "-0.0003",
              "lever": "9.1", "markVol": "0.55", "bidVol": "", "askVol": "0.6", "realVol": "",
              "deltaBS": "0.42", "gammaBS": "0.0002", "thetaBS": "-3.1", "vegaBS": "1.4",
              "ts": T, "fwdPx": "1.24", "volLv": "0.53"}),
        OptionSummary,
        [{"ts_event": NS, "instrument": "ELM-USD-261127-2-C", "underlying": "ELM-USD",
          "delta": 0.41, "gamma": 1.2, "vega": 0.0001, "theta": -0.0003, "delta_bs": 0.42,
          "gamma_bs": 0.0002, "vega_bs": 1.4, "theta_bs": -3.1, "leverage": 9.1,
          "mark_volatility": 0.55, "ask_volatility": 0.6, "volatility_level": 0.53,
          "forward_price": 1.24}],
    ),
    (
        "option-trades",
        push("option-trades",
             {"fillVol": "0.51", "fwdPx": "", "idxPx": "1.23", "instFamily": "ELM-USD",
              "instId": "ELM-USD-261127-2-C", "markPx": "0.031", "optType": "C", "px": "0.03",
              "side": "sell", "sz": "2", "tradeId": "38", "ts": T}),
        OptionTrade,
        [{"ts_event": NS, "instrument": "ELM-USD-261127-2-C", "trade_id": "38", "price": 0.03,
          "size": 2.0, "side": "sell", "option_type": "C", "family": "ELM-USD",
          "fill_volatility": 0.51, "index_price": 1.23, "mark_price": 0.031}],
    ),
    (
        "estimated-price",
        push("estimated-price", {"instId": "ELM-USDT-261127", "instType": "FUTURES",
                                 "settlePx": "1.2345678", "settleType": "delivery", "ts": T}),
        EstimatedPrice,
        [{"ts_event": NS, "instrument": "ELM-USDT-261127", "instrument_type": "FUTURES",
          "price": 1.2345678, "settlement_type": "delivery"}],
    ),
    (
        "status, with an enum value nobody knows",
        push("status", {"begin": T, "end": "", "env": "1", "href": "", "maintType": "17",
                        "preOpenBegin": "", "scheDesc": "", "serviceType": "0",
                        "state": "asleep", "system": "unified", "title": "Works", "ts": T}),
        VenueStatus,
        [{"ts_event": NS, "title": "Works", "state": "asleep", "begin_time": NS,
          "maintenance_type": "17", "service_type": "0", "environment": "1",
          "system": "unified"}],
    ),
    (
        "adl-warning",
        push("adl-warning", {"instType": "SWAP", "instFamily": "ELM-USDT", "state": "warning",
                             "bal": "1234567.8", "ccy": "", "maxBal": "", "maxBalTs": "",
                             "adlType": "", "adlBal": "", "adlRecBal": "", "ts": T,
                             "decRate": "", "adlRate": "", "adlRecRate": ""}),
        AdlWarning,
        [{"ts_event": NS, "instrument_type": "SWAP", "family": "ELM-USDT", "state": "warning",
          "balance": 1234567.8}],
    ),
    (
        "call-auction-details",
        push("call-auction-details",
             {"instId": "NEW-USDT", "unmatchedSz": "100", "eqPx": "0.6", "matchedSz": "4500",
              "state": "call_auction", "auctionEndTime": T, "ts": T}),
        CallAuction,
        [{"ts_event": NS, "instrument": "NEW-USDT", "state": "call_auction",
          "equilibrium_price": 0.6, "matched_size": 4500.0, "unmatched_size": 100.0,
          "auction_end_time": NS}],
    ),
    (
        "sprd-public-trades",
        push("sprd-public-trades", {"sprdId": SPREAD, "tradeId": "21", "px": "-6.4", "sz": "13",
                                    "side": "sell", "ts": T}, **OF_SPREAD),
        Trade,
        [{"ts_event": NS, "instrument": SPREAD, "channel": "sprd-public-trades",
          "trade_id": "21", "price": -6.4, "size": 13.0, "side": "sell", "count": 1}],
    ),
    (
        "sprd-bbo-tbt with one side",
        push("sprd-bbo-tbt", {**BOOK, "asks": [], "seqId": 7}, **OF_SPREAD),
        Quote,
        [{"ts_event": NS, "instrument": SPREAD, "bid_price": -0.2, "bid_size": 1.5,
          "bid_orders": 2, "venue_seq": 7, "channel": "sprd-bbo-tbt"}],
    ),
    (
        "sprd-books5",
        push("sprd-books5", {**BOOK, "seqId": 1790000000000000001}, **OF_SPREAD),
        BookUpdate,
        [{"ts_event": NS, "instrument": SPREAD, "channel": "sprd-books5", "is_snapshot": True,
          **SIDES, "seq_id": 1790000000000000001}],
    ),
    (
        "sprd-books-l2-tbt",
        push("sprd-books-l2-tbt", {**BOOK, "checksum": 123, "prevSeqId": 5, "seqId": 6},
             action="update", **OF_SPREAD),
        BookUpdate,
        [{"ts_event": NS, "instrument": SPREAD, "channel": "sprd-books-l2-tbt",
          "is_snapshot": False, **SIDES, "seq_id": 6, "prev_seq_id": 5, "checksum": 123}],
    ),
    (
        "sprd-tickers",
        push("sprd-tickers", {"sprdId": SPREAD, "last": "4", "lastSz": "0.01", "askPx": "5",
                              "askSz": "1", "bidPx": "", "bidSz": "", "open24h": "-7",
                              "high24h": "19", "low24h": "-7", "vol24h": "9.8", "ts": T},
             **OF_SPREAD),
        Ticker,
        [{"ts_event": NS, "instrument": SPREAD, "last": 4.0, "last_size": 0.01,
          "ask_price": 5.0, "ask_size": 1.0, "open_24h": -7.0, "high_24h": 19.0,
          "low_24h": -7.0, "volume_24h": 9.8}],
    ),
    (
        "sprd-candle",
        push("sprd-candle1Dutc", [T, "1", "2", "-1", "1.5", "30", "1"], **OF_SPREAD),
        Candle,
        [{"ts_event": NS, "instrument": SPREAD, "channel": "sprd-candle1Dutc",
          "interval": "1Dutc", "open": 1.0, "high": 2.0, "low": -1.0, "close": 1.5,
          "volume": 30.0, "confirmed": True}],
    ),
    (
        "block-tickers",
        push("block-tickers", {"instType": "SWAP", "instId": "E", "volCcy24h": "0",
                               "vol24h": "7", "ts": T}),
        BlockTicker,
        [{"ts_event": NS, "instrument": "E", "instrument_type": "SWAP", "volume_24h": 7.0,
          "volume_ccy_24h": 0.0}],
    ),
    (
        "public-block-trades",
        push("public-block-trades",
             {"fillVol": "", "fwdPx": "", "groupId": "", "idxPx": "1.23", "instId": "E",
              "markPx": "1.24", "px": "1.235", "side": "buy", "sz": "1000", "tradeId": "633",
              "ts": T}),
        BlockTrade,
        [{"ts_event": NS, "instrument": "E", "channel": "public-block-trades",
          "trade_id": "633", "price": 1.235, "size": 1000.0, "side": "buy",
          "index_price": 1.23, "mark_price": 1.24}],
    ),
    (
        "public-struc-block-trades: one event a leg",
        push("public-struc-block-trades",
             {"cTime": T, "blockTdId": "55", "groupId": "", "legs": [
                 {"px": "0.3", "sz": "30", "instId": "A", "side": "buy", "tradeId": "1"},
                 {"px": "0.1", "sz": "10", "instId": "B", "side": "sell", "tradeId": ""}]}),
        BlockTrade,
        [{"ts_event": NS, "instrument": "A", "channel": "public-struc-block-trades",
          "trade_id": "1", "price": 0.3, "size": 30.0, "side": "buy", "block_id": "55"},
         {"ts_event": NS, "instrument": "B", "channel": "public-struc-block-trades",
          "price": 0.1, "size": 10.0, "side": "sell", "block_id": "55"}],
    ),
    (
        "event-contract-markets",
        push("event-contract-markets",
             {"seriesId": "S", "eventId": "S-1", "instId": "S-1-2", "listTime": T,
              "fixTime": "", "expTime": T, "state": "live", "outcome": "0",
              "floorStrike": "2", "capStrike": "INF", "settleValue": "", "disputed": False,
              "hitDir": ""}),
        EventMarket,
        [{"instrument": "S-1-2", "series_id": "S", "event_id": "S-1", "state": "live",
          "outcome": "0", "list_time": NS, "expiry_time": NS, "floor_strike": "2",
          "cap_strike": "INF", "disputed": False}],
    ),
    (
        "economic-calendar, whose rows have a member called event",
        push("economic-calendar",
             {"calendarId": "1", "date": T, "region": "Utopia", "category": "CPI",
              "event": "CPI YoY", "refDate": T, "actual": "2.1%", "previous": "",
              "forecast": "2.2", "importance": "2", "prevInitial": "", "ccy": "",
              "unit": "%", "ts": T}),
        EconomicRelease,
        [{"ts_event": NS, "calendar_id": "1", "name": "CPI YoY", "region": "Utopia",
          "category": "CPI", "release_time": NS, "reference_time": NS, "actual": "2.1%",
          "forecast": "2.2", "importance": "2", "unit": "%"}],
    ),
]  # fmt: skip

MINE: dict[str, Any] = {"arg": {"uid": "111"}}

ACCOUNT: list[tuple[str, bytes, type[Event], list[dict[str, Any]]]] = [
    (
        "account: a page of a snapshot",
        push("account",
             {"adjEq": "", "details": [
                 {"ccy": "USDT", "eq": LONG, "cashBal": "100", "availBal": "90", "imr": "",
                  "uTime": T, "collateralEnabled": False}],
              "isoEq": "0", "totalEq": "99.90", "uTime": T, "upl": ""},
             arg={"uid": "111"}, eventType="snapshot", curPage=1, lastPage=True),
        AccountUpdate,
        [{"ts_event": NS, "total_equity": D("99.90"), "isolated_equity": D(0),
          "balances": [{"currency": "USDT", "equity": D(LONG), "cash": D(100),
                        "available": D(90), "collateral_enabled": False, "update_time": NS}],
          "uid": "111", "event_type": "snapshot", "page": 1, "is_last_page": True}],
    ),
    (
        "positions",
        push("positions",
             {"instType": "SWAP", "instId": "ELM-USDT-SWAP", "mgnMode": "cross", "posId": "9",
              "posSide": "net", "pos": "-3", "avgPx": "1.2", "upl": "-0.3", "liqPx": "",
              "ccy": "USDT", "tradeId": "77", "cTime": T, "uTime": T, "pTime": T,
              "closeOrderAlgo": [{"algoId": "5", "slTriggerPx": "2", "slTriggerPxType": "mark",
                                  "tpTriggerPx": "", "tpTriggerPxType": "",
                                  "closeFraction": "1"}]},
             arg={"uid": "111", "instType": "ANY"}, eventType="event_update"),
        PositionUpdate,
        [{"ts_event": NS, "instrument": "ELM-USDT-SWAP", "instrument_type": "SWAP",
          "margin_mode": "cross", "position_id": "9", "position_side": "net",
          "position": D(-3), "average_price": D("1.2"), "unrealized_pnl": D("-0.3"),
          "currency": "USDT", "trade_id": "77", "create_time": NS, "update_time": NS,
          "close_orders": [{"algo_id": "5", "stop_loss_price": D(2), "stop_loss_type": "mark",
                            "close_fraction": D(1)}],
          "uid": "111", "event_type": "event_update"}],
    ),
    (
        "balance_and_position: its eventType is in the row",
        push("balance_and_position",
             {"pTime": T, "eventType": "filled",
              "balData": [{"ccy": "USDT", "cashBal": "99.5", "uTime": T}],
              "posData": [{"posId": "9", "instId": "E", "pos": "1", "avgPx": "", "uTime": T}],
              "trades": [{"instId": "E", "tradeId": "77"}]}, **MINE),
        BalanceAndPosition,
        [{"ts_event": NS, "event_type": "filled",
          "balances": [{"currency": "USDT", "cash": D("99.5"), "update_time": NS}],
          "positions": [{"instrument": "E", "position_id": "9", "position": D(1),
                         "update_time": NS}],
          "trades": [{"instrument": "E", "trade_id": "77"}], "uid": "111"}],
    ),
    (
        "orders",
        push("orders",
             {"instType": "SPOT", "instId": "ELM-USDT", "ordId": "5001", "clOrdId": "x1",
              "ordType": "brand_new", "side": "buy", "posSide": "", "tdMode": "cash",
              "px": LONG, "sz": "10", "state": "partially_filled", "accFillSz": "4",
              "fillPx": "1.2", "fillSz": "4", "fillTime": T, "tradeId": "7", "execType": "M",
              "fee": "-0.004", "feeCcy": "ELM", "reduceOnly": "false", "code": "0", "msg": "",
              "attachAlgoOrds": [{"attachAlgoId": "3", "tpTriggerPx": ""}],
              "linkedAlgoOrd": {"algoId": ""}, "cTime": T, "uTime": T}, **MINE),
        OrderUpdate,
        [{"ts_event": NS, "instrument": "ELM-USDT", "instrument_type": "SPOT",
          "order_id": "5001", "client_order_id": "x1", "order_type": "brand_new",
          "side": "buy", "trade_mode": "cash", "state": "partially_filled", "price": D(LONG),
          "size": D(10), "filled_size": D(4), "fill_price": D("1.2"), "fill_size": D(4),
          "fill_time": NS, "trade_id": "7", "execution": "M", "fee": D("-0.004"),
          "fee_currency": "ELM", "reduce_only": False, "code": "0",
          "attached": [{"attachAlgoId": "3"}], "create_time": NS, "uid": "111"}],
    ),
    (
        "orders-algo",
        push("orders-algo",
             {"algoId": "88", "algoClOrdId": "", "instType": "SPOT", "instId": "E",
              "ordType": "conditional", "side": "sell", "sz": "5", "state": "live",
              "slTriggerPx": "1.1", "slOrdPx": "-1", "slTriggerPxType": "last",
              "ordIdList": ["1", "2"], "attachAlgoOrds": [], "isTradeBorrowMode": "true",
              "cTime": T, "uTime": T}, **MINE),
        AlgoOrderUpdate,
        [{"ts_event": NS, "instrument": "E", "channel": "orders-algo",
          "instrument_type": "SPOT", "algo_id": "88", "order_ids": ["1", "2"],
          "side": "sell", "order_type": "conditional", "state": "live", "size": D(5),
          "stop_loss_price": D("1.1"), "stop_loss_type": "last",
          "stop_loss_order_price": D(-1), "is_borrow_mode": True, "create_time": NS,
          "uid": "111"}],
    ),
    (
        "algo-advance",
        push("algo-advance",
             {"algoId": "89", "instType": "SPOT", "instId": "E", "ordType": "iceberg",
              "side": "buy", "sz": "100", "szLimit": "10", "pxLimit": "1.3",
              "pxSpread": "0.01", "pxVar": "", "count": "10", "state": "pause", "pTime": T,
              "cTime": T, "isTradeBorrowMode": True}, **MINE),
        AlgoOrderUpdate,
        [{"instrument": "E", "channel": "algo-advance", "instrument_type": "SPOT",
          "algo_id": "89", "side": "buy", "order_type": "iceberg", "state": "pause",
          "size": D(100), "is_borrow_mode": True, "price_limit": D("1.3"),
          "price_spread": D("0.01"), "size_limit": D(10), "count": 10, "push_time": NS,
          "create_time": NS, "uid": "111"}],
    ),
    (
        "fills",
        push("fills", {"instId": "E", "fillSz": "4", "fillPx": "1.2", "side": "buy", "ts": T,
                       "ordId": "5001", "clOrdId": "0", "tradeId": "7", "execType": "T",
                       "count": "2"}, **MINE),
        Fill,
        [{"ts_event": NS, "instrument": "E", "trade_id": "7", "order_id": "5001",
          "client_order_id": "0", "price": D("1.2"), "size": D(4), "side": "buy",
          "execution": "T", "count": 2, "uid": "111"}],
    ),
    (
        "liquidation-warning",
        push("liquidation-warning",
             {"cTime": T, "ccy": "USDT", "instId": "E", "instType": "SWAP", "lever": "10",
              "markPx": "1.9", "mgnMode": "isolated", "mgnRatio": "1.2", "pTime": T,
              "pos": "-3", "posCcy": "", "posId": "900", "posSide": "net", "uTime": T},
             **MINE),
        LiquidationWarning,
        [{"ts_event": NS, "instrument": "E", "instrument_type": "SWAP", "position_id": "900",
          "position_side": "net", "margin_mode": "isolated", "position": D(-3),
          "currency": "USDT", "leverage": D(10), "mark_price": D("1.9"),
          "margin_ratio": D("1.2"), "create_time": NS, "update_time": NS, "uid": "111"}],
    ),
    (
        "account-greeks",
        push("account-greeks",
             {"ccy": "ELM", "deltaBS": "1.1", "deltaPA": "-0.007", "gammaBS": "0",
              "gammaPA": "0.01", "thetaBS": "2.0", "thetaPA": "", "vegaBS": "0",
              "vegaPA": "0", "ts": T}, **MINE),
        Greeks,
        [{"ts_event": NS, "currency": "ELM", "delta_bs": D("1.1"), "delta_pa": D("-0.007"),
          "gamma_bs": D(0), "gamma_pa": D("0.01"), "theta_bs": D(2), "vega_bs": D(0),
          "vega_pa": D(0), "uid": "111"}],
    ),
    (
        "grid-orders-spot",
        push("grid-orders-spot",
             {"algoId": "448", "algoClOrdId": "", "instType": "SPOT", "instId": "ELM-USDT",
              "algoOrdType": "grid", "state": "running", "runType": "1", "maxPx": "2.9",
              "minPx": "2.1", "gridNum": "12", "singleAmt": "0.001012", "runPx": "2.4",
              "perMinProfitRate": "0.09", "perMaxProfitRate": "1.1457", "tpTriggerPx": "",
              "slTriggerPx": "", "tradeNum": "3", "arbitrageNum": "1", "activeOrdNum": "12",
              "totalPnl": "-0.4", "pnlRatio": "-0.016", "investment": "25", "gridProfit": "0.1",
              "floatProfit": "-0.5", "annualizedRate": "0.2", "totalAnnualizedRate": "0",
              "cancelType": "0", "stopType": "2", "stopResult": "0", "quoteSz": "25",
              "baseSz": "0", "curQuoteSz": "11.1", "curBaseSz": "0.004", "profit": "0",
              "rebateTrans": [{"rebate": "0", "rebateCcy": "ELM"}],
              "triggerParams": [
                  {"triggerAction": "start", "triggerStrategy": "price", "delaySeconds": "0",
                   "triggerType": "auto", "triggerTime": T, "triggerPx": "2.2"},
                  {"triggerAction": "stop", "triggerStrategy": "rsi", "timeframe": "30m",
                   "thold": "10", "triggerCond": "cross", "timePeriod": "14",
                   "triggerType": "manual", "triggerTime": "", "stopType": "1"}],
              "profitSharingRatio": "", "copyType": "0", "tag": "",
              "tradeQuoteCcy": "USDT", "cTime": T, "uTime": T, "pTime": T}, **MINE),
        GridBotUpdate,
        [{"ts_event": NS, "instrument": "ELM-USDT", "channel": "grid-orders-spot",
          "instrument_type": "SPOT", "algo_id": "448", "bot_type": "grid", "state": "running",
          "run_type": "1", "max_price": D("2.9"), "min_price": D("2.1"), "grid_count": 12,
          "run_price": D("2.4"), "amount_per_grid": D("0.001012"),
          "min_profit_rate": D("0.09"), "max_profit_rate": D("1.1457"), "investment": D(25),
          "total_pnl": D("-0.4"), "pnl_ratio": D("-0.016"), "grid_profit": D("0.1"),
          "float_profit": D("-0.5"), "annualized_rate": D("0.2"),
          "total_annualized_rate": D(0), "trade_count": 3, "arbitrage_count": 1,
          "active_order_count": 12, "cancel_type": "0", "stop_type": "2", "stop_result": "0",
          "quote_size": D(25), "base_size": D(0), "current_quote_size": D("11.1"),
          "current_base_size": D("0.004"), "profit": D(0), "copy_type": "0",
          "trade_quote_currency": "USDT",
          "rebates": [{"rebate": D(0), "currency": "ELM"}],
          "triggers": [
              {"action": "start", "strategy": "price", "trigger_type": "auto",
               "trigger_time": NS, "delay": "0", "trigger_price": D("2.2")},
              {"action": "stop", "strategy": "rsi", "trigger_type": "manual",
               "timeframe": "30m", "threshold": "10", "condition": "cross", "period": "14",
               "stop_type": "1"}],
          "create_time": NS, "update_time": NS, "uid": "111"}],
    ),
    (
        "grid-orders-contract",
        push("grid-orders-contract",
             {"algoId": "449", "instType": "SWAP", "instId": "E", "algoOrdType": "contract_grid",
              "state": "no_close_position", "direction": "long", "basePos": True, "sz": "100",
              "lever": "5", "actualLever": "2.34", "liqPx": "1.6", "ordFrozen": "5.3",
              "availEq": "52.3", "eq": LONG, "tpRatio": "0.1", "slRatio": "", "fee": "-0.1",
              "fundingFee": "", "rebateTrans": [], "triggerParams": [], "pTime": T}, **MINE),
        GridBotUpdate,
        [{"ts_event": NS, "instrument": "E", "channel": "grid-orders-contract",
          "instrument_type": "SWAP", "algo_id": "449", "bot_type": "contract_grid",
          "state": "no_close_position", "take_profit_ratio": D("0.1"), "direction": "long",
          "has_base_position": True, "margin": D(100), "equity": D(LONG),
          "available_equity": D("52.3"), "order_frozen": D("5.3"), "leverage": D(5),
          "actual_leverage": D("2.34"), "liquidation_price": D("1.6"), "fee": D("-0.1"),
          "uid": "111"}],
    ),
    (
        "grid-positions",
        push("grid-positions",
             {"adl": "1", "algoId": "449", "algoClOrdId": "", "avgPx": "2.9", "cTime": T,
              "ccy": "USDT", "imr": "11.2", "instId": "E", "instType": "SWAP", "last": "2.8",
              "lever": "5", "liqPx": "", "markPx": "2.85", "mgnMode": "cross",
              "mgnRatio": "4.5", "mmr": "0.2", "notionalUsd": "56.1", "pTime": T, "pos": "2",
              "posSide": "net", "uTime": T, "upl": "-0.8", "uplRatio": "-0.07"}, **MINE),
        GridPositionUpdate,
        [{"ts_event": NS, "instrument": "E", "instrument_type": "SWAP", "algo_id": "449",
          "position_side": "net", "margin_mode": "cross", "position": D(2), "currency": "USDT",
          "average_price": D("2.9"), "mark_price": D("2.85"), "last": D("2.8"),
          "leverage": D(5), "notional_usd": D("56.1"), "initial_margin": D("11.2"),
          "maintenance_margin": D("0.2"), "margin_ratio": D("4.5"),
          "unrealized_pnl": D("-0.8"), "unrealized_pnl_ratio": D("-0.07"), "adl": "1",
          "create_time": NS, "update_time": NS, "uid": "111"}],
    ),
    (
        "grid-sub-orders",
        push("grid-sub-orders",
             {"accFillSz": "0", "algoId": "449", "algoClOrdId": "", "algoOrdType": "grid",
              "avgPx": "0", "cTime": T, "ctVal": "0.01", "fee": "-0.02", "feeCcy": "USDT",
              "groupId": "-1", "instId": "E", "instType": "SWAP", "lever": "5", "ordId": "7",
              "ordType": "limit", "pTime": T, "pnl": "0", "posSide": "net", "px": "2.2",
              "rebate": "0", "rebateCcy": "USDT", "side": "buy", "state": "cancelling",
              "sz": "2", "tag": "", "tdMode": "cross", "uTime": T}, **MINE),
        GridOrderUpdate,
        [{"ts_event": NS, "instrument": "E", "instrument_type": "SWAP", "algo_id": "449",
          "bot_type": "grid", "group_id": "-1", "order_id": "7", "order_type": "limit",
          "trade_mode": "cross", "side": "buy", "position_side": "net", "state": "cancelling",
          "price": D("2.2"), "size": D(2), "filled_size": D(0), "average_price": D(0),
          "contract_value": D("0.01"), "leverage": D(5), "fee": D("-0.02"),
          "fee_currency": "USDT", "rebate": D(0), "rebate_currency": "USDT", "pnl": D(0),
          "create_time": NS, "update_time": NS, "uid": "111"}],
    ),
    (
        "algo-recurring-buy",
        push("algo-recurring-buy",
             {"algoId": "644", "algoClOrdId": "", "algoOrdType": "recurring", "amt": "100",
              "cTime": T, "cycles": "4", "instType": "SPOT", "investmentAmt": "400",
              "investmentCcy": "USDC", "mktCap": "401", "nextInvestTime": T, "pTime": T,
              "period": "hourly", "pnlRatio": "0.0025", "recurringDay": "",
              "recurringHour": "1", "recurringList": [
                  {"avgPx": "2.4", "ccy": "ELM", "profit": "1", "px": "2.41", "ratio": "0.2",
                   "totalAmt": "33.3", "minPx": "", "maxPx": "3"},
                  {"avgPx": "0", "ccy": "OAK", "profit": "0", "px": "7", "ratio": "0.8",
                   "totalAmt": "0"}],
              "recurringTime": "12", "state": "running", "stgyName": "stg1", "tag": "",
              "timeZone": "8", "totalAnnRate": "0.3", "totalPnl": "1", "uTime": T}, **MINE),
        RecurringBuyUpdate,
        [{"ts_event": NS, "instrument_type": "SPOT", "algo_id": "644", "bot_type": "recurring",
          "state": "running", "name": "stg1", "period": "hourly", "hour": "1", "time": "12",
          "time_zone": "8", "amount": D(100), "invested": D(400), "currency": "USDC",
          "cycles": 4, "total_pnl": D(1), "pnl_ratio": D("0.0025"),
          "annualized_rate": D("0.3"), "market_value": D(401), "parts": [
              {"currency": "ELM", "ratio": D("0.2"), "amount": D("33.3"),
               "average_price": D("2.4"), "price": D("2.41"), "profit": D(1),
               "max_price": D(3)},
              {"currency": "OAK", "ratio": D("0.8"), "amount": D(0), "average_price": D(0),
               "price": D(7), "profit": D(0)}],
          "next_time": NS, "create_time": NS, "update_time": NS, "uid": "111"}],
    ),
    (
        "copytrading-lead-notification",
        push("copytrading-lead-notification",
             {"infoType": "2", "instId": "", "instType": "SWAP", "maxLeadTraderNum": "3",
              "minLeadEq": "", "posSide": "", "side": "", "subPosId": "667",
              "uniqueCode": "3AF7"}, **MINE),
        LeadTradingNotice,
        [{"instrument_type": "SWAP", "info_type": "2", "position_id": "667",
          "trader_code": "3AF7", "max_daily_trades": 3, "uid": "111"}],
    ),
    (
        "rfqs",
        push("rfqs",
             {"cTime": T, "uTime": T, "traderCode": "DSK2", "rfqId": "22534", "clRfqId": "",
              "tag": "123", "state": "traded_away", "flowType": "", "validUntil": T,
              "allowPartialExecution": False, "groupId": "",
              "counterparties": ["DSK4", "DSK5"],
              "legs": [{"instId": "E-1-C", "tdMode": "cross", "ccy": "USDT", "sz": "25.0",
                        "side": "buy", "posSide": "long", "tgtCcy": ""},
                       {"instId": "E-2-C", "tdMode": "cash", "ccy": "", "sz": "25.0",
                        "side": "sell", "posSide": "", "tgtCcy": "base_ccy",
                        "tradeQuoteCcy": "USD"}],
              "acctAlloc": [{"acct": "a", "legs": [{"instId": "E-1-C", "sz": "1",
                                                    "posSide": ""}]}]}, **MINE),
        RfqUpdate,
        [{"ts_event": NS, "rfq_id": "22534", "state": "traded_away", "trader_code": "DSK2",
          "tag": "123", "allow_partial": False, "counterparties": ["DSK4", "DSK5"],
          "legs": [{"instrument": "E-1-C", "side": "buy", "size": D("25.0"),
                    "trade_mode": "cross", "position_side": "long", "currency": "USDT"},
                   {"instrument": "E-2-C", "side": "sell", "size": D("25.0"),
                    "size_unit": "base_ccy", "trade_mode": "cash",
                    "trade_quote_currency": "USD"}],
          "allocations": [{"acct": "a", "legs": [{"instId": "E-1-C", "sz": "1"}]}],
          "expiry_time": NS, "create_time": NS, "uid": "111"}],
    ),
    (
        "quotes",
        push("quotes",
             {"validUntil": T, "uTime": T, "cTime": T, "quoteId": "25092", "rfqId": "18753",
              "clRfqId": "", "tag": "", "traderCode": "SATS", "quoteSide": "sell",
              "state": "canceled", "reason": "mmp_canceled", "clQuoteId": "q1",
              "legs": [{"px": "0.0023", "sz": "25.0", "instId": "E-1-C", "tdMode": "cross",
                        "ccy": "USDT", "side": "sell", "posSide": "long", "tgtCcy": ""}]},
             **MINE),
        RfqQuoteUpdate,
        [{"ts_event": NS, "quote_id": "25092", "client_quote_id": "q1", "rfq_id": "18753",
          "state": "canceled", "reason": "mmp_canceled", "side": "sell",
          "trader_code": "SATS",
          "legs": [{"instrument": "E-1-C", "side": "sell", "size": D("25.0"),
                    "price": D("0.0023"), "trade_mode": "cross", "position_side": "long",
                    "currency": "USDT"}],
          "expiry_time": NS, "create_time": NS, "uid": "111"}],
    ),
    (
        "struc-block-trades: one event a trade",
        push("struc-block-trades",
             {"cTime": T, "rfqId": "18753", "clRfqId": "", "quoteId": "25092",
              "clQuoteId": "", "blockTdId": "180184", "tag": "", "tTraderCode": "ANAND",
              "mTraderCode": "", "isSuccessful": True, "errorCode": "", "legs": [
                  {"px": "0.0023", "sz": "25.0", "instId": "E-1-C", "side": "sell",
                   "fee": "-0.1001", "feeCcy": "ELM", "tradeId": "10211", "tgtCcy": ""},
                  {"px": "0.0033", "sz": "25", "instId": "E-2-C", "side": "buy", "fee": "",
                   "feeCcy": "", "tradeId": "", "tgtCcy": ""}]}, **MINE),
        BlockFill,
        [{"ts_event": NS, "block_id": "180184", "rfq_id": "18753", "quote_id": "25092",
          "taker_code": "ANAND", "is_successful": True,
          "legs": [{"instrument": "E-1-C", "side": "sell", "price": D("0.0023"),
                    "size": D("25.0"), "fee": D("-0.1001"), "fee_currency": "ELM",
                    "trade_id": "10211"},
                   {"instrument": "E-2-C", "side": "buy", "price": D("0.0033"),
                    "size": D(25)}],
          "uid": "111"}],
    ),
    (
        "sprd-orders",
        push("sprd-orders",
             {"sprdId": SPREAD, "ordId": "312", "clOrdId": "b1", "tag": "", "px": "-9.9",
              "sz": "3", "ordType": "limit", "side": "buy", "fillSz": "0", "fillPx": "",
              "tradeId": "", "accFillSz": "0", "pendingFillSz": "2", "pendingSettleSz": "1",
              "canceledSz": "1", "state": "live", "avgPx": "0", "cancelSource": "",
              "uTime": T, "cTime": T, "code": "0", "msg": "", "reqId": "",
              "amendResult": ""}, arg={"uid": "111", "sprdId": SPREAD}),
        SpreadOrderUpdate,
        [{"ts_event": NS, "instrument": SPREAD, "order_id": "312", "client_order_id": "b1",
          "side": "buy", "order_type": "limit", "state": "live", "price": D("-9.9"),
          "size": D(3), "fill_size": D(0), "filled_size": D(0), "pending_size": D(2),
          "pending_settle_size": D(1), "canceled_size": D(1), "average_price": D(0),
          "code": "0", "create_time": NS, "uid": "111"}],
    ),
    (
        "sprd-trades",
        push("sprd-trades",
             {"sprdId": SPREAD, "tradeId": "123", "ordId": "312", "clOrdId": "b1", "tag": "",
              "fillPx": "-9.9", "fillSz": "3", "state": "rejected", "side": "buy",
              "execType": "M", "ts": T, "code": "", "msg": "", "legs": [
                  {"instId": "E-SWAP", "px": "2.0", "sz": "3", "szCont": "0.03",
                   "side": "buy", "fillPnl": "", "fee": "", "feeCcy": "", "tradeId": "9"},
                  {"instId": "E-F", "px": "2.1", "sz": "3", "szCont": "", "side": "sell",
                   "fillPnl": "0", "fee": "-0.01", "feeCcy": "USDT", "tradeId": "8"}]},
             **MINE),
        SpreadFill,
        [{"ts_event": NS, "instrument": SPREAD, "trade_id": "123", "order_id": "312",
          "client_order_id": "b1", "side": "buy", "state": "rejected", "price": D("-9.9"),
          "size": D(3), "execution": "M", "legs": [
              {"instrument": "E-SWAP", "side": "buy", "price": D("2.0"), "size": D(3),
               "contracts": D("0.03"), "trade_id": "9"},
              {"instrument": "E-F", "side": "sell", "price": D("2.1"), "size": D(3),
               "fee": D("-0.01"), "fee_currency": "USDT", "pnl": D(0), "trade_id": "8"}],
          "uid": "111"}],
    ),
    (
        "deposit-info of a sub-account",
        push("deposit-info",
             {"actualDepBlkConfirm": "7", "amt": "1.50", "areaCodeFrom": "", "ccy": "USDT",
              "chain": "USDT-TRC20", "depId": "881", "from": "", "fromWdId": "",
              "pTime": T, "state": "0", "subAcct": "test", "to": "TEh", "ts": T,
              "txId": "bc5", "uid": "222"}, **MINE),
        DepositUpdate,
        [{"ts_event": NS, "deposit_id": "881", "currency": "USDT", "chain": "USDT-TRC20",
          "amount": D("1.50"), "state": "0", "address": "TEh", "transaction_id": "bc5",
          "confirmations": 7, "sub_account": "test", "owner_uid": "222", "create_time": NS,
          "uid": "111"}],
    ),
    (
        "withdrawal-info",
        push("withdrawal-info",
             {"addrEx": {"comment": "12"}, "amt": "2", "areaCodeFrom": "", "areaCodeTo": "",
              "ccy": "USDT", "chain": "USDT-TRC20", "clientId": "", "fee": "0.8",
              "feeCcy": "USDT", "from": "", "memo": "", "nonTradableAsset": False,
              "note": "", "pTime": T, "pmtId": "", "state": "-3", "subAcct": "", "tag": "",
              "to": "TN8", "toAddrType": "1", "ts": T, "txId": "", "uid": "111",
              "wdId": "637"}, **MINE),
        WithdrawalUpdate,
        [{"ts_event": NS, "withdrawal_id": "637", "currency": "USDT", "chain": "USDT-TRC20",
          "amount": D(2), "fee": D("0.8"), "fee_currency": "USDT", "state": "-3",
          "address": "TN8", "address_type": "1", "address_extra": {"comment": "12"},
          "is_not_tradable": False, "owner_uid": "111", "create_time": NS, "uid": "111"}],
    ),
]  # fmt: skip

TABLED = sorted({*MARKET_SHAPES, *SPREAD_SHAPES, *ACCOUNT_SHAPES, *BOT_SHAPES, *DEAL_SHAPES})
NUMBERS = pytest.mark.parametrize("number", [float, D, str])
EVERY = [*MARKET, *ACCOUNT]


@pytest.mark.parametrize(
    ("payload", "kind", "expected"), [case[1:] for case in EVERY], ids=[case[0] for case in EVERY]
)
def test_golden(payload: bytes, kind: type[Event], expected: list[dict[str, Any]]) -> None:
    events = parsed(payload)
    assert [type(event) for event in events] == [kind] * len(expected)
    assert [said(event) for event in events] == expected
    assert [event.index for event in events] == list(range(len(events)))
    assert parser_of(float)._generic(Frame(41, 9, 7, 3, Kind.TEXT, payload)) == events


@NUMBERS
@pytest.mark.parametrize("payload", [c[1] for c in ACCOUNT], ids=[c[0] for c in ACCOUNT])
def test_money_is_decimal_whatever_the_parser(payload: bytes, number: type) -> None:
    assert parsed(payload, number) == parsed(payload)
    for event in parsed(payload, number):
        assert not any(isinstance(value, float) for value in said(event).values())
        assert b'"uid":"111"' in encode_event(event)


@NUMBERS
@pytest.mark.parametrize("payload", [c[1] for c in MARKET], ids=[c[0] for c in MARKET])
def test_numbers_are_of_the_parser(payload: bytes, number: type) -> None:
    (first, *_) = parsed(payload, number)
    values = [getattr(first, n) for n in first.__struct_fields__]
    kinds = {type(value) for value in values}
    assert not kinds & ({float, D} - {number})
    assert type(first) is type(parsed(payload)[0])


@pytest.mark.parametrize("channel", TABLED)
@pytest.mark.parametrize("row", ['"text"', "[1]", "5", "null"])
def test_what_does_not_fit_stays_data(channel: str, row: str) -> None:
    (event,) = parsed(f'{{"arg":{{"channel":"{channel}"}},"data":[{row}]}}'.encode())
    assert isinstance(event, Data)


def test_what_a_type_cannot_do_without_is_not_invented() -> None:
    for channel in ("orders", "positions", "fills", "opt-summary", "account-greeks"):
        for row in ({}, {"instId": "", "ordId": "", "ccy": ""}):
            (event,) = parsed(push(channel, row))
            assert isinstance(event, Data), channel


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-inf", "1,5", "0x1"])
def test_no_money_that_is_no_number(text: str) -> None:
    row = {"instId": "E", "fillSz": text, "fillPx": "1.2", "side": "buy", "ts": T}
    (event,) = parsed(push("fills", {**row, "ordId": "5", "tradeId": "7"}))
    assert isinstance(event, Data)


def test_a_snapshot_of_nothing_says_so() -> None:
    payload = push("positions", arg={"instType": "ANY", "uid": "111"}, eventType="snapshot",
                   curPage=1, lastPage=True)  # fmt: skip
    (event,) = parsed(payload)
    assert event == EmptySnapshot(
        41, 0, 9, "positions", {"channel": "positions", "instType": "ANY", "uid": "111"}, "111",
        "snapshot", 1, True,
    )  # fmt: skip
    for channel in (*ACCOUNT_SHAPES, *BOT_SHAPES, *DEAL_SHAPES):
        (event,) = parsed(push(channel, **MINE))
        assert isinstance(event, EmptySnapshot)
        assert (event.channel, event.uid, event.page) == (channel, "111", None)


def test_public_pushes_of_nothing_say_nothing() -> None:
    for channel in ("trades", "price-limit", "opt-summary", "liquidation-orders"):
        assert parsed(push(channel, arg={"instId": "E"})) == []


def test_a_renamed_instrument_is_the_rows_and_the_subscription_stays_known() -> None:
    """OKX goes on serving an old argument with the new id in the rows (docs, renames)."""
    rows: dict[str, Any] = {
        "trades": {"tradeId": "1", "px": "1", "sz": "1", "side": "buy", "ts": T},
        "trades-all": {"tradeId": "1", "px": "1", "sz": "1", "side": "buy", "ts": T},
        "books5": {"asks": [], "bids": [], "ts": T},
        "bbo-tbt": {"asks": [], "bids": [], "ts": T},
        "positions": {"pos": "1"},
        "orders": {"ordId": "1", "state": "live"},
    }
    for channel, row in rows.items():
        for asked, told in (("OLD-USDT", "OLD-USDT"), (None, "NEW-USDT")):
            argument = {"instId": "OLD-USDT"} if asked is None else {"instId": told}
            (event,) = parsed(push(channel, {"instId": told, **row}, arg=argument))
            assert event.instrument == told, channel  # type: ignore[attr-defined]
            expected = "OLD-USDT" if asked is None else None
            assert event.subscribed_as == expected, channel  # type: ignore[attr-defined]


def test_negative_trade_ids_and_unknown_words_are_kept() -> None:
    row = {"instId": "E", "tradeId": "-77", "px": "1", "sz": "1", "side": "hold", "ts": T}
    (event,) = parsed(push("trades", row, arg={"instId": "E"}))
    assert isinstance(event, Trade)
    assert (event.trade_id, event.side) == ("-77", "hold")


def test_candles_of_every_length_are_read_with_confirm_last() -> None:
    prices = ["1", "3", "0.5", "2"]
    for rest, confirm, volume, quote in (
        ([], None, None, None),
        (["1"], True, None, None),
        (["30", "60"], None, 30.0, None),
        (["30", "60", "0"], False, 30.0, None),
        (["30", "60", "61", "1"], True, 30.0, 61.0),
        (["30", "60", "61", "future", "1"], True, 30.0, 61.0),
    ):
        (event,) = parsed(push("candle1m", [T, *prices, *rest], arg={"instId": "E"}))
        assert isinstance(event, Candle), rest
        assert (event.open, event.high, event.low, event.close) == (1.0, 3.0, 0.5, 2.0)
        assert (event.confirmed, event.volume, event.volume_quote) == (confirm, volume, quote)
    for length, confirm in ((5, None), (6, True), (7, True)):
        row = [T, *prices, *(["1"] if length == 6 else ["future", "1"][: length - 5])]
        (event,) = parsed(push("mark-price-candle1m", row, arg={"instId": "E"}))
        assert isinstance(event, Candle)
        assert (event.close, event.volume, event.confirmed) == (2.0, None, confirm)
    for row in ([T, *prices, "30", "1"], [T, *prices, "30", "future", "1"]):
        (event,) = parsed(push("sprd-candle1m", row, **OF_SPREAD))
        assert isinstance(event, Candle)
        assert (event.close, event.volume, event.confirmed) == (2.0, 30.0, True)
    for row in ([T, "1"], [T, *prices, "1", "2", "3", "x"]):
        (event,) = parsed(push("candle1m", row, arg={"instId": "E"}))
        assert isinstance(event, Data)


def test_the_part_of_a_level_that_is_not_retail_is_kept() -> None:
    row = {"asks": [["1.235", "120", "80", "6"]], "bids": [["1.2335", "30", "0", "1"]], "ts": T,
           "seqId": 2, "prevSeqId": -1}  # fmt: skip
    (event,) = parsed(push("books-rpi", row, arg={"instId": "E"}, action="snapshot"))
    assert isinstance(event, BookUpdate)
    assert event.asks == [Level(1.235, 120.0, 80.0, 6)]
    assert event.bids == [Level(1.2335, 30.0, 0.0, 1)]


def test_a_spread_book_is_a_chain_with_gaps_and_checksums() -> None:
    """Its checksum may be real, and its prices negative: both count as in any other book."""
    rows = [
        ("snapshot", {**BOOK, "checksum": 0, "prevSeqId": -1, "seqId": 1}),
        ("update", {**BOOK, "asks": [["0.5", "0", "0"]], "prevSeqId": 1, "seqId": 2}),
        ("update", {**BOOK, "asks": [], "prevSeqId": 3, "seqId": 4}),
    ]
    interpreter = Interpreter()
    names = []
    for seq, (action, row) in enumerate(rows):
        payload = push("sprd-books-l2-tbt", row, action=action, **OF_SPREAD)
        events = interpreter.step(Frame(seq, seq, seq, 0, Kind.TEXT, payload))
        names.append([type(event).__name__ for event in events])
        if seq == 1:
            book = interpreter.books[SPREAD]
            assert (book.best_bid(), book.best_ask()) == (Level(-0.2, 1.5, None, 2), None)
    assert names == [["BookUpdate"], ["BookUpdate"], ["BookUpdate", "SequenceGap"]]
    assert (interpreter.integrity.links, interpreter.integrity.gaps) == (1, 1)

    # CRC32 of "-0.2:1.5:0.5:3", signed, as the API docs tell the algorithm.
    crc = zlib.crc32(b"-0.2:1.5:0.5:3")
    signed = crc - 2**32 if crc >= 2**31 else crc
    for checksum, found in ((signed, (1, 0)), (signed ^ 1, (0, 1))):
        interpreter = Interpreter()
        row = {**BOOK, "checksum": checksum, "prevSeqId": -1, "seqId": 1}
        payload = push("sprd-books-l2-tbt", row, action="snapshot", **OF_SPREAD)
        interpreter.step(Frame(0, 0, 0, 0, Kind.TEXT, payload))
        assert (interpreter.integrity.match, interpreter.integrity.mismatch) == found


def test_too_deep_is_said_so_and_not_decoded() -> None:
    deep = "[" * 80 + "]" * 80
    payload = f'{{"arg":{{"channel":"orders"}},"data":[{{"x":{deep}}}]}}'.encode()
    (event,) = parsed(payload)
    assert isinstance(event, Unrecognized)
    assert event.reason == "nested too deep"
