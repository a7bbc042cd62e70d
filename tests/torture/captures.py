"""Small captures to torture: sealed and journal in one, each form whole.

Responsible for building them in this process. Refuses to be quick about large ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recorder.capture import writer as writer_module
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.frame import Frame
from tests.torture import frames
from tests.torture.scenarios import ThreadSealer


class LazySealer(ThreadSealer):
    """Seals nothing: every segment stays a journal."""

    def submit(self, segment: int) -> None:
        return


def build(
    path: Path, *, seed: int, count: int, rows: int = 60, sealed: bool = True, **options: Any
) -> list[Frame]:
    """Write frames 0 to `count` - 1 in segments of `rows`; return them."""
    truth = frames.frames(seed, 0, count)
    chosen = WriterOptions(segment_seconds=rows / 1000, sync_ms=5, **options)
    real = writer_module.SealerProcess
    writer_module.SealerProcess = ThreadSealer if sealed else LazySealer  # type: ignore[misc, assignment]
    try:
        with CaptureWriter(path, options=chosen, reproducible=True) as writer:
            for start in range(0, count, 15):
                writer.write(truth[start : start + 15])
                writer.flush(timeout=60)
    finally:
        writer_module.SealerProcess = real  # type: ignore[misc]
    return truth
