"""The wire's shapes of spreads: one struct per kind of push and row (OKX API docs, Spread Trading).

Responsible for naming exactly the keys this project reads of the public spread channels. Refuses
to interpret them: `spreads.py` does. What holds for all shapes is said in `messages.py`.
"""

from __future__ import annotations

from typing import Generic, Literal

from msgspec import Struct

from recorder.event import Int64
from recorder.okx.messages import Milliseconds, N, R


class SpreadArgument(Struct, gc=False, rename="camel"):
    """The argument of a spread's push whose rows do not name it."""

    sprd_id: str


class SpreadPush(Struct, Generic[R], gc=False):
    """A push whose rows need the argument's spread."""

    arg: SpreadArgument
    data: list[R]


class SpreadBookPush(Struct, Generic[R], gc=False):
    """A push of a spread's incremental book."""

    arg: SpreadArgument
    action: Literal["snapshot", "update"]
    data: list[R]


class SpreadLevel(Struct, Generic[N], gc=False, array_like=True):
    """One price level of a spread's book: three columns, and prices may be negative."""

    price: N
    size: N
    orders: Int64 = 0


class SpreadBookRow(Struct, Generic[N], gc=False, rename="camel"):
    """`sprd-books-l2-tbt`, `sprd-books5`, `sprd-bbo-tbt`; numbered since 2024-11-28."""

    asks: list[SpreadLevel[N]]
    bids: list[SpreadLevel[N]]
    ts: Milliseconds
    checksum: Int64 | None = None
    seq_id: Int64 | None = None
    prev_seq_id: Int64 | None = None


class SpreadTradeRow(Struct, Generic[N], gc=False, rename="camel"):
    """`sprd-public-trades`."""

    sprd_id: str
    trade_id: str
    px: N
    sz: N
    side: str
    ts: Milliseconds


class SpreadTickerRow(Struct, Generic[N], gc=False, rename="camel"):
    """`sprd-tickers`: as `tickers`, without a volume in currency and the opens of the day."""

    sprd_id: str
    ts: Milliseconds | None = None
    last: N | None = None
    last_sz: N | None = None
    bid_px: N | None = None
    bid_sz: N | None = None
    ask_px: N | None = None
    ask_sz: N | None = None
    open24h: N | None = None
    high24h: N | None = None
    low24h: N | None = None
    vol24h: N | None = None


class SpreadCandleRow(Struct, Generic[N], gc=False, array_like=True, forbid_unknown_fields=True):
    """`sprd-candle*`: seven columns."""

    ts: Milliseconds
    open: N | None
    high: N | None
    low: N | None
    close: N | None
    volume: N | None
    confirm: Literal["0", "1"] | None
