"""Turn a window of receive time into a window of sequence numbers.

Responsible for the meaning of `start` and `end`: wall clocks step, so a window is the contiguous
seq interval from the first frame at or after `start` to before the first one from there on that
is at or after `end`. Refuses to order anything by time.

A sealed segment says the highest `ts_recv` of the capture up to its end. That never falls from one
to the next, so those that cannot hold the frame are passed over by bisection: of thousands of files
a dozen footers are read. Where one does not say it, files are read one after the other from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from recorder.capture.footer import read_meta
from recorder.capture.journal import Block, split_records
from recorder.capture.journal.file import JournalFile
from recorder.capture.reading.serve import ReadReport
from recorder.capture.segment import SegmentReader
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
    sources, day = snapshot.sources, utc_date(ts)
    for source in sources[too_early(snapshot, ts, from_seq) :]:
        try:
            if isinstance(source, SealedSource):
                if source.last_seq < from_seq or _date(source) < day:
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


def _date(source: SealedSource) -> str:
    """A segment ends where its UTC date would rise: it holds no later date."""
    return source.path.partition("date=")[2][:10]


def too_early(snapshot: Snapshot, ts: int, from_seq: int) -> int:
    """Return how many sources at the beginning cannot hold the frame, as far as files say it."""
    sealed = _sealed_first(snapshot.sources)
    low, high = 0, len(sealed)
    while low < high:
        middle = (low + high) // 2
        source = sealed[middle]
        if source.last_seq < from_seq:
            low = middle + 1
            continue
        latest = _latest(snapshot, source)
        if latest is None:  # nothing is known of what lies before it either
            break
        if latest < ts:
            low = middle + 1
        else:
            high = middle
    return low


def _sealed_first(sources: Sequence[SealedSource | JournalSource]) -> list[SealedSource]:
    """Return the sealed segments before the first journal."""
    found: list[SealedSource] = []
    for source in sources:
        if not isinstance(source, SealedSource):
            break
        found.append(source)
    return found


def _latest(snapshot: Snapshot, source: SealedSource) -> int | None:
    """Return the highest `ts_recv` up to the end of a segment; None where it does not say."""
    try:
        latest = read_meta(snapshot.root, source.path, source.segment).latest_ts_recv
    except Damage:
        return None  # whoever needs it will be told
    return None if latest is msgspec.UNSET else latest


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
