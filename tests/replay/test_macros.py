"""Macros against the same figures computed in plain Python from the events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest

from recorder.capture.reader import Capture
from recorder.event import BookUpdate, Quote, SequenceGap, Subscribed, Trade
from replay import connect, query
from replay.ladder import book_at
from replay.macros import MACROS

DATASETS = Path(__file__).parents[2] / "datasets"
CALM, STRESS = DATASETS / "btc-calm", DATASETS / "eth-stress"
MINUTE = 60_000_000_000
AT = "2026-11-02 08:01:30Z"


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(CALM) as connection:
        yield connection


@pytest.fixture(scope="module")
def events() -> list[Any]:
    return list(Capture(CALM).events())


def near(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [tuple(pytest.approx(v) if isinstance(v, float) else v for v in row) for row in rows]


def test_bars_are_those_of_the_trades(db: duckdb.DuckDBPyConnection, events: list[Any]) -> None:
    bars: dict[int, list[Any]] = defaultdict(list)
    for event in events:
        if isinstance(event, Trade) and event.channel == "trades":
            bars[(event.ts_event or 0) // MINUTE * MINUTE].append(event)
    expected = [
        (
            "BTC-USDT",
            bar,
            trades[0].price,
            max(trade.price for trade in trades),
            min(trade.price for trade in trades),
            trades[-1].price,
            sum(trade.size for trade in trades),
            sum(trade.size for trade in trades if trade.side == "buy"),
            sum(t.price * t.size for t in trades) / sum(t.size for t in trades),
            len(trades),
        )
        for bar, trades in sorted(bars.items())
    ]
    assert len(expected) == 3
    columns = "instrument, epoch_ns(bar), * EXCLUDE (instrument, bar)"
    for arguments in ("interval 1 minute", "interval '1 minute', instrument := 'BTC-USDT'"):
        assert db.sql(f"SELECT {columns} FROM ohlcv({arguments})").fetchall() == near(expected)
    assert db.sql("FROM ohlcv(interval 1 minute, instrument := 'NO-SUCH')").fetchall() == []
    (all_fills,) = db.sql(
        "SELECT sum(trades) FROM ohlcv(interval 1 hour, channel := 'trades-all')"
    ).fetchall()
    assert all_fills == (sum(isinstance(e, Trade) and e.channel == "trades-all" for e in events),)


@pytest.mark.parametrize("channel", [None, "books5"])
def test_the_book_is_the_one_replay_has(db: duckdb.DuckDBPyConnection, channel: str | None) -> None:
    ((at,),) = db.sql(f"SELECT ns('{AT}')").fetchall()
    book = book_at(CALM, "BTC-USDT", at, channel=channel)
    named = "" if channel is None else f", channel := '{channel}'"
    rows = db.sql(f"FROM book_at('BTC-USDT', ns('{AT}'), depth := 4{named})").fetchall()
    for side, levels in (("bid", book.bids(4)), ("ask", book.asks(4))):
        totals = accumulate(level.size for level in levels)
        assert [row for row in rows if row[0] == side] == near(
            [
                (side, n, o.price, o.size, o.orders, t, book.channel, book.is_whole, book.seq)
                for n, (o, t) in enumerate(zip(levels, totals, strict=True))
            ]
        )
    assert db.sql("FROM book_at('NO-SUCH', 5)").fetchall() == []
    assert db.sql("FROM book_at('BTC-USDT', 5)").fetchall() == [], "before the first frame"


def test_a_ladder_wants_an_instant_and_an_instrument(db: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match="expected one instant and an instrument"):
        db.sql("FROM ladders WHERE instrument = 'BTC-USDT'").fetchall()


def test_trades_beside_the_quotes_they_met(
    db: duckdb.DuckDBPyConnection, events: list[Any]
) -> None:
    expected: list[tuple[Any, ...]] = []
    quote: Any = None
    for event in events:
        if isinstance(event, Quote):
            quote = event
        elif isinstance(event, Trade) and event.channel == "trades" and quote is not None:
            mid = (quote.bid_price + quote.ask_price) / 2
            edge = (event.price - mid) * (1 if event.side == "buy" else -1)
            expected.append((event.seq, event.price, quote.bid_price, quote.seq, edge))
    rows = db.sql(
        "SELECT seq, price, bid_price, quote_seq, edge FROM quoted_trades() "
        "WHERE quote_seq IS NOT NULL"
    ).fetchall()
    assert len(rows) > 400
    assert [row[:4] for row in rows] == [row[:4] for row in expected]
    assert [row[4] for row in rows] == pytest.approx([row[4] for row in expected])


def test_latency_leaves_the_first_push_of_a_subscription_out(
    db: duckdb.DuckDBPyConnection, events: list[Any]
) -> None:
    fresh: set[tuple[str, str]] = set()
    late: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if isinstance(event, Subscribed):
            fresh.add((event.channel, event.instrument or ""))
        elif isinstance(event, Trade | BookUpdate | Quote) and event.ts_event is not None:
            key = event.channel, event.instrument
            if key in fresh:
                fresh.discard(key)
            else:
                late[event.channel].append(event.ts_recv - event.ts_event)
    rows = db.sql("SELECT channel, pushes, min_ms, p50_ms, max_ms FROM latency()").fetchall()
    assert rows == near(
        [
            (channel, len(values), min(values) / 1e6, median(values) / 1e6, max(values) / 1e6)
            for channel, values in sorted(late.items())
        ]
    )
    (one,) = db.sql("FROM latency(channel := 'books')").fetchall()
    assert one[0] == "books"


def test_gaps_last_until_the_next_snapshot() -> None:
    gaps: list[SequenceGap] = []
    expected: list[tuple[int, float | None]] = []
    for event in Capture(STRESS).events():
        if isinstance(event, SequenceGap):
            gaps.append(event)
        elif isinstance(event, BookUpdate) and event.is_snapshot:
            for gap in [g for g in gaps if g.channel == event.channel]:
                gaps.remove(gap)
                expected.append((gap.seq, (event.ts_recv - gap.ts_recv) / 1e6))
    expected += [(gap.seq, None) for gap in gaps]
    assert expected
    with connect(STRESS) as db:
        rows = db.sql("SELECT seq, unknown_ms FROM book_gaps()").fetchall()
    assert rows == near(sorted(expected))


def test_scalars(db: duckdb.DuckDBPyConnection) -> None:
    (row,) = db.sql(
        "SELECT mid(10, 11), spread(10, 11), spread_bp(99.0, 101.0), imbalance(3, 1), "
        "microprice(10, 3, 11, 1), imbalance(0, 0), mid(NULL, 1), "
        "(SELECT vwap(p, s) FROM (VALUES (10, 1), (20, 3)) t(p, s))"
    ).fetchall()
    assert row == (10.5, 1, pytest.approx(200), 0.5, pytest.approx(10.75), None, None, 17.5)


def test_every_macro_says_what_it_gives(db: duckdb.DuckDBPyConnection) -> None:
    said = dict(
        db.sql(
            "SELECT DISTINCT function_name, comment FROM duckdb_functions() "
            "WHERE comment IS NOT NULL"
        ).fetchall()
    )
    assert {macro.name: macro.comment for macro in MACROS}.items() <= said.items()


def test_the_command_knows_them(tmp_path: Path) -> None:
    out = tmp_path / "bars.csv"
    with out.open("wb") as stream:
        query(
            CALM, "SELECT count(*) AS n FROM ohlcv(interval 1 minute)", format="csv", output=stream
        )
    assert out.read_text().split() == ["n", "3"]
