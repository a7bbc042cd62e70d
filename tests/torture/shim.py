"""A seam between the code under torture and the system: the k-th call that changes a disk fails.

Responsible for counting the calls that `os` makes below one directory and for one fault at the
k-th of them: SIGKILL before it, SIGKILL in the middle of a write, an error, or a power cut. Runs in
a forked child that is thrown away (`zygote`). Refuses to imitate success: apart from the one fault
every call goes to the real system.

A power cut keeps what the rules of POSIX promise and no more: of a file the bytes it had at its
last fsync, of a directory the names it had at its own. What was never synced may be there in part:
a seeded choice, per file and per name.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

COUNTED = (
    "open",
    "write",
    "writev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "posix_fallocate",
)
WRITES = ("write", "writev")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens at which call.

    Attributes:
        kind: `none`, `kill`, `torn` (a part of the write, then SIGKILL), `cut` (power), `error`.
        at: number of the call, from 1. calls: names that count; None means all.
        lasting: the error comes at every later counted call, too; `spell` limits how many.
        cut_at: with `error`: the power is cut at this call; what a failed sync was to make durable
            is gone then, whatever later syncs of that file said.
        seed: for what is left of unsynced data. remains: directory that a cut leaves its disk in.
    """

    kind: str = "none"
    at: int = 0
    calls: tuple[str, ...] | None = None
    error: int = errno.EIO
    lasting: bool = False
    spell: int = 0
    cut_at: int = 0
    seed: int = 0
    remains: str = ""


class Shim:
    """Wraps the functions of `os` for everything below `root`."""

    def __init__(self, root: Path, fault: Fault, tell: Callable[[int, str], None]) -> None:
        self._root = str(root)
        self._fault = fault
        self._tell = tell
        self._lock = threading.RLock()
        self._paths: dict[int, str] = {}
        self._synced: dict[int, bytes] = {}  # inode: content at its last fsync
        self._dropped: dict[int, list[tuple[int, int]]] = {}  # inode: what a failed sync lost
        self._has_cut = fault.kind == "cut" or fault.cut_at > 0
        self._names: dict[str, dict[str, int]] = {}  # directory: names at its last fsync
        self._kept: dict[int, int] = {}  # inode: descriptor, so that no other file gets its number
        self.calls = 0
        self._real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in COUNTED}
        self._close = os.close

    def install(self) -> None:
        """Put the wrappers in place; what is there already is durable."""
        for folder, _, files in os.walk(self._root):
            self._note_names(folder)
            for name in files:
                self._note_content(os.path.join(folder, name))
        for name in COUNTED:
            setattr(os, name, self._wrap(name))

        def close(fd: int) -> None:
            self._paths.pop(fd, None)
            self._close(fd)

        os.close = close

    def _wrap(self, name: str) -> Callable[..., Any]:
        real, fault = self._real[name], self._fault

        def call(*args: Any, **kwargs: Any) -> Any:
            path = self._path_of(args[0])
            if path is None or (name == "open" and not args[1] & (os.O_CREAT | os.O_WRONLY)):
                result = real(*args, **kwargs)
                if name == "open" and path is not None:
                    self._paths[result] = path
                return result
            with self._lock:
                if fault.calls is None or name in fault.calls:
                    self.calls += 1
                    self._tell(self.calls, f"{name} {path[len(self._root) :]}")
                    if self.calls == fault.at:
                        self._strike(name, args)
                    if self.calls == fault.cut_at:
                        self._cut()
                    if self._has_error():
                        self._drop(name, path)
                        raise OSError(fault.error, os.strerror(fault.error), path)
                result = real(*args, **kwargs)
                renamed = os.path.abspath(args[1]) if name in ("rename", "replace") else path
                self._note(name, path, result, renamed)
            return result

        return call

    def _has_error(self) -> bool:
        fault = self._fault
        if fault.kind != "error" or self.calls < fault.at:
            return False
        return self.calls == fault.at or (
            fault.lasting and (not fault.spell or self.calls < fault.at + fault.spell)
        )

    def _path_of(self, target: Any) -> str | None:
        if isinstance(target, int):
            return self._paths.get(target)
        path = os.path.abspath(os.fspath(target))
        return path if path.startswith(self._root) else None

    def _note(self, name: str, path: str, result: Any, target: str) -> None:
        if name == "open":
            self._paths[result] = path
        elif name in ("rename", "replace"):
            for fd, known in self._paths.items():
                if known == path:
                    self._paths[fd] = target
        elif name in ("fsync", "fdatasync") and self._has_cut:
            if os.path.isdir(path):
                self._note_names(path)
            elif os.path.exists(path):
                self._note_content(path)

    def _drop(self, name: str, path: str) -> None:
        """After a failed sync the system calls its pages clean, and never writes them."""
        if self._has_cut and name in ("fsync", "fdatasync") and os.path.isfile(path):
            inode, size = self._inode_of(path), os.stat(path).st_size
            span = len(self._synced.get(inode, b"")), size
            self._dropped.setdefault(inode, []).append(span)

    def _note_content(self, path: str) -> None:
        if self._has_cut:
            inode, content = self._inode_of(path), bytearray(Path(path).read_bytes())
            for start, end in self._dropped.get(inode, ()):
                content[start:end] = bytes(len(content[start:end]))
            self._synced[inode] = bytes(content)

    def _note_names(self, folder: str) -> None:
        if self._has_cut:
            names = self._names[folder] = {}
            for entry in os.scandir(folder):
                names[entry.name] = entry.inode()
                if not entry.is_dir():
                    with suppress(FileNotFoundError):  # a sealer's, gone again
                        self._inode_of(entry.path)

    def _inode_of(self, path: str) -> int:
        """Return the inode of a file, which stays its own though the file be removed.

        Not every file is opened through this seam (Arrow opens its own), so what is known of one
        that is gone could not be told from what is known of the next with its number.
        """
        inode = os.stat(path).st_ino
        if inode not in self._kept:
            self._kept[inode] = self._real["open"](path, os.O_RDONLY | os.O_CLOEXEC)
        return inode

    def _strike(self, name: str, args: tuple[Any, ...]) -> None:
        kind = self._fault.kind
        if kind == "torn" and name in WRITES:
            data = b"".join(args[1]) if name == "writev" else bytes(args[1])
            length = random.Random(self._fault.seed).randrange(len(data) + 1)
            self._real["write"](args[0], data[:length])
        if kind == "cut":
            self._cut()
        if kind in ("kill", "torn"):
            os.kill(os.getpid(), signal.SIGKILL)

    def _cut(self) -> None:
        self._leave_remains(Path(self._fault.remains))
        os.kill(os.getpid(), signal.SIGKILL)

    # --- power cut -------------------------------------------------------------------------

    def _leave_remains(self, target: Path) -> None:
        """Build the directory as a machine would find it at its next start."""
        for name, real in self._real.items():
            setattr(os, name, real)
        self._rng = random.Random(self._fault.seed)
        self._mode = self._rng.choice(("least", "some", "most"))
        self._remain(Path(self._root), target)

    def _remain(self, folder: Path, target: Path) -> None:
        target.mkdir(mode=stat.S_IMODE(folder.stat().st_mode), exist_ok=True)
        now = {entry.name: entry.inode() for entry in os.scandir(folder)}
        synced = self._names.get(str(folder), {})
        for name in sorted(now.keys() | synced.keys()):
            inode = synced.get(name)
            if now.get(name) != inode and self._persists():
                inode = now.get(name)
            if inode is None:
                continue
            path = folder / name
            if path.is_dir():
                self._remain(path, target / name)
                continue
            content = self._synced.get(inode, b"")
            if now.get(name) == inode and inode not in self._dropped:
                content = self._content(content, path.read_bytes())
            (target / name).write_bytes(content)
            (target / name).chmod(0o644)

    def _persists(self) -> bool:
        return self._mode != "least" and (self._mode == "most" or self._rng.random() < 0.5)

    def _content(self, synced: bytes, now: bytes) -> bytes:
        """Return the bytes a file may have: what was synced, and of the rest a part."""
        if synced == now or not self._persists():
            return synced
        if not now.startswith(synced):
            return now if self._rng.random() < 0.5 else synced
        length = self._rng.randrange(len(synced), len(now) + 1)
        kept = bytearray(now[:length])
        for at in range(len(synced) // 512 * 512, length, 512):
            if self._rng.random() < 0.3:  # a sector that never reached the disk
                start = max(at, len(synced))
                kept[start : at + 512] = bytes(len(kept[start : at + 512]))
        return bytes(kept)


def clear(path: Path) -> None:
    """Remove a directory if it is there."""
    shutil.rmtree(path, ignore_errors=True)
