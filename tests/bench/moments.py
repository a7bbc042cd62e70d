"""What `make bench` measures of replay time: merging, pacing, and following a recorder.

Responsible for figures in which clocks matter more than bytes. Refuses to judge: aims are printed.
Run alone with `python -m tests.bench.moments`; figures of a busy machine are those of the others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from recorder.event import Event
from recorder.frame import Frame, Kind
from replay.merged import Merger
from replay.player import play
from replay.simulation.simulator import simulate
from tests.bench.measure import CHANNELS, INSTRUMENTS, RATE, Corpus, Figure, in_turn, rate

SOURCES = 4
SMOOTH_SECONDS, SMOOTH_RATE = 60, 100
FAST_SECONDS, FAST_RATE = 10, 5_000
FOLLOWED_SECONDS, FOLLOWED_RATE = 5, 1_000
_PONG = b"pong"


def merging(corpus: Corpus) -> list[Figure]:
    """Merge four captures of the same hours, against reading and playing one after another."""
    each = max(len(corpus.frames) // SOURCES, 1_000)
    paths = [corpus.scratch / f"source-{seed}" for seed in range(SOURCES)]
    for seed, path in enumerate(paths):
        simulate(
            path, seed=seed, frames=each, channels=CHANNELS, instruments=INSTRUMENTS, rate=RATE,
            reproducible=True,
        )  # fmt: skip

    def chunks(path: Path) -> Iterator[list[Frame]]:
        for batch in Capture(path).batches():
            yield list(batch.frames())

    def read_each() -> int:
        return sum(map(len, chain.from_iterable(map(chunks, paths))))

    def read_merged() -> int:
        return sum(len(part.frames) for part in Merger([chunks(path) for path in paths]).parts())

    def callback(event: object, context: object) -> None:
        pass

    def play_each() -> None:
        for path in paths:
            play(path, callback)

    def play_merged() -> None:
        play(paths, callback)

    each_s, merged_s, played_s, together_s = in_turn(read_each, read_merged, play_each, play_merged)
    count = read_each()
    beside = "one after another"
    return [
        Figure(
            f"read {SOURCES} captures merged (time)", rate(count, merged_s),
            beside, rate(count, each_s), merged_s / each_s, "<= 1.3",
        ),
        Figure(
            f"play {SOURCES} captures merged (time)", rate(count, together_s),
            beside, rate(count, played_s), together_s / played_s, "<= 1.3",
        ),
    ]  # fmt: skip


def _steady(path: Path, seconds: int, per_second: int) -> Path:
    """Make a capture of evenly spaced frames."""
    start, step = 1_790_000_000 * NS_PER_SECOND, NS_PER_SECOND // per_second
    with CaptureWriter(path, reproducible=True) as writer:
        for first in range(0, seconds * per_second + 1, 10_000):
            last = min(first + 10_000, seconds * per_second + 1)
            writer.write(
                [
                    Frame(seq, start + seq * step, seq * step, 0, Kind.TEXT, _PONG)
                    for seq in range(first, last)
                ]
            )
            writer.wait_for_room()
    return path


def pacing(corpus: Corpus) -> list[Figure]:
    """Play at 1x: when the last frame goes, and how late frames are at five thousand a second."""
    figures = []
    for seconds, per_second in ((SMOOTH_SECONDS, SMOOTH_RATE), (FAST_SECONDS, FAST_RATE)):
        path = _steady(corpus.scratch / f"steady-{per_second}", seconds, per_second)
        first = last = 0

        def stamp(event: Event, context: object) -> None:
            nonlocal first, last
            last = time.monotonic_ns()
            first = first or last

        used = time.process_time()
        report = play(path, stamp, speed=1, lateness=True)
        used = time.process_time() - used
        error_ms = ((last - first) - seconds * NS_PER_SECOND) / 1e6
        late = report.lateness
        if late is None or late.p50_us is None or late.p99_us is None:
            raise SystemExit("expected frames that were due at a time, found none")
        name = f"{seconds} s at 1x, {per_second:,} frames/s"
        figures += [
            Figure(
                f"{name}: end off schedule", f"{error_ms:+.3f} ms", "schedule",
                f"{seconds} s", abs(error_ms) / 1e3 / seconds, "<= 10 ms",
            ),
            Figure(
                f"{name}: late p50", f"{late.p50_us:.1f} us", "p99", f"{late.p99_us:,.0f} us",
                late.p50_us / max(late.p99_us, 0.001), "< 1 ms",
            ),
            Figure(
                f"{name}: processor", f"{used:.2f} s", "of", f"{seconds} s", used / seconds,
            ),
        ]  # fmt: skip
    return figures


_WRITER = """
import sys, time
from recorder.capture.writer import CaptureWriter
from recorder.frame import Frame, Kind
path, seconds, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with CaptureWriter(path) as writer:
    writer.write([Frame(0, time.time_ns(), time.monotonic_ns(), 0, Kind.TEXT, b"pong")])
    print("there", flush=True)
    began = time.monotonic()
    for seq in range(1, seconds * rate):
        ahead = began + seq / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        writer.write([Frame(seq, time.time_ns(), time.monotonic_ns(), 0, Kind.TEXT, b"pong")])
"""


def following(corpus: Corpus) -> list[Figure]:
    """Follow a recorder: from a frame's stamp in its process to the callback in ours."""
    path = corpus.scratch / "followed"
    waits: list[int] = []

    def callback(event: Event, context: object) -> None:
        waits.append(time.time_ns() - event.ts_recv)

    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, path, str(FOLLOWED_SECONDS), str(FOLLOWED_RATE)],
        stdout=subprocess.PIPE,
    ) as writer:
        if writer.stdout is not None:
            writer.stdout.readline()
        report = play(path, callback, follow=True)
    if report.frames != FOLLOWED_SECONDS * FOLLOWED_RATE:
        raise SystemExit(f"expected every frame, found {report.frames}")
    waits = sorted(waits[FOLLOWED_RATE // 2 :])  # the first were there before the replay
    p50, p99 = waits[len(waits) // 2] / 1e6, waits[len(waits) * 99 // 100] / 1e6
    return [
        Figure(
            f"follow a recorder, {FOLLOWED_RATE:,} frames/s: stamp to callback, p50",
            f"{p50:.2f} ms", "p99", f"{p99:.2f} ms", p50 / p99, "<= 50 ms",
        )
    ]  # fmt: skip


JOBS = {"merging": merging, "pacing": pacing, "following": following}


def main() -> None:
    """Measure these alone."""
    with tempfile.TemporaryDirectory(prefix="okx-recorder-bench-") as scratch:
        empty = [Frame(0, 0, 0, 0, Kind.TEXT, b"")] * 100_000  # as many are simulated
        corpus = Corpus(Path(scratch), empty, [], Path(scratch))
        for job in JOBS.values():
            for figure in job(corpus):
                print(
                    f"{figure.what:<60} {figure.ours:>14}  {figure.beside:<18}"
                    f"{figure.theirs:>14}  {figure.ratio:.3f}  {figure.aim or ''}"
                )


if __name__ == "__main__":
    main()
