"""Open a journal segment for reading.

Responsible for tying a journal file to its capture: the header must name this capture and this
segment, else its bytes count as damage. Refuses to write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from recorder.capture import layout
from recorder.capture.journal import (
    FILE_HEADER,
    JournalScan,
    Part,
    decode_file_header,
    seed_of,
)
from recorder.errors import Damage


class JournalFile:
    """A journal open for reading, up to `size` bytes of it.

    Attributes:
        first_seq: the first number it may hold: by its header, else what the caller expected.
        header_fault: what is wrong with the file header, None if nothing.

    Raises:
        FileNotFoundError: it has been sealed meanwhile; take a new snapshot.
    """

    def __init__(
        self,
        root: Path,
        segment: int,
        *,
        capture_id: str,
        size: int | None = None,
        expected_seq: int = 0,
    ) -> None:
        self.path = f"{layout.JOURNAL_DIR}/{segment:06d}.wal"
        self.segment = segment
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

    def parts(self, *, from_seq: int = 0) -> Iterator[Part]:
        """Yield blocks, flaws and the end; blocks wholly below `from_seq` are passed unread."""
        scan = JournalScan(
            self._fd,
            size=self.size,
            seed=self._seed,
            first_seq=self.first_seq,
            # Behind a damaged header the first block is found by its marker, as after any flaw.
            offset=FILE_HEADER.size if self.header_fault is None else 0,
        )
        return scan.parts(from_seq=from_seq)

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
