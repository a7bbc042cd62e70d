"""Snapshot: an explicit list of the files that hold a capture at one moment.

Responsible for the order of listing that never misses and never doubles a frame: `journal/`
first, then `frames/`, and a sealed file wins over its journal. Refuses to open what it lists.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from recorder.capture import layout


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
        is_last: the newest journal: only there may a recorder still be writing.
    """

    path: str
    segment: int
    size: int
    is_last: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The sources of a capture in seq order.

    Attributes:
        root: absolute path of the capture, so that `root / source.path` opens a source.
        is_live: a writer held LOCK: a cut-off block at the end is not damage.
    """

    root: Path
    sources: tuple[SealedSource | JournalSource, ...]
    is_live: bool

    @property
    def sealed(self) -> tuple[SealedSource, ...]:
        """The sealed segments, in order."""
        return tuple(s for s in self.sources if isinstance(s, SealedSource))

    @property
    def journals(self) -> tuple[JournalSource, ...]:
        """The journals not sealed yet, in order."""
        return tuple(s for s in self.sources if isinstance(s, JournalSource))


def take_snapshot(root: Path) -> Snapshot:
    """List the sources of a capture as they are now."""
    root = root.absolute()
    is_live = layout.is_locked(root)
    journals: list[tuple[int, int]] = []
    for segment in layout.list_journals(root):
        try:
            journals.append((segment, layout.journal_path(root, segment).stat().st_size))
        except FileNotFoundError:
            continue  # sealed meanwhile: it is in the list made next
    sealed = {
        name.segment: SealedSource(
            name.path, name.segment, name.first_seq, name.last_seq, name.hash16
        )
        for name in layout.list_sealed(root)
    }
    sources: list[SealedSource | JournalSource] = list(sealed.values())
    for segment, size in journals:
        if segment not in sealed:
            path = f"{layout.JOURNAL_DIR}/{segment:06d}.wal"
            is_last = segment == journals[-1][0]
            sources.append(JournalSource(path, segment, size, is_last))
    sources.sort(key=lambda source: source.segment)
    return Snapshot(root, tuple(sources), is_live or layout.is_locked(root))
