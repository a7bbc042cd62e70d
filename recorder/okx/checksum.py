"""Checksum: the CRC32 by which OKX let a client prove its book, until June 2026.

Responsible for the algorithm alone. Refuses to decide what a mismatch means.

OKX API docs, order book channels, "Checksum": of the best 25 levels, bid and ask in turn, price
and size joined by colons exactly as they were sent, CRC32 read as a signed 32-bit number. Since
2026-06-23 the venue sends 0, which means that it offers none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from zlib import crc32

from recorder.event import Level

DEPTH = 25
"""Levels a side that count."""


def checksum(bids: Sequence[Level[str]], asks: Sequence[Level[str]]) -> int:
    """Return the signed CRC32 of a book, given best first with texts as sent."""
    parts: list[str] = []
    for bid, ask in zip_longest(bids[:DEPTH], asks[:DEPTH]):
        if bid is not None:
            parts += (bid.price, bid.size)
        if ask is not None:
            parts += (ask.price, ask.size)
    unsigned = crc32(":".join(parts).encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned
