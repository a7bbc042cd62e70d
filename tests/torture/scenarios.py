"""What a child does while it is tortured: record, seal, recover, compact, expire.

Responsible for using the public doors of `recorder.capture` as a recorder would. Refuses to handle
a fault: that is what is under test.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture import layout
from recorder.capture import writer as writer_module
from recorder.capture.expiry.retention import expire as expire_segments
from recorder.capture.recover import recover as recover_capture
from recorder.capture.reshape.compact import compact as compact_capture
from recorder.capture.sealing import sealer as sealer_module
from recorder.capture.sealing.process import Answer, SealerProcess
from recorder.capture.sealing.seal import Sealer
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import RecorderError
from recorder.frame import Frame
from tests.torture import receiver
from tests.torture.frames import frame as make_frame
from tests.torture.frames import frames as make_frames
from tests.torture.zygote import Marks

ROWS_A_SEGMENT = 60


class ThreadSealer(SealerProcess):
    """The sealer in a thread of this process, so that one shim sees all that touches the disk."""

    _worker: sealer_module._Worker | None = None

    def _ask(self, request: bytes, patience_s: float) -> Answer | None:
        answer = Answer()
        try:
            if self._worker is None:
                self._worker = sealer_module._Worker(self._root, self._retain)
            self._worker.do(request, answer)
        except RecorderError as error:
            answer.error = str(error)
        except OSError as error:
            answer.error = f"the system said {error.strerror or error}"
            answer.is_disk_full = error.errno in layout.NO_ROOM
        return answer


def record(
    root: Path,
    marks: Marks,
    *,
    seed: int,
    count: int,
    append: bool = False,
    chunk: int = 20,
    rows: int = ROWS_A_SEGMENT,
    pause_s: float = 0.0,
    options: dict[str, Any] | None = None,
) -> str:
    """Record `count` frames, roll every `rows`, seal as it goes, close; return what was dropped.

    With `pause_s` it sleeps between the pieces instead of waiting for the disk, as a socket would.
    """
    writer_module.SealerProcess = ThreadSealer  # type: ignore[misc, assignment]
    chosen = WriterOptions(segment_seconds=rows / 1000, sync_ms=5, **(options or {}))
    with CaptureWriter(root, options=chosen, append=append, reproducible=True) as writer:
        marks.writer = writer
        losses: list[list[int]] = []
        first = writer.next_seq
        for start in range(0, count, chunk):
            batch = [_frame(seed, start + n, first) for n in range(min(chunk, count - start))]
            marks.handed = batch[-1].seq
            writer.write(batch)
            if pause_s:
                time.sleep(pause_s)
            else:
                writer.flush(timeout=60)
            marks.publish()
            if start // chunk % 4 == 3 and not pause_s:
                writer.wait_for_room()
                writer._sealer.wait_below(1)
            losses += [[loss.first_seq, loss.count] for loss in writer.take_losses()]
        writer.close()
        losses += [[loss.first_seq, loss.count] for loss in writer.take_losses()]
    return msgspec.json.encode(losses).decode()


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


def compact(root: Path, marks: Marks) -> str:
    """Join all segments and remove the originals at once."""
    report = compact_capture(
        root, clock=time.time_ns, sleep=time.sleep, level=1, grace_s=0.0, wait=True
    )
    return str(report.joined)


def expire(root: Path, marks: Marks, *, max_bytes: int) -> str:
    """Let the oldest segments go."""
    return str(len(expire_segments(root, max_bytes=max_bytes, now_ns=time.time_ns(), grace_s=0.0)))


def receive(root: Path, marks: Marks, *, log: str, **how: Any) -> str:
    """Record what a sender process sends, in an event loop, until it is done."""
    return receiver.receive(root, Path(log), **how)
