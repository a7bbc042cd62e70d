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
    BlockTicker,
    BlockTrade,
    BookUpdate,
    CallAuction,
    Candle,
    Data,
    EconomicRelease,
    EstimatedPrice,
    Event,
    EventMarket,
    Fill,
    Greeks,
    Level,
    Liquidation,
    LiquidationWarning,
    OptionSummary,
    OptionTrade,
    OrderUpdate,
    PositionUpdate,
    PriceLimit,
    Quote,
    Ticker,
    Trade,
    Unrecognized,
    VenueStatus,
    encode_event,
)
from recorder.frame import Frame, Kind
from recorder.okx.account_layouts import ACCOUNT_SHAPES
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
          "bid_orders": 2, "venue_seq": 7}],
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
]  # fmt: skip

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


@pytest.mark.parametrize("channel", sorted({*MARKET_SHAPES, *SPREAD_SHAPES, *ACCOUNT_SHAPES}))
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


def test_an_account_that_pushes_nothing_gives_nothing() -> None:
    assert parsed(push("positions", eventType="snapshot", curPage=1, lastPage=True)) == []


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
