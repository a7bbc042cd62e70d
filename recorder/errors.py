"""Every error this project raises, in one tree, sorted by whose fault it is.

Responsible for the exception classes and the exit code each one means on the command line.
Refuses to format anything: whoever raises writes the sentence, at the place where it is known
what was expected, what was received, where, and what to do next.

    RecorderError
    ├── UsageError            2   the caller: a bad option, time, query, name or path
    │   ├── NotACapture           the path holds no capture
    │   ├── CaptureExists         the output is there already
    │   ├── SourceError           a file to import is malformed (names file and line)
    │   ├── ConfigError           a configuration file is malformed (names file, key and line)
    │   ├── UrlError              an address that no socket can be opened at
    │   └── CredentialsError      a login is wanted and keys are missing or unreadable
    ├── StartError            5   the venue or the way to it: no start, or refused for good
    │   ├── ConnectError          nothing could be reached in time
    │   ├── HandshakeError        reached, but refused: HTTP 403 or 404, a certificate
    │   ├── AuthError             the login was refused for good (names the venue's code)
    │   ├── VenueRefused          every subscription, or one of a `Client`'s, was refused (its code)
    │   ├── RestError             a REST request that the start depends on brought no body
    │   ├── SinkDown              an output cannot be reached, or does not do its part now
    │   └── SinkRefused           an output refuses for good: a login, a newer schema
    ├── DiskFull              4   the machine: the disk has no room left
    ├── DiskFailed           74   the machine: the disk refuses to write, or does not answer
    ├── StoreFailed           5   an object store: no answer, or refused
    ├── Damage                1   the disk: bytes are not what was written
    ├── CheckFailed           1   nobody: a comparison the user asked for came out unequal
    └── InternalError        70   us: a state that cannot be; please report it

What a *venue* does wrong while recording is never an exception: it is a row and an event. By kind,
what goes wrong, what it becomes, whether it is tried again, and how the command ends:

    kind          | while                     | becomes          | retried                    | exit
    --------------|---------------------------|------------------|----------------------------|-----
    HTTP          | opening a socket          | ConnectFailed    | 429 and 5xx, for ever      | -
    HTTP          | opening the first socket  | HandshakeError   | no: 403, 404 and the like  | 5
    HTTP          | REST at the start         | RestError        | no                         | 5
    HTTP          | REST while recording      | ConnectFailed    | at its next turn           | -
    connection    | DNS, TCP, TLS, a proxy    | ConnectFailed    | for ever, with back-off    | -
    connection    | a certificate, at first   | HandshakeError   | no                         | 5
    connection    | an open socket is lost    | Disconnected     | for ever, with back-off    | -
    connection    | --connect-timeout ends    | ConnectError     | until then                 | 5
    send          | a socket takes no more    | Disconnected     | on a new socket            | -
    parse         | a frame nobody knows      | Unrecognized     | no: stored as it came      | -
    parse         | a file to import          | SourceError      | no                         | 2
    parse         | a configuration file      | ConfigError      | no                         | 2
    auth          | keys missing              | CredentialsError | no                         | 2
    auth          | 60006, 60014, 63999       | VenueError       | a few times, with a delay  | -
    auth          | any other login code      | AuthError        | no                         | 5
    rate limit    | 60014                     | VenueError       | later, within the limits   | -
    rate limit    | HTTP 429                  | ConnectFailed    | later, within the limits   | -
    API           | some arguments refused    | VenueError       | no, but for 64007          | 3
    API           | every argument refused    | VenueRefused     | no                         | 5
    API           | one of `Client.subscribe` | VenueRefused     | no, but the client goes on | 5
    API           | 64008: an upgrade         | Notice           | on a second socket, before | -
    serialisation | a request to be sent      | UsageError       | no                         | 2
    serialisation | bytes read back from disk | Damage           | no: recorder recover       | 1
    URL           | --url                     | UrlError         | no                         | 2
    URL           | 60018, 64001, 64002       | VenueError       | no                         | 3
    timeout       | an attempt to connect     | ConnectFailed    | for ever, with back-off    | -
    timeout       | silence after a ping      | Disconnected     | for ever, with back-off    | -
    timeout       | an ack that never comes   | Disconnected     | for ever, with back-off    | -
    sink          | playing into it: is down  | SinkDown         | for a minute               | 5
    sink          | a login, a newer schema   | SinkRefused      | no; of a recording, slowly | 5
    disk          | no room                   | DiskFull         | with --on-disk-full wait   | 4
    disk          | writes fail               | DiskFailed       | in a new file              | 74
    store         | an object store is read   | StoreFailed      | a few times, by pyarrow    | 5
    internal      | anything not foreseen     | InternalError    | no: --append goes on       | 70

A dash means that the recording goes on. docs/errors.md shows the same table.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of both commands; a contract (see docs/commands.md)."""

    DONE = 0
    FAILED = 1  # a check failed, or damage was found
    USAGE = 2
    LOSS = 3  # done, with declared loss
    DISK_FULL = 4
    REFUSED = 5  # could not start, or refused for good
    INTERNAL = 70  # a mistake of this program; EX_SOFTWARE of sysexits.h
    DISK_FAILED = 74  # stopped, the disk refuses to write; EX_IOERR of sysexits.h


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


class ConfigError(UsageError):
    """A configuration file is malformed.

    Attributes:
        file: the file as the user named it.
        key: dotted name of the key at fault, e.g. `record.segment_seconds`; None if no key is.
        line: 1-based line number, or None where it cannot be told.
    """

    def __init__(
        self, message: str, *, file: str, key: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.file = file
        self.key = key
        self.line = line


class UrlError(UsageError):
    """An address is none, or is no address for a WebSocket."""


class CredentialsError(UsageError):
    """A login is wanted, and the keys for it are missing or cannot be read; never shows them."""


class StartError(RecorderError):
    """Recording could not start, or the venue refused for good; retrying cannot help."""

    exit_code = ExitCode.REFUSED


class ConnectError(StartError):
    """No connection could be opened within the time that was given."""


class HandshakeError(StartError):
    """Somebody answered, but no WebSocket will be opened: an HTTP status, a certificate.

    Attributes:
        status: the HTTP status, or None where it was not HTTP that refused.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AuthError(StartError):
    """The venue refused the login for good.

    Attributes:
        code: the venue's, e.g. `60009`; None where it gave none.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class VenueRefused(StartError):
    """The venue refused everything that was asked for, or something that a `Client` asked for.

    Attributes:
        code: of the first refusal, e.g. `60018`; None where it gave none.
        refused: the subscriptions it is about, as text.
    """

    def __init__(
        self, message: str, *, code: str | None = None, refused: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.refused = tuple(refused)


class SinkDown(StartError):
    """An output cannot be reached, or does not do its part now; it may later.

    Never ends a recording: its capture is what the output goes on from.
    """


class SinkRefused(StartError):
    """An output refuses until a person changes something: a login, a right, a newer schema."""


class RestError(StartError):
    """A REST request that the start depends on brought no usable body.

    Attributes:
        status: the HTTP status, or None where there was no answer.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class DiskFull(RecorderError):
    """The disk refused more bytes; what was written before is whole."""

    exit_code = ExitCode.DISK_FULL


class DiskFailed(RecorderError):
    """The disk failed writes or syncs, also in a new file; the error names what is not on it."""

    exit_code = ExitCode.DISK_FAILED


class StoreFailed(RecorderError):
    """An object store did not answer, or refused to give what a capture consists of."""

    exit_code = ExitCode.REFUSED


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


class InternalError(RecorderError):
    """This program met a state that cannot be; on the command line, any exception not foreseen."""

    exit_code = ExitCode.INTERNAL
