"""What a simulated venue serves beside its markets: an account, and every other channel.

Responsible for which sources there are, for which subscription each answers, and when each acts.
Refuses to write any push.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.errors import UsageError
from recorder.okx.channels import BARS
from recorder.okx.subscription import Subscription
from replay.market.bars import Bars
from replay.market.chance import format_decimal
from replay.market.depth import Depth
from replay.market.desk import Desk
from replay.market.feed import BUSINESS_CHANNELS, PUBLIC_CHANNELS, Emit
from replay.market.rarities import Rarities
from replay.market.reference import INDEX_CHANNELS, SWAP_CHANNELS
from replay.market.spread import Spread
from replay.market.statement import ARGUMENTS, PrivateFeed
from replay.market.trader import Trader
from replay.market.venue import Actor, Market, Venue

UID = "446556018520336384"
"""Of the simulated account."""


class Source(Protocol):
    """Something that pushes channels while they are switched on."""

    def start(self, channel: str, now_ns: int) -> None:
        """Switch a channel on and make its first push."""

    def stop(self, channel: str) -> None:
        """Switch a channel off."""


class Offer:
    """Everything a session may ask for.

    Attributes:
        sources: who answers each subscription, in the order of asking.
        actors: of what is no market, each with the time of its first act.
    """

    def __init__(self, venue: Venue, emit: Emit, seed: int) -> None:
        self.sources: dict[Subscription, Source] = {}
        self.actors: list[tuple[int, Actor]] = []
        self._venue = venue
        self._emit = emit
        self._random = Random(seed ^ 0xACC0_0001)  # apart from the market's

    def add_markets(self) -> None:
        """Offer what the markets push by themselves."""
        for channel, name in self._venue.channels():
            self._add_market(channel, name)

    def add_account(self) -> None:
        """Offer the private channels of a trader; from then on he trades.

        Raises:
            UsageError: there is no spot instrument, or no swap.
        """
        spot, swap = self._pair()
        start = self._venue.start_ns
        trader = Trader(spot, swap, Random(self._random.getrandbits(64)), start)
        feed = PrivateFeed(trader, UID, self._emit)
        for argument in ARGUMENTS.values():
            pairs = tuple((key, text) for key, text in argument.items() if key != "channel")
            self.sources[Subscription(argument["channel"], pairs)] = feed
        self.actors += [
            (start + 900 * NS_PER_MS, trader.act),
            (start + 5 * NS_PER_SECOND, feed.repeat),
        ]

    def add_every_channel(self) -> None:
        """Offer every channel there is, each once or a few times.

        The tick-by-tick books stand at other instruments than `books`: one connection may not
        hold them together (64004).

        Raises:
            UsageError: fewer than three instruments, no spot instrument, or no swap.
        """
        spot, swap = self._pair()
        third = next((m for m in self._venue.markets.values() if m not in (spot, swap)), None)
        if third is None:
            raise UsageError(
                "expected at least three instruments for every channel, received fewer; "
                "e.g. BTC-USDT, ETH-USDT and BTC-USDT-SWAP"
            )
        for channel in PUBLIC_CHANNELS + BUSINESS_CHANNELS:
            self._add_market(channel, spot.instrument.id)
        for channel in SWAP_CHANNELS:
            self._add_market(channel, swap.instrument.id)
        for channel in INDEX_CHANNELS:
            self._add_market(channel, swap.instrument.index)
        for channel, market in (
            ("books-l2-tbt", third),
            ("books50-l2-tbt", swap),
            ("books-rpi", spot),
            ("books-elp", spot),
        ):
            depth = Depth(channel, market.instrument, market.flow, self._emit)
            self._add(depth.asked, depth, depth.act, NS_PER_SECOND)
        spread = Spread(spot, swap, Random(self._random.getrandbits(64)), self._emit)
        for asked in spread.subscriptions:
            self.sources[asked] = spread
        self.actors.append((self._venue.start_ns + NS_PER_SECOND, spread.act))
        self._add_candles(spot, swap, spread)
        rarities = Rarities(spot, swap, self._emit).scripts()
        for script in (*rarities, *Desk(spot, swap, spread.id, UID, self._emit).scripts()):
            self.sources[script.asked] = script
            self.actors.append((script.first_act(self._venue.start_ns), script.act))
        self.add_account()

    def _add_candles(self, spot: Market, swap: Market, spread: Spread) -> None:
        ticks, lots = spot.instrument.price_decimals, spot.instrument.size_decimals

        def traded(volume: int, turnover: int) -> list[str]:
            money = format_decimal(turnover, ticks + lots)
            return [format_decimal(volume, lots), money, money]

        def of_spread(volume: int, turnover: int) -> list[str]:
            return ["0"]

        index = self._venue.indexes[swap.instrument.index]
        by_spread = ("sprdId", spread.id)
        for number, bar in enumerate(("1s", *BARS)):
            if bar != "1m":  # that one comes from the tape
                asked = Subscription(f"candle{bar}", (("instId", spot.instrument.id),))
                bars = Bars(asked, lambda: spot.tape.last_price, ticks, self._emit, traded)
                spot.feed.watchers.append(bars)
                self._add(asked, bars, bars.act, (100 + number) * NS_PER_MS)
            if bar == "1s":
                continue
            of_swap = ("instId", swap.instrument.id)
            decimals = swap.instrument.price_decimals
            others: tuple[tuple[str, tuple[str, str], Callable[[], int], int], ...] = (
                ("mark-price-candle", of_swap, swap.fair, decimals),
                ("index-candle", ("instId", index.id), index.price, decimals),
                ("sprd-candle", by_spread, spread.mid, spread.decimals),
            )
            for kind, argument, price, shown in others:
                asked = Subscription(f"{kind}{bar}", (argument,))
                volumes = of_spread if kind == "sprd-candle" else None
                bars = Bars(asked, price, shown, self._emit, volumes)
                self._add(asked, bars, bars.act, (200 + number) * NS_PER_MS)

    def _add(self, asked: Subscription, source: Source, act: Actor, after_ns: int) -> None:
        self.sources[asked] = source
        self.actors.append((self._venue.start_ns + after_ns, act))

    def _add_market(self, channel: str, name: str) -> None:
        asked = Subscription(channel, (("instId", name),))
        self.sources[asked] = self._venue.source(channel, name)

    def _pair(self) -> tuple[Market, Market]:
        markets = self._venue.markets.values()
        spot = next((m for m in markets if not m.instrument.is_swap), None)
        swap = next((m for m in markets if m.instrument.is_swap), None)
        if spot is None or swap is None:
            raise UsageError(
                "expected a spot instrument and a swap for a simulated account, received "
                f"{', '.join(self._venue.markets)}; e.g. BTC-USDT and BTC-USDT-SWAP"
            )
        return spot, swap
