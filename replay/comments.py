"""Comments: what a column of a given name means, in every view.

Responsible for units and words where the docstring of an event type does not say more. Refuses to
know types and values: `replay.tables` does.
"""

from __future__ import annotations

COMMENTS = {
    "seq": "number of the frame in the capture: the only order there is",
    "index": "position of the event within its frame, from 0, derived events last",
    "ts_recv": "wall clock at the socket read, ns since the Unix epoch, UTC",
    "ts_event": "time of the venue, ns since the Unix epoch, UTC; NULL where it sent none",
    "instrument": "id of the venue, e.g. BTC-USDT-SWAP",
    "channel": "channel of the venue, as on the wire",
    "connection": "number of the socket or attempt within the capture; -1: none",
    "price": "in quote currency",
    "size": "in the unit of the venue: base currency (spot), contracts (derivatives)",
    "url": "where the socket was opened",
    "endpoint": "public, business or private",
    "bids": "levels in the order sent, best first; size 0 deletes a level",
    "asks": "levels in the order sent, best first; size 0 deletes a level",
    "orders": "number of orders at this price",
    "trade_id": "id of the venue; of a group of fills, the last one's",
    "argument": "argument of the subscription",
    "connection_id": "connId of the venue",
    "request_id": "id that the request carried",
    "venue_seq": "seqId of the venue, in the instrument's book sequence",
    "seq_id": "seqId of the venue",
    "prev_seq_id": "prevSeqId of the venue",
    "received": "checksum the venue sent, signed 32-bit",
    "computed": "checksum of the book rebuilt here, signed 32-bit",
    "open_interest": "in contracts",
    "open_interest_ccy": "in base currency",
    "open_interest_usd": "in US dollars",
    "premium": "as a fraction",
    "impact_value": "as sent by the venue",
    "contract_multiplier": "number of contract values in one contract",
    "leverage": "highest the venue allows",
    "strike": "in quote currency",
    "instrument_code": "instIdCode of the venue",
    "link": "number of the redundant link, from 0",
    "count": "how many",
    "code": "code of the venue, or of the WebSocket close",
    "subscribed_as": "instrument of the subscription where it is another one (after a rename)",
    "uid": "of the account the venue told this",
    "event_type": "snapshot or event_update",
    "page": "of a snapshot, from 1",
    "is_last_page": "nothing of the snapshot follows",
    "reason": "in words",
    "message": "text of the venue",
    "by": "venue, recorder or network",
    "instrument_type": "SPOT, MARGIN, SWAP, FUTURES, OPTION or EVENTS",
    "family": "instrument family, e.g. BTC-USD",
    "underlying": "index that the instrument follows, e.g. BTC-USD",
    "currency": "currency of the row, e.g. USDT",
    "contract_type": "linear or inverse",
    "contract_currency": "currency that the contract value is in",
    "option_type": "C (call) or P (put)",
    "state": "live, suspend, preopen, expired … as the venue says",
    "base": "base currency, e.g. BTC",
    "quote": "quote currency, e.g. USDT",
    "settle": "currency that gains are settled in",
    "side": "buy or sell",
    "position_side": "long, short or net",
    "order_type": "market, limit, post_only, fok, ioc … as the venue says",
    "trade_mode": "isolated, cross, cash or spot_isolated",
    "margin_mode": "isolated, cross or cash",
    "size_unit": "what the size of the order counts: base_ccy or quote_ccy",
    "tag": "tag given with the order or request",
    "order_id": "ordId of the venue",
    "client_order_id": "clOrdId of the client",
    "algo_id": "algoId of the venue",
    "client_algo_id": "algoClOrdId of the client",
    "attached_client_algo_id": "attachAlgoClOrdId of the client",
    "client_id": "clientId of the client",
    "position_id": "posId of the venue",
    "position_currency": "currency of a margin position",
    "liability_currency": "currency owed (margin)",
    "spot_in_use_currency": "currency of the spot holdings that hedge",
    "reference_id": "id of the business that changed the position",
    "reference_type": "kind of that business, as the venue says",
    "fee_currency": "currency of the fee",
    "fill_fee_currency": "currency of the fee of the last fill",
    "rebate_currency": "currency of the rebate",
    "price_type": "how an option order is priced: px, pxVol or pxUsd",
    "trigger_type": "price that triggers: last, index or mark",
    "stop_loss_type": "price that triggers the stop loss: last, index or mark",
    "take_profit_type": "price that triggers the take profit: last, index or mark",
    "actual_side": "which was triggered: tp (take profit) or sl (stop loss)",
    "is_take_profit_limit": "whether it is a take-profit limit order",
    "reduce_only": "whether it may only make the position smaller",
    "quick_margin_type": "how margin is borrowed, as the venue says",
    "is_borrow_mode": "whether it borrows by itself",
    "advance_order_type": "order type of the order it places (fok, ioc)",
    "chase_type": "how far it follows the price is counted in: distance or ratio",
    "max_chase_type": "how the limit of that is counted: distance or ratio",
    "amend_on_trigger": "whether the order placed is amended when it is triggered",
    "amend_result": "outcome of the last amendment, as the venue says: -1 failed, 0 done …",
    "amend_source": "who amended it, as the venue says",
    "cancel_source": "who cancelled it and why, as the venue says",
    "trade_quote_currency": "quote currency traded in",
    "self_trade_id": "stpId; group of orders that do not trade with each other",
    "self_trade_mode": "what is cancelled then: cancel_maker, cancel_taker or cancel_both",
    "category": "normal, twap, adl, full_liquidation, partial_liquidation, delivery, ddh …",
    "source": "what placed it, as the venue says",
    "outcome": "side of an event contract, as the venue says",
    "rfq_id": "rfqId of the venue",
    "client_rfq_id": "clRfqId of the client",
    "quote_id": "quoteId of the venue",
    "client_quote_id": "clQuoteId of the client",
    "bot_type": "kind of the bot, as the venue says",
    "deposit_id": "depId of the venue",
    "withdrawal_id": "wdId of the venue",
    "sub_account": "name of the sub-account; empty: the main one",
    "owner_uid": "uid of the account it belongs to",
    "note": "note given with it",
    "title": "headline of the venue",
    "calendar_id": "id of the venue",
    "series_id": "id of the venue",
    "event_id": "id of the venue",
    "settlement_state": "processing or settled",
    "method": "how the rate is collected, as the venue says",
    "formula_type": "how the rate is computed: noRate or withRate",
    "exceeded": "whether this connection was refused: there are too many",
}
"""What columns of these names mean in every view."""

_PRICES = ("price", "open", "high", "low", "close", "last", "24h", "utc0", "utc8")


def comment_of(name: str) -> str:
    """Return what a column of this name means where its event does not say more."""
    if name in COMMENTS:
        return COMMENTS[name]
    if name.endswith("_size"):
        return COMMENTS["size"]
    if name.endswith("_orders"):
        return COMMENTS["orders"]
    if name.endswith("_rate"):
        return "fraction per interval (0.0001 = 1 bp)"
    if name.endswith("_time"):
        return "ns since the Unix epoch, UTC"
    return COMMENTS["price"] if name.endswith(_PRICES) else ""
