"""Finish: seal the journals that a dead recorder completed, and add nothing.

Responsible for the part of recovery that changes nothing a capture says: journals that are whole
and ended, from the oldest on, become sealed segments. Refuses to cut, to set aside and to declare a
loss: that is `recover`, and this stops at the first journal that needs it.

Why both: recovery of a recorder that was killed says so in a row of its own, and so changes the
digest. This does not. It is for journals that wait because a disk was full or a sealer failed, and
for whoever wants files to query before anybody decides about the torn end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.journal import FILE_HEADER, End
from recorder.capture.journal.file import JournalFile
from recorder.capture.reading.serve import Problem, ReadReport
from recorder.capture.sealing.seal import Sealer
from recorder.capture.segment import SegmentReader
from recorder.errors import Damage, DiskFull, ExitCode, RecorderError

Progress = Callable[[int], None]


class FinishReport(msgspec.Struct, kw_only=True):
    """What was sealed.

    Attributes:
        segments, frames: sealed. left: journals that `recorder recover` has to look at.
        problems: why the first of those could not be sealed as it is.
    """

    segments: int = 0
    frames: int = 0
    left: list[str] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 all is sealed, 1 something is left for `recover`."""
        return ReadReport(problems=self.problems).exit_code


def seal_journals(
    path: str | os.PathLike[str], *, progress: Progress | None = None
) -> FinishReport:
    """Seal what lies whole in the journals of a capture that nobody records.

    Args:
        progress: called with the number of frames sealed so far.

    Raises:
        NotACapture: there is none. UsageError: a recorder is writing it.
        DiskFull, RecorderError: the disk refused something; nothing is lost.
    """
    root = Path(path)
    layout.read_header(root)
    report = FinishReport()
    try:
        with layout.locked(root):
            _seal_all(root, report, progress)
    except OSError as error:
        if error.errno in layout.NO_ROOM:
            raise DiskFull(
                f"expected room to seal the journals of {root}, but the disk is full; nothing is "
                f"lost: free some space, then run `recorder seal {root}` again"
            ) from error
        raise RecorderError(
            f"expected to seal the journals of {root}, but the system said "
            f"{error.strerror or error}; nothing is lost: put that right, then run "
            f"`recorder seal {root}` again"
        ) from error
    return report


def _seal_all(root: Path, report: FinishReport, progress: Progress | None) -> None:
    sealer = Sealer(root)
    done = {name.segment for name in layout.list_sealed(root)}
    waiting = layout.list_journals(root)
    last = max([*done, *(segment for segment in waiting if _is_begun(root, segment))], default=-1)
    for position, segment in enumerate(waiting):
        try:
            if segment not in done and segment == last:
                _require_end(root, segment)
            if segment not in done and sealer.seal(segment) is not None:
                report.segments += 1
                report.frames += _frames_in(root, segment)
            elif segment in done:
                raise _already_sealed(segment)
        except Damage as damage:
            report.problems.append(
                Problem(
                    damage.file, damage.segment, damage.first_seq, damage.last_seq, damage.cause
                )
            )
            report.left = [f"{layout.JOURNAL_DIR}/{n:06d}.wal" for n in waiting[position:]]
            return
        if progress is not None:
            progress(report.frames)


def _is_begun(root: Path, segment: int) -> bool:
    """Tell whether a journal got as far as its header; else it was never more than a name."""
    capture_id = layout.read_header(root).id
    with JournalFile(root, segment, capture_id=capture_id) as journal:
        return journal.header_fault is None or journal.size > FILE_HEADER.size


def _require_end(root: Path, segment: int) -> None:
    """Require that the last journal of all says that it was the last.

    Raises:
        Damage: another one followed, and went with a power cut.
    """
    capture_id = layout.read_header(root).id
    with JournalFile(root, segment, capture_id=capture_id) as journal:
        for part in journal.parts():
            if isinstance(part, End) and part.trailer.has_next:
                raise Damage(
                    f"expected the end of the recording in {journal.path}, found that another "
                    f"journal followed; run `recorder recover`, which declares the loss",
                    file=journal.path,
                    cause="the journal after it is missing",
                    segment=segment,
                    first_seq=part.trailer.following,
                )


def _frames_in(root: Path, segment: int) -> int:
    for name in layout.list_sealed(root):
        if name.segment == segment:
            reader = SegmentReader(root, name.path, segment)
            reader.close()
            return reader.meta.count
    return 0


def _already_sealed(segment: int) -> Damage:
    file = f"{layout.JOURNAL_DIR}/{segment:06d}.wal"
    return Damage(
        f"expected one form of segment {segment}, found it sealed and in {file}; run "
        f"`recorder recover`, which compares them",
        file=file,
        cause="sealed already, and its journal is still there",
        segment=segment,
    )
