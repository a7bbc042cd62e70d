"""The tape of one instrument: last trade, one-minute bars and the last 24 hours.

Responsible for what tickers and candles say, computed from every trade the venue made, pushed or
not. Refuses to write wire text (`feed`). Before the start it assumes a flat, evenly traded day.
"""

from __future__ import annotations

from collections import deque

import msgspec

from recorder.clock import NS_PER_MS

MINUTE_MS = 60_000
_DAY_MINUTES = 1_440
_DAY_MS = 86_400_000
_UTC8_MS = 8 * 3_600_000


class Bar(msgspec.Struct, gc=False):
    """A one-minute bar; `turnover` is the sum of price × size, in ticks × lots.

    Attributes:
        start_ms: its open, ms since the epoch. trades: trades in it (0: it repeats a close).
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int = 0
    trades: int = 0


class Tape:
    """Running statistics of one instrument.

    Attributes:
        last_price, last_size: of the last trade, ticks and lots.
        bar: the bar of the current minute.
        volume, turnover: of the last 24 hours, lots and ticks × lots.
        high, low, open: of the last 24 hours, ticks.
        open_utc0, open_utc8: open of the day at UTC+0 and UTC+8, ticks.
    """

    def __init__(self, price: int, size: int, now_ns: int) -> None:
        now_ms = now_ns // NS_PER_MS
        self.last_price = price
        self.last_size = size
        self.open_utc0 = price
        self.open_utc8 = price
        start = now_ms - now_ms % MINUTE_MS
        self.bar = Bar(start, price, price, price, price)
        quiet = Bar(0, price, price, price, price, 200 * size, 200 * size * price)
        self._day: deque[Bar] = deque([quiet] * _DAY_MINUTES, maxlen=_DAY_MINUTES)
        self.volume = quiet.volume * _DAY_MINUTES
        self.turnover = quiet.turnover * _DAY_MINUTES
        self.high = self.low = self.open = price

    def trade(self, price: int, size: int) -> None:
        """Count a trade into the bar and the day."""
        bar = self.bar
        if bar.trades == 0:
            # The first trade opens the bar; until then it repeated the close before it.
            bar.open = bar.high = bar.low = price
        elif price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        turnover = price * size
        bar.close = price
        bar.volume += size
        bar.turnover += turnover
        bar.trades += 1
        self.last_price = price
        self.last_size = size
        self.volume += size
        self.turnover += turnover
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price

    def roll(self) -> Bar:
        """End the current minute: return its final bar and begin the next one."""
        done = self.bar
        oldest = self._day[0]
        self._day.append(done)
        self.volume -= oldest.volume
        self.turnover -= oldest.turnover
        self.open = self._day[0].open
        self.high = max(bar.high for bar in self._day)
        self.low = min(bar.low for bar in self._day)
        close = done.close
        self.bar = Bar(done.start_ms + MINUTE_MS, close, close, close, close)
        if self.bar.start_ms % _DAY_MS == 0:
            self.open_utc0 = close
        if (self.bar.start_ms + _UTC8_MS) % _DAY_MS == 0:
            self.open_utc8 = close
        return done
