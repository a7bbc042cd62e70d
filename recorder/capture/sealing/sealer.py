"""The sealer process: `python -m recorder.capture.sealing.sealer CAPTURE`, started by the recorder.

Responsible for the conversation: a request a line comes in (`seal 7`, `seal 7 hasty`, `retain`,
`room 1000000`, `quit`), one line of JSON goes out for each. It is polite (low priority for
processor and disk), deaf to the signals that end a recorder (Ctrl-C at the terminal, or SIGTERM to
the whole service: the recorder ends it in order) and gone as soon as its recorder is: everything
it does may be cut off at any point. Refuses to recover anything.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from recorder.capture import layout
from recorder.capture.expiry.retention import expire, expire_oldest
from recorder.capture.journal.room import lend_reserve, refill_reserve
from recorder.capture.layout import SealedName
from recorder.capture.sealing.process import Answer, Retain
from recorder.capture.sealing.seal import Sealer
from recorder.errors import RecorderError

_NICE = 10
_SHARE = 4
"""A sealed segment takes about a fifth of its journal: a quarter is made free at a time."""
_QUIT = b"quit"
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
"""Number of the Linux system call; the standard library has no name for it."""
_LEAST_DISK_PRIORITY = 2 << 13 | 7
"""Best effort, last of eight. The idle class could wait for ever on a busy disk."""


def main(capture: str, retain: Retain, requests: BinaryIO, answers: BinaryIO) -> None:
    """Do what is asked for until told to quit."""
    asked: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_listen, args=(requests, asked), daemon=True).start()
    worker = _Worker(Path(capture), retain)
    while (request := asked.get()) is not None:
        answer = Answer()
        try:
            worker.do(request, answer)
        except RecorderError as error:
            answer.error = str(error)
        except OSError as error:
            answer.error = f"the system said {error.strerror or error}"
            answer.is_disk_full = error.errno in layout.NO_ROOM
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()


class _Worker:
    def __init__(self, root: Path, retain: Retain) -> None:
        self._root = root
        self._retain = retain
        self._sealer = Sealer(root)

    def do(self, request: bytes, answer: Answer) -> None:
        verb, *arguments = request.split()
        if verb == b"seal":
            self._sealer.is_hasty = b"hasty" in arguments
            sealed = self._seal(int(arguments[0]), answer)
            answer.file = None if sealed is None else sealed.path
        elif verb == b"retain":
            answer.removed = len(
                expire(
                    self._root,
                    days=self._retain.days,
                    max_bytes=self._retain.max_bytes,
                    now_ns=time.time_ns(),
                )
            )
        elif verb == b"room":
            wanted = int(arguments[0])
            answer.removed = len(expire_oldest(self._root, wanted, now_ns=time.time_ns()))

    def _seal(self, segment: int, answer: Answer) -> SealedName | None:
        """Seal a segment; in a ring, the oldest make room for it where there is none.

        Otherwise the journals that cannot be sealed would fill the disk, and nothing could go.
        """
        if not self._retain.is_ring:
            return self._sealer.seal(segment)
        try:
            while True:
                try:
                    return self._sealer.seal(segment)
                except OSError as error:
                    if error.errno not in layout.NO_ROOM or not self._make_room(segment, answer):
                        raise
        finally:
            refill_reserve(self._root)

    def _make_room(self, segment: int, answer: Answer) -> bool:
        size = layout.journal_path(self._root, segment).stat().st_size
        share = max(size // _SHARE, 1)
        gone = len(expire_oldest(self._root, share, now_ns=time.time_ns()))
        answer.removed += gone
        return gone > 0 or lend_reserve(self._root, size)


def _listen(requests: BinaryIO, asked: queue.Queue[bytes | None]) -> None:
    for line in requests:
        if line.strip() == _QUIT:
            asked.put(None)
            return
        asked.put(line)
    # The recorder is dead. Its next run wants the lock that this process keeps: go at once.
    os._exit(1)


def be_polite() -> None:
    """Take the lowest useful priority for processor and disk, as far as the system lets us."""
    with suppress(OSError):
        os.nice(_NICE)
    call = _IOPRIO_SET.get(platform.machine())
    if call is not None and sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(call, 1, 0, _LEAST_DISK_PRIORITY)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    be_polite()
    if layout.file_mode(Path(sys.argv[1])) == 0o600:
        os.umask(0o077)
    # Frames and events die by reference count; scanning them for cycles costs a tenth.
    gc.set_threshold(100_000, 50, 100)
    main(
        sys.argv[1],
        msgspec.json.decode(sys.argv[2] if len(sys.argv) > 2 else b"{}", type=Retain),
        sys.stdin.buffer,
        sys.stdout.buffer,
    )
