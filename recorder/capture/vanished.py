"""Declare what has gone from the end of a capture before a recorder goes on behind it.

Responsible for `lost` rows in a segment of their own, for segments that a checkpoint proves and for
numbers that a dead recorder published as durable (its `status.json`) and that no file holds any
more: once new segments stand behind the gap, nothing else tells of it. Refuses to do it for a
capture that nobody goes on with: there the files may come back from a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.journal import Trailer
from recorder.capture.place import on_disk
from recorder.capture.reader import Capture
from recorder.capture.reading.holes import vanished_behind
from recorder.capture.sealing.salvage import Run
from recorder.capture.sealing.seal import Sealer
from recorder.capture.segment import SegmentReader
from recorder.errors import Damage
from recorder.frame import NO_CONNECTION, Frame, Kind, encode_record

Numbers = tuple[int, int, int]
"""Segment, seq and connection where a recorder continues."""


class Published(msgspec.Struct, frozen=True):
    """What a recorder that died left in `status.json`: at most about a second old."""

    durable_seq: int = -1
    segment: int = -1


_decode = msgspec.json.Decoder(Published).decode


def published_by_dead(root: Path) -> Published:
    """Return what the last recorder published; nothing where it ended in order, or said nothing.

    No more than it says is taken for true: it is not synced, but written after what it tells of.
    """
    try:
        return _decode((root / layout.STATUS_FILE).read_bytes())
    except (OSError, ValueError, msgspec.MsgspecError):
        return Published()


def destroyed(root: Path, next_seq: int) -> Damage | None:
    """Return the damage where numbers up to a recorder's `durable_seq` are in no file."""
    durable_seq = published_by_dead(root).durable_seq
    if durable_seq < next_seq:
        return None
    return Damage(
        f"expected frames {next_seq} to {durable_seq} in {root}, which a recorder that died had "
        f"published as durable, but no file holds them; restore its journal from a copy",
        file=layout.STATUS_FILE,
        cause="journal missing",
        first_seq=next_seq,
        last_seq=durable_seq,
    )


def declare_vanished(root: Path, numbers: Numbers) -> Numbers:
    """Seal `lost` rows for what is gone from the end; return where a recorder continues then.

    The caller holds LOCK, and the journals are recovered. A second call finds nothing to do.
    Of what a recorder published as durable the numbers are known. Behind them, and in segments of
    which only a checkpoint tells, nobody knows how many there were.
    """
    capture = Capture(root)
    segment, seq, connection = numbers
    unknown = vanished_behind(capture.snapshot())
    named = destroyed(root, seq)
    if named is None and unknown is None:
        return numbers
    ts_recv, ts_mono = _stamps(capture, segment)
    rows: list[Frame] = []
    if named is not None and named.last_seq is not None:
        last_seq = named.last_seq
        row = _lost(named.cause, first_seq=seq, last_seq=last_seq, count=last_seq - seq + 1)
        rows.append(Frame(seq, ts_recv, ts_mono, NO_CONNECTION, Kind.LOST, row))
        segment = max(segment, published_by_dead(root).segment + 1)
        seq = last_seq + 1
    row = _lost("killed" if unknown is None else unknown.cause)
    rows.append(Frame(seq, ts_recv, ts_mono, NO_CONNECTION, Kind.LOST, row))
    Sealer(root).seal_frames(segment, _Rows(rows))
    return segment + 1, seq + 1, connection


def _lost(
    cause: str,
    *,
    first_seq: int | None = None,
    last_seq: int | None = None,
    count: int | None = None,
) -> bytes:
    row = {
        "connection": NO_CONNECTION,
        "first_seq": first_seq,
        "last_seq": last_seq,
        "count": count,
        "bytes": None,
        "cause": cause,
    }
    return msgspec.json.encode(row)


def _stamps(capture: Capture, segment: int) -> tuple[int, int]:
    """Return the stamps of the last frame; without one, when a file that tells was written."""
    for source in reversed(capture.snapshot().sealed):
        try:
            reader = SegmentReader(capture.path, source.path, source.segment)
        except (Damage, FileNotFoundError):
            continue
        reader.close()
        return reader.meta.end, reader.meta.last_ts_mono
    root = on_disk(capture.path, "recovered")
    checkpoint = layout.checkpoint_path(root, segment)
    teller = checkpoint if checkpoint.exists() else root / layout.STATUS_FILE
    return teller.stat().st_mtime_ns, 0


class _Rows:
    """A segment of `lost` rows, for the sealer (`salvage.SealInput`)."""

    def __init__(self, rows: Sequence[Frame]) -> None:
        self._rows = rows
        self.trailer: Trailer | None = None
        self.is_repaired = True
        self.first_seq, self.last_seq = rows[0].seq, rows[-1].seq

    def runs(self) -> Iterator[Run]:
        """Yield the rows."""
        for row in self._rows:
            yield row.seq, 1, encode_record(row)

    def close(self) -> None:
        """There is nothing to close."""
