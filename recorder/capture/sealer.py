"""The sealer process: `python -m recorder.capture.sealer CAPTURE`, started by the recorder.

Responsible for the conversation: a segment number a line comes in, one line of JSON a segment
goes out. It is polite (nice), deaf to the signals that end a recorder (Ctrl-C at the terminal, or
SIGTERM to the whole service: the recorder ends it in order) and gone as soon as its recorder is:
everything it does may be cut off at any point. Refuses to recover anything.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from recorder.capture import layout
from recorder.capture.seal import Sealer
from recorder.capture.sealer_process import Answer
from recorder.errors import RecorderError

_NICE = 10
_QUIT = b"quit"


def main(capture: str, requests: BinaryIO, answers: BinaryIO) -> None:
    """Seal the segments asked for until told to quit."""
    root = Path(capture)
    numbers: queue.Queue[int | None] = queue.Queue()
    threading.Thread(target=_listen, args=(requests, numbers), daemon=True).start()
    sealer = Sealer(root)
    while (segment := numbers.get()) is not None:
        answer = Answer(segment)
        try:
            sealed = sealer.seal(segment)
            answer.file = None if sealed is None else sealed.path
        except RecorderError as error:
            answer.error = str(error)
        except OSError as error:
            answer.error = f"the system said {error.strerror or error}"
            answer.is_disk_full = error.errno in layout.NO_ROOM
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()


def _listen(requests: BinaryIO, numbers: queue.Queue[int | None]) -> None:
    for line in requests:
        if line.strip() == _QUIT:
            numbers.put(None)
            return
        numbers.put(int(line))
    # The recorder is dead. Its next run wants the lock that this process keeps: go at once.
    os._exit(1)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(_NICE)
    if layout.file_mode(Path(sys.argv[1])) == 0o600:
        os.umask(0o077)
    # Frames and events die by reference count; scanning them for cycles costs a tenth.
    gc.set_threshold(100_000, 50, 100)
    main(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
