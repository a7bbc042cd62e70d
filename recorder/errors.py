"""Every error this project raises, in one tree, sorted by whose fault it is.

Responsible for the exception classes and the exit code each one means on the command line.
Refuses to format anything: whoever raises writes the sentence, at the place where it is known
what was expected, what was received, where, and what to do next.

    RecorderError
    ├── UsageError            2   the caller: a bad option, time, query, name or path
    │   ├── NotACapture           the path holds no capture
    │   ├── CaptureExists         the output is there already
    │   └── SourceError           a file to import is malformed (names file and line)
    ├── StartError            5   could not start, or refused for good by the venue
    ├── DiskFull              4   the disk has no room left
    ├── Damage                1   bytes on disk are not what was written
    └── CheckFailed           1   a comparison the user asked for came out unequal

What a *venue* does wrong while recording is never an exception: it is a row and an event.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of both commands; a contract (see docs/commands.md)."""

    DONE = 0
    FAILED = 1  # a check failed, or damage was found
    USAGE = 2
    LOSS = 3  # done, with declared loss
    DISK_FULL = 4
    REFUSED = 5  # could not start, or refused for good


class RecorderError(Exception):
    """Root of all errors of this project; `str()` is one sentence for a person."""

    exit_code: ExitCode = ExitCode.FAILED


class UsageError(RecorderError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = ExitCode.USAGE


class NotACapture(UsageError):
    """A path that should be a capture directory is not one."""


class CaptureExists(UsageError):
    """A new capture was to be written where something is already."""


class SourceError(UsageError):
    """A file to import is malformed.

    Attributes:
        source: the file as the user named it.
        line: 1-based line number, or None where the fault is not in one line.
    """

    def __init__(self, message: str, *, source: str, line: int | None = None) -> None:
        super().__init__(message)
        self.source = source
        self.line = line


class StartError(RecorderError):
    """Recording could not start, or the venue refused for good; retrying cannot help."""

    exit_code = ExitCode.REFUSED


class DiskFull(RecorderError):
    """The disk refused more bytes; what was written before is whole."""

    exit_code = ExitCode.DISK_FULL


class Damage(RecorderError):
    """Bytes on disk are not what was written.

    Attributes:
        file: path relative to the capture, e.g. `journal/000003.wal`.
        segment: segment number, or None where it cannot be told.
        first_seq, last_seq: inclusive range of frames that cannot be served, None if unknown.
        cause: one short phrase, e.g. `block CRC mismatch`.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str,
        cause: str,
        segment: int | None = None,
        first_seq: int | None = None,
        last_seq: int | None = None,
    ) -> None:
        super().__init__(message)
        self.file = file
        self.cause = cause
        self.segment = segment
        self.first_seq = first_seq
        self.last_seq = last_seq


class CheckFailed(RecorderError):
    """A comparison the user asked for came out unequal."""
