"""Join: neighbouring sealed segments written as one, sorted in larger blocks, and read back.

Responsible for the joined file's rows, metadata and proof: every segment is checked against its
digests on the way in, the whole against its own after it was written. Refuses to decide what is
joined and to put the file in its place: `compact` does. At most two blocks are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.batch import FrameBatch
from recorder.capture.block import Selection
from recorder.capture.digest import BLOCK_SHIFT, BlockDigest, PartDigests
from recorder.capture.layout import SealedName
from recorder.capture.sealing.pending import PendingRows
from recorder.capture.sealing.seal import file_hash, part_digests
from recorder.capture.segment import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    ChannelCount,
    JoinedPart,
    SegmentMeta,
    SegmentReader,
    SegmentWriter,
    SortedBlock,
)
from recorder.errors import Damage


class Joinable(msgspec.Struct, frozen=True):
    """A sealed segment and its metadata."""

    name: SealedName
    meta: SegmentMeta


class Joined(msgspec.Struct, frozen=True):
    """A joined file that has been read back, not yet in its place."""

    name: SealedName
    meta: SegmentMeta
    bytes_before: int
    bytes_after: int


def join(
    root: Path,
    group: Sequence[Joinable],
    temporary: Path,
    *,
    level: int,
    progress: Callable[[int], None],
) -> Joined:
    """Write the segments of `group` as one file at `temporary`, durably, and read it back.

    Raises:
        Damage: a segment is not what it says, or the joined file does not read back equal.
        FileNotFoundError: a segment has expired.
    """
    writer = SegmentWriter(temporary, level=level)
    try:
        digests = _write_rows(root, group, writer, progress)
        meta = _meta(root, group, writer.blocks, digests)
    except BaseException:
        writer.abandon()
        raise
    writer.close(meta)
    temporary.chmod(layout.file_mode(root))
    layout.fsync_file(temporary)
    reader = SegmentReader(root, str(temporary.relative_to(root)), meta.segment)
    try:
        if list(part_digests(reader)) != meta.digests:
            raise _damage(group[0], "joined file does not read back equal to its segments")
    finally:
        reader.close()
    hash16 = file_hash(temporary)[:16]
    name = layout.sealed_name(meta.segment, meta.first_seq, meta.last_seq, meta.start, hash16)
    before = sum((root / item.name.path).stat().st_size for item in group)
    return Joined(name, meta, before, temporary.stat().st_size)


def _write_rows(
    root: Path,
    group: Sequence[Joinable],
    writer: SegmentWriter,
    progress: Callable[[int], None],
) -> list[BlockDigest]:
    """Copy all rows in seq order into new blocks; return the digests of the whole."""
    pending, whole = PendingRows(), PartDigests()
    frames = 0
    for item in group:
        if file_hash(root / item.name.path)[:16] != item.name.hash16:
            raise _damage(item, "file hash does not match its name")
        reader = SegmentReader(root, item.name.path, item.name.segment)
        try:
            parts = PartDigests()
            for block, groups in reader.blocks():
                loaded = reader.load(block, groups, Selection())
                if loaded is None:
                    continue
                for first_seq, count, records in loaded.record_runs():
                    parts.update(first_seq >> BLOCK_SHIFT, count, records)
                    whole.update(first_seq >> BLOCK_SHIFT, count, records)
                for batch in loaded.batches():
                    _add(batch, pending, writer)
                    frames += len(batch)
                progress(frames)
            if parts.blocks() != item.meta.digests:
                raise _damage(item, "frames do not match their digest")
        finally:
            reader.close()
    if pending.rows:
        writer.add(pending)
    return whole.blocks()


def _add(batch: FrameBatch, pending: PendingRows, writer: SegmentWriter) -> None:
    """Add rows; a block ends where sealing would end it."""
    index = list(zip(batch.channel, batch.instrument, strict=True))
    if pending.rows and pending.payload_bytes + sum(map(len, batch.payload)) > BLOCK_BYTES:
        writer.add(pending)
    at = 0
    while at < len(batch):
        stop = at + BLOCK_ROWS - pending.rows
        part = batch.part(at, stop)
        pending.add(part, index[at:stop])
        at += len(part)
        if pending.rows == BLOCK_ROWS:
            writer.add(pending)


def _damage(item: Joinable, cause: str) -> Damage:
    return Damage(
        f"expected a whole segment in {item.name.path}, found that its {cause}; it stays as it "
        f"is: run `recorder verify`",
        file=item.name.path,
        cause=cause,
        segment=item.name.segment,
        first_seq=item.name.first_seq,
        last_seq=item.name.last_seq,
    )


def _meta(
    root: Path, group: Sequence[Joinable], blocks: list[SortedBlock], digests: list[BlockDigest]
) -> SegmentMeta:
    """Add the metadata of the segments up."""
    metas = [item.meta for item in group]
    first, last = metas[0], metas[-1]
    return msgspec.structs.replace(
        first,
        last_seq=last.last_seq,
        next_seq=last.next_seq,
        count=sum(meta.count for meta in metas),
        raw_bytes=sum(meta.raw_bytes for meta in metas),
        end=last.end,
        min_ts_recv=min(meta.min_ts_recv for meta in metas),
        max_ts_recv=max(meta.max_ts_recv for meta in metas),
        last_ts_mono=last.last_ts_mono,
        blocks=blocks,
        digests=digests,
        carried=_carried(metas),
        events=sum(meta.events for meta in metas),
        gaps=sum(meta.gaps for meta in metas),
        unrecognized=sum(meta.unrecognized for meta in metas),
        integrity=_added(meta.integrity for meta in metas),
        lost_rows=sum(meta.lost_rows for meta in metas),
        lost=sum(meta.lost for meta in metas),
        runs=sum(meta.runs for meta in metas),
        connections=sum(meta.connections for meta in metas),
        last_connection=max(meta.last_connection for meta in metas),
        kinds=_added(meta.kinds for meta in metas),
        channels=_channels(metas),
        recorded=None,
        recovered=any(meta.recovered for meta in metas),
        joined=_parts(root, metas),
        latest_ts_recv=last.latest_ts_recv,
        inner_checkpoints=[one for meta in metas for one in meta.inner_checkpoints or ()]
        or msgspec.UNSET,
        links=_added(meta.links or {} for meta in metas) or msgspec.UNSET,
    )


def _carried(metas: Sequence[SegmentMeta]) -> BlockDigest | None:
    """Return the digest, from its beginning, of the block that the first segment goes on with."""
    carried = metas[0].carried
    if carried is None:
        return None
    for meta in metas[1:]:
        if meta.first_seq >> BLOCK_SHIFT != carried.k:
            break
        carried = meta.carried
        if carried is None:
            return None
    return carried


def _parts(root: Path, metas: Sequence[SegmentMeta]) -> list[JoinedPart]:
    """Describe what was joined; keep checkpoints that spare a reader a sorted block or more."""
    present = frozenset(layout.list_checkpoints(root))
    flat: list[JoinedPart] = []
    for meta in metas:
        flat += meta.joined or [_part(meta)]
    parts = [msgspec.structs.replace(flat[0], has_checkpoint=True)]
    frames = flat[0].count
    for part in flat[1:]:
        is_kept = part.has_checkpoint and part.segment in present and frames >= BLOCK_ROWS
        parts.append(msgspec.structs.replace(part, has_checkpoint=is_kept))
        frames = part.count + (0 if is_kept else frames)
    return parts


def _part(meta: SegmentMeta) -> JoinedPart:
    return JoinedPart(
        segment=meta.segment,
        first_seq=meta.first_seq,
        last_seq=meta.last_seq,
        count=meta.count,
        start=meta.start,
        end=meta.end,
        events=meta.events,
        gaps=meta.gaps,
        lost_rows=meta.lost_rows,
        lost=meta.lost,
        checkpoint=meta.checkpoint,
        has_checkpoint=True,
        recorded=meta.recorded,
        recovered=meta.recovered,
    )


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, 0) + value
    return total


def _channels(metas: Sequence[SegmentMeta]) -> dict[str, ChannelCount]:
    found: dict[str, ChannelCount] = {}
    for name in sorted({name for meta in metas for name in meta.channels}):
        counts = [meta.channels[name] for meta in metas if name in meta.channels]
        found[name] = ChannelCount(
            sum(count.frames for count in counts),
            sum(count.bytes for count in counts),
            sorted({instrument for count in counts for instrument in count.instruments}),
        )
    return found
