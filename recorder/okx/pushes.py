"""Data pushes into events: one reading per channel that has a type.

Responsible for the table of typed channels (`shape_of`), and for the wire struct and the reading
of the market data most recordings consist of; those of the rarer channels come from
`market_layouts.py`, `spreads.py` and `account_layouts.py`. Refuses to choose a decoder and to
remember anything.

A reading takes a decoder and returns the function from (frame, payload) to events, so that the
fast and the lenient decoder of a channel share one mapping. The instrument of a row wins over that
of the argument: after a rename the venue goes on serving an old argument with the new id in its
rows (OKX API docs, changelog of instrument renames).

The readings of the five busiest channels replace the rows of the decoded list by their events in
place, counting by hand: measured, a comprehension over `enumerate` costs as much again as making
the event does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from recorder.event import (
    BookUpdate,
    Candle,
    Event,
    FundingRate,
    IndexPrice,
    InstrumentUpdate,
    Level,
    MarkPrice,
    OpenInterest,
    Quote,
    Ticker,
    Trade,
)
from recorder.frame import Frame
from recorder.okx import messages as wire
from recorder.okx.account_layouts import ACCOUNT_SHAPES
from recorder.okx.bot_layouts import BOT_SHAPES
from recorder.okx.deal_layouts import DEAL_SHAPES
from recorder.okx.market_layouts import MARKET_SHAPES
from recorder.okx.shape import NS, Decode, Handle, Reading, Shape, to_ns
from recorder.okx.spreads import SPREAD_SHAPES, spread_candle

_NO_LEVEL: Any = Level(None, None, None, None)  # type: ignore[arg-type]


def _other(asked: str, named: str | None) -> str | None:
    """Return the argument's instrument where a row names another one, else None."""
    return None if named is None or named == asked else asked


def _trades(channel: str) -> Reading:
    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            push = decode(payload)
            rows: list[Any] = push.data
            asked = push.arg.inst_id
            index = 0
            for row in rows:
                name = row.inst_id
                rows[index] = Trade(
                    frame.seq, index, frame.ts_recv, row.ts * NS, name, channel, row.trade_id,
                    row.px, row.sz, row.side, row.count, row.source, row.seq_id,
                    None if name == asked else asked,
                )  # fmt: skip
                index += 1  # noqa: SIM113
            return rows

        return handle

    return reading


def _books(channel: str) -> Reading:
    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            push = decode(payload)
            rows: list[Any] = push.data
            index = 0
            for row in rows:
                rows[index] = BookUpdate(
                    frame.seq, index, frame.ts_recv, row.ts * NS, row.inst_id or push.arg.inst_id,
                    channel, push.action == "snapshot", row.bids, row.asks, row.seq_id,
                    row.prev_seq_id, row.checksum,
                )  # fmt: skip
                index += 1  # noqa: SIM113
            return rows

        return handle

    return reading


def _books5(decode: Decode) -> Handle:
    def handle(frame: Frame, payload: bytes) -> list[Event]:
        push = decode(payload)
        rows: list[Any] = push.data
        index = 0
        for row in rows:
            rows[index] = BookUpdate(
                frame.seq, index, frame.ts_recv, row.ts * NS, row.inst_id or push.arg.inst_id,
                "books5", True, row.bids, row.asks, row.seq_id, row.prev_seq_id, row.checksum,
                _other(push.arg.inst_id, row.inst_id),
            )  # fmt: skip
            index += 1  # noqa: SIM113
        return rows

    return handle


def _quotes(decode: Decode) -> Handle:
    def handle(frame: Frame, payload: bytes) -> list[Event]:
        push = decode(payload)
        rows: list[Any] = push.data
        index = 0
        for row in rows:
            bids, asks = row.bids, row.asks
            bid = bids[0] if bids else _NO_LEVEL
            ask = asks[0] if asks else _NO_LEVEL
            rows[index] = Quote(
                frame.seq, index, frame.ts_recv, row.ts * NS, row.inst_id or push.arg.inst_id,
                bid.price, bid.size, bid.orders, ask.price, ask.size, ask.orders, row.seq_id,
                "bbo-tbt", _other(push.arg.inst_id, row.inst_id),
            )  # fmt: skip
            index += 1  # noqa: SIM113
        return rows

    return handle


def _tickers(decode: Decode) -> Handle:
    def handle(frame: Frame, payload: bytes) -> list[Event]:
        rows: list[Any] = decode(payload).data
        index = 0
        for row in rows:
            ts = row.ts
            rows[index] = Ticker(
                frame.seq, index, frame.ts_recv, None if ts is None else ts * NS, row.inst_id,
                row.last, row.last_sz, row.bid_px, row.bid_sz, row.ask_px, row.ask_sz,
                row.open24h, row.high24h, row.low24h, row.vol24h, row.vol_ccy24h,
                row.sod_utc0, row.sod_utc8,
            )  # fmt: skip
            index += 1  # noqa: SIM113
        return rows

    return handle


def _each(event_of: Callable[[Frame, int, Any], Event]) -> Reading:
    """Make the reading of a channel rare enough for one call a row."""

    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            rows = decode(payload).data
            return [event_of(frame, index, row) for index, row in enumerate(rows)]

        return handle

    return reading


def _each_of_argument(event_of: Callable[[Frame, int, Any, str], Event]) -> Reading:
    """Make the reading of such a channel whose rows do not name their instrument."""

    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            push = decode(payload)
            instrument = push.arg.inst_id
            rows = push.data
            return [event_of(frame, index, row, instrument) for index, row in enumerate(rows)]

        return handle

    return reading


def _candle(channel: str, interval: str) -> Reading:
    def event_of(frame: Frame, index: int, row: Any, instrument: str) -> Event:
        return Candle(
            frame.seq, index, frame.ts_recv, row.ts * NS, instrument, channel, interval,
            row.open, row.high, row.low, row.close, row.volume, row.volume_ccy,
            row.volume_quote, None if row.confirm is None else row.confirm == "1",
        )  # fmt: skip

    return _each_of_argument(event_of)


def _price_candle(channel: str, interval: str) -> Reading:
    def event_of(frame: Frame, index: int, row: Any, instrument: str) -> Event:
        return Candle(
            frame.seq, index, frame.ts_recv, row.ts * NS, instrument, channel, interval,
            row.open, row.high, row.low, row.close, None, None, None,
            None if row.confirm is None else row.confirm == "1",
        )  # fmt: skip

    return _each_of_argument(event_of)


def _mark_price(frame: Frame, index: int, row: Any) -> Event:
    return MarkPrice(frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id, row.mark_px)


def _index_price(frame: Frame, index: int, row: Any) -> Event:
    return IndexPrice(
        frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id, row.idx_px,
        row.open24h, row.high24h, row.low24h, row.sod_utc0, row.sod_utc8,
    )  # fmt: skip


def _funding_rate(frame: Frame, index: int, row: Any) -> Event:
    return FundingRate(
        frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id,
        row.funding_rate, to_ns(row.funding_time),
        row.next_funding_rate, to_ns(row.next_funding_time),
        row.min_funding_rate, row.max_funding_rate, row.premium, row.interest_rate,
        row.impact_value, row.sett_funding_rate, row.sett_state, row.method, row.formula_type,
        to_ns(row.prev_funding_time),
    )  # fmt: skip


def _open_interest(frame: Frame, index: int, row: Any) -> Event:
    return OpenInterest(
        frame.seq, index, frame.ts_recv, to_ns(row.ts), row.inst_id,
        row.oi, row.oi_ccy, row.oi_usd,
    )  # fmt: skip


def instrument_update(frame: Frame, index: int, row: Any, _: str | None = None) -> InstrumentUpdate:
    """Return the event of one instrument row, of a push or of a REST list."""
    return InstrumentUpdate(
        frame.seq, index, frame.ts_recv, row.inst_id, row.inst_type, row.state, row.base_ccy,
        row.quote_ccy, row.settle_ccy, row.uly, row.inst_family, row.ct_type, row.ct_val,
        row.ct_mult, row.ct_val_ccy, row.tick_sz, row.lot_sz, row.min_sz, row.lever,
        to_ns(row.list_time), to_ns(row.exp_time), row.opt_type, row.stk, row.inst_id_code,
        row.rule_type, row.inst_category, row.group_id, row.series_id, row.open_type,
        to_ns(row.cont_td_sw_time), to_ns(row.pre_mkt_sw_time), row.max_lmt_sz, row.max_lmt_amt,
        row.max_mkt_sz, row.max_mkt_amt, row.max_iceberg_sz, row.max_twap_sz,
        row.max_trigger_sz, row.max_stop_sz, row.future_settlement, tuple(row.upc_chg),
    )  # fmt: skip


def instrument_row_type(number: Any) -> Any:
    """Return the wire struct of an instrument row for one number type."""
    return wire.InstrumentRow[number]


def _candle_columns(row: Any) -> list[Any]:
    """Bring any layout of a candle into today's nine columns.

    Five columns are prices alone and seven add two volumes (frames of 2022, without `confirm`);
    where there is an even number of them, or nine and more, `confirm` is the last.
    """
    if not isinstance(row, list):
        raise ValueError("a candle that is no array")
    if len(row) >= 9:
        return [*row[:8], row[-1]]
    if len(row) in (5, 7):
        return row + [None] * (9 - len(row))
    if len(row) in (6, 8):
        return row[:-1] + [None] * (9 - len(row)) + row[-1:]
    raise ValueError(f"a candle of {len(row)} columns")


def _price_candle_columns(row: Any) -> list[Any]:
    """Bring a mark or index candle into six columns; five had no `confirm`."""
    if not isinstance(row, list):
        raise ValueError("a candle that is no array")
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


def _trade_push(number: Any) -> Any:
    return wire.TradePush[wire.TradeRow[number]]


INCREMENTAL_BOOKS = ("books", "books-l2-tbt", "books50-l2-tbt", "books-rpi", "books-elp")
"""Channels that send a snapshot and then updates."""

SHAPES: dict[str, Shape] = {
    "trades": Shape(_trade_push, _trades("trades")),
    "trades-all": Shape(_trade_push, _trades("trades-all")),
    **{name: Shape(_book(wire.BookRow), _books(name)) for name in INCREMENTAL_BOOKS},
    "books5": Shape(_argument(wire.BookRow), _books5),
    "bbo-tbt": Shape(_argument(wire.QuoteRow), _quotes),
    "tickers": Shape(_rows(wire.TickerRow), _tickers),
    "mark-price": Shape(_rows(wire.MarkPriceRow), _each(_mark_price)),
    "index-tickers": Shape(_rows(wire.IndexPriceRow), _each(_index_price)),
    "funding-rate": Shape(_rows(wire.FundingRateRow), _each(_funding_rate)),
    "open-interest": Shape(_rows(wire.OpenInterestRow), _each(_open_interest)),
    "instruments": Shape(_rows(wire.InstrumentRow), _each(instrument_update)),
    **MARKET_SHAPES,
    **SPREAD_SHAPES,
    **ACCOUNT_SHAPES,
    **BOT_SHAPES,
    **DEAL_SHAPES,
}
"""Typed channels of one fixed name; candles have one name per interval, see `shape_of`."""

_CANDLE = re.compile(r"(mark-price-|index-|sprd-|)candle([1-9]\d?(?:s|m|H|D|W|M|Y)(?:utc)?)")


def shape_of(channel: str) -> Shape | None:
    """Return how a channel is decoded, None for one that has no type."""
    shape = SHAPES.get(channel)
    if shape is not None:
        return shape
    match = _CANDLE.fullmatch(channel)
    if match is None:
        return None
    kind, interval = match.groups()
    if kind == "sprd-":
        return spread_candle(channel, interval)
    if kind:
        reading = _price_candle(channel, interval)
        return Shape(_argument(wire.PriceCandleRow), reading, _price_candle_columns)
    return Shape(_argument(wire.CandleRow), _candle(channel, interval), _candle_columns)
