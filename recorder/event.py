"""Event: what a frame means. A closed union of frozen structs; the vocabulary of every consumer.

Responsible for the types, their JSON form and their view names. Refuses to build any: the one
parser (`okx.parser`) and the one interpreter (`okx.interpreter`) do.

Conventions, for every type:

- `seq` is the frame's; `index` counts the events of one frame from 0, derived events last;
  `(seq, index)` identifies an event. `ts_recv` is the frame's, ns since the Unix epoch, UTC.
- `ts_event` is the venue's time in ns (OKX sends milliseconds), None where the venue sent none.
- `instrument` is the venue's id (`instId`, e.g. `BTC-USDT-SWAP`).
- Prices are in quote currency. Sizes are in the venue's unit: base currency for spot and margin,
  contracts for swaps, futures and options.
- A number the venue left empty (`""`) is None, never 0.
- `Number` is float by default; Decimal or str where the parser was built for them.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec

Number: TypeAlias = float
N = TypeVar("N")
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of the wire; whatever does not fit a signed 64-bit column is not understood."""


class Event(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag=True):
    """What all events have; see the module for the conventions."""

    seq: int
    index: int
    ts_recv: int


class Level(msgspec.Struct, Generic[N], frozen=True, gc=False, array_like=True):
    """One price level of a book; in JSON the array `[price, size, non_rpi_size, orders]`.

    It has the wire's own shape so that a book is decoded straight into events.

    Attributes:
        price: price of the level.
        size: total size at this price, absolute; 0 deletes the level.
        non_rpi_size: third wire column; only `books-rpi` fills it, elsewhere 0; None in books of
            two or three columns.
        orders: number of orders at this price.
    """

    price: N
    size: N
    non_rpi_size: N | None = None
    orders: Int64 = 0


# --- market ---------------------------------------------------------------------------------


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


# --- the conversation ----------------------------------------------------------------------


class Subscribed(Event, frozen=True):
    """The venue accepted one argument. Not final: an error may follow it."""

    connection: int
    channel: str
    instrument: str | None
    argument: dict[str, Any]
    request_id: str | None
    connection_id: str | None


class Unsubscribed(Event, frozen=True):
    """The venue ended one argument; trailing pushes may follow for seconds."""

    connection: int
    channel: str
    instrument: str | None
    argument: dict[str, Any]
    request_id: str | None
    connection_id: str | None


class LoggedIn(Event, frozen=True, gc=False):
    """The venue accepted a login on this connection."""

    connection: int
    code: str
    connection_id: str | None


class VenueError(Event, frozen=True):
    """The venue answered with `event: error`.

    Attributes:
        code: the venue's code, a string such as `60018`; message: its text as sent.
        argument: the argument it belongs to, where the venue sent one (it rarely does).
    """

    connection: int
    code: str
    message: str
    request_id: str | None
    connection_id: str | None
    argument: dict[str, Any] | None = None


class Notice(Event, frozen=True, gc=False):
    """The venue announces something, e.g. code `64008`: it will close this connection."""

    connection: int
    code: str
    message: str
    connection_id: str | None


class ConnectionCount(Event, frozen=True, gc=False):
    """How many connections hold this private channel; `exceeded` = this one was refused."""

    connection: int
    channel: str
    count: int
    exceeded: bool
    connection_id: str | None


class Pong(Event, frozen=True, gc=False):
    """The venue answered a text ping."""

    connection: int


class RestResponse(Event, frozen=True, gc=False):
    """A REST body of the session.

    Attributes:
        request: the request line as sent, None where it was not recorded.
        code, message: the venue's own code and text from the body (`0` is success).
        rows: length of its `data` array; size: bytes of the body.
    """

    connection: int
    request: str | None
    code: str | None
    message: str | None
    rows: int
    size: int


# --- the recording -------------------------------------------------------------------------


class Connected(Event, frozen=True, gc=False):
    """A socket is open: handshake done, nothing subscribed yet."""

    connection: int
    url: str | None
    endpoint: str | None
    link: int | None


class Disconnected(Event, frozen=True, gc=False):
    """A socket that had been open is closed.

    Attributes:
        code: WebSocket close code, 1006 where none was received, None if unknown.
        by: `venue`, `recorder` or `network`.
        duration: how long it was open, ns on the monotonic clock; None if unknown.
    """

    connection: int
    code: int | None
    reason: str
    by: str | None
    duration: int | None


class ConnectFailed(Event, frozen=True, gc=False):
    """An attempt to connect that never opened."""

    connection: int
    code: int | None
    reason: str
    by: str | None


class RunStarted(Event, frozen=True):
    """A recorder started to write; `info` holds versions, options and boot id."""

    info: dict[str, Any]


class ClockStep(Event, frozen=True):
    """A clock row: a step that was seen, or a periodic sample (then `step` is None).

    Attributes:
        step: how far the wall clock jumped against the monotonic one, ns.
        info: the whole row.
    """

    step: int | None
    info: dict[str, Any]


class Lost(Event, frozen=True, gc=False):
    """Frames are missing here, and the recorder knows it; unknown counts are None.

    Attributes:
        connection: the connection they belonged to, `-1` for none in particular.
        first_seq, last_seq: inclusive range of numbers missing, where they had numbers.
        count: frames; bytes: payload bytes; cause: one short phrase.
    """

    connection: int
    first_seq: int | None
    last_seq: int | None
    count: int | None
    bytes: int | None
    cause: str


# --- derived by the interpreter ------------------------------------------------------------


class SequenceGap(Event, frozen=True, gc=False):
    """A book's chain is broken: updates are missing. Once per loss.

    Attributes:
        expected_seq_id: what `prev_seq_id` should have been.
        prev_seq_id, seq_id: what the frame carried.
    """

    connection: int
    instrument: str
    channel: str
    expected_seq_id: int
    prev_seq_id: int
    seq_id: int


class BookReset(Event, frozen=True, gc=False):
    """The venue restarted a book's numbering (maintenance) without losing an update."""

    connection: int
    instrument: str
    channel: str
    prev_seq_id: int
    seq_id: int


class ChecksumMismatch(Event, frozen=True, gc=False):
    """The venue's CRC32 and that of the book rebuilt here differ; both signed 32-bit."""

    connection: int
    instrument: str
    channel: str
    received: int
    computed: int


class Unrecognized(Event, frozen=True, gc=False):
    """A frame that could not be understood. The frame itself is stored, exact.

    Attributes:
        reason: one short phrase; kind: the frame's kind label; size: payload bytes.
    """

    connection: int
    reason: str
    kind: str
    size: int


EVENT_TYPES: tuple[type[Event], ...] = (
    Trade, BookUpdate, Quote, Ticker, Candle, MarkPrice, IndexPrice, FundingRate, OpenInterest,
    InstrumentUpdate, Data, Subscribed, Unsubscribed, LoggedIn, VenueError, Notice,
    ConnectionCount, Pong, RestResponse, Connected, Disconnected, ConnectFailed, RunStarted,
    ClockStep, Lost, SequenceGap, BookReset, ChecksumMismatch, Unrecognized,
)  # fmt: skip
"""The closed union, in the order of this file."""

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
