"""What a child does while it is tortured: record, seal, recover, compact, expire.

Responsible for using the public doors of `recorder.capture` as a recorder would. Refuses to handle
a fault: that is what is under test.
"""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

from recorder.capture import writer as writer_module
from recorder.capture.recover import recover as recover_capture
from recorder.capture.seal import Sealer
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import DiskFull, RecorderError
from recorder.frame import Frame
from tests.torture import receiver
from tests.torture.frames import frame as make_frame
from tests.torture.frames import frames as make_frames
from tests.torture.zygote import Marks

ROWS_A_SEGMENT = 60


class ThreadSealer:
    """The sealer in a thread of this process, so that one shim sees all that touches the disk."""

    def __init__(self, root: Path, **_: Any) -> None:
        self._root = root
        self._queue: list[int] = []
        self._thread: threading.Thread | None = None
        self.sealed = 0
        self.failure: RecorderError | None = None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def submit(self, segment: int) -> None:
        self._queue.append(segment)

    def wait_below(self, backlog: int) -> None:
        self._work()

    def finish(self) -> None:
        self._work()

    def kill(self) -> None:
        self._queue.clear()

    def _work(self) -> None:
        sealer = Sealer(self._root)
        while self._queue:
            try:
                sealer.seal(self._queue[0])
            except (RecorderError, OSError) as error:
                kind = (
                    DiskFull if isinstance(error, OSError) and error.errno == 28 else RecorderError
                )
                self.failure = kind(str(error))
                return
            self._queue.pop(0)
            self.sealed += 1
            self.failure = None


def record(
    root: Path,
    marks: Marks,
    *,
    seed: int,
    count: int,
    append: bool = False,
    chunk: int = 20,
    rows: int = ROWS_A_SEGMENT,
    options: dict[str, Any] | None = None,
) -> str:
    """Record `count` frames, roll every `rows`, seal as it goes, close."""
    writer_module.SealerProcess = ThreadSealer  # type: ignore[misc, assignment]
    chosen = WriterOptions(segment_seconds=rows / 1000, sync_ms=5, **(options or {}))
    with CaptureWriter(root, options=chosen, append=append, reproducible=True) as writer:
        marks.writer = writer
        first = writer.next_seq
        for start in range(0, count, chunk):
            batch = [_frame(seed, start + n, first) for n in range(min(chunk, count - start))]
            marks.handed = batch[-1].seq
            writer.write(batch)
            writer.flush(timeout=20)
            marks.publish()
            if start // chunk % 4 == 3:
                writer.wait_for_room()
                writer._sealer.wait_below(1)
    return "done"


def _frame(seed: int, i: int, first: int) -> Frame:
    return make_frame(seed, i, seq=first + i)


def recover(root: Path, marks: Marks) -> str:
    """Recover the capture."""
    report = recover_capture(root)
    return f"{report.frames} {report.holes} {report.next_seq}"


def seal(root: Path, marks: Marks, *, segments: list[int]) -> str:
    """Seal journals of a finished recorder, as its sealer would."""
    sealer = Sealer(root)
    return str([getattr(sealer.seal(segment), "segment", None) for segment in segments])


def warm_up() -> None:
    """Import lazily imported things before the first fork."""
    warnings.simplefilter("ignore")
    make_frames(1, 0, 10)


def receive(root: Path, marks: Marks, *, log: str, **how: Any) -> str:
    """Record what a sender process sends, in an event loop, until it is done."""
    return receiver.receive(root, Path(log), **how)
