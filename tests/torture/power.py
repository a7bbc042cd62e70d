"""Goal 3: the power is cut, for real: ext4 on a loop device, shut down without flushing its log.

Responsible for the image, the mounts and the cut, and for what a recorder had published as durable
by then. Needs root and loop devices; elsewhere `sweep` cuts by the rules of POSIX.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture import layout
from recorder.capture.recover import recover
from tests.torture.checker import Wrong, compare, expect, settled
from tests.torture.kills import sealers_of
from tests.torture.receiver import Log
from tests.torture.zygote import Experiment, Zygote

_SHUTDOWN = 0x8004587D
"""The shutdown ioctl of ext4, xfs and f2fs; 2: neither flush nor write the log."""
_NO_LOG_FLUSH = struct.pack("<I", 2)


class Cut(msgspec.Struct, kw_only=True):
    """One power cut. lost: frames received and gone; lost_ms: age of the oldest of them."""

    received: int
    durable: int
    lost: int
    lost_ms: float


class Disk:
    """An ext4 image mounted from a loop device."""

    def __init__(self, scratch: Path, *, megabytes: int = 96) -> None:
        self.image = scratch / "disk.img"
        self.mount_point = scratch / "disk"
        self.mount_point.mkdir(exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", str(self.image))
        self._is_mounted = False

    def mount(self) -> None:
        """Mount it, as at a start of the machine: the log is replayed."""
        _run("mount", "-o", "loop", str(self.image), str(self.mount_point))
        self._is_mounted = True

    def cut(self) -> None:
        """Lose everything that is not on the disk at this moment."""
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Unmount it; what a cut left is on the image."""
        for _ in range(400):  # its last user may still be dying
            if not self._is_mounted:
                return
            if subprocess.run(["umount", str(self.mount_point)], capture_output=True).returncode:
                time.sleep(0.05)
                continue
            self._is_mounted = False
        if self._is_mounted:
            _run("umount", "-l", str(self.mount_point))
            raise RuntimeError(f"{self.mount_point} stays busy: nothing can be said about the cut")

    def remove(self) -> None:
        """Unmount and delete it."""
        self.unmount()
        self.image.unlink(missing_ok=True)


def why_not(scratch: Path) -> str | None:
    """Return why this machine cannot cut the power of a loop device, None if it can."""
    if os.geteuid():
        return "needs root"
    for tool in ("mkfs.ext4", "mount", "losetup"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        disk = Disk(scratch, megabytes=8)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"cannot make an ext4 image: {error}"
    try:
        disk.mount()
        disk.cut()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"cannot mount and shut down a loop device: {error}"
    finally:
        disk.remove()
    return None


def cut(
    zygote: Zygote,
    scratch: Path,
    *,
    seed: int,
    rate: int = 2_000,
    options: dict[str, Any] | None = None,
) -> Cut:
    """Record, freeze the recorder, cut the power, mount again, recover, judge."""
    rng = random.Random(seed)
    disk, path = Disk(scratch), scratch / "log"
    path.unlink(missing_ok=True)
    log = Log(path)
    try:
        disk.mount()
        root = disk.mount_point / "capture"
        os.sync()
        arguments = {
            "log": str(path),
            "seed": seed,
            "rate": rate,
            "seconds": 20.0,
            "append": False,
            "options": options or {},
        }
        pid = zygote.start(
            Experiment(scenario="receive", root=str(root), arguments=arguments, shim=False)
        )
        zygote.release()
        end = time.monotonic() + 15
        while log.marks()[0] < 0 and time.monotonic() < end:
            time.sleep(0.002)
        time.sleep(rng.random() * 1.5)
        os.kill(pid, signal.SIGSTOP)
        _wait_until_stopped(pid)
        at = time.monotonic_ns()
        received, _, durable, *_ = log.marks()
        sealers = sealers_of(pid)
        disk.cut()
        for each in (pid, *sealers):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        zygote.outcome()
        disk.unmount()
        disk.mount()
        return _judge(root, log, seed, at, received, durable)
    except AssertionError as error:
        raise Wrong(f"power cut, seed {seed}, {options}: {error}") from error
    finally:
        disk.remove()
        log.close()


def _judge(root: Path, log: Log, seed: int, at: int, received: int, durable: int) -> Cut:
    following = 0
    if (root / layout.CAPTURE_FILE).exists():
        for path in root.glob("frames/*/*.parquet"):
            expect(path.stat().st_size, f"{path.name} is empty")
        recover(root)
        following = settled(root, lambda seq: log.truth(seed, seq)).next_seq
        compare(root, lambda seq: log.truth(seed, seq))
    expect(following > durable, f"frame {durable} was published as durable, {following} is next")
    lost = max(received + 1 - following, 0)
    age = (at - log.moment(following)[0]) / 1e6 if lost else 0.0
    return Cut(received=received + 1, durable=durable, lost=lost, lost_ms=age)


def _wait_until_stopped(pid: int) -> None:
    """Wait until no thread of a process runs; its sealer may go on: it publishes nothing."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        while (task / "stat").read_text().rsplit(")", 1)[1].split()[0] in ("R", "D"):
            time.sleep(0.001)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
