"""Slice: a part of a capture as a capture of its own, whose books are right from its first frame.

Responsible for choosing the frames, for the checkpoint they start from and for proving the result
by reading it back. Refuses to leave a half-made slice behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import msgspec

Progress = Callable[[int], None]


class SliceReport(msgspec.Struct, kw_only=True):
    """What a slice holds.

    Attributes:
        frames: in the slice. first_seq, last_seq: of these, in the numbers of the source.
        renumbered: frames were left out by channel or instrument, so the rest is counted anew.
        input_digest: of the slice; problems: parts of the source that could not be read.
    """

    path: str
    source: str
    frames: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    start: int | None = None
    end: int | None = None
    segments: int = 0
    lost_rows: int = 0
    renumbered: bool = False
    input_digest: str | None = None


def slice_capture(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    start: int | None = None,
    end: int | None = None,
    first_seq: int | None = None,
    last_seq: int | None = None,
    channels: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> SliceReport:
    """Write a part of `source` as a new capture.

    Args:
        start, end: `ts_recv`, ns: one contiguous interval, as for every reader.
        channels, instruments: frames that name another one are left out; frames that name none
            (connections, requests, answers, losses) stay.
        progress: called with the number of frames written so far.

    Raises:
        NotACapture: `source` is none. CaptureExists: `out` is there already.
        Damage: a part of the window cannot be read. DiskFull: no room; nothing is left behind.
    """
    raise NotImplementedError
