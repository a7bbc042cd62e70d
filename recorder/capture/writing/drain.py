"""The draining thread: from the backlog into journals, also when the disk does not want to.

Responsible for when blocks are cut and written, and for what happens when the disk is full, slow or
failing (docs/format.md, "Full disk, failing disk"). Refuses to sync, to seal, to number frames, and
to drop one without a `lost` row in its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path

import msgspec

from recorder.capture.journal import CODEC_PLAIN, CODEC_ZSTD
from recorder.capture.journal.chain import JournalChain, NotCreated
from recorder.capture.journal.roll import Roller
from recorder.capture.journal.room import RESERVE_BYTES, Room
from recorder.capture.journal.sync import JournalSync
from recorder.capture.options import AppenderOptions
from recorder.capture.writing import refusals
from recorder.capture.writing.backlog import Backlog, Batch
from recorder.capture.writing.pace import CALM, Pace
from recorder.errors import RecorderError
from recorder.frame import Frame

_TAKE_BYTES = 8 << 20
"""A long backlog is drained in pieces of about this size: what is in hand cannot be dropped."""
UNSYNCED_BYTES = 64 << 20
"""Written frames are kept in memory until they are durable; beyond this, writing waits for it."""
_UNSYNCED_SEGMENTS = 16
_LEAST_QUEUE_BYTES = 16 << 20
"""Below this nothing is dropped, however small the queue: one socket read may bring as much."""
_LAST_BYTES = RESERVE_BYTES // 2
"""Of the newest frames, so many still go into the reserve when a recorder ends on a full disk."""
LOOK_S = 0.1
TRIES = 5


class Drain:
    """The thread that writes. `changed` guards everything that others look at.

    Attributes:
        written_seq: up to where a reader can see. queued_bytes: memory of frames not yet written.
        failure: why nothing more is taken, None if all is well.
        is_waiting: frames wait in memory for room. tries: failed writes in a row.
        due_at: when a block is old enough, monotonic s; None: now.
        is_idle: the thread sleeps, and new frames should wake it.
        calm_bytes: with less than this waiting, adding frames calls for nothing.
        stopping, events: end with a trailer that says what the recorder's event digest came to.
    """

    def __init__(
        self,
        root: Path,
        backlog: Backlog,
        journals: JournalChain,
        *,
        changed: threading.Condition,
        roller: Roller,
        room: Room,
        options: AppenderOptions,
        next_seq: int,
        on_retired: Callable[[int], None],
        on_shortage: Callable[[int], None],
    ) -> None:
        self._root = root
        self._backlog = backlog
        self._journals = journals
        self._changed = changed
        self._roller = roller
        self._room = room
        self._options = options
        self._on_retired = on_retired
        self._on_shortage = on_shortage
        least = min(options.queue_bytes, options.wait_bytes)
        self.calm_bytes = max(least, _LEAST_QUEUE_BYTES) // 8
        self._look_at = 0.0  # when to try again, monotonic s
        self._replace_up_to = next_seq - 1
        self.syncer: JournalSync
        self.pace = Pace()
        self.notes: list[str] = []
        self.failure: RecorderError | None = None
        self.is_waiting = False
        self.tries = 0
        self.due_at: float | None = None
        self.is_idle = self.stopping = False
        self.events: dict[str, int | str] | None = None
        self.queued_bytes = 0
        self.written_seq = next_seq - 1
        self.thread = threading.Thread(target=self.run, name="journal", daemon=True)

    @property
    def durable_seq(self) -> int:
        """Last number that survives a power cut."""
        return self.syncer.durable_seq

    @property
    def _limit(self) -> int:
        options = self._options
        limit = options.wait_bytes if self.is_waiting else options.queue_bytes
        return max(limit, _LEAST_QUEUE_BYTES)

    @property
    def _cause(self) -> str:
        if self.is_waiting:
            return "disk full"
        return "disk failed" if self.tries else "disk too slow"

    def added(self) -> None:
        """Keep the backlog within its bounds after frames were added. Called with the lock held."""
        limit = self._limit
        excess = self._backlog.waiting_bytes - limit
        if excess > 0:
            self._look_at_pace()
            self._backlog.drop(excess, self._cause)
        self._count()
        if self.pace.level or self.queued_bytes * 8 >= limit:
            self._look_at_pace()

    def _count(self) -> None:
        self.queued_bytes = self._backlog.waiting_bytes

    def _look_at_pace(self) -> None:
        if not self.is_waiting and not self.tries:
            self.notes += self.pace.look(self._backlog.waiting_bytes, self._limit)

    def run(self) -> None:
        """Write until told to stop and done."""
        while True:
            with self._changed:
                while not self._is_due():
                    self.is_idle = True
                    self._changed.wait(self._patience())
                self.is_idle = False
                fault = self.syncer.fault
                is_end = self.stopping and (
                    not self._backlog or self.is_waiting or self.failure is not None
                )
            try:
                try:
                    if fault is not None:
                        raise fault
                    if is_end:
                        self._end()
                        return
                    self._go_on()
                except OSError as error:
                    self._meet(error)
            except Exception as error:  # noqa: BLE001 - a thread must hand on whatever stopped it
                self.fail(refusals.mistake(error))
                return

    def _is_due(self) -> bool:
        """Tell whether there is something to do now. Called with the lock held."""
        if self.stopping or self.syncer.fault is not None:
            return True
        if self.failure is not None:
            return False
        now = time.monotonic()
        if self.is_waiting or self.tries:
            return now >= self._look_at
        if not self._backlog or self._is_ahead_of_sync():
            return False
        return self.due_at is None or now >= self.due_at

    def _is_ahead_of_sync(self) -> bool:
        retired = len(self._journals.retired)
        return self._backlog.unsynced_bytes > UNSYNCED_BYTES or retired > _UNSYNCED_SEGMENTS

    def _patience(self) -> float | None:
        """Return the seconds after which something may be due by itself."""
        if self.failure is not None:
            return None
        if self.is_waiting or self.tries:
            return max(self._look_at - time.monotonic(), 0.001)
        if self._is_ahead_of_sync():
            self.syncer.hurry()
            return None
        if self._backlog and self.due_at is not None:
            return max(self.due_at - time.monotonic(), 0.0005)
        return None

    def _go_on(self) -> None:
        if self.is_waiting:
            self._look_at = time.monotonic() + LOOK_S
            short = self._room.shortage(min(self.queued_bytes, _TAKE_BYTES))
            if short:
                self._on_shortage(short)
                return
            self._room.take_reserve()
            self._resume()
        self._room.require()
        if self._journals.current is None:
            self._begin_again()
        self._drain()

    def _resume(self) -> None:
        """Go on in a new segment: there is room again."""
        first_seq = self._backlog.first_seq
        journal = self._journals.current
        if journal is not None and journal.count and first_seq is not None:
            self._roller.begin_anew()
            self._journals.roll(first_seq)
            self.syncer.hurry()
        with self._changed:
            self.is_waiting = False
            self.notes.append(
                f"there is room on the disk again: recording goes on in segment "
                f"{self._journals.segment}"
            )

    def _begin_again(self) -> None:
        """Begin a journal in the place of one that failed."""
        first_seq = self._backlog.first_seq
        if first_seq is None:
            first_seq = self.written_seq + 1
        self._roller.begin_anew()
        self._journals.begin(first_seq, must_replace=bool(self._journals.abandoned))

    def _drain(self) -> None:
        with self._changed:
            taken = self._backlog.take(_TAKE_BYTES)
            if not self._backlog:
                self.due_at = None
            is_behind = self.pace.level > CALM
            compress = self._options.compress or is_behind
        codec = CODEC_ZSTD if compress else CODEC_PLAIN
        merged = self._options.flush_s is not None or is_behind
        for frames, after in _pieces(taken, merged=merged):
            for run in self._roller.cut(frames, self._roll):
                if after is None:
                    self._journals.add(run, codec)
                else:
                    named = msgspec.structs.replace(run, after=after)
                    self._journals.add(named, CODEC_PLAIN)
        self._journals.flush()
        if self._journals.is_replacing:
            self._publish_when_complete()
        with self._changed:
            self._backlog.written(taken)
            if not self._journals.is_replacing:
                self.tries = 0
            self._settle()
            if self._is_ahead_of_sync():
                self.syncer.hurry()
            if self._options.flush_s is not None and self._backlog and self.due_at is None:
                self.due_at = time.monotonic() + self._options.flush_s
            self._look_at_pace()

    def _settle(self) -> None:
        """Publish how far the current journal goes. Called with the lock held."""
        following = self._journals.settle()
        if following is not None:
            self.written_seq = max(self.written_seq, following - 1)
        self._count()
        self._changed.notify_all()

    def _roll(self, first_seq: int) -> None:
        if self._journals.is_replacing:
            self._publish()
        self._journals.roll(first_seq)
        self.syncer.hurry()

    def _publish_when_complete(self) -> None:
        journal = self._journals.current
        if journal is not None and journal.following > self._replace_up_to:
            self._publish()

    def _publish(self) -> None:
        """Let the journal that replaces failed ones take their place."""
        self._journals.publish()
        for segment in self._journals.cut_abandoned():
            self._on_retired(segment)
        journal = self._journals.current
        with self._changed:
            self._settle()
            if journal is not None:
                self.syncer.reached(journal.following - 1)
            self.notes.append(
                f"frames from {'' if journal is None else journal.first_seq} on were written "
                f"again, into segment {self._journals.segment}"
            )

    # --- when the disk refuses -------------------------------------------------------------

    def _meet(self, error: OSError) -> None:
        """Put back what is not safe; then wait for room, try again, or stop."""
        self._step_back(error)
        if refusals.is_full(error):
            was_waiting, self.is_waiting = self.is_waiting, True
            self._look_at = time.monotonic() + LOOK_S
            if self._options.on_full == "stop":
                self.fail(refusals.full(self._root))
            elif not was_waiting:
                self._note(f"the disk of {self._root} is full: frames wait in memory for room")
            return
        self.tries += 1
        self._look_at = time.monotonic() + 0.05 * 2**self.tries
        if self.tries > TRIES:
            self.fail(refusals.failed(self._root, error))
            return
        reason = refusals.reason_of(error)
        self._note(f"the disk failed a write ({reason}): frames go into a new segment")

    def _step_back(self, error: OSError) -> None:
        """Put back what cannot be taken for written."""
        journals = self._journals
        # Want of room spoils no file, and neither does a next one that could not be created. But
        # after a failed sync, or any other failed write, only what is durable can be trusted.
        is_bad = (
            self.syncer.fault is not None
            or journals.is_replacing
            or not (refusals.is_full(error) or isinstance(error, NotCreated))
        )
        with self._changed:
            self._settle()
            if is_bad:
                journals.mark = None  # no sync of it from here on
                self._replace_up_to = max(self._replace_up_to, self.written_seq)
            self._backlog.put_back(self.durable_seq if is_bad else self.written_seq)
            self.due_at = None if self._options.flush_s is None else 0.0
            self._count()
        if is_bad:
            journals.abandon()
            self.syncer.fault = None

    def _end(self) -> None:
        """Write what is left, or the row that stands for it, and the trailer."""
        problem: OSError | None = None
        most = self.queued_bytes
        if self.is_waiting and self._room.shortage(most):
            self._room.release_reserve()
            most = _LAST_BYTES
        for keep in (most, min(most, _LAST_BYTES), 0):
            try:
                if self._backlog:
                    self._write_last(keep)
                if self._journals.current is not None:
                    self._journals.end(None if self._backlog.has_dropped else self.events)
                problem = None
                break
            except OSError as error:
                problem = error
                self._step_back(error)
        with self._changed:
            self._settle()
        if problem is not None:
            self.fail(refusals.not_ended(self._root, problem))
        first_seq = self._backlog.first_seq
        if first_seq is not None and self.failure is not None:
            self.failure = refusals.unsaved(self.failure, first_seq)

    def _write_last(self, most: int) -> None:
        with self._changed:
            self._backlog.drop(self._backlog.queued_bytes - most, self._cause)
        if self._journals.current is None:
            self._begin_again()
        while self._backlog:
            self._drain()

    def _note(self, words: str) -> None:
        with self._changed:
            self.notes.append(words)

    def fail(self, failure: RecorderError) -> None:
        """Take nothing more; the first reason counts."""
        with self._changed:
            if self.failure is None:
                self.failure = failure
            self._changed.notify_all()


def _pieces(
    batches: Sequence[Batch], *, merged: bool
) -> Iterator[tuple[Sequence[Frame], int | None]]:
    """Yield frames for blocks of their own, and after a hole's row the number that comes next."""
    if not merged:
        for batch in batches:
            yield batch.frames, batch.following if batch.is_hole else None
        return
    for is_hole, group in groupby(batches, key=lambda batch: batch.is_hole):
        if is_hole:
            for batch in group:
                yield batch.frames, batch.following
        else:
            yield list(chain.from_iterable(batch.frames for batch in group)), None
