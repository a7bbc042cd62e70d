"""The recorder's end of the sealer: starts it, feeds it segments, restarts it when it dies.

Responsible for keeping the recording independent of sealing: a dead or failing sealer leaves
segments in the journal, where they are safe and readable, and is tried again with the next segment
(a disk that was full has room again, a process that was killed for its memory starts anew).
Refuses to seal anything itself: Arrow work under the recorder's own GIL would stall the socket
reader.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.errors import DiskFull, RecorderError

_RESTARTS = 3
"""How often a process that dies over one segment is started again before the next attempt."""


class Answer(msgspec.Struct):
    """One line of the sealer's standard output."""

    segment: int
    file: str | None = None
    error: str | None = None
    is_disk_full: bool = False


class SealerProcess:
    """A queue of segment numbers and the process that works through it.

    Attributes:
        sealed: segments sealed so far.
        failure: why the first of the waiting segments could not be sealed, None if all is well.
    """

    def __init__(self, root: Path, *, lock_fd: int) -> None:
        self._root = root
        self._lock_fd = lock_fd  # inherited: LOCK stays held while an orphan still writes
        self._queue: deque[int] = deque()
        self._changed = threading.Condition()
        self._due = False  # something was submitted since the last attempt began
        self._finishing = False
        self._abandoned = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self.sealed = 0
        self.failure: RecorderError | None = None

    @property
    def waiting(self) -> int:
        """Segments submitted and not yet sealed."""
        return len(self._queue)

    def submit(self, segment: int) -> None:
        """Queue a finished journal segment; starts the process with the first one."""
        with self._changed:
            self._queue.append(segment)
            self._due = True
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sealing", daemon=True)
                self._thread.start()

    def wait_below(self, backlog: int) -> None:
        """Wait until fewer than `backlog` segments wait, or sealing has failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < backlog or self.failure is not None)

    def finish(self) -> None:
        """Seal everything submitted (also what failed before), then end the process."""
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
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._finishing)
                self._due, is_last = False, self._finishing
            # Later segments need this one's checkpoint: the first that fails holds them all back.
            while self._seal_first():
                pass
            if is_last:
                return

    def _seal_first(self) -> bool:
        """Seal the first waiting segment; tell whether there was one and that succeeded."""
        with self._changed:
            if not self._queue:
                return False
            segment = self._queue[0]
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
        said, kind = "it died", RecorderError
        for _ in range(1 + _RESTARTS):
            if self._abandoned:
                break
            answer = self._ask(segment)
            if answer is None:
                self._bury()
                continue
            if answer.error is None:
                return None
            said = answer.error
            kind = DiskFull if answer.is_disk_full else RecorderError
            break
        return kind(
            f"expected the sealer to seal segment {segment} of {self._root}, but {said}; the "
            f"frames are safe in its journal: `recorder recover {self._root}` seals it when "
            f"nothing is recording"
        )

    def _ask(self, segment: int) -> Answer | None:
        """Send one segment and wait for its answer; None where the process died."""
        try:
            if self._process is None:
                self._process = self._start()
            process = self._process
            if process.stdin is None or process.stdout is None:
                return None
            process.stdin.write(b"%d\n" % segment)
            process.stdin.flush()
            line = process.stdout.readline()
            return msgspec.json.decode(line, type=Answer) if line else None
        except (OSError, msgspec.MsgspecError):
            return None

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "recorder.capture.sealer", str(self._root)],
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
        with suppress(OSError):  # its end of the pipe may be closed already
            process.communicate()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(b"quit\n", timeout=10)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
