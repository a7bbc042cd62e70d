"""Axes: where the ticks are, and what stands at them.

Responsible for round numbers and round times. Refuses to draw.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

SECOND = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
_STEPS = (
    *(SECOND // 1000 * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 5, 10, 30, 90, 365)),
)


def value_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values between two, about so many, ascending."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(start: int, end: int, about: int = 6) -> list[int]:
    """Return round times between two, about so many, ns since the Unix epoch, ascending."""
    if end <= start:
        return [start]
    raw = (end - start) / about
    step = next((step for step in _STEPS if step >= raw), _STEPS[-1])
    return list(range(-(-start // step) * step, end + 1, step))


def time_label(time: int, step: int) -> str:
    """Return what stands at one of the ticks that lie so far apart, ns; UTC."""
    moment = datetime.fromtimestamp(time // SECOND, UTC)
    if step >= _DAY:
        return f"{moment:%d %b}"
    if step >= _MINUTE:
        return f"{moment:%H:%M}"
    if step >= SECOND:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%H:%M:%S}.{time % SECOND // 1_000_000:03d}"


def number(value: float, digits: int | None = None, *, step: float = 0.0) -> str:
    """Return a value with thin spaces between thousands and no more digits than it needs.

    Args:
        digits: behind the point, exactly.
        step: a difference that must be seen, such as between two ticks: 100 000.05, not 100 000.
    """
    if not math.isfinite(value):
        return "–"
    if digits is None:
        size = abs(value)
        digits = 0 if size >= 10_000 else 2 if size >= 1 else 4 if size >= 0.01 or size == 0 else 8
        digits = max(digits, _digits(step))
        text = f"{value:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:,.{digits}f}"
    return text.replace(",", "\u202f").replace("-", "−")


def _digits(step: float) -> int:
    """Return how many digits behind the point a step of two significant digits needs."""
    if not (math.isfinite(step) and step > 0):
        return 0
    return next((many for many in range(12) if abs(round(step, many) - step) < step * 0.05), 12)
