"""`make bench-memory`: does anything grow while many frames pass through?

Responsible for passing millions of frames through the real writer, its sealer, the reader, replay,
a backtest, SQL and the queue of a handler that is too slow, each in a process of its own, and for
sampling what those processes hold in memory. The frames are a simulated session repeated with
shifted numbers, times and connections, so that making them is not what is measured. Refuses to
judge: flat or not is for a person to see.

    make bench-memory                          10,000,000 frames, about 600 MB on disk meanwhile
    make bench-memory BENCH_FRAMES=1000000
    make bench-memory BENCH_PACE=20            a feed 20 times as busy: segments of 64 MiB
    BENCH_DIRECTORY=/mnt/big make bench-memory
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.frame import NO_CONNECTION, Frame
from recorder.live.delivery import Delivery
from recorder.okx.interpreter import Interpreter
from replay import connect, play
from replay.backtest import backtest
from replay.simulation.simulator import simulate
from tests.bench.measure import CHANNELS, INSTRUMENTS, RATE
from tests.bench.trading import CASH, Maker

SESSION_FRAMES = 200_000
"""Frames of the simulated session that is repeated."""
SAMPLE_S = 0.1
QUERY = (
    "SELECT instrument, count(*), min(price), max(price), sum(size) FROM trades GROUP BY ALL "
    "ORDER BY ALL"
)


class Sample(NamedTuple):
    """What a process held at one moment, bytes."""

    at: float
    resident: int


class Phase(NamedTuple):
    """One line of the table."""

    name: str
    frames: int
    seconds: float
    samples: list[Sample]
    peak: int

    def resident_at(self, share: float) -> int:
        """Return what was held when `share` of the phase's time had passed."""
        due = self.samples[0].at + share * (self.samples[-1].at - self.samples[0].at)
        return next(sample.resident for sample in self.samples if sample.at >= due)


# --- what the child processes do -----------------------------------------------------------------


def repeated(session: Path, frames: int) -> Iterator[list[Frame]]:
    """Yield the frames of a session over and over, as one recorder that is started again.

    `BENCH_PACE` times as many come a second: segments are then cut by size, not by time, and
    compressed for speed, which is what a busy feed gets.
    """
    pace = int(os.environ.get("BENCH_PACE", "1"))
    capture = Capture(session)
    info = capture.info()
    start = info.start or 0
    extent = (info.end or 0) - start + 1_000_000_000
    connections = 1 + max(frame.connection for frame in capture.frames())
    seq = turn = 0
    while True:
        later, numbers = turn * extent, turn * connections
        for batch in capture.batches():
            made = [
                Frame(
                    seq + position,
                    start + (frame.ts_recv + later - start) // pace,
                    (frame.ts_mono + later) // pace,
                    frame.connection + numbers if frame.connection >= 0 else NO_CONNECTION,
                    frame.kind,
                    frame.payload,
                )
                for position, frame in enumerate(batch.frames())
            ][: frames - seq]
            yield made
            seq += len(made)
            if seq == frames:
                return
        turn += 1


def write(path: Path, frames: int) -> int:
    """Write a capture; the sealer, a process of its own, seals meanwhile."""
    with CaptureWriter(path) as writer:
        for made in repeated(path.with_name("session"), frames):
            writer.write(made)
            writer.wait_for_room()
    return frames


def read(path: Path, frames: int) -> int:
    """Read every frame back, compared with what was written."""
    found = Capture(path).frames()
    for made in repeated(path.with_name("session"), frames):
        for frame in made:
            if next(found) != frame:
                raise SystemExit(f"expected frame {frame.seq} as written, read another one")
    if next(found, None) is not None:
        raise SystemExit(f"expected {frames} frames, read more")
    return frames


def replay(path: Path, frames: int) -> int:
    """Play every frame through the interpreter into a callback."""
    return play(path, lambda event, context: None).frames


def trade(path: Path, frames: int) -> int:
    """Let a strategy quote all the way; its tables are written."""
    with tempfile.TemporaryDirectory(prefix="okx-recorder-backtest-") as out:
        return backtest(path, Maker(), out=Path(out, "tables"), cash=CASH).report.frames


def deliver(path: Path, frames: int) -> int:
    """Offer every frame to a handler that keeps up with a fraction of them."""
    interpreter = Interpreter()
    delivery = Delivery(lambda event, context: time.sleep(0.001))
    for made in repeated(path.with_name("session"), frames):
        delivery.offer(made, interpreter)
        for frame in made:
            interpreter.step(frame)
    delivery.wait(0)
    return frames


def query(path: Path, frames: int) -> int:
    """Ask one question that every trade of the capture is needed for."""
    with connect(path) as connection:
        connection.sql(QUERY).fetchall()
    return frames


WORK: dict[str, tuple[str, Callable[[Path, int], int]]] = {
    "write": ("write (CaptureWriter)", write),
    "read": ("read (Capture.frames), compared", read),
    "replay": ("replay (play)", replay),
    "trade": ("backtest, quoting all the time", trade),
    "query": ("SQL over all trades", query),
    "deliver": ("a handler that is too slow", deliver),
}
SEALER = "seal (the sealer's process)"

# --- what the parent sees ------------------------------------------------------------------------


def status_of(pid: int, field: str) -> int:
    """Return a field of /proc/<pid>/status that is a size, in bytes; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) << 10
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class _Watch:
    """The samples of one process."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.peak = 0

    def look(self, pid: int) -> None:
        """Take a sample."""
        resident = status_of(pid, "VmRSS")
        if resident:
            self.samples.append(Sample(time.perf_counter(), resident))
            self.peak = max(self.peak, status_of(pid, "VmHWM"))


def phases_of(work: str, path: Path, frames: int) -> Iterator[Phase]:
    """Run one piece of work in a process of its own and yield what was seen of it."""
    name, _ = WORK[work]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.memory", work, str(path), str(frames)],
        stdout=subprocess.PIPE,
    )
    own, sealer = _Watch(), _Watch()
    # The sealer is started by a thread of the writer: found among the children of every task.
    sealing: int | None = None
    while process.poll() is None:
        own.look(process.pid)
        if work == "write":
            sealing = sealing or _started_by(process.pid)
            if sealing is not None:
                sealer.look(sealing)
        time.sleep(SAMPLE_S)
    seconds = time.perf_counter() - started
    answer = process.stdout.read() if process.stdout is not None else b""
    if process.returncode != 0:
        raise SystemExit(f"expected {work} to end well, it said {process.returncode}")
    count = msgspec.json.decode(answer, type=int)
    yield Phase(name, count, seconds, own.samples, own.peak)
    if sealer.samples:
        yield Phase(SEALER, count, seconds, sealer.samples, sealer.peak)


def _started_by(pid: int) -> int | None:
    for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
        try:
            found = (task / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if found:
            return int(found[0])
    return None


def table_of(phases: list[Phase], frames: int) -> Table:
    """Return the phases as a table."""
    table = Table(title=f"{frames:,} frames: memory held (RSS, MB)", title_justify="left")
    table.add_column("phase")
    for heading in ("frames", "frames/s", "at 10 %", "at 50 %", "at 100 %", "peak"):
        table.add_column(heading, justify="right")
    for phase in phases:
        held = [f"{phase.resident_at(share) / 1e6:,.0f}" for share in (0.1, 0.5, 1.0)]
        speed = f"{phase.frames / phase.seconds:,.0f}"
        table.add_row(phase.name, f"{phase.frames:,}", speed, *held, f"{phase.peak / 1e6:,.0f}")
    return table


def main() -> None:
    """Run every phase and print one table."""
    frames = int(os.environ.get("BENCH_FRAMES", "10000000"))
    talk = Console(stderr=True)
    if not Path("/proc/self/task").is_dir():
        raise SystemExit("expected Linux: the memory of a process is read from /proc")
    with tempfile.TemporaryDirectory(
        prefix="okx-recorder-memory-", dir=os.environ.get("BENCH_DIRECTORY")
    ) as scratch:
        session, path = Path(scratch, "session"), Path(scratch, "capture")
        talk.print(f"making a session of {min(SESSION_FRAMES, frames):,} simulated frames …")
        simulate(
            session,
            seed=1,
            frames=min(SESSION_FRAMES, frames),
            channels=CHANNELS,
            instruments=INSTRUMENTS,
            rate=RATE,
            reproducible=True,
        )
        phases: list[Phase] = []
        for work in WORK:
            talk.print(f"{work}: {frames:,} frames …")
            for phase in phases_of(work, path, frames):
                held = ", ".join(f"{phase.resident_at(at) / 1e6:,.0f}" for at in (0.1, 0.5, 1.0))
                talk.print(f"  {phase.name}: {phase.seconds:,.0f} s, {held} MB")
                phases.append(phase)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    Console(width=120 if not sys.stdout.isatty() else None).print(table_of(phases, frames))
    Console().print(f"on disk: {size / frames:.1f} bytes a frame, everything included")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(WORK[sys.argv[1]][1](Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
