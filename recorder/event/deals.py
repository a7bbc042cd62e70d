"""What the venue tells one account about deals outside the order books, and about spreads.

Responsible for the types of block trading (requests for quotes, quotes, block trades) and of an
own order or fill of a spread; `recorder.event` states the conventions. Refuses floats: these
numbers are money, always Decimal.

Fields are those of the OKX API docs, "Block Trading" and "Spread Trading" as of 2026-07.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from recorder.event.root import Event


class RfqLeg(msgspec.Struct, frozen=True, gc=False):
    """One leg of a request for quotes, or of a quote.

    Attributes:
        size: contracts or base currency, or as `size_unit` says.
        price: in quote currency; a request for quotes has none.
        size_unit: `base_ccy` or `quote_ccy`, spot only.
    """

    instrument: str
    side: str | None
    size: Decimal | None
    price: Decimal | None
    size_unit: str | None
    trade_mode: str | None
    position_side: str | None
    currency: str | None
    trade_quote_currency: str | None


class RfqUpdate(Event, frozen=True, gc=False):
    """A request for quotes, sent or received; `ts_event` is when its state changed.

    Attributes:
        state: `active`, `filled`, `canceled`, `expired`, `failed` or `traded_away`.
        trader_code: of who asks, None if anonymous; counterparties: of who is asked.
        flow_type: kind of request, for who quotes only.
        allow_partial: it may be filled in part, in the same proportions.
        expiry_time: until when it stands, ns; legs: what is asked for.
        group_id, allocations: of a group request; the allocations as sent.
    """

    ts_event: int | None
    rfq_id: str
    client_rfq_id: str | None
    state: str
    trader_code: str | None
    flow_type: str | None
    tag: str | None
    group_id: str | None
    allow_partial: bool | None
    counterparties: tuple[str, ...]
    legs: tuple[RfqLeg, ...]
    allocations: tuple[dict[str, Any], ...]
    expiry_time: int | None
    create_time: int | None
    uid: str | None


class RfqQuoteUpdate(Event, frozen=True, gc=False):
    """A quote for a request, sent or received; `ts_event` is when its state changed.

    Attributes:
        state: `active`, `filled`, `canceled`, `expired` or `failed`; reason: of it.
        side: `buy`: the maker deals as the legs say, the taker the other way; `sell`: reversed.
        trader_code: of who quotes, None if anonymous; expiry_time: until when it stands, ns.
        legs: with their prices.
    """

    ts_event: int | None
    quote_id: str
    client_quote_id: str | None
    rfq_id: str | None
    client_rfq_id: str | None
    state: str
    reason: str | None
    side: str | None
    trader_code: str | None
    tag: str | None
    legs: tuple[RfqLeg, ...]
    expiry_time: int | None
    create_time: int | None
    uid: str | None


class BlockFillLeg(msgspec.Struct, frozen=True, gc=False):
    """One leg of an own block trade.

    Attributes:
        price: in quote currency; size: contracts or base currency, or as `size_unit` says.
        side: of the taker; fee: negative is paid, in `fee_currency`.
        trade_id: None for the parent of a group.
    """

    instrument: str
    side: str | None
    price: Decimal | None
    size: Decimal | None
    size_unit: str | None
    fee: Decimal | None
    fee_currency: str | None
    trade_id: str | None
    trade_quote_currency: str | None


class BlockFill(Event, frozen=True, gc=False):
    """An own block trade with all its legs (`struc-block-trades`); `ts_event` is its execution.

    Attributes:
        block_id: of the trade, None for the parent of a group.
        taker_code, maker_code: who asked and who quoted, None if anonymous.
        is_successful: it was executed; error_code: why not, None where it was.
        allocations: of a group, as sent.
    """

    ts_event: int | None
    block_id: str | None
    rfq_id: str
    client_rfq_id: str | None
    quote_id: str | None
    client_quote_id: str | None
    taker_code: str | None
    maker_code: str | None
    tag: str | None
    is_successful: bool | None
    error_code: str | None
    legs: tuple[BlockFillLeg, ...]
    allocations: tuple[dict[str, Any], ...]
    uid: str | None


class SpreadOrderUpdate(Event, frozen=True, gc=False):
    """An own order of a spread after a change (`sprd-orders`); `ts_event` is the change.

    Attributes:
        instrument: the `sprdId`.
        state: `live`, `partially_filled`, `filled` or `canceled`.
        price: in quote currency, may be negative; sizes: in the spread's size currency.
        fill_price, fill_size, trade_id: of the last settled fill.
        filled_size: so far; pending_size: waiting to be filled or settled, of it
            pending_settle_size waits for its settlement; canceled_size: given up.
        average_price: of all fills, 0 without one.
        code, message: of a refused request, `0` is success.
    """

    ts_event: int | None
    instrument: str
    order_id: str
    client_order_id: str | None
    tag: str | None
    side: str | None
    order_type: str | None
    state: str
    price: Decimal | None
    size: Decimal | None
    fill_price: Decimal | None
    fill_size: Decimal | None
    trade_id: str | None
    filled_size: Decimal | None
    pending_size: Decimal | None
    pending_settle_size: Decimal | None
    canceled_size: Decimal | None
    average_price: Decimal | None
    cancel_source: str | None
    request_id: str | None
    amend_result: str | None
    code: str | None
    message: str | None
    create_time: int | None
    uid: str | None


class SpreadFillLeg(msgspec.Struct, frozen=True, gc=False):
    """One leg of an own fill of a spread.

    Attributes:
        price: in quote currency; size: base currency; contracts: the same in contracts.
        fee: negative is paid, in `fee_currency`; pnl: realized, in the settlement currency.
    """

    instrument: str
    side: str | None
    price: Decimal | None
    size: Decimal | None
    contracts: Decimal | None
    fee: Decimal | None
    fee_currency: str | None
    pnl: Decimal | None
    trade_id: str | None


class SpreadFill(Event, frozen=True, gc=False):
    """An own fill of a spread with its legs (`sprd-trades`).

    Attributes:
        instrument: the `sprdId`; state: `filled` or `rejected`.
        price: in quote currency, may be negative; size: in the spread's size currency.
        execution: `T` taker or `M` maker; code, message: of a rejected one.
    """

    ts_event: int | None
    instrument: str
    trade_id: str
    order_id: str
    client_order_id: str | None
    tag: str | None
    side: str | None
    state: str
    price: Decimal | None
    size: Decimal | None
    execution: str | None
    legs: tuple[SpreadFillLeg, ...]
    code: str | None
    message: str | None
    uid: str | None
