"""What metrics cost: the same frames through the pipeline with and without, in one run.

    python -m tests.bench.metrics            (BENCH_FRAMES=100000)

CPU time of this process; the two forms take turns, the middle of five is printed.
"""

from __future__ import annotations

import os
import statistics
import time

from recorder.capture.writing.figures import WriterFigures
from recorder.frame import Kind
from recorder.latency import Latencies
from recorder.live.connection import Stamp
from recorder.live.framing import Message
from recorder.live.meter import Meter
from recorder.live.nowhere import Nowhere
from recorder.live.pipeline import Pipeline

FRAMES = int(os.environ.get("BENCH_FRAMES", "100000"))
A_READ = 8
NO_FIGURES = WriterFigures(
    seq=0, written_seq=0, durable_seq=0, oldest_mono=None, queued_bytes=0, unsynced_bytes=0,
    journal_bytes=0, segments=0, sealed_bytes=0, sealed_from=0, removed=0, unsealed=0,
    is_sealing=True, is_waiting=False, syncs=Latencies(),
)  # fmt: skip


def trade(number: int) -> bytes:
    """Return a push as the venue sends it."""
    return (
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":'
        b'"%d","px":"87410.4","sz":"0.0125","side":"buy","ts":"1790000000101","count":"1",'
        b'"source":"0","seqId":%d}]}' % (number, number)
    )


def seconds(reads: list[list[Message]], *, with_metrics: bool) -> float:
    """Return the CPU time of taking all reads."""
    pipeline = Pipeline(Nowhere())
    if with_metrics:
        meter = Meter(pipeline, lambda: NO_FIGURES, steady=frozenset(), silence_max=30)
        pipeline.meter = meter.took
    began = time.process_time()
    for messages in reads:
        pipeline.received(0, messages, Stamp(time.time_ns(), time.monotonic_ns()))
    return time.process_time() - began


def measure(frames: int = FRAMES) -> tuple[float, float]:
    """Return the middle of five CPU times without and with metrics, s."""
    reads: list[list[Message]] = [
        [(Kind.TEXT, trade(number + item)) for item in range(A_READ)]
        for number in range(0, frames, A_READ)
    ]
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(5):
        for with_metrics in (False, True):
            found[with_metrics].append(seconds(reads, with_metrics=with_metrics))
    return statistics.median(found[False]), statistics.median(found[True])


if __name__ == "__main__":
    without, with_ = measure()
    print(
        f"{FRAMES:,} frames, {A_READ} a read: {FRAMES / without:,.0f}/s without metrics, "
        f"{FRAMES / with_:,.0f}/s with: ratio {without / with_:.3f}"
    )
