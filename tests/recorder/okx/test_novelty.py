"""The census: every new field, word and column is counted, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.frame import Frame, Kind
from recorder.okx.channels import CHANNELS
from recorder.okx.novelty import LIMIT, Census, Novelty, NoveltyWatch
from recorder.okx.pushes import shape_of
from recorder.okx.words import UNREAD, WORDS

TRADE = {"instId": "E", "tradeId": "1", "px": "1", "sz": "2", "side": "buy", "ts": "3",
         "count": "1", "source": "0", "seqId": 4}  # fmt: skip


def frame(
    channel: str, *rows: Any, seq: int = 0, at: int = 0, arg: Any = None, **top: Any
) -> Frame:
    push = {"arg": {"channel": channel, **(arg or {})}, **top, "data": list(rows)}
    return Frame(seq, at, at, 0, Kind.TEXT, json.dumps(push, separators=(",", ":")).encode())


def seen(*frames: Frame) -> list[str]:
    census = Census()
    for each in frames:
        census.take(each)
    return [f"{novelty.channel} {novelty.what}" for novelty in census.found]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (frame("trades", {**TRADE, "flag": "1"}), "trades data.flag"),
        (frame("trades", TRADE, venue="x"), "trades venue"),
        (frame("trades", TRADE, arg={"instIdCode": 7}), "trades arg.instIdCode"),
        (frame("trades", {**TRADE, "side": "hold"}), "trades data.side=hold"),
        (
            frame("liquidation-orders", {"instId": "E", "details": [{"side": "buy", "new": 1}]}),
            "liquidation-orders data.details.new",
        ),
        (
            frame("liquidation-orders", {"instId": "E", "details": [{"side": "up"}]}),
            "liquidation-orders data.details.side=up",
        ),
        (
            frame("account", {"details": [{"ccy": "USDT", "fun": ""}]}),
            "account data.details.fun",
        ),
        (frame("account", {"details": []}, eventType="whim"), "account eventType=whim"),
        (frame("orders", {"instId": "E", "ordType": "new_one"}), "orders data.ordType=new_one"),
        (frame("candle1m", ["1"] * 10), "candle1m data: 10 columns"),
        (frame("mark-price-candle1H", ["1"] * 7), "mark-price-candle1H data: 7 columns"),
        (frame("sprd-candle1m", ["1"] * 8), "sprd-candle1m data: 8 columns"),
        (
            frame("books", {"asks": [["1", "2", "0", "3", "9"]], "bids": [], "ts": "1"}),
            "books data.asks: 5 columns",
        ),
        (
            frame("sprd-books5", {"asks": [], "bids": [["1", "2", "3", "4"]], "ts": "1"}),
            "sprd-books5 data.bids: 4 columns",
        ),
        (frame("brand-new", {"a": 1}), "brand-new no type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_new_is_named_by_its_place(message: Frame, what: str) -> None:
    assert seen(message) == [what]


@pytest.mark.parametrize(
    "message",
    [
        frame("trades", TRADE, arg={"instId": "E"}),
        frame("trades", dict.fromkeys(TRADE, "")),
        frame("trades", dict.fromkeys(TRADE)),
        frame("tickers", {"instType": "SPOT", "instId": "E"}),
        frame("positions", {"instId": "E", "closeOrderAlgo": ""}, arg={"uid": "1"}, curPage=1,
              lastPage=True, eventType="snapshot"),
        frame("funding-rate", {"instId": "E", "nextFundingRate": "", "formulaType": "noRate"}),
        frame("candle1m", ["1"] * 5, ["1"] * 7, ["1"] * 9),
        frame("books", {"asks": [], "bids": [["1", "0", "0", "0"]], "ts": "1", "checksum": 0,
                        "seqId": 1, "prevSeqId": -1}, action="snapshot"),
        frame("trades", 5, "text", None),
        Frame(0, 0, 0, 0, Kind.TEXT, b'{"arg":{"channel":"trades","instId":"E"'),
        Frame(0, 0, 0, 0, Kind.TEXT, b'{"arg":{"channel":"trades"}}'),
        Frame(0, 0, 0, 0, Kind.TEXT, b'{"event":"subscribe","new":1}'),
        Frame(0, 0, 0, 0, Kind.TEXT, b"pong"),
        Frame(0, 0, 0, 0, Kind.SENT, b'{"arg":{"channel":"brand-new"},"data":[]}'),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_known_blank_or_broken_is_nothing_new(message: Frame) -> None:
    assert seen(message) == []


def test_novelties_are_counted_once_a_message_from_the_first_one_on() -> None:
    census = Census()
    odd = {**TRADE, "flag": "1"}
    assert census.take(frame("trades", TRADE, seq=1)) == []
    assert census.take(frame("trades", odd, odd, seq=2)) == [Novelty("trades", "data.flag", 1, 2)]
    assert census.take(frame("trades", odd, seq=3)) == []
    assert census.found == [Novelty("trades", "data.flag", 2, 2)]


def test_a_venue_gone_mad_stays_bounded() -> None:
    census = Census()
    for seq in range(LIMIT + 20):
        census.take(frame("trades", {**TRADE, f"k{seq}": "1"}, seq=seq))
        census.take(frame(f"channel-{seq}", seq=seq))
    assert len(census.found) == LIMIT
    assert census.beyond > 0


def test_a_live_recording_looks_once_a_second_at_each_channel() -> None:
    watch = NoveltyWatch(every_ns=1_000)
    assert watch.look(frame("trades", TRADE, at=0)) == []
    assert watch.look(frame("trades", {**TRADE, "flag": 1}, at=999)) == []
    assert [n.channel for n in watch.look(frame("rare", {}, at=999))] == ["rare"]
    assert [n.what for n in watch.look(frame("trades", {**TRADE, "flag": 1}, at=1_000))] == [
        "data.flag"
    ]
    assert watch.look(frame("trades", {**TRADE, "flag": 1}, at=9_000)) == []


def test_every_word_and_unread_key_belongs_to_a_channel_and_a_key_of_it() -> None:
    assert set(WORDS) | set(UNREAD) <= set(CHANNELS)
    for channel, words in WORDS.items():
        for path, values in words.items():
            name = path.lstrip("/")
            rows: Any = {name.rpartition(".")[2]: "no such word"}
            if path.startswith("/"):
                message = frame(channel, {}, **rows)
            elif "." in name:
                message = frame(channel, {name.partition(".")[0]: [rows]})
            else:
                message = frame(channel, rows)
            place = name if path.startswith("/") else f"data.{name}"
            assert seen(message) == [f"{channel} {place}=no such word"]
            assert values


def test_every_channel_can_be_looked_at() -> None:
    census = Census()
    for channel in CHANNELS:
        row: Any = ["1"] * 7 if "candle" in channel else {"newKey": 1}
        census.take(frame(channel, row))
        assert shape_of(channel) is not None
    candles = {n.channel for n in census.found if n.what.endswith("columns")}
    assert {n.channel for n in census.found if n.what == "data.newKey"} == {
        channel for channel in CHANNELS if "candle" not in channel
    }
    assert all(name.startswith(("mark-price-", "index-")) for name in candles)


def test_datasets_hold_nothing_new(datasets: Path) -> None:
    census = Census()
    for name in ("btc-calm", "eth-stress"):
        for each in Capture(datasets / name).frames(kinds=[Kind.TEXT]):
            census.take(each)
    assert census.found == []


def test_real_frames_hold_nothing_new(real_traffic: Path) -> None:
    census = Census()
    for path in sorted(real_traffic.glob("frames/*.jsonl")):
        for line in path.read_bytes().splitlines():
            census.take(Frame(0, 0, 0, 0, Kind.TEXT, line))
    assert census.found == []
