"""Resume: where something that was fed from a capture goes on, and whether it still may.

Responsible for telling captures apart, for finding what a consumer holds that the capture does not
(a power cut took frames that were read before they were durable, and others have their numbers
now), and for naming what has expired meanwhile. Refuses to feed anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from recorder.capture import layout
from recorder.capture.digest import FrameDigest
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.window import seq_bounds
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind

_SAMPLE = 64
"""Frames at the start that tell reproducible captures apart: those all have one id."""


class Stand(Protocol):
    """What a consumer says it has: everything up to this frame, received at `ts_recv`."""

    @property
    def seq(self) -> int:
        """Number of the frame."""

    @property
    def ts_recv(self) -> int:
        """When it was received, ns."""


class Resumption(NamedTuple):
    """How to go on.

    Attributes:
        first_seq: with this frame, which the consumer may have in part.
        missed: inclusive numbers that it lacks and the capture holds no more, with the `ts_recv` of
            the first frame there is; None: nothing is missing.
        last_common: where `is_torn`: the last frame that the consumer and the capture both hold.
        is_torn: the consumer holds frames that the capture does not: it must forget them first.
        is_short: only so because the capture ends before: it may be an earlier copy of another.
    """

    first_seq: int
    missed: tuple[int, int, int] | None = None
    last_common: Frame | None = None
    is_torn: bool = False
    is_short: bool = False


def capture_key(capture: Capture) -> str:
    """Return what tells a capture from every other one, and is the same for a copy of it."""
    if capture.header.id != layout.REPRODUCIBLE_ID:
        return capture.header.id
    digest = FrameDigest()
    digest.update(list(islice(capture.frames(report=ReadReport()), _SAMPLE)))
    return f"reproducible-{digest.hexdigest()[:16]}"


def resume(
    capture: Capture, stands: Sequence[Stand | None], *, history_seconds: float | None = None
) -> Resumption:
    """Say how to feed a consumer of several parts, each of which stands somewhere.

    Args:
        stands: None: that part has nothing yet.
        history_seconds: then begin so much before the end of the capture; None: at its start.
    """
    begin = capture.header.first_seq or 0
    known = [stand for stand in stands if stand is not None]
    common = [_common(capture, stand) for stand in known]
    torn = [frame for frame, is_torn, _ in common if is_torn]
    if torn:
        found = [frame for frame in torn if frame is not None]
        last = min(found, key=lambda frame: frame.seq) if len(found) == len(torn) else None
        is_short = all(is_short for _, is_torn, is_short in common if is_torn)
        return Resumption(begin, last_common=last, is_torn=True, is_short=is_short)
    first = capture.snapshot().first_seq
    if not known or len(known) < len(stands):
        if history_seconds is not None:
            begin = max(begin, first, _seq_before_end(capture, history_seconds))
        wanted = begin
    else:
        wanted = min(stand.seq for stand in known)
        if wanted >= first:
            return Resumption(wanted)
        wanted += 1  # that one is there
    if wanted >= first:
        return Resumption(wanted)
    ahead = next(capture.frames(first_seq=first, report=ReadReport()), None)
    return Resumption(first, missed=(wanted, first - 1, 0 if ahead is None else ahead.ts_recv))


def _common(capture: Capture, stand: Stand) -> tuple[Frame | None, bool, bool]:
    """Return the last frame that a consumer and the capture share, whether it holds others, and
    whether that is only because the capture ends before them."""
    seq = stand.seq
    if seq < capture.snapshot().first_seq:
        return None, False, False  # expired: nothing to compare with
    report = ReadReport()
    here = next(capture.frames(first_seq=seq, last_seq=seq, report=report), None)
    if here is not None and here.ts_recv == stand.ts_recv:
        return here, False, False
    if here is None and report.problems:
        return None, False, False  # damaged: what was made of it is not to be forgotten
    runs = list(capture.frames(kinds=[Kind.RUN], last_seq=seq, report=ReadReport()))
    # The first run that the consumer knew nothing of. Where the clock went back no run looks like
    # that: then everything behind the first run is given again.
    later = [run.seq for run in runs if run.ts_recv > stand.ts_recv]
    end = later[0] if later else runs[1].seq if here is not None and len(runs) > 1 else seq + 1
    ends = next(capture.frames(first_seq=seq, report=ReadReport()), None) is None
    # What a repair declared lost has the number of a frame that was lost.
    return _last_frame(capture, end, but=Kind.LOST), True, ends and not later


def _last_frame(
    capture: Capture, end: int | None = None, *, but: Kind | None = None
) -> Frame | None:
    """Return the last frame, before a number and of other kinds where told so."""
    sealed = [s for s in capture.snapshot().sealed if end is None or s.first_seq < end]
    starts = [0, *(seq for source in sealed for seq in (source.first_seq, source.last_seq + 1))]
    last = None if end is None else end - 1
    for first_seq in reversed(starts):
        if last is not None and first_seq > last:
            continue
        found: Frame | None = None
        for frame in capture.frames(first_seq=first_seq, last_seq=last, report=ReadReport()):
            if frame.kind is not but:
                found = frame
        if found is not None:
            return found
    return None


def _seq_before_end(capture: Capture, seconds: float) -> int:
    """Return the first number so much data time before the end; 0 where there is nothing."""
    last = _last_frame(capture)
    if last is None:
        return 0
    return seq_bounds(capture, last.ts_recv - round(seconds * NS_PER_SECOND), None, ReadReport())[0]
