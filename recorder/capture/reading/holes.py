"""Holes: numbers that should be in a snapshot and that none of its files holds.

Responsible for finding what is missing from file names, the metadata next to a hole and the
checkpoint behind the last segment; nothing is read for a capture without holes. Refuses to judge
what is inside a file: whoever reads it does.
"""

from __future__ import annotations

from collections.abc import Iterator

from recorder.capture import layout
from recorder.capture.block import Selection
from recorder.capture.segment import SegmentReader, last_segment
from recorder.capture.snapshot import (
    JournalSource,
    SealedSource,
    Snapshot,
    SourceGone,
    take_snapshot,
)
from recorder.errors import Damage


def missing_before(
    snapshot: Snapshot,
    before: SealedSource | int | None,
    source: SealedSource | JournalSource,
    first_seq: int,
    wanted: Selection,
) -> Damage | None:
    """Return the damage where wanted numbers are missing before a source, None if all are there.

    Args:
        before: the sealed segment that comes before it, or the number that should come;
            None where that is unknown.
        first_seq: the number the source begins with.

    Raises:
        SourceGone: the files changed while they were listed: list again.
    """
    if before is None:
        return None
    expected = before if isinstance(before, int) else before.last_seq + 1
    if first_seq <= max(expected, wanted.first_seq) or not wanted.reaches(expected):
        return None
    if isinstance(before, SealedSource):  # a `lost` row at its end may account for them
        try:
            reader = SegmentReader(snapshot.root, before.path, before.segment)
        except (Damage, FileNotFoundError):
            return None  # told where that one is read
        reader.close()
        expected = reader.meta.next_seq
    missing = max(expected, wanted.first_seq)
    if first_seq <= missing or not wanted.reaches(missing):
        return None
    if _is_stale(snapshot, source):
        raise SourceGone(source.path, missing)
    return Damage(
        f"expected frame {missing} before {source.path}, found that numbers up to "
        f"{first_seq - 1} are missing; restore the segments that held them from a copy",
        file=source.path,
        cause="numbers missing",
        segment=source.segment,
        first_seq=missing,
        last_seq=first_seq - 1,
    )


def _is_stale(snapshot: Snapshot, source: SealedSource | JournalSource) -> bool:
    """Tell whether a new listing has other sources up to this one.

    A directory is not listed in one instant: of two segments that a live recorder seals meanwhile
    the list may have only the second; and what is compacted or expires may be half gone.
    """
    fresh = take_snapshot(snapshot.root, first_seq=snapshot.first_seq)
    known = [s.path for s in snapshot.sources if s.segment <= source.segment]
    return known != [s.path for s in fresh.sources if s.segment <= source.segment]


def vanished_behind(snapshot: Snapshot) -> Damage | None:
    """Return the damage of segments at the end that are gone, but for a checkpoint behind them."""
    if snapshot.vanished is None:
        return None
    first, last = snapshot.vanished
    source = snapshot.sources[-1] if snapshot.sources else None
    if isinstance(source, SealedSource):
        first = max(first, last_segment(snapshot.root, source.path, source.segment) + 1)
        if first > last:
            return None
    which = f"segment {first}" if first == last else f"segments {first} to {last}"
    file = f"{layout.CHECKPOINT_DIR}/{last + 1:06d}.zst"
    return Damage(
        f"expected {which}, which {file} was made from, found neither a sealed file nor a "
        f"journal of it; restore it from a copy",
        file=file,
        cause=f"{which} missing",
        segment=first,
        first_seq=source.last_seq + 1 if isinstance(source, SealedSource) else None,
    )


def missing_by_name(snapshot: Snapshot) -> Iterator[Damage]:
    """Yield what the listing alone shows to be missing: before sealed segments, and at the end."""
    before: SealedSource | int | None = snapshot.first_seq
    for source in snapshot.sources:
        if isinstance(source, SealedSource):
            hole = missing_before(snapshot, before, source, source.first_seq, Selection())
            if hole is not None:
                yield hole
        before = source if isinstance(source, SealedSource) else None
    gone = vanished_behind(snapshot)
    if gone is not None:
        yield gone
