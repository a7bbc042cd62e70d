"""Where things lie in a capture directory: names, `capture.json`, LOCK, durable small files.

Responsible for every path and file name (docs/format.md, "Directory"), for the lock, and for
writing a small file so that it is either the old one or the new one. Refuses to know what is
inside a journal or a segment.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture.place import Place, Remote, names_in
from recorder.clock import utc_date
from recorder.errors import Damage, NotACapture, UsageError

FORMAT = 1
CAPTURE_FILE = "capture.json"
EXPIRED_FILE = "expired.json"
LOCK_FILE = "LOCK"
STATUS_FILE = "status.json"
JOURNAL_DIR = "journal"
FRAMES_DIR = "frames"
CHECKPOINT_DIR = "checkpoints"
QUARANTINE_DIR = "quarantine"
COMPACT_DIR = "compact"
UNFINISHED = ".tmp"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
REPRODUCIBLE_ID = "0" * 16

LOCK_PATIENCE_S = 5.0
"""How long a writer waits for LOCK: the sealer of a killed recorder needs a moment to notice."""

_JOURNAL_NAME = re.compile(r"(\d{6,9})\.wal")
_SEALED_NAME = re.compile(r"(\d{6,9})-(\d+)-(\d+)-([0-9a-f]{16})\.parquet")
_CHECKPOINT_NAME = re.compile(r"(\d{6,9})\.zst")
_INSIDE_NAME = re.compile(r"(\d{6,9})-(\d+)\.zst")


class CaptureHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `capture.json`.

    Attributes:
        first_seq: number that a slice begins with; left out where it is 0.
        origin: what a slice or a merge was made from; left out where frames were recorded.
    """

    format: int
    id: str
    venue: str
    note: str | None = None
    host: dict[str, Any] | None = None
    first_seq: int | msgspec.UnsetType = msgspec.UNSET
    origin: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


msgspec.json.Decoder(CaptureHeader)  # not at the first use: two threads at once would crash


class SealedName(msgspec.Struct, frozen=True):
    """What the name of a sealed segment says.

    Attributes:
        path: relative to the capture.
        first_seq, last_seq: inclusive; hash16: first 16 hex digits of the file's BLAKE2b.
    """

    path: str
    segment: int
    first_seq: int
    last_seq: int
    hash16: str


def journal_path(root: Path, segment: int) -> Path:
    """Return the path of a journal segment."""
    return root / JOURNAL_DIR / f"{segment:06d}.wal"


def checkpoint_path(root: Path, segment: int, inside: int | None = None) -> Path:
    """Return the path of the checkpoint before a segment, or before frame `inside` of it."""
    return root / checkpoint_file(segment, inside)


def checkpoint_file(segment: int, inside: int | None = None) -> str:
    """Return the same relative to the capture."""
    return f"{CHECKPOINT_DIR}/{segment:06d}{'' if inside is None else f'-{inside}'}.zst"


def sealed_name(segment: int, first_seq: int, last_seq: int, start: int, hash16: str) -> SealedName:
    """Return the name of a sealed segment; `start` is the first frame's `ts_recv`, ns."""
    path = (
        f"{FRAMES_DIR}/date={utc_date(start)}/{segment:06d}-{first_seq}-{last_seq}-{hash16}.parquet"
    )
    return SealedName(path, segment, first_seq, last_seq, hash16)


def list_journals(root: Place) -> list[int]:
    """Return the numbers of the journal segments present, ascending."""
    return _numbers(root / JOURNAL_DIR, _JOURNAL_NAME)


def list_checkpoints(root: Place) -> list[int]:
    """Return the numbers of the segments that have a checkpoint, ascending."""
    return _numbers(root / CHECKPOINT_DIR, _CHECKPOINT_NAME)


def list_checkpoints_inside(root: Place) -> list[tuple[int, int]]:
    """Return (segment, seq) of every checkpoint inside a segment, ascending."""
    found = _matches(root / CHECKPOINT_DIR, _INSIDE_NAME)
    return sorted((int(match.group(1)), int(match.group(2))) for match in found)


def all_checkpoints(root: Path) -> list[tuple[int, Path]]:
    """Return segment and path of every checkpoint, of those inside segments, too."""
    before = [(n, checkpoint_path(root, n)) for n in list_checkpoints(root)]
    inside = [(n, checkpoint_path(root, n, seq)) for n, seq in list_checkpoints_inside(root)]
    return before + inside


def _numbers(folder: Place, pattern: re.Pattern[str]) -> list[int]:
    return sorted(int(match.group(1)) for match in _matches(folder, pattern))


def _matches(folder: Place, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    try:
        names = names_in(folder)
    except FileNotFoundError:
        return []
    return [match for name in names if (match := pattern.fullmatch(name))]


def list_sealed(root: Place) -> list[SealedName]:
    """Return the sealed segments, by segment and first seq; superseded files are left out.

    A file whose seq range lies inside another's is superseded: its frames were joined into that
    one (`compact`). Of two with one range, left by a crash, the name that sorts first counts.
    """
    current, _ = resolve(list_all_sealed(root))
    return current


def resolve(names: list[SealedName]) -> tuple[list[SealedName], list[SealedName]]:
    """Return the files that count, by segment and first seq, and those they supersede."""
    current: list[SealedName] = []
    superseded: list[SealedName] = []
    reached = -1
    for name in sorted(names, key=lambda s: (s.first_seq, -s.last_seq, s.path)):
        if name.last_seq > reached:
            current.append(name)
            reached = name.last_seq
        else:
            superseded.append(name)
    return sorted(current, key=lambda s: (s.segment, s.first_seq)), superseded


def list_all_sealed(root: Place) -> list[SealedName]:
    """Return every sealed file there is, in no particular order."""
    found = []
    for day in list_days(root):
        try:
            names = names_in(root / FRAMES_DIR / day)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            if match := _SEALED_NAME.fullmatch(name):
                segment, first, last, hash16 = match.groups()
                path = f"{FRAMES_DIR}/{day}/{name}"
                found.append(SealedName(path, int(segment), int(first), int(last), hash16))
    return found


def list_days(root: Place) -> list[str]:
    """Return the names of the folders that hold sealed segments, `date=…`."""
    try:
        return sorted(day for day in names_in(root / FRAMES_DIR) if day.startswith("date="))
    except FileNotFoundError:
        return []


def list_unfinished(root: Path) -> list[Path]:
    """Return files that a killed writer or sealer left unfinished."""
    folders = [root / name for name in (JOURNAL_DIR, FRAMES_DIR, CHECKPOINT_DIR)]
    places = [root, *folders, *(root / FRAMES_DIR).glob("date=*")]
    return sorted(p for place in places for p in place.glob(f"*{UNFINISHED}"))


def read_header(root: Place) -> CaptureHeader:
    """Read `capture.json`.

    Raises:
        NotACapture: there is none. UsageError: it is of a newer format.
        Damage: it cannot be read.
    """
    path = root / CAPTURE_FILE
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = "a directory without it" if root.is_dir() else "nothing"
        if root.exists() and not root.is_dir():
            what = "a file"
        raise NotACapture(
            f"expected a capture (a directory with {CAPTURE_FILE}) at {root}, found {what}; "
            f"name the directory that was given to `recorder record` or `recorder import`"
        ) from None
    try:
        raw = msgspec.json.decode(text)
        version = raw["format"]
        if not isinstance(version, int) or version > FORMAT:
            raise UsageError(
                f"expected a capture of format {FORMAT} or older at {root}, found format "
                f"{version}; read it with a newer release of this package"
            )
        return msgspec.convert(raw, CaptureHeader)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise Damage(
            f"expected {CAPTURE_FILE} as written by the recorder in {root}, but {error}; "
            f"restore the file (format, id, venue) from a copy",
            file=CAPTURE_FILE,
            cause="capture.json cannot be read",
        ) from error


def write_once(path: Path, content: bytes, *, mode: int) -> None:
    """Put a file that must not exist yet at `path`, whole and durable or not at all.

    The caller holds LOCK, so nobody can create the file between the look and the rename.

    Raises:
        FileExistsError: it exists.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    replace_file(path, content, mode=mode)


def write_all(fd: int, content: bytes) -> None:
    """Write everything, however short the single writes are."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def replace_file(path: Path, content: bytes, *, mode: int, durable: bool = True) -> None:
    """Put `content` at `path` atomically: a reader sees the old file or the new one."""
    temporary = path.with_name(path.name + UNFINISHED)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        write_all(fd, content)
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    if durable:
        fsync_directory(path.parent)


def fsync_file(path: Path) -> None:
    """Make the content of a file durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fsync_file(path)


def file_mode(root: Place) -> int:
    """Return the mode for files of this capture: 0600 where the directory is private."""
    if isinstance(root, Remote):  # who may read it there, a mode cannot say: be careful
        return 0o600
    return 0o644 if root.stat().st_mode & 0o077 else 0o600


def acquire_lock(root: Path, *, patience_s: float = LOCK_PATIENCE_S) -> int:
    """Take LOCK for writing; return its descriptor, which holds the lock until all copies close.

    Raises:
        UsageError: another process holds it.
    """
    fd = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, file_mode(root))
    waited = 0.0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if waited >= patience_s:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise UsageError(
                    f"expected {root} to be free, but its LOCK is held (process {holder}): a "
                    f"recorder is writing it; stop that one, or record into another directory"
                ) from None
        time.sleep(0.05)
        waited += 0.05
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def is_locked(root: Place) -> bool:
    """Tell whether a writer holds LOCK now; nobody records into a store."""
    if isinstance(root, Remote):
        return False
    try:
        fd = os.open(root / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks has no live writer of ours
    finally:
        os.close(fd)
    return False


@contextmanager
def locked(root: Path) -> Iterator[int]:
    """Hold LOCK for a block of code."""
    fd = acquire_lock(root)
    try:
        yield fd
    finally:
        os.close(fd)


def make_directories(root: Path, *, private: bool) -> None:
    """Create the capture directory and the folders in it."""
    mode = 0o700 if private else 0o755
    root.mkdir(mode=mode, parents=True, exist_ok=True)
    if private:
        root.chmod(mode)
    for name in (JOURNAL_DIR, FRAMES_DIR, CHECKPOINT_DIR):
        (root / name).mkdir(mode=mode, exist_ok=True)
    with suppress(OSError):
        fsync_directory(root.parent)
    fsync_directory(root)
