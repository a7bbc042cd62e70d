"""Captures made of a seeded market: `simulate` writes one, `simulated_frames` yields its frames.

Responsible for putting a simulated session into a capture, with back-pressure, in bounded memory.
Refuses to know markets (`replay.market`) and sessions (`replay.simulation.session`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import PathLike

import msgspec

from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame
from replay.market.instruments import DEFAULT_INSTRUMENTS
from replay.simulation.scenario import Scenario
from replay.simulation.session import DEFAULT_START, SimulatedSession

__all__ = ["DEFAULT_START", "SimulationReport", "simulate", "simulated_frames"]


class SimulationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `simulate` wrote.

    Attributes:
        frames: rows of every kind. segments: sealed files.
        data_seconds: from the first row to the last.
        seed: what it was made from.
    """

    frames: int
    segments: int
    data_seconds: float
    seed: int


def simulated_frames(
    *,
    seed: int,
    instruments: Sequence[str] = DEFAULT_INSTRUMENTS,
    channels: Sequence[str] | None = None,
    duration: float | None = None,
    frames: int | None = None,
    rate: float = 1.0,
    start: int = DEFAULT_START,
    scenario: str | Scenario = "mixed",
    private: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of a simulated session, in `seq` order; arguments as for `simulate`."""
    session = SimulatedSession(
        seed=seed,
        instruments=instruments,
        channels=channels,
        duration=duration,
        frames=frames,
        rate=rate,
        start=start,
        scenario=scenario,
        private=private,
    )
    for batch in session.batches():
        yield from batch


def simulate(
    path: str | PathLike[str],
    *,
    seed: int,
    instruments: Sequence[str] = DEFAULT_INSTRUMENTS,
    channels: Sequence[str] | None = None,
    duration: float | None = None,
    frames: int | None = None,
    rate: float = 1.0,
    start: int = DEFAULT_START,
    scenario: str | Scenario = "mixed",
    private: bool = False,
    note: str | None = None,
    reproducible: bool = False,
    segment_seconds: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationReport:
    """Write a capture of a simulated session; the same arguments give the same frames.

    Args:
        path: directory to create.
        seed: decides everything, 0 or more.
        instruments: `BASE-USDT` or `BASE-USDT-SWAP`, in order.
        channels: keep to these; None: all the simulated venue has.
        duration: data time, seconds; 60 where neither this nor `frames` is given.
        frames: stop at this many rows (of every kind, the closing ones included).
        rate: order activity, 1.0 is some 50 frames a second for each instrument.
        start: data time of the first row, ns since the epoch.
        scenario: a name (`replay.simulation.scenario.SCENARIOS`) or a time table of one's own.
        private: log in, and trade with one account: its private channels too. The scenario
            `every-channel` always does.
        note: stored in `capture.json`.
        reproducible: leave host and paths out, so that equal captures are equal files.
        segment_seconds: data time per segment.
        progress: called now and then with (frames so far, data time ns).

    Raises:
        UsageError: an argument makes no sense. CaptureExists: something is at `path`.
        DiskFull: no room.
    """
    session = SimulatedSession(
        seed=seed,
        instruments=instruments,
        channels=channels,
        duration=duration,
        frames=frames,
        rate=rate,
        start=start,
        scenario=scenario,
        private=private,
    )
    first = last = None
    count = 0
    options = WriterOptions(segment_seconds=segment_seconds)
    with CaptureWriter(path, options=options, note=note, reproducible=reproducible) as writer:
        for batch in session.batches():
            writer.wait_for_room()
            writer.write(batch)
            count += len(batch)
            first = batch[0].ts_recv if first is None else first
            last = batch[-1].ts_recv
            if progress is not None:
                progress(count, last)
        report = writer.close()
    return SimulationReport(
        frames=count,
        segments=report.segments,
        data_seconds=((last or 0) - (first or 0)) / NS_PER_SECOND,
        seed=seed,
    )
