"""Goal: frames of any year give the same event types, by the layout valid when received."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.clock import format_time, parse_time
from recorder.event import Candle, Event, Unrecognized
from recorder.frame import Frame, Kind
from recorder.okx.parser import Parser
from recorder.okx.route import is_push, route
from recorder.okx.versions import CHANGES, VERSIONS, earlier_versions, later_keys

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
    assert earlier_versions("index-candle1H")
    assert not earlier_versions("trades")
    assert not earlier_versions("sprd-candle1m")


def test_real_candles_of_2022_take_the_short_way(real_traffic: Path) -> None:
    for line in (real_traffic / "frames" / "candle1m.jsonl").read_bytes().splitlines():
        message = json.loads(line)
        (columns,) = message["data"]
        event, long_way = parsed(columns, int(columns[0]) * 1_000_000)
        assert isinstance(event, Candle)
        assert long_way == 0


# --- every channel, as of any day ---------------------------------------------------------------

DAYS = ("2021-07-22", "2022-05-13", "2023-07-01", "2024-06-01", "2025-06-01", "2026-03-01")
COLUMNS = {9: 7, 6: 5}


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser()


@pytest.fixture(scope="module")
def some_of_each(datasets: Path) -> list[bytes]:
    """Up to eight pushes of every channel, of today."""
    found: dict[str | None, list[bytes]] = {}
    for frame in Capture(datasets / "every-channel").frames(kinds=[Kind.TEXT]):
        if is_push(frame.payload):
            texts = found.setdefault(route(frame.payload)[0], [])
            texts += [frame.payload] if len(texts) < 8 else []
    assert len(found) > 150
    return [text for texts in found.values() for text in texts]


def as_of(message: dict[str, Any], ts_recv: int) -> dict[str, Any]:
    """Return a push of today as the venue sent it at an instant, by the tables."""
    channel = message["arg"]["channel"]
    later = later_keys(channel, ts_recv)

    def without(row: Any) -> Any:
        if isinstance(row, dict):
            return {key: value for key, value in row.items() if key not in later}
        return row[: COLUMNS.get(len(row), len(row))] if is_old else row

    is_old = any(ts_recv < version.until for version in earlier_versions(channel))
    return {**without(message), "data": [without(row) for row in message["data"]]}


def types_of(payload: bytes, ts_recv: int, parser: Parser) -> list[str]:
    frame = Frame(1, ts_recv, 3, 4, Kind.TEXT, payload)
    return [type(event).__name__ for event in parser.parse(frame)]


@pytest.mark.parametrize("day", DAYS)
def test_every_channel_gives_the_same_types_on_every_day(
    some_of_each: list[bytes], parser: Parser, day: str
) -> None:
    """A push of today, with what the venue had not invented by then taken out of it."""
    then = parse_time(f"{day}T12:00:00Z")
    changed = 0
    for payload in some_of_each:
        message = json.loads(payload)
        old = json.dumps(as_of(message, then), separators=(",", ":")).encode()
        changed += old != payload
        types = types_of(payload, NOW, parser)
        assert Unrecognized.__name__ not in types
        assert types_of(old, then, parser) == types, (route(payload), old)
    assert changed > (100 if day < "2023" else 3 if day < "2026-01" else 0)


def test_every_change_is_of_a_key_that_pushes_have_today(some_of_each: list[bytes]) -> None:
    seen: dict[str, set[str]] = {}
    for payload in some_of_each:
        message = json.loads(payload)
        keys = seen.setdefault(message["arg"]["channel"], set())
        keys.update(message)
        for row in message["data"]:
            keys.update(row if isinstance(row, dict) else ())
    for change in CHANGES:
        channels = [name for name in seen if change.channels.fullmatch(name)]
        assert channels, change
        assert change.source
        assert change.before
        for channel in channels:
            assert set(change.keys) <= seen[channel], (channel, change.keys)
    assert [change.since for change in CHANGES] == sorted(change.since for change in CHANGES)


def test_real_frames_of_2021_and_2022_have_no_key_of_later(
    real_traffic: Path, parser: Parser
) -> None:
    """The tables are held against what the venue really sent, and both give today's types."""
    channels = set()
    sessions = real_traffic / "sessions"
    for path in sorted(sessions.glob("*.jsonl")):
        for line in path.read_bytes().splitlines()[:400]:
            row = json.loads(line)
            payload = row["payload"].encode()
            if row["kind"] != "text" or not is_push(payload):
                continue
            ts_recv = int(Decimal(str(row["t"])) * 10**9)
            message = json.loads(payload)
            assert as_of(message, ts_recv) == message, format_time(ts_recv)
            types = types_of(payload, ts_recv, parser)
            assert types == types_of(payload, NOW, parser)
            channels |= {(message["arg"]["channel"], *types)}
    assert channels == {
        ("books", "BookUpdate"), ("books-l2-tbt", "BookUpdate"), ("tickers", "Ticker"),
        ("trades", "Trade"),
    }  # fmt: skip
