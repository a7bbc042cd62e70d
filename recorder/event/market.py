"""What the venue tells everybody: trades, books, quotes, candles, prices, rates and rules.

Responsible for the types of market data; `recorder.event` states the conventions. Refuses to hold
what is told to one account (`account.py`) and what no push says (`conversation.py`).
"""

from __future__ import annotations

from typing import Any

from recorder.event.root import Event, Level, Number


class Trade(Event, frozen=True, gc=False):
    """One trade push: fills of one taker order at one price (`trades`), or one fill (`trades-all`).

    Attributes:
        side: the aggressor, `buy` or `sell`.
        count: fills aggregated into this push; 1 where the venue does not say.
        source: `0` normal, `1` RPI/ELP order; None before 2025.
        venue_seq: the venue's `seqId`, in the instrument's book sequence; None where absent.
    """

    ts_event: int | None
    instrument: str
    channel: str
    trade_id: str
    price: Number
    size: Number
    side: str
    count: int = 1
    source: str | None = None
    venue_seq: int | None = None


class BookUpdate(Event, frozen=True, gc=False):
    """A change of an order book, or a whole one.

    Attributes:
        is_snapshot: the levels replace the book; else each level replaces its price (size 0
            deletes it, also where the book never held it).
        bids, asks: levels in the order sent, best first.
        seq_id, prev_seq_id: the venue's chain (prev −1 on a snapshot); None where absent.
        checksum: the venue's CRC32 (signed); 0 or None means that it offered none.
    """

    ts_event: int | None
    instrument: str
    channel: str
    is_snapshot: bool
    bids: list[Level[Number]]
    asks: list[Level[Number]]
    seq_id: int | None = None
    prev_seq_id: int | None = None
    checksum: int | None = None


class Quote(Event, frozen=True, gc=False):
    """Best bid and offer as the venue pushes it (`bbo-tbt`); a missing side is None."""

    ts_event: int | None
    instrument: str
    bid_price: Number | None
    bid_size: Number | None
    bid_orders: int | None
    ask_price: Number | None
    ask_size: Number | None
    ask_orders: int | None
    venue_seq: int | None = None


class Ticker(Event, frozen=True, gc=False):
    """Last trade, best quote and the last 24 hours of an instrument.

    Attributes:
        volume_24h: contracts for derivatives, base currency for spot.
        volume_ccy_24h: base currency for derivatives, quote currency for spot.
        open_utc0, open_utc8: open of the day that began at UTC+0 and UTC+8.
    """

    ts_event: int | None
    instrument: str
    last: Number | None
    last_size: Number | None
    bid_price: Number | None
    bid_size: Number | None
    ask_price: Number | None
    ask_size: Number | None
    open_24h: Number | None
    high_24h: Number | None
    low_24h: Number | None
    volume_24h: Number | None
    volume_ccy_24h: Number | None
    open_utc0: Number | None
    open_utc8: Number | None


class Candle(Event, frozen=True, gc=False):
    """One bar; `ts_event` is its open.

    Attributes:
        channel: the wire's channel, e.g. `candle1m`, `mark-price-candle5m`.
        interval: the bar as the venue writes it, e.g. `1m`, `1H`, `1Dutc`.
        volume: contracts or base; None for mark and index candles.
        volume_ccy: base or quote; volume_quote: quote; None where not sent.
        confirmed: the bar is finished; None in old frames without the column.
    """

    ts_event: int | None
    instrument: str
    channel: str
    interval: str
    open: Number | None
    high: Number | None
    low: Number | None
    close: Number | None
    volume: Number | None
    volume_ccy: Number | None
    volume_quote: Number | None
    confirmed: bool | None


class MarkPrice(Event, frozen=True, gc=False):
    """The price that margins and liquidations are computed with."""

    ts_event: int | None
    instrument: str
    price: Number | None


class IndexPrice(Event, frozen=True, gc=False):
    """Price of an index such as `BTC-USD` (its `instrument`)."""

    ts_event: int | None
    instrument: str
    price: Number | None
    open_24h: Number | None
    high_24h: Number | None
    low_24h: Number | None
    open_utc0: Number | None
    open_utc8: Number | None


class FundingRate(Event, frozen=True, gc=False):
    """Funding of a perpetual; rates are fractions per interval (0.0001 = 1 bp).

    Attributes:
        funding_time, next_funding_time: settlement times, ns since the Unix epoch.
    """

    ts_event: int | None
    instrument: str
    funding_rate: Number | None
    funding_time: int | None
    next_funding_rate: Number | None
    next_funding_time: int | None
    min_funding_rate: Number | None
    max_funding_rate: Number | None
    premium: Number | None
    interest_rate: Number | None
    impact_value: Number | None
    settled_funding_rate: Number | None
    settlement_state: str | None
    method: str | None
    formula_type: str | None


class OpenInterest(Event, frozen=True, gc=False):
    """Open interest: contracts, the same in base currency, and in US dollars."""

    ts_event: int | None
    instrument: str
    open_interest: Number | None
    open_interest_ccy: Number | None
    open_interest_usd: Number | None


class InstrumentUpdate(Event, frozen=True, gc=False):
    """An instrument's rules, from the REST list of the session or the `instruments` channel.

    Attributes:
        tick_size: smallest price step; lot_size: smallest size step; min_size: smallest order.
        contract_value: size of one contract in `contract_currency` (derivatives).
        list_time, expiry_time: ns since the Unix epoch, None where not applicable.
    """

    instrument: str
    instrument_type: str | None
    state: str | None
    base: str | None
    quote: str | None
    settle: str | None
    underlying: str | None
    family: str | None
    contract_type: str | None
    contract_value: Number | None
    contract_multiplier: Number | None
    contract_currency: str | None
    tick_size: Number | None
    lot_size: Number | None
    min_size: Number | None
    leverage: Number | None
    list_time: int | None
    expiry_time: int | None
    option_type: str | None
    strike: Number | None
    instrument_code: int | None


class Data(Event, frozen=True):
    """A push of a channel that has no type yet: its decoded rows, texts as sent.

    Attributes:
        channel: the wire's channel; instrument: the argument's `instId` or `sprdId`.
        argument: the whole argument object; action: `snapshot`, `update` or None.
        rows: the `data` array, decoded.
    """

    ts_event: int | None
    instrument: str | None
    channel: str
    argument: dict[str, Any]
    action: str | None
    rows: list[Any]
