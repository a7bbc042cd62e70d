"""The recorder's end of the sealer: starts it, feeds it segments, restarts it when it dies.

Responsible for keeping the recording independent of sealing: a dead, hanging or failing sealer
leaves segments in the journal, where they are safe and readable, and is tried again with the next
segment (a disk that was full has room again, a process that was killed for its memory starts
anew). Also passes on what is to be deleted: retention reads and hashes files, which the recorder
must not. Refuses to seal anything itself: Arrow work under the recorder's own GIL would stall the
socket reader.
"""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.writing.pace import CALM, HASTY, SEALING_PAUSED
from recorder.errors import DiskFull, InternalError, RecorderError

_RESTARTS = 3
"""How often a process that dies over one segment is started again before the next attempt."""
_HANGS = 2
"""How often one may say nothing for its whole time."""
PATIENCE_S = 60.0
"""Time for any request; on top of it a byte of journal has a share, of a very slow machine."""
_BYTES_PER_S = 256 << 10
_DEATH_S = 10.0
_PAUSE_LOOK_S = 0.2


class Answer(msgspec.Struct, omit_defaults=True):
    """One line of the sealer's standard output."""

    file: str | None = None
    error: str | None = None
    is_disk_full: bool = False
    removed: int = 0


_decode_answer = msgspec.json.Decoder(Answer).decode


class Retain(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long sealed segments are kept; None: for ever.

    Attributes:
        is_ring: the oldest also go where a full disk has no room to seal the next.
    """

    days: float | None = None
    max_bytes: int | None = None
    is_ring: bool = False

    def __bool__(self) -> bool:
        return self.days is not None or self.max_bytes is not None


class Hang(Exception):
    """The process says nothing."""


class SealerProcess:
    """A queue of segment numbers and the process that works through it.

    Attributes:
        sealed: segments sealed so far; sealed_bytes: of their files, journal_bytes: of what they
            were sealed from. removed: segments deleted by retention.
        failure: why the first of the waiting segments could not be sealed, None if all is well.
    """

    def __init__(
        self,
        root: Path,
        *,
        lock_fd: int,
        retain: Retain | None = None,
        pace: Callable[[], int] = lambda: CALM,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._root = root
        self._lock_fd = lock_fd  # inherited: LOCK stays held while an orphan still writes
        self._retain = Retain() if retain is None else retain
        self._pace = pace
        self._patience_s = patience_s
        self._queue: deque[int] = deque()
        self._changed = threading.Condition()
        self._due = False  # something was submitted since the last attempt began
        self._wanted_room = 0
        self._finishing = False
        self._abandoned = False
        self._process: subprocess.Popen[bytes] | None = None
        self._stuck: subprocess.Popen[bytes] | None = None  # killed, and still there
        self._thread: threading.Thread | None = None
        self._is_hasty = False
        self._notes: list[str] = []
        self._told_error: str | None = None  # of the latest try to let segments go
        self.sealed = self.sealed_bytes = self.journal_bytes = self.removed = 0
        self.failure: RecorderError | None = None

    @property
    def waiting(self) -> int:
        """Segments submitted and not yet sealed."""
        return len(self._queue)

    def take_notes(self) -> list[str]:
        """Return what a person should know, a sentence each, since the last call."""
        with self._changed:
            notes, self._notes = self._notes, []
        return notes

    def submit(self, segment: int) -> None:
        """Queue a finished journal segment; starts the process with the first one."""
        with self._changed:
            self._queue.append(segment)
            self._due = True
            self._start_thread()

    def make_room(self, wanted: int) -> None:
        """Have the oldest sealed segments deleted until so many bytes are free; returns at once."""
        with self._changed:
            self._wanted_room = wanted
            self._start_thread()

    def _start_thread(self) -> None:
        self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sealing", daemon=True)
            self._thread.start()

    def wait_below(self, backlog: int) -> None:
        """Wait until fewer than `backlog` segments wait, or sealing has failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < backlog or self.failure is not None)

    def finish(self) -> None:
        """Seal everything submitted (also what failed before), then end the process.

        A process that hangs is given its time and killed, twice; what it leaves stays a journal.
        """
        with self._changed:
            self._finishing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._end_process()

    def kill(self) -> None:
        """End the process at once; everything it does may be cut off at any point."""
        with self._changed:
            self._finishing = self._abandoned = True
            self._queue.clear()
            self.failure = self.failure or RecorderError("sealing was abandoned")
            self._changed.notify_all()
        process = self._process
        if process is not None:
            process.kill()
        if self._thread is not None:
            self._thread.join()
        self._end_process()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - nobody waits for a thread that is gone unsaid
            with self._changed:
                self.failure = InternalError(
                    f"the sealing of {self._root} stopped: {error!r}; report this: the frames are "
                    f"safe in its journal, and `recorder recover {self._root}` seals them when "
                    f"nothing is recording"
                )
                self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._finishing or self._wanted_room)
                self._due, is_last = False, self._finishing
                room, self._wanted_room = self._wanted_room, 0
            if room and not is_last:
                self._remove(b"room %d" % room)
            # Later segments need this one's checkpoint: the first that fails holds them all back.
            while self._seal_first():
                if self._retain and not self._abandoned:
                    self._remove(b"retain")
                if self._wanted_room and not is_last:
                    self._due = True
                    break
            if is_last:
                return

    def _remove(self, request: bytes) -> None:
        problem = "the sealer died over it"
        try:
            answer = self._ask(request, self._patience_s)
        except Hang:
            answer, problem = None, f"the sealer said nothing for {self._patience_s:.0f} s"
        if answer is None:
            self._bury()
            answer = Answer(error=problem)
        with self._changed:
            self._count_removed(answer)
            if answer.error is not None and answer.error != self._told_error:
                self._notes.append(f"old segments could not be let go: {answer.error}")
            self._told_error = answer.error  # asked again ten times a second while a disk is full

    def _count_removed(self, answer: Answer) -> None:
        """Add up and tell what went. Called with the lock held."""
        self.removed += answer.removed
        if answer.removed:
            self._notes.append(f"{answer.removed} of the oldest segments were let go")

    def _seal_first(self) -> bool:
        """Seal the first waiting segment; tell whether there was one and that succeeded."""
        with self._changed:
            while self._pace() >= SEALING_PAUSED and not self._finishing:
                self._is_hasty |= self._pace() >= HASTY
                self._changed.wait(_PAUSE_LOOK_S)
            if not self._queue:
                return False
            segment = self._queue[0]
            if len(self._queue) == 1 and self._pace() == CALM:
                self._is_hasty = False
        failure = self._seal(segment)
        with self._changed:
            if not self._abandoned:
                self.failure = failure
                if failure is None:
                    self._queue.popleft()
                    self.sealed += 1
            self._changed.notify_all()
        return failure is None

    def _seal(self, segment: int) -> RecorderError | None:
        size = self._size(layout.journal_path(self._root, segment))
        said, kind, hangs = "it died", RecorderError, 0
        request = b"seal %d hasty" % segment if self._is_hasty else b"seal %d" % segment
        for _ in range(1 + _RESTARTS):
            if self._abandoned or self._stuck is not None:
                break
            patience_s = self._patience_s + size / _BYTES_PER_S
            try:
                answer = self._ask(request, patience_s)
            except Hang:
                said, hangs = f"it said nothing for {patience_s:.0f} s", hangs + 1
                self._bury()
                if hangs == _HANGS:
                    break
                continue
            if answer is None:
                self._bury()
                continue
            with self._changed:
                self._count_removed(answer)
            if answer.error is None:
                if answer.file is not None:
                    self.sealed_bytes += self._size(self._root / answer.file)
                    self.journal_bytes += size
                return None
            said = answer.error
            kind = DiskFull if answer.is_disk_full else RecorderError
            break
        return kind(
            f"expected the sealer to seal segment {segment} of {self._root}, but {said}; the "
            f"frames are safe in its journal: `recorder recover {self._root}` seals it when "
            f"nothing is recording"
        )

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except OSError:
            return 0

    def _ask(self, request: bytes, patience_s: float) -> Answer | None:
        """Send a request and wait for its answer; None where the process died.

        Raises:
            Hang: there is no answer in time.
        """
        if self._stuck is not None and self._stuck.poll() is None:
            raise Hang
        self._stuck = None
        try:
            if self._process is None:
                self._process = self._start()
            process = self._process
            if process.stdin is None or process.stdout is None:
                return None
            process.stdin.write(request + b"\n")
            process.stdin.flush()
            answers = select.poll()
            answers.register(process.stdout, select.POLLIN)
            if not answers.poll(patience_s * 1000):
                raise Hang
            line = process.stdout.readline()
            return _decode_answer(line) if line else None
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def _start(self) -> subprocess.Popen[bytes]:
        retain = msgspec.json.encode(self._retain).decode()
        return subprocess.Popen(
            [sys.executable, "-m", "recorder.capture.sealing.sealer", str(self._root), retain],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._lock_fd,),
            process_group=0,  # Ctrl-C at the terminal is for the recorder, which ends this in order
        )

    def _bury(self) -> None:
        """Make sure that a process that did not answer is gone before the next one starts."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # its end of the pipe may be closed already
                    pipe.close()
        try:
            process.wait(_DEATH_S)
        except subprocess.TimeoutExpired:
            self._stuck = process  # in a system call of a dead disk: two must not seal at once

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            process.communicate(b"quit\n", timeout=_DEATH_S)
            self._process = None
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self._bury()
