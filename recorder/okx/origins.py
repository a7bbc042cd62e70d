"""Origins: which frames each event type can come from, so that a scan may skip the others.

Responsible for the inverse of the parser and the interpreter: event type to channels and kinds
of rows. Refuses to be narrow: a frame that could give the event is included, one that is read in
vain costs time only. A test feeds frames of every channel and kind and holds this table to it.
"""

from __future__ import annotations

from typing import NamedTuple

from recorder.event import (
    AccountUpdate,
    AdlWarning,
    AlgoOrderUpdate,
    BalanceAndPosition,
    BlockFill,
    BlockTicker,
    BlockTrade,
    BookMismatch,
    BookReset,
    BookUpdate,
    CallAuction,
    Candle,
    ChecksumMismatch,
    ClockStep,
    Connected,
    ConnectFailed,
    ConnectionCount,
    ConnectionState,
    Data,
    DepositUpdate,
    Disconnected,
    EconomicRelease,
    EmptySnapshot,
    EstimatedPrice,
    Event,
    EventMarket,
    Fill,
    FundingRate,
    Greeks,
    GridBotUpdate,
    GridOrderUpdate,
    GridPositionUpdate,
    IndexPrice,
    InjectedFault,
    InstrumentUpdate,
    LeadTradingNotice,
    Liquidation,
    LiquidationWarning,
    LoggedIn,
    Lost,
    MarkPrice,
    Notice,
    NoveltySeen,
    OpenInterest,
    OptionSummary,
    OptionTrade,
    OrderUpdate,
    Pong,
    PositionUpdate,
    PriceLimit,
    Quote,
    RecurringBuyUpdate,
    RestResponse,
    RfqQuoteUpdate,
    RfqUpdate,
    RunStarted,
    SequenceGap,
    SpreadFill,
    SpreadOrderUpdate,
    Subscribed,
    Ticker,
    Trade,
    Unrecognized,
    Unsubscribed,
    VenueError,
    VenueStatus,
    WithdrawalUpdate,
)
from recorder.frame import KINDS, Kind
from recorder.okx.account_layouts import ACCOUNT_SHAPES
from recorder.okx.bot_layouts import BOT_SHAPES
from recorder.okx.channels import CHANNELS
from recorder.okx.deal_layouts import DEAL_SHAPES
from recorder.okx.pushes import INCREMENTAL_BOOKS
from recorder.okx.spreads import INCREMENTAL_SPREAD_BOOK


class Origin(NamedTuple):
    """Where events of one type come from.

    Attributes:
        channels: of the pushes; None where any text message may give the event.
        kinds: of the rows that give it, or that it depends on, whatever their channel.
        mark: bytes that every such text message holds, unless it writes JSON with escapes.
        has_state: it depends on earlier frames (of these channels and kinds).
        by_argument: where channels is None: its instrument is always the argument's.
    """

    channels: tuple[str, ...] | None = ()
    kinds: tuple[Kind, ...] = ()
    mark: bytes = b""
    has_state: bool = False
    by_argument: bool = False


# Retired on 2022-12-28 (OKX API docs, changelog); recordings made before hold them.
_RETIRED_BARS = ("6M", "1Y", "6Mutc", "1Yutc")
_CANDLES = tuple(
    [name for name in CHANNELS if "candle" in name]
    + [f"{kind}candle{bar}" for kind in ("", "mark-price-", "index-") for bar in _RETIRED_BARS]
)

_SPREAD_BOOKS = (INCREMENTAL_SPREAD_BOOK, "sprd-books5")
_BOOKS = (*INCREMENTAL_BOOKS, "books5", *_SPREAD_BOOKS)
_CONTROL = Origin(None, mark=b'"event"')
_REQUESTED = Origin(None, mark=b'"event"', by_argument=True)
_CHAIN = Origin(_BOOKS, (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN), has_state=True)
_COMPARISON = Origin(_BOOKS, (*_CHAIN.kinds, Kind.SENT, Kind.REST), has_state=True)

_LIFECYCLE = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN)


def among_links(origin: Origin) -> Origin:
    """Return an origin in a capture with redundant links, where which push counts is elected.

    What is delivered of one argument depends on its own pushes and on who is connected
    (`okx.election`), so other arguments may be skipped as ever. A conversation is each its own.
    """
    is_pushed = origin.channels is None or len(origin.channels) > 0
    if origin.mark or not is_pushed:
        return origin
    kinds = tuple(dict.fromkeys((*origin.kinds, *_LIFECYCLE)))
    return origin._replace(kinds=kinds, has_state=True)


ORIGINS: dict[type[Event], Origin] = {
    Trade: Origin(("trades", "trades-all", "sprd-public-trades")),
    BookUpdate: Origin(_BOOKS),
    Quote: Origin(("bbo-tbt", "sprd-bbo-tbt")),
    Ticker: Origin(("tickers", "sprd-tickers")),
    Candle: Origin(_CANDLES),
    MarkPrice: Origin(("mark-price",)),
    IndexPrice: Origin(("index-tickers",)),
    FundingRate: Origin(("funding-rate",)),
    OpenInterest: Origin(("open-interest",)),
    InstrumentUpdate: Origin(("instruments",), (Kind.REST,)),
    PriceLimit: Origin(("price-limit",)),
    Liquidation: Origin(("liquidation-orders",)),
    OptionSummary: Origin(("opt-summary",)),
    OptionTrade: Origin(("option-trades",)),
    EstimatedPrice: Origin(("estimated-price",)),
    VenueStatus: Origin(("status",)),
    AdlWarning: Origin(("adl-warning",)),
    CallAuction: Origin(("call-auction-details",)),
    BlockTicker: Origin(("block-tickers",)),
    BlockTrade: Origin(("public-block-trades", "public-struc-block-trades")),
    EventMarket: Origin(("event-contract-markets",)),
    EconomicRelease: Origin(("economic-calendar",)),
    AccountUpdate: Origin(("account",)),
    PositionUpdate: Origin(("positions",)),
    BalanceAndPosition: Origin(("balance_and_position",)),
    OrderUpdate: Origin(("orders",)),
    AlgoOrderUpdate: Origin(("orders-algo", "algo-advance")),
    Fill: Origin(("fills",)),
    LiquidationWarning: Origin(("liquidation-warning",)),
    Greeks: Origin(("account-greeks",)),
    EmptySnapshot: Origin((*ACCOUNT_SHAPES, *BOT_SHAPES, *DEAL_SHAPES)),
    GridBotUpdate: Origin(("grid-orders-spot", "grid-orders-contract")),
    GridPositionUpdate: Origin(("grid-positions",)),
    GridOrderUpdate: Origin(("grid-sub-orders",)),
    RecurringBuyUpdate: Origin(("algo-recurring-buy",)),
    LeadTradingNotice: Origin(("copytrading-lead-notification",)),
    RfqUpdate: Origin(("rfqs",)),
    RfqQuoteUpdate: Origin(("quotes",)),
    BlockFill: Origin(("struc-block-trades",)),
    SpreadOrderUpdate: Origin(("sprd-orders",)),
    SpreadFill: Origin(("sprd-trades",)),
    DepositUpdate: Origin(("deposit-info",)),
    WithdrawalUpdate: Origin(("withdrawal-info",)),
    Data: Origin(None, by_argument=True),
    Subscribed: _REQUESTED,
    Unsubscribed: _REQUESTED,
    LoggedIn: _CONTROL,
    VenueError: _CONTROL,
    Notice: _CONTROL,
    ConnectionCount: _CONTROL,
    Pong: Origin(None, mark=b"pong"),
    RestResponse: Origin((), (Kind.SENT, Kind.REST, Kind.CLOSED, Kind.RUN), has_state=True),
    Connected: Origin((), (Kind.OPENED,)),
    Disconnected: Origin((), (Kind.OPENED, Kind.CLOSED, Kind.RUN), has_state=True),
    ConnectFailed: Origin((), (Kind.OPENED, Kind.CLOSED, Kind.RUN), has_state=True),
    ConnectionState: Origin((), (Kind.OPENED, Kind.CLOSED, Kind.RUN), has_state=True),
    RunStarted: Origin((), (Kind.RUN,)),
    ClockStep: Origin((), (Kind.CLOCK,)),
    NoveltySeen: Origin((), (Kind.CLOCK,)),
    Lost: Origin((), (Kind.LOST,)),
    InjectedFault: Origin((), (Kind.FAULT,)),
    SequenceGap: _CHAIN,
    BookReset: _CHAIN,
    ChecksumMismatch: _CHAIN,
    BookMismatch: _COMPARISON,
    Unrecognized: Origin(None, KINDS),
}
"""Origin of every event type."""

ARGUMENT_CHANNELS: frozenset[str] = frozenset(
    (*INCREMENTAL_BOOKS, "bbo-tbt", *_SPREAD_BOOKS, "sprd-bbo-tbt", *_CANDLES)
)
"""Channels whose events have the instrument of the frame's argument.

In the others the rows name it, and after a rename the venue goes on serving the old argument with
the new id in the rows (OKX API docs, instrument renames): the frame's index then misleads.
"""
