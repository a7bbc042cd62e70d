"""Forms: the same frames as a journal, killed and recovered, sealed, and compacted.

Responsible for writing the frames of a capture anew, in each form that a capture can have on disk,
into a scratch directory. Refuses to touch the capture itself and to compare (`proving.proof`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from recorder.capture import layout
from recorder.capture.options import WriterOptions
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.capture.reshape.compact import compact
from recorder.capture.writer import CaptureWriter
from recorder.frame import Kind

_SEGMENTS = 8
"""Into how many segments, about, the frames are sealed: so that there are some to join."""
_SMALLEST = 1 << 16


class Form(NamedTuple):
    """One form on disk.

    Attributes:
        added: frames behind the last one that the form has more: the `lost` row of a recovery.
    """

    name: str
    capture: Capture
    added: int = 0


def forms_of(
    capture: Capture,
    last_seq: int,
    raw_bytes: int,
    scratch: Path,
    *,
    sleep: Callable[[float], None],
) -> Iterator[Form]:
    """Yield the forms of frames 0 to `last_seq`, each before the next is made.

    Args:
        raw_bytes: of their payloads, about. sleep: for the compaction, which does not need to.
    """
    live, killed = scratch / "live", scratch / "killed"
    options = WriterOptions(segment_seconds=1e9, segment_bytes=1 << 30, sync_ms=60_000)
    writer = CaptureWriter(live, options=options, venue=capture.header.venue, reproducible=True)
    try:
        _copy(capture, last_seq, writer)
        writer.flush()
        yield Form("journal, being written", Capture(live))
        shutil.copytree(live, killed, ignore=shutil.ignore_patterns(layout.STATUS_FILE))
    finally:
        writer.close()
    yield Form("sealed, one segment a run or day", Capture(live))
    shutil.rmtree(live)
    yield Form("journal, its recorder killed", Capture(killed))
    recover(killed)
    yield Form("recovered", Capture(killed), added=1)
    shutil.rmtree(killed)
    sealed = scratch / "sealed"
    options = WriterOptions(
        segment_seconds=1e9, segment_bytes=max(_SMALLEST, raw_bytes // _SEGMENTS), sync_ms=60_000
    )
    with CaptureWriter(
        sealed, options=options, venue=capture.header.venue, reproducible=True
    ) as writer:
        _copy(capture, last_seq, writer)
    yield Form("sealed, small segments", Capture(sealed))
    compact(sealed, clock=lambda: 0, sleep=sleep, grace_s=0.0)
    yield Form("compacted", Capture(sealed))


def names_numbers(capture: Capture, last_seq: int) -> bool:
    """Tell whether a `lost` row stands for numbers: a writer does not take frames around them."""
    frames = capture.frames(kinds=[Kind.LOST], last_seq=last_seq, report=ReadReport())
    following = None
    for frame in frames:
        following = next(iter(capture.frames(first_seq=frame.seq + 1, report=ReadReport())), None)
        if following is not None and following.seq != frame.seq + 1:
            return True
    return False


def _copy(capture: Capture, last_seq: int, writer: CaptureWriter) -> None:
    for batch in capture.batches(last_seq=last_seq, report=ReadReport()):
        writer.write(list(batch.frames()))
        writer.wait_for_room()
