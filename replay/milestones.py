"""Milestones: the checkpoints that a replay comes past.

Responsible for finding the one before a frame and for believing it only where the metadata of its
segment says its digest and that this very parser made it. Refuses to start from one: that is a
seek (`Capture.interpreter_before`).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.digest import digest_of
from recorder.capture.footer import read_meta
from recorder.capture.reader import Capture
from recorder.capture.segment import SegmentMeta
from recorder.capture.snapshot import SealedSource
from recorder.errors import Damage
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import PARSER_VERSION

NEVER = 1 << 63
WORTH = 1 << 20
"""Bytes of payloads that must wait for a checkpoint to be worth reading."""


class _Point(NamedTuple):
    segment: int
    inside: int | None
    digest: str


class Milestones:
    """Lets the books of an interpreter rest on the checkpoints of a capture.

    Args:
        after: the first frame to be played.

    Attributes:
        next_seq: before this frame `pass_by` wants to be called.
    """

    def __init__(self, capture: Capture, interpreter: Interpreter, after: int) -> None:
        self._root = capture.path
        self._interpreter = interpreter
        self._sources = capture.snapshot().sealed
        self._starts = [source.first_seq for source in self._sources]
        self._source: SealedSource | None = None
        self._points: dict[int, _Point] = {}
        interpreter.let_books_wait()
        self.next_seq = after + 1

    def pass_by(self, seq: int) -> int:
        """Take note that frame `seq` comes next; return the next `next_seq`."""
        at = bisect_right(self._starts, seq) - 1
        if at >= 0:
            self._enter(self._sources[at])
        if self._interpreter.waiting >= WORTH and (state := self._state_before(seq)) is not None:
            self._interpreter.rest_on(state)
        following = self._starts[at + 1] if at + 1 < len(self._starts) else NEVER
        self.next_seq = min((point for point in self._points if point > seq), default=following)
        return self.next_seq

    def _enter(self, source: SealedSource) -> None:
        """Learn which checkpoints a sealed file has."""
        if source is self._source:
            return
        self._source, self._points = source, {}
        try:
            meta = read_meta(self._root, source.path, source.segment)
        except (Damage, FileNotFoundError):
            return  # joined, expired or damaged: nothing depends on it
        if meta.parser == str(PARSER_VERSION):
            self._points = _points_of(meta)

    def _state_before(self, seq: int) -> bytes | None:
        point = self._points.get(seq)
        if point is None:
            return None
        try:
            state = read_checkpoint(self._root, point.segment, point.inside)
        except (Damage, FileNotFoundError):
            return None
        return state if digest_of(state) == point.digest else None


def _points_of(meta: SegmentMeta) -> dict[int, _Point]:
    """Return what has a checkpoint: the file's beginning, joined segments, frames inside."""
    points = {meta.first_seq: _Point(meta.segment, None, meta.checkpoint)}
    for part in meta.joined or ():
        if part.has_checkpoint:
            points[part.first_seq] = _Point(part.segment, None, part.checkpoint)
    for one in meta.inner_checkpoints or ():
        points[one.seq] = _Point(one.segment, one.seq, one.digest)
    return points
