"""SQL: what the views cost beside bare DuckDB and a bare decoding loop over the same frames.

Responsible for three questions: counting by channel, one-minute bars from raw frames, and how much
of the files one instrument in one minute reads. Refuses to judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from recorder.capture.reader import Capture
from recorder.frame import Kind
from replay import connect
from tests.bench.measure import ROUNDS, Corpus, Figure

COUNT = "SELECT channel, count(*) FROM {} GROUP BY ALL ORDER BY ALL"
BARS = "FROM ohlcv(interval 1 minute)"
NS_PER_MINUTE = 60_000_000_000


class _Row(msgspec.Struct, rename={"id": "tradeId", "time": "ts", "instrument": "instId"}):
    """A trade as on the wire, all that bars need."""

    instrument: str
    px: float
    sz: float
    side: str
    time: int


class _Push(msgspec.Struct):
    data: list[_Row]


def cpu(job: Callable[[], object]) -> float:
    """Return the least CPU time of some rounds, all threads, seconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        job()
        best = min(best, time.process_time() - began)
    return best


def asking(corpus: Corpus) -> list[Figure]:
    """Count by channel, bars from raw, one instrument's minute."""
    with connect(corpus.path) as db, duckdb.connect() as bare:
        files = [str(corpus.path / s.path) for s in Capture(corpus.path).snapshot().sealed]
        read = f"read_parquet({files!r})"
        ask(db, COUNT.format("frames"))  # both have seen the files
        assert ask(db, COUNT.format("frames")) == ask(bare, COUNT.format(read))
        ours, theirs = (
            cpu(lambda: ask(db, COUNT.format("frames"))),
            cpu(lambda: ask(bare, COUNT.format(read))),
        )
        figures = [_figure("count by channel", ours, "bare DuckDB", theirs, "1.5")]
        bars, bare_bars = ask(db, BARS), decoded_bars(corpus.path)
        assert [row[:6] for row in bars] == [row[:6] for row in bare_bars]
        ours, theirs = cpu(lambda: ask(db, BARS)), cpu(lambda: decoded_bars(corpus.path))
        figures.append(_figure("one-minute bars from raw", ours, "decode + Arrow", theirs, "3"))
    return [*figures, window(corpus)]


def ask(db: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return db.execute(sql).fetchall()


def decoded_bars(path: Path) -> list[tuple[Any, ...]]:
    """Return the same bars by nothing but a decoder, Arrow and DuckDB."""
    decode = msgspec.json.Decoder(_Push, strict=False).decode
    rows: list[_Row] = []
    for batch in Capture(path).batches(channels=["trades"], kinds=[Kind.TEXT]):
        for payload in batch.payload:
            if b'"data":' in payload:
                rows += decode(payload).data
    trades = pa.table(  # noqa: F841 - DuckDB finds it by its name
        {
            "nth": range(len(rows)),
            "instrument": [row.instrument for row in rows],
            "price": [row.px for row in rows],
            "size": [row.sz for row in rows],
            "side": [row.side for row in rows],
            "ts_event": [row.time * 1_000_000 for row in rows],
        }
    )
    sql = """
        SELECT instrument, time_bucket(interval 1 minute, make_timestamp_ns(ts_event)) AS bar,
               arg_min(price, nth) AS open, max(price) AS high, min(price) AS low,
               arg_max(price, nth) AS close, sum(size), count(*)
        FROM trades GROUP BY ALL ORDER BY ALL
    """
    return duckdb.sql(sql).fetchall()


def window(corpus: Corpus) -> Figure:
    """Return how many bytes one instrument in a twentieth of the time reads, beside all of them."""
    info = Capture(corpus.path).info()
    assert info.start is not None
    assert info.end is not None
    end = info.start + (info.end - info.start) // 20
    some = f"instrument = 'BTC-USDT' AND ts_recv < {end}"

    def fetched(sql: str) -> int:
        with connect(corpus.path) as db:
            before = read_bytes()
            ask(db, sql)
            return read_bytes() - before

    ours = fetched(f"SELECT count(*), sum(price) FROM trades WHERE {some}")
    theirs = fetched("SELECT sum(octet_length(payload)), sum(ts_mono) FROM frames")
    return Figure(
        "trades of one instrument, 1/20", f"{ours / 1024:.0f} KiB", "all that is stored",
        f"{theirs / 1024:.0f} KiB", ours / theirs,
    )  # fmt: skip


def read_bytes() -> int:
    """Return the bytes that this process has read so far, from whatever; Linux."""
    with open("/proc/self/io") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("rchar"))


def _figure(what: str, ours: float, beside: str, theirs: float, aim: str) -> Figure:
    return Figure(
        what, f"{ours * 1e3:.1f} ms", beside, f"{theirs * 1e3:.1f} ms", ours / theirs, aim
    )


JOBS = {"asking": asking}
