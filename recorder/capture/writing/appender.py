"""Append frames to the journal, off the caller's thread, and make them durable.

Responsible for putting together what stands behind `CaptureWriter`: a backlog, a thread that drains
it into journals (`drain`), one that makes them durable (`journal_sync`); and for handing over
without ever waiting for the disk. Refuses to write or to sync itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from recorder.capture.journal import BLOCK_BYTES
from recorder.capture.journal.chain import JournalChain
from recorder.capture.journal.roll import Roller
from recorder.capture.journal.room import Disk, Room
from recorder.capture.journal.sync import JournalSync
from recorder.capture.options import AppenderOptions, Loss
from recorder.capture.writing import refusals
from recorder.capture.writing.backlog import Backlog
from recorder.capture.writing.drain import LOOK_S, TRIES, Drain
from recorder.capture.writing.pace import Pace
from recorder.errors import RecorderError
from recorder.frame import Frame, Kind
from recorder.latency import Latencies

__all__ = ["Appender", "AppenderOptions"]


class Appender:
    """The journal's writing side. `hand_over` never waits for the disk."""

    def __init__(
        self,
        root: Path,
        *,
        capture_id: str,
        segment: int,
        next_seq: int,
        roller: Roller,
        options: AppenderOptions,
        on_retired: Callable[[int], None],
        disk: Disk | None = None,
        room: Room | None = None,
        on_shortage: Callable[[int], None] = lambda _: None,
    ) -> None:
        disk = disk or Disk()
        self._root = root
        self._options = options
        self._flush_s = options.flush_s
        self._room = room or Room(root, disk, keep_free=0)
        self._lock = threading.RLock()  # taken directly where it is hot: half the cost
        self._changed = threading.Condition(self._lock)
        self._backlog = Backlog()
        self._journals = JournalChain(
            root, capture_id=capture_id, next_segment=segment, disk=disk, changed=self._changed
        )
        self._drain = Drain(
            root,
            self._backlog,
            self._journals,
            changed=self._changed,
            roller=roller,
            room=self._room,
            options=options,
            next_seq=next_seq,
            on_retired=on_retired,
            on_shortage=on_shortage,
        )
        self._syncer = self._drain.syncer = JournalSync(
            self._journals,
            self._backlog,
            disk=disk,
            changed=self._changed,
            sync_s=options.sync_s,
            durable_seq=next_seq - 1,
            on_retired=on_retired,
            on_failure=self._drain.fail,
        )
        self._journals.begin(next_seq)
        self._drain.thread.start()
        self._syncer.thread.start()

    @property
    def failure(self) -> RecorderError | None:
        """Why nothing more is taken, None if all is well."""
        return self._drain.failure

    @property
    def queued_bytes(self) -> int:
        """Memory of frames not yet written."""
        return self._drain.queued_bytes

    @property
    def written_seq(self) -> int:
        """Up to where a reader can see."""
        return self._drain.written_seq

    @property
    def segment(self) -> int:
        """The segment being written."""
        return self._journals.segment

    @property
    def written_bytes(self) -> int:
        """Bytes of journal written so far."""
        return self._journals.written_bytes

    @property
    def durable_seq(self) -> int:
        """Last number that survives a power cut."""
        return self._syncer.durable_seq

    @property
    def unsynced_bytes(self) -> int:
        """Memory of frames that are written and kept until they are durable."""
        return self._backlog.unsynced_bytes

    @property
    def oldest_mono(self) -> int | None:
        """When the oldest frame came that is not durable yet, None if all are; from any thread."""
        return self._backlog.oldest_mono

    @property
    def syncs(self) -> Latencies:
        """How long making durable took."""
        return self._syncer.latencies

    @property
    def is_waiting(self) -> bool:
        """Whether frames wait in memory for room on the disk."""
        return self._drain.is_waiting

    @property
    def pace(self) -> Pace:
        """How far the disk is behind."""
        return self._drain.pace

    def take_losses(self) -> list[Loss]:
        """Return what was dropped since the last call."""
        with self._changed:
            losses, self._backlog.losses = self._backlog.losses, []
        return losses

    def take_notes(self) -> list[str]:
        """Return what happened to the disk since the last call, a sentence each."""
        with self._changed:
            notes, self._drain.notes = self._drain.notes, []
        return notes

    def hand_over(self, frames: Sequence[Frame], size: int) -> None:
        """Queue frames (`size` payload bytes) and return at once."""
        backlog, drain = self._backlog, self._drain
        with self._lock:
            is_first = self._flush_s is not None and not backlog
            waiting = drain.queued_bytes = backlog.put(frames, size)
            if waiting >= drain.calm_bytes or drain.pace.level:
                drain.added()
            if self._flush_s is None:
                if drain.is_idle:
                    drain.is_idle = False  # it finds all that comes until it wakes
                    self._changed.notify_all()
                return
            if backlog.queued_bytes >= BLOCK_BYTES or any(f.kind >= Kind.OPENED for f in frames):
                drain.due_at = 0.0
                self._changed.notify_all()
            elif is_first:
                drain.due_at = time.monotonic() + self._flush_s
                self._changed.notify_all()

    def hurry(self) -> None:
        """Write what waits now, however young it is."""
        with self._changed:
            if self._drain.due_at is not None:
                self._drain.due_at = 0.0
                self._changed.notify_all()

    def wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until a condition on this object holds, or writing failed."""
        with self._changed:
            return self._changed.wait_for(
                lambda: until() or self.failure is not None, timeout=timeout
            )

    def finish(self, events: dict[str, int | str] | None) -> None:
        """Write what is queued and the trailer, make all durable, end both threads.

        A disk that makes no progress for a minute is given up: the threads are left behind.
        """
        with self._changed:
            self._drain.events = events
            self._drain.stopping = True
            self._changed.notify_all()
        if not self._has_ended(self._drain.thread):
            return
        self._syncer.stop()
        if not self._has_ended(self._syncer.thread):
            return
        for _ in range(TRIES):
            if self._syncer.fault is None:
                break
            self._drain.run()  # the last sync failed: write again what it covered
            self._syncer.sync()
        if self._syncer.fault is not None:
            self._drain.fail(refusals.failed(self._root, self._syncer.fault))
        self._journals.close()
        self._room.release_reserve()

    def _has_ended(self, thread: threading.Thread) -> bool:
        waited, seen = 0.0, None
        while thread.is_alive():
            thread.join(LOOK_S)
            now = (self.written_seq, self.durable_seq, self.queued_bytes, self._drain.tries)
            waited = 0.0 if now != seen else waited + LOOK_S
            seen = now
            if waited > self._options.patience_s:
                self._drain.fail(refusals.hung(self._root, waited, self.durable_seq))
                return False
        return True
