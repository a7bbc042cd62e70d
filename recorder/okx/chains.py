"""Chains: every book's sequence of updates, proved link by link.

Responsible for deciding what may be applied to which book, for sequence gaps, resets and
checksums, and for when a book stops being whole or is forgotten. Refuses to know connections as
such: `interpreter.py` says when one has ended.

Theory of operation. A chain is one (connection, channel, instrument): the venue numbers the
updates of a book per subscription of a connection, so nothing is compared across connections.

    unknown ──snapshot──▶ whole ──prevSeqId is not the last seqId──▶ broken ──snapshot──▶ whole
                            │
                            └─ connection ended ──▶ stale ──▶ forgotten as soon as another
                               connection's snapshot of the same book is there

Only a whole book takes updates. A broken chain goes on being followed from the number it jumped
to, so that every loss is counted once, and a second loss is seen (rules of the OKX API docs,
order book channels, "Sequence ID").
"""

from __future__ import annotations

from functools import partial

import msgspec

from recorder.book import Book, Books
from recorder.event import BookReset, BookUpdate, ChecksumMismatch, Event, SequenceGap
from recorder.frame import Frame
from recorder.okx.checkpoint import BookState, grounds, levels_of
from recorder.okx.checksum import DEPTH, checksum
from recorder.okx.parser import parser_of


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
        books_match, books_mismatch, books_unproven: comparisons with the venue's book by REST
            that found it equal, found it different, or could not tell (`okx.comparison`).
        dropped: books, connections or subscriptions forgotten because there were too many.
    """

    links: int = 0
    gaps: int = 0
    resets: int = 0
    keepalives: int = 0
    match: int = 0
    mismatch: int = 0
    absent: int = 0
    unrecognized: int = 0
    books_match: int = 0
    books_mismatch: int = 0
    books_unproven: int = 0
    dropped: int = 0


WAITING_MAX = 64 << 20
"""Most bytes of payloads that wait, where books may wait."""

CHAINS_MAX = 20_000
"""Most books that are kept; the one that has been silent for longest makes room."""


class Chain:
    """A book, and its exact texts where the venue sends a checksum of them."""

    __slots__ = ("book", "texts")

    def __init__(self, book: Book) -> None:
        self.book = book
        self.texts: Book | None = None


class Chains:
    """All chains of an interpreter.

    Attributes:
        books: the book of every chain.
        integrity: what was proved since construction.
        may_wait: let updates wait until somebody looks at their book, or `rest_on` comes.
        waiting: bytes of the payloads that do, at most.
    """

    def __init__(self, number: type) -> None:
        self.number = number
        self.books = Books()
        self.integrity = Integrity()
        self.waiting = 0
        self._read = parser_of(number).parse
        self.may_wait = False
        self._chains: dict[tuple[int, str, str], Chain] = {}
        # Of an ended connection, by (channel, instrument): one of each is enough to look at.
        self._stale: dict[tuple[str, str], Chain] = {}

    def take(self, frame: Frame, events: list[Event]) -> None:
        """Take the book updates of a frame; append what they prove to its events.

        What nearly every book frame is comes first: one whole book, or one more link of a whole
        one. `_take_each` and `_follow` are the rules, this is their short cut for the case
        without events.
        """
        update = events[0]
        if len(events) > 1 or type(update) is not BookUpdate or update.checksum or self._stale:
            self._take_each(frame, events)
            return
        chain = self._chains.get((frame.connection, update.channel, update.instrument))
        if chain is None or chain.texts is not None:
            self._take_each(frame, events)
            return
        book, integrity = chain.book, self.integrity
        if not update.is_snapshot:
            prev, seq_id = update.prev_seq_id, update.seq_id
            if (
                prev is None or seq_id is None or prev != book.seq_id or seq_id <= prev
                or not book.is_whole
            ):  # fmt: skip
                self._take_each(frame, events)
                return
            integrity.links += 1
            if self.may_wait and book.defer(update, frame, self._read):
                integrity.absent += 1
                self.waiting += len(frame.payload)
                if self.waiting > WAITING_MAX:
                    self._catch_up()
                return
        integrity.absent += 1
        book.apply(update)

    def _take_each(self, frame: Frame, events: list[Event]) -> None:
        """Take the book updates of a frame one by one."""
        derived: list[Event] = []
        for index, event in enumerate(events):
            if type(event) is not BookUpdate:
                continue
            chain = self._chains.get((frame.connection, event.channel, event.instrument))
            if chain is None:
                chain = self._add(frame.connection, event.channel, event.instrument)
            if event.is_snapshot:
                chain.book.apply(event)
                if self._stale:
                    self._replaces_stale(chain)
            else:
                self._follow(frame, chain, event, derived)
            if event.checksum or chain.texts is not None:
                self._check(frame, chain, event, index, derived)
            else:
                self.integrity.absent += 1
        for event in derived:
            events.append(msgspec.structs.replace(event, index=len(events)))

    def _catch_up(self) -> None:
        for chain in self._chains.values():
            chain.book.catch_up()
        self.waiting = 0

    def rest_on(self, state: bytes) -> None:
        """Take a saved state for what the books hold now, where it is of this very moment.

        A book at the same frame of the same chain, whole here and there, has the same levels.
        """
        for ground in grounds(state):
            chain = self._chains.get((ground.connection, ground.channel, ground.instrument))
            if chain is None or not chain.book.waiting:
                continue
            book = chain.book
            if ground.is_whole and (book.is_whole, book.seq, book.seq_id, book.ts_recv) == (
                True, ground.seq, ground.seq_id, ground.ts_recv,
            ):  # fmt: skip
                book.rest_on(partial(levels_of, ground))
        self.waiting = sum(chain.book.waiting for chain in self._chains.values())

    def _follow(self, frame: Frame, chain: Chain, update: BookUpdate, derived: list[Event]) -> None:
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
        self, frame: Frame, chain: Chain, update: BookUpdate, index: int, derived: list[Event]
    ) -> None:
        """Compare the venue's checksum with that of the book's exact texts."""
        book = chain.book
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

    def _texts(self, frame: Frame, chain: Chain, update: BookUpdate, index: int) -> Book | None:
        """Return the book of exact texts after an update; only legacy traffic pays for it."""
        if not chain.book.is_whole or (update.is_snapshot and not update.checksum):
            return None
        if self.number is str:
            return chain.book if update.is_snapshot else chain.texts
        texts = chain.texts
        if update.is_snapshot:
            texts = Book(update.instrument, update.channel, number=str)
        if texts is not None:
            exact = parser_of(str).parse(frame)
            again = exact[index] if index < len(exact) else None
            if type(again) is not BookUpdate:
                return None
            texts.apply(again)
        return texts

    def _add(self, connection: int, channel: str, instrument: str) -> Chain:
        if len(self._chains) >= CHAINS_MAX:
            self._remove(min(self._chains.values(), key=_idle_longest).book)
            self.integrity.dropped += 1
        chain = Chain(Book(instrument, channel, connection, number=self.number))
        self._chains[connection, channel, instrument] = chain
        self.books.add(chain.book)
        return chain

    def _remove(self, book: Book) -> None:
        chain = self._chains.pop((book.connection, book.channel, book.instrument))
        if self._is_stale(chain):
            del self._stale[book.channel, book.instrument]
        self.books.remove(book)

    def _replaces_stale(self, fresh: Chain) -> None:
        """Forget the book of an ended connection that a fresh snapshot replaces."""
        stale = self._stale.pop((fresh.book.channel, fresh.book.instrument), None)
        if stale is not None and stale is not fresh:
            self._remove(stale.book)

    def end(self, connection: int) -> None:
        """End a connection's chains; its books stay to be looked at, stale, until replaced."""
        self._end([chain for key, chain in self._chains.items() if key[0] == connection])

    def end_all(self) -> None:
        """End every chain: the process that held the connections is gone."""
        self._end(list(self._chains.values()))

    def _is_stale(self, chain: Chain) -> bool:
        return self._stale.get((chain.book.channel, chain.book.instrument)) is chain

    def _end(self, candidates: list[Chain]) -> None:
        chains = [chain for chain in candidates if not self._is_stale(chain)]
        for chain in chains:
            chain.book.is_whole = False
            chain.texts = None
        for chain in chains:
            book = chain.book
            key = (book.channel, book.instrument)
            others = self.books.of(book.instrument)
            stale = self._stale.get(key)
            if book.is_empty or any(
                other.is_whole and other.channel == book.channel for other in others
            ):
                self._remove(book)
            elif stale is None:
                self._stale[key] = chain
            # Of several the one that changed last is worth a look, whatever the order here.
            elif (book.seq, book.connection) > (stale.book.seq, stale.book.connection):
                self._remove(stale.book)
                self._stale[key] = chain
            else:
                self._remove(book)

    def is_whole(self, connection: int, channel: str, instrument: str) -> bool:
        """Say whether there is such a book and it can take updates."""
        chain = self._chains.get((connection, channel, instrument))
        return chain is not None and chain.book.is_whole

    def drop(self, connection: int, channel: str, instrument: str) -> None:
        """Forget one chain and its book, if there is such a one."""
        chain = self._chains.get((connection, channel, instrument))
        if chain is not None:
            self._remove(chain.book)

    def distrust(self, connection: int) -> None:
        """Frames of a connection (-1: of any) were lost: distrust what cannot notice it itself.

        A numbered chain proves or breaks itself with its next update.
        """
        for chain in self._chains.values():
            book = chain.book
            if book.seq_id is None and connection in (-1, book.connection):
                book.is_whole = False
                chain.texts = None

    def save(self) -> list[BookState]:
        """Return every chain in the form a checkpoint stores."""
        states = []
        for chain in self._chains.values():
            book = chain.book
            bids, asks = book.sides()
            text_bids, text_asks = (None, None) if chain.texts is None else chain.texts.sides()
            states.append(
                BookState(
                    book.connection, book.channel, book.instrument, book.is_whole,
                    self._is_stale(chain), book.seq_id, book.ts_event, book.ts_recv, book.seq,
                    bids, asks, text_bids, text_asks,
                )
            )  # fmt: skip
        return states

    def restore(self, saved: BookState) -> None:
        """Add a chain exactly as it was saved."""
        chain = self._add(saved.connection, saved.channel, saved.instrument)
        if saved.is_stale:
            self._stale[saved.channel, saved.instrument] = chain
        book = chain.book
        bids, asks = saved.bids, saved.asks
        if saved.text_bids is not None and saved.text_asks is not None:
            if self.number is str:
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


def _idle_longest(chain: Chain) -> tuple[int, int, str, str]:
    book = chain.book
    return (book.seq, book.connection, book.channel, book.instrument)
