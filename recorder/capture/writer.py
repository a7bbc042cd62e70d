"""CaptureWriter: frames in, a capture directory out.

Responsible for creating or continuing a capture, for the bounded queue in front of the disk, and
for the order in which things end: journal, sealing, status, lock. Refuses to number or stamp
frames (the caller does), to read a clock, and to block the caller on the disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from recorder.capture.digest import EventDigest
from recorder.capture.journal import MAX_PAYLOAD_BYTES
from recorder.capture.journal.roll import Roller
from recorder.capture.journal.room import Disk, Room
from recorder.capture.options import Loss, WriterOptions
from recorder.capture.sealing.process import Retain, SealerProcess
from recorder.capture.status import StatusFile
from recorder.capture.writing.appender import Appender, AppenderOptions
from recorder.capture.writing.creation import discard, open_for_writing
from recorder.capture.writing.figures import WriterFigures, figures_of
from recorder.capture.writing.forecast import DiskForecast, Forecast
from recorder.capture.writing.notes import Notes
from recorder.capture.writing.pace import CALM
from recorder.capture.writing.refusals import cannot_write
from recorder.errors import RecorderError
from recorder.frame import Frame

__all__ = ["CaptureWriter", "CloseReport", "Loss", "WriterOptions"]

_BACKLOG_SEGMENTS = 8
"""How many unsealed segments `wait_for_room` lets pile up before it waits for the sealer."""

PATIENCE_S = 60.0
"""How long `close` waits for a disk that makes no progress."""


class CloseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer did.

    Attributes:
        frames: written by this writer. first_seq, last_seq: their range, None if none.
        segments: sealed by this writer.
    """

    frames: int
    first_seq: int | None
    last_seq: int | None
    segments: int


class CaptureWriter:
    """Write frames to a new capture, or append to one.

    Use it as a context manager, or call `close()`: until then the last segment is in the journal
    (readable, safe against a crash) and the lock is held.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        options: WriterOptions | None = None,
        append: bool = False,
        venue: str = "okx",
        note: str | None = None,
        reproducible: bool = False,
        disk: Disk | None = None,
    ) -> None:
        """Create the capture, or recover and continue it.

        Args:
            disk: the system calls to use; a test passes one that fails.

        Raises:
            CaptureExists: something is there and `append` is false.
            NotACapture: `append` to a directory that is none. UsageError: it is locked.
            DiskFull, DiskFailed, UsageError: it cannot be created.
        """
        self.path = Path(path)
        self.options = options or WriterOptions()
        self._opened = open_for_writing(
            self.path,
            append=append,
            private=self.options.private,
            venue=venue,
            note=note,
            reproducible=reproducible,
        )
        self.header = self._opened.header
        self._first_seq = self._next_seq = self._opened.seq
        self._next_connection = self._opened.connection
        self._closed = self._congested = False
        self._extra_status: dict[str, Any] = {}
        self._began = time.monotonic()
        self._disk = disk or Disk()
        self._forecast = Forecast(self.path)
        self._sealer = SealerProcess(
            self.path,
            lock_fd=self._opened.lock_fd,
            retain=Retain(
                days=self.options.retain_days,
                max_bytes=self.options.retain_bytes,
                is_ring=self.options.on_disk_full == "ring",
            ),
            pace=self._pace,
        )
        try:
            self._appender = self._start()
        except OSError as error:
            os.close(self._opened.lock_fd)
            raise cannot_write(self.path, error) from error
        self._notes = Notes(
            self._appender.take_notes, self._sealer.take_notes, told=self._opened.notes
        )
        self._status = StatusFile(self.path, self._status_now)

    def _start(self) -> Appender:
        options = self.options
        room = Room(self.path, self._disk, keep_free=options.keep_free)
        room.require()
        room.take_reserve()
        is_block = options.journal == "block"
        return Appender(
            self.path,
            capture_id=self.header.id,
            segment=self._opened.segment,
            next_seq=self._first_seq,
            roller=Roller(
                segment_ns=round(options.segment_seconds * 1e9),
                segment_bytes=options.segment_bytes,
            ),
            options=AppenderOptions(
                sync_s=options.sync_ms / 1000,
                flush_s=options.flush_ms / 1000 if is_block else None,
                compress=is_block or options.compress_journal,
                on_full=options.on_disk_full,
                queue_bytes=options.queue_bytes,
                wait_bytes=options.wait_bytes,
                patience_s=PATIENCE_S,
            ),
            on_retired=self._sealer.submit,
            disk=self._disk,
            room=room,
            on_shortage=self._make_room,
        )

    def _pace(self) -> int:
        # While the disk is full, sealing makes room: a segment takes a fifth of its journal.
        appender = self._appender
        return CALM if appender.is_waiting else appender.pace.level

    def _make_room(self, wanted: int) -> None:
        if self.options.on_disk_full == "ring":
            self._sealer.make_room(wanted)

    # --- state -----------------------------------------------------------------------------

    @property
    def next_seq(self) -> int:
        """The number the next frame must have."""
        return self._next_seq

    @property
    def next_connection(self) -> int:
        """The first connection number not used in this capture."""
        return self._next_connection

    @property
    def written_seq(self) -> int:
        """Last seq whose `write()` returned: it survives the death of this process."""
        return self._appender.written_seq

    @property
    def durable_seq(self) -> int:
        """Last seq that is on the disk: it survives a power cut."""
        return self._appender.durable_seq

    @property
    def queued_bytes(self) -> int:
        """Memory taken by frames that are handed over and not yet written, in bytes."""
        return self._appender.queued_bytes

    @property
    def unsealed_segments(self) -> int:
        """Finished segments that the sealer has not sealed yet."""
        return self._sealer.waiting

    @property
    def sealing_failure(self) -> RecorderError | None:
        """Why segments stay in the journal for now, None if all is well; nothing is lost by it."""
        return self._sealer.failure

    @property
    def forecast(self) -> DiskForecast:
        """What is free on the disk, and how long it lasts; `str()` is a sentence."""
        try:
            free = max(self._disk.free_bytes(self.path) - self.options.keep_free, 0)
        except OSError:
            free = None
        return self._forecast.now(
            free=free,
            seconds=time.monotonic() - self._began,
            written=self._appender.written_bytes,
            journal_bytes=self._sealer.journal_bytes,
            sealed_bytes=self._sealer.sealed_bytes,
        )

    @property
    def congested(self) -> bool:
        """True from half a queue on until it is below a quarter: who can wait, should.

        Not while the disk is full: then the newest frames are kept, and the oldest dropped.
        """
        queued = self._appender.queued_bytes
        if self._appender.is_waiting:
            self._congested = False
        elif queued * 2 >= self.options.queue_bytes:
            self._congested = True
        elif queued * 4 < self.options.queue_bytes:
            self._congested = False
        return self._congested

    # --- writing ---------------------------------------------------------------------------

    def write(self, frames: Sequence[Frame]) -> None:
        """Hand frames over; never waits for the disk. The caller must not change the sequence.

        Raises:
            DiskFull, RecorderError: an earlier write failed; nothing more is taken.
            ValueError: numbers do not continue at `next_seq`, or a payload is too large.
        """
        if self._closed:
            raise ValueError(f"write to the closed capture {self.path}")
        seq, connection, size = self._next_seq, self._next_connection, 0
        for frame in frames:
            length = len(frame.payload)
            if frame.seq != seq or length > MAX_PAYLOAD_BYTES:
                raise ValueError(
                    f"expected frame {seq} with at most {MAX_PAYLOAD_BYTES} bytes, "
                    f"received frame {frame.seq} with {length}"
                )
            seq += 1
            size += length
            if frame.connection >= connection:
                connection = frame.connection + 1
        if seq == self._next_seq:
            return
        self._next_seq, self._next_connection = seq, connection
        # Also after a failure: what cannot be kept gets its `lost` row.
        self._appender.hand_over(frames, size)
        if self._appender.failure is not None:
            raise self._appender.failure

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything handed over is written (not: durable).

        Raises:
            TimeoutError: it took longer than `timeout` seconds.
            DiskFull, RecorderError: writing failed.
        """
        target = self._next_seq - 1
        appender = self._appender
        appender.hurry()
        if not appender.wait(lambda: appender.written_seq >= target, timeout):
            raise TimeoutError(f"frames up to {target} were not written within {timeout} s")
        if appender.failure is not None:
            raise appender.failure

    def wait_for_room(self) -> None:
        """Wait until the queue and the sealer's backlog are small.

        For producers that can outrun the disk (import, simulation); a live recorder pauses its
        sockets by `congested` instead.
        """
        appender, limit = self._appender, self.options.queue_bytes // 4
        if appender.queued_bytes > limit:
            appender.wait(lambda: appender.queued_bytes <= limit, None)
        self._sealer.wait_below(_BACKLOG_SEGMENTS)

    def figures(self) -> WriterFigures:
        """Return how it stands, as plain numbers; from any thread."""
        return figures_of(self._appender, self._sealer, self._next_seq - 1)

    def take_losses(self) -> list[Loss]:
        """Return the losses since the last call; their `lost` rows are in the capture already."""
        return self._appender.take_losses()

    def take_notes(self) -> list[str]:
        """Return what happened to the disk since the last call, in order, a sentence each."""
        return self._notes.take()

    def set_status(self, status: Mapping[str, Any]) -> None:
        """Add fields (e.g. `connections`) to what `status.json` shows from now on."""
        self._extra_status = dict(status)

    # --- the end ---------------------------------------------------------------------------

    def close(self, *, event_digest: EventDigest | None = None) -> CloseReport:
        """End the journal, seal every segment, release the lock. Safe to call twice.

        Args:
            event_digest: over the events delivered from these frames; kept in the last segment.

        Raises:
            DiskFull, RecorderError: something could not be written or sealed; what was written
                before is whole, and `recorder recover` finishes the rest.
        """
        if not self._closed:
            self._closed = True
            try:
                self._appender.finish(_recorded(event_digest))
                self._sealer.finish()
            finally:
                self._release()
        for failure in (self._appender.failure, self._sealer.failure):
            if failure is not None:
                raise failure
        frames = self._next_seq - self._first_seq
        return CloseReport(
            frames=frames,
            first_seq=self._first_seq if frames else None,
            last_seq=self._next_seq - 1 if frames else None,
            segments=self._sealer.sealed,
        )

    def discard(self) -> None:
        """Stop, and remove the capture if this writer created it (else only stop and seal)."""
        if self._closed:
            return
        if not self._opened.is_new:
            self.close()
            return
        self._closed = True
        try:
            self._appender.finish(None)
            self._sealer.kill()
        finally:
            self._release()
        discard(self._opened)

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except RecorderError:
            if error is None:  # an error of the body is the cause, and must not be hidden
                raise

    def _release(self) -> None:
        self._status.close()
        os.close(self._opened.lock_fd)

    def _status_now(self) -> dict[str, Any]:
        appender = self._appender
        return {
            "pid": os.getpid(),
            "seq": self._next_seq - 1,
            "written_seq": appender.written_seq,
            "durable_seq": appender.durable_seq,
            "queue": appender.queued_bytes,
            "unsynced": appender.unsynced_bytes,
            "pace": "waiting for room" if appender.is_waiting else appender.pace.name,
            "disk": self.forecast,
            "notes": self._notes.latest(),
            "segment": appender.segment,
            "unsealed_segments": self._sealer.waiting,
            "sealing_failure": None if self._sealer.failure is None else str(self._sealer.failure),
            "connections": [],
            **self._extra_status,
        }


def _recorded(digest: EventDigest | None) -> dict[str, int | str] | None:
    if digest is None or digest.first_seq is None:
        return None
    return {
        "first_seq": digest.first_seq,
        "count": digest.count,
        "digest": digest.hexdigest(),
    }
