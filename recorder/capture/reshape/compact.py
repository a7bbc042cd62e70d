"""Compaction: join sealed segments into files of up to an hour, and change nothing they say.

Responsible for which neighbours are joined, for committing the joined file and for removing what it
replaces. Refuses to touch journals, to cross a hole, a UTC date or a parser version, and to remove
an original before the joined file has been read back.

The joined file is made in `compact/`, which one process holds at a time, and appears by rename:
from then on every reader takes it for the segments inside its range (docs/format.md,
"Compaction"). Killed at any point, compaction leaves the capture as it was, or with both forms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.expiry.mark import read_mark
from recorder.capture.expiry.retention import GRACE_S, PATIENCE_S, remove_superseded
from recorder.capture.reading.hold import only_one
from recorder.capture.reading.serve import Problem, ReadReport
from recorder.capture.reshape.join import Joinable, Joined, join
from recorder.capture.segment import SegmentReader
from recorder.clock import NS_PER_SECOND
from recorder.errors import Damage, DiskFull, ExitCode, RecorderError

Progress = Callable[[int], None]

SPAN_S = 3600.0
LEVEL = 9
MAX_RAW_BYTES = 4 << 30
"""Payload bytes after which a joined file ends early: an hour of a hundred busy books."""


class CompactReport(msgspec.Struct, kw_only=True):
    """What compaction did.

    Attributes:
        joined: files made; segments: sealed segments that are in them now.
        frames: in the joined files. bytes_before, bytes_after: of the files.
        removed: originals deleted; waiting: those still there (in use, or listed a moment ago).
        problems: segments that could not be joined, and stay as they are.
    """

    joined: int = 0
    segments: int = 0
    frames: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    removed: int = 0
    waiting: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 done, or nothing to do; 1 where a segment could not be read."""
        return ReadReport(problems=self.problems).exit_code


def compact(
    path: str | os.PathLike[str],
    *,
    clock: Callable[[], int],
    sleep: Callable[[float], None],
    span_s: float = SPAN_S,
    level: int = LEVEL,
    grace_s: float = GRACE_S,
    wait: bool = True,
    progress: Progress | None = None,
) -> CompactReport:
    """Join sealed segments; the capture may be live.

    Args:
        clock: wall clock, ns (`time.time_ns`). sleep: seconds (`time.sleep`).
        span_s: segments that begin in the same span of this length (from midnight UTC on) are
            joined; seconds.
        level: zstd level of the payloads.
        grace_s: how long originals stay after the joined file replaced them.
        wait: stay until the originals can be removed; else the next compaction or a recorder
            with retention removes them.
        progress: called with the number of frames joined so far.

    Raises:
        NotACapture: there is none. UsageError: another compaction is at work.
        DiskFull: no room; nothing has changed.
    """
    root = Path(path)
    layout.read_header(root)
    folder = root / layout.COMPACT_DIR
    report = CompactReport()
    try:
        folder.mkdir(mode=root.stat().st_mode & 0o777, exist_ok=True)
        with only_one(folder, "compaction"):
            for left in folder.iterdir():
                left.unlink()
            report.removed = remove_superseded(root, now_ns=clock(), grace_s=grace_s)[0]
            for group in _groups(root, span_s):
                _join_group(root, group, level, report, progress)
                report.removed += remove_superseded(root, now_ns=clock(), grace_s=grace_s)[0]
            _remove_originals(root, report, clock, sleep, grace_s if wait else 0.0)
    except OSError as error:
        if error.errno in layout.NO_ROOM:
            raise DiskFull(
                f"expected room for a joined file in {root}, but the disk is full; nothing has "
                f"changed: free some space, then compact again"
            ) from error
        raise RecorderError(
            f"expected to compact {root}, but the system said {error.strerror or error}; the "
            f"capture is whole: put that right, then compact again"
        ) from error
    return report


def _remove_originals(
    root: Path,
    report: CompactReport,
    clock: Callable[[], int],
    sleep: Callable[[float], None],
    wait_s: float,
) -> None:
    _, superseded = layout.resolve(layout.list_all_sealed(root))
    report.waiting = len(superseded)
    if superseded and wait_s > 0:
        sleep(wait_s)
        removed, report.waiting = remove_superseded(root, now_ns=clock(), grace_s=wait_s)
        report.removed += removed


def _groups(root: Path, span_s: float) -> Iterator[list[Joinable]]:
    """Yield neighbours that belong into one file, at least two at a time.

    The last of them may still grow while somebody records: it is left for later.
    """
    span = int(span_s * NS_PER_SECOND)
    is_live = layout.is_locked(root)
    journals = frozenset(layout.list_journals(root))
    mark = read_mark(root)
    begin = 0 if mark is None else mark.first_seq
    group: list[Joinable] = []
    for name in layout.list_sealed(root):
        if name.last_seq < begin:
            continue
        item = None if name.segment in journals else _joinable(root, name)
        if item is None or not group or not _fits(group, item, span):
            if len(group) > 1:
                yield group
            group = []
        if item is not None:
            group.append(item)
    if len(group) > 1 and not is_live:
        yield group


def _joinable(root: Path, name: layout.SealedName) -> Joinable | None:
    try:
        reader = SegmentReader(root, name.path, name.segment)
    except (Damage, FileNotFoundError):
        return None  # damaged ones stay as they are: `verify` names them
    reader.close()
    return Joinable(name, reader.meta)


def _fits(group: list[Joinable], item: Joinable, span: int) -> bool:
    first, last = group[0], group[-1]
    return (
        item.meta.first_seq == last.meta.next_seq
        and item.meta.parser == first.meta.parser
        and item.meta.start // span == first.meta.start // span
        and Path(item.name.path).parent == Path(first.name.path).parent
        and sum(one.meta.raw_bytes for one in group) + item.meta.raw_bytes <= MAX_RAW_BYTES
    )


def _join_group(
    root: Path,
    group: list[Joinable],
    level: int,
    report: CompactReport,
    progress: Progress | None,
) -> None:
    before = report.frames
    temporary = root / layout.COMPACT_DIR / f"{group[0].name.segment:06d}.parquet"

    def at(frames: int) -> None:
        if progress is not None:
            progress(before + frames)

    try:
        joined = join(root, group, temporary, level=level, progress=at)
        if not _commit(root, group, joined, temporary):
            return
    except Damage as damage:
        report.problems.append(
            Problem(damage.file, damage.segment, damage.first_seq, damage.last_seq, damage.cause)
        )
        return
    except FileNotFoundError:
        return  # expired while it was read
    finally:
        temporary.unlink(missing_ok=True)
    report.joined += 1
    report.segments += sum(len(item.meta.joined or [item]) for item in group)
    report.frames += joined.meta.count
    report.bytes_before += joined.bytes_before
    report.bytes_after += joined.bytes_after


def _commit(root: Path, group: list[Joinable], joined: Joined, temporary: Path) -> bool:
    """Rename the joined file to its place, unless one of its segments has gone meanwhile."""
    target = root / joined.name.path
    with only_one(root / layout.FRAMES_DIR, "retention", patience_s=PATIENCE_S):
        mark = read_mark(root)
        present = {name.path for name in layout.list_sealed(root)}
        is_expired = mark is not None and joined.name.first_seq < mark.first_seq
        if is_expired or not present.issuperset(item.name.path for item in group):
            return False
        temporary.rename(target)
        layout.fsync_directory(target.parent)
        layout.fsync_directory(temporary.parent)
    return True
