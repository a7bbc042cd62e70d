"""The journals of one recording, one after another: begin, roll, end, and replace failed ones.

Responsible for which file is written now, which are finished and wait for their last sync, and
which failed and are cut once another one holds their frames (docs/format.md, "Rolling" and
"Failing disk"). Refuses to keep frames, to sync on its own account, and to decide what a failure
means: `appender` does. Only the draining thread changes it; the syncing thread looks at `marks`.
"""

from __future__ import annotations

from pathlib import Path
from threading import Condition
from typing import NamedTuple

from recorder.capture import layout
from recorder.capture.journal import CLOSE, FILE_HEADER, ROLL, JournalHeader
from recorder.capture.journal.output import JournalOutput
from recorder.capture.journal.roll import RecordRun
from recorder.capture.journal.room import Disk


class NotCreated(OSError):
    """The next journal could not be created; the one before it is as good as it was."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.errno, error.strerror)


class Mark(NamedTuple):
    """Where the current journal ended at some moment; a later sync covers at least that."""

    journal: JournalOutput
    offset: int
    following: int


class JournalChain:
    """The journals being written.

    Attributes:
        current: the one that takes frames, None after it failed.
        retired: finished, not yet synced. abandoned: failed, not yet replaced.
        closable: no longer needed; whoever syncs closes them.
        mark: what a sync of `current` is known to cover; None while no reader may see it.
    """

    def __init__(
        self, root: Path, *, capture_id: str, next_segment: int, disk: Disk, changed: Condition
    ) -> None:
        self._root = root
        self._capture_id = capture_id
        self._next_segment = next_segment
        self._disk = disk
        self._mode = layout.file_mode(root)
        self._changed = changed
        self.current: JournalOutput | None = None
        self.mark: Mark | None = None
        self.retired: list[JournalOutput] = []
        self.abandoned: list[JournalOutput] = []
        self.closable: list[JournalOutput] = []
        self._earlier_bytes = 0

    @property
    def segment(self) -> int:
        """Number of the segment begun last."""
        return self._next_segment - 1

    @property
    def written_bytes(self) -> int:
        """Bytes written so far, of all journals."""
        current = self.current
        return self._earlier_bytes + (0 if current is None else current.offset)

    @property
    def is_replacing(self) -> bool:
        """Whether the current journal holds frames of failed ones and has no name yet."""
        return self.current is not None and self.current.is_hidden

    def begin(self, first_seq: int, *, must_replace: bool = False) -> JournalOutput:
        """Create the next journal, durably, and make it the current one.

        Args:
            must_replace: it takes the frames of failed ones: it gets its name by `publish`.

        Raises:
            NotCreated: nothing has changed, but a number is used up.
        """
        journal = self._create(first_seq, is_hidden=must_replace)
        with self._changed:
            self.current = journal
            self.settle()
        return journal

    def _create(
        self, first_seq: int, *, is_hidden: bool = False, anchored: bool = True
    ) -> JournalOutput:
        header = JournalHeader(self._capture_id, self._next_segment, first_seq)
        self._next_segment += 1
        try:
            return JournalOutput(
                self._root,
                header,
                self._disk,
                mode=self._mode,
                is_hidden=is_hidden,
                anchored=anchored,
            )
        except OSError as error:
            raise NotCreated(error) from error

    def add(self, run: RecordRun, codec: int) -> None:
        """Put a run into the current journal."""
        journal = self.current or self._writing()
        journal.add(run, codec)

    def flush(self) -> None:
        """Write what is encoded."""
        self._writing().flush()

    def _writing(self) -> JournalOutput:
        if self.current is None:
            raise ValueError("no journal is open")
        return self.current

    def settle(self) -> int | None:
        """Note how far readers can see; return the number after that, None for no journal."""
        journal = self.current
        if journal is None or journal.is_hidden:
            self.mark = None
            return None
        self.mark = Mark(journal, journal.offset, journal.following)
        return journal.following

    def roll(self, first_seq: int) -> None:
        """Begin the next segment before leaving the current one, without waiting for the disk.

        Frames that come meanwhile would wait in memory, and be lost with the process. So the next
        file is made durable by whoever syncs: before the end of this one counts as durable, and
        before a sealer may delete this one.

        Raises:
            NotCreated: the next one could not be created. OSError: the end of the old one could
                not be written, and the next one is gone again.
        """
        self.flush()
        following = self._create(first_seq, anchored=False)
        try:
            self._finish(ROLL, None, following)
        except OSError:
            following.remove()
            raise

    def end(self, events: dict[str, int | str] | None) -> None:
        """Write the last trailer."""
        self._finish(CLOSE, events, None)

    def _finish(
        self, reason: str, events: dict[str, int | str] | None, following: JournalOutput | None
    ) -> None:
        journal = self._writing()
        journal.flush()
        is_empty = journal.count == 0
        if is_empty:
            journal.unlink()
        else:
            journal.end(reason, events)
            self._earlier_bytes += journal.offset
        with self._changed:  # in one step: where one is retired, the next one is known
            # The other thread may be syncing it, so it is closed there.
            (self.closable if is_empty else self.retired).append(journal)
            self.current = following
            self.settle()

    def unanchored(self) -> list[JournalOutput]:
        """Return those that have a name which is not durable yet. Called with the lock held."""
        journals = [*self.retired, *([] if self.current is None else [self.current])]
        return [one for one in journals if not (one.is_anchored or one.is_hidden)]

    # --- after a failure -------------------------------------------------------------------

    def abandon(self) -> None:
        """Give up the current journal and those whose last sync is still to come."""
        with self._changed:
            journal, self.current = self.current, None
            self.abandoned += self.retired
            self.retired = []
            self.settle()
        if journal is None:
            return
        if journal.is_hidden:
            journal.remove()
        else:
            self.abandoned.append(journal)

    def publish(self) -> None:
        """Make the replacement durable and visible: it cuts the journals that failed."""
        self._writing().publish()
        with self._changed:
            self.settle()

    def cut_abandoned(self) -> list[int]:
        """Cut what has been replaced; return the segments that still hold frames, to be sealed."""
        kept = []
        for journal in self.abandoned:
            journal.cut()
            if journal.durable_offset > FILE_HEADER.size:
                kept.append(journal.segment)
        with self._changed:
            self.closable += self.abandoned
            self.abandoned = []
        return kept

    def close(self) -> None:
        """Close whatever is still open; no thread uses it any more."""
        rest = (*self.retired, *self.abandoned, *self.closable, self.current)
        for journal in rest:
            if journal is not None:
                journal.close()
