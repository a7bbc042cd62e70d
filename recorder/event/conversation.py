"""What is no market and no account: the venue's answers, the recording, and what is derived.

Responsible for the types whose subject is a connection or the capture; `recorder.event` states the
conventions. Refuses to hold anything a data push says.
"""

from __future__ import annotations

from typing import Any

from recorder.event.root import Event, Number

# --- the conversation ----------------------------------------------------------------------


class Subscribed(Event, frozen=True):
    """The venue accepted one argument. Not final: an error may follow it."""

    connection: int
    channel: str
    instrument: str | None
    argument: dict[str, Any]
    request_id: str | None
    connection_id: str | None


class Unsubscribed(Event, frozen=True):
    """The venue ended one argument; trailing pushes may follow for seconds."""

    connection: int
    channel: str
    instrument: str | None
    argument: dict[str, Any]
    request_id: str | None
    connection_id: str | None


class LoggedIn(Event, frozen=True, gc=False):
    """The venue accepted a login on this connection."""

    connection: int
    code: str
    connection_id: str | None


class VenueError(Event, frozen=True):
    """The venue answered with `event: error`.

    Attributes:
        code: the venue's code, a string such as `60018`; message: its text as sent.
        argument: the argument it belongs to, where the venue sent one (it rarely does).
    """

    connection: int
    code: str
    message: str
    request_id: str | None
    connection_id: str | None
    argument: dict[str, Any] | None = None


class Notice(Event, frozen=True, gc=False):
    """The venue announces something, e.g. code `64008`: it will close this connection."""

    connection: int
    code: str
    message: str
    connection_id: str | None


class ConnectionCount(Event, frozen=True, gc=False):
    """How many connections hold this private channel; `exceeded` = this one was refused."""

    connection: int
    channel: str
    count: int
    exceeded: bool
    connection_id: str | None


class Pong(Event, frozen=True, gc=False):
    """The venue answered a text ping."""

    connection: int


class RestResponse(Event, frozen=True, gc=False):
    """A REST body of the session.

    Attributes:
        request: the request line as sent, None where it was not recorded.
        code, message: the venue's own code and text from the body (`0` is success).
        rows: length of its `data` array; size: bytes of the body.
    """

    connection: int
    request: str | None
    code: str | None
    message: str | None
    rows: int
    size: int


# --- the recording -------------------------------------------------------------------------


class Connected(Event, frozen=True, gc=False):
    """A socket is open: handshake done, nothing subscribed yet."""

    connection: int
    url: str | None
    endpoint: str | None
    link: int | None


class Disconnected(Event, frozen=True, gc=False):
    """A socket that had been open is closed.

    Attributes:
        code: WebSocket close code, 1006 where none was received, None if unknown.
        by: `venue`, `recorder` or `network`.
        duration: how long it was open, ns on the monotonic clock; None if unknown.
    """

    connection: int
    code: int | None
    reason: str
    by: str | None
    duration: int | None


class ConnectFailed(Event, frozen=True, gc=False):
    """An attempt to connect that never opened."""

    connection: int
    code: int | None
    reason: str
    by: str | None


class ConnectionState(Event, frozen=True, gc=False):
    """How one endpoint of a recording stands from here on, as its rows tell.

    Attributes:
        connection: the socket or attempt it is about; `-1` before the first one.
        endpoint: `public`, `private` or `business`, None where it was not recorded.
        link: number of the redundant link.
        state: `connecting` (a run began), `connected` (a socket is open), `reconnecting` (it, or
            an attempt, is over and another follows), `failed` (given up), `closed` (ended, or
            replaced by another socket that is open).
        reason: why, in words; None where there is nothing to say.
        retry_in: how long until the next attempt, ns, at the least; None where none follows.
    """

    connection: int
    endpoint: str | None
    link: int | None
    state: str
    reason: str | None
    retry_in: int | None


class RunStarted(Event, frozen=True):
    """A recorder started to write; `info` holds versions, options and boot id."""

    info: dict[str, Any]


class ClockStep(Event, frozen=True):
    """A clock row: a step that was seen, or a periodic sample (then `step` is None).

    Attributes:
        step: how far the wall clock jumped against the monotonic one, ns.
        info: the whole row.
    """

    step: int | None
    info: dict[str, Any]


class NoveltySeen(Event, frozen=True, gc=False):
    """The venue sent something that no type here knows; told once while a recorder runs.

    The message itself is recorded; events leave the new thing out, or show it as sent.

    Attributes:
        connection, channel: of the message.
        message_seq: its frame.
        what: where in the message: `data.newKey`, `data.side=hold` (a word), `no type` …
    """

    connection: int
    channel: str
    what: str
    message_seq: int


class Lost(Event, frozen=True, gc=False):
    """Frames are missing here, and the recorder knows it; unknown counts are None.

    Attributes:
        connection: the connection they belonged to, `-1` for none in particular.
        first_seq, last_seq: inclusive range of numbers missing, where they had numbers.
        count: frames; bytes: payload bytes; cause: one short phrase.
    """

    connection: int
    first_seq: int | None
    last_seq: int | None
    count: int | None
    bytes: int | None
    cause: str


class InjectedFault(Event, frozen=True, gc=False):
    """A replay put a fault into the stream here, on purpose; no capture holds such a row.

    `seq` is that of the recorded frame it is about, or, of what was put right again, of the last
    one before.

    Attributes:
        fault: kind of the fault (`gap`, `delay`, …), or what puts one right: `heal` (a rebuilt
            snapshot follows), `back` (a closed connection opens again).
        channel, instrument: of the frame it is about, where it has them.
        detail: what is done, in words.
    """

    connection: int
    fault: str
    channel: str | None
    instrument: str | None
    detail: str


# --- derived by the interpreter ------------------------------------------------------------


class SequenceGap(Event, frozen=True, gc=False):
    """A book's chain is broken: updates are missing. Once per loss.

    Attributes:
        expected_seq_id: what `prev_seq_id` should have been.
        prev_seq_id, seq_id: what the frame carried.
    """

    connection: int
    instrument: str
    channel: str
    expected_seq_id: int
    prev_seq_id: int
    seq_id: int


class BookReset(Event, frozen=True, gc=False):
    """The venue restarted a book's numbering (maintenance) without losing an update."""

    connection: int
    instrument: str
    channel: str
    prev_seq_id: int
    seq_id: int


class ChecksumMismatch(Event, frozen=True, gc=False):
    """The venue's CRC32 and that of the book rebuilt here differ; both signed 32-bit."""

    connection: int
    instrument: str
    channel: str
    received: int
    computed: int


class BookMismatch(Event, frozen=True, gc=False):
    """The venue's own book, asked for by REST, and the one rebuilt here differ.

    Attributes:
        connection, channel: whose book it is.
        seq_id: the venue's number of the book in the REST body.
        is_exact: the books of the very same number differ. False: that number fell between two
            updates, and the same levels were wrong on both sides of it twice in a row.
        bids, asks: how many levels of each side differ.
        side, price: the first of them, best bid first.
        size, venue_size: its size here and at the venue; None where there is no such level.
    """

    connection: int
    instrument: str
    channel: str
    seq_id: int
    is_exact: bool
    bids: int
    asks: int
    side: str
    price: Number
    size: Number | None
    venue_size: Number | None


class Unrecognized(Event, frozen=True, gc=False):
    """A frame that could not be understood. The frame itself is stored, exact.

    Attributes:
        reason: one short phrase; kind: the frame's kind label; size: payload bytes.
    """

    connection: int
    reason: str
    kind: str
    size: int
