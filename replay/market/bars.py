"""Candles of every interval: traded, mark, index and spread prices.

Responsible for where a bar of each interval begins (OKX API docs: without `utc` long bars open at
UTC+8), for its prices and volumes, and for the text of its pushes. Refuses `candle1m` of an
instrument: `feed.py` makes that one from its tape.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.okx.subscription import Subscription
from replay.market.chance import format_decimal
from replay.market.feed import Emit
from replay.market.flow import Fill

_BAR = re.compile(r"(\d+)([smHDWM])(utc)?")
_UNIT_MS = {"s": 1_000, "m": 60_000, "H": 3_600_000, "D": 86_400_000, "W": 604_800_000}
_UTC8_MS = 8 * 3_600_000
_MONDAY_MS = 4 * 86_400_000  # the epoch was a Thursday
_EVERY_NS = 8 * NS_PER_SECOND


def bar_start(interval: str, ms: int) -> int:
    """Return where the bar that holds a time begins, ms since the epoch.

    >>> bar_start("1H", 7_200_001), bar_start("1D", 60_000), bar_start("1Dutc", 60_000)
    (7200000, -28800000, 0)
    """
    match = _BAR.fullmatch(interval)
    if match is None:
        raise ValueError(f"expected an interval such as 1m or 1Dutc, received {interval!r}")
    number, unit = int(match[1]), match[2]
    shift = 0 if match[3] else _UTC8_MS
    if unit == "M":
        moment = datetime.fromtimestamp((ms + shift) // 1_000, UTC)
        month = moment.month - (moment.month - 1) % number
        start = datetime(moment.year, month, 1, tzinfo=UTC)
        return int(start.timestamp()) * 1_000 - shift
    shift -= _MONDAY_MS if unit == "W" else 0
    length = number * _UNIT_MS[unit]
    return (ms + shift) // length * length - shift


class _Bar(msgspec.Struct, gc=False):
    start: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    turnover: int = 0


class Bars:
    """One candle channel of one instrument.

    Args:
        asked: the subscription it answers, e.g. `mark-price-candle4H`.
        price: gives the present price in ticks.
        decimals: of a price. volumes: gives the volume columns from lots and ticks × lots;
            None: it has none (mark and index prices).
    """

    def __init__(
        self, asked: Subscription, price: Callable[[], int], decimals: int, emit: Emit,
        volumes: Callable[[int, int], list[str]] | None,
    ) -> None:  # fmt: skip
        self.asked = asked
        self._interval = asked.channel.rpartition("candle")[2]
        self._price = price
        self._decimals = decimals
        self._emit = emit
        self._volumes = volumes
        self._bar: _Bar | None = None
        self._is_live = False
        self._told_at = 0
        self._has_changed = False

    def start(self, channel: str, now_ns: int) -> None:
        """Switch the channel on and push the open bar."""
        self._is_live = True
        self._roll(now_ns)
        self._push(now_ns, is_done=False)

    def stop(self, channel: str) -> None:
        """Switch the channel off."""
        self._is_live = False

    def part_of(self, fill: Fill) -> int:
        """Have no part in any trade."""
        return 0

    def traded(self, fill: Fill, trade_id: int, own: int, now_ns: int) -> None:
        """Count a trade into the bar."""
        bar = self._roll(now_ns)
        bar.lots += fill.size
        bar.turnover += fill.size * fill.price
        self._see(bar, fill.price)

    def act(self, now_ns: int) -> int:
        """Look at the price; push the finished bar, or the open one now and then."""
        self._see(self._roll(now_ns), self._price())
        if self._has_changed and now_ns - self._told_at >= _EVERY_NS:
            self._push(now_ns, is_done=False)
        return now_ns + NS_PER_SECOND

    def _see(self, bar: _Bar, price: int) -> None:
        if price != bar.close:
            bar.close = price
            bar.high, bar.low = max(bar.high, price), min(bar.low, price)
            self._has_changed = True

    def _roll(self, now_ns: int) -> _Bar:
        start = bar_start(self._interval, now_ns // NS_PER_MS)
        bar = self._bar
        if bar is None or bar.start != start:
            if bar is not None:
                self._push(now_ns, is_done=True)
            price = self._price() if bar is None else bar.close
            bar = self._bar = _Bar(start, price, price, price, price)
        return bar

    def _push(self, now_ns: int, *, is_done: bool) -> None:
        bar = self._bar
        if not self._is_live or bar is None:
            return
        self._told_at, self._has_changed = now_ns, False
        told = bar.open, bar.high, bar.low, bar.close
        prices = [format_decimal(price, self._decimals) for price in told]
        volumes = [] if self._volumes is None else self._volumes(bar.lots, bar.turnover)
        row = [str(bar.start), *prices, *volumes, "1" if is_done else "0"]
        push = {"arg": self.asked.argument, "data": [row]}
        self._emit(self.asked.channel, msgspec.json.encode(push).decode())
