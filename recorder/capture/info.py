"""Info: what a capture holds, without reading what is sealed.

Responsible for adding up segment metadata and interpreting the journal at the end. Refuses to
check that the metadata is true: that is `verify`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from recorder.capture.block import Selection
from recorder.capture.checkpoint import interpreter_before
from recorder.capture.derived import tables_bytes
from recorder.capture.digest import (
    BLOCK_SHIFT,
    BlockDigest,
    FrameDigest,
    PartDigests,
    record_runs,
)
from recorder.capture.expiry.mark import Expired
from recorder.capture.footer import read_meta
from recorder.capture.journal.file import JournalFile
from recorder.capture.place import Place, size_of, sizes_in
from recorder.capture.reading.hold import hold_snapshot
from recorder.capture.reading.holes import missing_by_name
from recorder.capture.reading.serve import Problem, ReadReport
from recorder.capture.sealing.tally import Tally, integrity_counts, subtract
from recorder.capture.segment import ChannelCount, SegmentMeta
from recorder.capture.snapshot import JournalSource, Snapshot, SourceGone
from recorder.errors import Damage, ExitCode, RecorderError
from recorder.okx.election.figures import LinkFigures, report_of

if TYPE_CHECKING:
    from recorder.capture.reader import Capture

_ATTEMPTS = 20


class ChannelInfo(msgspec.Struct, frozen=True):
    """One channel of a capture; bytes are of payloads."""

    name: str
    frames: int
    instruments: int
    bytes: int


class CaptureInfo(msgspec.Struct, kw_only=True):
    """What a capture holds.

    Attributes:
        frames: rows of every kind, journal_frames: those not sealed yet.
        events, gaps, unrecognized: what the interpreter makes of them.
        start, end: `ts_recv` of the first and last frame, ns; None in an empty capture.
        segments: sealed files. lost: sum of the known counts of `lost_rows`.
        input_digest: docs/format.md, "Digests"; None where a segment could not be read.
        raw_bytes: payloads; disk_bytes: sealed files, journal_bytes, checkpoint_bytes likewise;
            table_bytes: derived tables, which are no part of the capture and of no digest.
        links: how each of redundant links fared; empty where there is one per endpoint.
        event_digests: what recorders said about the events they delivered, a run each.
        recording: a writer holds the lock. torn_tail: a recorder died; not recovered yet.
        expired: what retention let go of before the first frame; None where it never did.
        origin: what a slice or a merge was made from; None where frames were recorded.
    """

    path: str
    format: int
    id: str
    venue: str
    note: str | None
    frames: int = 0
    events: int = 0
    start: int | None = None
    end: int | None = None
    segments: int = 0
    journal_frames: int = 0
    gaps: int = 0
    lost: int = 0
    lost_rows: int = 0
    unrecognized: int = 0
    input_digest: str | None = None
    channels: list[ChannelInfo] = msgspec.field(default_factory=list)
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    integrity: dict[str, int] = msgspec.field(default_factory=dict)
    runs: int = 0
    connections: int = 0
    raw_bytes: int = 0
    disk_bytes: int = 0
    journal_bytes: int = 0
    checkpoint_bytes: int = 0
    table_bytes: int = 0
    event_digests: list[dict[str, int | str]] = msgspec.field(default_factory=list)
    recording: bool = False
    torn_tail: bool = False
    links: list[LinkFigures] = msgspec.field(default_factory=list)
    expired: Expired | None = None
    origin: dict[str, Any] | None = None
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 whole, 3 declared loss, 1 a segment that cannot be read."""
        return ReadReport(self.lost_rows, self.torn_tail, self.problems).exit_code


class _Sum:
    """Adds up segments and the tail."""

    def __init__(self, info: CaptureInfo) -> None:
        self.info = info
        self._channels: dict[str, tuple[list[int], set[str]]] = {}
        self._blocks: dict[int, BlockDigest | None] = {}
        self._links: dict[str, int] = {}

    def add_segment(self, meta: SegmentMeta) -> None:
        """Add the metadata of a sealed segment, in order."""
        info = self.info
        info.segments += 1
        self._count(meta)
        if info.start is None:
            info.start = meta.start
        info.end = meta.end
        said = [part.recorded for part in meta.joined] if meta.joined else [meta.recorded]
        info.event_digests += [recorded for recorded in said if recorded is not None]
        self._add_counts(meta.integrity, meta.kinds, meta.channels)
        self.add_links(meta.links or {})
        carried = meta.carried
        for block in meta.digests:
            if carried is not None and carried.k == block.k:
                self._blocks[block.k] = carried
            elif block.k in self._blocks:
                self._blocks[block.k] = None  # begun earlier, but what came before was damaged
            else:
                self._blocks[block.k] = block

    def add_tail(self, tally: Tally, integrity: dict[str, int]) -> None:
        """Add the frames of the journals."""
        info = self.info
        info.journal_frames = tally.count
        if tally.first is None or tally.last is None:
            return
        self._count(tally)
        if info.start is None:
            info.start = tally.first.ts_recv
        info.end = tally.last.ts_recv
        self._add_counts(integrity, tally.kinds(), tally.channels())

    def _count(self, part: SegmentMeta | Tally) -> None:
        info = self.info
        info.frames += part.count
        info.raw_bytes += part.raw_bytes
        info.events += part.events
        info.gaps += part.gaps
        info.unrecognized += part.unrecognized
        info.lost += part.lost
        info.lost_rows += part.lost_rows
        info.runs += part.runs
        info.connections += part.connections

    def _add_counts(
        self, integrity: dict[str, int], kinds: dict[str, int], channels: dict[str, ChannelCount]
    ) -> None:
        for total, part in ((self.info.integrity, integrity), (self.info.kinds, kinds)):
            for name, count in part.items():
                total[name] = total.get(name, 0) + count
        for name, channel in channels.items():
            counts, instruments = self._channels.setdefault(name, ([0, 0], set()))
            counts[0] += channel.frames
            counts[1] += channel.bytes
            instruments.update(channel.instruments)

    def add_links(self, counts: Mapping[str, int]) -> None:
        """Add figures of redundant links."""
        for name, count in counts.items():
            self._links[name] = self._links.get(name, 0) + count
        self.info.links = report_of(self._links)

    def set_block(self, block: BlockDigest | None, k: int) -> None:
        """Replace what is known of one digest block."""
        self._blocks[k] = block

    def blocks_before(self, k: int | None) -> list[BlockDigest] | None:
        """Return the whole digest blocks below `k` (None: all), or None if one is unknown."""
        chosen = [self._blocks[n] for n in sorted(self._blocks) if k is None or n < k]
        known = [block for block in chosen if block is not None]
        return known if len(known) == len(chosen) else None

    def channels(self) -> list[ChannelInfo]:
        """Return the channels by name."""
        return [
            ChannelInfo(name, counts[0], len(instruments), counts[1])
            for name, (counts, instruments) in sorted(self._channels.items())
        ]


def info_of(capture: Capture) -> CaptureInfo:
    """Count what a capture holds, as of now."""
    for _ in range(_ATTEMPTS):
        snapshot, hold = hold_snapshot(capture)
        with hold:
            try:
                return _info(capture.pinned(snapshot), snapshot)
            except (FileNotFoundError, SourceGone):  # sealed while it was counted: count again
                continue
    raise RecorderError(
        f"expected {capture.path} to hold still while it is counted, but its files were replaced "
        f"{_ATTEMPTS} times; try again"
    )


def _info(capture: Capture, snapshot: Snapshot) -> CaptureInfo:
    header = capture.header
    info = CaptureInfo(
        path=str(capture.path),
        format=header.format,
        id=header.id,
        venue=header.venue,
        note=header.note,
        recording=snapshot.is_live,
        expired=snapshot.expired,
        origin=header.origin or None,
    )
    report = ReadReport()
    total = _Sum(info)
    for hole in missing_by_name(snapshot):
        report.add(hole)
    for source in snapshot.sealed:
        info.disk_bytes += size_of(snapshot.root / source.path)
        try:
            meta = read_meta(snapshot.root, source.path, source.segment)
        except Damage as damage:
            damage.first_seq, damage.last_seq = source.first_seq, source.last_seq
            report.add(damage)
            continue
        total.add_segment(meta)
    info.journal_bytes = sum(source.size for source in snapshot.journals)
    info.checkpoint_bytes = _size(snapshot.root / "checkpoints")
    if isinstance(snapshot.root, Path):
        info.table_bytes = tables_bytes(snapshot.root)
    info.input_digest = _tail(capture, snapshot, total, report)
    info.channels = total.channels()
    info.torn_tail = report.torn_tail
    info.problems = report.problems
    return info


def _tail(capture: Capture, snapshot: Snapshot, total: _Sum, report: ReadReport) -> str | None:
    """Interpret the journals; return the capture digest, None where it cannot be known."""
    first_seq = _first_of_tail(capture, snapshot)
    k = None if first_seq is None else first_seq >> BLOCK_SHIFT
    begun = snapshot.first_seq >> BLOCK_SHIFT
    if snapshot.expired is not None and (k is None or begun < k):
        total.set_block(_first_block(capture, snapshot, begun, report), begun)
    blocks = total.blocks_before(k)
    digest = FrameDigest()
    for block in blocks or ():
        digest.add_block(block)
    if first_seq is not None and k is not None:
        tally = Tally()
        interpreter = interpreter_before(capture, first_seq, report=report)
        # The counts of the journal alone: what it took to get here is already in the segments.
        before = integrity_counts(interpreter.integrity)
        links = interpreter.link_counts
        wanted = Selection(first_seq=k << BLOCK_SHIFT)
        for batch in capture.select(wanted, report):
            digest.update(batch.frames())
            tail = batch.part(bisect_left(batch.seq, first_seq), len(batch))
            if len(tail):
                tally.add(tail, interpreter.step)
                tally.add_channels(tail, zip(tail.channel, tail.instrument, strict=True))
        after = integrity_counts(interpreter.integrity)
        total.add_tail(tally, {name: after[name] - before[name] for name in after})
        total.add_links(subtract(interpreter.link_counts, links))
    return None if blocks is None or report.problems else digest.hexdigest()


def _first_block(
    capture: Capture, snapshot: Snapshot, k: int, report: ReadReport
) -> BlockDigest | None:
    """Return the digest of the block that retention has cut, by reading what is left of it."""
    parts = PartDigests()
    last_seq = ((k + 1) << BLOCK_SHIFT) - 1
    wanted = Selection(first_seq=snapshot.first_seq, last_seq=last_seq)
    for batch in capture.select(wanted, report):
        for _, count, records in record_runs(batch.frames()):
            parts.update(k, count, records)
    return next(iter(parts.blocks()), None)


def _first_of_tail(capture: Capture, snapshot: Snapshot) -> int | None:
    journals: tuple[JournalSource, ...] = snapshot.journals
    if not journals:
        return None
    expected = max((source.last_seq + 1 for source in snapshot.sealed), default=snapshot.first_seq)
    first = journals[0]
    try:
        journal = JournalFile(
            snapshot.root,
            first.segment,
            capture_id=capture.header.id,
            size=first.size,
            expected_seq=expected,
        )
    except Damage:  # in an object store: reading it says so
        return expected
    with journal:
        return journal.first_seq


def _size(folder: Place) -> int:
    return sum(size or 0 for name, size in sizes_in(folder).items() if name.endswith(".zst"))
