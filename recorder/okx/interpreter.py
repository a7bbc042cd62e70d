"""Interpreter: frames in order into events, with all the state there is.

Responsible for joining the parser with what must be remembered: book chains (`chains.py`), open
connections, their live subscriptions and pending REST requests; for the events that need memory
(`SequenceGap`, `BookReset`, `ChecksumMismatch`, a disconnect's duration, a REST response's request
line); and for saving and restoring that memory. Refuses to decode (`parser.py`), to read a clock
and to raise for anything a venue may send.

State is bounded over weeks of reconnects: a connection is forgotten when it ends, and its books as
soon as another connection holds the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from recorder.book import Books
from recorder.event import (
    BookUpdate,
    Connected,
    ConnectFailed,
    ConnectionCount,
    Disconnected,
    Event,
    Lost,
    RestResponse,
    RunStarted,
    Subscribed,
    Unrecognized,
    Unsubscribed,
    VenueError,
)
from recorder.frame import Frame, Kind
from recorder.okx import checkpoint
from recorder.okx.chains import Chains, Integrity
from recorder.okx.checkpoint import ConnectionState
from recorder.okx.comparison import Comparisons, instrument_asked_for
from recorder.okx.ended import ended_by
from recorder.okx.parser import parser_of
from recorder.okx.responses import unrecognized

__all__ = ["Integrity", "Interpreter"]

_REQUEST_BYTES = 4096
"""Longest request line remembered for its REST response."""

_CONNECTIONS_MAX = 1_024
_SUBSCRIPTIONS_MAX = 20_000
"""Most that is remembered, of connections and of one's subscriptions; what is more is dropped,
and counted. A recorder has a handful of sockets and OKX a few thousand instruments."""


class _Connection:
    """What is known of one connection."""

    __slots__ = ("opened_mono", "request", "subscriptions")

    def __init__(self) -> None:
        self.opened_mono: int | None = None
        self.subscriptions: dict[bytes, None] = {}
        self.request: str | None = None


class Interpreter:
    """Steps through the frames of a capture in `seq` order and gives their events.

    Attributes:
        books: every book, changed by every step.
        integrity: counts since construction (a restored interpreter starts at 0).
    """

    def __init__(self, number: type = float) -> None:
        self.number = number
        self._parse = parser_of(number).parse
        self._chains = Chains(number)
        self.books: Books = self._chains.books
        self.integrity: Integrity = self._chains.integrity
        self._comparisons = Comparisons(number, self.integrity)
        self._connections: dict[int, _Connection] = {}
        self._reactions: dict[type[Event], Callable[[Frame, list[Event]], None]] = {
            BookUpdate: self._chains.take,
            Subscribed: self._on_subscribed,
            Unsubscribed: self._on_unsubscribed,
            VenueError: self._on_refused,
            ConnectionCount: self._on_refused,
            RestResponse: self._on_rest,
            Connected: self._on_connected,
            Disconnected: self._on_disconnected,
            ConnectFailed: self._on_connect_failed,
            RunStarted: self._on_run,
            Lost: self._on_lost,
            Unrecognized: self._on_unrecognized,
        }

    def step(self, frame: Frame) -> list[Event]:
        """Return the frame's events, derived ones last, after changing the state by them.

        Frames are given in `seq` order. Never raises, whatever the bytes: should a fault of ours
        surface here, the frame is `Unrecognized`, in every process that steps over it alike.
        """
        try:
            events = self._parse(frame)
            if events:
                react = self._reactions.get(type(events[0]))
                if react is not None:
                    react(frame, events)
            elif frame.kind is Kind.SENT:
                self._on_sent(frame)
        except Exception as fault:  # noqa: BLE001 - a recording of weeks must not end by it
            self.integrity.unrecognized += 1
            return unrecognized(frame, f"interpreter fault: {type(fault).__name__}")
        return events

    @property
    def connections(self) -> list[int]:
        """The connections that are open, as far as is known, sorted."""
        return sorted(self._connections)

    def subscriptions(self, connection: int) -> list[dict[str, Any]]:
        """Return the arguments the venue has accepted on a connection and not ended, sorted."""
        known = self._connections.get(connection)
        if known is None:
            return []
        return [msgspec.json.decode(argument) for argument in sorted(known.subscriptions)]

    # --- connections ----------------------------------------------------------------------

    def _connection(self, number: int) -> _Connection:
        known = self._connections.get(number)
        if known is None:
            if len(self._connections) >= _CONNECTIONS_MAX:
                self._forget_one()
            known = self._connections[number] = _Connection()
        return known

    def _forget_one(self) -> None:
        """Make room for a connection: the oldest request without an end goes, then the oldest."""
        never_open = (n for n, known in self._connections.items() if known.opened_mono is None)
        del self._connections[min(never_open, default=min(self._connections))]
        self.integrity.dropped += 1

    def _close(self, connection: int) -> None:
        self._connections.pop(connection, None)
        self._chains.end(connection)
        self._comparisons.end(connection)
        self._look_at_comparisons()

    def _on_connected(self, frame: Frame, events: list[Event]) -> None:
        self._connection(frame.connection).opened_mono = frame.ts_mono

    def _on_disconnected(self, frame: Frame, events: list[Event]) -> None:
        known = self._connections.get(frame.connection)
        if known is not None and known.opened_mono is not None:
            duration = frame.ts_mono - known.opened_mono
            events[0] = msgspec.structs.replace(events[0], duration=duration)
        self._close(frame.connection)

    def _on_connect_failed(self, frame: Frame, events: list[Event]) -> None:
        self._close(frame.connection)

    def _on_run(self, frame: Frame, events: list[Event]) -> None:
        # A new process: whatever connections the last one had are gone. In a merged capture the
        # row says which numbers are its own: the other recorder goes on.
        own = _own_connections(events)
        if own is not None:
            for number in [n for n in self._connections if n in own]:
                self._close(number)
            return
        self._connections.clear()
        self._chains.end_all()
        self._comparisons.end_all()
        self._look_at_comparisons()

    def _on_lost(self, frame: Frame, events: list[Event]) -> None:
        for event in events:
            if type(event) is Lost:
                self._chains.distrust(event.connection)

    def _on_subscribed(self, frame: Frame, events: list[Event]) -> None:
        for event in events:
            if type(event) is Subscribed:
                held = self._connection(frame.connection).subscriptions
                if len(held) < _SUBSCRIPTIONS_MAX:
                    held[_canonical(event.argument)] = None
                else:
                    self.integrity.dropped += 1

    def _on_unsubscribed(self, frame: Frame, events: list[Event]) -> None:
        for event in events:
            if type(event) is not Unsubscribed:
                continue
            known = self._connections.get(frame.connection)
            if known is not None:
                known.subscriptions.pop(_canonical(event.argument), None)
            if event.instrument is not None:
                self._chains.drop(frame.connection, event.channel, event.instrument)

    def _on_refused(self, frame: Frame, events: list[Event]) -> None:
        """Take back what had been accepted: an ack is not final."""
        known = self._connections.get(frame.connection)
        for event in events:
            if known is not None and isinstance(event, VenueError | ConnectionCount):
                held = map(msgspec.json.decode, known.subscriptions)
                for argument in ended_by(event, held):
                    known.subscriptions.pop(_canonical(argument), None)

    def _on_sent(self, frame: Frame) -> None:
        payload = frame.payload
        if payload[:1] in (b"{", b"") or payload == b"ping" or len(payload) > _REQUEST_BYTES:
            return
        request = payload.decode("utf-8", "replace")
        self._connection(frame.connection).request = request
        instrument = instrument_asked_for(request)
        if instrument is not None:
            self._comparisons.begin(frame, request, self.books.of(instrument))
            self._look_at_comparisons()

    def _on_rest(self, frame: Frame, events: list[Event]) -> None:
        known = self._connections.pop(frame.connection, None)
        if known is not None and known.request is not None:
            events[0] = msgspec.structs.replace(events[0], request=known.request)
        if not self._comparisons.is_idle:
            self._settle(events, self._comparisons.answer(frame))

    def _on_unrecognized(self, frame: Frame, events: list[Event]) -> None:
        self.integrity.unrecognized += 1

    # --- comparisons ------------------------------------------------------------------------

    def _look_at_comparisons(self) -> None:
        """Take the way past the comparisons while there are none: nearly always."""
        take = self._chains.take if self._comparisons.is_idle else self._take_compared
        self._reactions[BookUpdate] = take

    def _take_compared(self, frame: Frame, events: list[Event]) -> None:
        self._chains.take(frame, events)
        self._settle(events, self._comparisons.update(frame, events))

    def _settle(self, events: list[Event], settled: list[Event]) -> None:
        for event in settled:
            events.append(msgspec.structs.replace(event, index=len(events)))
        self._look_at_comparisons()

    # --- books that wait --------------------------------------------------------------------

    def let_books_wait(self) -> None:
        """From here on work books out when somebody looks at them, not with every update.

        Events, counts and books are the same. For whoever steps at full speed: a look at a book
        that nobody has looked at for long may take a moment.
        """
        if self.number is float:
            self._chains.let_wait()

    @property
    def waiting(self) -> int:
        """Bytes of payloads that wait for a look, at most; `rest_on` lets go of them."""
        return self._chains.waiting

    def rest_on(self, state: bytes) -> None:
        """Take what `save` gave at this very moment, in this process or another one.

        Books that wait need not be worked out from further back. What is of another moment, or
        unreadable, is not taken.
        """
        self._chains.rest_on(state)

    # --- state ----------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the state; equal states give equal bytes. Integrity counts are no part of it."""
        connections = [
            ConnectionState(number, known.opened_mono, sorted(known.subscriptions), known.request)
            for number, known in self._connections.items()
        ]
        trials = self._comparisons.save()
        return checkpoint.encode(self._chains.save(), connections, self.number, trials)

    @classmethod
    def restore(cls, state: bytes, number: type = float) -> Interpreter:
        """Return an interpreter that goes on exactly where the saved one stood.

        Raises:
            ValueError: the bytes are no saved state.
        """
        interpreter = cls(number)
        decoded = checkpoint.decode(state, number)
        for saved in decoded.books:
            interpreter._chains.restore(saved)
        for known in decoded.connections:
            connection = interpreter._connection(known.connection)
            connection.opened_mono = known.opened_mono
            connection.subscriptions = dict.fromkeys(known.subscriptions)
            connection.request = known.request
        for trial in decoded.trials:
            interpreter._comparisons.restore(trial)
        interpreter._look_at_comparisons()
        return interpreter


def _own_connections(events: list[Event]) -> range | None:
    """Return the connection numbers that a run row speaks of; None: of all."""
    started = events[0]
    own = started.info.get("connections") if type(started) is RunStarted else None
    if isinstance(own, list) and len(own) == 2 and all(type(n) is int for n in own):
        return range(own[0], own[1])
    return None


def _canonical(argument: dict[str, Any]) -> bytes:
    """Return an argument in the one form in which equal arguments are equal bytes."""
    return msgspec.json.encode(argument, order="sorted")
