"""Rival: another parser, running in a process of its own.

Responsible for starting it (this package's, a user's, or that of a git revision), for handing it
frames and taking its events, and for ending it. Refuses to wait for ever: a parser that does not
answer is named with the frames it has in hand.
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import recorder
from recorder.errors import CheckFailed, UsageError
from recorder.frame import Frame, encode_record
from replay.regression.child import ANSWER, HEAD

ANSWER_SECONDS = 120.0
"""Longest time for one batch of frames, or for being loaded."""

_CHILD = Path(__file__).with_name("child.py")
_HERE = Path(recorder.__file__).resolve().parent.parent
_GIT_SECONDS = 60.0


class Answer(NamedTuple):
    """What a parser made of a batch: a JSON array for each frame, and the time it took, ns."""

    lines: list[bytes]
    spent: int


class Rival:
    """A parser in a process.

    Args:
        parser: `step`, `parse` or `MODULE:NAME`.
        package: directory that holds the `recorder` package to use.
        state: a saved interpreter to begin with; None to begin at nothing.

    Attributes:
        mode: `step`, with derived events, or `parse`. version: of the parser of its package.
    """

    def __init__(self, parser: str, package: Path = _HERE, state: bytes | None = None) -> None:
        self.parser = parser
        self._process = subprocess.Popen(
            [sys.executable, "-E", "-P", str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            hello = {
                "path": [str(package), *([os.getcwd()] if ":" in parser else []), *sys.path],
                "parser": parser,
                "state": None if state is None else base64.b64encode(state).decode(),
            }
            self._write(json.dumps(hello).encode())
            answer: dict[str, Any] = json.loads(self._read(HEAD.unpack(self._read(HEAD.size))[0]))
        except BaseException:
            self.close()
            raise
        if "error" in answer:
            self.close()
            raise UsageError(
                f"expected to load the parser {parser}, but its process said {answer['error']}; "
                f"give MODULE:NAME that can be imported from here, or a git revision"
            )
        self.mode: str = answer["mode"]
        self.version: int | None = answer["version"]

    def __enter__(self) -> Rival:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def give(self, frames: Sequence[Frame]) -> None:
        """Hand over a batch, at least one frame; `take` its answer before the next one."""
        self._write(b"".join(map(encode_record, frames)))

    def take(self) -> Answer:
        """Return the answer to a batch.

        Raises:
            CheckFailed: the process ended, or did not answer.
        """
        size, spent = ANSWER.unpack(self._read(ANSWER.size))
        return Answer(self._read(size).split(b"\n"), spent)

    def close(self) -> None:
        """End the process."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it ended before it read everything
                    pipe.close()
        process.kill()
        process.wait()

    def _write(self, body: bytes) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise self._failed("ended")
        try:
            stdin.write(HEAD.pack(len(body)) + body)
            stdin.flush()
        except OSError as error:
            raise self._failed("ended") from error

    def _read(self, size: int) -> bytes:
        stdout = self._process.stdout
        if stdout is None:
            raise self._failed("ended")
        parts, number = [], stdout.fileno()
        while size:
            if not select.select([number], [], [], ANSWER_SECONDS)[0]:
                raise self._failed(f"did not answer in {ANSWER_SECONDS:.0f} s")
            part = os.read(number, min(size, 1 << 20))
            if not part:
                raise self._failed("ended")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _failed(self, what: str) -> CheckFailed:
        return CheckFailed(
            f"expected the parser {self.parser} to answer, but its process {what}; what it said "
            f"stands above"
        )


def revision_into(revision: str, folder: Path) -> str:
    """Unpack the `recorder` package of a git revision; return the revision's full hash.

    Raises:
        UsageError: this package lies in no git repository, or there is no such revision.
    """
    name = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    if not name:
        raise UsageError(
            f"expected a parser as MODULE:NAME or a git revision of {_HERE}, received "
            f"{revision!r}, which is neither"
        )
    with tarfile.open(fileobj=io.BytesIO(_git("archive", name, "recorder"))) as archive:
        archive.extractall(folder, filter="data")
    return name


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(_HERE), *arguments],
            check=False,
            capture_output=True,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            f"expected to ask git for a revision of {_HERE}, but {error}; give MODULE:NAME instead"
        ) from error
    return done.stdout if done.returncode == 0 else b""
