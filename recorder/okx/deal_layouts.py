"""Layouts of own block trades, own spread orders, deposits and withdrawals.

Responsible for which key of the wire is which field of the event (OKX API docs, "Block Trading",
"Spread Trading", "Funding Account"), and that all of these numbers are Decimal. Refuses the
public channels of the same subjects (`market_layouts.py`, `spreads.py`).
"""

from __future__ import annotations

from decimal import Decimal

from recorder.event import (
    BlockFill,
    BlockFillLeg,
    DepositUpdate,
    RfqLeg,
    RfqQuoteUpdate,
    RfqUpdate,
    SpreadFill,
    SpreadFillLeg,
    SpreadOrderUpdate,
    WithdrawalUpdate,
)
from recorder.okx.layout import Layout, shape_from
from recorder.okx.shape import Shape

_RFQ_LEG = Layout(RfqLeg, {
    "instrument": "instId", "side": "side", "size": "sz", "price": "px", "size_unit": "tgtCcy",
    "trade_mode": "tdMode", "position_side": "posSide", "currency": "ccy",
    "trade_quote_currency": "tradeQuoteCcy",
})  # fmt: skip

_RFQ = Layout(RfqUpdate, {
    "ts_event": "uTime", "rfq_id": "rfqId", "client_rfq_id": "clRfqId", "state": "state",
    "trader_code": "traderCode", "flow_type": "flowType", "tag": "tag", "group_id": "groupId",
    "allow_partial": "allowPartialExecution", "counterparties": "counterparties",
    "legs": "legs", "allocations": "acctAlloc", "expiry_time": "validUntil",
    "create_time": "cTime",
}, {"legs": _RFQ_LEG})  # fmt: skip

_RFQ_QUOTE = Layout(RfqQuoteUpdate, {
    "ts_event": "uTime", "quote_id": "quoteId", "client_quote_id": "clQuoteId",
    "rfq_id": "rfqId", "client_rfq_id": "clRfqId", "state": "state", "reason": "reason",
    "side": "quoteSide", "trader_code": "traderCode", "tag": "tag", "legs": "legs",
    "expiry_time": "validUntil", "create_time": "cTime",
}, {"legs": _RFQ_LEG})  # fmt: skip

_BLOCK_FILL_LEG = Layout(BlockFillLeg, {
    "instrument": "instId", "side": "side", "price": "px", "size": "sz",
    "size_unit": "tgtCcy", "fee": "fee", "fee_currency": "feeCcy", "trade_id": "tradeId",
    "trade_quote_currency": "tradeQuoteCcy",
})  # fmt: skip

_BLOCK_FILL = Layout(BlockFill, {
    "ts_event": "cTime", "block_id": "blockTdId", "rfq_id": "rfqId",
    "client_rfq_id": "clRfqId", "quote_id": "quoteId", "client_quote_id": "clQuoteId",
    "taker_code": "tTraderCode", "maker_code": "mTraderCode", "tag": "tag",
    "is_successful": "isSuccessful", "error_code": "errorCode", "legs": "legs",
    "allocations": "acctAlloc",
}, {"legs": _BLOCK_FILL_LEG})  # fmt: skip

_SPREAD_ORDER = Layout(SpreadOrderUpdate, {
    "ts_event": "uTime", "instrument": "sprdId", "order_id": "ordId",
    "client_order_id": "clOrdId", "tag": "tag", "side": "side", "order_type": "ordType",
    "state": "state", "price": "px", "size": "sz", "fill_price": "fillPx",
    "fill_size": "fillSz", "trade_id": "tradeId", "filled_size": "accFillSz",
    "pending_size": "pendingFillSz", "pending_settle_size": "pendingSettleSz",
    "canceled_size": "canceledSz", "average_price": "avgPx", "cancel_source": "cancelSource",
    "request_id": "reqId", "amend_result": "amendResult", "code": "code", "message": "msg",
    "create_time": "cTime",
})  # fmt: skip

_SPREAD_FILL_LEG = Layout(SpreadFillLeg, {
    "instrument": "instId", "side": "side", "price": "px", "size": "sz", "contracts": "szCont",
    "fee": "fee", "fee_currency": "feeCcy", "pnl": "fillPnl", "trade_id": "tradeId",
})  # fmt: skip

_SPREAD_FILL = Layout(SpreadFill, {
    "ts_event": "ts", "instrument": "sprdId", "trade_id": "tradeId", "order_id": "ordId",
    "client_order_id": "clOrdId", "tag": "tag", "side": "side", "state": "state",
    "price": "fillPx", "size": "fillSz", "execution": "execType", "legs": "legs",
    "code": "code", "message": "msg",
}, {"legs": _SPREAD_FILL_LEG})  # fmt: skip

_DEPOSIT = Layout(DepositUpdate, {
    "ts_event": "pTime", "deposit_id": "depId", "currency": "ccy", "chain": "chain",
    "amount": "amt", "state": "state", "sender": "from", "sender_area_code": "areaCodeFrom",
    "address": "to", "transaction_id": "txId", "withdrawal_id": "fromWdId",
    "confirmations": "actualDepBlkConfirm", "sub_account": "subAcct", "owner_uid": "uid",
    "create_time": "ts",
})  # fmt: skip

_WITHDRAWAL = Layout(WithdrawalUpdate, {
    "ts_event": "pTime", "withdrawal_id": "wdId", "client_id": "clientId", "currency": "ccy",
    "chain": "chain", "amount": "amt", "fee": "fee", "fee_currency": "feeCcy",
    "state": "state", "sender": "from", "sender_area_code": "areaCodeFrom", "address": "to",
    "address_area_code": "areaCodeTo", "address_type": "toAddrType", "tag": "tag",
    "payment_id": "pmtId", "memo": "memo", "address_extra": "addrEx", "transaction_id": "txId",
    "note": "note", "is_not_tradable": "nonTradableAsset", "sub_account": "subAcct",
    "owner_uid": "uid", "create_time": "ts",
})  # fmt: skip

DEAL_SHAPES: dict[str, Shape] = {
    channel: shape_from(channel, layout, number=Decimal, is_sparse=True)
    for channel, layout in {
        "rfqs": _RFQ,
        "quotes": _RFQ_QUOTE,
        "struc-block-trades": _BLOCK_FILL,
        "sprd-orders": _SPREAD_ORDER,
        "sprd-trades": _SPREAD_FILL,
        "deposit-info": _DEPOSIT,
        "withdrawal-info": _WITHDRAWAL,
    }.items()
}
"""Shapes of these channels by name; nearly every push of theirs has blanks."""
