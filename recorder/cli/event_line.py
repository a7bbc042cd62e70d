"""One event, one line: what `recorder watch` prints for a person.

Responsible for columns, for which fields of an event matter at a glance, and for colour. Refuses
to compute anything and to hide trouble: what has no form of its own is shown field by field.

    09:30:00.123  trades    BTC-USDT  buy    0.0123 @ 87409.1
    09:30:00.131  books     BTC-USDT  2.7637 × 87409.0 | 87409.1 × 0.4
    09:30:00.500  candle1m  BTC-USDT  open 87410.4  high 87414.3  low 87406.7  close 87409.1 …
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from recorder.book import Books
from recorder.clock import NS_PER_SECOND, format_time
from recorder.event import (
    VIEW_NAMES,
    BookMismatch,
    BookReset,
    BookUpdate,
    Candle,
    ChecksumMismatch,
    ClockStep,
    Connected,
    ConnectFailed,
    ConnectionCount,
    ConnectionState,
    Disconnected,
    Event,
    FundingRate,
    InjectedFault,
    Level,
    LoggedIn,
    Lost,
    MarkPrice,
    Notice,
    NoveltySeen,
    Pong,
    Quote,
    RestResponse,
    RunStarted,
    SequenceGap,
    Subscribed,
    Ticker,
    Trade,
    Unrecognized,
    Unsubscribed,
    VenueError,
)
from recorder.okx.channels import CHANNELS
from recorder.okx.subscription import Subscription

_QUIET = (RunStarted, Pong, ConnectionState, ConnectionCount, RestResponse)
_CONVERSATION = (Connected, Subscribed, Unsubscribed, LoggedIn)
_TROUBLE = (
    Disconnected, ConnectFailed, Lost, SequenceGap, BookReset, ChecksumMismatch, BookMismatch,
    Notice, VenueError, Unrecognized, ClockStep, NoveltySeen, InjectedFault,
)  # fmt: skip
_HUMP = re.compile(r"(?<!^)(?=[A-Z])")
_COMMON = ("seq", "index", "ts_recv", "ts_event", "instrument", "channel", "connection")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_DIM, _RED, _GREEN, _YELLOW = "2", "31", "32", "33"
_FRAME_COLUMNS = 17
"""What a line holds beside channel, instrument and levels: the time, blanks, the bar."""

Pieces: TypeAlias = list[tuple[str, str]]
"""Text and the colour it has on a terminal, blank for none."""


class EventLines:
    """Turns events into lines whose columns stay where they are.

    Args:
        subscriptions: what is watched; decides the width of the first columns.
        books: where the book of a `BookUpdate` is looked up.
        depth: levels of each side to show of a book.
        width: cut lines to so many columns; None leaves them whole.
        in_colour: with the colours of a terminal.
    """

    def __init__(
        self,
        subscriptions: Iterable[Subscription],
        books: Books,
        *,
        depth: int = 1,
        width: int | None = None,
        in_colour: bool = False,
    ) -> None:
        wanted = list(subscriptions)
        self._books = books
        self._depth = depth
        self._width = width
        self._in_colour = in_colour
        self._channel_width = max([len(item.channel) for item in wanted], default=0)
        self._instrument_width = max((len(item.instrument or "") for item in wanted), default=0)
        self._widest: dict[tuple[str, str], tuple[int, int]] = {}

    def line(self, event: Event) -> str | None:
        """Return the line of an event without a newline, None for what says nothing here."""
        if isinstance(event, _QUIET) or (isinstance(event, ClockStep) and event.step is None):
            return None
        # An end that was asked for is no trouble.
        is_trouble = isinstance(event, _TROUBLE) and getattr(event, "by", None) != "recorder"
        name = str(getattr(event, "channel", None) or _label(event))
        instrument = str(getattr(event, "instrument", None) or "")
        if not isinstance(event, (*_TROUBLE, *_CONVERSATION)):
            self._channel_width = max(self._channel_width, len(name))
            self._instrument_width = max(self._instrument_width, len(instrument))
        is_talk = isinstance(event, (*_CONVERSATION, Disconnected))
        colour = _YELLOW if is_trouble else _DIM if is_talk else ""
        pieces = [
            (format_time(event.ts_recv)[11:23], _DIM),
            (f"  {name:<{self._channel_width}}", colour),
            (f"  {instrument:<{self._instrument_width}}  ", colour),
            *((text, style or colour) for text, style in self._body(event)),
        ]
        return self._painted(pieces)

    # --- what an event says ----------------------------------------------------------------

    def _body(self, event: Event) -> Pieces:
        form = _FORMS.get(type(event))
        return _fields(event) if form is None else form(self, event)

    def _trade(self, event: Trade) -> Pieces:
        side = _GREEN if event.side == "buy" else _RED
        size = self._aligned("size", event.instrument, event.size)
        price = self._aligned("price", event.instrument, event.price)
        count = f"  {event.count} fills" if event.count > 1 else ""
        return [(f"{event.side:<4}  {size} @ {price}", side), (count, _DIM)]

    def _book(self, event: BookUpdate) -> Pieces:
        book = self._books.get(event.instrument, event.channel)
        if book is None or not book.is_whole:
            return [("no whole book yet", _DIM)]
        name, depth = book.instrument, self._depth
        bids = [self._level(name, level, "bid") for level in reversed(book.bids(depth))]
        asks = [self._level(name, level, "ask") for level in book.asks(depth)]
        blank = " " * len((bids or asks or [""])[0])
        bids = [blank] * (depth - len(bids)) + bids  # asks stay where they are
        if self._width is not None:  # the levels around the spread, as many as fit
            left = self._width - self._channel_width - self._instrument_width - _FRAME_COLUMNS
            depth = max(left // (2 * (len(blank) + 2)), 1)
            bids, asks = bids[-depth:], asks[:depth]
        kind = "  snapshot" if event.is_snapshot else ""
        return [*_two_sides("  ".join(bids), "  ".join(asks)), (kind, _DIM)]

    def _best(self, event: Quote | Ticker) -> Pieces:
        name = event.instrument
        bid = self._level(name, Level(event.bid_price, event.bid_size), "bid")
        ask = self._level(name, Level(event.ask_price, event.ask_size), "ask")
        return _two_sides(bid, ask)

    def _level(self, instrument: str, level: Level[Any], side: str) -> str:
        size = self._aligned("level size", instrument, level.size)
        price = self._aligned("level price", instrument, level.price)
        return f"{size} × {price}" if side == "bid" else f"{price} × {size}"

    def _ticker(self, event: Ticker) -> Pieces:
        last = self._aligned("level price", event.instrument, event.last)
        change = ""
        if event.last is not None and event.open_24h and float(event.open_24h):
            change = f"  {100 * (float(event.last) / float(event.open_24h) - 1):+.2f} % in 24 h"
        return [(f"last {last}  ", ""), *self._best(event), (change, _DIM)]

    def _candle(self, event: Candle) -> Pieces:
        name = event.instrument
        prices = "  ".join(
            f"{word} {self._aligned('level price', name, getattr(event, word))}"
            for word in ("open", "high", "low", "close")
        )
        volume = "" if event.volume is None else f"  volume {_text(event.volume)}"
        opened = "" if event.ts_event is None else format_time(event.ts_event)[11:16]
        end = "  confirmed" if event.confirmed else ""
        return [(f"{opened}  {prices}{volume}", ""), (end, _GREEN)]

    def _mark_price(self, event: MarkPrice) -> Pieces:
        return [(self._aligned("level price", event.instrument, event.price), "")]

    def _funding(self, event: FundingRate) -> Pieces:
        due = "" if event.funding_time is None else f"  due {format_time(event.funding_time)[:16]}"
        if event.funding_rate is None:
            return [(f"no rate{due}", "")]
        return [(f"{100 * float(event.funding_rate):+.6f} %{due}", "")]

    # --- form ------------------------------------------------------------------------------

    def _aligned(self, column: str, instrument: str, value: Any) -> str:
        """Return a number with its point below the others'; a column only ever grows."""
        whole, point, fraction = _text(value).partition(".")
        before, after = self._widest.get((column, instrument), (0, 0))
        before, after = max(before, len(whole)), max(after, len(point + fraction))
        self._widest[column, instrument] = before, after
        return f"{whole:>{before}}{point + fraction:<{after}}"

    def _painted(self, pieces: Pieces) -> str:
        left = self._width
        done: list[str] = []
        for text, colour in pieces:
            text = _CONTROL.sub("·", text)  # what the venue sends must not steer a terminal
            if left is not None:
                if len(text) > left:
                    text = text[: max(left - 1, 0)] + "…" if left else ""
                left -= len(text)
            if text:
                is_painted = self._in_colour and colour and not text.isspace()
                done.append(f"\x1b[{colour}m{text}\x1b[0m" if is_painted else text)
        return "".join(done).rstrip()


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _two_sides(bid: str, ask: str) -> Pieces:
    return [(bid, _GREEN), (" | ", _DIM), (ask, _RED)]


def _label(event: Event) -> str:
    """Return the channel's own name where it can be told, else that of the type."""
    plural = VIEW_NAMES[type(event)].replace("_", "-")
    single = _HUMP.sub("-", type(event).__name__).lower()
    return plural if plural in CHANNELS and single not in CHANNELS else single


def _connected(_: EventLines, event: Connected) -> Pieces:
    return [(f"{event.endpoint or ''} {event.url or ''}".strip(), "")]


def _subscribed(_: EventLines, event: Subscribed | Unsubscribed) -> Pieces:
    others = {k: v for k, v in event.argument.items() if k not in ("channel", "instId")}
    words = ["subscribed" if isinstance(event, Subscribed) else "unsubscribed"]
    return [(" ".join([*words, *(f"{key}={value}" for key, value in others.items())]), "")]


def _disconnected(_: EventLines, event: Disconnected) -> Pieces:
    lived = "" if event.duration is None else f" after {event.duration / NS_PER_SECOND:.1f} s"
    code = "" if event.code is None else f"{event.code} "
    return [(f"by the {event.by or 'network'}{lived}: {code}{event.reason}".strip(), "")]


def _said(_: EventLines, event: VenueError | Notice) -> Pieces:
    return [(f"{event.code}: {event.message}", "")]


def _gap(_: EventLines, event: SequenceGap) -> Pieces:
    return [(f"sequence gap: expected {event.expected_seq_id}, received {event.prev_seq_id}", "")]


def _fields(event: Event) -> Pieces:
    """Return every field that says something, as `name=value`."""
    parts = []
    for field in msgspec.structs.fields(event):
        value = getattr(event, field.name)
        if field.name not in _COMMON and value is not None and value not in ((), [], {}, ""):
            parts.append(f"{field.name}={_plain(value)}")
    return [("  ".join(parts), "")]


def _plain(value: Any) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


_FORMS: dict[type[Event], Callable[[EventLines, Any], Pieces]] = {
    Trade: EventLines._trade,
    BookUpdate: EventLines._book,
    Quote: EventLines._best,
    Ticker: EventLines._ticker,
    Candle: EventLines._candle,
    MarkPrice: EventLines._mark_price,
    FundingRate: EventLines._funding,
    Connected: _connected,
    Subscribed: _subscribed,
    Unsubscribed: _subscribed,
    Disconnected: _disconnected,
    VenueError: _said,
    Notice: _said,
    SequenceGap: _gap,
}
