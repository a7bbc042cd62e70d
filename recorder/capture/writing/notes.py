"""Notes: what happened to the disk, a sentence each, for people.

Responsible for gathering them from the threads that make them, and for keeping the latest of many.
Refuses to print, and to be the record: losses are rows of the capture.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

_SHOWN = 10
_KEPT = 100
"""For whoever takes them, and may never come."""


class Notes:
    """The sentences of several sources; any thread may call.

    Args:
        sources: each gives what is new since it was called last.
        told: what there was before them.
    """

    def __init__(self, *sources: Callable[[], Sequence[str]], told: Sequence[str] = ()) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._latest: deque[str] = deque(told, maxlen=_SHOWN)
        self._untold: deque[str] = deque(told, maxlen=_KEPT)

    def latest(self) -> list[str]:
        """Return the latest ones, taken or not."""
        with self._lock:
            self._gather()
            return list(self._latest)

    def take(self) -> list[str]:
        """Return those since the last call, in order."""
        with self._lock:
            self._gather()
            told = list(self._untold)
            self._untold.clear()
        return told

    def _gather(self) -> None:
        for source in self._sources:
            fresh = source()
            self._latest += fresh
            self._untold += fresh
