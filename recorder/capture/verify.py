"""Verify: read everything, recompute everything, believe nothing.

Responsible for checking a capture against its own names, digests, numbers and checkpoints with
one pass of one interpreter. Refuses to change anything: `recover` does.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from recorder.capture import layout
from recorder.capture.batch import FrameBatch, batch_of_records
from recorder.capture.block import Selection
from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.digest import (
    BLOCK_NUMBERS,
    BLOCK_SHIFT,
    FrameDigest,
    PartDigests,
    digest_of,
)
from recorder.capture.holes import vanished_behind
from recorder.capture.journal import Block, End, Flaw
from recorder.capture.journal_file import JournalFile
from recorder.capture.reader import Capture
from recorder.capture.seal import Carry, file_hash
from recorder.capture.segment import SegmentMeta, SegmentReader
from recorder.capture.serve import Problem
from recorder.capture.snapshot import JournalSource, SealedSource, Snapshot
from recorder.capture.tally import Tally, integrity_counts
from recorder.errors import Damage, ExitCode
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import PARSER_VERSION

Progress = Callable[[int], None]


class VerifyReport(msgspec.Struct, kw_only=True):
    """What verification found.

    Attributes:
        ok: no problem. frames, events: read.
        checksums: the venue's book checksums: `match`, `mismatch`, `absent`.
        sequence: the venue's update chains: `links`, `gaps`, `resets`.
        unrecognized: frames nobody understood. lost_rows: declared losses.
    """

    ok: bool = True
    frames: int = 0
    events: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    checksums: dict[str, int] = msgspec.field(default_factory=dict)
    sequence: dict[str, int] = msgspec.field(default_factory=dict)
    unrecognized: int = 0
    lost_rows: int = 0
    segments: int = 0
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
        progress: called with the number of frames read so far, about once a segment.
    """
    capture = Capture(path)
    return _Verifier(capture, capture.snapshot(), progress).run()


class _Verifier:
    def __init__(self, capture: Capture, snapshot: Snapshot, progress: Progress | None) -> None:
        self._root = capture.path
        self._id = capture.header.id
        self._snapshot = snapshot
        self._progress = progress
        self._report = VerifyReport()
        self._digest = FrameDigest()
        self._interpreter: Interpreter | None = Interpreter()
        self._integrity: dict[str, int] = {}
        self._expected: int | None = 0
        self._carry: Carry | None = None
        self._file = ""
        self._segment: int | None = None

    def run(self) -> VerifyReport:
        """Read every source and return the report."""
        for source in self._snapshot.sources:
            self._file, self._segment = source.path, source.segment
            try:
                if isinstance(source, SealedSource):
                    self._sealed(source)
                else:
                    self._journal(source)
            except FileNotFoundError:
                self._disappeared(source)
            if self._progress is not None:
                self._progress(self._report.frames)
        gone = vanished_behind(self._snapshot)
        if gone is not None:
            self._file, self._segment = gone.file, gone.segment
            self._problem(gone.cause, gone.first_seq)
        self._forget_interpreter()
        report, counts = self._report, self._integrity
        report.checksums = {n: counts.get(n, 0) for n in ("match", "mismatch", "absent")}
        report.sequence = {n: counts.get(n, 0) for n in ("links", "gaps", "resets")}
        report.ok = not report.problems
        report.input_digest = self._digest.hexdigest() if report.ok else None
        return report

    def _disappeared(self, source: SealedSource | JournalSource) -> None:
        """Take a journal that a live recorder has sealed since the listing in its new form."""
        for name in layout.list_sealed(self._root):
            if name.segment == source.segment and name.path != source.path:
                sealed = SealedSource(
                    name.path, name.segment, name.first_seq, name.last_seq, name.hash16
                )
                self._file = sealed.path
                self._sealed(sealed)
                return
        self._problem("file disappeared while it was verified")
        self._broken(None)

    def _problem(self, cause: str, first: int | None = None, last: int | None = None) -> None:
        problem = Problem(self._file, self._segment, first, last, cause)
        self._report.problems.append(problem)

    # --- sealed segments -------------------------------------------------------------------

    def _sealed(self, source: SealedSource) -> None:
        first, last = source.first_seq, source.last_seq
        self._report.segments += 1
        if self._expected is not None and first > self._expected:
            self._problem("numbers missing", self._expected, first - 1)
            self._broken(first)  # what follows is judged from its own checkpoint
        if file_hash(self._snapshot.root / source.path)[:16] != source.hash16:
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
        self._check_checkpoint(meta)
        if self._carry is None and meta.first_seq % BLOCK_NUMBERS == 0:
            self._carry = Carry(meta.first_seq >> BLOCK_SHIFT)
        parts, tally = PartDigests(), Tally()
        carried = None
        for block, groups in reader.blocks():
            loaded = reader.load(block, groups, Selection())
            if loaded is None:
                continue
            for first_seq, count, records in loaded.record_runs():
                k = first_seq >> BLOCK_SHIFT
                parts.update(k, count, records)
                self._digest.update_records(first_seq, count, records)
                if self._carry is not None and self._carry.k != k:
                    self._carry = Carry(k)
                if self._carry is not None:
                    self._carry.update(records, count)
                    if meta.carried is not None and k == meta.carried.k:
                        carried = self._carry.block()
            for batch in loaded.batches():
                self._batch(batch, tally)
        if parts.blocks() != meta.digests or tally.count != meta.count:
            self._problem("frames do not match their digest", meta.first_seq, meta.last_seq)
        elif carried is not None and carried != meta.carried:
            self._problem("digest block begun earlier does not match", meta.first_seq)
        self._check_counts(meta, tally)

    def _check_checkpoint(self, meta: SegmentMeta) -> None:
        first = meta.first_seq
        try:
            state = read_checkpoint(self._root, meta.segment)
        except (Damage, FileNotFoundError) as error:
            cause = error.cause if isinstance(error, Damage) else "checkpoint missing"
            self._checkpoint_problem(meta.segment, cause, first)
            return
        if digest_of(state) != meta.checkpoint:
            self._checkpoint_problem(meta.segment, "checkpoint does not match its digest", first)
        elif meta.parser != str(PARSER_VERSION):
            return  # another parser's state: right for that one, not comparable with this one's
        elif self._interpreter is None:
            try:
                self._interpreter = Interpreter.restore(state)
            except ValueError as error:
                self._checkpoint_problem(meta.segment, str(error), first)
        elif self._interpreter.save() != state:
            self._checkpoint_problem(
                meta.segment, "checkpoint is not the state that the frames before it give", first
            )

    def _checkpoint_problem(self, segment: int, cause: str, seq: int) -> None:
        file = f"{layout.CHECKPOINT_DIR}/{segment:06d}.zst"
        self._report.problems.append(Problem(file, segment, seq, None, cause))

    def _check_counts(self, meta: SegmentMeta, tally: Tally) -> None:
        if self._interpreter is None or meta.parser != str(PARSER_VERSION):
            return
        found = (tally.events, tally.gaps, tally.unrecognized, tally.lost_rows, tally.lost)
        stated = (meta.events, meta.gaps, meta.unrecognized, meta.lost_rows, meta.lost)
        if found != stated:
            self._problem("event counts do not match the metadata", meta.first_seq, meta.last_seq)

    # --- journals --------------------------------------------------------------------------

    def _journal(self, source: JournalSource) -> None:
        tally, parts = Tally(), PartDigests()
        is_whole = True
        self._carry = None
        with JournalFile(
            self._snapshot.root,
            source.segment,
            capture_id=self._id,
            size=source.size,
            expected_seq=self._expected or 0,
        ) as journal:
            for part in journal.parts():
                if isinstance(part, Block):
                    parts.update(part.first_seq >> BLOCK_SHIFT, part.count, part.records)
                    self._digest.update_records(part.first_seq, part.count, part.records)
                    self._batch(batch_of_records(part.records), tally)
                elif isinstance(part, Flaw):
                    is_whole = False
                    if part.at_end and source.is_open and self._snapshot.is_live:
                        continue
                    last = None if part.next_seq is None else part.next_seq - 1
                    cause = f"torn tail: {part.cause}" if part.at_end else part.cause
                    self._problem(cause, part.expected_seq, last)
                    self._broken(part.next_seq)
                elif isinstance(part, End) and is_whole and part.trailer.digests != parts.blocks():
                    self._problem("frames do not match the trailer", journal.first_seq)

    # --- every frame -----------------------------------------------------------------------

    def _batch(self, batch: FrameBatch, tally: Tally) -> None:
        report, first = self._report, batch.seq[0]
        whole = list(range(first, first + len(batch)))
        if self._expected in (None, first) and batch.seq == whole and Kind.LOST not in batch.kind:
            self._expected = first + len(batch)
        else:
            for frame in batch.frames():
                self._number(frame)
        report.frames += len(batch)
        before = tally.events
        tally.add(batch, None if self._interpreter is None else self._interpreter.step)
        report.events += tally.events - before

    def _number(self, frame: Frame) -> None:
        seq = frame.seq
        if self._expected is not None and seq != self._expected:
            cause = "numbers missing" if seq > self._expected else "numbers out of order"
            self._problem(cause, min(self._expected, seq), max(self._expected, seq) - 1)
        self._expected = seq + 1
        if frame.kind is Kind.LOST:
            self._report.lost_rows += 1
            self._expected = max(self._expected, _next_after(frame))

    def _broken(self, next_seq: int | None) -> None:
        """Go on behind frames that could not be read."""
        self._expected = next_seq
        self._carry = None
        self._forget_interpreter()

    def _forget_interpreter(self) -> None:
        if self._interpreter is not None:
            counts = integrity_counts(self._interpreter.integrity)
            for name, count in counts.items():
                self._integrity[name] = self._integrity.get(name, 0) + count
            self._report.unrecognized = self._integrity.get("unrecognized", 0)
            self._interpreter = None


class _LostRow(msgspec.Struct):
    first_seq: int | None = None
    last_seq: int | None = None


def _next_after(frame: Frame) -> int:
    """Return the number that follows a `lost` row standing in the place of missing frames."""
    try:
        row = msgspec.json.decode(frame.payload, type=_LostRow)
    except msgspec.MsgspecError:
        return 0
    return row.last_seq + 1 if row.first_seq == frame.seq and row.last_seq is not None else 0
