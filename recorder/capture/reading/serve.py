"""Serve the frames of one snapshot: sealed segments and journals, block by block.

Responsible for reading sources in order, ahead by one block in a thread of its own, and for
turning what cannot be read into a `Problem` or a raised `Damage`. Refuses to list files or to
retry: that is `reader`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, groupby

import msgspec

from recorder.capture.batch import BATCH_ROWS, FrameBatch, batch_of, index_of
from recorder.capture.block import LoadedBlock, Selection
from recorder.capture.journal import End, Flaw, split_records
from recorder.capture.journal.file import JournalFile
from recorder.capture.reading.hold import ReadAhead
from recorder.capture.reading.holes import missing_before, vanished_behind
from recorder.capture.segment import SegmentReader, SortedBlock
from recorder.capture.snapshot import JournalSource, SealedSource, Snapshot, SourceGone
from recorder.errors import Damage, ExitCode
from recorder.frame import Frame, Kind

_UNKNOWN = -2


class Problem(msgspec.Struct, frozen=True):
    """Something that could not be read; seqs are inclusive, None where unknown."""

    file: str
    segment: int | None
    first_seq: int | None
    last_seq: int | None
    cause: str


class ReadReport(msgspec.Struct):
    """What a read met on its way.

    Attributes:
        lost_rows: `lost` rows within the bounds, also where a filter dropped them.
        torn_tail: a recorder died; the capture is not recovered yet.
        problems: parts that were passed over.
    """

    lost_rows: int = 0
    torn_tail: bool = False
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """The contract for commands that read: 0 whole, 3 declared loss, 1 damage."""
        if self.problems:
            return ExitCode.FAILED
        return ExitCode.LOSS if self.lost_rows or self.torn_tail else ExitCode.DONE

    def passed(self, last_seq: int) -> None:
        """Take note that everything up to a number has been read; to stop there, raise here."""

    def add(self, damage: Damage) -> None:
        """Note a part that could not be read."""
        problem = Problem(
            damage.file, damage.segment, damage.first_seq, damage.last_seq, damage.cause
        )
        if problem not in self.problems:
            self.problems.append(problem)


def serve(
    snapshot: Snapshot, capture_id: str, wanted: Selection, report: ReadReport | None
) -> Iterator[FrameBatch]:
    """Yield the wanted frames of a snapshot in seq order.

    Raises:
        Damage: a part cannot be read, and there is no report.
        SourceGone: take a new snapshot and go on from there.
    """
    # None: what came before does not tell where it ends.
    position: int | None = snapshot.first_seq
    before: SealedSource | JournalSource | None = None
    for is_sealed, sources in groupby(
        snapshot.sources, key=lambda source: isinstance(source, SealedSource)
    ):
        if is_sealed:
            chosen = [source for source in sources if isinstance(source, SealedSource)]
            if before is None or isinstance(before, JournalSource):
                hole = missing_before(snapshot, position, chosen[0], chosen[0].first_seq, wanted)
                if hole is not None:
                    _met(hole, report)
            yield from _serve_sealed(snapshot, chosen, wanted, report)
            before = chosen[-1]
            position = chosen[-1].last_seq + 1
            if not wanted.reaches(position):
                return  # damage behind what is wanted is nobody's business here
            continue
        for source in sources:
            if not isinstance(source, JournalSource):
                continue
            try:
                journal = JournalFile(
                    snapshot.root,
                    source.segment,
                    capture_id=capture_id,
                    size=source.size,
                    expected_seq=position or 0,
                )
            except FileNotFoundError as error:
                raise SourceGone(source.path, position or 0) from error
            except Damage as damage:  # of a capture in an object store
                damage.first_seq = position
                _met(damage, report)
                return
            with journal:
                end = before if isinstance(before, SealedSource) else position
                hole = missing_before(snapshot, end, source, journal.first_seq, wanted)
                if hole is not None and not (isinstance(before, JournalSource) and before.is_open):
                    _met(hole, report)
                last_seq = yield from _serve_journal(snapshot, source, journal, wanted, report)
            if last_seq is None:
                return
            before, position = source, None if last_seq == _UNKNOWN else last_seq + 1
    if wanted.last_seq is None and (gone := vanished_behind(snapshot)) is not None:
        _met(gone, report)


def _met(damage: Damage, report: ReadReport | None) -> None:
    if report is None:
        raise damage
    report.add(damage)


class _Part(msgspec.Struct, frozen=True):
    """One block of a sealed segment, to be loaded."""

    reader: SegmentReader
    block: SortedBlock
    groups: list[int]
    is_last: bool

    def load(self, wanted: Selection) -> LoadedBlock | None:
        return self.reader.load(self.block, self.groups, wanted)

    def count_lost(self, wanted: Selection) -> int:
        if not self.reader.meta.lost_rows:
            return 0
        lost = self.load(
            Selection(
                first_seq=wanted.first_seq, last_seq=wanted.last_seq, kinds=frozenset({Kind.LOST})
            )
        )
        return 0 if lost is None else lost.rows


def _serve_sealed(
    snapshot: Snapshot,
    sources: Sequence[SealedSource],
    wanted: Selection,
    report: ReadReport | None,
) -> Iterator[FrameBatch]:
    """Yield from sealed segments, one block ahead: decompression releases the GIL."""
    with ThreadPoolExecutor(1, thread_name_prefix="capture-read") as pool:
        pending: tuple[_Part, Future[LoadedBlock | None]] | None = None
        for part in chain(_parts(snapshot, sources, wanted, report), [None]):
            ready, pending = pending, None
            if isinstance(part, _Part):
                pending = part, pool.submit(part.load, wanted)
            if ready is None:
                if isinstance(part, (SourceGone, Damage)):
                    raise part
                continue
            current, loading = ready
            try:
                loaded = loading.result()
                if report is not None:
                    report.lost_rows += current.count_lost(wanted)
            except Damage as damage:
                _met(damage, report)
                continue
            finally:
                if current.is_last:
                    current.reader.close()
            if loaded is not None:
                yield from loaded.batches()
            if isinstance(part, (SourceGone, Damage)):
                raise part


def _parts(
    snapshot: Snapshot,
    sources: Sequence[SealedSource],
    wanted: Selection,
    report: ReadReport | None,
) -> Iterator[_Part | SourceGone | Damage]:
    ahead = ReadAhead(
        snapshot.root,
        [s.path for s in sources if s.last_seq >= wanted.first_seq and wanted.reaches(s.first_seq)],
    )
    try:
        yield from _held_parts(snapshot, sources, wanted, report, ahead)
    finally:
        ahead.close()


def _held_parts(
    snapshot: Snapshot,
    sources: Sequence[SealedSource],
    wanted: Selection,
    report: ReadReport | None,
    ahead: ReadAhead,
) -> Iterator[_Part | SourceGone | Damage]:
    before: SealedSource | None = None
    position = 0
    for source in sources:
        try:
            if before is not None:
                hole = missing_before(snapshot, before, source, source.first_seq, wanted)
                if hole is not None:
                    _met(hole, report)
        except (Damage, SourceGone) as stop:
            yield stop  # behind the block before it, which is served first
            return
        before = source
        if source.last_seq < wanted.first_seq or not wanted.reaches(source.first_seq):
            continue
        ahead.reach(position)
        position += 1
        try:
            reader = SegmentReader(snapshot.root, source.path, source.segment)
        except FileNotFoundError:
            yield SourceGone(source.path, source.first_seq)
            return
        except Damage as damage:
            damage.first_seq, damage.last_seq = source.first_seq, source.last_seq
            if report is None:
                yield damage
                return
            report.add(damage)
            continue
        chosen = [
            (block, groups)
            for block, groups in reader.blocks()
            if block.last_seq >= wanted.first_seq and wanted.reaches(block.first_seq)
        ]
        for number, (block, groups) in enumerate(chosen, start=1):
            yield _Part(reader, block, groups, number == len(chosen))


def _serve_journal(
    snapshot: Snapshot,
    source: JournalSource,
    journal: JournalFile,
    wanted: Selection,
    report: ReadReport | None,
) -> Generator[FrameBatch, None, int | None]:
    """Yield the wanted frames of a journal; return its last seq, None once past what is wanted.

    Where its end is damaged, nobody knows the last one: `_UNKNOWN`.
    """
    pending: list[Frame] = []
    last_seq: int | None = journal.first_seq - 1
    for part in journal.parts(from_seq=wanted.first_seq):
        if isinstance(part, Flaw):
            if not wanted.reaches(part.expected_seq):
                last_seq = None
                break
            if part.at_end and source.is_open:
                # Bytes that are still being written, or that a dead recorder left.
                if report is not None and not snapshot.is_live:
                    report.torn_tail = True
            else:
                _met(_damage_of(part, source), report)
                if part.at_end:
                    last_seq = _UNKNOWN
            continue
        if isinstance(part, End):
            last_seq = part.trailer.following - 1
            continue
        if not wanted.reaches(part.first_seq):
            last_seq = None
            break
        for frame in split_records(part.records):
            if frame.seq < wanted.first_seq or not wanted.reaches(frame.seq):
                continue
            if report is not None and frame.kind is Kind.LOST:
                report.lost_rows += 1
            if not wanted.filters or wanted.wants(frame, index_of(frame.kind, frame.payload)):
                pending.append(frame)
        last_seq = part.following - 1
        while len(pending) >= BATCH_ROWS:
            yield batch_of(pending[:BATCH_ROWS])
            del pending[:BATCH_ROWS]
    if pending:
        yield batch_of(pending)
    return last_seq


def _damage_of(flaw: Flaw, source: JournalSource) -> Damage:
    last_seq = None if flaw.next_seq is None else flaw.next_seq - 1
    return Damage(
        f"expected whole blocks in {source.path}, found {flaw.cause} at bytes "
        f"{flaw.offset} to {flaw.end}; `recorder recover` keeps the rest",
        file=source.path,
        cause=flaw.cause,
        segment=source.segment,
        first_seq=flaw.expected_seq,
        last_seq=last_seq,
    )
