"""A recorded session as two redundant links would have recorded it, each with faults of its own."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import merge
from pathlib import Path

import msgspec

from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.frame import Frame, Kind
from recorder.okx.faults import Scenario
from recorder.okx.faults.stream import FaultyStream

_ASKED = (Kind.RUN, Kind.REST, Kind.SENT)  # once, whatever the links


def doubled(
    frames: Iterable[Frame], scenarios: tuple[Scenario, Scenario], *, lag_ns: int = 3_000_000
) -> list[Frame]:
    """Return the frames of both links in order of receipt, the second's so much later."""
    recorded = list(frames)
    links = []
    for link, scenario in enumerate(scenarios):
        stream = FaultyStream(scenario)
        brought = [one for frame in recorded for one in stream.take(frame)] + stream.finish()
        links.append([_of_link(frame, link, lag_ns) for frame in brought if _is_kept(frame, link)])
    both = merge(*links, key=lambda frame: frame.ts_mono)
    return [msgspec.structs.replace(frame, seq=seq) for seq, frame in enumerate(both)]


def _is_kept(frame: Frame, link: int) -> bool:
    return frame.kind is not Kind.FAULT and not (link and frame.kind in _ASKED)


def _of_link(frame: Frame, link: int, lag_ns: int) -> Frame:
    payload = frame.payload
    if frame.kind is Kind.OPENED:
        payload = msgspec.json.encode({**msgspec.json.decode(payload), "link": link})
    connection = frame.connection if frame.connection < 0 else 2 * frame.connection + link
    ts_recv, ts_mono = frame.ts_recv + link * lag_ns, frame.ts_mono + link * lag_ns
    return Frame(frame.seq, ts_recv, ts_mono, connection, frame.kind, payload)


def write_capture(path: Path, frames: list[Frame]) -> Path:
    """Write frames as a sealed capture."""
    writer = CaptureWriter(path)
    writer.write(frames)
    writer.close()
    return path


def write_doubled(source: Path, out: Path, scenarios: tuple[Scenario, Scenario]) -> Path:
    """Write a session as two links would have."""
    return write_capture(out, doubled(Capture(source).frames(), scenarios))
