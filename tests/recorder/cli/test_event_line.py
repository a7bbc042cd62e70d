"""Lines of `recorder watch`: what stands where, what is coloured, what is never let through."""

from __future__ import annotations

import re

import msgspec
import pytest

from recorder.book import Book, Books
from recorder.cli.event_line import EventLines
from recorder.event import (
    VIEW_NAMES,
    BookUpdate,
    Candle,
    Connected,
    Data,
    Disconnected,
    Event,
    FundingRate,
    Level,
    Lost,
    Notice,
    Quote,
    RunStarted,
    SequenceGap,
    Subscribed,
    Ticker,
    Trade,
)
from recorder.okx.subscription import parse_subscription

NOW = 1_790_000_000_123_000_000  # 14:13:20.123 UTC
WANTED = [parse_subscription(text) for text in ("books:BTC-USDT", "trades:BTC-USDT")]


def lines(books: Books | None = None, **options: object) -> EventLines:
    return EventLines(WANTED, books or Books(), **options)  # type: ignore[arg-type]


def trade(price: str, size: str, side: str = "buy", count: int = 1) -> Trade:
    return Trade(7, 0, NOW, NOW, "BTC-USDT", "trades", "1", price, size, side, count)  # type: ignore[arg-type]


def test_points_stay_below_each_other() -> None:
    form = lines()
    found = [
        form.line(trade("87409.25", "0.5")),
        form.line(trade("87410", "12.125", "sell", 3)),
        form.line(trade("87410.1", "0.5")),
    ]
    assert found == [
        "14:13:20.123  trades  BTC-USDT  buy   0.5 @ 87409.25",
        "14:13:20.123  trades  BTC-USDT  sell  12.125 @ 87410     3 fills",
        "14:13:20.123  trades  BTC-USDT  buy    0.5   @ 87410.1",
    ]


def test_a_book_is_shown_as_it_stands_not_as_the_update_says() -> None:
    book = Book("BTC-USDT", "books", number=str)
    form = lines(Books([book]), depth=2)
    snapshot = BookUpdate(
        1, 0, NOW, NOW, "BTC-USDT", "books", True,
        [Level("9.5", "1"), Level("9.4", "2")], [Level("9.6", "30"), Level("9.7", "4")],
    )  # fmt: skip
    book.apply(snapshot)
    assert form.line(snapshot) == (
        "14:13:20.123  books   BTC-USDT  2 × 9.4  1 × 9.5 | 9.6 × 30  9.7 ×  4  snapshot"
    )
    update = BookUpdate(2, 0, NOW, NOW, "BTC-USDT", "books", False, [Level("9.5", "0")], [])
    book.apply(update)
    line = form.line(update) or ""
    assert line.endswith(" 2 × 9.4 | 9.6 × 30  9.7 ×  4")
    book.is_whole = False
    assert (form.line(update) or "").endswith("no whole book yet")


def test_tickers_quotes_candles_and_rates() -> None:
    form = lines()
    ticker = Ticker(
        1, 0, NOW, NOW, "BTC-USDT", "105", "1", "104", "2", "106", "3",
        open_24h="100", high_24h=None, low_24h=None, volume_24h=None, volume_ccy_24h=None,
        open_utc0=None, open_utc8=None,
    )  # type: ignore[arg-type]  # fmt: skip
    assert "last 105  2 × 104 | 106 × 3  +5.00 % in 24 h" in (form.line(ticker) or "")
    empty = msgspec.structs.replace(ticker, last=None, bid_price=None, open_24h=None)
    assert "last   -  2 ×   - | 106 × 3" in (form.line(empty) or "")
    quote = Quote(1, 0, NOW, NOW, "BTC-USDT", None, None, None, 106.0, 3.0, 1)
    assert "- | 106.0 × 3.0" in re.sub(r" +", " ", form.line(quote) or "")
    candle = Candle(
        1, 0, NOW, NOW, "BTC-USDT", "candle1m", "1m", 1.0, 2.0, 0.5, 1.5, 7.0, None, None, True
    )
    assert "14:13  open   1.0  high   2.0" in (form.line(candle) or "")
    assert (form.line(candle) or "").endswith("volume 7.0  confirmed")
    fields = {item.name: None for item in msgspec.structs.fields(FundingRate)}
    fields |= {"seq": 1, "index": 0, "ts_recv": NOW, "ts_event": NOW, "instrument": "X"}  # type: ignore[dict-item]
    assert "no rate" in (form.line(FundingRate(**fields)) or "")  # type: ignore[arg-type]
    rate = FundingRate(**{**fields, "funding_rate": "0.0001", "funding_time": NOW})  # type: ignore[arg-type]
    assert "+0.010000 %  due 2026-09-21T14:13" in (form.line(rate) or "")
    assert "  funding-rate  " in (form.line(rate) or "")  # the channel's name, not the view's


def test_trouble_is_told_and_noise_is_not() -> None:
    form = lines(in_colour=True)
    assert form.line(RunStarted(0, 0, NOW, {})) is None
    connected = form.line(Connected(1, 0, NOW, 0, "ws://x/ws/v5/public", "public", 0)) or ""
    assert "public ws://x/ws/v5/public" in connected
    subscribed = Subscribed(
        1, 0, NOW, 0, "orders", None, {"channel": "orders", "instType": "ANY"}, "r1", "c"
    )
    assert "subscribed instType=ANY" in (form.line(subscribed) or "")
    gap = form.line(SequenceGap(1, 0, NOW, 0, "BTC-USDT", "books", 10, 12, 13)) or ""
    assert "\x1b[33msequence gap: expected 10, received 12\x1b[0m" in gap
    lost = form.line(Lost(1, 0, NOW, 0, 5, 9, 5, None, "disk full")) or ""
    assert "first_seq=5  last_seq=9  count=5  cause=disk full" in lost
    dropped = form.line(Disconnected(1, 0, NOW, 0, 1006, "reset", "network", 2_500_000_000)) or ""
    assert "\x1b[33mby the network after 2.5 s: 1006 reset" in dropped
    ended = form.line(Disconnected(1, 0, NOW, 0, 1000, "stopped", "recorder", None)) or ""
    assert "\x1b[33m" not in ended


def test_what_the_venue_sends_cannot_steer_a_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m"
    notice = lines().line(Notice(1, 0, NOW, 0, "64008", evil, None)) or ""
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", notice)
    data = Data(1, 0, NOW, None, evil, evil, {}, None, [[evil]])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", lines().line(data) or "")


@pytest.mark.parametrize("width", [10, 30, 60])
def test_a_line_fits_the_terminal(width: int) -> None:
    line = lines(width=width, in_colour=True).line(trade("87409.25", "0.5" * 30)) or ""
    plain = re.sub(r"\x1b\[\d+m", "", line)
    assert len(plain) <= width
    assert plain.endswith("…")


def test_a_narrow_terminal_shows_the_levels_around_the_spread() -> None:
    book = Book("BTC-USDT", "books", number=str)
    snapshot = BookUpdate(
        1, 0, NOW, NOW, "BTC-USDT", "books", True,
        [Level("9.5", "1"), Level("9.4", "1"), Level("9.3", "1")],
        [Level("9.6", "1"), Level("9.7", "1"), Level("9.8", "1")],
    )  # fmt: skip
    book.apply(snapshot)
    line = lines(Books([book]), depth=3, width=72).line(snapshot) or ""
    assert "1 × 9.4  1 × 9.5 | 9.6 × 1  9.7 × 1" in line
    assert "9.3" not in line
    assert len(line) <= 72


def test_every_type_has_a_line() -> None:
    """Also one without a form of its own, with every optional field missing."""
    form = lines()
    for kind in VIEW_NAMES:
        values = {}
        for field in msgspec.structs.fields(kind):
            if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
                values[field.name] = _some(field.type)
        event: Event = kind(**values)
        line = form.line(event)
        assert line is None or "\n" not in line


def _some(annotation: object) -> object:
    text = str(annotation)
    if "None" in text:
        return None
    for name, value in (("list", []), ("tuple", ()), ("dict", {}), ("bool", False), ("int", NOW)):
        if name in text:
            return value
    return "1" if "str" in text else 1.0
