"""Macros: what quants ask a market of, as SQL functions beside the views.

Responsible for their text, their units and what they leave out; over several captures each works on
each of them, and says which. Refuses to know the wire and to
follow a book: macros are SQL over the views, and `book_at` reads `ladders`, which the one
interpreter makes (`replay.ladder_scan`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import duckdb

_OF = re.compile(r"\{of (\w+)\}")
_SAME = re.compile(r"\{same (\w+) (\w+)\}")


class Macro(NamedTuple):
    """One function.

    Attributes:
        head: name and parameters, as SQL writes them.
        is_table: it gives rows; else a value, or an aggregate.
        comment: one line for a person, with units.
        sql: the body; `{of t}` stands for the column `capture` of t, and `{same t b}` for the
            condition that t and b are of the same, where there are several.
    """

    head: str
    is_table: bool
    comment: str
    sql: str

    @property
    def name(self) -> str:
        """The SQL name."""
        return self.head.partition("(")[0]


MACROS = (
    Macro(
        "ns(moment)",
        False,
        "a time as text or TIMESTAMPTZ, e.g. '2026-11-02 08:00:30Z', in ns since the Unix epoch; "
        "without a zone it is UTC",
        "epoch_ns(CAST(moment AS TIMESTAMPTZ))",
    ),
    Macro("mid(bid, ask)", False, "the middle of two prices", "(bid + ask) / 2"),
    Macro("spread(bid, ask)", False, "ask less bid, in quote currency", "ask - bid"),
    Macro(
        "spread_bp(bid, ask)",
        False,
        "ask less bid, in hundredths of a percent of the middle",
        "20000 * (ask - bid) / nullif(ask + bid, 0)",
    ),
    Macro(
        "imbalance(bid_size, ask_size)",
        False,
        "from -1 (all on the ask) to 1 (all on the bid)",
        "(bid_size - ask_size) / nullif(bid_size + ask_size, 0)",
    ),
    Macro(
        "microprice(bid, bid_size, ask, ask_size)",
        False,
        "the two prices weighted with the size of the other side",
        "(bid * ask_size + ask * bid_size) / nullif(bid_size + ask_size, 0)",
    ),
    Macro(
        "vwap(price, size)",
        False,
        "aggregate: the mean price weighted with size",
        "sum(price * size) / nullif(sum(size), 0)",
    ),
    Macro(
        "ohlcv(step, channel := 'trades', instrument := NULL)",
        True,
        "bars from trades, by the venue's time: step is an INTERVAL, bar the begin of each in UTC; "
        "a bar without a trade is no row. volume and buy_volume in the venue's unit of size",
        """
        SELECT {of t}t.instrument, time_bucket(step, make_timestamp_ns(t.ts_event)) AS bar,
               arg_min(t.price, (t.seq, t."index")) AS open, max(t.price) AS high,
               min(t.price) AS low, arg_max(t.price, (t.seq, t."index")) AS close,
               sum(t.size) AS volume, sum(CASE t.side WHEN 'buy' THEN t.size ELSE 0 END)
               AS buy_volume, sum(t.price * t.size) / nullif(sum(t.size), 0) AS vwap,
               count(*) AS trades
        FROM trades t
        WHERE t.channel = channel AND (instrument IS NULL OR t.instrument = instrument)
        GROUP BY ALL ORDER BY ALL
        """,
    ),
    Macro(
        "book_at(instrument, moment, depth := 10, channel := NULL)",
        True,
        "the book as it stood: after every frame received at or before `moment` (ns, see `ns`); "
        "level 0 is best, total the sum of sizes from there. Of several channels the best, unless "
        "you name one. No rows: no book was held then",
        """
        SELECT {of l}l.side, l.level, l.price, l.size, l.orders, l.total, l.channel, l.is_whole,
               l.seq
        FROM ladders l
        WHERE l.instrument = instrument AND l."at" = moment AND l.level < depth
          AND (l.channel = channel OR (channel IS NULL AND l.is_preferred))
        ORDER BY {of l}l.side DESC, l.level
        """,
    ),
    Macro(
        "quoted_trades(channel := 'trades', quotes := 'bbo-tbt', instrument := NULL)",
        True,
        "each trade beside the best prices that were known when it arrived, in the order of "
        "arrival; NULL where none were, or the book was not whole. edge: how far from the middle "
        "the taker dealt, positive is worse for him, in quote currency",
        """
        SELECT {of t}t.seq, t."index", t.ts_recv, t.ts_event, t.instrument, t.side, t.price, t.size,
               b.bid_price, b.bid_size, b.ask_price, b.ask_size, b.seq AS quote_seq,
               CASE t.side WHEN 'buy' THEN 1 ELSE -1 END
               * (t.price - (b.bid_price + b.ask_price) / 2) AS edge
        FROM (SELECT * FROM trades x WHERE x.channel = channel
              AND (instrument IS NULL OR x.instrument = instrument)) t
        ASOF LEFT JOIN (SELECT * FROM bbo x WHERE x.channel = quotes
              AND (instrument IS NULL OR x.instrument = instrument)) b
          ON t.instrument = b.instrument {same t b} AND t.seq > b.seq
        ORDER BY {of t}t.seq, t."index"
        """,
    ),
    Macro(
        "latency(channel := NULL, instrument := NULL)",
        True,
        "receive less venue time per channel and instrument, ms; the first push behind each "
        "subscription is left out, because it tells an old state",
        """
        WITH told AS (
            SELECT {of x}x.seq, x.ts_recv, x.ts_event, x.channel, x.instrument FROM trades x
            UNION ALL
            SELECT {of x}x.seq, x.ts_recv, x.ts_event, x.channel, x.instrument FROM book_updates x
            UNION ALL
            SELECT {of x}x.seq, x.ts_recv, x.ts_event, x.channel, x.instrument FROM quotes x
        ), pushes AS (
            SELECT t.*, s.seq AS since FROM told t ASOF LEFT JOIN subscribed s
              ON t.channel = s.channel AND t.instrument = s.instrument {same t s} AND t.seq >= s.seq
            WHERE (channel IS NULL OR t.channel = channel)
              AND (instrument IS NULL OR t.instrument = instrument)
        ), later AS (
            SELECT * FROM pushes p
            QUALIFY p.seq > min(p.seq) OVER (PARTITION BY {of p}p.channel, p.instrument, p.since)
        )
        SELECT {of l}l.channel, l.instrument, count(*) AS pushes,
               min(l.ts_recv - l.ts_event) / 1e6 AS min_ms,
               quantile_cont(l.ts_recv - l.ts_event, 0.5) / 1e6 AS p50_ms,
               quantile_cont(l.ts_recv - l.ts_event, 0.99) / 1e6 AS p99_ms,
               max(l.ts_recv - l.ts_event) / 1e6 AS max_ms
        FROM later l GROUP BY ALL ORDER BY ALL
        """,
    ),
    Macro(
        "book_gaps(instrument := NULL)",
        True,
        "where updates of a book are missing: the frame that showed it, since when in ns of "
        "ts_recv, and how many ms until the next snapshot; NULL: none came",
        """
        SELECT {of g}g.seq, g.ts_recv, g.channel, g.instrument,
               (min(u.ts_recv) - g.ts_recv) / 1e6 AS unknown_ms
        FROM (SELECT * FROM sequence_gaps x
              WHERE instrument IS NULL OR x.instrument = instrument) g
        LEFT JOIN (SELECT * FROM book_updates x WHERE x.is_snapshot
              AND (instrument IS NULL OR x.instrument = instrument)) u
          ON u.instrument = g.instrument AND u.channel = g.channel AND u.seq > g.seq {same g u}
        GROUP BY {of g}g.seq, g.ts_recv, g.channel, g.instrument ORDER BY {of g}g.seq
        """,
    ),
    Macro(
        "coverage(since := NULL, until := NULL, channel := NULL, instrument := NULL)",
        True,
        "did I have it? How much of a time (ns, see `ns`; all of it by default) each argument was "
        "received: share 0 to 1, holes and the longest in ms; as `recorder info --coverage` says. "
        "No row: it was not subscribed",
        """
        SELECT {of c}c.channel, c.subject, c.share, c.covered_ns, len(c.holes) AS holes,
               coalesce(list_max(list_transform(c.holes, lambda h: h.until - h.since)), 0) / 1e6
               AS longest_ms
        FROM covered c
        WHERE (c.window_start = since OR since IS NULL)
          AND (c.window_end = until OR until IS NULL)
          AND (c.channel = channel OR channel IS NULL)
          AND (c.subject = instrument OR instrument IS NULL)
        ORDER BY {of c}c.channel, c.subject
        """,
    ),
    Macro(
        "gaps(since := NULL, until := NULL, channel := NULL, instrument := NULL)",
        True,
        "the times in which an argument was not received, or not wholly: since and until in ns of "
        "ts_recv, cause: what ended the time before (begin: nothing did)",
        """
        SELECT {of h}h.channel, h.subject, h.hole.since, h.hole.until,
               (h.hole.until - h.hole.since) / 1e6 AS ms, h.hole.cause
        FROM (SELECT {of c}c.channel, c.subject, unnest(c.holes) AS hole FROM covered c
              WHERE (c.window_start = since OR since IS NULL)
                AND (c.window_end = until OR until IS NULL)
                AND (c.channel = channel OR channel IS NULL)
                AND (c.subject = instrument OR instrument IS NULL)) h
        ORDER BY {of h}h.channel, h.subject, h.hole.since
        """,
    ),
)


def create_macros(connection: duckdb.DuckDBPyConnection, *, is_several: bool = False) -> None:
    """Put every macro into a connection whose views are there.

    Args:
        is_several: the views have a column `capture`.
    """
    for macro in MACROS:
        kind = "TABLE " if macro.is_table else ""
        comment = macro.comment.replace("'", "''")
        sql = _OF.sub(r"\1.capture, " if is_several else "", macro.sql)
        sql = _SAME.sub(r"AND \1.capture = \2.capture" if is_several else "", sql)
        connection.execute(
            f"CREATE OR REPLACE TEMP MACRO {macro.head} AS {kind}{sql}; "
            f"COMMENT ON MACRO {kind}{macro.name} IS '{comment}'"
        )
