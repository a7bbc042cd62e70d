"""Milestones: the checkpoints that a replay comes past.

Responsible for finding the one before a frame and for believing it only where the segment says its
digest and was sealed by this very parser. Refuses to start from one: that is a seek.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.digest import digest_of
from recorder.capture.reader import Capture
from recorder.capture.segment import SegmentReader
from recorder.errors import Damage
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import PARSER_VERSION

NEVER = 1 << 63
WORTH = 1 << 20
"""Bytes of payloads that must wait for a checkpoint to be worth reading."""


class Milestones:
    """Lets the books of an interpreter rest on the checkpoints of a capture.

    Args:
        after: the first frame to be played.

    Attributes:
        next_seq: with this frame `pass_by` wants to be called.
    """

    def __init__(self, capture: Capture, interpreter: Interpreter, after: int) -> None:
        self._root = capture.path
        self._interpreter = interpreter
        self._sources = capture.snapshot().sealed
        self._starts = [source.first_seq for source in self._sources]
        interpreter.let_books_wait()
        self.next_seq = self._following(after)

    def _following(self, seq: int) -> int:
        at = bisect_right(self._starts, seq)
        return self._starts[at] if at < len(self._starts) else NEVER

    def pass_by(self, seq: int) -> int:
        """Take note that frame `seq` comes next; return the next `next_seq`."""
        if self._interpreter.waiting >= WORTH:
            state = self._state_before(seq)
            if state is not None:
                self._interpreter.rest_on(state)
        self.next_seq = self._following(seq)
        return self.next_seq

    def _state_before(self, seq: int) -> bytes | None:
        at = bisect_left(self._starts, seq)
        if at == len(self._starts) or self._starts[at] != seq:
            return None
        source = self._sources[at]
        try:
            reader = SegmentReader(self._root, source.path, source.segment)
            reader.close()
            state = read_checkpoint(self._root, source.segment)
        except (Damage, FileNotFoundError):
            return None  # joined, expired or damaged: nothing depends on it
        meta = reader.meta
        proven = meta.parser == str(PARSER_VERSION) and meta.checkpoint == digest_of(state)
        return state if proven else None
