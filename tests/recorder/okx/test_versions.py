"""Goal: frames of any year give the same event types, by the layout valid when received."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from recorder.clock import parse_time
from recorder.event import Candle, Event
from recorder.frame import Frame, Kind
from recorder.okx.parser import Parser
from recorder.okx.versions import VERSIONS, earlier_versions

NOW = parse_time("2026-11-02T08:00:00Z")
THEN = parse_time("2022-06-02T07:23:00Z")
SEVEN = ["1654154580000", "5", "7", "4", "6", "10", "60"]
NINE = [*SEVEN, "61", "1"]


def parsed(columns: list[str], ts_recv: int, number: type = float) -> tuple[Event, int]:
    """Return the event of a candle, and how often the parser took the generic way."""
    parser = Parser(number)
    payload = json.dumps(
        {"arg": {"channel": "candle1m", "instId": "E"}, "data": [columns]}, separators=(",", ":")
    ).encode()
    frame = Frame(1, ts_recv, 3, 4, Kind.TEXT, payload)
    parser.parse(frame)  # compiles the channel
    generic, calls = parser._generic, []
    parser._generic = lambda frame: calls.append(frame) or generic(frame)  # type: ignore[method-assign, func-returns-value]
    (event,) = parser.parse(frame)
    return event, len(calls)


@pytest.mark.parametrize("number", [float, Decimal, str])
def test_a_candle_is_read_as_of_its_day(number: type) -> None:
    then, long_way = parsed(SEVEN, THEN, number)
    assert isinstance(then, Candle)
    assert (then.open, then.volume_ccy) == (number("5"), number("60"))
    assert then.volume_quote is None
    assert then.confirmed is None
    assert long_way == 0
    now, long_way = parsed(NINE, NOW, number)
    assert isinstance(now, Candle)
    assert (now.volume_quote, now.confirmed, long_way) == (number("61"), True, 0)


@pytest.mark.parametrize(("columns", "ts_recv"), [(SEVEN, NOW), (NINE, THEN)])
def test_a_layout_of_another_day_is_understood_all_the_same(
    columns: list[str], ts_recv: int
) -> None:
    event, _ = parsed(columns, ts_recv)
    assert isinstance(event, Candle)
    assert event.volume == 10
    assert event.confirmed == (True if columns is NINE else None)


def test_every_version_has_a_day_a_source_and_a_channel() -> None:
    for version in VERSIONS:
        assert version.source
        assert version.what
        assert version.until < NOW
    assert earlier_versions("candle1Dutc")
    assert not earlier_versions("trades")
    assert not earlier_versions("sprd-candle1m")


def test_real_candles_of_2022_take_the_short_way(real_traffic: Path) -> None:
    for line in (real_traffic / "frames" / "candle1m.jsonl").read_bytes().splitlines():
        message = json.loads(line)
        (columns,) = message["data"]
        event, long_way = parsed(columns, int(columns[0]) * 1_000_000)
        assert isinstance(event, Candle)
        assert long_way == 0
