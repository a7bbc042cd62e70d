"""The syncing thread: what was written becomes durable, at most `sync_s` later.

Responsible for `fdatasync`, for publishing how far it reached and never further, and for handing
finished journals on once they are durable. Refuses to sync a file again after that failed: Linux
may then report success for pages it has dropped. The failure goes to `appender`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from recorder.capture.journal.chain import JournalChain
from recorder.capture.journal.room import Disk
from recorder.capture.writing import refusals
from recorder.capture.writing.backlog import Backlog
from recorder.errors import RecorderError
from recorder.latency import Latencies


class JournalSync:
    """Calls `fdatasync` in a thread of its own.

    Attributes:
        durable_seq: survives a power cut, as everything below it.
        latencies: how long syncs took.
        fault: why a sync failed; until the draining thread has dealt with it, nothing is synced.
    """

    def __init__(
        self,
        journals: JournalChain,
        backlog: Backlog,
        *,
        disk: Disk,
        changed: threading.Condition,
        sync_s: float,
        durable_seq: int,
        on_retired: Callable[[int], None],
        on_failure: Callable[[RecorderError], None],
    ) -> None:
        self._journals = journals
        self._backlog = backlog
        self._disk = disk
        self._changed = changed
        self._sync_s = sync_s
        self._on_retired = on_retired
        self._on_failure = on_failure
        self._wake = threading.Event()
        self._stopping = False
        self.fault: OSError | None = None
        self.durable_seq = durable_seq
        self.latencies = Latencies()
        self.thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)

    def hurry(self) -> None:
        """Sync now."""
        self._wake.set()

    def stop(self) -> None:
        """Sync once more, then end."""
        self._stopping = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._sync_s)
            self._wake.clear()
            is_last = self._stopping
            self.sync()
            if is_last:
                return

    def sync(self) -> None:
        """Make durable what has been written so far; keep a failure as `fault`."""
        try:
            self._sync()
        except OSError as error:
            with self._changed:
                self.fault = error
                self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - a thread must hand on whatever stopped it
            self._on_failure(refusals.mistake(error))

    def _sync(self) -> None:
        journals = self._journals
        with self._changed:
            if self.fault is not None:
                return
            closable, journals.closable = journals.closable, []
            retired, mark = list(journals.retired), journals.mark
            unanchored = journals.unanchored()
        for old in closable:
            old.close()
        # First of all: without the next journal's header, the end of one would look like the end
        # of the recording, once it is sealed.
        for new in unanchored:
            new.anchor()
        for old in retired:
            self._make_durable(old.fd)
            with self._changed:
                if old not in journals.retired:
                    return  # given up meanwhile: its frames go into another file
                journals.retired.remove(old)
                self.reached(old.following - 1)
            old.close()
            self._on_retired(old.segment)
        if mark is None or mark.following - 1 <= self.durable_seq or mark.journal in retired:
            return
        self._make_durable(mark.journal.fd)
        with self._changed:
            if mark.journal is journals.current or mark.journal in journals.retired:
                mark.journal.durable_offset = mark.offset
                self.reached(mark.following - 1)

    def _make_durable(self, fd: int) -> None:
        began = time.monotonic_ns()
        self._disk.fdatasync(fd)
        self.latencies.add(time.monotonic_ns() - began)

    def reached(self, seq: int) -> None:
        """Note that everything up to a number is durable. Called with the lock held."""
        self.durable_seq = max(self.durable_seq, seq)
        self._backlog.durable(self.durable_seq)
        self._changed.notify_all()
