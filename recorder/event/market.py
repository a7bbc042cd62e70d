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
        subscribed_as: the subscription's instrument where it is another one: after a rename the
            venue goes on serving the old one with the new id in its rows.
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
    subscribed_as: str | None = None


class BookUpdate(Event, frozen=True, gc=False):
    """A change of an order book, or a whole one.

    Attributes:
        is_snapshot: the levels replace the book; else each level replaces its price (size 0
            deletes it, also where the book never held it).
        bids, asks: levels in the order sent, best first.
        seq_id, prev_seq_id: the venue's chain (prev −1 on a snapshot); None where absent.
        checksum: the venue's CRC32 (signed); 0 or None means that it offered none.
        subscribed_as: the subscription's instrument where the row names another (after a rename).
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
    subscribed_as: str | None = None


class Quote(Event, frozen=True, gc=False):
    """Best bid and offer as the venue pushes it; a missing side is None.

    Attributes:
        channel: `bbo-tbt` or `sprd-bbo-tbt`.
        subscribed_as: the subscription's instrument where the row names another (after a rename).
    """

    ts_event: int | None
    instrument: str
    bid_price: Number | None
    bid_size: Number | None
    bid_orders: int | None
    ask_price: Number | None
    ask_size: Number | None
    ask_orders: int | None
    venue_seq: int | None = None
    channel: str = "bbo-tbt"
    subscribed_as: str | None = None


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
        funding_time, next_funding_time, previous_funding_time: settlement times, ns since the
            Unix epoch; the last one since 2026.
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
    previous_funding_time: int | None = None


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
        rule_type: `normal`, `pre_market`, `rebase_contract`, `xperp`.
        category: `1` crypto, `3` stocks, `4` commodities, `5` forex, `6` bonds.
        group_id: of the fee table; series_id: of an event contract.
        open_type: how trading opened, `fix_price`, `pre_quote` or `call_auction`.
        continuous_time, pre_market_end_time: when ordinary trading begins, ns.
        max_limit_size, max_market_size, max_iceberg_size, max_twap_size, max_trigger_size,
            max_stop_size: largest order, in the unit of sizes.
        max_limit_amount, max_market_amount: largest order, US dollars.
        has_daily_settlement: of a futures contract.
        changes: of these rules to come, as sent (`param`, `newValue`, `effTime`).
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
    rule_type: str | None = None
    category: str | None = None
    group_id: str | None = None
    series_id: str | None = None
    open_type: str | None = None
    continuous_time: int | None = None
    pre_market_end_time: int | None = None
    max_limit_size: Number | None = None
    max_limit_amount: Number | None = None
    max_market_size: Number | None = None
    max_market_amount: Number | None = None
    max_iceberg_size: Number | None = None
    max_twap_size: Number | None = None
    max_trigger_size: Number | None = None
    max_stop_size: Number | None = None
    has_daily_settlement: bool | None = None
    changes: tuple[dict[str, Any], ...] = ()


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


class PriceLimit(Event, frozen=True, gc=False):
    """The highest price a buy and the lowest price a sell may have now.

    Attributes:
        buy_limit, sell_limit: in quote currency; None while the limits are not in force.
        enabled: the limits are in force; None before 2023-12-20.
    """

    ts_event: int | None
    instrument: str
    buy_limit: Number | None
    sell_limit: Number | None
    enabled: bool | None


class Liquidation(Event, frozen=True, gc=False):
    """One forced order; the venue's list is neither complete nor in time order.

    Attributes:
        side: of the forced order, `buy` or `sell`; position_side: `long`, `short` or `net`.
        size: contracts; base currency for margin.
        bankruptcy_price: in quote currency; bankruptcy_loss: in settlement currency.
        currency: of the liquidated debt, margin only.
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    family: str | None
    underlying: str | None
    side: str
    position_side: str | None
    size: Number | None
    bankruptcy_price: Number | None
    bankruptcy_loss: Number | None
    currency: str | None


class OptionSummary(Event, frozen=True, gc=False):
    """Greeks and implied volatilities of an option.

    Attributes:
        delta, gamma, vega, theta: in units of the underlying currency (price-adjusted).
        delta_bs, gamma_bs, vega_bs, theta_bs: Black-Scholes, in US dollars.
        leverage: of the option; forward_price: in quote currency.
        mark_volatility, bid_volatility, ask_volatility: implied, annual fractions (0.5 = 50 %).
        realized_volatility, volatility_level: annual fractions; the first is unused today.
    """

    ts_event: int | None
    instrument: str
    underlying: str | None
    delta: Number | None
    gamma: Number | None
    vega: Number | None
    theta: Number | None
    delta_bs: Number | None
    gamma_bs: Number | None
    vega_bs: Number | None
    theta_bs: Number | None
    leverage: Number | None
    mark_volatility: Number | None
    bid_volatility: Number | None
    ask_volatility: Number | None
    realized_volatility: Number | None
    volatility_level: Number | None
    forward_price: Number | None


class OptionTrade(Event, frozen=True, gc=False):
    """A trade of an option, with the state of its market at that moment.

    Attributes:
        price: in the option's quote unit (the underlying currency for coin-margined options).
        size: contracts; side: the aggressor, `buy` or `sell`; option_type: `C` or `P`.
        fill_volatility: implied by the price, an annual fraction.
        forward_price, index_price, mark_price: at the trade.
    """

    ts_event: int | None
    instrument: str
    trade_id: str
    price: Number
    size: Number
    side: str
    option_type: str | None
    family: str | None
    fill_volatility: Number | None
    forward_price: Number | None
    index_price: Number | None
    mark_price: Number | None


class EstimatedPrice(Event, frozen=True, gc=False):
    """The delivery, exercise or settlement price as estimated shortly before it.

    Attributes:
        price: in quote currency; settlement_type: `settlement`, `delivery` or `exercise`.
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    price: Number | None
    settlement_type: str | None


class VenueStatus(Event, frozen=True, gc=False):
    """A maintenance of the venue, planned or not.

    Attributes:
        state: `scheduled`, `ongoing`, `pre_open`, `completed` or `canceled`.
        begin_time, end_time, pre_open_time: ns since the Unix epoch.
        maintenance_type: `1` planned, `2` unplanned, `3` disruption.
        service_type: what is affected: `0` WebSocket, `5` trading, `10` spreads, …, `99` other.
        environment: `1` live, `2` demo; system: `unified`.
        reschedule: from when to when it was moved, in words; details: a link.
    """

    ts_event: int | None
    title: str | None
    state: str
    begin_time: int | None
    end_time: int | None
    pre_open_time: int | None
    maintenance_type: str | None
    service_type: str | None
    environment: str | None
    system: str | None
    reschedule: str | None
    details: str | None


class AdlWarning(Event, frozen=True, gc=False):
    """Auto-deleveraging of a family is near or going on; the venue is silent in normal times.

    Attributes:
        state: `warning` or `adl` (`normal` before 2026-06-09).
        balance: of the insurance fund, in the currency of settlement.
        max_balance: highest balance of the last 8 hours; max_balance_time: when, ns.
        adl_type: why, as sent; adl_balance, adl_recovery_balance: where it begins and ends.
        decline_rate, adl_rate, adl_recovery_rate: of the balance against its maximum, fractions.
    """

    ts_event: int | None
    instrument_type: str | None
    family: str | None
    state: str
    balance: Number | None
    currency: str | None
    max_balance: Number | None
    max_balance_time: int | None
    adl_type: str | None
    adl_balance: Number | None
    adl_recovery_balance: Number | None
    decline_rate: Number | None
    adl_rate: Number | None
    adl_recovery_rate: Number | None


class CallAuction(Event, frozen=True, gc=False):
    """State of an opening auction.

    Attributes:
        state: `call_auction`, and once `continuous_trading` at its end.
        equilibrium_price: in quote currency; matched_size, unmatched_size: base or contracts.
        auction_end_time: ns since the Unix epoch.
    """

    ts_event: int | None
    instrument: str
    state: str | None
    equilibrium_price: Number | None
    matched_size: Number | None
    unmatched_size: Number | None
    auction_end_time: int | None


class BlockTicker(Event, frozen=True, gc=False):
    """Block volume of an instrument in the last 24 hours.

    Attributes:
        volume_24h: contracts for derivatives, base currency for spot.
        volume_ccy_24h: base currency for derivatives, quote currency for spot.
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    volume_24h: Number | None
    volume_ccy_24h: Number | None


class BlockTrade(Event, frozen=True, gc=False):
    """One leg of a block trade, published 15 minutes late; outside the order book.

    Attributes:
        channel: `public-block-trades` or `public-struc-block-trades`: the same trades, twice.
        side: of the taker; trade_id: None where the venue leaves it out (parents of group RFQs).
        block_id, group_id: of the whole trade and of its group.
        fill_volatility: implied, an annual fraction, options only.
        forward_price, index_price, mark_price: at the trade; `public-block-trades` only.
    """

    ts_event: int | None
    instrument: str
    channel: str
    trade_id: str | None
    price: Number
    size: Number
    side: str
    block_id: str | None
    group_id: str | None
    fill_volatility: Number | None
    forward_price: Number | None
    index_price: Number | None
    mark_price: Number | None


class EventMarket(Event, frozen=True, gc=False):
    """Rules and outcome of an event contract; the venue sends no time of its own.

    Attributes:
        state: `preopen`, `live`, `settling` or `expired`; outcome: `0` open, `1` yes, `2` no.
        list_time, fix_time, expiry_time: ns since the Unix epoch.
        floor_strike, cap_strike: texts as sent, `INF` is possible.
        settle_value: value of the underlying at settlement.
        hit_direction: `up` or `dn`; disputed: the outcome is.
    """

    instrument: str
    series_id: str | None
    event_id: str | None
    state: str | None
    outcome: str | None
    list_time: int | None
    fix_time: int | None
    expiry_time: int | None
    floor_strike: str | None
    cap_strike: str | None
    settle_value: Number | None
    hit_direction: str | None
    disputed: bool | None


class EconomicRelease(Event, frozen=True, gc=False):
    """An entry of the economic calendar: a figure that will be, or was, released.

    Attributes:
        name: of the release; region, category: as sent.
        release_time: when it is due, ns; reference_time: the period it is about, ns.
        actual, previous, forecast, previous_initial: texts as sent (`2.1`, `2.1%`).
        importance: `1` low to `3` high; unit, currency: of the figures.
    """

    ts_event: int | None
    calendar_id: str
    name: str | None
    region: str | None
    category: str | None
    release_time: int | None
    reference_time: int | None
    actual: str | None
    previous: str | None
    forecast: str | None
    previous_initial: str | None
    importance: str | None
    unit: str | None
    currency: str | None
