"""Compaction: join sealed segments into files of up to an hour, and change nothing they say.

Responsible for which neighbours are joined, for writing, re-reading and committing the joined
file. Refuses to touch journals, to cross a hole, a UTC date or a parser version, and to remove an
original before the joined file has been read back.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

Progress = Callable[[int], None]


class CompactReport(msgspec.Struct, kw_only=True):
    """What compaction did.

    Attributes:
        joined: files made; segments: sealed segments that are in them now.
        frames: in the joined files. bytes_before, bytes_after: of the files.
        removed: originals deleted; waiting: those still there (in use, or listed a moment ago).
    """

    joined: int = 0
    segments: int = 0
    frames: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    removed: int = 0
    waiting: int = 0


def compact(
    path: str | os.PathLike[str],
    *,
    clock: Callable[[], int],
    sleep: Callable[[float], None],
    span_s: float = 3600.0,
    level: int = 9,
    grace_s: float = 60.0,
    wait: bool = True,
    progress: Progress | None = None,
) -> CompactReport:
    """Join sealed segments; the capture may be live.

    Args:
        clock: wall clock, ns (`time.time_ns`). sleep: seconds (`time.sleep`).
        span_s: data time a joined file holds at most.
        level: zstd level of the payloads.
        grace_s: how long originals stay after the joined file replaced them.
        wait: stay until the originals can be removed; else the next compaction or a recorder
            with retention removes them.
        progress: called with the number of frames joined so far.

    Raises:
        NotACapture: there is none. UsageError: another compaction is at work.
        Damage: a segment cannot be read. DiskFull: no room; nothing has changed.
    """
    raise NotImplementedError
