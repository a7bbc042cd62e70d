"""The venue: every instrument's market, moved through data time.

Responsible for which part of the market acts when: bursts of orders, book pushes, bars, fair
prices, and the phases a scenario asks for (quiet, frenzy, sequence reset). Refuses to know who
listens: pushes go to a callable, channels are switched on and off from outside.

Each part is an actor: a callable that acts at a time and returns when it wants to act again.
`Venue.actors` lists them in a fixed order, which is also their order at one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from replay.market.asset import STEP_NS, Asset, Factor
from replay.market.chance import BOOK_SPACING_MS, EXPONENTIAL
from replay.market.feed import BUSINESS_CHANNELS, PUBLIC_CHANNELS, Emit, Feed
from replay.market.flow import Flow
from replay.market.instruments import Instrument
from replay.market.reference import INDEX_CHANNELS, SWAP_CHANNELS, Index, Perpetual
from replay.market.tape import MINUTE_MS, Tape

Actor = Callable[[int], int]
"""Act at a time (ns); return the time of the next act."""

_BURST_GAP_NS = 80 * NS_PER_MS  # mean gap between bursts of one instrument at rest
_BURST_GAP_MIN_NS = 10 * NS_PER_MS
_EXCITEMENT_NS = NS_PER_SECOND  # how fast the excitement after a trade fades
_MINUTE_NS = MINUTE_MS * NS_PER_MS


class Market:
    """One instrument: its flow, its tape, its feed, and its rhythm.

    Attributes:
        settle: called after every burst, for what else trades then (a watched trader's orders).
    """

    def __init__(
        self, venue: Venue, instrument: Instrument, asset: Asset, random: Random, emit: Emit
    ) -> None:
        self.instrument = instrument
        self._venue = venue
        self.asset = asset
        self._bits = random.getrandbits
        self.perpetual = (
            Perpetual(instrument, asset, random, emit, venue.start_ns)
            if instrument.is_swap
            else None
        )
        fair = self.fair()
        self.flow = Flow(instrument, fair, random)
        self.tape = Tape(fair, instrument.typical_lots, venue.start_ns)
        self.feed = Feed(instrument, self.flow, self.tape, emit)
        self.settle: Callable[[int], None] = lambda now: None
        self._excitement = 0

    def burst(self, now: int) -> int:
        """Let traders act once; the more has happened lately the sooner they act again."""
        bits = self._bits(8)
        if self._venue.is_quiet:
            return now + NS_PER_SECOND + bits * NS_PER_MS
        fills = self.flow.burst(self.fair())
        if fills:
            self.feed.traded(fills, now)
            self._excitement = min(4_000, self._excitement + self._venue.excitement_per_burst)
            if self.perpetual is not None:
                for fill in fills:
                    self.perpetual.traded(fill.size, is_buy=fill.is_buy)
        self.settle(now)
        self.feed.quoted(now)
        mean = self._venue.burst_gap_ns * 100_000 // (self.asset.swing * (1_000 + self._excitement))
        gap = max(_BURST_GAP_MIN_NS, mean * EXPONENTIAL[bits] >> 10)
        self._excitement = self._excitement * _EXCITEMENT_NS // (_EXCITEMENT_NS + gap)
        return now + gap

    def publish(self, now: int) -> int:
        """Push the book, about every 100 ms."""
        if not self._venue.is_quiet:
            self.flow.settle()
        self.feed.publish(now)
        draw = self._bits(20)
        return now + BOOK_SPACING_MS[draw & 63] * NS_PER_MS + (draw >> 6)

    def fair(self) -> int:
        """Return the fair price, ticks."""
        if self.perpetual is not None:
            return self.perpetual.fair()
        return self.asset.price // self.instrument.tick


class Venue:
    """Every market of a simulation.

    Args:
        instruments: what is traded, in order.
        emit: takes (channel, text) of every push of a channel that is on.
        seed: decides everything.
        rate: order activity against the default, in permille.
        start_ns: data time of the start, ns since the epoch.

    Attributes:
        is_quiet: nobody trades and no price moves (a scenario's quiet stretch).
        heat: variance of all prices in percent of normal (a scenario's frenzy).
    """

    def __init__(
        self, instruments: Sequence[Instrument], emit: Emit, *, seed: int, rate: int, start_ns: int
    ) -> None:
        self.start_ns = start_ns
        self.is_quiet = False
        self.heat = 100
        self.burst_gap_ns = _BURST_GAP_NS * 1_000 // rate
        # Below 1, so that excitement dies out: bursts caused per burst, see `Market.burst`.
        self.excitement_per_burst = max(1, 100 * 1_000 // rate)
        source = Random(seed)
        self._common = Factor(Random(source.getrandbits(64)))
        self._assets: dict[str, Asset] = {}
        self.indexes: dict[str, Index] = {}
        self.markets: dict[str, Market] = {}
        for instrument in instruments:
            base = instrument.base
            asset = self._assets.get(base)
            if asset is None:
                own = Random(source.getrandbits(64))
                asset = self._assets[base] = Asset(instrument.start_price, self._common, own)
            if instrument.is_swap and instrument.index not in self.indexes:
                self.indexes[instrument.index] = Index(instrument, asset, emit)
            self.markets[instrument.id] = Market(
                self, instrument, asset, Random(source.getrandbits(64)), emit
            )

    def actors(self) -> list[tuple[int, Actor]]:
        """Return every actor with the time of its first act, in order of precedence."""
        start = self.start_ns
        actors: list[tuple[int, Actor]] = [
            (start, self._move_prices),
            (start - start % _MINUTE_NS + _MINUTE_NS, self._end_minute),
        ]
        for number, market in enumerate(self.markets.values()):
            # Instruments do not push in step: each has its own phase.
            phase = 7 * NS_PER_MS * (number + 1)
            actors += [(start + phase, market.burst), (start + 2 * phase, market.publish)]
        actors += [(start + NS_PER_SECOND, self._push_bars), (start, self._push_references)]
        return actors

    def channels(self) -> list[tuple[str, str]]:
        """Return (channel, instId) of everything the venue serves, in subscription order."""
        served: list[tuple[str, str]] = []
        for name, market in self.markets.items():
            served += [(channel, name) for channel in PUBLIC_CHANNELS + BUSINESS_CHANNELS]
            if market.perpetual is not None:
                served += [(channel, name) for channel in SWAP_CHANNELS]
        served += [(channel, name) for name in self.indexes for channel in INDEX_CHANNELS]
        return served

    def source(self, channel: str, name: str) -> Feed | Index | Perpetual:
        """Return what pushes this channel: it has `start`, `stop` and `live`."""
        if channel in INDEX_CHANNELS:
            return self.indexes[name]
        market = self.markets[name]
        if channel in SWAP_CHANNELS and market.perpetual is not None:
            return market.perpetual
        return market.feed

    # --- actors -----------------------------------------------------------------------------

    def _move_prices(self, now: int) -> int:
        if not self.is_quiet:
            self._common.heat = self.heat
            move = self._common.draw()
            for asset in self._assets.values():
                asset.move(move, self.heat)
        return now + STEP_NS

    def _push_references(self, now: int) -> int:
        for index in self.indexes.values():
            index.publish(now)
        for market in self.markets.values():
            if market.perpetual is not None:
                market.perpetual.publish(now, is_quiet=self.is_quiet)
        return now + STEP_NS

    def _push_bars(self, now: int) -> int:
        for market in self.markets.values():
            market.feed.publish_bar(now)
        return now + NS_PER_SECOND

    def _end_minute(self, now: int) -> int:
        for market in self.markets.values():
            market.feed.close_bar()
        return now + _MINUTE_NS
