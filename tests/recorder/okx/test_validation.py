"""Validation: each rule counts what it says, and real traffic breaks none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.capture.reshape.importer import import_sessions
from recorder.event import BookUpdate, Candle, Disconnected, Level, Quote, Trade
from recorder.okx.interpreter import Interpreter
from recorder.okx.validation import RULES, Validator, is_aligned

NOW = 1_793_606_400_000_000_000  # 2026-11-02T08:00:00Z, midnight at UTC+8 + 16 h
SECOND = 1_000_000_000
HOUR = 3_600 * SECOND


def trade(number: str, **other: Any) -> Trade:
    given: dict[str, Any] = {
        "seq": 0, "index": 0, "ts_recv": NOW, "ts_event": NOW, "instrument": "BTC-USDT",
        "channel": "trades", "trade_id": number, "price": 1.0, "size": 1.0, "side": "buy",
    }  # fmt: skip
    return Trade(**{**given, **other})


def candle(**other: Any) -> Candle:
    given: dict[str, Any] = {
        "seq": 0, "index": 0, "ts_recv": NOW, "ts_event": NOW - 60 * SECOND,
        "instrument": "BTC-USDT", "channel": "candle1m", "interval": "1m", "open": 2.0,
        "high": 4.0, "low": 1.0, "close": 3.0, "volume": 1.0, "volume_ccy": 1.0,
        "volume_quote": 1.0, "confirmed": True,
    }  # fmt: skip
    return Candle(**{**given, **other})


def book(bids: list[float], asks: list[float], **other: Any) -> BookUpdate:
    given: dict[str, Any] = {
        "seq": 0, "index": 0, "ts_recv": NOW, "ts_event": NOW, "instrument": "BTC-USDT",
        "channel": "books", "is_snapshot": True, "bids": [Level(p, 1.0) for p in bids],
        "asks": [Level(p, 1.0) for p in asks],
    }  # fmt: skip
    return BookUpdate(**{**given, **other})


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([candle()], {}),
        ([candle(high=2.9)], {"candle_range": 1}),
        ([candle(low=2.1)], {"candle_range": 1}),
        ([candle(low=None)], {}),
        ([candle(ts_event=NOW - 1)], {"candle_alignment": 1}),
        ([candle(), candle()], {}),
        ([candle(), candle(volume=2.0)], {"candle_changed": 1}),
        ([candle(confirmed=False), candle(volume=2.0)], {}),
        ([trade("1"), trade("2"), trade("5", count=3)], {}),
        ([trade("1"), trade("1")], {"trade_repeated": 1}),
        ([trade("2"), trade("1")], {"trade_repeated": 1}),
        ([trade("1"), trade("5")], {"trade_missing": 3}),
        ([trade("1"), trade("5", count=3)], {"trade_missing": 1}),
        ([trade("1"), trade("5", instrument="ETH-USDT")], {}),
        ([trade("x"), trade("-5")], {}),
        ([trade("1", price=0.0)], {"price_not_positive": 1}),
        ([trade("1", price=-0.5, channel="sprd-public-trades")], {}),
        ([trade("1", size=0.0)], {"size_negative": 1}),
        ([trade("1", ts_event=NOW + 3 * SECOND)], {"ahead_of_clock": 1}),
        ([trade("1", ts_event=NOW - HOUR)], {}),  # a cached first push
        ([trade("1"), trade("2", ts_event=NOW - HOUR)], {"behind_clock": 1}),
        ([book([9.0, 8.0], [10.0, 11.0])], {}),
        ([book([10.0], [10.0])], {"crossed": 1}),
        ([book([8.0, 9.0], [10.0])], {"levels_unordered": 1}),
        ([book([], [10.0, 10.0])], {"levels_unordered": 1}),
        ([book([8.0, 9.0], [7.0], is_snapshot=False)], {}),  # a change says nothing by itself
        ([Quote(0, 0, NOW, NOW, "A", 2.0, 1.0, 1, 1.0, 1.0, 1)], {"crossed": 1}),
        ([Quote(0, 0, NOW, NOW, "A", 2.0, 0.0, 0, 1.0, 1.0, 1)], {}),
    ],
)  # fmt: skip
def test_each_rule(events: list[Any], counts: dict[str, int]) -> None:
    validator = Validator()
    for event in events:
        validator.take(event)
    assert validator.counts == counts
    assert counts.keys() <= RULES.keys()


def test_connections_are_judged_apart() -> None:
    """Redundant links say everything twice, and a new connection begins anew."""
    validator = Validator()
    for connection in (0, 1):
        validator.take(trade("7"), connection)
    validator.take(Disconnected(0, 0, NOW, 1, 1006, "", "network", None), 1)
    validator.take(trade("3"), 1)
    assert validator.counts == {}


@pytest.mark.parametrize(
    ("hours", "interval", "expected"),
    [
        (0, "4H", True), (1, "4H", False), (0, "6Hutc", False), (-2, "6Hutc", True),
        (2, "6H", True), (-4, "6H", True), (0, "6H", False), (8, "1D", True), (16, "1Dutc", True),
        (8, "1Dutc", False), (8, "1W", True), (8, "1M", True), (3, "new", True),
    ],
)  # fmt: skip
def test_where_bars_begin(hours: int, interval: str, expected: bool) -> None:
    assert is_aligned(NOW + hours * HOUR, interval) is expected


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress"])
def test_no_false_alarm_on_datasets(datasets: Path, name: str) -> None:
    assert counts_of(datasets / name) == {}


def test_no_false_alarm_on_real_sessions(tmp_path: Path, real_traffic: Path) -> None:
    for path in sorted((real_traffic / "sessions").glob("*.jsonl")):
        import_sessions([path], tmp_path / path.stem)
        assert counts_of(tmp_path / path.stem) == {}, path.name


def counts_of(path: Path) -> dict[str, int]:
    validator, interpreter = Validator(), Interpreter()
    for frame in Capture(path).frames():
        for event in interpreter.step(frame):
            validator.take(event, frame.connection)
    assert validator.events > 100
    return validator.counts
