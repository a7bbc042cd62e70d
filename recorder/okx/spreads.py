"""Spread channels: the same market events, of an instrument that is a `sprdId`.

Responsible for what differs from other instruments: the argument's key, book levels of three
columns `[price, size, orders]`, prices that may be negative, candles of seven columns (OKX API
docs, "Spread Trading"). Refuses to define events of its own: a spread's trade is a `Trade`.
"""

from __future__ import annotations

from typing import Any

from recorder.event import BookUpdate, Candle, Event, Level, Quote, Ticker, Trade
from recorder.frame import Frame
from recorder.okx import messages
from recorder.okx import spread_messages as wire
from recorder.okx.shape import NS, Decode, Handle, Reading, Shape, pushed, to_ns

_NO_LEVEL: Any = wire.SpreadLevel(None, None, None)  # type: ignore[arg-type]


def _levels(side: list[Any]) -> list[Level[Any]]:
    return [Level(level.price, level.size, None, level.orders) for level in side]


def _book(channel: str) -> Reading:
    is_whole_each_time = channel == "sprd-books5"

    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            push = decode(payload)
            is_snapshot = is_whole_each_time or push.action == "snapshot"
            return [
                BookUpdate(
                    frame.seq, index, frame.ts_recv, row.ts * NS, push.arg.sprd_id, channel,
                    is_snapshot, _levels(row.bids), _levels(row.asks), row.seq_id,
                    row.prev_seq_id, row.checksum,
                )
                for index, row in enumerate(push.data)
            ]  # fmt: skip

        return handle

    return reading


def _quotes(decode: Decode) -> Handle:
    def handle(frame: Frame, payload: bytes) -> list[Event]:
        push = decode(payload)
        events: list[Event] = []
        for index, row in enumerate(push.data):
            bid = row.bids[0] if row.bids else _NO_LEVEL
            ask = row.asks[0] if row.asks else _NO_LEVEL
            events.append(
                Quote(
                    frame.seq, index, frame.ts_recv, row.ts * NS, push.arg.sprd_id,
                    bid.price, bid.size, bid.orders, ask.price, ask.size, ask.orders, row.seq_id,
                    "sprd-bbo-tbt",
                )
            )  # fmt: skip
        return events

    return handle


def _trades(decode: Decode) -> Handle:
    def handle(frame: Frame, payload: bytes) -> list[Event]:
        return [
            Trade(
                frame.seq, index, frame.ts_recv, row.ts * NS, row.sprd_id, "sprd-public-trades",
                row.trade_id, row.px, row.sz, row.side,
            )
            for index, row in enumerate(decode(payload).data)
        ]  # fmt: skip

    return handle


def _tickers(decode: Decode) -> Handle:
    def handle(frame: Frame, payload: bytes) -> list[Event]:
        return [
            Ticker(
                frame.seq, index, frame.ts_recv, to_ns(row.ts), row.sprd_id, row.last,
                row.last_sz, row.bid_px, row.bid_sz, row.ask_px, row.ask_sz, row.open24h,
                row.high24h, row.low24h, row.vol24h, None, None, None,
            )
            for index, row in enumerate(decode(payload).data)
        ]  # fmt: skip

    return handle


def spread_candle(channel: str, interval: str) -> Shape:
    """Return the shape of one interval's `sprd-candle…`."""

    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            push = decode(payload)
            return [
                Candle(
                    frame.seq, index, frame.ts_recv, row.ts * NS, push.arg.sprd_id, channel,
                    interval, row.open, row.high, row.low, row.close, row.volume, None, None,
                    None if row.confirm is None else row.confirm == "1",
                )
                for index, row in enumerate(push.data)
            ]  # fmt: skip

        return handle

    return Shape(pushed(wire.SpreadPush, wire.SpreadCandleRow), reading, _candle_columns)


def _candle_columns(row: Any) -> list[Any]:
    """Bring a longer spread candle into today's seven columns; `confirm` is the last."""
    if not isinstance(row, list) or len(row) < 7:
        raise ValueError("no candle of a spread")
    return [*row[:6], row[-1]]


INCREMENTAL_SPREAD_BOOK = "sprd-books-l2-tbt"
"""The one spread channel that sends a snapshot and then updates."""

SPREAD_SHAPES: dict[str, Shape] = {
    "sprd-public-trades": Shape(pushed(messages.RowsPush, wire.SpreadTradeRow), _trades),
    "sprd-bbo-tbt": Shape(pushed(wire.SpreadPush, wire.SpreadBookRow), _quotes),
    "sprd-books5": Shape(pushed(wire.SpreadPush, wire.SpreadBookRow), _book("sprd-books5")),
    INCREMENTAL_SPREAD_BOOK: Shape(
        pushed(wire.SpreadBookPush, wire.SpreadBookRow),
        _book(INCREMENTAL_SPREAD_BOOK),
    ),
    "sprd-tickers": Shape(pushed(messages.RowsPush, wire.SpreadTickerRow), _tickers),
}
"""Shapes of these channels by name; candles have one name per interval, see `spread_candle`."""
