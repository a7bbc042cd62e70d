"""Checkpoints inside a segment: what makes a busy minute as near as a calm one.

Responsible for writing the state before a sorted block, where the frames since the last checkpoint
are worth one. Refuses to decide by anything but the frames: the same frames, the same checkpoints.
"""

from __future__ import annotations

from pathlib import Path

from recorder.capture.checkpoint import write_checkpoint
from recorder.capture.segment import InnerCheckpoint
from recorder.okx.interpreter import Interpreter


class CheckpointsInside:
    """The checkpoints inside one segment that is being sealed.

    A state is written when at least as many bytes of payloads have come since the last one as that
    had: thousands of books do not fill the disk with states nobody asks for.

    Args:
        state_bytes: of the state before the segment, uncompressed.

    Attributes:
        written: what the metadata says of them.
    """

    def __init__(self, root: Path, segment: int, state_bytes: int) -> None:
        self._root = root
        self._segment = segment
        self._state_bytes = state_bytes
        self._at_bytes = 0
        self.written: list[InnerCheckpoint] = []

    def reach(self, seq: int, payload_bytes: int, interpreter: Interpreter) -> None:
        """Come to the block that begins with frame `seq`.

        Args:
            payload_bytes: of the segment before this frame. interpreter: as it stands there.
        """
        if payload_bytes - self._at_bytes < self._state_bytes:
            return
        state = interpreter.save()
        self._state_bytes, self._at_bytes = len(state), payload_bytes
        digest = write_checkpoint(self._root, self._segment, state, inside=seq)
        self.written.append(InnerCheckpoint(self._segment, seq, digest))
