"""`make bench-seek`: how long from any instant of a large capture to its first event.

Responsible for a capture of ten million frames (made as `make bench-memory` makes it, in some two
thousand segments), for seeking to random instants of it, and for the bare side: opening one segment
and reading one block of it, which no seek can do without. Refuses to judge.

    make bench-seek                               10,000,000 frames, about 500 MB meanwhile
    make bench-seek BENCH_FRAMES=1000000
    make bench-seek BENCH_PACE=20                 a busy feed: few segments, of 64 MiB each
    BENCH_CAPTURE=/mnt/big/capture make bench-seek     a capture that is there; it is kept
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recorder.capture import layout
from recorder.capture.block import Selection
from recorder.capture.reader import Capture
from recorder.capture.segment import SegmentReader
from recorder.capture.snapshot import SealedSource
from replay.player import play
from replay.simulation.simulator import simulate
from tests.bench.measure import CHANNELS, INSTRUMENTS, RATE
from tests.bench.memory import SESSION_FRAMES, write

INSTANTS = 20


class _Enough(Exception):
    """The first event has come."""


def make_capture(scratch: Path, frames: int) -> Path:
    """Write the capture; return where it is."""
    simulate(
        scratch / "session",
        seed=1,
        frames=min(SESSION_FRAMES, frames),
        channels=CHANNELS,
        instruments=INSTRUMENTS,
        rate=RATE,
        reproducible=True,
    )
    write(scratch / "capture", frames)
    return scratch / "capture"


def in_ms(job: Callable[[], object]) -> tuple[float, float]:
    """Return how long a job takes, and CPU time of all threads; milliseconds."""
    started, worked = time.perf_counter(), time.process_time()
    job()
    return (time.perf_counter() - started) * 1e3, (time.process_time() - worked) * 1e3


def first_event(path: Path, at: int) -> None:
    """Open a capture, and take the first event from an instant on, with its books."""
    next(Capture(path).events(start=at))


def first_played(path: Path, at: int) -> None:
    """Open a capture, and play from an instant on until a strategy has the first event."""

    def enough(event: object, context: object) -> None:
        raise _Enough

    with suppress(_Enough):
        play(path, enough, start=at)


def one_block(root: Path, source: SealedSource) -> None:
    """Open a segment and read its first block."""
    reader = SegmentReader(root, source.path, source.segment)
    try:
        block, groups = next(reader.blocks())
        loaded = reader.load(block, groups, Selection())
        if loaded is not None:
            next(loaded.batches())
    finally:
        reader.close()


def most_frames_since_checkpoint(capture: Capture) -> int:
    """Return how many frames an interpreter has to see at worst, by the names of files."""
    snapshot = capture.snapshot()
    kept = set(layout.list_checkpoints(capture.path))
    inside = {seq for _, seq in layout.list_checkpoints_inside(capture.path)}
    worst, begin = 0, snapshot.first_seq
    for source in snapshot.sealed:
        reader = SegmentReader(snapshot.root, source.path, source.segment)
        reader.close()
        for part in reader.meta.joined or [reader.meta]:
            if part.segment in kept:
                begin = part.first_seq
            for seq in sorted(inside.intersection(range(part.first_seq, part.last_seq + 1))):
                worst, begin = max(worst, seq - begin), seq
            worst = max(worst, part.last_seq - begin + 1)
    return worst


def measured(path: Path, talk: Console) -> Table:
    """Measure; return the table."""
    capture = Capture(path)
    snapshot = capture.snapshot()
    sealed = snapshot.sealed
    ends = [SegmentReader(snapshot.root, s.path, s.segment) for s in (sealed[0], sealed[-1])]
    for reader in ends:
        reader.close()
    chance = random.Random(7)
    instants = [chance.randrange(ends[0].meta.start, ends[1].meta.end) for _ in range(INSTANTS + 1)]
    book = INSTRUMENTS[0]
    jobs: dict[str, Callable[[int], None]] = {
        "first event (Capture.events)": lambda at: first_event(path, at),
        "first event in a strategy (play)": lambda at: first_played(path, at),
        "book at the instant (book_at)": lambda at: Capture(path).book_at(book, at) and None,
        "bare: open one segment, read one block": lambda at: one_block(
            snapshot.root, chance.choice(sealed)
        ),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for number, at in enumerate(instants):
        for name, job in jobs.items():
            times = in_ms(partial(job, at))
            if number:  # the first one imports
                taken[name].append(times)
    frames = sealed[-1].last_seq - sealed[0].first_seq + 1
    title = f"{frames:,} frames in {len(sealed):,} segments: {INSTANTS} random instants, ms"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for heading in ("p50", "worst", "CPU p50", "CPU worst"):
        table.add_column(heading, justify="right")
    for name, all_times in taken.items():
        cells = []
        for kind in zip(*all_times, strict=True):
            cells += [f"{sorted(kind)[len(kind) // 2]:,.0f}", f"{max(kind):,.0f}"]
        table.add_row(name, *cells)
    for name, once in (("listing the files", capture.snapshot), ("Capture.info()", capture.info)):
        passed, worked = in_ms(once)
        table.add_row(name, f"{passed:,.0f}", "", f"{worked:,.0f}", "")
    worst = most_frames_since_checkpoint(capture)
    talk.print(f"at worst {worst:,} frames since the last checkpoint")
    return table


def main() -> None:
    """Make the capture, unless there is one, and print the table."""
    talk = Console(stderr=True)
    given = os.environ.get("BENCH_CAPTURE")
    if given is not None:
        table = measured(Path(given), talk)
    else:
        frames = int(os.environ.get("BENCH_FRAMES", "10000000"))
        with tempfile.TemporaryDirectory(
            prefix="okx-recorder-seek-", dir=os.environ.get("BENCH_DIRECTORY")
        ) as scratch:
            talk.print(f"writing {frames:,} frames …")
            table = measured(make_capture(Path(scratch), frames), talk)
    Console(width=120 if not sys.stdout.isatty() else None).print(table)


if __name__ == "__main__":
    main()
