"""Validation: what a market would not do, counted per rule.

Responsible for telling a quant that recorded data look wrong though every byte of it is right: a
venue's mistake, a clock that is off, an outage nobody told. Pure. Refuses to judge a capture by it:
`verify` shows the counts and its verdict does not depend on them, since a market may do anything.

Not every event is comparable: trades, bars and quotes are judged against the last one of the same
connection, channel and instrument, so that redundant links and reconnects raise nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

from recorder.clock import NS_PER_DAY, NS_PER_SECOND
from recorder.event import (
    BookUpdate,
    Candle,
    Disconnected,
    Event,
    IndexPrice,
    Level,
    MarkPrice,
    Quote,
    Ticker,
    Trade,
)

RULES = {
    "candle_range": "a bar whose low or high does not hold its open and close",
    "candle_alignment": "a bar that does not begin where bars of its length begin",
    "candle_changed": "a finished bar that came again with other values",
    "price_not_positive": "a price at or below zero (spreads may have one)",
    "size_negative": "a size below zero, or a trade of nothing",
    "crossed": "a best bid above the best ask (or at it) in one quote or whole book",
    "levels_unordered": "levels of a whole book that are not best first, or doubled",
    "trade_repeated": "a trade id at or below the one before it",
    "trade_missing": "trade ids between two pushes that no push covered",
    "ahead_of_clock": "venue time more than 2 s after the receive time: the machine's clock lags",
    "behind_clock": "a live update more than 60 s old when received: a slow clock or a slow feed",
}
"""What each rule counts, in words for a person."""

_AHEAD = 2 * NS_PER_SECOND
_BEHIND = 60 * NS_PER_SECOND
_HOUR = 3_600 * NS_PER_SECOND
_UNITS = {"s": NS_PER_SECOND, "m": 60 * NS_PER_SECOND, "H": _HOUR, "D": NS_PER_DAY}
_BAR = re.compile(r"(\d+)([smHDWM])(utc)?")
_DEEP = ("books", "books-l2-tbt", "books50-l2-tbt")
"""Books whose `trades` neighbours and own updates are live; `books5` may rest for minutes."""

_Key: TypeAlias = tuple[int, str, str]


class Validator:
    """Counts breaches over events in order; memory is bounded by what is subscribed at once.

    Attributes:
        counts: breaches per rule of `RULES`; rules without any are left out.
        events: events judged.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.events = 0
        self._trades: dict[_Key, int] = {}
        self._bars: dict[_Key, tuple[Any, ...]] = {}
        self._rules: dict[type[Event], Callable[[Any, int], None]] = {
            Trade: self._trade,
            BookUpdate: self._book,
            Quote: self._quote,
            Ticker: self._ticker,
            Candle: self._candle,
            MarkPrice: self._mark,
            IndexPrice: self._index,
            Disconnected: self._closed,
        }

    def take(self, event: Event, connection: int = 0) -> None:
        """Judge one event; `connection` is that of its frame."""
        rule = self._rules.get(type(event))
        if rule is not None:
            self.events += 1
            rule(event, connection)

    def _breach(self, rule: str, count: int = 1) -> None:
        self.counts[rule] = self.counts.get(rule, 0) + count

    def _trade(self, event: Trade, connection: int) -> None:
        if not event.size > 0:
            self._breach("size_negative")
        if not event.price > 0 and not event.channel.startswith("sprd-"):
            self._breach("price_not_positive")
        key = (connection, event.channel, event.instrument)
        before = self._trades.get(key)
        self._clock(event.ts_event, event.ts_recv, is_live=before is not None)
        if not event.trade_id.isdecimal():
            return
        number = int(event.trade_id)
        self._trades[key] = number
        if before is None:
            return
        if number <= before:
            self._breach("trade_repeated")
            return
        # A push of `trades` is numbered by the last of the `count` fills it stands for.
        if event.channel in ("trades", "trades-all") and number - max(event.count, 1) > before:
            self._breach("trade_missing", number - max(event.count, 1) - before)

    def _book(self, event: BookUpdate, connection: int) -> None:
        bids, asks = event.bids, event.asks
        for level in (*bids, *asks):
            if level.size < 0:
                self._breach("size_negative")
        is_spread = event.channel.startswith("sprd-")
        if not is_spread and any(not level.price > 0 for level in (*bids, *asks)):
            self._breach("price_not_positive")
        if event.is_snapshot:
            if bids and asks and bids[0].price >= asks[0].price:
                self._breach("crossed")
            if not (_is_falling(bids) and _is_falling(asks[::-1])):
                self._breach("levels_unordered")
        self._clock(
            event.ts_event,
            event.ts_recv,
            is_live=event.channel in _DEEP and not event.is_snapshot,
        )

    def _quote(self, event: Quote, connection: int) -> None:
        self._two_sides(event, is_spread=event.channel.startswith("sprd-"))

    def _ticker(self, event: Ticker, connection: int) -> None:
        is_spread = "_" in event.instrument  # sprdId: two legs joined by an underscore
        self._two_sides(event, is_spread=is_spread)
        if event.last is not None and not event.last > 0 and not is_spread:
            self._breach("price_not_positive")

    def _two_sides(self, event: Quote | Ticker, *, is_spread: bool) -> None:
        bid, ask = event.bid_price, event.ask_price
        for price, size in ((bid, event.bid_size), (ask, event.ask_size)):
            if size is not None and size < 0:
                self._breach("size_negative")
            # An empty side of a ticker is a zero with a size of zero.
            if price is not None and size and not price > 0 and not is_spread:
                self._breach("price_not_positive")
        if bid is not None and ask is not None and event.bid_size and event.ask_size and bid >= ask:
            self._breach("crossed")
        self._clock(event.ts_event, event.ts_recv, is_live=False)

    def _mark(self, event: MarkPrice, connection: int) -> None:
        if event.price is not None and event.price < 0:  # an option may be worth nothing
            self._breach("price_not_positive")
        self._clock(event.ts_event, event.ts_recv, is_live=True)

    def _index(self, event: IndexPrice, connection: int) -> None:
        if event.price is not None and not event.price > 0:
            self._breach("price_not_positive")
        self._clock(event.ts_event, event.ts_recv, is_live=False)

    def _candle(self, event: Candle, connection: int) -> None:
        opened, high, low, close = event.open, event.high, event.low, event.close
        if None not in (opened, high, low, close):
            prices: tuple[Any, Any] = (opened, close)
            if not (low <= min(prices) and high >= max(prices)):
                self._breach("candle_range")
        if not event.channel.startswith("sprd-") and low is not None and low < 0:
            self._breach("price_not_positive")
        for volume in (event.volume, event.volume_ccy, event.volume_quote):
            if volume is not None and volume < 0:
                self._breach("size_negative")
        if event.ts_event is None:
            return
        if not is_aligned(event.ts_event, event.interval):
            self._breach("candle_alignment")
        if event.ts_event > event.ts_recv + _AHEAD:
            self._breach("ahead_of_clock")
        if not event.confirmed:
            return
        key = (connection, event.channel, event.instrument)
        bar = (event.ts_event, opened, high, low, close, event.volume)
        before = self._bars.get(key)
        if before is not None and before[0] == bar[0] and before != bar:
            self._breach("candle_changed")
        self._bars[key] = bar

    def _closed(self, event: Disconnected, connection: int) -> None:
        """Forget what a connection said: its numbers are never used again."""
        for kept in (self._trades, self._bars):
            for key in [key for key in kept if key[0] == event.connection]:
                del kept[key]

    def _clock(self, ts_event: int | None, ts_recv: int, *, is_live: bool) -> None:
        """Compare venue time and receive time; what may be a cached first push is never late."""
        if ts_event is None:
            return
        if ts_event > ts_recv + _AHEAD:
            self._breach("ahead_of_clock")
        elif is_live and ts_event < ts_recv - _BEHIND:
            self._breach("behind_clock")


def is_aligned(ts_event: int, interval: str) -> bool:
    """Tell whether a bar may begin at a time; of intervals nobody knows, true.

    Bars of six hours and more begin at UTC+8 boundaries, unless their name ends in `utc` (OKX API
    docs, candlesticks channel). Weeks, months and bars of several days are held to whole days.
    """
    match = _BAR.fullmatch(interval)
    if match is None:
        return True
    count, unit, utc = int(match[1]), match[2], match[3]
    length = count * _UNITS[unit] if unit in _UNITS else NS_PER_DAY
    if length > NS_PER_DAY:
        length = NS_PER_DAY
    shift = 8 * _HOUR if length >= 6 * _HOUR and not utc else 0
    return (ts_event + shift) % length == 0


def _is_falling(levels: list[Level[Any]]) -> bool:
    return all(a.price > b.price for a, b in pairwise(levels))
