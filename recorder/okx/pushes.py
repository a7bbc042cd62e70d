"""Data pushes into market events: one builder per channel that has a type.

Responsible for the table of typed channels (`shape_of`): the wire struct of a channel and the
function that turns a decoded push into events. Refuses to decode bytes and to remember anything.

A builder takes the frame and its decoded push. The instrument of a row wins over that of the
argument: after a rename the venue goes on serving an old argument with the new id in its rows
(OKX API docs, instrument renames).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from recorder.event import (
    BookUpdate,
    Candle,
    Event,
    FundingRate,
    IndexPrice,
    InstrumentUpdate,
    MarkPrice,
    OpenInterest,
    Quote,
    Ticker,
    Trade,
)
from recorder.frame import Frame
from recorder.okx import messages as wire

NS = 1_000_000
"""Nanoseconds in the venue's millisecond."""

Build = Callable[[Frame, Any], list[Event]]


class Shape(NamedTuple):
    """What a typed channel looks like: a generic wire struct, and how it becomes events."""

    push: Callable[[Any], Any]
    build: Build
    columns: Callable[[list[Any]], list[Any]] | None = None


def to_ns(milliseconds: int | None) -> int | None:
    """Return a venue time in ns, None for None."""
    return None if milliseconds is None else milliseconds * NS


def _trades(channel: str) -> Build:
    def build(frame: Frame, push: wire.RowsPush[wire.TradeRow[Any]]) -> list[Event]:
        seq = frame.seq
        ts_recv = frame.ts_recv
        return [
            Trade(
                seq, index, ts_recv, row.ts * NS, row.inst_id, channel, row.trade_id,
                row.px, row.sz, row.side, row.count, row.source, row.seq_id,
            )
            for index, row in enumerate(push.data)
        ]  # fmt: skip

    return build


def _books(channel: str) -> Build:
    def build(frame: Frame, push: wire.BookPush[wire.BookRow[Any]]) -> list[Event]:
        is_snapshot = push.action == "snapshot"
        instrument = push.arg.inst_id
        rows = push.data
        if len(rows) == 1:
            row = rows[0]
            return [
                BookUpdate(
                    frame.seq, 0, frame.ts_recv, row.ts * NS, row.inst_id or instrument, channel,
                    is_snapshot, row.bids, row.asks, row.seq_id, row.prev_seq_id, row.checksum,
                )
            ]  # fmt: skip
        return [
            BookUpdate(
                frame.seq, index, frame.ts_recv, row.ts * NS, row.inst_id or instrument, channel,
                is_snapshot, row.bids, row.asks, row.seq_id, row.prev_seq_id, row.checksum,
            )
            for index, row in enumerate(rows)
        ]  # fmt: skip

    return build


def _books5(frame: Frame, push: wire.ArgumentPush[wire.BookRow[Any]]) -> list[Event]:
    return [
        BookUpdate(
            frame.seq, index, frame.ts_recv, row.ts * NS, row.inst_id or push.arg.inst_id,
            "books5", True, row.bids, row.asks, row.seq_id, row.prev_seq_id, row.checksum,
        )
        for index, row in enumerate(push.data)
    ]  # fmt: skip


def _quotes(frame: Frame, push: wire.ArgumentPush[wire.QuoteRow[Any]]) -> list[Event]:
    events: list[Event] = []
    for index, row in enumerate(push.data):
        bid = row.bids[0] if row.bids else None
        ask = row.asks[0] if row.asks else None
        events.append(
            Quote(
                frame.seq, index, frame.ts_recv, row.ts * NS, push.arg.inst_id,
                bid.price if bid else None, bid.size if bid else None, bid.orders if bid else None,
                ask.price if ask else None, ask.size if ask else None, ask.orders if ask else None,
                row.seq_id,
            )
        )  # fmt: skip
    return events


def _tickers(frame: Frame, push: wire.RowsPush[wire.TickerRow[Any]]) -> list[Event]:
    return [
        Ticker(
            frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id, row.last, row.last_sz,
            row.bid_px, row.bid_sz, row.ask_px, row.ask_sz, row.open24h, row.high24h, row.low24h,
            row.vol24h, row.vol_ccy24h, row.sod_utc0, row.sod_utc8,
        )
        for index, row in enumerate(push.data)
    ]  # fmt: skip


def _candles(channel: str, interval: str) -> Build:
    def build(frame: Frame, push: wire.ArgumentPush[wire.CandleRow[Any]]) -> list[Event]:
        return [
            Candle(
                frame.seq, index, frame.ts_recv, row.ts * NS, push.arg.inst_id, channel, interval,
                row.open, row.high, row.low, row.close, row.volume, row.volume_ccy,
                row.volume_quote, None if row.confirm is None else row.confirm == "1",
            )
            for index, row in enumerate(push.data)
        ]  # fmt: skip

    return build


def _price_candles(channel: str, interval: str) -> Build:
    def build(frame: Frame, push: wire.ArgumentPush[wire.PriceCandleRow[Any]]) -> list[Event]:
        return [
            Candle(
                frame.seq, index, frame.ts_recv, row.ts * NS, push.arg.inst_id, channel, interval,
                row.open, row.high, row.low, row.close, None, None, None,
                None if row.confirm is None else row.confirm == "1",
            )
            for index, row in enumerate(push.data)
        ]  # fmt: skip

    return build


def _mark_prices(frame: Frame, push: wire.RowsPush[wire.MarkPriceRow[Any]]) -> list[Event]:
    return [
        MarkPrice(frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id, row.mark_px)
        for index, row in enumerate(push.data)
    ]


def _index_prices(frame: Frame, push: wire.RowsPush[wire.IndexPriceRow[Any]]) -> list[Event]:
    return [
        IndexPrice(
            frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id, row.idx_px,
            row.open24h, row.high24h, row.low24h, row.sod_utc0, row.sod_utc8,
        )
        for index, row in enumerate(push.data)
    ]  # fmt: skip


def _funding_rates(frame: Frame, push: wire.RowsPush[wire.FundingRateRow[Any]]) -> list[Event]:
    return [
        FundingRate(
            frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id,
            row.funding_rate, to_ns(row.funding_time),
            row.next_funding_rate, to_ns(row.next_funding_time),
            row.min_funding_rate, row.max_funding_rate, row.premium, row.interest_rate,
            row.impact_value, row.sett_funding_rate, row.sett_state, row.method, row.formula_type,
        )
        for index, row in enumerate(push.data)
    ]  # fmt: skip


def _open_interests(frame: Frame, push: wire.RowsPush[wire.OpenInterestRow[Any]]) -> list[Event]:
    return [
        OpenInterest(
            frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id,
            row.oi, row.oi_ccy, row.oi_usd,
        )
        for index, row in enumerate(push.data)
    ]  # fmt: skip


def instrument_row_type(number: Any) -> Any:
    """Return the wire struct of an instrument row for one number type."""
    return wire.InstrumentRow[number]


def instrument_update(frame: Frame, index: int, row: wire.InstrumentRow[Any]) -> InstrumentUpdate:
    """Return the event of one instrument row, of a push or of a REST list."""
    return InstrumentUpdate(
        frame.seq, index, frame.ts_recv, row.inst_id, row.inst_type, row.state, row.base_ccy,
        row.quote_ccy, row.settle_ccy, row.uly, row.inst_family, row.ct_type, row.ct_val,
        row.ct_mult, row.ct_val_ccy, row.tick_sz, row.lot_sz, row.min_sz, row.lever,
        to_ns(row.list_time), to_ns(row.exp_time), row.opt_type, row.stk, row.inst_id_code,
    )  # fmt: skip


def _instruments(frame: Frame, push: wire.RowsPush[wire.InstrumentRow[Any]]) -> list[Event]:
    return [instrument_update(frame, index, row) for index, row in enumerate(push.data)]


def _candle_columns(row: list[Any]) -> list[Any]:
    """Bring any layout of a candle into today's nine columns.

    Five columns are prices alone and seven add two volumes (frames of 2022, without `confirm`);
    from nine on, `confirm` is the last.
    """
    if len(row) >= 9:
        return [*row[:8], row[-1]]
    if len(row) in (5, 7):
        return row + [None] * (9 - len(row))
    raise ValueError(f"a candle of {len(row)} columns")


def _price_candle_columns(row: list[Any]) -> list[Any]:
    """Bring a mark or index candle into six columns; five had no `confirm`."""
    if len(row) == 5:
        return [*row, None]
    if len(row) >= 6:
        return [*row[:5], row[-1]]
    raise ValueError(f"a candle of {len(row)} columns")


def _rows(row: Any) -> Callable[[Any], Any]:
    return lambda number: wire.RowsPush[row[number]]


def _argument(row: Any) -> Callable[[Any], Any]:
    return lambda number: wire.ArgumentPush[row[number]]


def _book(row: Any) -> Callable[[Any], Any]:
    return lambda number: wire.BookPush[row[number]]


INCREMENTAL_BOOKS = ("books", "books-l2-tbt", "books50-l2-tbt", "books-rpi", "books-elp")
"""Channels that send a snapshot and then updates."""

SHAPES: dict[str, Shape] = {
    "trades": Shape(_rows(wire.TradeRow), _trades("trades")),
    "trades-all": Shape(_rows(wire.TradeRow), _trades("trades-all")),
    **{name: Shape(_book(wire.BookRow), _books(name)) for name in INCREMENTAL_BOOKS},
    "books5": Shape(_argument(wire.BookRow), _books5),
    "bbo-tbt": Shape(_argument(wire.QuoteRow), _quotes),
    "tickers": Shape(_rows(wire.TickerRow), _tickers),
    "mark-price": Shape(_rows(wire.MarkPriceRow), _mark_prices),
    "index-tickers": Shape(_rows(wire.IndexPriceRow), _index_prices),
    "funding-rate": Shape(_rows(wire.FundingRateRow), _funding_rates),
    "open-interest": Shape(_rows(wire.OpenInterestRow), _open_interests),
    "instruments": Shape(_rows(wire.InstrumentRow), _instruments),
}
"""Typed channels of one fixed name; candles have one name per interval, see `shape_of`."""

_CANDLE = re.compile(r"(mark-price-|index-|)candle([1-9]\d?(?:s|m|H|D|W|M|Y)(?:utc)?)")


def shape_of(channel: str) -> Shape | None:
    """Return how a channel is decoded, None for one that has no type."""
    shape = SHAPES.get(channel)
    if shape is not None:
        return shape
    match = _CANDLE.fullmatch(channel)
    if match is None:
        return None
    kind, interval = match.groups()
    if kind:
        build = _price_candles(channel, interval)
        return Shape(_argument(wire.PriceCandleRow), build, _price_candle_columns)
    return Shape(_argument(wire.CandleRow), _candles(channel, interval), _candle_columns)
