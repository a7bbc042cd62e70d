"""Versions: what the venue changed in its pushes, since when, and what is done about it.

Responsible for the two tables of these, each line with its source. `VERSIONS` are earlier layouts
that want a decoder of their own: the one valid at a frame's `ts_recv` is tried first; where a push
does not fit it (a day given too late, a demo venue that changed earlier), today's is, and then the
lenient reading. `CHANGES` are keys that came later: no decoder is needed, they are simply absent
before, and the table says what their absence means. So frames of 2021, 2022 and 2026 give the same
event types, which `tests/recorder/okx/test_versions.py` shows for every channel by this table.
Refuses to list what changed no push: limits, hosts, endpoints (`channels`), words (`words`).

Days are those the venue gave for its production; where only a month or the year is documented, the
line says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from recorder.clock import parse_time
from recorder.okx import messages as wire


class Version(NamedTuple):
    """An earlier layout of some channels.

    Attributes:
        channels: their names. until: `ts_recv` of the first frame it no longer holds for, ns.
        push: gives the wire struct of a push for a number type. what: it is. source: of the facts.
    """

    channels: re.Pattern[str]
    until: int
    push: Callable[[Any], Any]
    what: str
    source: str


class Change(NamedTuple):
    """Keys that pushes of some channels have since a day.

    Attributes:
        channels: their names. since: `ts_recv` of the first frame that may have them, ns.
        keys: of a row, or of the push itself. before: what their absence means to a reader.
        source: of the facts.
    """

    channels: re.Pattern[str]
    since: int
    keys: tuple[str, ...]
    before: str
    source: str


def _candle_2022(number: Any) -> Any:
    return wire.ArgumentPush[wire.CandleRow2022[number]]


def _price_candle_2022(number: Any) -> Any:
    return wire.ArgumentPush[wire.PriceCandleRow2022[number]]


_SEEN_2022 = (
    "pushes recorded on 2022-06-02 and 2022-09-09 have seven columns; the API docs name nine since "
    "2023. The day between is not known, and need not be: see the module"
)

VERSIONS: tuple[Version, ...] = (
    Version(
        re.compile(r"candle\d+[a-zA-Z]+"),
        parse_time("2023-01-01T00:00:00Z"),
        _candle_2022,
        "seven columns: neither volCcyQuote nor confirm",
        _SEEN_2022,
    ),
    Version(
        re.compile(r"(mark-price|index)-candle\d+[a-zA-Z]+"),
        parse_time("2023-01-01T00:00:00Z"),
        _price_candle_2022,
        "five columns: no confirm",
        "confirm came with that of the other candles; the day is not documented: see the module",
    ),
)
"""Earlier layouts, the oldest of a channel first."""


def _since(day: str, channels: str, keys: str, before: str, source: str) -> Change:
    since = parse_time(f"{day}T00:00:00Z")
    return Change(re.compile(channels), since, tuple(keys.split()), before, f"OKX {source}")


_LOG = "API changelog"

CHANGES: tuple[Change, ...] = (
    _since(
        "2023-06-20", "books|books-l2-tbt|books50-l2-tbt", "seqId prevSeqId",
        "only the checksum, real then (0 since 2026-06-23), shows a gap", f"{_LOG}, 2023-06-20",
    ),
    _since(
        "2023-06-20", "books5|bbo-tbt", "seqId",
        "pushes have no number", f"{_LOG}, 2023-06-20 (books); pushes of 2022 have none",
    ),
    _since(
        "2023-11-22", "funding-rate", "minFundingRate maxFundingRate settFundingRate settState",
        "the limits and the settled rate are not known", f"{_LOG}, 2023-11-16 and 2023-11-22",
    ),
    _since(
        "2023-12-20", "funding-rate", "method",
        "nextFundingRate has a value, of the period after", f"{_LOG}, 2023-12-20",
    ),
    _since(
        "2023-12-20", "price-limit", "enabled",
        "limits always hold", f"{_LOG}, 2023-12-20",
    ),
    _since(
        "2024-11-28", "sprd-bbo-tbt|sprd-books5", "seqId",
        "pushes have no number", f"{_LOG}, 2024-11-28",
    ),
    _since(
        "2025-03-12", "account|positions", "eventType curPage lastPage",
        "a first push is whole, in one page; a later one cannot be told from a change",
        f"{_LOG}, 2025-03-12",
    ),
    _since(
        "2025-03-26", "estimated-price", "settleType",
        "the reason of the price is not told", f"{_LOG}, 2025-03-26",
    ),
    _since("2025-03-26", "open-interest", "oiUsd", "not told in dollars", f"{_LOG}, 2025-03-26"),
    _since("2025-03-26", "orders", "fillIdxPx", "not told", f"{_LOG}, 2025-03-26"),
    _since(
        "2025-04-02", "funding-rate", "formulaType interestRate impactValue",
        "how the rate is made is not told", f"{_LOG}, 2025-04-02",
    ),
    _since(
        "2025-05-06", "instruments", "openType contTdSwTime",
        "how an instrument opens is not told", f"{_LOG}, 2025-05-06 and 2025-05-29",
    ),
    _since(
        "2025-07-08", "trades", "seqId",
        "trades cannot be placed among the book's updates by number", f"{_LOG}, 2025-07-08",
    ),
    _since(
        "2025-07-08", "trades", "count",
        "how many fills were put together is not told",
        "API docs of 2026; pushes recorded in 2022 have none. The day between is not known",
    ),
    _since(
        "2025-07-08", "instruments", "instIdCode",
        "instruments have names only", f"{_LOG}, 2025-07-08 and 2025-07-29",
    ),
    _since(
        "2025-07-29", "fills", "clOrdId",
        "a fill is found by its order's id", f"{_LOG}, 2025-07-29",
    ),
    _since("2025-08-20", "orders", "tradeQuoteCcy", "not told", f"{_LOG}, 2025-08-20"),
    _since(
        "2025-08-26", "trades", "source",
        "all were of ordinary orders", f"{_LOG}, 2025-08-26",
    ),
    _since(
        "2025-11-01", "trades-all", "source",
        "all were of ordinary orders", f"{_LOG}, November 2025",
    ),
    _since("2025-11-25", "instruments", "groupId", "not told", f"{_LOG}, 2025-11-25"),
    _since("2025-12-22", "instruments", "upcChg", "changes come untold", f"{_LOG}, 2025-12-22"),
    _since("2026-02-12", "instruments", "instCategory", "not told", f"{_LOG}, 2026-02-12"),
    _since(
        "2026-07-07", "event-contract-markets", "capStrike hitDir",
        "there were no such markets", f"{_LOG}, 2026-07-07",
    ),
)  # fmt: skip
"""Keys that came later, the oldest first."""


def earlier_versions(channel: str) -> list[Version]:
    """Return the earlier layouts of a channel, the oldest first."""
    return [version for version in VERSIONS if version.channels.fullmatch(channel)]


def later_keys(channel: str, ts_recv: int) -> set[str]:
    """Return the keys that pushes of a channel did not have yet at an instant, ns."""
    return {
        key
        for change in CHANGES
        if ts_recv < change.since and change.channels.fullmatch(channel)
        for key in change.keys
    }
