"""Snapshot: an explicit list of the files that hold a capture at one moment.

Responsible for the order of listing that never misses and never doubles a frame: `journal/`
first, then `frames/`, then the mark of retention; a sealed file wins over its journal, a joined
one over those it was made from. Refuses to open what it lists.
"""

from __future__ import annotations

import msgspec

from recorder.capture import layout
from recorder.capture.expiry.mark import Expired, read_mark
from recorder.capture.journal import FILE_HEADER
from recorder.capture.place import Place, size_of


class SealedSource(msgspec.Struct, frozen=True):
    """A sealed segment; `path` is relative to the capture, seqs are inclusive."""

    path: str
    segment: int
    first_seq: int
    last_seq: int
    hash16: str


class JournalSource(msgspec.Struct, frozen=True):
    """A journal segment, up to the `size` in bytes it had.

    Attributes:
        is_open: a recorder may have been writing it then: an end that is cut off is no damage.
    """

    path: str
    segment: int
    size: int
    is_open: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The sources of a capture in seq order.

    Attributes:
        root: where the capture lies, absolute: `root / source.path` opens a source.
        is_live: a writer held LOCK: a cut-off block at the end is not damage.
        vanished: first and last of the segments behind the last source that were there once:
            the checkpoint that follows a segment is written when its frames are in a file; of
            a joined file this cannot know the last one (`holes.vanished_behind` looks).
        first_seq: number that the capture begins with: above 0 where it is a slice, or where
            retention has let the frames before it go.
        expired: what retention has let go of; None where it never did.
    """

    root: Place
    sources: tuple[SealedSource | JournalSource, ...]
    is_live: bool
    vanished: tuple[int, int] | None = None
    first_seq: int = 0
    expired: Expired | None = None

    @property
    def sealed(self) -> tuple[SealedSource, ...]:
        """The sealed segments, in order."""
        return tuple(s for s in self.sources if isinstance(s, SealedSource))

    @property
    def journals(self) -> tuple[JournalSource, ...]:
        """The journals not sealed yet, in order."""
        return tuple(s for s in self.sources if isinstance(s, JournalSource))


class SourceGone(Exception):
    """A listed file is not there any more: sealed, compacted or removed meanwhile.

    Attributes:
        file: relative to the capture; next_seq: everything below it has been served.
    """

    def __init__(self, file: str, next_seq: int) -> None:
        super().__init__(file)
        self.file = file
        self.next_seq = next_seq


def take_snapshot(root: Place, *, first_seq: int = 0, keep_from: int | None = None) -> Snapshot:
    """List the sources of a capture as they are now.

    Args:
        first_seq: number the capture began with when it was made (`capture.json`).
        keep_from: a reader holds the files from this number on: what expired since is listed,
            as long as the first of them is there.
    """
    root = root.absolute()
    is_live = layout.is_locked(root)
    # Before everything else: what a checkpoint proves now, the lists made next must hold.
    checkpoints = layout.list_checkpoints(root)
    journals: list[tuple[int, int, bool]] = []
    # Newest first: a segment's trailer is written when the next one has its header and nothing
    # else. So where the later file held more than that, the earlier one was complete already.
    is_open = True
    for segment in reversed(layout.list_journals(root)):
        try:
            size = size_of(root / f"{layout.JOURNAL_DIR}/{segment:06d}.wal")
        except FileNotFoundError:
            continue  # sealed meanwhile: it is in the list made next
        journals.append((segment, size, is_open))
        is_open = is_open and size <= FILE_HEADER.size
    present = layout.list_all_sealed(root)
    # Behind the lists: what is not in them because it expired, a mark written before tells.
    mark = read_mark(root)
    begin = first_seq if mark is None else max(mark.first_seq, first_seq)
    first_segment = -1 if mark is None else mark.first_segment
    if keep_from is not None and any(n.first_seq <= keep_from <= n.last_seq for n in present):
        begin, first_segment = min(begin, keep_from), -1
    current, _ = layout.resolve([name for name in present if name.last_seq >= begin])
    sealed = {name.segment for name in present}
    sources: list[SealedSource | JournalSource] = [
        SealedSource(name.path, name.segment, name.first_seq, name.last_seq, name.hash16)
        for name in current
    ]
    for segment, size, is_open in journals:
        if segment not in sealed and segment >= first_segment:
            path = f"{layout.JOURNAL_DIR}/{segment:06d}.wal"
            sources.append(JournalSource(path, segment, size, is_open))
    sources.sort(key=lambda source: source.segment)
    last = sources[-1].segment if sources else -1
    vanished = _vanished(last, checkpoints[-1] if checkpoints else 0)
    return Snapshot(
        root,
        tuple(sources),
        is_live or layout.is_locked(root),
        vanished,
        begin,
        None if mark is None else mark.expired,
    )


def _vanished(last: int, checkpoint: int) -> tuple[int, int] | None:
    """Return first and last of the segments behind the last one that a checkpoint proves.

    Sealing a segment writes the checkpoint behind it, then renames; so one above `last` + 1 was
    made of a segment above `last`. Checkpoint 0 holds nothing and proves nothing.
    """
    return (last + 1, checkpoint - 1) if checkpoint > last + 1 else None
