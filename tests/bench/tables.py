"""What `make bench` measures of SQL: from tables made ahead, and from the frames themselves.

Responsible for CPU time beside bare loops over the same bytes, for the bytes that a query reads,
and for what a row takes on disk. Refuses to judge: aims are printed. Run alone with
`python -m tests.bench.tables`; BENCH_FRAMES says how many frames (200,000).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from recorder.capture.reader import Capture
from recorder.capture.reshape.compact import compact
from recorder.frame import Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.pushes import shape_of
from replay.derived.building import build_tables
from replay.extent import Extent
from replay.simulation.simulator import simulate
from replay.sql import connect
from replay.views import VIEWS
from tests.bench.measure import INSTRUMENTS, ROUNDS, Corpus, Figure, make_corpus

_BARS = (
    "SELECT instrument, ts_event // 60000000000 AS bar, first(price), max(price), min(price), "
    "last(price), sum(size), count(*) FROM {} GROUP BY ALL"
)
_COUNT = "SELECT channel, count(*) FROM {} GROUP BY ALL"
_MINUTE = "SELECT count(*), sum(size) FROM trades WHERE instrument = '{}' AND ts_recv BETWEEN {}"
_NS = 1_000_000_000


def in_turn(*jobs: Callable[[], object]) -> list[float]:
    """Run the jobs in turn; return the best CPU seconds of each, threads included."""
    best = [float("inf")] * len(jobs)
    for _ in range(ROUNDS):
        for number, job in enumerate(jobs):
            started = time.process_time()
            job()
            best[number] = min(best[number], time.process_time() - started)
    return best


def derived(corpus: Corpus) -> list[Figure]:
    """Queries of trades from tables and from frames; making tables; their size."""
    path, trades = corpus.scratch / "derived", corpus.scratch / "trades"
    shutil.copytree(corpus.path, path)
    simulate(
        trades,
        seed=1,
        frames=max(len(corpus.frames), 1_000),
        channels=("trades",),
        instruments=INSTRUMENTS,
        reproducible=True,
    )
    for capture in (path, trades):
        compact(capture, clock=time.time_ns, sleep=lambda _: None, grace_s=0, wait=False)
    figures = [*_from_frames(trades), *_made(path, list(VIEWS))]
    _made(trades, ["trades"])
    return [*figures, *_from_tables(trades)]


def _from_frames(path: Path) -> list[Figure]:
    """Bars through the parser, beside a loop that decodes trades and builds Arrow columns."""
    row = shape_of("trades")
    if row is None:
        raise ValueError("trades have no shape")
    decode = msgspec.json.Decoder(row.push(float), strict=False).decode
    names = ("seq", "instrument", "price", "size", "ts")

    def bare() -> None:
        for batch in Capture(path).batches(channels=["trades"], kinds=[Kind.TEXT]):
            columns: list[list[Any]] = [[] for _ in names]
            for seq, payload in zip(batch.seq, batch.payload, strict=True):
                if payload.startswith(b'{"arg"'):
                    for trade in decode(payload).data:
                        values = (seq, trade.inst_id, trade.px, trade.sz, trade.ts)
                        for column, value in zip(columns, values, strict=True):
                            column.append(value)
            arrays: list[Any] = [pa.array(column) for column in columns]
            pa.RecordBatch.from_arrays(arrays, names=list(names))

    connection = connect(path)
    trades = _count(connection)
    ours, theirs = in_turn(
        lambda: connection.execute(_BARS.format("trades")).fetchall(),
        bare,
    )
    connection.close()
    return [_figure("one-minute bars from frames", ours, "decode + Arrow", theirs, trades, "≤ 3")]


def _made(path: Path, views: list[str]) -> list[Figure]:
    """Making tables in one process, beside the interpreter alone; and their bytes."""
    sealed = Capture(path).snapshot().sealed
    (path / "tables").mkdir()
    frames = list(Capture(path).frames())
    rows: dict[str, tuple[int, int]] = {}

    def interpreted() -> None:
        step = Interpreter().step
        for frame in frames:
            step(frame)

    def made() -> None:
        rows.clear()
        for source in sealed:
            for name, (count, size) in build_tables(path, source, views).views.items():
                before = rows.get(name, (0, 0))
                rows[name] = (before[0] + count, before[1] + size)

    started = time.process_time()
    made()
    ours = time.process_time() - started
    started = time.process_time()
    interpreted()
    theirs = time.process_time() - started
    figures = [
        Figure(
            "tables of every view, frames a second of CPU",
            f"{len(frames) / ours:,.0f}/s", "interpreter", f"{len(frames) / theirs:,.0f}/s",
            ours / theirs,
        )
    ]  # fmt: skip
    frame = sum(s.stat().st_size for s in (path / source.path for source in sealed)) / len(frames)
    for what, view in (
        ("table bytes a trade", "trades"),
        ("table bytes a quote", "quotes"),
        ("table bytes a book update", "book_updates"),
        ("table bytes a level of a book", "book_levels"),
    ):
        count, size = rows.get(view, (0, 0))
        figures.append(
            Figure(
                what, f"{size / max(count, 1):.1f} B", "a sealed frame", f"{frame:.1f} B",
                size / max(count, 1) / frame,
            )
        )  # fmt: skip
    return figures


def _from_tables(path: Path) -> list[Figure]:
    """The same queries from tables, beside DuckDB on the same Parquet files; bytes read."""
    seen: list[Extent] = []
    begin = Extent.begin
    Extent.begin = lambda self: (seen.append(self), begin(self))[1]  # type: ignore[method-assign]
    try:
        connection, bare = connect(path), duckdb.connect()
        files = [str(file) for file in (path / "tables" / "trades").rglob("*.parquet")]
        theirs = f"read_parquet({files!r}, hive_partitioning = false)"
        trades = _count(connection)
        figures = []
        for what, sql, aim in (
            ("one-minute bars from tables", _BARS, "30 ms"),
            ("count by channel from tables", _COUNT, "30 ms"),
        ):
            ours, other = in_turn(
                lambda sql=sql: connection.execute(sql.format("trades")).fetchall(),
                lambda sql=sql: bare.execute(sql.format(theirs)).fetchall(),
            )
            figures.append(_figure(what, ours, "DuckDB on the files", other, trades, aim))
        reads = seen[-1].tables.reads
        ((instrument, first),) = connection.execute(
            "SELECT instrument, min(ts_recv) FROM trades GROUP BY ALL ORDER BY count(*) LIMIT 1"
        ).fetchall()
        before = reads.bytes
        window = f"{first} AND {first + 60 * _NS}"
        connection.execute(_MINUTE.format(instrument, window)).fetchall()
        read = reads.bytes - before
        whole = sum(Path(file).stat().st_size for file in files)
        figures.append(
            Figure(
                "bytes read for one instrument, one minute", f"{read:,} B",
                "all trades", f"{whole:,} B", read / whole,
            )
        )  # fmt: skip
        connection.close()
        bare.close()
    finally:
        Extent.begin = begin  # type: ignore[method-assign]
    return figures


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM trades").fetchall()
    return int(count)


def _figure(
    what: str, ours: float, beside: str, theirs: float, trades: int, aim: str | None
) -> Figure:
    scale = 250_000 / max(trades, 1) * 1_000
    return Figure(
        f"{what}, CPU ms for 250,000 trades", f"{ours * scale:.1f} ms", beside,
        f"{theirs * scale:.1f} ms", ours / theirs, aim,
    )  # fmt: skip


JOBS = {"derived tables": derived}


def main() -> None:
    """Measure these alone."""
    with tempfile.TemporaryDirectory(prefix="okx-recorder-bench-") as scratch:
        frames = int(os.environ.get("BENCH_FRAMES", "200000"))
        for figure in derived(make_corpus(Path(scratch), frames)):
            print(
                f"{figure.what:<60} {figure.ours:>16}  {figure.beside:<20}"
                f"{figure.theirs:>14}  {figure.ratio:.2f}  {figure.aim or ''}"
            )


if __name__ == "__main__":
    main()
