"""Declare segments that have gone from the end of a capture before a recorder goes on behind them.

Responsible for one `lost` row in a segment of its own: once new segments stand behind the gap, no
checkpoint tells of it any more. Refuses to do it for a capture that nobody goes on with: there the
files may come back from a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.holes import vanished_behind
from recorder.capture.journal import Trailer
from recorder.capture.reader import Capture
from recorder.capture.salvage import Run
from recorder.capture.seal import Sealer
from recorder.capture.segment import SegmentReader
from recorder.errors import Damage
from recorder.frame import NO_CONNECTION, Frame, Kind, encode_record

Numbers = tuple[int, int, int]
"""Segment, seq and connection where a recorder continues."""


def declare_vanished(root: Path, numbers: Numbers) -> Numbers:
    """Seal a `lost` row for segments that are gone; return where a recorder continues then.

    The caller holds LOCK, and the journals are recovered. A second call finds nothing to do.
    """
    capture = Capture(root)
    gone = vanished_behind(capture.snapshot())
    if gone is None:
        return numbers
    segment, seq, connection = numbers
    ts_recv, ts_mono = _stamps(capture, segment)
    row = {
        "connection": NO_CONNECTION,
        "first_seq": None,
        "last_seq": None,
        "count": None,
        "bytes": None,
        "cause": gone.cause,
    }
    payload = msgspec.json.encode(row)
    lost = Frame(seq, ts_recv, ts_mono, NO_CONNECTION, Kind.LOST, payload)
    Sealer(root).seal_frames(segment, _OneRow(lost))
    return segment + 1, seq + 1, connection


def _stamps(capture: Capture, segment: int) -> tuple[int, int]:
    """Return the stamps of the last frame; without one, when its checkpoint was written."""
    for source in reversed(capture.snapshot().sealed):
        try:
            reader = SegmentReader(capture.path, source.path, source.segment)
        except (Damage, FileNotFoundError):
            continue
        reader.close()
        return reader.meta.end, reader.meta.last_ts_mono
    return layout.checkpoint_path(capture.path, segment).stat().st_mtime_ns, 0


class _OneRow:
    """A segment of one frame, for the sealer (`salvage.SealInput`)."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.trailer: Trailer | None = None
        self.is_repaired = True
        self.first_seq = self.last_seq = frame.seq

    def runs(self) -> Iterator[Run]:
        """Yield the row."""
        yield self._frame.seq, 1, encode_record(self._frame)

    def close(self) -> None:
        """There is nothing to close."""
