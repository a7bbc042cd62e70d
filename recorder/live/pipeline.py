"""Pipeline: stamped messages in; numbered frames to the writer, the interpreter and the handler.

Responsible for `seq`, for handing every frame to the writer before anybody parses it, for running
the live interpreter and telling the sessions what it says, and for offering every frame to the
handler's thread (`live.delivery`). Refuses to touch a socket or to read a clock, and to let a
handler's mistake or slowness cost a frame: it is counted and reported.

But for `close`, everything here runs in the event loop's thread, in the callback of a socket read:
numbers are given in the order of the stamps, so `ts_mono` never falls along `seq`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from recorder.book import Books
from recorder.capture.digest import EventDigest
from recorder.capture.writer import CloseReport, Loss
from recorder.event import (
    BookMismatch,
    ChecksumMismatch,
    ConnectionCount,
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
from recorder.live.delivery import QUEUE_BYTES, Delivery
from recorder.live.framing import Message
from recorder.live.lane import Lane
from recorder.okx.interpreter import Integrity, Interpreter
from recorder.okx.novelty import NoveltyWatch
from recorder.okx.subscription import Subscription

_encode = msgspec.json.Encoder().encode

_CONVERSATION = frozenset(
    {
        BookMismatch,
        ChecksumMismatch,
        ConnectionCount,
        LoggedIn,
        Lost,
        Notice,
        SequenceGap,
        Subscribed,
        Unsubscribed,
        VenueError,
    }
)
"""Events a session wants to know about."""


class Counts:
    """What has passed so far; read by the progress line and the report.

    Attributes:
        frames: rows of every kind; messages: received text and binary ones; bytes: of those.
        text: received text messages. events: delivered. gaps: sequence gaps.
        lost: frames known to be lost. connections: sockets and REST exchanges begun.
        disconnects: sockets that were lost.
        handler_errors: exceptions of the handler; handler_lost: frames it did not see, for it was
            too slow. The capture holds them.
        pauses: times a socket of this machine was left unread because the disk was behind.
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
        "handler_lost",
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
        self.pauses = self.handler_lost = 0
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


class Pipeline:
    """The one way from the sockets to the disk and to the handlers.

    Args:
        writer: takes the frames.
        handler: called with each event, in a thread of its own; None for none.
        handler_queue_bytes: memory of the frames that may wait for it.
        digest: also hash the events (a microsecond or two each).
        take_losses: what the writer could not keep since the last call.
        text_limit: take exactly so many text messages, then nothing more from any socket.
        may_wait: leave sockets unread while the writer is behind. A replay on this machine waits
            without harm; a venue would close (4005), and what is lost then nobody counts.
        notify: told one sentence when a person should know something.
    """

    def __init__(
        self,
        writer: FrameSink,
        *,
        handler: object | None = None,
        handler_queue_bytes: int = QUEUE_BYTES,
        digest: bool = False,
        take_losses: Callable[[], Sequence[Loss]] = tuple,
        text_limit: int | None = None,
        may_wait: bool = True,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self.event_digest = EventDigest() if digest else None
        self.on_full: Callable[[], None] = lambda: None  # the limit is reached
        # Frames of a connection (-1: of several) are not in the capture.
        self.on_loss: Callable[[int], None] = lambda _: None
        # Told of every socket read once it is handed over, where somebody wants metrics.
        self.meter: Callable[[int, Sequence[Frame], Stamp], None] | None = None
        self._writer = writer
        self._interpreter = Interpreter()
        self._delivery = (
            None if handler is None else Delivery(handler, queue_bytes=handler_queue_bytes)
        )
        self._lanes: list[Lane] = [] if self._delivery is None else [self._delivery.lane]
        self._watch = ClockWatch()
        self._novelties = NoveltyWatch()
        self._next_seq = writer.next_seq
        self._next_connection = writer.next_connection
        self._last_mono: int | None = None
        self._take_losses = take_losses
        self._mismatched_books: set[str] = set()  # bounded by the books there are
        self._text_left = text_limit
        self._may_wait = may_wait
        self._words: list[str] = []
        self._notify = notify

    @property
    def congested(self) -> bool:
        """Whether the sockets should leave bytes in the kernel for a while."""
        return self._may_wait and self._writer.congested

    @property
    def is_full(self) -> bool:
        """Whether the limit of text messages is reached."""
        return self._text_left == 0

    @property
    def books(self) -> Books:
        """Every book as it stands; to be looked at in the event loop's thread."""
        return self._interpreter.books

    @property
    def integrity(self) -> Integrity:
        """What could be proved so far."""
        return self._interpreter.integrity

    def attach(self, lane: Lane) -> None:
        """Offer every frame from the next one on to one more consumer."""
        self._lanes.append(lane)

    def detach(self, lane: Lane) -> None:
        """Offer a consumer nothing any more, and say what there is to say of it."""
        if lane in self._lanes:
            self._lanes.remove(lane)
            self._words += lane.take_words()

    def state(self) -> bytes:
        """Return the state of the interpreter: what a consumer that begins now goes on from."""
        return self._interpreter.save()

    def has_book(self, connection: int, subscription: Subscription) -> bool:
        """Say whether a connection has brought the whole book of a subscription."""
        instrument = subscription.instrument or subscription.get("sprdId") or ""
        return self._interpreter.has_book(connection, subscription.channel, instrument)

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
        if self.meter is not None:
            self.meter(connection, frames, stamp)
        if frames:
            for new in self._novelties.look(frames[0]):
                self._words.append(f"warning: {new}")
                row = {"connection": connection, "channel": new.channel, "what": new.what,
                       "seq": new.first_seq}  # fmt: skip
                payload = _encode({"step": None, "novelty": row})
                self._take([self._frame(NO_CONNECTION, Kind.CLOCK, payload, stamp)])
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
        """Look at the clocks while nothing arrives, and tell; call about once a second."""
        self._look_at_clock(stamp)
        self.tell()

    def close(self) -> CloseReport:
        """Close the writer, which seals everything, and let the handler see what waits for it.

        Blocks, for a handler that is behind only so long; nothing may be handed in any more. Call
        `tell` afterwards, in the event loop's thread.
        """
        if self._delivery is not None:
            self._delivery.finish()
        try:
            self._count_losses()
            return self._writer.close(event_digest=self.event_digest)
        finally:
            if self._delivery is not None:
                self._delivery.wait()

    def tell(self) -> None:
        """Bring the counts up to date and say what a person, or a session, should know."""
        for loss in self._count_losses():
            self.on_loss(loss.connection)
        if self._delivery is not None:
            self.counts.handler_errors = self._delivery.errors
            self.counts.handler_lost = self._delivery.lost
        for lane in self._lanes:
            self._words += lane.take_words()
        words, self._words = self._words, []
        for line in words:
            self._notify(line)

    # --- internals -----------------------------------------------------------------------

    def _count_losses(self) -> Sequence[Loss]:
        """Count frames the writer could not keep; their `lost` rows are in the capture already."""
        losses = self._take_losses()
        for loss in losses:
            self.counts.lost += loss.count
            # What the capture holds is no longer what was interpreted here.
            self.event_digest = None
            self._words.append(
                f"warning: {loss.count} frames, seq {loss.first_seq} to {loss.last_seq}, could not "
                f"be kept ({loss.cause}); recording goes on, and the capture names the loss"
            )
        return losses

    def _mismatched(self, event: BookMismatch) -> None:
        """Tell of a book that is not the venue's; once per book, the capture holds every case."""
        book = f"{event.channel} {event.instrument}"
        if book in self._mismatched_books:
            return
        self._mismatched_books.add(book)
        self._words.append(
            f"warning: {book} is not the venue's own: {event.bids} bids and {event.asks} asks "
            f"differ, first {event.side} {event.price} with {event.size} here and "
            f"{event.venue_size} at the venue (seqId {event.seq_id})"
        )

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
        for lane in self._lanes:
            lane.offer(frames, self._interpreter)
        step, digest = self._interpreter.step, self.event_digest
        count, event = 0, None
        for frame in frames:
            events = step(frame)
            count += len(events)
            if digest is not None:
                digest.update(events)
            for event in events:
                if type(event) in _CONVERSATION:
                    conversation.append(event)
                    if type(event) is SequenceGap:
                        self.counts.gaps += 1
                    elif type(event) is Lost:
                        self.counts.lost += event.count or 0
                    elif type(event) is BookMismatch:
                        self._mismatched(event)
        self.counts.events += count
        self.counts.last_event = getattr(event, "ts_event", None) or self.counts.last_event
        return conversation
