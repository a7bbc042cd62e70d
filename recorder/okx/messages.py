"""The wire's shapes: one struct per kind of push, row and control message of the OKX v5 API.

Responsible for naming exactly the keys this project reads, with the types it insists on. Refuses
to interpret them: `pushes.py` and `responses.py` turn them into events.

Every number of the wire is a JSON string of decimal digits; `N` is what it becomes (float, Decimal
or str). The decoders run with `strict=False`, so such a string, or a plain JSON number, is read as
the type named here. A blank (`""`) is not a number and fails: see `Parser` for what happens then.

Integers are bounded to what a signed 64-bit column holds, and times to what still fits there in
nanoseconds, so that no value of an event can overflow further down.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import Meta, Struct, field

from recorder.event import Int64, Level

N = TypeVar("N")
R = TypeVar("R")

Milliseconds = Annotated[int, Meta(ge=0, le=(2**63 - 1) // 1_000_000)]
"""A venue time: milliseconds since the Unix epoch, small enough to be given in nanoseconds."""


class InstrumentArgument(Struct, gc=False, rename="camel"):
    """The argument of a push whose rows do not name their instrument."""

    inst_id: str


class RowsPush(Struct, Generic[R], gc=False):
    """A push whose rows name their instrument; the argument is not read."""

    data: list[R]


class ArgumentPush(Struct, Generic[R], gc=False):
    """A push whose rows need the argument's instrument."""

    arg: InstrumentArgument
    data: list[R]


class RenamableArgument(Struct, gc=False, rename="camel"):
    """The argument of a push whose rows do name their instrument: after a rename, another one."""

    inst_id: str | None = None


class TradePush(Struct, Generic[R], gc=False):
    """A push of trades: after a rename they go on under the old argument (OKX API docs)."""

    arg: RenamableArgument
    data: list[R]


class BookPush(Struct, Generic[R], gc=False):
    """A push of an incremental book; without a known action it cannot be applied."""

    arg: InstrumentArgument
    action: Literal["snapshot", "update"]
    data: list[R]


class TradeRow(Struct, Generic[N], gc=False, rename="camel"):
    """`trades`, `trades-all`; `count`, `source` and `seqId` came later than the rest."""

    inst_id: str
    trade_id: str
    px: N
    sz: N
    side: str
    ts: Milliseconds
    count: Int64 = 1
    source: str | None = None
    seq_id: Int64 | None = None


class BookRow(Struct, Generic[N], gc=False, rename="camel"):
    """`books*`; `books5` alone repeats the instrument in the row and never chains."""

    asks: list[Level[N]]
    bids: list[Level[N]]
    ts: Milliseconds
    checksum: Int64 | None = None
    seq_id: Int64 | None = None
    prev_seq_id: Int64 | None = None
    inst_id: str | None = None


class QuoteRow(Struct, Generic[N], gc=False, rename="camel"):
    """`bbo-tbt`: at most one level a side."""

    asks: list[Level[N]]
    bids: list[Level[N]]
    ts: Milliseconds
    seq_id: Int64 | None = None
    inst_id: str | None = None


class TickerRow(Struct, Generic[N], gc=False, rename="camel"):
    """`tickers`."""

    inst_id: str
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
    vol_ccy24h: N | None = field(default=None, name="volCcy24h")
    sod_utc0: N | None = None
    sod_utc8: N | None = None


class CandleRow(Struct, Generic[N], gc=False, array_like=True, forbid_unknown_fields=True):
    """`candle*` of today: nine columns. Older layouts take the lenient path."""

    ts: Milliseconds
    open: N | None
    high: N | None
    low: N | None
    close: N | None
    volume: N | None
    volume_ccy: N | None
    volume_quote: N | None
    confirm: Literal["0", "1"] | None


class CandleRow2022(Struct, Generic[N], gc=False, array_like=True, forbid_unknown_fields=True):
    """`candle*` of 2022: seven columns."""

    ts: Milliseconds
    open: N | None
    high: N | None
    low: N | None
    close: N | None
    volume: N | None
    volume_ccy: N | None

    @property
    def volume_quote(self) -> None:
        """Not sent then."""

    @property
    def confirm(self) -> None:
        """Not sent then."""


class PriceCandleRow(Struct, Generic[N], gc=False, array_like=True, forbid_unknown_fields=True):
    """`mark-price-candle*` and `index-candle*` of today: six columns, no volumes."""

    ts: Milliseconds
    open: N | None
    high: N | None
    low: N | None
    close: N | None
    confirm: Literal["0", "1"] | None


class PriceCandleRow2022(Struct, Generic[N], gc=False, array_like=True, forbid_unknown_fields=True):
    """`mark-price-candle*` and `index-candle*` of 2022: five columns."""

    ts: Milliseconds
    open: N | None
    high: N | None
    low: N | None
    close: N | None

    @property
    def confirm(self) -> None:
        """Not sent then."""


class MarkPriceRow(Struct, Generic[N], gc=False, rename="camel"):
    """`mark-price`."""

    inst_id: str
    ts: Milliseconds | None = None
    mark_px: N | None = None


class IndexPriceRow(Struct, Generic[N], gc=False, rename="camel"):
    """`index-tickers`."""

    inst_id: str
    ts: Milliseconds | None = None
    idx_px: N | None = None
    open24h: N | None = None
    high24h: N | None = None
    low24h: N | None = None
    sod_utc0: N | None = None
    sod_utc8: N | None = None


class FundingRateRow(Struct, Generic[N], gc=False, rename="camel"):
    """`funding-rate`; frames of 2022 hold only the two rates and the funding time."""

    inst_id: str
    ts: Milliseconds | None = None
    funding_rate: N | None = None
    funding_time: Milliseconds | None = None
    next_funding_rate: N | None = None
    next_funding_time: Milliseconds | None = None
    min_funding_rate: N | None = None
    max_funding_rate: N | None = None
    premium: N | None = None
    interest_rate: N | None = None
    impact_value: N | None = None
    sett_funding_rate: N | None = None
    sett_state: str | None = None
    method: str | None = None
    formula_type: str | None = None
    prev_funding_time: Milliseconds | None = None


class OpenInterestRow(Struct, Generic[N], gc=False, rename="camel"):
    """`open-interest`; `oiUsd` exists since 2025-03-26."""

    inst_id: str
    ts: Milliseconds | None = None
    oi: N | None = None
    oi_ccy: N | None = None
    oi_usd: N | None = None


class InstrumentRow(Struct, Generic[N], gc=False, rename="camel"):
    """One instrument, of the `instruments` channel or of its REST list."""

    inst_id: str
    inst_type: str | None = None
    state: str | None = None
    base_ccy: str | None = None
    quote_ccy: str | None = None
    settle_ccy: str | None = None
    uly: str | None = None
    inst_family: str | None = None
    ct_type: str | None = None
    ct_val: N | None = None
    ct_mult: N | None = None
    ct_val_ccy: str | None = None
    tick_sz: N | None = None
    lot_sz: N | None = None
    min_sz: N | None = None
    lever: N | None = None
    list_time: Milliseconds | None = None
    exp_time: Milliseconds | None = None
    opt_type: str | None = None
    stk: N | None = None
    inst_id_code: Int64 | None = None
    rule_type: str | None = None
    inst_category: str | None = None
    group_id: str | None = None
    series_id: str | None = None
    open_type: str | None = None
    cont_td_sw_time: Milliseconds | None = None
    pre_mkt_sw_time: Milliseconds | None = None
    max_lmt_sz: N | None = None
    max_lmt_amt: N | None = None
    max_mkt_sz: N | None = None
    max_mkt_amt: N | None = None
    max_iceberg_sz: N | None = None
    max_twap_sz: N | None = None
    max_trigger_sz: N | None = None
    max_stop_sz: N | None = None
    future_settlement: bool | None = None
    upc_chg: list[dict[str, Any]] = []


class LiquidationDetail(Struct, Generic[N], gc=False, rename="camel"):
    """One order inside a row of `liquidation-orders`."""

    side: str
    ts: Milliseconds | None = None
    pos_side: str | None = None
    sz: N | None = None
    bk_px: N | None = None
    bk_loss: N | None = None
    ccy: str | None = None


class LiquidationRow(Struct, Generic[N], gc=False, rename="camel"):
    """`liquidation-orders`: the forced orders of one instrument."""

    inst_id: str
    details: list[LiquidationDetail[N]]
    inst_type: str | None = None
    inst_family: str | None = None
    uly: str | None = None


class BlockLeg(Struct, Generic[N], gc=False, rename="camel"):
    """One leg of a structured block trade."""

    inst_id: str
    px: N
    sz: N
    side: str
    trade_id: str | None = None


class StructuredBlockRow(Struct, Generic[N], gc=False, rename="camel"):
    """`public-struc-block-trades`: a block trade with its legs."""

    legs: list[BlockLeg[N]]
    c_time: Milliseconds | None = None
    block_td_id: str | None = None
    group_id: str | None = None


class Opened(Struct, gc=False):
    """Payload of an `opened` row."""

    url: str | None = None
    endpoint: str | None = None
    link: Int64 | None = None


class Closed(Struct, gc=False):
    """Payload of a `closed` row; `opened` is False for a connect that failed.

    `then` and what follows it are written for sockets of an endpoint, and since parser version 3.
    """

    code: Int64 | None = None
    reason: str | None = None
    by: str | None = None
    opened: bool = True
    endpoint: str | None = None
    link: Int64 | None = None
    then: str | None = None
    retry_in_s: float | None = None


class LostRange(Struct, gc=False):
    """Payload of a `lost` row; what is unknown is null."""

    connection: Int64 = -1
    first_seq: Int64 | None = None
    last_seq: Int64 | None = None
    count: Int64 | None = None
    bytes: Int64 | None = None
    cause: str = ""


class NoveltyRow(Struct, gc=False):
    """`novelty` in the payload of a `clock` row."""

    connection: Int64
    channel: str
    what: str
    seq: Int64


class RestBody(Struct):
    """Body of a REST response of API v5."""

    code: str | int | None = None
    msg: str | None = None
    data: Any = None


class FaultMark(Struct, gc=False):
    """Payload of a mark that a replay puts where it injects a fault."""

    fault: str
    channel: str | None = None
    instrument: str | None = None
    detail: str = ""
