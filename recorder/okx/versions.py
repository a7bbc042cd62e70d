"""Versions: channels whose pushes the venue once sent in another layout, and until when.

Responsible for the one table of these, each with its source. The version valid at a frame's
`ts_recv` is tried first; where a push does not fit it (a day given too late, a demo venue that
changed earlier), today's is, and then the lenient reading. Refuses to list what needs no date: a
key that came later is simply absent before (`seqId` of books since 2023-06-20; `count`, `source`
and `seqId` of trades; most of `funding-rate`), and a retired one is ignored. So frames of 2021,
2022 and 2026 give the same event types.
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


def _candle_2022(number: Any) -> Any:
    return wire.ArgumentPush[wire.CandleRow2022[number]]


VERSIONS: tuple[Version, ...] = (
    Version(
        re.compile(r"candle\d+[a-zA-Z]+"),
        parse_time("2023-01-01T00:00:00Z"),
        _candle_2022,
        "seven columns: neither volCcyQuote nor confirm",
        "pushes recorded on 2022-06-02 and 2022-09-09 have seven columns; the API docs name nine "
        "since 2023. The day between is not known, and need not be: see the module",
    ),
)
"""Earlier layouts, the oldest of a channel first."""


def earlier_versions(channel: str) -> list[Version]:
    """Return the earlier layouts of a channel, the oldest first."""
    return [version for version in VERSIONS if version.channels.fullmatch(channel)]
