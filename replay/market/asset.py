"""The fair price of an underlying: a random walk whose volatility clusters.

Responsible for one latent price per currency, moved every 100 ms of data time by its own noise
and by a factor all currencies share. Refuses to know books: the order flow chases this price.
"""

from __future__ import annotations

from math import isqrt
from random import Random

STEP_NS = 100_000_000
"""Data time between two moves of a fair price."""

_CALM_VARIANCE = 10_000**2
"""Variance of one move at rest, in (1e-9)²: 10 ppm per 100 ms is some 18 % a year."""

_REGIMES = (30, 45, 60, 80, 100, 130, 200, 400)
"""Percent of the variance at rest to which a market returns, for half a minute or so each."""

_PARTS = 1_000_000_000


class Factor:
    """Returns with clustered volatility (a GARCH(1,1) in integers).

    Attributes:
        variance: of the next return, (1e-9)²; at rest `_CALM_VARIANCE`.
        heat: multiplies the variance, in percent; a scenario's burst raises it.
    """

    __slots__ = ("_bits", "_rest", "heat", "variance")

    def __init__(self, random: Random) -> None:
        self._bits = random.getrandbits
        self.variance = self._rest = _CALM_VARIANCE
        self.heat = 100

    def draw(self) -> int:
        """Return the next return, in 1e-9, and let it raise or lower what follows."""
        # A count of 256 fair bits is as good as normal: mean 128, deviation 8.
        normal = self._bits(256).bit_count() - 128
        sigma = isqrt(self.variance * self.heat // 100)
        move = normal * sigma // 8
        chance = self._bits(12)
        if chance == 0:  # about every seven minutes a jump
            move += 6 * sigma if self._bits(1) else -6 * sigma
        elif chance < 13:  # about every half minute another regime
            self._rest = _CALM_VARIANCE * _REGIMES[self._bits(3)] // 100
        # 10 % weight on the last move, 2.2 % pull to rest: shocks halve in three seconds; regimes
        # make busy and quiet minutes.
        surprise = min(move * move, 400 * _CALM_VARIANCE)
        self.variance += (surprise - self.variance) * 10 // 100
        self.variance += (self._rest - self.variance) * 22 // 1_000
        return move


class Asset:
    """One currency's fair price.

    Attributes:
        price: in 1e-8 quote currency.
        swing: how lively it is now, in percent of rest; the order flow follows it.
        version: counts moves, so that a reader can tell whether the price has changed.
    """

    __slots__ = ("_factor", "_floor", "_own", "price", "swing", "version")

    def __init__(self, price: int, common: Factor, random: Random) -> None:
        self.price = price
        self.swing = 100
        self.version = 0
        self._factor = common
        self._own = Factor(random)
        self._floor = price // 4

    def move(self, common_move: int, heat: int) -> None:
        """Step once: two thirds of the move are everybody's, one third is its own."""
        self._own.heat = heat
        move = (2 * common_move + self._own.draw()) // 2
        if (self.price < self._floor and move < 0) or (self.price > 16 * self._floor and move > 0):
            move = -move
        self.price += self.price * move // _PARTS
        self.swing = min(600, isqrt(self._factor.variance * heat) * 10 // isqrt(_CALM_VARIANCE))
        self.version += 1
