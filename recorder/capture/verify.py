"""Verify: read everything, recompute everything, believe nothing.

Responsible for checking a capture against its own names, hashes, digests and numbers in one pass;
what follows from the frames is worked out once more by `recheck`. Refuses to change anything:
`recover` does.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import msgspec

from recorder.capture.batch import FrameBatch, batch_of_records
from recorder.capture.block import LoadedBlock, Selection
from recorder.capture.digest import BLOCK_NUMBERS, BLOCK_SHIFT, Carry, FrameDigest, PartDigests
from recorder.capture.journal import Block, End, Flaw
from recorder.capture.journal.file import JournalFile
from recorder.capture.place import on_disk
from recorder.capture.reader import Capture
from recorder.capture.reading.holes import vanished_behind
from recorder.capture.reading.serve import Problem
from recorder.capture.recheck import Recheck
from recorder.capture.sealing.seal import file_hash
from recorder.capture.sealing.tally import Tally
from recorder.capture.segment import SegmentMeta, SegmentReader
from recorder.capture.snapshot import JournalSource, SealedSource, Snapshot
from recorder.errors import Damage, ExitCode
from recorder.frame import Frame, Kind
from recorder.okx.novelty import Novelty
from recorder.okx.parser import PARSER_VERSION

Progress = Callable[[int], None]

_LISTINGS = 100
"""How often files may be replaced under a verification (sealed, joined, expired) before it says
that they vanished."""


class VerifyReport(msgspec.Struct, kw_only=True):
    """What verification found.

    Attributes:
        ok: no problem. frames, events: read.
        checksums: the venue's book checksums: `match`, `mismatch`, `absent`.
        sequence: the venue's update chains: `links`, `gaps`, `resets`.
        integrity: every count of the interpreter, those of `checksums` and `sequence` among them.
        validation: breaches of the rules of `okx.validation`; they never change `ok`.
        new_fields: what the venue sent that no type knows (`okx.novelty`); nor does that.
        unrecognized: frames nobody understood. lost_rows: declared losses; lost: the sum of their
            known counts.
        segments: sealed files; journals: files not sealed yet. checkpoints: compared or read.
        unfinished: a recorder died and nobody has recovered the capture yet.
        expired: frames that retention has let go of.
    """

    ok: bool = True
    frames: int = 0
    events: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    checksums: dict[str, int] = msgspec.field(default_factory=dict)
    sequence: dict[str, int] = msgspec.field(default_factory=dict)
    integrity: dict[str, int] = msgspec.field(default_factory=dict)
    validation: dict[str, int] = msgspec.field(default_factory=dict)
    new_fields: list[Novelty] = msgspec.field(default_factory=list)
    unrecognized: int = 0
    lost_rows: int = 0
    lost: int = 0
    segments: int = 0
    journals: int = 0
    checkpoints: int = 0
    unfinished: bool = False
    expired: int = 0
    input_digest: str | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 whole, 1 a problem, 3 whole with declared loss."""
        if not self.ok:
            return ExitCode.FAILED
        return ExitCode.LOSS if self.lost_rows else ExitCode.DONE


def verify(path: str | os.PathLike[str], *, progress: Progress | None = None) -> VerifyReport:
    """Verify a capture; a live one up to what it holds now.

    Args:
        progress: called with the number of frames read so far, several times a segment.
    """
    capture = Capture(path)
    return _Verifier(capture, capture.snapshot(), progress).run()


class _Verifier:
    def __init__(self, capture: Capture, snapshot: Snapshot, progress: Progress | None) -> None:
        self._capture = capture
        self._id = capture.header.id
        self._snapshot = snapshot
        self._progress = progress
        self._report = VerifyReport()
        self._digest = FrameDigest()
        self._root = on_disk(snapshot.root, "verified")
        self._recheck = Recheck(self._root, with_events=_has_event_digests(snapshot))
        self._expected: int | None = snapshot.first_seq
        self._first = snapshot.first_seq
        self._carry: Carry | None = None
        self._last_meta: SegmentMeta | None = None
        self._file = ""
        self._segment: int | None = None
        if self._first or capture.header.origin:
            self._recheck.forget()  # its state begins with a checkpoint

    def run(self) -> VerifyReport:
        """Read every source and return the report."""
        waiting = deque(self._snapshot.sources)
        listings = 0
        while waiting:
            source = waiting.popleft()
            self._file, self._segment = source.path, source.segment
            try:
                if isinstance(source, SealedSource):
                    self._sealed(source)
                else:
                    self._journal(source, is_last=not waiting)
            except FileNotFoundError:
                listings += 1
                waiting = self._list_again(source, listings, waiting)
            self._show()
        gone = vanished_behind(self._snapshot)
        if gone is not None:
            self._file, self._segment = gone.file, gone.segment
            self._problem(gone.cause, gone.first_seq)
        if self._last_meta is not None:
            self._recheck.behind(self._last_meta.last_segment + 1, self._expected, self._last_meta)
        self._recheck.look_at_the_rest()
        return self._conclude()

    def _conclude(self) -> VerifyReport:
        report, counts = self._report, self._recheck.integrity
        report.problems += self._recheck.problems
        report.checksums = {n: counts.get(n, 0) for n in ("match", "mismatch", "absent")}
        report.sequence = {n: counts.get(n, 0) for n in ("links", "gaps", "resets")}
        report.integrity = counts
        report.unrecognized = counts.get("unrecognized", 0)
        report.validation = self._recheck.validation
        report.new_fields = self._recheck.new_fields
        report.checkpoints = len(self._recheck.compared)
        expired = self._snapshot.expired
        report.expired = 0 if expired is None else expired.frames
        report.ok = not report.problems
        report.input_digest = self._digest.hexdigest() if report.ok else None
        return report

    def _list_again(
        self,
        source: SealedSource | JournalSource,
        listings: int,
        waiting: deque[SealedSource | JournalSource],
    ) -> deque[SealedSource | JournalSource]:
        """Return what is still to be read where a file has gone: sealed, joined or expired."""
        fresh = self._capture.snapshot()
        known = any(found.path == source.path for found in fresh.sources)
        if known or listings > _LISTINGS:
            self._problem("file disappeared while it was verified")
            self._broken(None)
            return waiting
        self._snapshot = fresh
        if self._expected is not None and fresh.first_seq > self._expected:
            self._broken(fresh.first_seq)  # expired under our eyes, which is no damage
        position = self._expected
        return deque(
            found
            for found in fresh.sources
            if found.segment >= source.segment
            or (
                isinstance(found, SealedSource)
                and position is not None
                and found.last_seq >= position
            )
        )

    def _show(self) -> None:
        if self._progress is not None:
            self._progress(self._report.frames)

    def _problem(self, cause: str, first: int | None = None, last: int | None = None) -> None:
        problem = Problem(self._file, self._segment, first, last, cause)
        self._report.problems.append(problem)

    # --- sealed segments -------------------------------------------------------------------

    def _sealed(self, source: SealedSource) -> None:
        first, last = source.first_seq, source.last_seq
        matches = file_hash(self._root / source.path)[:16] == source.hash16
        self._report.segments += 1
        self._last_meta = None
        if self._expected is not None and first > self._expected:
            self._problem("numbers missing", self._expected, first - 1)
            self._broken(first)  # what follows is judged from its own checkpoint
        if not matches:
            self._problem("file hash does not match its name", first, last)
        try:
            reader = SegmentReader(self._snapshot.root, source.path, source.segment)
        except Damage as damage:
            self._problem(damage.cause, first, last)
            self._broken(last + 1)
            return
        try:
            self._read(source, reader)
        except Damage as damage:
            self._problem(damage.cause, damage.first_seq or first, damage.last_seq or last)
            self._broken(last + 1)
        finally:
            reader.close()

    def _read(self, source: SealedSource, reader: SegmentReader) -> None:
        meta = reader.meta
        named = (source.segment, source.first_seq, source.last_seq, self._id)
        if (meta.segment, meta.first_seq, meta.last_seq, meta.capture) != named:
            self._problem("metadata is not of this capture or name", *named[1:3])
        # A joined file that took the place of one half read: the first half has been seen.
        skip = self._expected if (self._expected or 0) > meta.first_seq else None
        if skip is None:
            self._recheck.before(meta)
            if self._carry is None and meta.first_seq % BLOCK_NUMBERS == 0:
                self._carry = Carry(meta.first_seq >> BLOCK_SHIFT)
        else:
            self._carry = None
        parts, tally = PartDigests(), Tally()
        carried = None
        for block, groups in reader.blocks():
            loaded = reader.load(block, groups, Selection())
            if loaded is None:
                continue
            carried = self._digests(loaded, meta, parts, skip) or carried
            for batch in loaded.batches():
                self._batch(batch, tally, skip)
            self._show()
        count = tally.count if skip is None else meta.count
        if parts.blocks() != meta.digests or count != meta.count:
            self._problem("frames do not match their digest", meta.first_seq, meta.last_seq)
        elif carried is not None and carried != meta.carried:
            self._problem("digest block begun earlier does not match", meta.first_seq)
        if skip is None and not self._recheck.check_counts(meta, tally):
            self._problem("event counts do not match the metadata", meta.first_seq, meta.last_seq)
        if not self._recheck.check_times(meta, tally):
            self._problem("receive times do not match the metadata", meta.first_seq, meta.last_seq)
        recorded = meta.joined[-1].recorded if meta.joined else meta.recorded
        if not self._recheck.check_events(recorded, meta.parser):
            self._problem(
                "events are not those the recorder delivered", meta.first_seq, meta.last_seq
            )
        self._last_meta = meta

    def _digests(
        self, loaded: LoadedBlock, meta: SegmentMeta, parts: PartDigests, skip: int | None
    ) -> object:
        """Add a block's records to the digests; return the one of the block begun earlier."""
        carried = None
        for first_seq, count, records in loaded.record_runs():
            k = first_seq >> BLOCK_SHIFT
            parts.update(k, count, records)
            if skip is None:
                self._digest.update_records(first_seq, count, records)
            if self._carry is not None and self._carry.k != k:
                self._carry = Carry(k)
            if self._carry is not None:
                self._carry.update(records, count)
                if meta.carried is not None and k == meta.carried.k:
                    carried = self._carry.block()
        return carried

    # --- journals --------------------------------------------------------------------------

    def _journal(self, source: JournalSource, *, is_last: bool) -> None:
        tally, parts = Tally(), PartDigests()
        is_whole, has_end = True, False
        with JournalFile(
            self._snapshot.root,
            source.segment,
            capture_id=self._id,
            size=source.size,
            expected_seq=self._expected or 0,
        ) as journal:
            self._report.journals += 1
            self._carry = None
            self._state_before(source, journal)
            for part in journal.parts():
                if isinstance(part, Block):
                    parts.update(part.first_seq >> BLOCK_SHIFT, part.count, part.records)
                    self._digest.update_records(part.first_seq, part.count, part.records)
                    self._batch(batch_of_records(part.records), tally, None)
                elif isinstance(part, Flaw):
                    is_whole = False
                    self._flaw(part, source, journal)
                elif isinstance(part, End):
                    has_end = not (is_last and part.trailer.has_next)
                    if is_whole and part.trailer.digests != parts.blocks():
                        self._problem("frames do not match the trailer", journal.first_seq)
                    if not self._recheck.check_events(part.trailer.events, str(PARSER_VERSION)):
                        self._problem("events are not those the recorder delivered")
            if not has_end and not self._snapshot.is_live and (is_last or source.is_open):
                self._report.unfinished = True

    def _state_before(self, source: JournalSource, journal: JournalFile) -> None:
        """Compare the checkpoint that sealing the segment before left, if that is read."""
        meta, self._last_meta = self._last_meta, None
        if meta is not None and meta.last_segment + 1 == source.segment:
            self._recheck.behind(source.segment, journal.first_seq, meta)

    def _flaw(self, flaw: Flaw, source: JournalSource, journal: JournalFile) -> None:
        if flaw.at_end and source.is_open and self._snapshot.is_live:
            return
        first: int | None = flaw.expected_seq
        last = None if flaw.next_seq is None else flaw.next_seq - 1
        cause = f"torn tail: {flaw.cause}" if flaw.at_end else flaw.cause
        if flaw.offset == 0 and journal.header_fault is not None:
            cause = f"file header: {journal.header_fault}"
        if last is not None and last < flaw.expected_seq:
            first = last = None  # no frame is missing by it
        self._problem(cause, first, last)
        if flaw.next_seq != flaw.expected_seq:
            self._broken(flaw.next_seq)

    # --- every frame -----------------------------------------------------------------------

    def _batch(self, batch: FrameBatch, tally: Tally, skip: int | None) -> None:
        """Check the numbers of a batch and interpret it; what lies below `skip` has been seen."""
        report = self._report
        if skip is not None and batch.seq[0] < skip:
            inside = next((n for n, seq in enumerate(batch.seq) if seq >= skip), len(batch))
            batch = batch.part(inside, len(batch))
            if not len(batch):
                return
        first = batch.seq[0]
        whole = list(range(first, first + len(batch)))
        if self._expected in (None, first) and batch.seq == whole and Kind.LOST not in batch.kind:
            self._expected = first + len(batch)
        else:
            for frame in batch.frames():
                self._number(frame)
        report.frames += len(batch)
        before = tally.events
        self._recheck.add(batch, tally)
        report.events += tally.events - before

    def _number(self, frame: Frame) -> None:
        seq = frame.seq
        if self._expected is not None and seq != self._expected:
            cause = "numbers missing" if seq > self._expected else "numbers out of order"
            self._problem(cause, min(self._expected, seq), max(self._expected, seq) - 1)
        self._expected = seq + 1
        if frame.kind is Kind.LOST:
            row = _lost_row(frame)
            self._report.lost_rows += 1
            self._report.lost += row.count or 0
            if row.first_seq == seq and row.last_seq is not None:
                self._expected = max(self._expected, row.last_seq + 1)

    def _broken(self, next_seq: int | None) -> None:
        """Go on behind frames that could not be read."""
        self._expected = next_seq
        self._carry = None
        self._recheck.forget()


class _LostRow(msgspec.Struct):
    first_seq: int | None = None
    last_seq: int | None = None
    count: int | None = None


_decode_lost = msgspec.json.Decoder(_LostRow).decode


def _lost_row(frame: Frame) -> _LostRow:
    """Return what a `lost` row says; nothing where it cannot be read."""
    try:
        return _decode_lost(frame.payload)
    except msgspec.MsgspecError:
        return _LostRow()


def _has_event_digests(snapshot: Snapshot) -> bool:
    """Tell whether a recorder said what its events came to, or may yet say it in a journal."""
    if snapshot.journals:
        return True
    for source in snapshot.sealed:
        try:
            reader = SegmentReader(snapshot.root, source.path, source.segment)
        except (Damage, FileNotFoundError):
            continue
        reader.close()
        if reader.meta.recorded is not None or any(
            part.recorded is not None for part in reader.meta.joined or ()
        ):
            return True
    return False
