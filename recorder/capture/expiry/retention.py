"""Retention: let the oldest sealed segments of a capture go, declared, and never one in use.

Responsible for which segments may go (sealed, hashed, and the next one can start from its own
checkpoint), for the mark that says so before anything is deleted, and for deleting what is no
longer listed. Refuses to delete a file that a reader holds open, or that does not have the hash
in its name, and to read a clock.

Steps, each of which may be cut off and run again: the mark (`expired.json`) names what the capture
begins with now and the files that wait; from then on no reader lists them. After the grace, a
waiting file that nobody holds is deleted with its checkpoint; then it leaves the mark.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.derived import remove_tables_before
from recorder.capture.digest import digest_of
from recorder.capture.expiry.age import ages
from recorder.capture.expiry.mark import Mark, Waiting, read_mark, write_mark
from recorder.capture.footer import read_meta
from recorder.capture.journal.room import lend_reserve, refill_reserve
from recorder.capture.layout import SealedName
from recorder.capture.reading.hold import only_one, remove_unheld
from recorder.capture.sealing.seal import file_hash
from recorder.capture.segment import SegmentMeta
from recorder.clock import NS_PER_DAY, NS_PER_SECOND, utc_date
from recorder.errors import Damage
from recorder.okx.interpreter import Interpreter

GRACE_S = 60.0
"""How long a file stays after it is no longer listed: a reader may have listed it before."""


_MOST_AT_ONCE = 16

FEW = 16
"""So many segments expire by the wall clock alone; more at once only if the data is as old."""

PATIENCE_S = 5.0
"""How long to wait for another process that commits or deletes: it needs milliseconds."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed segment that is gone for every reader; its file goes after the grace.

    Attributes:
        path: relative to the capture. bytes: of the file and its checkpoint.
    """

    path: str
    segment: int
    first_seq: int
    last_seq: int
    bytes: int


def expire(
    root: str | os.PathLike[str],
    *,
    days: float | None = None,
    max_bytes: int | None = None,
    now_ns: int,
    grace_s: float = GRACE_S,
) -> list[Removed]:
    """Let segments go that are older than `days`, or that exceed `max_bytes`, oldest first.

    One that must stay keeps all behind it, too: a capture has one beginning. Also deletes what
    waits from before, and what a compaction has replaced.

    Args:
        days: by the latest `ts_recv` in a segment; where many would go at once, by the age that
            the data itself shows. None: no limit.
        max_bytes: for sealed segments, checkpoints and journals together; None: no limit.
        now_ns: wall clock, ns.
        grace_s: how long files stay that are no longer listed.
    """
    path = Path(root)
    with only_one(path / layout.FRAMES_DIR, "retention", patience_s=PATIENCE_S):
        retention = _Retention(path, now_ns)
        wanted = 0
        if days is not None:
            age_ns = int(days * NS_PER_DAY)
            wanted = retention.older_than(now_ns - age_ns)
            if wanted > FEW:
                wanted = min(wanted, retention.aged(age_ns))
        reason = "days"
        if max_bytes is not None:
            above = retention.above(retention.total_bytes() - max_bytes)
            if above > wanted:
                wanted, reason = above, "bytes"
        removed = retention.let_go(wanted, reason)
        retention.delete_waiting(grace_s)
        _remove_superseded(path, now_ns, grace_s)
        return removed


def expire_oldest(
    root: str | os.PathLike[str], bytes_needed: int, *, now_ns: int, grace_s: float = 0.0
) -> list[Removed]:
    """Let the oldest segments go until `bytes_needed` are free, at once (a disk is full).

    What waits already, or was replaced by a joined file, goes first. A file that is open stays
    on the disk: the space comes from the next ones. One that somebody is still to read goes:
    a recording that stands still is worse than a reader that is overtaken. The few KiB that the
    mark itself needs are lent by the reserve where nothing else is left.
    """
    path = Path(root)
    with only_one(path / layout.FRAMES_DIR, "retention", patience_s=PATIENCE_S):
        retention = _Retention(path, now_ns, is_urgent=True)
        freed = retention.delete_waiting(grace_s)
        freed += _remove_superseded(path, now_ns, grace_s, is_urgent=True)
        removed: list[Removed] = []
        while freed < bytes_needed:
            # One at a time, or as many as it takes to come to one that can start.
            attempts = (retention.let_go(count, "space") for count in range(1, _MOST_AT_ONCE))
            gone = next(filter(None, attempts), None)
            if gone is None:
                break
            removed += gone
            freed += retention.delete_waiting(grace_s)
        refill_reserve(path)
        return removed


def remove_superseded(
    root: str | os.PathLike[str], *, now_ns: int, grace_s: float = GRACE_S
) -> tuple[int, int]:
    """Delete sealed files whose frames lie in a joined one that reads back whole.

    Returns:
        How many files were deleted, and how many still wait (held, or listed a moment ago).
    """
    path = Path(root)
    with only_one(path / layout.FRAMES_DIR, "retention", patience_s=PATIENCE_S):
        before = len(layout.resolve(layout.list_all_sealed(path))[1])
        _remove_superseded(path, now_ns, grace_s)
        after = len(layout.resolve(layout.list_all_sealed(path))[1])
    return before - after, after


class _Retention:
    """One pass over a capture; the caller holds `frames/`."""

    def __init__(self, root: Path, now_ns: int, *, is_urgent: bool = False) -> None:
        self._root = root
        self._now_ns = now_ns
        self._is_urgent = is_urgent
        self._mark = read_mark(root) or Mark()
        self._header = layout.read_header(root)
        begin = max(self._mark.first_seq, self._header.first_seq or 0)
        present = layout.list_all_sealed(root)
        self._current, _ = layout.resolve([name for name in present if name.last_seq >= begin])
        self._begin = begin
        self._journals = layout.list_journals(root)
        self._listed_now = {waiting.path for waiting in self._mark.waiting}
        # Below the mark and not waiting: a joined file that was finished behind it, or one from
        # a copy. It is not listed, so it may go like the others.
        orphans = [n for n in present if n.last_seq < begin and n.path not in self._listed_now]
        if orphans and self._mark.first_seq:
            self._write(waiting=[*self._mark.waiting, *map(self._waiting, orphans)])

    # --- which ----------------------------------------------------------------------------

    def older_than(self, ts: int) -> int:
        """Return how many segments from the oldest on hold nothing received at or after `ts`."""
        day = utc_date(ts)
        count = 0
        for name in self._current:
            # A segment holds no later date than its folder says, but an earlier one it may.
            if name.path.partition("date=")[2][:10] > day:
                break
            meta = self._meta(name)
            if meta is None or meta.max_ts_recv >= ts:
                break
            count += 1
        return count

    def aged(self, age_ns: int) -> int:
        """Return how many of the oldest segments are that old by their data; looks at them all."""
        count = len(self._current)
        for age in ages(map(self._meta, reversed(self._current))):
            if age > age_ns:
                break
            count -= 1
        return count

    def above(self, excess: int) -> int:
        """Return how many segments from the oldest on hold at least `excess` bytes."""
        count = 0
        for name in self._current:
            if excess <= 0:
                break
            excess -= self._bytes_of(name)
            count += 1
        return count

    def total_bytes(self) -> int:
        """Return the bytes of everything that is listed."""
        files = [self._root / name.path for name in self._current]
        files += [layout.journal_path(self._root, n) for n in self._journals]
        begin = self._mark.first_segment
        files += [path for n, path in layout.all_checkpoints(self._root) if n >= begin]
        return sum(map(_size, files))

    def _allowed(self, wanted: int) -> int:
        """Return how many of the oldest segments may go, at most `wanted`.

        Each must be whole, follow the one before it without a hole and have no journal; the one
        that the capture then begins with must be able to start from its checkpoint.
        """
        ends: list[int] = []
        expected = self._begin
        for name in self._current[:wanted]:
            meta = self._meta(name)
            if (
                meta is None
                or name.first_seq != expected
                or name.segment in self._journals
                or file_hash(self._root / name.path)[:16] != name.hash16
            ):
                break
            expected = meta.next_seq
            ends.append(expected)
        for count in range(min(len(ends), len(self._current) - 1), 0, -1):
            kept = self._current[count]
            if kept.first_seq == ends[count - 1] and self._can_start(kept):
                return count
        return 0

    def _can_start(self, name: SealedName) -> bool:
        """Tell whether this release can go on from the checkpoint before a segment."""
        meta = self._meta(name)
        if meta is None:
            return False
        try:
            state = read_checkpoint(self._root, name.segment)
            Interpreter.restore(state)
        except (Damage, FileNotFoundError, ValueError):
            return False
        return digest_of(state) == meta.checkpoint

    def _meta(self, name: SealedName) -> SegmentMeta | None:
        return _meta_of(self._root, name)

    # --- the mark and the deleting ---------------------------------------------------------

    def let_go(self, wanted: int, reason: str) -> list[Removed]:
        """Write the mark behind up to `wanted` of the oldest segments; return those."""
        going = self._current[: self._allowed(wanted)]
        if not going:
            return []
        frames = sum(meta.count for name in going if (meta := self._meta(name)) is not None)
        kept = self._current[len(going) :]
        waiting = [self._waiting(name) for name in going]
        self._write(
            first_segment=kept[0].segment,
            first_seq=kept[0].first_seq,
            segments=self._mark.segments + len(going),
            frames=self._mark.frames + frames,
            bytes=self._mark.bytes + sum(item.bytes for item in waiting),
            marked_at=self._now_ns,
            reason=reason,
            waiting=[*self._mark.waiting, *waiting],
        )
        self._current, self._begin = kept, kept[0].first_seq
        return [
            Removed(
                path=name.path,
                segment=name.segment,
                first_seq=name.first_seq,
                last_seq=name.last_seq,
                bytes=item.bytes,
            )
            for name, item in zip(going, waiting, strict=True)
        ]

    def delete_waiting(self, grace_s: float) -> int:
        """Delete what has waited long enough and nobody holds; return the bytes freed."""
        due = self._now_ns - int(grace_s * NS_PER_SECOND)
        freed, left = 0, []
        for item in self._mark.waiting:
            if item.since <= due and remove_unheld(
                self._root, item.path, is_urgent=self._is_urgent
            ):
                freed += item.bytes
            else:
                left.append(item)
        self._delete_checkpoints(left)
        self._delete_empty_days()
        if len(left) < len(self._mark.waiting):
            self._write(waiting=left)
        return freed

    def _delete_checkpoints(self, left: Sequence[Waiting]) -> None:
        """Delete the checkpoints below the mark that no waiting file can be read from."""
        mark = self._mark.first_segment
        needed = min((_segment_of(item.path) for item in left), default=mark)
        for segment, path in layout.all_checkpoints(self._root):
            if segment < min(mark, needed):
                path.unlink(missing_ok=True)

    def _delete_empty_days(self) -> None:
        if not self._current or not self._mark.first_seq:
            return
        kept = self._current[0].path.split("/")[1]
        remove_tables_before(self._root, kept, self._current[0].segment)
        for day in layout.list_days(self._root):
            if day < kept:
                try:
                    (self._root / layout.FRAMES_DIR / day).rmdir()
                except OSError:
                    continue  # not empty yet

    def _write(self, **changes: object) -> None:
        mark = msgspec.structs.replace(self._mark, **changes)
        try:
            self._mark = write_mark(self._root, mark)
        except OSError as error:
            is_full = error.errno in layout.NO_ROOM
            if not (is_full and self._is_urgent and lend_reserve(self._root)):
                raise
            self._mark = write_mark(self._root, mark)

    def _waiting(self, name: SealedName) -> Waiting:
        return Waiting(name.path, self._bytes_of(name), self._now_ns)

    def _bytes_of(self, name: SealedName) -> int:
        meta = self._meta(name)
        inner = (meta.inner_checkpoints or ()) if meta is not None else ()
        files = [layout.checkpoint_path(self._root, name.segment)]
        files += [layout.checkpoint_path(self._root, one.segment, one.seq) for one in inner]
        return _size(self._root / name.path) + sum(map(_size, files))


def _remove_superseded(root: Path, now_ns: int, grace_s: float, *, is_urgent: bool = False) -> int:
    """Delete what a joined file has replaced; return the bytes freed."""
    freed = 0
    current, superseded = layout.resolve(layout.list_all_sealed(root))
    due = now_ns - int(grace_s * NS_PER_SECOND)
    for joined, inside in _by_joined(current, superseded):
        try:
            # The rename that made it set its change time: it has been listed since then.
            if (root / joined.path).stat().st_ctime_ns > due:
                continue
            if file_hash(root / joined.path)[:16] != joined.hash16:
                continue  # whatever happened to it, the originals are needed
        except FileNotFoundError:
            continue
        meta = _meta_of(root, joined)
        if meta is None:
            continue
        for name in inside:
            size = _size(root / name.path)
            spare = [
                layout.checkpoint_path(root, part.segment)
                for part in meta.joined or []
                if not part.has_checkpoint and name.first_seq <= part.first_seq <= name.last_seq
            ]
            if remove_unheld(root, name.path, *spare, is_urgent=is_urgent):
                freed += size
    return freed


def _by_joined(
    current: Sequence[SealedName], superseded: Sequence[SealedName]
) -> Iterator[tuple[SealedName, list[SealedName]]]:
    for name in current:
        inside = [
            other
            for other in superseded
            if name.first_seq <= other.first_seq and other.last_seq <= name.last_seq
        ]
        if inside:
            yield name, inside


def _meta_of(root: Path, name: SealedName) -> SegmentMeta | None:
    try:
        return read_meta(root, name.path, name.segment)
    except (Damage, FileNotFoundError):
        return None


def _segment_of(path: str) -> int:
    return int(path.rpartition("/")[2].partition("-")[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
