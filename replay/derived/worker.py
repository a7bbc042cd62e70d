"""The process that makes tables, one segment after another, and the caller's end of it.

Responsible for the conversation (a JSON line asks, a JSON line answers) and for ending: the process
stops in the middle of a segment when its caller is gone. Refuses to choose segments: `making` does.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from recorder.capture.layout import NO_ROOM
from recorder.capture.snapshot import SealedSource
from recorder.errors import DiskFull, InternalError, RecorderError
from replay.derived.building import Built, Stopped, build_tables

_DEATH_S = 10.0


class Request(msgspec.Struct, frozen=True):
    """One segment to make tables of."""

    root: str
    source: SealedSource
    views: list[str]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it; `gone`: the segment is not there any more."""

    built: Built | None = None
    gone: bool = False
    error: str | None = None
    is_disk_full: bool = False


_decode_answer = msgspec.json.Decoder(Answer).decode


class Worker:
    """A process that makes tables. It starts with the first request, and again if it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False

    def make(self, request: Request) -> Built | None:
        """Make the tables of one segment; None where it is gone.

        Raises:
            DiskFull: no room. RecorderError: the disk, or the process died.
        """
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._start()
        try:
            answer = self._ask(self._process, request)
        except (OSError, msgspec.MsgspecError) as error:
            self._end()
            raise InternalError(
                f"expected an answer about segment {request.source.segment}, but the process that "
                f"makes tables died ({error}); the capture is untouched: run `replay tables` again"
            ) from error
        if answer.is_disk_full:
            raise DiskFull(
                f"expected room for the tables of segment {request.source.segment} in "
                f"{request.root}, but the disk is full; free some space, then run `replay tables` "
                f"again"
            )
        if answer.error is not None:
            raise RecorderError(
                f"expected to make the tables of segment {request.source.segment} in "
                f"{request.root}, but the system said {answer.error}; put that right, then run "
                f"`replay tables` again"
            )
        return answer.built

    def _ask(self, process: subprocess.Popen[bytes], request: Request) -> Answer:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None or self._is_killed:
            raise OSError("it was ended")
        stdin.write(msgspec.json.encode(request) + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise OSError(f"it ended with status {process.wait(_DEATH_S)}")
        return _decode_answer(line)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "replay.derived.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt at the terminal is for whoever asks
        )

    def kill(self) -> None:
        """End it in whatever it does; whoever waits for an answer hears that it died."""
        self._is_killed = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End it."""
        self.kill()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(_DEATH_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # what was still to be written to it


def main() -> None:
    """Answer requests on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(100_000, 50, 100)  # events are not tracked; walking them all is for nothing
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may speak there
    requests = sys.stdin.buffer
    while line := requests.readline():
        request = msgspec.json.decode(line, type=Request)
        try:
            answer = _answer(request)
        except Stopped:
            return
        try:
            answers.write(msgspec.json.encode(answer) + b"\n")
            answers.flush()
        except BrokenPipeError:
            return


def _answer(request: Request) -> Answer:
    try:
        built = build_tables(
            Path(request.root), request.source, request.views, should_stop=_is_alone
        )
    except FileNotFoundError:
        return Answer(gone=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            return Answer(is_disk_full=True)
        return Answer(error=error.strerror or str(error))
    return Answer(built=built)


def _is_alone() -> bool:
    """Tell whether the caller is gone: it asks for nothing new before it has its answer."""
    return bool(select.select([0], [], [], 0)[0])


if __name__ == "__main__":
    main()
