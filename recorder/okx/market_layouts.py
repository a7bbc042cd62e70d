"""Layouts of the public channels that a table tells completely (OKX API docs, public channels).

Responsible for which key of the wire is which field of the event. Refuses the busy channels, which
are written out in `pushes.py`, and spreads (`spreads.py`).
"""

from __future__ import annotations

from recorder.event import (
    AdlWarning,
    BlockTicker,
    BlockTrade,
    CallAuction,
    EconomicRelease,
    EstimatedPrice,
    Event,
    EventMarket,
    Liquidation,
    OptionSummary,
    OptionTrade,
    PriceLimit,
    VenueStatus,
)
from recorder.frame import Frame
from recorder.okx import messages as wire
from recorder.okx.layout import Layout, shape_from
from recorder.okx.shape import Decode, Handle, Shape, pushed, to_ns

_PRICE_LIMIT = Layout(PriceLimit, {
    "ts_event": "ts", "instrument": "instId", "buy_limit": "buyLmt", "sell_limit": "sellLmt",
    "enabled": "enabled",
})  # fmt: skip

_OPTION_SUMMARY = Layout(OptionSummary, {
    "ts_event": "ts", "instrument": "instId", "underlying": "uly",
    "delta": "delta", "gamma": "gamma", "vega": "vega", "theta": "theta",
    "delta_bs": "deltaBS", "gamma_bs": "gammaBS", "vega_bs": "vegaBS", "theta_bs": "thetaBS",
    "leverage": "lever", "mark_volatility": "markVol", "bid_volatility": "bidVol",
    "ask_volatility": "askVol", "realized_volatility": "realVol", "volatility_level": "volLv",
    "forward_price": "fwdPx",
})  # fmt: skip

_OPTION_TRADE = Layout(OptionTrade, {
    "ts_event": "ts", "instrument": "instId", "trade_id": "tradeId", "price": "px", "size": "sz",
    "side": "side", "option_type": "optType", "family": "instFamily",
    "fill_volatility": "fillVol", "forward_price": "fwdPx", "index_price": "idxPx",
    "mark_price": "markPx",
})  # fmt: skip

_ESTIMATED_PRICE = Layout(EstimatedPrice, {
    "ts_event": "ts", "instrument": "instId", "instrument_type": "instType", "price": "settlePx",
    "settlement_type": "settleType",
})  # fmt: skip

_STATUS = Layout(VenueStatus, {
    "ts_event": "ts", "title": "title", "state": "state", "begin_time": "begin",
    "end_time": "end", "pre_open_time": "preOpenBegin", "maintenance_type": "maintType",
    "service_type": "serviceType", "environment": "env", "system": "system",
    "reschedule": "scheDesc", "details": "href",
})  # fmt: skip

_ADL_WARNING = Layout(AdlWarning, {
    "ts_event": "ts", "instrument_type": "instType", "family": "instFamily", "state": "state",
    "balance": "bal", "currency": "ccy", "max_balance": "maxBal",
    "max_balance_time": "maxBalTs", "adl_type": "adlType", "adl_balance": "adlBal",
    "adl_recovery_balance": "adlRecBal", "decline_rate": "decRate", "adl_rate": "adlRate",
    "adl_recovery_rate": "adlRecRate",
})  # fmt: skip

_CALL_AUCTION = Layout(CallAuction, {
    "ts_event": "ts", "instrument": "instId", "state": "state", "equilibrium_price": "eqPx",
    "matched_size": "matchedSz", "unmatched_size": "unmatchedSz",
    "auction_end_time": "auctionEndTime",
})  # fmt: skip

_BLOCK_TICKER = Layout(BlockTicker, {
    "ts_event": "ts", "instrument": "instId", "instrument_type": "instType",
    "volume_24h": "vol24h", "volume_ccy_24h": "volCcy24h",
})  # fmt: skip

# No key tells the block: it is the other channel's alone.
_BLOCK_TRADE = Layout(BlockTrade, {
    "ts_event": "ts", "instrument": "instId", "trade_id": "tradeId", "price": "px", "size": "sz",
    "side": "side", "block_id": "blockTdId", "group_id": "groupId",
    "fill_volatility": "fillVol", "forward_price": "fwdPx", "index_price": "idxPx",
    "mark_price": "markPx",
})  # fmt: skip

_EVENT_MARKET = Layout(EventMarket, {
    "instrument": "instId", "series_id": "seriesId", "event_id": "eventId", "state": "state",
    "outcome": "outcome", "list_time": "listTime", "fix_time": "fixTime",
    "expiry_time": "expTime", "floor_strike": "floorStrike", "cap_strike": "capStrike",
    "settle_value": "settleValue", "hit_direction": "hitDir", "disputed": "disputed",
})  # fmt: skip

_ECONOMIC_RELEASE = Layout(EconomicRelease, {
    "ts_event": "ts", "calendar_id": "calendarId", "name": "event", "region": "region",
    "category": "category", "release_time": "date", "reference_time": "refDate",
    "actual": "actual", "previous": "previous", "forecast": "forecast",
    "previous_initial": "prevInitial", "importance": "importance", "unit": "unit",
    "currency": "ccy",
})  # fmt: skip


def _liquidations(decode: Decode) -> Handle:
    """Read `liquidation-orders`: an event for each detail of each instrument."""

    def handle(frame: Frame, payload: bytes) -> list[Event]:
        events: list[Event] = []
        for row in decode(payload).data:
            for detail in row.details:
                events.append(
                    Liquidation(
                        frame.seq, len(events), frame.ts_recv, to_ns(detail.ts), row.inst_id,
                        row.inst_type or None, row.inst_family or None, row.uly or None,
                        detail.side, detail.pos_side or None, detail.sz, detail.bk_px,
                        detail.bk_loss, detail.ccy or None,
                    )
                )  # fmt: skip
        return events

    return handle


def _structured_blocks(decode: Decode) -> Handle:
    """Read `public-struc-block-trades`: an event for each leg of each trade."""

    def handle(frame: Frame, payload: bytes) -> list[Event]:
        events: list[Event] = []
        for row in decode(payload).data:
            for leg in row.legs:
                events.append(
                    BlockTrade(
                        frame.seq, len(events), frame.ts_recv, to_ns(row.c_time), leg.inst_id,
                        "public-struc-block-trades", leg.trade_id or None, leg.px, leg.sz,
                        leg.side, row.block_td_id or None, row.group_id or None,
                        None, None, None, None,
                    )
                )  # fmt: skip
        return events

    return handle


MARKET_SHAPES: dict[str, Shape] = {
    "price-limit": shape_from("price-limit", _PRICE_LIMIT),
    "liquidation-orders": Shape(pushed(wire.RowsPush, wire.LiquidationRow), _liquidations),
    "opt-summary": shape_from("opt-summary", _OPTION_SUMMARY, is_sparse=True),
    "option-trades": shape_from("option-trades", _OPTION_TRADE),
    "estimated-price": shape_from("estimated-price", _ESTIMATED_PRICE),
    "status": shape_from("status", _STATUS, is_sparse=True),
    "adl-warning": shape_from("adl-warning", _ADL_WARNING, is_sparse=True),
    "call-auction-details": shape_from("call-auction-details", _CALL_AUCTION),
    "block-tickers": shape_from("block-tickers", _BLOCK_TICKER),
    "public-block-trades": shape_from("public-block-trades", _BLOCK_TRADE, is_sparse=True),
    "public-struc-block-trades": Shape(
        pushed(wire.RowsPush, wire.StructuredBlockRow),
        _structured_blocks,
        is_sparse=True,
    ),
    "event-contract-markets": shape_from("event-contract-markets", _EVENT_MARKET, is_sparse=True),
    "economic-calendar": shape_from("economic-calendar", _ECONOMIC_RELEASE, is_sparse=True),
}
"""Shapes of these channels by name."""
