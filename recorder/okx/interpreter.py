"""Interpreter: frames in order into events, with all the state there is.

Responsible for books, their chains and checksums, connections and subscriptions, for the events
that need them (`SequenceGap`, `BookReset`, `ChecksumMismatch`, a disconnect's duration, a REST
response's request line), and for saving and restoring that state. Refuses to decode (`parser.py`),
to read a clock and to raise for anything a venue may send.

Theory of operation. A *chain* is one (connection, channel, instrument): the venue numbers the
updates of a book per connection's subscription, so nothing may be compared across connections.

    unknown ──snapshot──▶ whole ──prevSeqId is not the last seqId──▶ broken ──snapshot──▶ whole
                            │
                            └─ connection closed, or a new run ──▶ stale ──▶ forgotten as soon as
                               another connection's snapshot of the same book is there

Only a whole book takes updates. A broken chain goes on being followed from the number it jumped
to, so that every loss is counted once, and a second loss is seen (rules of the OKX API docs,
order book channels, "Sequence ID").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from recorder.book import Book, Books
from recorder.event import (
    BookReset,
    BookUpdate,
    ChecksumMismatch,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    Lost,
    RestResponse,
    RunStarted,
    SequenceGap,
    Subscribed,
    Unrecognized,
    Unsubscribed,
)
from recorder.frame import Frame, Kind
from recorder.okx import checkpoint
from recorder.okx.checkpoint import BookState, ConnectionState
from recorder.okx.checksum import DEPTH, checksum
from recorder.okx.parser import parser_of

_REQUEST_BYTES = 4096
"""Longest request line remembered for its REST response."""


class Integrity(msgspec.Struct, gc=False):
    """What an interpreter could prove since it was made; every count is of frames.

    Attributes:
        links: updates whose `prevSeqId` was the last `seqId` of their chain, among them
            keep-alives and resets.
        gaps: updates whose `prevSeqId` was another.
        resets: links by which the venue restarted its numbering.
        keepalives: links that change nothing.
        match, mismatch, absent: book updates and snapshots whose checksum was right, was wrong,
            or could not be had: not sent, 0, or without a snapshot to build on.
        unrecognized: frames nobody understood.
    """

    links: int = 0
    gaps: int = 0
    resets: int = 0
    keepalives: int = 0
    match: int = 0
    mismatch: int = 0
    absent: int = 0
    unrecognized: int = 0


_Key = tuple[int, str, str]


class _Chain:
    """A book, and its exact texts where the venue sends a checksum of them."""

    __slots__ = ("book", "is_stale", "texts")

    def __init__(self, book: Book) -> None:
        self.book = book
        self.texts: Book | None = None
        self.is_stale = False


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
        self.books = Books()
        self.integrity = Integrity()
        self._parse = parser_of(number).parse
        self._chains: dict[_Key, _Chain] = {}
        self._connections: dict[int, _Connection] = {}
        self._reactions: dict[type[Event], Callable[[Frame, list[Event]], None]] = {
            BookUpdate: self._on_books,
            Subscribed: self._on_subscribed,
            Unsubscribed: self._on_unsubscribed,
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

        Frames are given in `seq` order. Never raises, whatever the bytes.
        """
        events = self._parse(frame)
        if events:
            react = self._reactions.get(type(events[0]))
            if react is not None:
                react(frame, events)
        elif frame.kind is Kind.SENT:
            self._on_sent(frame)
        return events

    def subscriptions(self, connection: int) -> list[dict[str, Any]]:
        """Return the arguments the venue has accepted on a connection and not ended, sorted."""
        known = self._connections.get(connection)
        if known is None:
            return []
        return [msgspec.json.decode(argument) for argument in sorted(known.subscriptions)]

    # --- books ----------------------------------------------------------------------------

    def _on_books(self, frame: Frame, events: list[Event]) -> None:
        derived: list[Event] = []
        for index, event in enumerate(events):
            if type(event) is not BookUpdate:
                continue
            chain = self._chains.get((frame.connection, event.channel, event.instrument))
            if chain is None:
                chain = self._add_chain(frame.connection, event.channel, event.instrument)
            if event.is_snapshot:
                chain.book.apply(event)
                self._forget_stale(chain)
            else:
                self._follow(frame, chain, event, derived)
            if event.checksum or chain.texts is not None:
                self._check(frame, chain, event, index, derived)
            else:
                self.integrity.absent += 1
        for event in derived:
            events.append(msgspec.structs.replace(event, index=len(events)))

    def _follow(
        self, frame: Frame, chain: _Chain, update: BookUpdate, derived: list[Event]
    ) -> None:
        """Prove an update against its chain, and apply it where the book is whole."""
        book = chain.book
        prev, seq_id = update.prev_seq_id, update.seq_id
        last = book.seq_id
        if prev is None or seq_id is None or last is None:
            # Frames before 2023 carry no numbers; and a chain begins with the first one seen.
            pass
        elif prev != last:
            self.integrity.gaps += 1
            book.is_whole = False
            chain.texts = None
            derived.append(
                SequenceGap(
                    frame.seq, 0, frame.ts_recv, frame.connection, update.instrument,
                    update.channel, last, prev, seq_id,
                )
            )  # fmt: skip
        else:
            self.integrity.links += 1
            if seq_id < prev:
                self.integrity.resets += 1
                derived.append(
                    BookReset(
                        frame.seq, 0, frame.ts_recv, frame.connection, update.instrument,
                        update.channel, prev, seq_id,
                    )
                )  # fmt: skip
            elif seq_id == prev and not update.bids and not update.asks:
                self.integrity.keepalives += 1
        if book.is_whole:
            book.apply(update)
        else:
            book.seq_id = seq_id

    def _check(
        self, frame: Frame, chain: _Chain, update: BookUpdate, index: int, derived: list[Event]
    ) -> None:
        """Compare the venue's checksum with that of the book's exact texts."""
        book = chain.book
        if self.number is str:
            texts = book if book.is_whole else None
        else:
            texts = self._texts(frame, chain, update, index)
        chain.texts = texts
        if texts is None or not update.checksum:
            self.integrity.absent += 1
            return
        computed = checksum(texts.bids(DEPTH), texts.asks(DEPTH))
        if computed == update.checksum:
            self.integrity.match += 1
            return
        self.integrity.mismatch += 1
        # The book is wrong and stays wrong: said once, and not trusted until the next snapshot.
        book.is_whole = False
        chain.texts = None
        derived.append(
            ChecksumMismatch(
                frame.seq, 0, frame.ts_recv, frame.connection, update.instrument,
                update.channel, update.checksum, computed,
            )
        )  # fmt: skip

    def _texts(self, frame: Frame, chain: _Chain, update: BookUpdate, index: int) -> Book | None:
        """Return the book of exact texts after an update; only legacy traffic pays for it."""
        if not chain.book.is_whole:
            return None
        texts = chain.texts
        if update.is_snapshot:
            if not update.checksum:
                return None
            texts = Book(update.instrument, update.channel, number=str)
        if texts is not None:
            exact = parser_of(str).parse(frame)
            again = exact[index] if index < len(exact) else None
            if type(again) is not BookUpdate:
                return None
            texts.apply(again)
        return texts

    def _add_chain(self, connection: int, channel: str, instrument: str) -> _Chain:
        chain = _Chain(Book(instrument, channel, connection, number=self.number))
        self._chains[connection, channel, instrument] = chain
        self.books.add(chain.book)
        return chain

    def _remove_chain(self, book: Book) -> None:
        del self._chains[book.connection, book.channel, book.instrument]
        self.books.remove(book)

    def _forget_stale(self, fresh: _Chain) -> None:
        """Remove books of closed connections that a fresh snapshot replaces."""
        book = fresh.book
        for other in self.books.of(book.instrument):
            if other is not book and other.channel == book.channel:
                chain = self._chains[other.connection, other.channel, other.instrument]
                if chain.is_stale:
                    self._remove_chain(other)

    # --- connections ----------------------------------------------------------------------

    def _connection(self, number: int) -> _Connection:
        known = self._connections.get(number)
        if known is None:
            known = self._connections[number] = _Connection()
        return known

    def _close(self, connection: int) -> None:
        """Forget a connection; its books stay to be looked at, stale, until replaced."""
        self._connections.pop(connection, None)
        for key in [key for key in self._chains if key[0] == connection]:
            self._make_stale(self._chains[key])

    def _make_stale(self, chain: _Chain) -> None:
        book = chain.book
        book.is_whole = False
        chain.texts = None
        chain.is_stale = True
        others = [
            other
            for other in self.books.of(book.instrument)
            if other is not book and other.channel == book.channel
        ]
        if book.is_empty or any(other.is_whole for other in others):
            self._remove_chain(book)
            return
        for other in others:
            if self._chains[other.connection, other.channel, other.instrument].is_stale:
                self._remove_chain(other)

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
        # A new process: whatever connections the last one had are gone.
        self._connections.clear()
        for chain in list(self._chains.values()):
            if not chain.is_stale and chain.book.connection >= 0:
                self._make_stale(chain)

    def _on_lost(self, frame: Frame, events: list[Event]) -> None:
        """Distrust books that cannot notice a loss themselves: those without a chain."""
        (event,) = events
        if type(event) is not Lost:
            return
        for chain in self._chains.values():
            book = chain.book
            if book.seq_id is None and event.connection in (-1, book.connection):
                book.is_whole = False
                chain.texts = None

    def _on_subscribed(self, frame: Frame, events: list[Event]) -> None:
        for event in events:
            if type(event) is Subscribed:
                known = self._connection(frame.connection)
                known.subscriptions[_canonical(event.argument)] = None

    def _on_unsubscribed(self, frame: Frame, events: list[Event]) -> None:
        for event in events:
            if type(event) is not Unsubscribed:
                continue
            known = self._connections.get(frame.connection)
            if known is not None:
                known.subscriptions.pop(_canonical(event.argument), None)
            if event.instrument is not None:
                chain = self._chains.get((frame.connection, event.channel, event.instrument))
                if chain is not None:
                    self._remove_chain(chain.book)

    def _on_sent(self, frame: Frame) -> None:
        payload = frame.payload
        if payload[:1] in (b"{", b"") or payload == b"ping" or len(payload) > _REQUEST_BYTES:
            return
        request = payload.decode("utf-8", "replace")
        self._connection(frame.connection).request = request

    def _on_rest(self, frame: Frame, events: list[Event]) -> None:
        known = self._connections.pop(frame.connection, None)
        if known is not None and known.request is not None:
            events[0] = msgspec.structs.replace(events[0], request=known.request)

    def _on_unrecognized(self, frame: Frame, events: list[Event]) -> None:
        self.integrity.unrecognized += 1

    # --- state ----------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the state; equal states give equal bytes. Integrity counts are no part of it."""
        books = []
        for chain in self._chains.values():
            book = chain.book
            texts = chain.texts
            books.append(
                BookState(
                    book.connection, book.channel, book.instrument, book.is_whole, chain.is_stale,
                    book.seq_id, book.ts_event, book.ts_recv, book.seq, book.bids(), book.asks(),
                    None if texts is None else texts.bids(),
                    None if texts is None else texts.asks(),
                )
            )  # fmt: skip
        connections = [
            ConnectionState(number, known.opened_mono, sorted(known.subscriptions), known.request)
            for number, known in self._connections.items()
        ]
        return checkpoint.encode(books, connections, self.number)

    @classmethod
    def restore(cls, state: bytes, number: type = float) -> Interpreter:
        """Return an interpreter that goes on exactly where the saved one stood.

        Raises:
            ValueError: the bytes are no saved state.
        """
        interpreter = cls(number)
        decoded = checkpoint.decode(state, number)
        for saved in decoded.books:
            chain = interpreter._add_chain(saved.connection, saved.channel, saved.instrument)
            chain.is_stale = saved.is_stale
            book = chain.book
            bids, asks = saved.bids, saved.asks
            if saved.text_bids is not None and saved.text_asks is not None:
                if number is str:
                    bids, asks = saved.text_bids, saved.text_asks
                    chain.texts = book
                else:
                    chain.texts = Book(saved.instrument, saved.channel, number=str)
                    chain.texts.load(saved.text_bids, saved.text_asks)
            book.load(bids, asks)
            book.is_whole = saved.is_whole
            book.seq_id = saved.seq_id
            book.ts_event = saved.ts_event
            book.ts_recv = saved.ts_recv
            book.seq = saved.seq
        for known in decoded.connections:
            connection = interpreter._connection(known.connection)
            connection.opened_mono = known.opened_mono
            connection.subscriptions = dict.fromkeys(known.subscriptions)
            connection.request = known.request
        return interpreter


def _canonical(argument: dict[str, Any]) -> bytes:
    """Return an argument in the one form in which equal arguments are equal bytes."""
    return msgspec.json.encode(argument, order="sorted")
