"""Pushes with their times moved: what the venue would have sent at another time.

Responsible for finding every venue time in a push and moving it, digit for digit: the message keeps
its length, and every byte that is no time. Refuses to know what time it is: the shift is an
argument.

Times are Unix milliseconds as text of 13 digits, under `ts` and keys that end in `Ts`, `Time`,
`begin`, `end` or `Date`; a candle is an array that begins with the time its bar opened (OKX API
docs, "Candlesticks channel"). Bars stay on their grid: their shift is a whole number of bars.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_DIGITS = 13
_KEYED = re.compile(rb'("(?:ts|date|begin|end|[A-Za-z]+(?:Ts|Time|Begin|Date))":\s?")(\d{13})(?=")')
_CANDLE = re.compile(rb'((?:\[|,)\s?\[")(\d{13})(?=")')
_CHANNEL = re.compile(rb'"channel":\s?"([a-z-]*candle)([0-9A-Za-z]+)"')
_MINUTE_MS = 60_000
_UNITS_MS = {
    "s": 1_000,
    "m": _MINUTE_MS,
    "H": 60 * _MINUTE_MS,
    "D": 1_440 * _MINUTE_MS,
    "W": 7 * 1_440 * _MINUTE_MS,
}
_HEAD_BYTES = 256


def retimed(payload: bytes, shift_ms: int, channel: str | None = None) -> bytes:
    """Return a push, or the body of a REST answer, with every venue time moved.

    Args:
        shift_ms: milliseconds, to the future where positive; a time that would not have 13 digits
            any more stays.
        channel: whose rows these are, where the payload does not say so itself.
    """
    head = payload[:_HEAD_BYTES] if channel is None else b'"channel":"%s"' % channel.encode()
    if b"candle" in head:
        candle = _CHANNEL.search(head)
        if candle is not None:
            bar = _bar_ms(candle[2].decode())
            return _CANDLE.sub(_mover(shift_ms // bar * bar), payload)
    return _KEYED.sub(_mover(shift_ms), payload)


def _mover(shift_ms: int) -> Callable[[re.Match[bytes]], bytes]:
    def move(found: re.Match[bytes]) -> bytes:
        moved = b"%d" % (int(found[2]) + shift_ms)
        return found[0] if len(moved) != _DIGITS else found[1] + moved

    return move


@lru_cache(maxsize=256)
def _bar_ms(interval: str) -> int:
    """Return the length of a bar; months, which have none, keep the time of day."""
    text = interval.removesuffix("utc")
    unit = _UNITS_MS.get(text[-1:], _UNITS_MS["D"])
    return unit * int(text[:-1]) if text[:-1].isdecimal() and text[-1:] in _UNITS_MS else unit
