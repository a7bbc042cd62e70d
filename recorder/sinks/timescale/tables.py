"""Tables of the database sink: which events become rows of which columns.

Responsible for names, types and comments of columns, and for a row as a line of COPY text. Refuses
to connect to anything. Names are those of the SQL views of a capture (docs/sql.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

from recorder.clock import NS_PER_SECOND
from recorder.event import (
    AccountUpdate,
    AlgoOrderUpdate,
    BalanceAndPosition,
    Candle,
    DepositUpdate,
    Event,
    Fill,
    FundingRate,
    Greeks,
    LiquidationWarning,
    OrderUpdate,
    PositionUpdate,
    Quote,
    SpreadFill,
    SpreadOrderUpdate,
    Ticker,
    Trade,
    WithdrawalUpdate,
)
from recorder.event.ledger import LEDGER_TYPES, cause_of, is_in_ledger
from recorder.sinks import BookTop, Missed, document_of

NULL = r"\N"
_SECONDS_KEPT = 4096
_seconds: dict[int, str] = {}  # texts of the seconds met lately


class Column(NamedTuple):
    """One column; `comment` ends up in the database, empty where the name says it all."""

    name: str
    type: str
    comment: str = ""


class Table(NamedTuple):
    """A table and what fills it.

    Attributes:
        option: its name in `?tables=`. types: of the records that become rows.
        columns: behind those all tables have (`LEADING`). values: their values, in order.
        keeps: tells which records become a row.
        span: of a partition or chunk, `day` or `month`.
    """

    name: str
    option: str
    comment: str
    types: tuple[type, ...]
    columns: tuple[Column, ...]
    values: Callable[[Any], tuple[Any, ...]]
    keeps: Callable[[Any], bool] | None = None
    span: str = "day"


LEADING = (
    Column("capture", "integer NOT NULL", "see captures"),
    Column("seq", "bigint NOT NULL", "number of the frame in its capture"),
    Column("index", "integer NOT NULL", "position of the event within its frame"),
    Column("ts_recv", "bigint NOT NULL", "when the frame was received, ns since the Unix epoch"),
    Column("recv_time", "timestamptz NOT NULL", "ts_recv, cut to microseconds"),
    Column("event_time", "timestamptz", "the venue's own time; NULL: it sent none"),
)
"""Columns that every table begins with; the first three and recv_time are its key."""

_NUMBER = "double precision"
_INSTRUMENT = Column("instrument", "text NOT NULL", "the venue's id (instId)")
_CHANNEL = Column("channel", "text NOT NULL", "the venue's channel")
_SIZE = "contracts for derivatives, base currency for spot"


def _named(*names: str, comment: str = "") -> tuple[Column, ...]:
    return tuple(Column(name, _NUMBER, comment) for name in names)


def _fields(*columns: Column) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes the values of columns from the fields of the same name."""
    return attrgetter(*(column.name for column in columns))


_TRADE = (
    _INSTRUMENT, _CHANNEL, Column("trade_id", "text NOT NULL"),
    Column("price", _NUMBER, "quote currency"), Column("size", _NUMBER, _SIZE),
    Column("side", "text NOT NULL", "the aggressor, buy or sell"),
    Column("count", "integer", "fills in this push"),
    Column("source", "text", "0 normal, 1 RPI order"),
    Column("venue_seq", "bigint", "the venue's seqId"),
)  # fmt: skip
_CANDLE = (
    _INSTRUMENT, _CHANNEL, Column("interval", "text NOT NULL", "as the venue writes it: 1m, 1H"),
    *_named("open", "high", "low", "close"),
    Column("volume", _NUMBER, _SIZE),
    Column("volume_ccy", _NUMBER, "base currency for derivatives, quote currency for spot"),
    Column("volume_quote", _NUMBER, "quote currency"),
)  # fmt: skip
_QUOTE = (
    _INSTRUMENT, _CHANNEL,
    *_named("bid_price", "bid_size"), Column("bid_orders", "integer"),
    *_named("ask_price", "ask_size"), Column("ask_orders", "integer"),
    Column("venue_seq", "bigint", "the venue's seqId"),
)  # fmt: skip
_TOP = (
    _INSTRUMENT, _CHANNEL, *_named("bid_price", "bid_size", "ask_price", "ask_size"),
    Column("is_whole", "boolean NOT NULL", "false: updates are missing, and there are no prices"),
)  # fmt: skip
_TICKER = (
    _INSTRUMENT,
    *_named(
        "last", "last_size", "bid_price", "bid_size", "ask_price", "ask_size", "open_24h",
        "high_24h", "low_24h", "volume_24h", "volume_ccy_24h", "open_utc0", "open_utc8",
    ),
)  # fmt: skip
_RATES = (
    "funding_rate", "next_funding_rate", "min_funding_rate", "max_funding_rate", "premium",
    "interest_rate", "impact_value", "settled_funding_rate",
)  # fmt: skip
_FUNDING_TIMES = ("funding_time", "next_funding_time", "previous_funding_time")
_FUNDING = (
    _INSTRUMENT,
    *_named(*_RATES, comment="a fraction of one interval: 0.0001 is 1 bp"),
    *(Column(name, "timestamptz") for name in _FUNDING_TIMES),
    Column("settlement_state", "text"),
    Column("method", "text"),
    Column("formula_type", "text"),
)
_DOCUMENT = Column("document", "jsonb NOT NULL", "the event as JSON; money as text, exact")
_ACCOUNT = (
    Column("type", "text NOT NULL", "of the event"),
    Column("instrument", "text"),
    _DOCUMENT,
)
_LEDGER = (
    Column("type", "text NOT NULL", "e.g. SequenceGap, Lost; Missed: by this database"),
    Column("connection", "integer"),
    Column("channel", "text"),
    Column("instrument", "text"),
    Column("cause", "text", "why, in words; NULL where the type says it"),
    _DOCUMENT,
)


def _funding(event: FundingRate) -> tuple[Any, ...]:
    times = (time_text(getattr(event, name)) for name in _FUNDING_TIMES)
    rates = (getattr(event, name) for name in _RATES)
    return (event.instrument, *rates, *(None if text == NULL else text for text in times),
            event.settlement_state, event.method, event.formula_type)  # fmt: skip


def _account(event: Event) -> tuple[Any, ...]:
    return type(event).__name__, getattr(event, "instrument", None), document_of(event)


def _ledger(record: Any) -> tuple[Any, ...]:
    return (
        type(record).__name__,
        *(getattr(record, name, None) for name in ("connection", "channel", "instrument")),
        cause_of(record),
        document_of(record),
    )


LEDGER = Table(
    "ledger", "ledger", "Everything that makes the data less than whole, and every restart",
    (*LEDGER_TYPES, Missed), _LEDGER, _ledger, keeps=is_in_ledger, span="month",
)  # fmt: skip

TABLES = (
    Table("trades", "trades", "One row per trade push", (Trade,), _TRADE, _fields(*_TRADE)),
    Table(
        "candles", "candles", "Finished bars; event_time is the open of the bar", (Candle,),
        _CANDLE, _fields(*_CANDLE), keeps=attrgetter("confirmed"), span="month",
    ),
    Table("quotes", "quotes", "Best bid and offer as the venue pushes it (bbo-tbt)", (Quote,),
          _QUOTE, _fields(*_QUOTE)),
    Table("book_tops", "book_tops", "Best bid and offer after every book update", (BookTop,),
          _TOP, _fields(*_TOP)),
    Table("tickers", "tickers", "One row per ticker push", (Ticker,), _TICKER, _fields(*_TICKER)),
    Table("funding_rates", "funding", "One row per push of funding", (FundingRate,), _FUNDING,
          _funding, span="month"),
    Table(
        "account_events", "account", "What the venue told the account",
        (AccountUpdate, PositionUpdate, BalanceAndPosition, OrderUpdate, AlgoOrderUpdate, Fill,
         LiquidationWarning, Greeks, SpreadOrderUpdate, SpreadFill, DepositUpdate,
         WithdrawalUpdate),
        _ACCOUNT, _account, span="month",
    ),
    LEDGER,
)  # fmt: skip
"""Every table there can be; all are created, those asked for are filled."""

ALWAYS = (LEDGER,)
"""Tables that are filled whatever is asked for: without them nobody knows what is missing."""


def names_of(table: Table) -> str:
    """Return the columns as a list of SQL."""
    return ", ".join(f'"{column.name}"' for column in (*LEADING, *table.columns))


def line_of(table: Table, capture: int, record: Any) -> str:
    """Return a record as one line of COPY text."""
    recv_time = time_text(record.ts_recv)
    event_time = time_text(getattr(record, "ts_event", None))
    values = "\t".join([_text(value) for value in table.values(record)])
    return (
        f"{capture}\t{record.seq}\t{record.index}\t{record.ts_recv}\t{recv_time}\t{event_time}\t"
        f"{values}\n"
    )


def time_text(ns: int | None) -> str:
    """Return a time as PostgreSQL reads it, cut to microseconds."""
    if ns is None:
        return NULL
    second, rest = divmod(ns, NS_PER_SECOND)
    text = _seconds.get(second)
    if text is None:
        try:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
        except (OverflowError, ValueError, OSError):
            return "infinity" if ns > 0 else "-infinity"  # a venue's time that is none
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        _seconds[second] = text
    return f"{text}.{rest // 1000:06}+00"


def _text(value: Any) -> str:
    if value is None:
        return NULL
    if type(value) is not str:
        return str(value)
    if value.isprintable() and "\\" not in value:
        return value
    value = value.replace("\\", "\\\\").replace("\t", "\\t")
    return str(value.replace("\n", "\\n").replace("\r", "\\r"))
