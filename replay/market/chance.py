"""Chance and decimal text: the integer tables behind the market, and how its numbers are written.

Responsible for quantile tables (indexed by random bits) and for exact decimal text of integers.
Refuses floats: the last bit of `exp` and `log` differs between C libraries, a capture must not.
"""

from __future__ import annotations

from decimal import Context, Decimal

_CONTEXT = Context(prec=28)


def _exponential(size: int) -> tuple[int, ...]:
    """Return midpoint quantiles of the exponential distribution, mean 1024, ascending.

    `Decimal.ln` is correctly rounded, so the table is the same everywhere.
    """
    quantiles = []
    for index in range(size):
        survival = _CONTEXT.divide(Decimal(2 * (size - index) - 1), Decimal(2 * size))
        quantiles.append(int(_CONTEXT.multiply(-survival.ln(_CONTEXT), Decimal(1024))))
    return tuple(quantiles)


EXPONENTIAL = _exponential(256)
"""Quantiles of an exponential waiting time or distance, mean 1024; index with 8 random bits."""


def _lognormal() -> tuple[int, ...]:
    """Return 1000 * (11/8)^(k − 32): lognormal (sigma 1.3) where k is a count of 64 fair bits."""
    rising = [1000 * 11**power // 8**power for power in range(33)]
    falling = [max(1, 1000 * 8**power // 11**power) for power in range(1, 33)]
    return tuple(reversed(falling)) + tuple(rising)


LOGNORMAL = _lognormal()
"""Sizes around a median of 1000; index with `getrandbits(64).bit_count()`."""

BOOK_SPACING_MS = (
    10, 24, 47, 68, 81, 92, 96, 98, 99, 99, 100, 100, 100, 100, 100, 100,
    100, 100, 100, 101, 101, 101, 102, 102, 103, 104, 105, 107, 108, 110, 112, 113,
    113, 113, 114, 114, 115, 115, 116, 117, 118, 119, 120, 122, 124, 126, 129, 132,
    135, 139, 144, 150, 157, 165, 174, 184, 196, 209, 224, 241, 262, 287, 313, 335,
)  # fmt: skip
"""Milliseconds between two `books` pushes: 10 to 335 around a median of 113, as seen on OKX."""


def format_decimal(value: int, decimals: int) -> str:
    """Return `value / 10**decimals` as OKX writes it: no trailing zeros, no exponent.

    >>> format_decimal(639130, 1), format_decimal(51200000, 8), format_decimal(-5, 2)
    ('63913', '0.512', '-0.05')
    """
    if value < 0:
        return "-" + format_decimal(-value, decimals)
    digits = str(value)
    if not decimals:
        return digits
    if len(digits) <= decimals:
        digits = digits.zfill(decimals + 1)
    # Slicing text is three times faster here than divmod and formatting.
    part = digits[-decimals:].rstrip("0")
    return f"{digits[:-decimals]}.{part}" if part else digits[:-decimals]


def format_fixed(value: int, decimals: int) -> str:
    """Return `value / 10**decimals` with every decimal written: `63913.0`."""
    if value < 0:
        return "-" + format_fixed(-value, decimals)
    if not decimals:
        return str(value)
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


class PriceTexts(dict[int, str]):
    """Decimal text of prices in ticks, remembered: a market returns to the same prices often."""

    LIMIT = 65_536
    """Texts held; beyond it the memory is emptied, so a long walk of prices stays bounded."""

    def __init__(self, decimals: int) -> None:
        super().__init__()
        self._decimals = decimals

    def __missing__(self, ticks: int) -> str:
        if len(self) >= self.LIMIT:
            self.clear()
        text = self[ticks] = format_decimal(ticks, self._decimals)
        return text
