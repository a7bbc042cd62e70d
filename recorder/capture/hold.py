"""Hold: files that somebody reads are not deleted.

Responsible for the shared locks of readers (on a sealed file while it is open, on the capture for
a connection that opens files itself, as DuckDB does) and for the exclusive ones of whoever deletes.
Refuses to wait for a reader: a file that is held is left for later.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from recorder.capture import layout
from recorder.errors import UsageError

if TYPE_CHECKING:
    from recorder.capture.reader import Capture
    from recorder.capture.snapshot import Snapshot


def hold_file(path: Path) -> int:
    """Open a sealed file and hold it; return the descriptor, which holds it until closed.

    Raises:
        FileNotFoundError: it is gone, or being deleted in this moment.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise FileNotFoundError(str(path)) from None
    except OSError:
        pass  # a file system without locks: the grace of whoever deletes must do
    return fd


class Hold:
    """A shared lock on a whole capture: none of its files is deleted until it is closed.

    One descriptor, however many segments: DuckDB opens files by itself whenever a query needs
    them, and what is a journal now may be sealed, joined and expired before it does.
    """

    def __init__(self, root: Path) -> None:
        self._fd = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_SH)  # whoever deletes holds it for one unlink

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def hold_snapshot(capture: Capture) -> tuple[Snapshot, Hold]:
    """Return a snapshot and the hold on its files: they were there when the hold was taken."""
    hold = Hold(capture.path)
    return capture.snapshot(), hold


def remove_unheld(root: Path, path: str, *more: Path) -> bool:
    """Delete a sealed file, and `more` that belongs to it, unless somebody holds it.

    Returns:
        Whether it is gone. False leaves everything as it was.
    """
    file = root / path
    locks: list[int] = []
    try:
        for place in (root, file):
            fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
            locks.append(fd)
            with suppress_unsupported():
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for other in (*more, file):  # the file last: while it is there, this is tried again
            other.unlink(missing_ok=True)
        layout.fsync_directory(file.parent)
    except FileNotFoundError:
        for other in more:  # deleted before, and then killed
            other.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        for fd in locks:
            os.close(fd)
    return True


@contextmanager
def suppress_unsupported() -> Iterator[None]:
    """Pass over a file system without locks, but not over a lock that somebody holds."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError:
        pass


@contextmanager
def only_one(folder: Path, what: str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a folder exclusively, so that two processes do not do the same work at once.

    Args:
        what: of the sentence, e.g. `compaction`. patience_s: how long to wait for the other one.

    Raises:
        UsageError: another process holds it.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        waited = 0.0
        while True:
            try:
                with suppress_unsupported():
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited >= patience_s:
                    raise UsageError(
                        f"expected no other {what} of {folder.parent}, but one is at work; try "
                        f"again when it is done"
                    ) from None
            time.sleep(0.02)
            waited += 0.02
        yield
    finally:
        os.close(fd)
