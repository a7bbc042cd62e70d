"""Sealer processes for the tests, forked from one that has everything imported already.

A `CaptureWriter` starts a process of its own to seal with, which spends half a second of a
processor on its imports: a third of what the whole suite took. Here it is a fork of a process that
has them: the same module run as `__main__`, with its own pipes, process group, priority and end.
That a recorder can start the real one is shown by the tests of `SealerProcess` (`real_sealers`)
and by every test that starts the real `recorder`.
"""

from __future__ import annotations

import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import msgspec

from recorder.capture.sealing.process import SealerProcess

MODULE = "recorder.capture.sealing.sealer"
_start_for_real = SealerProcess._start


class Nursery:
    """Forks sealers on demand; one for each process that runs tests, started when first asked."""

    is_open = True
    """Whether sealers are forked; else they are started as users' recorders start them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def born(self, argv: list[str], lock_fd: int) -> Sealing:
        """Return a new sealer, called with these arguments and holding the lock of its capture."""
        down, stdin = os.pipe()
        stdout, up = os.pipe()
        with self._lock:
            to = self._socket or self._begin()
            socket.send_fds(to, ["\0".join(argv).encode()], [down, up, lock_fd])
            pid = int(to.recv(32))
        os.close(down)
        os.close(up)
        return Sealing(pid, stdin, stdout)

    def close(self) -> None:
        """End; its sealers end with their recorders."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait(60)

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            process_group=0,
        )
        theirs.close()
        self._socket = ours
        return ours


class Sealing:
    """As much of `subprocess.Popen` as a recorder uses, of a process that is a grandchild."""

    def __init__(self, pid: int, stdin: int, stdout: int) -> None:
        self.pid = pid
        self.stdin = open(stdin, "wb", buffering=0)  # noqa: SIM115 - closed like those of a Popen
        self.stdout = open(stdout, "rb")  # noqa: SIM115
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # dead by now, and buried by the nursery
            self._pidfd = -1

    def poll(self) -> int | None:
        """Return None while it runs, then 0: only the nursery knows how it ended."""
        if self._pidfd < 0:
            return 0
        if not select.select([self._pidfd], [], [], 0)[0]:
            return None
        return self._buried()

    def wait(self, timeout: float) -> int:
        """Wait until it has ended."""
        if self._pidfd >= 0 and not select.select([self._pidfd], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(MODULE, timeout)
        return self._buried()

    def send_signal(self, number: int) -> None:
        """Send a signal, where it has not ended yet."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, said: bytes, timeout: float) -> tuple[bytes, None]:
        """Say a last thing and wait for the end."""
        with suppress(BrokenPipeError):
            self.stdin.write(said)
        self.stdin.close()
        answers = select.poll()
        answers.register(self.stdout, select.POLLIN)
        if not answers.poll(timeout * 1000):
            raise subprocess.TimeoutExpired(MODULE, timeout)
        rest = self.stdout.read()
        self.stdout.close()
        self.wait(timeout)
        return rest, None

    def _buried(self) -> int:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        return 0


NURSERY = Nursery()


def start(sealer: Any) -> Any:
    """Stand in for `SealerProcess._start`."""
    if not NURSERY.is_open:
        return _start_for_real(sealer)
    retain = msgspec.json.encode(sealer._retain).decode()
    return NURSERY.born([str(sealer._root.absolute()), retain], sealer._lock_fd)


def _fork(to: socket.socket, argv: list[str], fds: list[int]) -> None:
    """Become, in a child, what `python -m recorder.capture.sealing.sealer` is."""
    pid = os.fork()
    if pid:
        to.send(str(pid).encode())
        for fd in fds:
            os.close(fd)
        return
    status = 1
    try:
        to.close()
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(fds[0], 0)
        os.dup2(fds[1], 1)
        os.close(fds[0])
        os.close(fds[1])
        sys.argv = [MODULE, *argv]
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
        sys.stdout.flush()
        status = 0
    except BaseException:  # noqa: BLE001 - of a child: said, and told by its status
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def main() -> None:
    """Fork for each message; end when nobody can send any more."""
    __import__(MODULE)
    del sys.modules[MODULE]  # it runs as `__main__`; what it imports is here already
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    to = socket.socket(fileno=int(sys.argv[1]))
    while True:
        message, fds, _, _ = socket.recv_fds(to, 65_536, 3)
        if not message:
            return
        _fork(to, message.decode().split("\0"), fds)


if __name__ == "__main__":
    main()
