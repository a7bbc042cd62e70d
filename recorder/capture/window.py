"""Turn a window of receive time into a window of sequence numbers.

Responsible for the meaning of `start` and `end`: wall clocks step, so a window is the contiguous
seq interval from the first frame at or after `start` to before the first one from there on that
is at or after `end`. Refuses to order anything by time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorder.capture.journal import Block, split_records
from recorder.capture.journal_file import JournalFile
from recorder.capture.segment import SegmentReader
from recorder.capture.serve import ReadReport
from recorder.capture.snapshot import JournalSource, SealedSource, Snapshot
from recorder.clock import utc_date
from recorder.errors import Damage

if TYPE_CHECKING:
    from recorder.capture.reader import Capture

_ATTEMPTS = 4
_BEYOND = 1 << 62


def seq_bounds(
    capture: Capture, start: int | None, end: int | None, report: ReadReport | None
) -> tuple[int, int | None]:
    """Return inclusive seq bounds of a window; an empty window has last < first."""
    snapshot = capture.snapshot()
    for _ in range(_ATTEMPTS):
        try:
            return _bounds(capture, snapshot, start, end, report)
        except FileNotFoundError:  # sealed, joined or expired since it was listed
            snapshot = capture.list_again()
    return _bounds(capture, snapshot, start, end, report)


def _bounds(
    capture: Capture,
    snapshot: Snapshot,
    start: int | None,
    end: int | None,
    report: ReadReport | None,
) -> tuple[int, int | None]:
    first = 0
    if start is not None:
        found = _first_at_or_after(capture, snapshot, start, 0, report)
        if found is None:
            return _BEYOND, _BEYOND - 1
        first = found
    if end is None:
        return first, None
    after = _first_at_or_after(capture, snapshot, end, first, report)
    return first, None if after is None else after - 1


def _first_at_or_after(
    capture: Capture, snapshot: Snapshot, ts: int, from_seq: int, report: ReadReport | None
) -> int | None:
    """Return the first seq >= from_seq whose frame has ts_recv >= ts."""
    day = utc_date(ts)
    for source in snapshot.sources:
        try:
            if isinstance(source, SealedSource):
                # A segment ends where its UTC date would rise: it holds no later date.
                date = source.path.partition("date=")[2][:10]
                if source.last_seq < from_seq or date < day:
                    continue
                found = _in_sealed(snapshot, source, ts, from_seq)
            else:
                found = _in_journal(capture, snapshot, source, ts, from_seq)
        except Damage as damage:
            if report is None:
                raise
            report.add(damage)
            continue
        if found is not None:
            return found
    return None


def _in_sealed(snapshot: Snapshot, source: SealedSource, ts: int, from_seq: int) -> int | None:
    reader = SegmentReader(snapshot.root, source.path, source.segment)
    try:
        if reader.meta.max_ts_recv < ts:
            return None
        for block, groups in reader.blocks():
            if block.last_seq < from_seq:
                continue
            found = reader.first_at_or_after(groups, ts, from_seq)
            if found is not None:
                return found
        return None
    finally:
        reader.close()


def _in_journal(
    capture: Capture, snapshot: Snapshot, source: JournalSource, ts: int, from_seq: int
) -> int | None:
    with JournalFile(
        snapshot.root, source.segment, capture_id=capture.header.id, size=source.size
    ) as journal:
        for part in journal.parts(from_seq=from_seq):
            if isinstance(part, Block):
                for frame in split_records(part.records):
                    if frame.ts_recv >= ts and frame.seq >= from_seq:
                        return frame.seq
    return None
