"""Nowhere: a sink of frames that keeps none, for what is only listened to.

Responsible for the numbers that frames get. Refuses to store anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from recorder.capture.digest import EventDigest
from recorder.capture.writer import CloseReport
from recorder.frame import Frame


class Nowhere:
    """Counts the frames of a client that records nothing.

    Args:
        is_behind: says that sockets should leave bytes in the kernel for a while.
    """

    def __init__(self, is_behind: Callable[[], bool] = lambda: False) -> None:
        self.next_seq = self.next_connection = 0
        self._is_behind = is_behind
        self._count = 0

    @property
    def congested(self) -> bool:
        """Whether a consumer that must miss nothing is behind."""
        return self._is_behind()

    def write(self, frames: Sequence[Frame]) -> None:
        """Count frames."""
        self._count += len(frames)

    def close(self, *, event_digest: EventDigest | None = None) -> CloseReport:
        """Say how much has passed; there is nothing to close."""
        last = self._count - 1 if self._count else None
        return CloseReport(
            frames=self._count,
            first_seq=0 if self._count else None,
            last_seq=last,
            segments=0,
        )
