"""Recover: finish what a dead recorder left, keeping everything whole and naming what is not.

Responsible for docs/format.md, "Recovery". Refuses to touch a capture whose LOCK is held, to
delete damaged bytes, and to be needed twice: every step may be cut off and run again.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.expiry.earlier import last_connection_before
from recorder.capture.info import info_of
from recorder.capture.journal import FILE_HEADER, Block, Flaw
from recorder.capture.journal.file import JournalFile
from recorder.capture.reader import Capture
from recorder.capture.reading.serve import Problem, ReadReport
from recorder.capture.sealing.salvage import Repair, quarantine, set_aside
from recorder.capture.sealing.seal import Sealer, file_hash
from recorder.capture.segment import SegmentReader, last_segment
from recorder.capture.vanished import destroyed
from recorder.errors import Damage, DiskFull, ExitCode, RecorderError


class RecoverReport(msgspec.Struct, kw_only=True):
    """What recovery did.

    Attributes:
        frames: kept from journals (rows made by recovery not counted). segments: sealed.
        bytes_cut: torn bytes set aside; holes: `lost` rows made.
        quarantined: files in `quarantine/` that hold what was not whole.
        problems: sealed segments that are damaged or missing; recovery cannot bring them back.
        next_segment, next_seq, next_connection: where a recorder continues.
    """

    frames: int = 0
    segments: int = 0
    bytes_cut: int = 0
    holes: int = 0
    quarantined: list[str] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
    next_segment: int = 0
    next_seq: int = 0
    next_connection: int = 0

    @property
    def next_numbers(self) -> tuple[int, int, int]:
        """Segment, seq and connection where a recorder continues."""
        return self.next_segment, self.next_seq, self.next_connection

    @property
    def exit_code(self) -> ExitCode:
        """0 done, or nothing to do; 3 with `lost` rows made; 1 a sealed segment is not whole."""
        return ReadReport(lost_rows=self.holes, problems=self.problems).exit_code

    def add(self, damage: Damage) -> None:
        """Note what recovery cannot bring back."""
        self.problems.append(
            Problem(damage.file, damage.segment, damage.first_seq, damage.last_seq, damage.cause)
        )


def recover(path: str | os.PathLike[str]) -> RecoverReport:
    """Recover a capture; look at the ends of what is sealed, too (`verify` reads all of it).

    Raises:
        NotACapture: there is none. UsageError: a recorder is writing it.
        Damage: a journal cannot be sealed, even with its damaged parts left out.
        DiskFull, RecorderError: the disk refused something; nothing was lost by that.
    """
    root = Path(path)
    layout.read_header(root)
    try:
        with layout.locked(root):
            report = recover_locked(root)
            gone = destroyed(root, report.next_seq)
            if gone is None:
                (root / layout.STATUS_FILE).unlink(missing_ok=True)
        report.problems = info_of(Capture(root)).problems
        if gone is not None:
            report.add(gone)
        return report
    except OSError as error:
        if error.errno in layout.NO_ROOM:
            raise DiskFull(
                f"expected room to seal the journals of {root}, but the disk is full; nothing is "
                f"lost: free some space, then run `recorder recover {root}` again"
            ) from error
        raise RecorderError(
            f"expected to seal the journals of {root}, but the system said "
            f"{error.strerror or error}; nothing is lost: put that right, then run "
            f"`recorder recover {root}` again"
        ) from error


def recover_locked(root: Path) -> RecoverReport:
    """Recover a capture whose lock the caller holds.

    What the dead recorder left in `status.json` stays: the caller may need it (`vanished`).
    """
    header = layout.read_header(root)
    layout.make_directories(root, private=False)
    for path in layout.list_unfinished(root):
        path.unlink(missing_ok=True)
    report = RecoverReport()
    journals = [
        segment
        for segment in layout.list_journals(root)
        if not _finish_sealed(root, header.id, segment, report)
    ]
    done = [last_segment(root, n.path, n.segment) for n in layout.list_sealed(root)[-1:]]
    # A number is never used again, not even that of a sealed segment that has vanished.
    proven = max(layout.list_checkpoints(root), default=0) - 1
    highest = max([proven, *done, *journals])
    journals = _without_stillborn(root, header.id, journals, report)
    sealer = Sealer(root)
    for position, segment in enumerate(journals):
        following = _first_seq_after(root, header.id, journals[position + 1 :])
        _recover_journal(root, header.id, segment, following, sealer, report)
    expected, _ = _end_before(root, highest + 1)
    report.next_segment = highest + 1
    report.next_seq = expected
    report.next_connection = last_connection_before(root, highest + 1) + 1
    return report


def _finish_sealed(root: Path, capture_id: str, segment: int, report: RecoverReport) -> bool:
    """Delete a journal whose frames are sealed, and tell whether it was one.

    Its sealer died between the rename and the deletion: the rename may not be durable yet, and
    this is the last moment at which the journal could replace a file that is not what its name
    says. Such a file is set aside.
    """
    with JournalFile(root, segment, capture_id=capture_id) as journal:
        first_seq = journal.first_seq if journal.header_fault is None else None
    for name in layout.list_sealed(root):
        is_joined = first_seq is not None and name.first_seq < first_seq <= name.last_seq
        if name.segment != segment and not (name.segment < segment and is_joined):
            continue
        path = root / name.path
        if file_hash(path)[:16] == name.hash16:
            layout.fsync_directory(path.parent)
            layout.journal_path(root, segment).unlink()
            layout.fsync_directory(root / layout.JOURNAL_DIR)
            return True
        if name.segment == segment:
            report.quarantined.append(set_aside(root, path))
    return False


def _recover_journal(
    root: Path,
    capture_id: str,
    segment: int,
    following: int | None,
    sealer: Sealer,
    report: RecoverReport,
) -> None:
    frames, flaws = 0, []
    with JournalFile(root, segment, capture_id=capture_id) as journal:
        size = journal.size
        for part in journal.parts():
            if isinstance(part, Flaw):
                flaws.append(part)
            elif isinstance(part, Block):
                frames += part.count
    for flaw in flaws:
        if flaw.at_end:
            report.bytes_cut += flaw.end - flaw.offset
            offset, length, label = flaw.offset, flaw.end - flaw.offset, "torn"
        else:
            offset, length, label = 0, size, "damaged"
        quarantined = quarantine(root, segment, offset=offset, size=length, label=label)
        if quarantined not in report.quarantined:
            report.quarantined.append(quarantined)
    expected, stamps = _end_before(root, segment)
    repair = Repair(expected_seq=expected, stamps=stamps, next_first_seq=following)
    outcome = sealer.salvage(segment, repair)
    report.holes += outcome.holes
    report.frames += frames
    report.segments += outcome.sealed is not None


def _without_stillborn(
    root: Path, capture_id: str, journals: list[int], report: RecoverReport
) -> list[int]:
    """Drop journals at the end that died before their header was written.

    What comes before them is then the last journal, with an end that is unknown. One that is
    longer than a header held frames, whatever became of them: it leaves a `lost` row.
    """
    while journals:
        with JournalFile(root, journals[-1], capture_id=capture_id) as journal:
            size = journal.size
            if journal.header_fault is None or size > FILE_HEADER.size:
                break
        segment = journals.pop()
        if size:
            report.bytes_cut += size
            report.quarantined.append(quarantine(root, segment, offset=0, size=size, label="torn"))
        layout.journal_path(root, segment).unlink()
    return journals


def _first_seq_after(root: Path, capture_id: str, journals: list[int]) -> int | None:
    """Return the first number of the next journal that can tell, None if there is none."""
    for segment in journals:
        with JournalFile(root, segment, capture_id=capture_id) as journal:
            if journal.header_fault is None:
                return journal.first_seq
            for part in journal.parts():
                if isinstance(part, Block):
                    return part.first_seq
    return None


def _end_before(root: Path, segment: int) -> tuple[int, tuple[int, int] | None]:
    """Return the number after the last one before a segment, and the stamps of that last one."""
    expected = 0
    for name in reversed(layout.list_sealed(root)):
        if name.segment >= segment:
            continue
        expected = max(expected, name.last_seq + 1)
        try:
            reader = SegmentReader(root, name.path, name.segment)
        except Damage:
            continue  # its name still says where it ends; the stamps come from an earlier one
        except FileNotFoundError:  # joined or expired since it was listed
            return _end_before(root, segment)
        reader.close()
        return max(expected, reader.meta.next_seq), (reader.meta.end, reader.meta.last_ts_mono)
    return expected, None
