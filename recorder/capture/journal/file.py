"""Open a journal segment for reading.

Responsible for tying a journal file to its capture: the header must name this capture and this
segment, else its bytes count as damage; and for where a later journal cuts it. Refuses to write.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from recorder.capture import layout
from recorder.capture.journal import (
    FILE_HEADER,
    JournalHeader,
    JournalScan,
    Part,
    decode_file_header,
    seed_of,
)
from recorder.capture.journal.tail import JournalTail
from recorder.capture.place import Place, Remote
from recorder.errors import Damage

CUT_REACH = 32
"""A journal is cut by one of at most so many segment numbers above it."""


class JournalFile:
    """A journal open for reading, up to `size` bytes of it.

    Attributes:
        first_seq: the first number it may hold: by its header, else what the caller expected.
        header_fault: what is wrong with the file header, None if nothing.
        cut: the lowest first number of the journals behind it, None if there are none: what it
            holds from there on means nothing.

    Raises:
        FileNotFoundError: it has been sealed or replaced meanwhile; take a new snapshot.
        Damage: it lies in an object store.
    """

    def __init__(
        self,
        root: Place,
        segment: int,
        *,
        capture_id: str,
        size: int | None = None,
        expected_seq: int = 0,
    ) -> None:
        self.path = f"{layout.JOURNAL_DIR}/{segment:06d}.wal"
        self.segment = segment
        self._fd = -1
        if isinstance(root, Remote):
            raise Damage(
                f"expected sealed segments in {root}, found the journal {self.path}, which is read "
                f"on a disk only; end the recording, or `recorder recover` it, and copy it again",
                file=self.path,
                cause="a journal is not read from a store",
                segment=segment,
            )
        self._fd = os.open(root / self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._fd).st_size if size is None else size
        self.first_seq = expected_seq
        self.header_fault: str | None = None
        self._seed = seed_of(capture_id, segment)
        try:
            raw = os.pread(self._fd, min(FILE_HEADER.size, self.size), 0)
            header = decode_file_header(raw, file=self.path)
            if header.capture_id != capture_id or header.segment != segment:
                self.header_fault = "file header of another capture or segment"
            else:
                self.first_seq = header.first_seq
        except Damage as damage:
            self.header_fault = damage.cause
        try:
            self.cut = self._find_cut(root, capture_id)
        except OSError:
            self.close()
            raise
        if self.cut is not None and self.header_fault is None:
            self.first_seq = min(self.first_seq, self.cut)

    def _find_cut(self, root: Path, capture_id: str) -> int | None:
        found = []
        for later in layout.list_journals(root):
            if self.segment < later <= self.segment + CUT_REACH:
                header = _header_of(root, later)
                if header is not None and header.capture_id == capture_id:
                    found.append(header.first_seq)
        # Journals are sealed and deleted in order: while this one is there, so were the later ones.
        if not os.path.samestat(os.fstat(self._fd), (root / self.path).stat()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        return min(found, default=None)

    def parts(self, *, from_seq: int = 0) -> Iterator[Part]:
        """Yield blocks, flaws and the end; blocks wholly below `from_seq` are passed unread."""
        scan = JournalScan(
            self._fd,
            size=self.size,
            seed=self._seed,
            first_seq=self.first_seq,
            # Behind a damaged header the first block is found by its marker, as after any flaw.
            offset=FILE_HEADER.size if self.header_fault is None else 0,
            cut=self.cut,
        )
        return scan.parts(from_seq=from_seq)

    def tail(self, position: int) -> JournalTail:
        """Return a reader of what is there from a number on and of what will be added."""
        return JournalTail(self._fd, seed=self._seed, first_seq=self.first_seq, position=position)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> JournalFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _header_of(root: Path, segment: int) -> JournalHeader | None:
    """Return the header of a journal, None where it is gone or not whole."""
    path = layout.journal_path(root, segment)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        header = decode_file_header(os.pread(fd, FILE_HEADER.size, 0), file=path.name)
    except Damage:
        return None
    finally:
        os.close(fd)
    return header if header.segment == segment else None
