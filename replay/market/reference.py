"""Pushes that follow the underlying and not the book: index, mark price, funding, open interest.

Responsible for `index-tickers` (per index) and `mark-price`, `funding-rate`, `open-interest` (per
swap): their text and pace as in the OKX API documentation. Refuses to know connections, as
`feed` does.
"""

from __future__ import annotations

from random import Random

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from replay.market.asset import Asset
from replay.market.chance import format_decimal, format_fixed
from replay.market.feed import Emit
from replay.market.instruments import Instrument

INDEX_CHANNELS = ("index-tickers",)
SWAP_CHANNELS = ("mark-price", "funding-rate", "open-interest")

_INDEX_REST_NS = 60 * NS_PER_SECOND  # pushed on change, else once a minute
_MARK_REST_NS = 10 * NS_PER_SECOND  # pushed on change, else every 10 s
_MARK_NS = 200 * NS_PER_MS
_INTEREST_NS = 3 * NS_PER_SECOND
_FUNDING_HOURS = 8


class Index:
    """The index of one currency against USDT."""

    def __init__(self, instrument: Instrument, asset: Asset, emit: Emit) -> None:
        self.id = instrument.index
        self.live: set[str] = set()
        self._asset = asset
        self._emit = emit
        self._decimals = instrument.price_decimals
        self._tick = instrument.tick
        self._open = self._high = self._low = self.price()
        self._pushed: int | None = None
        self._pushed_at = 0

    def publish(self, now_ns: int) -> None:
        """Push the index if it moved, or when a minute has passed without."""
        price = self.price()
        if price == self._pushed and now_ns - self._pushed_at < _INDEX_REST_NS:
            return
        self._high, self._low = max(self._high, price), min(self._low, price)
        self._pushed, self._pushed_at = price, now_ns
        if "index-tickers" not in self.live:
            return
        start = format_decimal(self._open, self._decimals)
        self._emit(
            "index-tickers",
            f'{{"arg":{{"channel":"index-tickers","instId":"{self.id}"}},"data":[{{'
            f'"instId":"{self.id}","idxPx":"{format_decimal(price, self._decimals)}",'
            f'"open24h":"{start}","high24h":"{format_decimal(self._high, self._decimals)}",'
            f'"low24h":"{format_decimal(self._low, self._decimals)}","sodUtc0":"{start}",'
            f'"sodUtc8":"{start}","ts":"{now_ns // NS_PER_MS}"}}]}}',
        )

    def start(self, channel: str, now_ns: int) -> None:
        """Switch the channel on and push the present value."""
        self.live.add(channel)
        self._pushed = None
        self.publish(now_ns)

    def stop(self, channel: str) -> None:
        """Switch the channel off."""
        self.live.discard(channel)

    def price(self) -> int:
        """Return the index, ticks."""
        return self._asset.price // self._tick


class Perpetual:
    """What a swap has beside its book.

    Attributes:
        basis: how far the fair price lies above the index, 1e-6.
    """

    def __init__(
        self, instrument: Instrument, asset: Asset, random: Random, emit: Emit, start_ns: int
    ) -> None:
        self.live: set[str] = set()
        self.basis = 120
        self._instrument = instrument
        self._asset = asset
        self._bits = random.getrandbits
        self._emit = emit
        self._interest = 2_500_000 * 10**instrument.size_decimals
        self._interest_changed = True
        self._mark: int | None = None
        self._mark_at = self._interest_at = self._funding_due = start_ns

    def fair(self) -> int:
        """Return the swap's fair price, ticks."""
        return self._asset.price * (1_000_000 + self.basis) // (1_000_000 * self._instrument.tick)

    def traded(self, lots: int, *, is_buy: bool) -> None:
        """Let a trade change the open interest: some open positions, some close them."""
        self._interest += lots // 2 if is_buy else -(lots // 3)
        self._interest_changed = True

    def publish(self, now_ns: int, *, is_quiet: bool = False) -> None:
        """Push what is due; called every 100 ms."""
        draw = self._bits(10)
        if draw < 16 and not is_quiet:
            self.basis = max(-600, min(900, self.basis + (draw - 8)))
        mark = self.fair()
        since = now_ns - self._mark_at
        if (mark != self._mark and since >= _MARK_NS) or since >= _MARK_REST_NS:
            self._push_mark(mark, now_ns)
        if self._interest_changed and now_ns - self._interest_at >= _INTEREST_NS:
            self._push_interest(now_ns)
        if now_ns >= self._funding_due:
            self._push_funding(now_ns)

    def start(self, channel: str, now_ns: int) -> None:
        """Switch a channel on and push its present value."""
        self.live.add(channel)
        if channel == "mark-price":
            self._push_mark(self.fair(), now_ns)
        elif channel == "open-interest":
            self._push_interest(now_ns)
        else:
            self._push_funding(now_ns)

    def stop(self, channel: str) -> None:
        """Switch a channel off."""
        self.live.discard(channel)

    def _push(self, channel: str, body: str) -> None:
        if channel in self.live:
            name = self._instrument.id
            head = f'{{"arg":{{"channel":"{channel}","instId":"{name}"}},"data":[{{'
            self._emit(channel, f"{head}{body}}}]}}")

    def _push_mark(self, mark: int, now_ns: int) -> None:
        self._mark, self._mark_at = mark, now_ns
        price = format_decimal(mark, self._instrument.price_decimals)
        self._push(
            "mark-price",
            f'"instId":"{self._instrument.id}","instType":"SWAP","markPx":"{price}",'
            f'"ts":"{now_ns // NS_PER_MS}"',
        )

    def _push_interest(self, now_ns: int) -> None:
        instrument = self._instrument
        self._interest_at, self._interest_changed = now_ns, False
        decimals = instrument.size_decimals + instrument.contract_decimals
        money = self._interest * self._asset.price // 10**decimals
        self._push(
            "open-interest",
            f'"instId":"{instrument.id}","instType":"SWAP",'
            f'"oi":"{format_decimal(self._interest, instrument.size_decimals)}",'
            f'"oiCcy":"{format_decimal(self._interest, decimals)}",'
            f'"oiUsd":"{format_decimal(money, 8)}","ts":"{now_ns // NS_PER_MS}"',
        )

    def _push_funding(self, now_ns: int) -> None:
        self._funding_due = now_ns + (30 + self._bits(6) * 60 // 64) * NS_PER_SECOND
        ms = now_ns // NS_PER_MS
        interval = _FUNDING_HOURS * 3_600_000
        due = ms - ms % interval + interval
        # A rate has 16 decimals: an eighth of the basis on top of the interest rate.
        rate = 100_000 * 10**7 + self.basis * 10**10 // 8 + self._bits(30)
        premium = self.basis * 10**10 + self._bits(30)
        self._push(
            "funding-rate",
            f'"formulaType":"withRate","fundingRate":"{format_fixed(rate, 16)}",'
            f'"fundingTime":"{due}","impactValue":"20000.0000000000000000",'
            f'"instId":"{self._instrument.id}","instType":"SWAP",'
            f'"interestRate":"0.0001000000000000","maxFundingRate":"0.00375",'
            f'"method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"",'
            f'"nextFundingTime":"{due + interval}","premium":"{format_fixed(premium, 16)}",'
            f'"settFundingRate":"0.0000612000000000","settState":"settled","ts":"{ms}"',
        )
