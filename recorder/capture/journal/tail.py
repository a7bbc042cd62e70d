"""Tail: read on in a journal while it is being written.

Responsible for whole blocks in their order, each exactly once, from where the last look ended.
Refuses to judge what is not whole yet: it may be whole at the next look, and what is damaged for
good is found by whoever reads the journal when it is finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from recorder.capture.journal import (
    FILE_HEADER,
    Block,
    End,
    JournalScan,
    NotWhole,
    split_records,
)
from recorder.frame import Frame


class JournalTail(JournalScan):
    """A journal open for reading that may grow.

    Attributes:
        position: everything below this number has been given out.
        is_finished: the trailer was met: nothing will be added.
    """

    def __init__(self, fd: int, *, seed: int, first_seq: int, position: int) -> None:
        super().__init__(fd, size=FILE_HEADER.size, seed=seed, first_seq=first_seq)
        self.position = position
        self.is_finished = False

    def look(self) -> Iterator[list[Frame]]:
        """Yield the frames that are there now and were not given out before, block by block."""
        self._size = os.fstat(self._fd).st_size
        while self._offset < self._size and not self.is_finished:
            try:
                part = self._block_at(self._offset, self.position)
            except NotWhole:
                return
            self._offset = part.end
            if isinstance(part, End):
                self.is_finished = True
                self.position = max(self.position, part.trailer.following)
                return
            self._expected = part.following
            self._number += 1
            yield from self._unseen(part)

    @property
    def is_unlinked(self) -> bool:
        """Whether the file was deleted, that is sealed and more."""
        return os.fstat(self._fd).st_nlink == 0

    def _unseen(self, block: Block) -> Iterator[list[Frame]]:
        before, self.position = self.position, max(self.position, block.following)
        if block.count and block.following > before:
            yield [frame for frame in split_records(block.records) if frame.seq >= before]
