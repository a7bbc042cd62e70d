"""Seal a journal segment: checked, interpreted, sorted, compressed, re-read, renamed.

Responsible for steps 3 to 5 of docs/format.md, "Rolling", and for the next checkpoint. Refuses
to seal what it cannot prove equal to the journal. Everything is bounded by one segment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.batch import batch_of_records, indexes_of
from recorder.capture.block import Selection
from recorder.capture.checkpoint import interpreter_before, read_checkpoint, write_checkpoint
from recorder.capture.digest import (
    BLOCK_NUMBERS,
    BLOCK_SHIFT,
    BlockDigest,
    Carry,
    PartDigests,
    digest_of,
    new_hash,
)
from recorder.capture.expiry.earlier import last_connection_before, latest_before
from recorder.capture.journal import Trailer
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.sealing.inside import CheckpointsInside
from recorder.capture.sealing.pending import PendingRows
from recorder.capture.sealing.salvage import Repair, Salvage, SealInput, read_strictly
from recorder.capture.sealing.tally import Tally, integrity_counts, subtract
from recorder.capture.segment import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    BUSY_LEVEL,
    SegmentMeta,
    SegmentReader,
    SegmentWriter,
    level_for,
)
from recorder.errors import Damage
from recorder.frame import encode_record
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import PARSER_VERSION

_READ_BYTES = 1 << 20


class Salvaged(msgspec.Struct, frozen=True):
    """What came of a journal; `holes` counts the `lost` rows made."""

    sealed: layout.SealedName | None
    holes: int


class Sealer:
    """Seals the segments of one capture, in order; keeps the interpreter between them.

    Args:
        begin: of a capture that is made from another one: the interpreter before its first frame
            and the number of that.

    Attributes:
        is_hasty: compress less, because the recorder is behind.
    """

    def __init__(self, root: Path, *, begin: tuple[Interpreter, int] | None = None) -> None:
        self.is_hasty = False
        self._root = root
        self._capture = Capture(root)
        self._interpreter: Interpreter | None = None
        self._carry: Carry | None = None
        self._last_connection = -1
        self._latest: int | None = None
        self._next_seq = -1
        if begin is not None:
            self._interpreter, self._next_seq = begin
            self._latest = 0

    def seal(self, segment: int) -> layout.SealedName | None:
        """Seal one whole journal segment; None where it held no frame (the journal is removed).

        A segment that a sealer sealed and then died over is just brought to its end.

        Raises:
            Damage: the journal is not whole, or the new file is not equal to it.
            OSError: the disk.
        """
        if self._next_seq < 0:  # the first one here, or the one that failed: asked for before?
            for done in layout.list_sealed(self._root):
                if done.segment == segment:
                    layout.fsync_directory((self._root / done.path).parent)
                    layout.journal_path(self._root, segment).unlink(missing_ok=True)
                    return done
        return self._seal(segment, read_strictly(self._root, segment, self._capture.header.id))

    def salvage(self, segment: int, repair: Repair) -> Salvaged:
        """Seal what is whole in a journal, with `lost` rows for the rest (recovery)."""
        source = Salvage(self._root, segment, self._capture.header.id, repair)
        sealed = self._seal(segment, source)
        return Salvaged(sealed, source.holes)

    def seal_frames(self, segment: int, source: SealInput) -> layout.SealedName | None:
        """Seal frames that are in no journal: they come from another capture."""
        return self._seal(segment, source)

    def _seal(self, segment: int, source: SealInput) -> layout.SealedName | None:
        try:
            job = _Job(self._root, self._capture, segment, source)
            job.is_hasty = self.is_hasty
            interpreter, carry = self._state_before(segment, source.first_seq)
            sealed = job.run(interpreter, carry, self._last_connection, self._latest)
            self._interpreter, self._carry = interpreter, job.carry
            self._last_connection, self._latest = job.last_connection, job.latest
            self._next_seq = source.last_seq + 1
        except BaseException:
            self._next_seq = -1  # the interpreter may stand anywhere: restore it next time
            raise
        finally:
            source.close()
        layout.journal_path(self._root, segment).unlink(missing_ok=True)
        layout.fsync_directory(self._root / layout.JOURNAL_DIR)
        return sealed

    def _state_before(self, segment: int, first_seq: int) -> tuple[Interpreter, Carry | None]:
        if self._interpreter is not None and self._next_seq == first_seq:
            return self._interpreter, self._carry
        self._last_connection = last_connection_before(self._root, segment)
        self._latest = latest_before(self._root, segment)
        # Damage in earlier segments must not keep this one from being sealed: go on from what
        # can be read; `verify` names the damage.
        report = ReadReport()
        interpreter = interpreter_before(self._capture, first_seq, report=report)
        return interpreter, self._carry_before(first_seq)

    def _carry_before(self, first_seq: int) -> Carry | None:
        """Return the digest block that is open before `first_seq`, by reading it."""
        k = first_seq >> BLOCK_SHIFT
        if first_seq % BLOCK_NUMBERS == 0:
            return None
        carry = Carry(k)
        try:
            for frame in self._capture.frames(first_seq=k << BLOCK_SHIFT, last_seq=first_seq - 1):
                carry.update(encode_record(frame), 1)
        except Damage:
            return Carry(k, is_whole=False)
        return carry


class _Job:
    """One segment on its way from journal to Parquet."""

    def __init__(self, root: Path, capture: Capture, segment: int, source: SealInput) -> None:
        self._root = root
        self._capture = capture
        self._segment = segment
        self._source = source
        self._parts = PartDigests()
        self._tally = Tally()
        self._pending = PendingRows()
        self._writer: SegmentWriter | None = None
        self._temporary: Path | None = None
        self._inside: CheckpointsInside | None = None
        self.is_hasty = False
        self.carry: Carry | None = None
        self.last_connection = -1
        self.latest: int | None = None

    def run(
        self,
        interpreter: Interpreter,
        carry: Carry | None,
        last_connection: int,
        latest: int | None,
    ) -> layout.SealedName | None:
        """Do it all up to the commit; the arguments are the state before the segment."""
        self.interpreter, self.carry, self.latest = interpreter, carry, latest
        self._tally.last_connection = last_connection
        before = integrity_counts(interpreter.integrity)
        links = interpreter.link_counts
        checkpoint = ""
        first_k = carry.k if carry is not None else None
        carried = None
        try:
            for first_seq, count, records in self._source.runs():
                if self._inside is None:  # not without frames: it would prove a segment
                    state = interpreter.save()
                    checkpoint = self._checkpoint_here(state)
                    self._inside = CheckpointsInside(self._root, self._segment, len(state))
                k = first_seq >> BLOCK_SHIFT
                self._parts.update(k, count, records)
                if self.carry is None or self.carry.k != k:
                    if self.carry is not None and self.carry.k == first_k:
                        carried = self.carry.block()
                    self.carry = Carry(k)
                self.carry.update(records, count)
                self._take(records)
            self.last_connection = self._tally.last_connection
            if not self._tally.count:
                return None
            if self.latest is not None:
                self.latest = max(self.latest, self._tally.max_ts_recv)
            self._flush()
            if carried is None and self.carry is not None and self.carry.k == first_k:
                carried = self.carry.block()
            digests = self._parts.blocks()
            self._check_trailer(self._source.trailer, digests)
            counts = subtract(integrity_counts(interpreter.integrity), before)
            meta = self._meta(checkpoint, digests, carried, counts)
            risen = {n: c for n, c in subtract(interpreter.link_counts, links).items() if c}
            if risen:
                meta.links = risen
            return self._commit(meta)
        except BaseException:
            if self._writer is not None:
                self._writer.abandon()
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)
            raise

    def _checkpoint_here(self, state: bytes) -> str:
        """Make sure that this segment has its checkpoint; return the digest of the state."""
        try:
            if read_checkpoint(self._root, self._segment) == state:
                return digest_of(state)
        except (Damage, FileNotFoundError):
            pass
        return write_checkpoint(self._root, self._segment, state)

    def _take(self, records: bytes) -> None:
        batch = batch_of_records(records)
        index = indexes_of(batch.kind, batch.payload)
        self._tally.add_channels(batch, index)
        at = 0
        while at < len(batch):
            stop = at + BLOCK_ROWS - self._pending.rows
            part = batch.part(at, stop)
            if self._pending.rows and self._pending.payload_bytes + len(records) > BLOCK_BYTES:
                self._flush()
                continue
            if self._tally.count and not self._pending.rows and self._inside is not None:
                self._inside.reach(part.seq[0], self._tally.raw_bytes, self.interpreter)
            self._tally.add(part, self.interpreter.step)
            self._pending.add(part, index[at:stop])
            at += len(part)
            if self._pending.rows == BLOCK_ROWS:
                self._flush()

    def _flush(self) -> None:
        if not self._pending.rows:
            return
        if self._writer is None:
            self._writer = self._open_writer()
        self._writer.add(self._pending)

    def _open_writer(self) -> SegmentWriter:
        if self._tally.first is None:
            raise ValueError("a segment without frames has no file")
        name = layout.sealed_name(self._segment, 0, 0, self._tally.first.ts_recv, "")
        folder = (self._root / name.path).parent
        if not folder.is_dir():
            folder.mkdir(mode=folder.parent.stat().st_mode & 0o777, exist_ok=True)
            layout.fsync_directory(folder.parent)
        self._temporary = folder / f"{self._segment:06d}.parquet{layout.UNFINISHED}"
        level = level_for(self._pending.payload_bytes, self._pending.mono_ns)
        if self.is_hasty:
            level = BUSY_LEVEL
        return SegmentWriter(self._temporary, level=level)

    def _check_trailer(self, trailer: Trailer | None, digests: list[BlockDigest]) -> None:
        if trailer is not None and (trailer.count, trailer.digests) != (
            self._tally.count,
            digests,
        ):
            raise self._damage("frames are not those its trailer vouches for")

    def _damage(self, cause: str) -> Damage:
        file = f"{layout.JOURNAL_DIR}/{self._segment:06d}.wal"
        return Damage(
            f"expected segment {self._segment} to seal exactly as recorded, but its {cause}; "
            f"it stays in {file}: check the memory and disk of this machine, then run "
            f"`recorder recover`",
            file=file,
            cause=cause,
            segment=self._segment,
            first_seq=self._source.first_seq,
            last_seq=self._source.last_seq,
        )

    def _meta(
        self,
        checkpoint: str,
        digests: list[BlockDigest],
        carried: BlockDigest | None,
        integrity: dict[str, int],
    ) -> SegmentMeta:
        tally, writer = self._tally, self._writer
        first, last = tally.first, tally.last
        if first is None or last is None or writer is None:
            raise ValueError("a segment without frames has no metadata")
        trailer = self._source.trailer
        return SegmentMeta(
            format=layout.FORMAT,
            capture=self._capture.header.id,
            segment=self._segment,
            first_seq=first.seq,
            last_seq=last.seq,
            next_seq=self._source.last_seq + 1,
            count=tally.count,
            raw_bytes=tally.raw_bytes,
            start=first.ts_recv,
            end=last.ts_recv,
            min_ts_recv=tally.min_ts_recv,
            max_ts_recv=tally.max_ts_recv,
            first_ts_mono=first.ts_mono,
            last_ts_mono=last.ts_mono,
            blocks=writer.blocks,
            digests=digests,
            carried=carried,
            checkpoint=checkpoint,
            parser=str(PARSER_VERSION),
            events=tally.events,
            gaps=tally.gaps,
            unrecognized=tally.unrecognized,
            integrity=integrity,
            lost_rows=tally.lost_rows,
            lost=tally.lost,
            runs=tally.runs,
            connections=tally.connections,
            last_connection=tally.last_connection,
            kinds=tally.kinds(),
            channels=tally.channels(),
            recorded=None if trailer is None else trailer.events,
            recovered=self._source.is_repaired,
            latest_ts_recv=msgspec.UNSET if self.latest is None else self.latest,
            inner_checkpoints=(self._inside and self._inside.written) or msgspec.UNSET,
        )

    def _commit(self, meta: SegmentMeta) -> layout.SealedName:
        """Finish, sync, re-read, rename. The rename is the commit."""
        if self._writer is None or self._temporary is None:
            raise ValueError("nothing to commit")
        self._writer.close(meta)
        temporary, self._writer = self._temporary, None
        temporary.chmod(layout.file_mode(self._root))
        layout.fsync_file(temporary)
        write_checkpoint(self._root, self._segment + 1, self.interpreter.save())
        self._check_copy(temporary, meta)
        hash16 = file_hash(temporary)[:16]
        name = layout.sealed_name(self._segment, meta.first_seq, meta.last_seq, meta.start, hash16)
        temporary.rename(self._root / name.path)
        layout.fsync_directory((self._root / name.path).parent)
        return name

    def _check_copy(self, temporary: Path, meta: SegmentMeta) -> None:
        reader = SegmentReader(self._root, str(temporary.relative_to(self._root)), self._segment)
        try:
            if list(part_digests(reader)) != meta.digests:
                raise self._damage("Parquet file does not read back equal to the journal")
        finally:
            reader.close()


def part_digests(reader: SegmentReader) -> Iterator[BlockDigest]:
    """Yield the block digests of the part that a sealed segment really holds, by reading it.

    Raises:
        Damage: a page cannot be read.
    """
    parts = PartDigests()
    for block, groups in reader.blocks():
        loaded = reader.load(block, groups, Selection())
        for first_seq, count, records in () if loaded is None else loaded.record_runs():
            parts.update(first_seq >> BLOCK_SHIFT, count, records)
    yield from parts.blocks()


def file_hash(path: Path) -> str:
    """Return the BLAKE2b-256 of a file, hex."""
    total: hashlib.blake2b = new_hash()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            total.update(chunk)
    return total.hexdigest()
