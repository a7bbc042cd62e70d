"""Begin to write a capture: make the directory or take over the one that is there.

Responsible for refusing to write over anything, for `capture.json`, for the lock, and for where
numbers continue. Refuses to write a frame.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
from pathlib import Path

import msgspec

from recorder import __version__
from recorder.capture import layout
from recorder.capture.reader import Capture
from recorder.capture.reading.holes import missing_by_name
from recorder.capture.recover import recover_locked
from recorder.capture.vanished import declare_vanished, destroyed
from recorder.capture.writing.refusals import cannot_write
from recorder.errors import CaptureExists


class Opened(msgspec.Struct, frozen=True):
    """A capture directory whose lock this process holds.

    Attributes:
        is_new: made now; made_directory: so was its directory.
        segment, seq, connection: the next numbers.
        notes: what a person should hear about what is there already.
    """

    path: Path
    lock_fd: int
    header: layout.CaptureHeader
    is_new: bool
    made_directory: bool
    segment: int
    seq: int
    connection: int
    notes: tuple[str, ...] = ()


def open_for_writing(
    path: Path,
    *,
    append: bool,
    private: bool,
    venue: str,
    note: str | None,
    reproducible: bool,
) -> Opened:
    """Create a capture, or lock, recover and continue one.

    Raises:
        CaptureExists: something is there and `append` is false.
        NotACapture: `append` to a directory of something else.
        UsageError: it is locked, or cannot be written. DiskFull: no room. DiskFailed: the medium.
    """
    lock_fd = -1
    made_directory = not path.exists()
    notes: tuple[str, ...] = ()
    try:
        is_new = _is_new(path, append=append)
        layout.make_directories(path, private=private and is_new)
        lock_fd = layout.acquire_lock(path)
        if not is_new:
            recovered = recover_locked(path)
            header = layout.read_header(path)
            notes = _what_is_missing(path, recovered.next_seq)
            numbers = declare_vanished(path, recovered.next_numbers)
            (path / layout.STATUS_FILE).unlink(missing_ok=True)
        else:
            header = _new_header(venue=venue, note=note, reproducible=reproducible)
            numbers = (0, 0, 0)
            text = msgspec.json.format(msgspec.json.encode(header), indent=2) + b"\n"
            layout.write_once(path / layout.CAPTURE_FILE, text, mode=layout.file_mode(path))
        return Opened(path, lock_fd, header, is_new, made_directory, *numbers, notes=notes)
    except FileExistsError as error:
        _release(lock_fd)
        raise _taken(path, layout.CAPTURE_FILE) from error
    except OSError as error:
        _release(lock_fd)
        raise cannot_write(path, error) from error
    except BaseException:
        _release(lock_fd)
        raise


def _what_is_missing(root: Path, next_seq: int) -> tuple[str, ...]:
    """Return a sentence about frames that no file holds any more, none where all are there.

    A recorder goes on behind them: what comes now matters more than what is gone, and may come
    back from a copy. In the middle they stay damage for every reader, so no `lost` row is written;
    one behind them could not stand in their place.
    """
    holes = [*missing_by_name(Capture(root).snapshot())]
    if (last := destroyed(root, next_seq)) is not None:
        holes.append(last)
    if not holes:
        return ()
    more = f" (and {len(holes) - 1} more such places)" if len(holes) > 1 else ""
    if holes[0].first_seq is None or holes[0].last_seq is None:
        what = holes[0].cause
    else:
        what = f"frames {holes[0].first_seq} to {holes[0].last_seq} are in no file"
    return (
        f"expected {root} to be whole, but {what}{more}: somebody removed segments of it; the "
        f"recording goes on behind what is there; `recorder verify {root}` names every place, and "
        f"a copy can bring them back",
    )


def discard(opened: Opened) -> None:
    """Remove a capture that was made now, and its directory if that was, too."""
    for entry in os.listdir(opened.path):
        inside = opened.path / entry
        if inside.is_dir():
            shutil.rmtree(inside)
        else:
            inside.unlink()
    if opened.made_directory:
        opened.path.rmdir()


def _is_new(path: Path, *, append: bool) -> bool:
    if path.exists() and not path.is_dir():
        raise CaptureExists(
            f"expected a directory or nothing at {path}, found a file; choose another name"
        )
    if append and (path / layout.CAPTURE_FILE).exists():
        return False
    entries = (
        [name for name in sorted(os.listdir(path)) if not _is_blank(path / name)]
        if (path.is_dir())
        else []
    )
    if not entries:
        return True
    if append:
        layout.read_header(path)  # says that this is no capture
    raise _taken(path, entries[0])


def _is_blank(path: Path) -> bool:
    """Tell whether an entry is what a recorder leaves that dies before `capture.json`."""
    if path.name in (layout.LOCK_FILE, layout.CAPTURE_FILE + layout.UNFINISHED):
        return True
    folders = (layout.JOURNAL_DIR, layout.FRAMES_DIR, layout.CHECKPOINT_DIR)
    return path.name in folders and path.is_dir() and not os.listdir(path)


def _taken(path: Path, entry: str) -> CaptureExists:
    return CaptureExists(
        f"expected nothing at {path} yet, found a directory with {entry}; choose another name, "
        f"or continue a capture with `recorder record --append`"
    )


def _new_header(*, venue: str, note: str | None, reproducible: bool) -> layout.CaptureHeader:
    if reproducible:
        return layout.CaptureHeader(
            format=layout.FORMAT, id=layout.REPRODUCIBLE_ID, venue=venue, note=note
        )
    host = {
        "name": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "recorder": __version__,
    }
    return layout.CaptureHeader(
        format=layout.FORMAT, id=secrets.token_hex(8), venue=venue, note=note, host=host
    )


def _release(lock_fd: int) -> None:
    if lock_fd >= 0:
        os.close(lock_fd)
