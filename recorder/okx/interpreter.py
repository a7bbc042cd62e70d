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
from recorder.okx.channels import endpoint_serving
from recorder.okx.checkpoint import ConnectionState
from recorder.okx.comparison import Comparisons, instrument_asked_for
from recorder.okx.elected import Elected
from recorder.okx.election import Election, links_in_run
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

    __slots__ = ("endpoint", "opened_mono", "request", "subscriptions")

    def __init__(self) -> None:
        self.endpoint: str | None = None  # not saved: what an election begins with
        self.opened_mono: int | None = None
        self.subscriptions: dict[bytes, None] = {}
        self.request: str | None = None


class Interpreter:
    """Steps through the frames of a capture in `seq` order and gives their events.

    Where the capture has redundant links, these are the events of the one stream that is elected
    of them (`okx.election`).

    Args:
        number: type of prices and sizes. elects: False gives the events of every link's copies.

    Attributes:
        books: every book, changed by every step.
        integrity: counts since construction (a restored interpreter starts at 0).
        elected: the parser behind the election, None while there was one link only.
    """

    def __init__(self, number: type = float, *, elects: bool = True) -> None:
        self.number = number
        self._parse: Callable[[Frame], list[Event]] = parser_of(number).parse
        self._chains = Chains(number)
        self.books: Books = self._chains.books
        self.integrity: Integrity = self._chains.integrity
        self._comparisons = Comparisons(number, self.integrity)
        self._connections: dict[int, _Connection] = {}
        self._elects = elects
        self._election: Election | None = None
        self.elected: Elected | None = None
        reactions: dict[type[Event], Callable[[Frame, list[Event]], None]] = {
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
        # `step` looks at the second; both are one until there are links to choose from.
        self._every_reaction = self._reactions = reactions

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
        election = self._election
        for number in (connection,) if election is None else election.over_with(connection):
            self._chains.end(number)
            self._comparisons.end(number)
        self._look_at_comparisons()

    def _on_connected(self, frame: Frame, events: list[Event]) -> None:
        known = self._connection(frame.connection)
        known.opened_mono = frame.ts_mono
        for event in events:
            if type(event) is Connected:
                known.endpoint = event.endpoint
                if event.link and self._election is None:
                    self._begin_election(frame)

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
        if self._election is None and links_in_run(frame.payload):
            self._begin_election(frame)
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
            if type(event) is not Lost:
                continue
            if self._election is None or not self._election.partners(event.connection):
                self._chains.distrust(self.connection_of(event.connection))

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
            if event.instrument is not None and not self._is_held_beside(frame, event):
                connection = self.connection_of(frame.connection)
                self._chains.drop(connection, event.channel, event.instrument)

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

    # --- links ------------------------------------------------------------------------------

    def _begin_election(self, frame: Frame) -> None:
        """Elect from here on: this row tells of more than one link."""
        if not self._elects:
            return
        election = self._elect(Election(self._chains.is_whole))
        for number, known in sorted(self._connections.items()):
            if known.opened_mono is not None and number != frame.connection:
                election.open(number, known.endpoint, 0, known.opened_mono)
        election.take(frame)

    def _elect(self, election: Election) -> Election:
        self._election = election
        self.elected = Elected(election, parser_of(self.number).parse, self._every_reaction)
        self._parse = self.elected.step
        self._reactions = {}
        return election

    def _is_held_beside(self, frame: Frame, event: Unsubscribed) -> bool:
        """Say whether another link goes on to bring what this one has left."""
        if self._election is None:
            return False
        argument = _canonical(event.argument)
        partners = map(self._connections.get, self._election.partners(frame.connection))
        return any(known is not None and argument in known.subscriptions for known in partners)

    def connection_of(self, connection: int) -> int:
        """Return whose books and gaps are those of a connection: its own, or its links' one."""
        return connection if self._election is None else self._election.connection_of(connection)

    def has_book(self, connection: int, channel: str, instrument: str) -> bool:
        """Say whether a connection has brought a book, and it is whole."""
        whose = self.connection_of(connection)
        return self._chains.is_whole(whose, channel, instrument) and (
            self._election is None or self._election.has_brought(connection, channel, instrument)
        )

    @property
    def link_counts(self) -> dict[str, int]:
        """Figures of redundant links since construction, by name (`okx.election.figures`)."""
        return {} if self._election is None else self._election.counts()

    # --- comparisons ------------------------------------------------------------------------

    def _look_at_comparisons(self) -> None:
        """Take the way past the comparisons while there are none: nearly always."""
        take = self._chains.take if self._comparisons.is_idle else self._take_compared
        self._every_reaction[BookUpdate] = take

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
            self._chains.may_wait = True

    def keep_books_up(self) -> None:
        """From here on change books with every update again, each from its next one on."""
        self._chains.may_wait = False

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
        election = None if self._election is None else self._election.save()
        return checkpoint.encode(
            self._chains.save(), connections, self.number, trials, election=election
        )

    @classmethod
    def restore(cls, state: bytes, number: type = float, *, elects: bool = True) -> Interpreter:
        """Return an interpreter that goes on exactly where the saved one stood.

        Raises:
            ValueError: the bytes are no saved state, or one of elected links where `elects` is
                False: what each of them held is not known from it.
        """
        interpreter = cls(number, elects=elects)
        decoded = checkpoint.decode(state, number)
        if decoded.election is not None:
            if not elects:
                raise ValueError("expected the state of every link, received that of their stream")
            interpreter._elect(Election.restore(decoded.election, interpreter._chains.is_whole))
        for saved in decoded.books:
            interpreter._chains.restore(saved)
        for known in decoded.connections:
            connection = interpreter._connection(known.connection)
            connection.opened_mono = known.opened_mono
            connection.subscriptions = dict.fromkeys(known.subscriptions)
            connection.endpoint = endpoint_serving(known.subscriptions)
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
