"""The CRC32 of the venue's books, by examples worked out by hand with zlib."""

from __future__ import annotations

from recorder.event import Level
from recorder.okx.checksum import DEPTH, checksum

CRC_BOTH = 192097231
CRC_ONE = 550093544


def side(*levels: tuple[str, str]) -> list[Level[str]]:
    return [Level(price, size, "0", 1) for price, size in levels]


def test_bids_and_asks_take_turns_and_texts_count_as_sent() -> None:
    # crc32(b"7.10:3:7.20:0.50:7.0:9") by zlib
    assert checksum(side(("7.10", "3"), ("7.0", "9")), side(("7.20", "0.50"))) == CRC_BOTH
    assert checksum(side(("7.1", "3"), ("7.0", "9")), side(("7.20", "0.50"))) != CRC_BOTH


def test_one_sided_and_empty_books() -> None:
    # crc32(b"7.10:3") and crc32(b"")
    assert checksum(side(("7.10", "3")), []) == CRC_ONE
    assert checksum([], side(("7.10", "3"))) == CRC_ONE
    assert checksum([], []) == 0


def test_only_the_best_levels_count() -> None:
    levels = side(*((str(price), "1") for price in range(DEPTH + 5)))
    assert checksum(levels, []) == checksum(levels[:DEPTH], [])
    assert checksum(levels, []) != checksum(levels[: DEPTH - 1], [])
