"""Append frames to the journal, off the caller's thread, and make them durable.

Responsible for the two threads behind `CaptureWriter`: one drains the queue into journal blocks
with one `writev` per drain and rolls segments, one calls `fdatasync` (in its own thread because
inline it would hold the drain for as long as the disk is busy). Refuses to seal, to number
frames, or to fsync a file again after that failed: Linux may then report success for pages it
has dropped.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from recorder.capture import layout
from recorder.capture.digest import BLOCK_SHIFT, PartDigests
from recorder.capture.journal import (
    CODEC_PLAIN,
    CODEC_ZSTD,
    FILE_HEADER,
    JournalHeader,
    Trailer,
    encode_block,
    encode_file_header,
    encode_trailer,
    seed_of,
)
from recorder.capture.roll import RecordRun, Roller
from recorder.errors import DiskFull, RecorderError
from recorder.frame import Frame

_WRITE_BYTES = 8 << 20
"""A long drain is written in pieces of about this size, so that its memory is bounded."""
_VECTOR = 512
"""Buffers per `writev`; Linux takes at most 1,024."""


class _OpenJournal:
    """One journal file being written."""

    def __init__(self, root: Path, header: JournalHeader, *, mode: int) -> None:
        self.segment = header.segment
        self.path = layout.journal_path(root, header.segment)
        self.seed = seed_of(header.capture_id, header.segment)
        self.parts = PartDigests()
        self.count = 0
        self.number = 0
        self.last_seq = header.first_seq - 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.fd = os.open(self.path, flags, mode)
        layout.write_all(self.fd, encode_file_header(header))
        self.offset = FILE_HEADER.size
        os.fsync(self.fd)
        layout.fsync_directory(self.path.parent)

    def close(self) -> None:
        """Close the descriptor; may be called again."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


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
        sync_s: float,
        compress: bool,
        on_retired: Callable[[int], None],
    ) -> None:
        self._root = root
        self._capture_id = capture_id
        self._mode = layout.file_mode(root)
        self._roller = roller
        self._sync_s = sync_s
        self._codec = CODEC_ZSTD if compress else CODEC_PLAIN
        self._on_retired = on_retired
        self._queue: deque[tuple[Sequence[Frame], int]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._sync_wake = threading.Event()
        self._sync_stop = False
        self._retired: list[_OpenJournal] = []
        self._events: dict[str, int | str] | None = None
        self._buffers: list[bytes] = []
        self._ends: list[tuple[int, int]] = []  # (bytes, last seq) of each buffered block
        self._buffered = 0
        self.failure: RecorderError | None = None
        self.queued_bytes = 0
        self.written_seq = next_seq - 1
        self.durable_seq = next_seq - 1
        self._journal = _OpenJournal(
            root, JournalHeader(capture_id, segment, next_seq), mode=self._mode
        )
        self._drainer = threading.Thread(target=self._run, name="journal", daemon=True)
        self._syncer = threading.Thread(target=self._run_sync, name="journal-sync", daemon=True)
        self._drainer.start()
        self._syncer.start()

    @property
    def segment(self) -> int:
        """The segment being written."""
        return self._journal.segment

    def hand_over(self, frames: Sequence[Frame], size: int) -> None:
        """Queue frames (`size` payload bytes) and return at once."""
        with self._changed:
            self._queue.append((frames, size))
            self.queued_bytes += size
            self._changed.notify_all()

    def wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until a condition on this object holds, or writing failed."""
        with self._changed:
            return self._changed.wait_for(
                lambda: until() or self.failure is not None, timeout=timeout
            )

    def finish(self, events: dict[str, int | str] | None) -> None:
        """Write what is queued and the trailer, make all durable, end both threads."""
        with self._changed:
            self._events = events
            self._stopping = True
            self._changed.notify_all()
        self._drainer.join()
        self._sync_stop = True
        self._sync_wake.set()
        self._syncer.join()
        for journal in (*self._retired, self._journal):  # left open only by a failure
            journal.close()

    # --- the draining thread ---------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                taken = list(self._queue)
                self._queue.clear()
            if not taken:
                break
            if self.failure is None:
                self._guard(partial(self._drain, taken))
            with self._changed:
                self.queued_bytes -= sum(size for _, size in taken)
                self._changed.notify_all()
        if self.failure is None:
            self._guard(lambda: self._end_journal("close"))

    def _drain(self, taken: list[tuple[Sequence[Frame], int]]) -> None:
        for frames, _ in taken:
            for run in self._roller.cut(frames, self._roll):
                self._buffer(run)
        self._write_buffers()

    def _buffer(self, run: RecordRun) -> None:
        journal = self._journal
        header, stored = encode_block(
            run.records,
            seed=journal.seed,
            number=journal.number,
            first_seq=run.first_seq,
            count=run.count,
            codec=self._codec,
        )
        journal.number += 1
        journal.parts.update(run.first_seq >> BLOCK_SHIFT, run.count, run.records)
        journal.count += run.count
        journal.last_seq = run.first_seq + run.count - 1
        size = len(header) + len(stored)
        self._buffers += (header, stored)
        self._ends.append((size, journal.last_seq))
        self._buffered += size
        if self._buffered >= _WRITE_BYTES or len(self._buffers) >= _VECTOR:
            self._write_buffers()

    def _write_buffers(self) -> None:
        """Write the buffered blocks; on an error leave exactly the whole ones."""
        if not self._buffers:
            return
        views = [memoryview(buffer) for buffer in self._buffers]
        written = 0
        failed: OSError | None = None
        while views:
            try:
                step = os.writev(self._journal.fd, views)
            except OSError as error:
                failed = error
                break
            written += step
            while views and step >= len(views[0]):
                step -= len(views.pop(0))
            if step:
                views[0] = views[0][step:]
        whole, last_seq = 0, self.written_seq
        for size, block_last in self._ends:
            if whole + size > written:
                break
            whole += size
            last_seq = block_last
        self._journal.offset += whole
        self._buffers.clear()
        self._ends.clear()
        self._buffered = 0
        with self._changed:
            self.written_seq = last_seq
            self._changed.notify_all()
        if failed is not None:
            os.ftruncate(self._journal.fd, self._journal.offset)
            raise failed

    def _roll(self, first_seq: int) -> None:
        """Begin the next segment, durably, before leaving the old one."""
        self._write_buffers()
        header = JournalHeader(self._capture_id, self._journal.segment + 1, first_seq)
        following = _OpenJournal(self._root, header, mode=self._mode)
        self._end_journal("roll")
        with self._changed:
            self._journal = following
        self._sync_wake.set()

    def _end_journal(self, reason: str) -> None:
        """Write the trailer and hand the file to the syncing thread."""
        journal = self._journal
        if journal.count == 0:
            journal.path.unlink()
        else:
            trailer = Trailer(
                count=journal.count,
                last_seq=journal.last_seq,
                digests=journal.parts.blocks(),
                end=reason,
                events=self._events if reason == "close" else None,
            )
            self._buffers += encode_trailer(trailer, seed=journal.seed, number=journal.number)
            self._ends.append((sum(map(len, self._buffers)), journal.last_seq))
            self._write_buffers()
        with self._changed:
            self._retired.append(journal)

    # --- the syncing thread ----------------------------------------------------------------

    def _run_sync(self) -> None:
        while True:
            self._sync_wake.wait(self._sync_s)
            self._sync_wake.clear()
            last_round = self._sync_stop
            self._guard(self._sync)
            if last_round:
                return

    def _sync(self) -> None:
        with self._changed:
            retired, self._retired = self._retired, []
            journal, written = self._journal, self.written_seq
        for old in retired:
            try:
                if self.failure is None:
                    os.fdatasync(old.fd)
            finally:
                old.close()
            if self.failure is None and old.count:
                self._on_retired(old.segment)
        if self.failure is None and written > self.durable_seq:
            if journal not in retired:
                os.fdatasync(journal.fd)
            self.durable_seq = written

    def _guard(self, work: Callable[[], None]) -> None:
        """Run a step; keep its failure for the caller's next call instead of dying silently."""
        try:
            work()
        except OSError as error:
            self._fail(_as_recorder_error(error, self._journal.path))
        except Exception as error:  # noqa: BLE001 - a thread must hand on whatever stopped it
            self._fail(RecorderError(f"the journal writer stopped: {error!r}; report this"))

    def _fail(self, failure: RecorderError) -> None:
        with self._changed:
            if self.failure is None:
                self.failure = failure
            self._changed.notify_all()


def _as_recorder_error(error: OSError, path: Path) -> RecorderError:
    if error.errno in layout.NO_ROOM:
        return DiskFull(
            f"expected room to write {path}, but the disk is full; what was written before is "
            f"whole: free some space, then continue with --append"
        )
    return RecorderError(
        f"expected to write {path}, but the system said {error.strerror or error}; what was "
        f"written before is whole: check the disk, then continue with --append"
    )
