"""Event: what a frame means. A closed union of frozen structs; the vocabulary of every consumer.

Responsible for the types, their JSON form and their view names. Refuses to build any: the one
parser (`okx.parser`) and the one interpreter (`okx.interpreter`) do. This is the one place to
import an event from; the files beside it hold them by subject.

Conventions, for every type:

- `seq` is the frame's; `index` counts the events of one frame from 0, derived events last;
  `(seq, index)` identifies an event. `ts_recv` is the frame's, ns since the Unix epoch, UTC.
- `ts_event` is the venue's time in ns (OKX sends milliseconds), None where the venue sent none.
- `instrument` is the venue's id (`instId`, e.g. `BTC-USDT-SWAP`).
- Prices are in quote currency. Sizes are in the venue's unit: base currency for spot and margin,
  contracts for swaps, futures and options.
- A number the venue left empty (`""`) is None, never 0.
- `Number` is float by default; Decimal or str where the parser was built for them. Numbers of an
  account (`event.account`) are always Decimal.
"""

from __future__ import annotations

import msgspec

from recorder.event.account import (
    AccountUpdate,
    AlgoOrderUpdate,
    Balance,
    BalanceAndPosition,
    CashChange,
    CloseOrder,
    Fill,
    Greeks,
    LiquidationWarning,
    OrderUpdate,
    PositionChange,
    PositionUpdate,
    TradeReference,
)
from recorder.event.conversation import (
    BookReset,
    ChecksumMismatch,
    ClockStep,
    Connected,
    ConnectFailed,
    ConnectionCount,
    Disconnected,
    LoggedIn,
    Lost,
    Notice,
    Pong,
    RestResponse,
    RunStarted,
    SequenceGap,
    Subscribed,
    Unrecognized,
    Unsubscribed,
    VenueError,
)
from recorder.event.market import (
    AdlWarning,
    BlockTicker,
    BlockTrade,
    BookUpdate,
    CallAuction,
    Candle,
    Data,
    EconomicRelease,
    EstimatedPrice,
    EventMarket,
    FundingRate,
    IndexPrice,
    InstrumentUpdate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    OptionSummary,
    OptionTrade,
    PriceLimit,
    Quote,
    Ticker,
    Trade,
    VenueStatus,
)
from recorder.event.root import Event, Int64, Level, Number

__all__ = [
    "EVENT_TYPES",
    "VIEW_NAMES",
    "AccountUpdate",
    "AdlWarning",
    "AlgoOrderUpdate",
    "Balance",
    "BalanceAndPosition",
    "BlockTicker",
    "BlockTrade",
    "BookReset",
    "BookUpdate",
    "CallAuction",
    "Candle",
    "CashChange",
    "ChecksumMismatch",
    "ClockStep",
    "CloseOrder",
    "ConnectFailed",
    "Connected",
    "ConnectionCount",
    "Data",
    "Disconnected",
    "EconomicRelease",
    "EstimatedPrice",
    "Event",
    "EventMarket",
    "Fill",
    "FundingRate",
    "Greeks",
    "IndexPrice",
    "InstrumentUpdate",
    "Int64",
    "Level",
    "Liquidation",
    "LiquidationWarning",
    "LoggedIn",
    "Lost",
    "MarkPrice",
    "Notice",
    "Number",
    "OpenInterest",
    "OptionSummary",
    "OptionTrade",
    "OrderUpdate",
    "Pong",
    "PositionChange",
    "PositionUpdate",
    "PriceLimit",
    "Quote",
    "RestResponse",
    "RunStarted",
    "SequenceGap",
    "Subscribed",
    "Ticker",
    "Trade",
    "TradeReference",
    "Unrecognized",
    "Unsubscribed",
    "VenueError",
    "VenueStatus",
    "encode_event",
]

EVENT_TYPES: tuple[type[Event], ...] = (
    Trade, BookUpdate, Quote, Ticker, Candle, MarkPrice, IndexPrice, FundingRate, OpenInterest,
    InstrumentUpdate, PriceLimit, Liquidation, OptionSummary, OptionTrade, EstimatedPrice,
    VenueStatus, AdlWarning, CallAuction, BlockTicker, BlockTrade, EventMarket, EconomicRelease,
    AccountUpdate, PositionUpdate, BalanceAndPosition, OrderUpdate, AlgoOrderUpdate, Fill,
    LiquidationWarning, Greeks, Data, Subscribed, Unsubscribed, LoggedIn, VenueError, Notice,
    ConnectionCount, Pong, RestResponse, Connected, Disconnected, ConnectFailed, RunStarted,
    ClockStep, Lost, SequenceGap, BookReset, ChecksumMismatch, Unrecognized,
)  # fmt: skip
"""The closed union: market, account, conversation, recording, derived."""

VIEW_NAMES: dict[type[Event], str] = {
    Trade: "trades",
    BookUpdate: "book_updates",
    Quote: "quotes",
    Ticker: "tickers",
    Candle: "candles",
    MarkPrice: "mark_prices",
    IndexPrice: "index_prices",
    FundingRate: "funding_rates",
    OpenInterest: "open_interests",
    InstrumentUpdate: "instrument_updates",
    PriceLimit: "price_limits",
    Liquidation: "liquidations",
    OptionSummary: "option_summaries",
    OptionTrade: "option_trades",
    EstimatedPrice: "estimated_prices",
    VenueStatus: "venue_statuses",
    AdlWarning: "adl_warnings",
    CallAuction: "call_auctions",
    BlockTicker: "block_tickers",
    BlockTrade: "block_trades",
    EventMarket: "event_markets",
    EconomicRelease: "economic_releases",
    AccountUpdate: "account_updates",
    PositionUpdate: "position_updates",
    BalanceAndPosition: "balances_and_positions",
    OrderUpdate: "order_updates",
    AlgoOrderUpdate: "algo_order_updates",
    Fill: "fills",
    LiquidationWarning: "liquidation_warnings",
    Greeks: "greeks",
    Data: "data",
    Subscribed: "subscribed",
    Unsubscribed: "unsubscribed",
    LoggedIn: "logged_in",
    VenueError: "venue_errors",
    Notice: "notices",
    ConnectionCount: "connection_counts",
    Pong: "pongs",
    RestResponse: "rest_responses",
    Connected: "connected",
    Disconnected: "disconnected",
    ConnectFailed: "connect_failed",
    RunStarted: "run_started",
    ClockStep: "clock_steps",
    Lost: "lost",
    SequenceGap: "sequence_gaps",
    BookReset: "book_resets",
    ChecksumMismatch: "checksum_mismatches",
    Unrecognized: "unrecognized",
}
"""SQL view of each event type: the plural snake case of its name."""

_ENCODER = msgspec.json.Encoder(decimal_format="string")


def encode_event(event: Event) -> bytes:
    """Return the JSON of an event: `type`, `seq`, `index`, `ts_recv`, then its own fields.

    The same event gives the same bytes on every machine: floats are written in their shortest
    round-trip form, Decimals as strings.
    """
    return _ENCODER.encode(event)
