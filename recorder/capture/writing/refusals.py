"""What a disk that refuses means to a person: one sentence each.

Responsible for turning a failed system call of the writing side into the error to raise. Refuses to
decide whether to raise it.
"""

from __future__ import annotations

import errno
from pathlib import Path

from recorder.capture import layout
from recorder.errors import DiskFailed, DiskFull, InternalError, RecorderError, UsageError

_BROKEN = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT)
"""The medium fails, as opposed to: the place cannot be written by this user."""


def is_full(error: OSError) -> bool:
    """Tell whether the system refused for want of room."""
    return error.errno in layout.NO_ROOM


def reason_of(error: OSError) -> str:
    """Return the system's own words."""
    return error.strerror or str(error)


def full(root: Path) -> DiskFull:
    """The journal cannot grow, and the policy is to stop."""
    return DiskFull(
        f"expected room to write to {root / layout.JOURNAL_DIR}, but the disk is full; what was "
        f"written before is whole: free some space, then continue with --append"
    )


def failed(root: Path, error: OSError) -> DiskFailed:
    """Writing failed, also in new files."""
    return DiskFailed(
        f"expected to write to {root / layout.JOURNAL_DIR}, but the system said "
        f"{reason_of(error)}, also in a new file; what is durable is whole: check the disk, then "
        f"continue with --append"
    )


def not_ended(root: Path, error: OSError) -> RecorderError:
    """The last rows or the trailer could not be written."""
    kind = DiskFull if is_full(error) else DiskFailed
    return kind(
        f"expected to end the journal of {root}, but the system said {reason_of(error)}; what was "
        f"written before is whole: put that right, then run `recorder recover {root}`"
    )


def unsaved(failure: RecorderError, first_seq: int) -> RecorderError:
    """Add what is not on the disk to a failure that is told already."""
    kind = type(failure)
    return kind(f"{failure}; frames from {first_seq} on were received and are not on the disk")


def hung(root: Path, seconds: float, durable_seq: int) -> DiskFailed:
    """A system call does not return."""
    return DiskFailed(
        f"expected the disk of {root} to answer, but a write or sync has hung for {seconds:g} s; "
        f"frames after {durable_seq} may not be on it: check the disk, then continue with --append"
    )


def mistake(error: Exception) -> InternalError:
    """A thread met what nobody foresaw."""
    return InternalError(f"the journal writer stopped: {error!r}; report this")


def cannot_write(path: Path, error: OSError) -> DiskFull | DiskFailed | UsageError:
    """A capture could not be made or opened at the place that somebody chose."""
    if is_full(error):
        return DiskFull(
            f"expected room for a capture at {path}, but the disk is full; free some space, or "
            f"choose another disk"
        )
    if error.errno in _BROKEN:
        return DiskFailed(
            f"expected to write a capture at {path}, but its disk fails ({reason_of(error)}); "
            f"check the disk, or choose another one"
        )
    return UsageError(
        f"expected to write a capture at {path}, but the system said {reason_of(error)}; "
        f"choose a place that can be written"
    )
