"""Hold: files that somebody reads are not deleted.

Responsible for the shared locks of readers (on a sealed file while it is open, and on files that
are still to be read, or that DuckDB opens by itself) and for the exclusive ones of whoever deletes.
Refuses to wait for a reader: a file that is held is left for later; and to let a reader that does
nothing hold files for ever.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from recorder.capture import layout
from recorder.capture.place import Place, Remote
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


LAPSE_S = 600.0
"""A hold on files to be read lapses after so long without use (at the latest after twice that)."""
AHEAD = 64
"""How many files in front of it a reader holds."""

_OFD_SETLK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
_FLOCK = struct.Struct("hhqqi4x")


_SEQ_AT = 1 << 61
"""Bytes from here on stand for numbers of frames: for files that have no name yet."""


def _lock(fd: int, kind: int, offset: int, length: int = 1) -> bool:
    """Lock (or unlock) bytes far behind the end of `capture.json`; length 0: all from there on.

    The lock belongs to the open descriptor, not to the process (Linux, "open file description
    locks").

    Returns:
        Whether the file system has such locks.

    Raises:
        BlockingIOError: somebody else has it.
    """
    if _OFD_SETLK is None:
        return False
    try:
        fcntl.fcntl(fd, _OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, offset, length, 0))
    except BlockingIOError:
        raise
    except PermissionError as error:  # what POSIX also allows for "somebody has it"
        raise BlockingIOError(*error.args) from error
    except OSError:
        return False
    return True


def _offset_of(path: str) -> int:
    """Return the byte that stands for a sealed file: the first 15 digits of its name's hash."""
    return int(path.rpartition("-")[2].partition(".")[0][:15], 16)


class Hold:
    """Shared locks on sealed files: none of them is deleted until this is closed or has lapsed.

    One descriptor, however many files. A file system without locks on names is held as a whole;
    in an object store nothing is: whoever removes files there is not of this project.

    Args:
        paths: of sealed files, relative to the capture.
        from_seq: also all that hold this number or a later one, whatever they will be called.
        lapse_s: without `renew` for so long (at most twice that) everything is let go; None: never.
    """

    def __init__(
        self,
        root: Place,
        paths: Iterable[str] = (),
        *,
        from_seq: int | None = None,
        lapse_s: float | None = None,
    ) -> None:
        self._root = root
        self._from_seq = from_seq
        self._lapse_s = lapse_s
        self._paths = dict.fromkeys(paths)
        self._fds: list[int] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_used = self._is_closed = False
        self._take()

    def _take(self) -> None:
        if isinstance(self._root, Remote):
            return
        self._fds.append(os.open(self._root / layout.CAPTURE_FILE, os.O_RDONLY | os.O_CLOEXEC))
        for path in self._paths:
            self._lock_bytes(_offset_of(path))
        if self._from_seq is not None:
            self._lock_bytes(_SEQ_AT + self._from_seq, 0)
        if self._lapse_s is not None:
            self._is_used = False
            self._arm(self._lapse_s)

    def _arm(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, _lapse, (weakref.ref(self),))
        self._timer.daemon = True
        self._timer.start()

    def _lock_bytes(self, offset: int, length: int = 1) -> None:
        with suppress(BlockingIOError):  # it is being deleted: whoever opens it finds it gone
            if _lock(self._fds[0], fcntl.F_RDLCK, offset, length) or len(self._fds) > 1:
                return
            self._fds.append(os.open(str(self._root), os.O_RDONLY | os.O_CLOEXEC))
            with suppress(OSError):
                fcntl.flock(self._fds[1], fcntl.LOCK_SH)

    def renew(self) -> bool:
        """Go on holding; take again what has lapsed. Returns whether it had."""
        with self._lock:
            self._is_used = True
            if self._fds or self._is_closed or isinstance(self._root, Remote):
                return False
            self._take()
            return True

    def move(self, gone: Iterable[str], more: Iterable[str]) -> None:
        """Let go of some files and hold others."""
        self.renew()
        with self._lock:
            for path in gone:
                self._paths.pop(path, None)
                if self._fds:
                    with suppress(BlockingIOError):
                        _lock(self._fds[0], fcntl.F_UNLCK, _offset_of(path))
            for path in more:
                self._paths[path] = None
                if self._fds:
                    self._lock_bytes(_offset_of(path))

    def lapse(self) -> None:
        """Let go, unless it was used since the last look."""
        with self._lock:
            if self._is_used and not self._is_closed and self._lapse_s is not None:
                self._is_used = False
                self._arm(self._lapse_s)
            else:
                self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._fds:
            os.close(self._fds.pop())

    def close(self) -> None:
        """Let go for good."""
        with self._lock:
            self._is_closed = True
            self._let_go()

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


def _lapse(hold: weakref.ref[Hold]) -> None:
    if (alive := hold()) is not None:
        alive.lapse()


class ReadAhead:
    """Holds the next files that a reader comes to, as long as it goes on reading.

    So retention does not overtake it at once: it waits for the files in front of a slow reader,
    and for no others.
    """

    def __init__(self, root: Place, paths: Sequence[str]) -> None:
        self._root = root
        self._paths = paths
        self._held = range(0)
        self._hold: Hold | None = None

    def reach(self, position: int) -> None:
        """The reader is at a file now."""
        wanted = range(position, min(position + AHEAD, len(self._paths)))
        if self._hold is None:
            if len(wanted) < 2 or isinstance(self._root, Remote):
                return  # that one is open
            self._hold = Hold(self._root, lapse_s=LAPSE_S)
        self._hold.move(
            [self._paths[n] for n in self._held if n not in wanted],
            [self._paths[n] for n in wanted if n not in self._held],
        )
        self._held = wanted

    def close(self) -> None:
        """Let go."""
        if self._hold is not None:
            self._hold.close()


def hold_snapshot(capture: Capture, *, lapse_s: float | None = None) -> tuple[Snapshot, Hold]:
    """Return a snapshot and the hold on its files: all of them are there.

    What is a journal in it may be sealed, joined and expired before it is read: it is held by its
    numbers.
    """
    if isinstance(capture.path, Remote):
        return capture.snapshot(), Hold(capture.path)
    fd = os.open(capture.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH)  # whoever deletes holds it for one unlink
        snapshot = capture.snapshot()
        paths = [source.path for source in snapshot.sealed]
        last_seq = max((s.last_seq for s in snapshot.sealed), default=snapshot.first_seq - 1)
        from_seq = last_seq + 1 if snapshot.journals else None
        return snapshot, Hold(capture.path, paths, from_seq=from_seq, lapse_s=lapse_s)
    finally:
        os.close(fd)


def remove_unheld(root: Path, path: str, *more: Path, is_urgent: bool = False) -> bool:
    """Delete a sealed file, and `more` that belongs to it, unless somebody holds it.

    Args:
        is_urgent: it goes although somebody is still to read it; not while it is open.

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
        if not is_urgent:
            with suppress(PermissionError):
                locks.append(os.open(root / layout.CAPTURE_FILE, os.O_RDWR | os.O_CLOEXEC))
                _lock(locks[-1], fcntl.F_WRLCK, _offset_of(path))
                first, last = map(int, path.rpartition("/")[2].split("-")[1:3])
                _lock(locks[-1], fcntl.F_WRLCK, _SEQ_AT + first, last - first + 1)
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
