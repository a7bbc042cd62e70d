"""Room on the disk: the system calls a journal is made of, how much is left, and a reserve.

Responsible for every system call of the writing side (so that a test can make one fail), for
telling when the disk counts as full, and for the reserve file that makes the last words fit.
Refuses to decide what to do about a full disk: `appender` does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from recorder.capture import layout

RESERVE_BYTES = 4 << 20
"""Enough for a `lost` row, a trailer and a checkpoint of some hundred books."""
RESERVE_FILE = f"reserve{layout.UNFINISHED}"
RESUME_BYTES = 1 << 20
"""Room beside the reserve and the frames in hand that makes a new segment worth beginning."""


MARK_BYTES = 64 << 10
"""A mark of retention and the folder entries around it, many times over."""


def lend_reserve(root: Path, wanted: int = MARK_BYTES) -> bool:
    """Make room for a file of `wanted` bytes at the cost of the reserve, as far as it goes.

    On a disk with nothing left, letting old segments go and sealing need some room first.

    Returns:
        Whether there was any.
    """
    with suppress(OSError):
        size = (root / RESERVE_FILE).stat().st_size
        os.truncate(root / RESERVE_FILE, max(size - wanted, 0))
        return size > 0
    return False


def refill_reserve(root: Path) -> None:
    """Give the reserve back what it lent, if there is room now."""
    with suppress(OSError):
        fd = os.open(root / RESERVE_FILE, os.O_WRONLY | os.O_CLOEXEC)  # never one that is gone
        try:
            if os.fstat(fd).st_size < RESERVE_BYTES:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
        finally:
            os.close(fd)


class Disk:
    """The system calls of the writing side; each raises OSError as the system does."""

    def create(self, path: Path, mode: int) -> int:
        """Create a file that must not exist; return its descriptor.

        Writes go to its end, wherever that is: a file that was cut back after a short write must
        not go on behind a hole.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, mode)

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        """Append buffers; return how many bytes went out, maybe fewer."""
        return os.writev(fd, buffers)

    def fdatasync(self, fd: int) -> None:
        """Make the content of a file durable."""
        os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        layout.fsync_directory(path)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its final name."""
        old.rename(new)

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        path.unlink()

    def close(self, fd: int) -> None:
        """Close a descriptor; a file system behind a network may fail even that."""
        os.close(fd)

    def allocate(self, fd: int, size: int) -> None:
        """Give a file real room."""
        os.posix_fallocate(fd, 0, size)

    def free_bytes(self, path: Path) -> int:
        """Return what an ordinary user may still write to the disk of a directory."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize


class Room:
    """What is left on the disk of a capture.

    Args:
        keep_free: bytes that must stay free for others: below that the disk counts as full.
    """

    def __init__(self, root: Path, disk: Disk, *, keep_free: int) -> None:
        self._root = root
        self._disk = disk
        self._keep_free = keep_free
        self._reserve = root / RESERVE_FILE
        self._mode = layout.file_mode(root)
        self._has_reserve = False

    def require(self) -> None:
        """Make sure that the disk does not count as full.

        Raises:
            OSError: ENOSPC, as from a write.
        """
        if self._keep_free and self._disk.free_bytes(self._root) < self._keep_free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._root))

    def has_returned(self, waiting: int) -> bool:
        """Tell whether there is room again for `waiting` bytes and what goes with them."""
        wanted = self.shortage(waiting)
        return wanted == 0

    def shortage(self, waiting: int) -> int:
        """Return how many bytes are missing to go on with `waiting` bytes in hand."""
        wanted = self._keep_free + waiting + RESUME_BYTES
        if not self._has_reserve:
            wanted += RESERVE_BYTES
        try:
            return max(wanted - self._disk.free_bytes(self._root), 0)
        except OSError:
            return wanted

    def take_reserve(self) -> None:
        """Allocate the reserve file.

        Raises:
            OSError: there is no room for it.
        """
        if self._has_reserve:
            return
        with suppress(FileNotFoundError):
            self._disk.unlink(self._reserve)
        fd = self._disk.create(self._reserve, self._mode)
        try:
            self._disk.allocate(fd, RESERVE_BYTES)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                self._disk.unlink(self._reserve)
                raise
        finally:
            os.close(fd)
        self._has_reserve = True

    def release_reserve(self) -> None:
        """Give the reserve's room back to whoever writes next."""
        self._has_reserve = False
        with suppress(OSError):
            self._disk.unlink(self._reserve)
