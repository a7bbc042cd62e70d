"""Stats: what a backtest came to, of one strategy, as it goes: nothing is kept but sums.

Responsible for the definitions (docs/backtest.md states each). Refuses to know prices: amounts come
in the reporting currency. Money is exact; ratios are floats.
"""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.okx.contracts import ONE, to_decimal

_YEAR = 365 * 86_400 * NS_PER_SECOND


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's result; money in `currency`, exact text in JSON.

    Attributes:
        start, end: of the equity curve, ns; samples: of it; sample_seconds: between two.
        initial_equity, final_equity, pnl: open positions at the last mark, not closed.
        fees, funding: changes of cash, negative is paid, valued when they happened.
        turnover: value of all fills.
        max_drawdown: largest fall of sampled equity from an earlier height; max_drawdown_ratio: of
            that height.
        sharpe: mean over standard deviation of the samples' returns, times the square root of the
            samples in a year of 365 days; None with fewer than 2 returns, or where none differs.
        orders, rejected, canceled, fills: counts; fill_ratio: filled over ordered size, in value
            of the orders' own prices (market orders at their average price); None without orders.
        maker_share: of turnover, None without fills.
        time_in_market: share of samples with a position (derivatives) or other holdings than at the
            start (spot); None without samples.
        slippage_bps: what fills paid against the middle of the book when the order was sent, in
            basis points, weighted by value, positive is worse; slippage_at_fill_bps: against the
            middle at the fill; None where no fill had such a middle.
    """

    strategy: str
    currency: str
    start: int
    end: int
    samples: int
    sample_seconds: float
    initial_equity: Decimal
    final_equity: Decimal
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    turnover: Decimal
    max_drawdown: Decimal
    max_drawdown_ratio: float
    sharpe: float | None
    orders: int
    rejected: int
    canceled: int
    fills: int
    fill_ratio: float | None
    maker_share: float | None
    time_in_market: float | None
    slippage_bps: float | None
    slippage_at_fill_bps: float | None
    positions: dict[str, Decimal]
    balances: dict[str, Decimal]


class Tally:
    """Sums of one strategy; amounts in 1e-18 of the reporting currency."""

    def __init__(self) -> None:
        self.start = self.end = 0
        self.samples = self.with_position = 0
        self.first = self.last = self.peak = self.fall = 0
        self.fall_ratio = 0.0
        self.fees = self.funding = self.turnover = self.made = 0
        self.orders = self.rejected = self.canceled = self.fills = 0
        self.ordered = self.filled = 0.0
        self._returns = 0
        self._mean = self._squares = 0.0
        self._slipped = {"sent": [0.0, 0.0], "fill": [0.0, 0.0]}

    def sample(self, time: int, equity: int, *, has_position: bool) -> int:
        """Take a value of the equity curve; return the drawdown."""
        if not self.samples:
            self.start, self.first, self.peak = time, equity, equity
        elif self.last > 0:
            # Welford: exact enough, and the same in every process.
            change = (equity - self.last) / self.last
            self._returns += 1
            delta = change - self._mean
            self._mean += delta / self._returns
            self._squares += delta * (change - self._mean)
        self.samples += 1
        self.with_position += has_position
        self.end, self.last = time, equity
        self.peak = max(self.peak, equity)
        fall = self.peak - equity
        self.fall = max(self.fall, fall)
        if self.peak > 0:
            self.fall_ratio = max(self.fall_ratio, fall / self.peak)
        return fall

    def slipped(self, against: str, bps: float, value: int) -> None:
        """Take what a fill paid against a middle: `sent` or `fill`."""
        total = self._slipped[against]
        weight = value / ONE
        total[0] += bps * weight
        total[1] += weight

    def sharpe(self, sample: int) -> float | None:
        """Return the annual Sharpe ratio of the samples' returns."""
        if self._returns < 2 or self._squares <= 0:
            return None
        deviation = math.sqrt(self._squares / (self._returns - 1))
        return self._mean / deviation * math.sqrt(_YEAR / sample)

    def stats(
        self,
        strategy: str,
        currency: str,
        sample: int,
        positions: dict[str, Decimal],
        balances: dict[str, Decimal],
    ) -> Stats:
        """Return what all of it came to."""
        return Stats(
            strategy=strategy,
            currency=currency,
            start=self.start,
            end=self.end,
            samples=self.samples,
            sample_seconds=sample / NS_PER_SECOND,
            initial_equity=to_decimal(self.first),
            final_equity=to_decimal(self.last),
            pnl=to_decimal(self.last - self.first),
            fees=to_decimal(self.fees),
            funding=to_decimal(self.funding),
            turnover=to_decimal(self.turnover),
            max_drawdown=to_decimal(self.fall),
            max_drawdown_ratio=self.fall_ratio,
            sharpe=self.sharpe(sample),
            orders=self.orders,
            rejected=self.rejected,
            canceled=self.canceled,
            fills=self.fills,
            fill_ratio=self.filled / self.ordered if self.ordered else None,
            maker_share=self.made / self.turnover if self.turnover else None,
            time_in_market=self.with_position / self.samples if self.samples else None,
            slippage_bps=_mean(self._slipped["sent"]),
            slippage_at_fill_bps=_mean(self._slipped["fill"]),
            positions=positions,
            balances=balances,
        )


def _mean(total: list[float]) -> float | None:
    return total[0] / total[1] if total[1] else None
