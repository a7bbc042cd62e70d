"""Derive: frames of captures that exist become a new capture, whole or not at all.

Responsible for writing known frames straight into sealed segments (nothing is live, so there is no
journal), for reading the result back, and for the name it appears under. Refuses to choose frames:
`slice` and `merge` do.

The work is done in a directory beside the new one, `<name>.tmp`; what a killed run left there is
removed by the next one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from recorder import __version__
from recorder.capture import layout
from recorder.capture.batch import FrameBatch
from recorder.capture.digest import FrameDigest, digest_of
from recorder.capture.info import CaptureInfo
from recorder.capture.journal import Trailer, after_lost
from recorder.capture.journal.roll import RecordRun, Roller
from recorder.capture.options import WriterOptions
from recorder.capture.reader import Capture
from recorder.capture.sealing.salvage import Run
from recorder.capture.sealing.seal import Sealer
from recorder.capture.writing.refusals import cannot_write
from recorder.clock import NS_PER_SECOND
from recorder.errors import CaptureExists, Damage, UsageError
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter

Progress = Callable[[int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a derived capture is.

    Attributes:
        origin: how it was made, for `capture.json`; its digest is the new capture's id.
        first_seq: of the first frame. private: a source is, so this is, too.
        interpreter: as it stands before the first frame.
    """

    venue: str
    note: str | None
    origin: dict[str, Any]
    first_seq: int
    private: bool
    interpreter: Interpreter


def derive(
    out: str | os.PathLike[str],
    plan: Plan,
    frames: Iterable[Sequence[Frame]],
    progress: Progress | None,
) -> CaptureInfo:
    """Write frames in seq order as a new capture, read it back, and put it in its place.

    Args:
        frames: lists of bounded length, none of them empty.

    Raises:
        CaptureExists: something is at `out`. DiskFull, UsageError: it cannot be written.
        Damage: the result does not read back equal.
    """
    path = Path(out)
    if path.exists():
        raise CaptureExists(
            f"expected nothing at {path} yet, but something is there; choose another name"
        )
    work = path.with_name(path.name + layout.UNFINISHED)
    lock = -1
    try:
        _clear(work)
        layout.make_directories(work, private=plan.private)
        lock = layout.acquire_lock(work, patience_s=0.0)
        mode = layout.file_mode(work)
        text = msgspec.json.format(msgspec.json.encode(_header(plan)), indent=2) + b"\n"
        layout.write_once(work / layout.CAPTURE_FILE, text, mode=mode)
        written = _write(work, plan, frames, progress)
        info = Capture(work).info()
        _check(work, info, written)
        work.rename(path)
        layout.fsync_directory(path.parent)
        return msgspec.structs.replace(info, path=str(path), recording=False)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise cannot_write(path, error) from error
    except BaseException:
        if lock >= 0:
            shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        if lock >= 0:
            os.close(lock)


def origin_of(made_by: str, sources: Sequence[Capture], **how: Any) -> dict[str, Any]:
    """Describe how a capture is made from others; the same making gives the same description."""
    described = []
    for source in sources:
        header = source.header
        item: dict[str, Any] = {"id": header.id, "note": header.note}
        if header.origin:
            item["origin"] = header.origin
        described.append(item)
    return {"made_by": made_by, **how, "sources": described}


def is_private(*captures: Capture) -> bool:
    """Tell whether one of the captures is for its owner alone."""
    return any(layout.file_mode(capture.path) == 0o600 for capture in captures)


def _clear(work: Path) -> None:
    """Remove what a killed run left; refuse where one is at work, or it is something else."""
    if not work.exists():
        return
    if not (work / layout.LOCK_FILE).exists() or layout.is_locked(work):
        raise UsageError(
            f"expected to work in {work}, but it is in use, or not ours; choose another name for "
            f"the new capture, or remove it"
        )
    shutil.rmtree(work)


def _header(plan: Plan) -> layout.CaptureHeader:
    origin = {**plan.origin, "recorder": __version__}
    return layout.CaptureHeader(
        format=layout.FORMAT,
        id=digest_of(msgspec.json.encode(plan.origin, order="sorted"))[:16],
        venue=plan.venue,
        note=plan.note,
        first_seq=plan.first_seq or msgspec.UNSET,
        origin=origin,
    )


def _write(
    work: Path, plan: Plan, frames: Iterable[Sequence[Frame]], progress: Progress | None
) -> FrameDigest:
    digest = FrameDigest()
    sealer = Sealer(work, begin=(plan.interpreter, plan.first_seq))
    pieces = _Pieces(frames, digest)
    segment = 0
    while (source := pieces.next_segment()) is not None:
        sealer.seal_frames(segment, source)
        segment += 1
        if progress is not None:
            progress(digest.count)
    return digest


def _check(work: Path, info: CaptureInfo, written: FrameDigest) -> None:
    """Read everything back and compare it with what was written."""
    found = FrameDigest()
    for batch in Capture(work).batches():
        found.update(batch.frames())
    if not found.hexdigest() == written.hexdigest() == info.input_digest or info.problems:
        raise Damage(
            f"expected to read back from {work} what was written, but the digests differ; check "
            f"the memory and disk of this machine",
            file=str(work),
            cause="does not read back equal",
        )


class _Pieces:
    """Cuts frames into segments, by the rule of a recorder."""

    def __init__(self, frames: Iterable[Sequence[Frame]], digest: FrameDigest) -> None:
        options = WriterOptions()
        self._roller = Roller(
            segment_ns=int(options.segment_seconds * NS_PER_SECOND),
            segment_bytes=options.segment_bytes,
        )
        self._runs = self._cut(frames)
        self._digest = digest
        self.ahead: RecordRun | None = next(self._runs, None)
        self.follows = -1

    def next_segment(self) -> _Segment | None:
        """Return what comes next; the one before it must be used up."""
        return None if self.ahead is None else _Segment(self)

    def runs(self) -> Iterator[Run]:
        """Yield the records of one segment."""
        while (run := self.ahead) is not None:
            yield run.first_seq, run.count, run.records
            self.ahead = next(self._runs, None)
            if self._rolled:
                return

    def _cut(self, frames: Iterable[Sequence[Frame]]) -> Iterator[RecordRun]:
        rolls: list[int] = []
        self._rolled = False
        for batch in frames:
            self._digest.update(batch)
            for part in _unbroken(batch):
                for run in self._roller.cut(part, rolls.append):
                    self._rolled = bool(rolls)
                    rolls.clear()
                    yield run
                    self._rolled = False
            last = batch[-1]
            self.follows = last.seq + 1
            if last.kind is Kind.LOST:
                self.follows = after_lost(last.seq, last.payload)


def _unbroken(batch: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    """Cut a list of frames where a `lost` row stands for missing numbers."""
    start = 0
    for at in range(1, len(batch)):
        if batch[at].seq != batch[at - 1].seq + 1:
            yield batch[start:at]
            start = at
    yield batch[start:]


class _Segment:
    """The frames of one segment, for the sealer (`salvage.SealInput`)."""

    def __init__(self, pieces: _Pieces) -> None:
        if pieces.ahead is None:
            raise ValueError("no frames are left")
        self._pieces = pieces
        self.trailer: Trailer | None = None
        self.is_repaired = False
        self.first_seq = pieces.ahead.first_seq
        self.last_seq = self.first_seq - 1

    def runs(self) -> Iterator[Run]:
        """Yield the records; `last_seq` is right afterwards."""
        yield from self._pieces.runs()
        ahead = self._pieces.ahead
        self.last_seq = (self._pieces.follows if ahead is None else ahead.first_seq) - 1

    def close(self) -> None:
        """There is nothing to close."""


def frames_of(batches: Iterable[FrameBatch]) -> Iterator[list[Frame]]:
    """Yield batches as lists of frames."""
    for batch in batches:
        yield list(batch.frames())
