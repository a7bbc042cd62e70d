"""`make bench-sinks`: what a database takes, and what a sink costs the recording beside it.

Two ratios, each of one run: rows a second through the sink beside a bare COPY of the same lines
into a table of the same shape; and CPU time of the recording process (its children not counted)
with a sink that keeps nothing beside the same recording without one.

    BENCH_FRAMES=200000 python -m tests.bench.sinks
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

import recorder
from recorder.capture.reader import Capture
from recorder.event import Quote, Trade
from recorder.sinks import Position, Record
from recorder.sinks.addresses import sink_of
from recorder.sinks.timescale.schema import prepare
from recorder.sinks.timescale.tables import TABLES, line_of, names_of
from tests.bench import measure
from tests.bench.measure import Figure, rate
from tests.servers import Postgres

BATCH = 5_000


class Nothing:
    """A sink that keeps nothing: what is left is the cost of having one."""

    def __init__(self, _options: dict[str, str]) -> None:
        pass

    def open(self, _capture: str) -> None:
        """Begin at the start."""

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        """Take them."""

    def close(self) -> None:
        """Hold nothing."""


def copying(corpus: Path, scratch: Path) -> Figure:
    """Rows a second into trades and quotes, beside their lines copied into bare tables."""
    records = [e for e in Capture(corpus).events() if isinstance(e, Trade | Quote)]
    server = Postgres(Postgres.template(scratch))
    try:
        url = server.url("postgres")
        sink = sink_of(f"timescale:{url}?tables=trades,quotes")
        sink.open("bench")
        sink.write(records[:1], None)
        began = time.perf_counter()
        for at in range(0, len(records), BATCH):
            batch = records[at : at + BATCH]
            last = batch[-1]
            sink.write(batch, Position(last.seq, last.index, last.ts_recv))
        ours = time.perf_counter() - began
        sink.close()
        theirs = _bare(url, records)
    finally:
        server.remove()
    return Figure(
        "COPY: rows into two partitioned tables, a position each batch", rate(len(records), ours),
        "the same lines into bare tables", rate(len(records), theirs), theirs / ours,
    )  # fmt: skip


def _bare(url: str, records: Sequence[Trade | Quote]) -> float:
    tables = {kind: table for table in TABLES for kind in table.types}
    with psycopg.connect(url, autocommit=True) as connection:
        prepare(connection, "bare", "never")
        lines: list[tuple[str, str, bytes]] = []
        for at in range(0, len(records), BATCH):
            for kind in (Trade, Quote):
                table = tables[kind]
                part = [line_of(table, 1, e) for e in records[at : at + BATCH] if type(e) is kind]
                lines.append((table.name, names_of(table), "".join(part).encode()))
        for name in ("trades", "quotes"):
            connection.execute(f"CREATE TABLE bare_{name} (LIKE bare.{name})".encode())
        began = time.perf_counter()
        for name, columns, text in lines:
            with connection.cursor().copy(
                f"COPY bare_{name} ({columns}) FROM STDIN".encode()
            ) as to:
                to.write(text)
        return time.perf_counter() - began


def recording(corpus: Path, scratch: Path, count: int) -> Figure:
    """CPU seconds of the recording process, with a sink and without, in turn."""
    blob = scratch / "payloads.bin"
    with blob.open("wb") as file:
        for frame in Capture(corpus).frames():
            file.write(len(frame.payload).to_bytes(4, "little") + frame.payload)
    costs: dict[bool, list[float]] = {True: [], False: []}
    for number in range(6):
        with_sink = bool(number % 2)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.blast", str(blob), "1"], stdout=subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().decode().strip()
            began = time.process_time()
            asyncio.run(
                recorder.record(
                    scratch / f"recorded-{number}", ["books:BTC-USDT"], until_closed=True,
                    url=f"ws://127.0.0.1:{port}/ws/v5", rest=False,
                    sinks=["module:tests.bench.sinks:Nothing"] if with_sink else [],
                )
            )  # fmt: skip
            costs[with_sink].append(time.process_time() - began)
        finally:
            server.kill()
            server.wait()
    ours, theirs = min(costs[True]), min(costs[False])
    return Figure(
        "record --sink: CPU time of the recorder", rate(count, ours), "without a sink",
        rate(count, theirs), theirs / ours, "0.98",
    )  # fmt: skip


def main() -> None:
    """Print both."""
    frames = int(os.environ.get("BENCH_FRAMES", "200000"))
    with (
        tempfile.TemporaryDirectory(prefix="okx-recorder-bench-") as name,
        suppress(BrokenPipeError),
    ):
        scratch = Path(name)
        corpus = measure.make_corpus(scratch, frames)
        for figure in (copying(corpus.path, scratch), recording(corpus.path, scratch, frames)):
            print(
                f"{figure.what}: {figure.ours}; {figure.beside}: {figure.theirs}; "
                f"ratio {figure.ratio:.2f}{f', aim {figure.aim}' if figure.aim else ''}"
            )


if __name__ == "__main__":
    main()
