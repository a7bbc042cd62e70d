"""Merge: two captures as one, every frame of both.

Responsible for the order (by the time of receipt, each capture's own order kept) and for the new
numbers of frames and connections. Refuses to choose between frames that both recorded, and to
leave a half-made capture behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

Progress = Callable[[int], None]


class MergeReport(msgspec.Struct, kw_only=True):
    """What a merge holds.

    Attributes:
        frames: in the result. sources: `{path, id, frames, connections_from}` of each.
    """

    path: str
    frames: int = 0
    segments: int = 0
    lost_rows: int = 0
    connections: int = 0
    start: int | None = None
    end: int | None = None
    input_digest: str | None = None


def merge_captures(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> MergeReport:
    """Write every frame of two captures as a new capture.

    Raises:
        NotACapture: one is none. CaptureExists: `out` is there already.
        Damage: a part cannot be read. DiskFull: no room; nothing is left behind.
    """
    raise NotImplementedError
