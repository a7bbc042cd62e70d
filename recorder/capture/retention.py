"""Retention: let the oldest sealed segments of a capture go, declared, and never one in use.

Responsible for which segments may go (sealed, hashed, and the next one can start from its own
checkpoint), for the mark that says so before anything is deleted, and for deleting what is no
longer listed. Refuses to delete a file that a reader holds open, or that does not have the hash
in its name, and to read a clock.
"""

from __future__ import annotations

import os

import msgspec

GRACE_S = 60.0
"""How long a file stays after it is no longer listed: a reader may have listed it before."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed segment that is gone for every reader; its file goes after the grace.

    Attributes:
        path: relative to the capture. bytes: of the file and its checkpoint.
    """

    path: str
    segment: int
    first_seq: int
    last_seq: int
    bytes: int


def expire(
    root: str | os.PathLike[str],
    *,
    days: float | None = None,
    max_bytes: int | None = None,
    now_ns: int,
    grace_s: float = GRACE_S,
) -> list[Removed]:
    """Let segments go that are older than `days`, or that exceed `max_bytes`, oldest first.

    Args:
        days: by the `ts_recv` of a segment's frames; None: no limit.
        max_bytes: for sealed segments, checkpoints and journals together; None: no limit.
        now_ns: wall clock, ns.
        grace_s: how long files stay that are no longer listed.
    """
    raise NotImplementedError


def expire_oldest(
    root: str | os.PathLike[str], bytes_needed: int, *, now_ns: int, grace_s: float = 0.0
) -> list[Removed]:
    """Let the oldest segments go until `bytes_needed` are free, at once (a disk is full)."""
    raise NotImplementedError
