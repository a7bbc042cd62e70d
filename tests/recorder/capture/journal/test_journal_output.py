"""A journal file that the system stops in the middle of a write."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.journal import Block, End, JournalHeader
from recorder.capture.journal.file import JournalFile
from recorder.capture.journal.output import JournalOutput
from recorder.capture.journal.roll import Roller
from recorder.capture.journal.room import Disk

CAPTURE = "0" * 16


class FullOnce(Disk):
    """Takes a part of the second write of blocks, then says that there is no room."""

    def __init__(self) -> None:
        self._writes = 0

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        self._writes += 1
        if self._writes == 3:
            return super().writev(fd, [b"".join(buffers)[:100]])
        if self._writes == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().writev(fd, buffers)


def test_what_follows_a_short_write_follows_the_last_whole_block(
    tmp_path: Path, make_frames: Any
) -> None:
    """The file is cut back to its last block; the trailer then stands there, not behind zeros."""
    (tmp_path / "journal").mkdir()
    frames = make_frames(60)
    output = JournalOutput(tmp_path, JournalHeader(CAPTURE, 0, 0), FullOnce(), mode=0o644)
    roller = Roller(segment_ns=10**12, segment_bytes=1 << 30)
    first, second = (next(iter(roller.cut(part, print))) for part in (frames[:30], frames[30:]))
    output.add(first)
    output.flush()
    output.add(second)
    with pytest.raises(OSError, match="No space"):
        output.flush()
    output.end("roll", None)
    output.close()
    with JournalFile(tmp_path, 0, capture_id=CAPTURE) as journal:
        block, end = journal.parts()
    assert isinstance(block, Block)
    assert isinstance(end, End)
    assert (block.first_seq, block.count, end.trailer.count) == (0, 30, 30)
