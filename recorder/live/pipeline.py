"""Pipeline: stamped messages in; numbered frames to the writer, then events to the handlers.

Responsible for `seq`, for handing every frame to the writer before anybody parses it, for running
the one interpreter and delivering what it says. Refuses to touch a socket or to read a clock, and
to let a handler's mistake end a recording: it is counted and reported.

Everything here runs in the event loop's thread, in the callback of a socket read: numbers are given
in the order of the stamps, so `ts_mono` never falls along `seq`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from recorder.book import Books
from recorder.capture.digest import EventDigest
from recorder.capture.writer import CloseReport
from recorder.clock import DataClock
from recorder.event import (
    ChecksumMismatch,
    ConnectionCount,
    Disconnected,
    Event,
    LoggedIn,
    Lost,
    Notice,
    SequenceGap,
    Subscribed,
    Unsubscribed,
    VenueError,
)
from recorder.frame import NO_CONNECTION, Frame, Kind
from recorder.live.clocks import ClockWatch
from recorder.live.connection import Stamp
from recorder.live.framing import Message
from recorder.okx.interpreter import Interpreter
from recorder.okx.subscription import Subscription
from recorder.strategy import Handler

_encode = msgspec.json.Encoder().encode

_CONVERSATION = frozenset(
    {
        ChecksumMismatch,
        ConnectionCount,
        LoggedIn,
        Notice,
        SequenceGap,
        Subscribed,
        Unsubscribed,
        VenueError,
    }
)
"""Events a session wants to know about."""

_HANDLER_ERRORS_TOLD = 5


class Counts:
    """What has passed so far; read by the progress line and the report.

    Attributes:
        frames: rows of every kind; messages: received text and binary ones; bytes: of those.
        text: received text messages. events: delivered. gaps: sequence gaps.
        lost: frames known to be lost. connections: sockets and REST exchanges begun.
        disconnects: sockets that had been open and closed. handler_errors: exceptions of handlers.
        pauses: times a socket was left unread because the disk was behind.
        last_recv, last_event: latest `ts_recv` of a message, and the venue time (`ts_event`) in it.
    """

    __slots__ = (
        "bytes",
        "connections",
        "disconnects",
        "events",
        "frames",
        "gaps",
        "handler_errors",
        "last_event",
        "last_recv",
        "lost",
        "messages",
        "pauses",
        "text",
    )

    def __init__(self) -> None:
        self.frames = self.messages = self.text = self.bytes = self.events = 0
        self.gaps = self.lost = self.connections = self.disconnects = self.handler_errors = 0
        self.pauses = 0
        self.last_recv: int | None = None
        self.last_event: int | None = None


class FrameSink(Protocol):
    """Where numbered frames go: a `CaptureWriter`, or memory where nothing is kept (`watch`)."""

    @property
    def next_seq(self) -> int:
        """The number the next frame must have."""

    @property
    def next_connection(self) -> int:
        """The first connection number not used yet."""

    @property
    def congested(self) -> bool:
        """Whether the sockets should leave bytes in the kernel for a while."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Take frames over; never blocks."""

    def close(self, *, event_digest: EventDigest | None = None) -> CloseReport:
        """End it; nothing is handed in any more."""


class LiveContext:
    """What a handler is given beside the event; see `recorder.strategy.Context`."""

    __slots__ = ("_books", "_clock")

    def __init__(self, clock: DataClock, books: Books) -> None:
        self._clock = clock
        self._books = books

    @property
    def clock(self) -> DataClock:
        """The `ts_recv` of the frame in hand."""
        return self._clock

    @property
    def books(self) -> Books:
        """Every live order book."""
        return self._books


class Pipeline:
    """The one way from the sockets to the disk and to the handlers.

    Args:
        writer: takes the frames.
        handler: called with each event; None for none.
        digest: also hash the events as delivered (a microsecond or two each).
        text_limit: take exactly so many text messages, then nothing more from any socket.
        notify: told one sentence when a person should know something.
    """

    def __init__(
        self,
        writer: FrameSink,
        *,
        handler: Handler | None = None,
        digest: bool = False,
        text_limit: int | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self.event_digest = EventDigest() if digest else None
        self.on_full: Callable[[], None] = lambda: None  # the limit is reached
        self._writer = writer
        self._interpreter = Interpreter()
        self._handler = handler
        self._clock = DataClock()
        self._context = LiveContext(self._clock, self._interpreter.books)
        self._watch = ClockWatch()
        self._next_seq = writer.next_seq
        self._next_connection = writer.next_connection
        self._last_mono: int | None = None
        self._text_left = text_limit
        self._notify = notify

    @property
    def congested(self) -> bool:
        """Whether the sockets should leave bytes in the kernel for a while."""
        return self._writer.congested

    @property
    def is_full(self) -> bool:
        """Whether the limit of text messages is reached."""
        return self._text_left == 0

    def has_book(self, connection: int, subscription: Subscription) -> bool:
        """Say whether a connection has brought the whole book of a subscription."""
        instrument = subscription.instrument or subscription.get("sprdId") or ""
        return any(
            book.is_whole
            for book in self._interpreter.books.of(instrument)
            if book.connection == connection and book.channel == subscription.channel
        )

    def begin(self, info: Mapping[str, Any], stamp: Stamp) -> None:
        """Record the `run` row, the first of every run, and the first clock sample."""
        self._last_mono = stamp.ts_mono
        self._take([self._frame(NO_CONNECTION, Kind.RUN, _encode(info), stamp)])
        self._look_at_clock(stamp)

    def new_connection(self) -> int:
        """Return the number of the next socket, attempt or REST exchange."""
        number = self._next_connection
        self._next_connection += 1
        self.counts.connections += 1
        return number

    def received(self, connection: int, messages: Sequence[Message], stamp: Stamp) -> list[Event]:
        """Take the messages of one socket read; return the events a session wants to know.

        Raises:
            RecorderError: the disk takes no more.
        """
        stamp = self._look_at_clock(stamp)
        if self._text_left is not None:
            messages = self._cut(messages)
            if not messages:
                return []
        seq, (ts_recv, ts_mono) = self._next_seq, stamp
        frames, size, text = [], 0, 0
        for kind, payload in messages:
            frames.append(Frame(seq, ts_recv, ts_mono, connection, kind, payload))
            seq += 1
            size += len(payload)
            if kind is Kind.TEXT:
                text += 1
        counts = self.counts
        counts.messages += len(frames)
        counts.text += text
        counts.bytes += size
        counts.last_recv = ts_recv
        conversation = self._take(frames)
        if self._text_left is not None and text:
            self._text_left -= text
            if self._text_left == 0:
                self.on_full()
        return conversation

    def sent(self, connection: int, payload: bytes, stamp: Stamp) -> None:
        """Record an outgoing message (or request line), just before it goes out."""
        self._one(connection, Kind.SENT, payload, stamp)

    def body(self, connection: int, payload: bytes, stamp: Stamp) -> None:
        """Record the exact body of a REST answer."""
        self.counts.bytes += len(payload)
        self._one(connection, Kind.REST, payload, stamp)

    def row(self, connection: int, kind: Kind, document: Mapping[str, Any], stamp: Stamp) -> None:
        """Record a row of the recorder's own: a JSON object."""
        self._one(connection, kind, _encode(document), stamp)

    def tick(self, stamp: Stamp) -> None:
        """Look at the clocks while nothing arrives; call about once a second."""
        self._look_at_clock(stamp)

    def close(self) -> CloseReport:
        """Close the writer: seal everything. Blocks; nothing may be handed in any more."""
        return self._writer.close(event_digest=self.event_digest)

    # --- internals -----------------------------------------------------------------------

    def _cut(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the messages up to the last text message that is still wanted."""
        left = self._text_left or 0
        for position, message in enumerate(messages):
            if left == 0:
                return messages[:position]
            if message[0] is Kind.TEXT:
                left -= 1
        return messages

    def _look_at_clock(self, stamp: Stamp) -> Stamp:
        """Return the stamp to use, after a `clock` row where one is due."""
        stamp = self._watch.settle(stamp)
        row = self._watch.look(stamp)
        if self._last_mono is not None and stamp.ts_mono < self._last_mono:
            stamp = Stamp(stamp.ts_recv, self._last_mono)
        self._last_mono = stamp.ts_mono
        if row is not None:
            self._take([self._frame(NO_CONNECTION, Kind.CLOCK, _encode(row), stamp)])
        return stamp

    def _one(self, connection: int, kind: Kind, payload: bytes, stamp: Stamp) -> None:
        stamp = self._look_at_clock(stamp)
        self._take([self._frame(connection, kind, payload, stamp)])

    def _frame(self, connection: int, kind: Kind, payload: bytes, stamp: Stamp) -> Frame:
        return Frame(self._next_seq, stamp.ts_recv, stamp.ts_mono, connection, kind, payload)

    def _take(self, frames: list[Frame]) -> list[Event]:
        """Hand frames to the writer, then say what they mean."""
        self._next_seq += len(frames)
        self.counts.frames += len(frames)
        self._writer.write(frames)
        conversation: list[Event] = []
        step, handler, digest = self._interpreter.step, self._handler, self.event_digest
        count, event = 0, None
        for frame in frames:
            self._clock.advance(frame.ts_recv)
            events = step(frame)
            count += len(events)
            if digest is not None:
                digest.update(events)
            for event in events:
                if type(event) in _CONVERSATION:
                    conversation.append(event)
                    if type(event) is SequenceGap:
                        self.counts.gaps += 1
                elif type(event) is Disconnected:
                    self.counts.disconnects += 1
                elif type(event) is Lost:
                    self.counts.lost += event.count or 0
                if handler is not None:
                    self._deliver(handler, event)
        self.counts.events += count
        self.counts.last_event = getattr(event, "ts_event", None) or self.counts.last_event
        return conversation

    def _deliver(self, handler: Handler, event: Event) -> None:
        try:
            handler(event, self._context)
        except Exception as error:  # noqa: BLE001  # whatever a handler does, recording goes on
            counts = self.counts
            counts.handler_errors += 1
            if counts.handler_errors <= _HANDLER_ERRORS_TOLD:
                where = traceback.extract_tb(error.__traceback__)[-1]
                self._notify(
                    f"warning: a handler raised {type(error).__name__}: {error} "
                    f"({where.filename}:{where.lineno}) at seq {event.seq}; recording goes on"
                )
