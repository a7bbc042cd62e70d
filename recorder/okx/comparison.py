"""Comparison: the book rebuilt here against the venue's own, asked for by REST.

Responsible for bringing both to the same update number and for saying where they differ. Refuses to
ask (`live.resnapshot` does), to touch the book in force, and to call for a fresh snapshot: what a
REST body holds is the venue's word against its own, and a storm of snapshots would help nobody.

Theory of operation. The venue numbers REST books and pushes from one counter (OKX API docs, "Get
order book"), but answers a moment late, and with numbers no push may carry. So a trial begins when
the request is sent: a copy of the book, brought forward by the updates that come. The body's number
is then

    that of an update: the books of this number must be equal;
    between two updates: each level must be that before or that after. A level that is neither
        may have changed and changed back meanwhile, so it only counts when the trial after it
        finds the same level wrong again;
    before the copy's, or not reached in time: nothing is proved.

Updates are kept as payloads, so that a checkpoint holds a trial under way and a replay from there
says the same as one from the start.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec

from recorder.book import Book
from recorder.clock import NS_PER_SECOND
from recorder.event import BookMismatch, BookUpdate, Event
from recorder.frame import Frame, Kind
from recorder.okx.chains import Integrity
from recorder.okx.channels import CHANNELS
from recorder.okx.checkpoint import TrialState, text_of
from recorder.okx.parser import parser_of

BOOKS_PATH = "/api/v5/market/books"
"""REST book of an instrument; 40 requests per 2 s, at most 400 levels a side (OKX API docs)."""

CHANNELS_COMPARED = ("books", "books-l2-tbt", "books50-l2-tbt")
"""Books of everybody's orders, as REST gives them; those with retail orders are others."""

_UPDATES_MAX = 2_000
_WAIT = 60 * NS_PER_SECOND
_TRIALS_MAX = 64
_SUSPECTS_MAX = 64
_DEFAULT_DEPTH = 1  # levels REST gives without `sz`

Chain = tuple[int, str, str]
Suspect = tuple[str, str]
"""Side and price of a level that was wrong once, between two updates."""


class _Body(msgspec.Struct):
    data: list[msgspec.Raw] = []


_decode_body = msgspec.json.Decoder(_Body).decode
_encode = msgspec.json.Encoder().encode


class Difference(msgspec.Struct, frozen=True):
    """One level that is not the same; a size of None means that there is none."""

    side: str
    price: Any
    size: Any
    venue_size: Any


class Trial:
    """One book under comparison.

    Attributes:
        chain: whose copy it is. book: the copy. began: when, `ts_recv` of the request, ns.
        asked: connection of the REST exchange. depth: levels per side that REST was asked for.
        updates: payloads that have come since the copy, until the body is there.
        body: the venue's book; None until it has come. payload: as it came.
    """

    __slots__ = ("asked", "began", "body", "book", "chain", "count", "depth", "payload", "updates")

    def __init__(self, chain: Chain, book: Book, began: int, asked: int, depth: int) -> None:
        self.chain = chain
        self.book = book
        self.began = began
        self.asked = asked
        self.depth = depth
        self.updates: list[bytes] = []
        self.count = 0
        self.payload: bytes | None = None
        self.body: BookUpdate | None = None


class Verdict(msgspec.Struct, frozen=True):
    """How a trial ended: None for not proved; otherwise the differences, empty if equal."""

    differences: tuple[Difference, ...] | None
    is_exact: bool = True


_UNPROVEN = Verdict(None)


class Comparisons:
    """All trials of an interpreter.

    Args:
        integrity: counts how the trials end.
    """

    def __init__(self, number: type, integrity: Integrity) -> None:
        self.number = number
        self._integrity = integrity
        self._parse = parser_of(number).parse
        self._trials: list[Trial] = []
        self._suspects: dict[Chain, tuple[Suspect, ...]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no trial is under way."""
        return not self._trials

    def begin(self, frame: Frame, request: str, books: tuple[Book, ...]) -> None:
        """Copy the books that a request line asks for, where it asks for any.

        Args:
            frame: the `sent` row. request: its text.
            books: those of the instrument the request names.
        """
        late = [trial for trial in self._trials if frame.ts_recv - trial.began > _WAIT]
        self._forget(late)
        depth = _query(request, "sz")
        levels = int(depth) if depth is not None and depth.isdigit() else _DEFAULT_DEPTH
        for book in books:
            if not book.is_whole or book.channel not in CHANNELS_COMPARED or book.seq_id is None:
                continue
            if len(self._trials) >= _TRIALS_MAX:
                return
            copy = Book(book.instrument, book.channel, book.connection, number=self.number)
            copy.load(*book.sides())
            copy.seq_id = book.seq_id
            chain = (book.connection, book.channel, book.instrument)
            most = min(levels, CHANNELS[book.channel].depth or levels)
            self._trials.append(Trial(chain, copy, frame.ts_recv, frame.connection, most))

    def update(self, frame: Frame, events: list[Event]) -> list[Event]:
        """Take the book updates of a frame, after the chains have; return what they settle."""
        settled: list[Event] = []
        for trial in list(self._trials):
            for event in events:
                if type(event) is not BookUpdate or _chain_of(frame, event) != trial.chain:
                    continue
                trial.count += 1
                if trial.count > _UPDATES_MAX or frame.ts_recv - trial.began > _WAIT:
                    self._end(frame, trial, _UNPROVEN, settled)
                elif trial.body is None:
                    trial.updates.append(frame.payload)
                else:
                    verdict = _advance(trial, event, trial.body)
                    if verdict is not None:
                        self._end(frame, trial, verdict, settled)
                break
        return settled

    def answer(self, frame: Frame) -> list[Event]:
        """Take a REST body; return what it settles."""
        settled: list[Event] = []
        for trial in [trial for trial in self._trials if trial.asked == frame.connection]:
            self._end_or_wait(frame, trial, settled)
        return settled

    def end(self, connection: int) -> None:
        """Forget what an ended connection was about, be it the book's or the request's."""
        self._forget(
            [trial for trial in self._trials if connection in (trial.asked, trial.chain[0])]
        )
        for chain in [chain for chain in self._suspects if chain[0] == connection]:
            del self._suspects[chain]

    def end_all(self) -> None:
        """Forget everything: the process that held the connections is gone."""
        self._forget(self._trials)
        self._suspects.clear()

    # --- internals -------------------------------------------------------------------------

    def _forget(self, trials: list[Trial]) -> None:
        self._integrity.books_unproven += len(trials)
        self._trials = [trial for trial in self._trials if trial not in trials]

    def _end_or_wait(self, frame: Frame, trial: Trial, settled: list[Event]) -> None:
        body = self._body(frame.payload, trial)
        if body is None or body.seq_id is None or trial.book.seq_id is None:
            self._end(frame, trial, _UNPROVEN, settled)
            return
        trial.payload, trial.body = frame.payload, body
        updates, trial.updates = trial.updates, []
        verdict = _verdict_at(trial, body)
        for payload in updates:
            if verdict is not None:
                break
            for event in self._parse(Frame(0, 0, 0, trial.chain[0], Kind.TEXT, payload)):
                if type(event) is BookUpdate and verdict is None:
                    verdict = _advance(trial, event, body)
        if verdict is not None:
            self._end(frame, trial, verdict, settled)

    def _body(self, payload: bytes, trial: Trial) -> BookUpdate | None:
        """Return a REST body as the snapshot it is, read by the one parser there is."""
        try:
            rows = _decode_body(payload).data
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if len(rows) != 1:
            return None
        argument = _encode({"channel": trial.chain[1], "instId": trial.chain[2]})
        push = b'{"arg":%s,"action":"snapshot","data":[%s]}' % (argument, bytes(rows[0]))
        events = self._parse(Frame(0, 0, 0, trial.chain[0], Kind.TEXT, push))
        body = events[0] if len(events) == 1 else None
        return body if isinstance(body, BookUpdate) else None

    def _end(self, frame: Frame, trial: Trial, verdict: Verdict, settled: list[Event]) -> None:
        self._trials = [other for other in self._trials if other is not trial]
        differences = verdict.differences
        before = self._suspects.pop(trial.chain, ())
        if differences is None:
            self._integrity.books_unproven += 1
            return
        if not differences:
            self._integrity.books_match += 1
            return
        if not verdict.is_exact:
            wrong = {(item.side, text_of(item.price)): item for item in differences}
            differences = tuple(item for suspect, item in wrong.items() if suspect in before)
            if not differences:
                self._integrity.books_unproven += 1
                self._suspects[trial.chain] = tuple(wrong)[:_SUSPECTS_MAX]
                return
        self._integrity.books_mismatch += 1
        bids = sum(item.side == "bid" for item in differences)
        first = differences[0]
        connection, channel, instrument = trial.chain
        assert trial.body is not None  # noqa: S101  # there were differences to it
        settled.append(
            BookMismatch(
                frame.seq, 0, frame.ts_recv, connection, instrument, channel,
                trial.body.seq_id or 0, verdict.is_exact, bids, len(differences) - bids,
                first.side, first.price, first.size, first.venue_size,
            )
        )  # fmt: skip

    # --- state -------------------------------------------------------------------------------

    def save(self) -> list[TrialState]:
        """Return what a checkpoint stores: trials under way, and levels once wrong."""
        states = []
        for trial in self._trials:
            bids, asks = trial.book.sides()
            states.append(
                TrialState(
                    *trial.chain, trial.asked, trial.began, trial.depth, trial.count,
                    trial.book.seq_id, bids, asks, trial.updates, trial.payload, [],
                )
            )  # fmt: skip
        for chain, suspects in self._suspects.items():
            states.append(TrialState(*chain, -1, 0, 0, 0, None, [], [], [], None, list(suspects)))
        return states

    def restore(self, saved: TrialState) -> None:
        """Add a trial exactly as it was saved."""
        chain = (saved.connection, saved.channel, saved.instrument)
        if saved.suspects:
            self._suspects[chain] = tuple(saved.suspects)
            return
        book = Book(saved.instrument, saved.channel, saved.connection, number=self.number)
        book.load(saved.bids, saved.asks)
        book.seq_id = saved.seq_id
        trial = Trial(chain, book, saved.began, saved.asked, saved.depth)
        trial.updates, trial.count = saved.updates, saved.count
        if saved.body is not None:
            trial.payload, trial.body = saved.body, self._body(saved.body, trial)
        self._trials.append(trial)


def instrument_asked_for(request: str) -> str | None:
    """Return the instrument whose book a request line asks for, None if it asks for none."""
    parts = request.split(" ")
    if len(parts) < 2 or parts[0] != "GET" or parts[1].partition("?")[0] != BOOKS_PATH:
        return None
    return _query(request, "instId")


def _query(request: str, name: str) -> str | None:
    values = parse_qs(request.split(" ")[1].partition("?")[2]).get(name)
    return values[0] if values else None


def _chain_of(frame: Frame, update: BookUpdate) -> Chain:
    return (frame.connection, update.channel, update.instrument)


def _advance(trial: Trial, update: BookUpdate, body: BookUpdate) -> Verdict | None:
    """Bring the copy forward by one update; None while the body's number is not reached."""
    book, wanted = trial.book, body.seq_id
    prev, seq_id = update.prev_seq_id, update.seq_id
    if update.is_snapshot or prev is None or seq_id is None or wanted is None:
        return _UNPROVEN
    if prev != book.seq_id or seq_id < prev:  # a loss or a reset: nothing to build on
        return _UNPROVEN
    if seq_id <= wanted:
        book.apply(update)
        return _verdict_at(trial, body)
    before = _differences(trial, body)
    book.apply(update)
    after = {(item.side, item.price) for item in _differences(trial, body)}
    return Verdict(
        tuple(item for item in before if (item.side, item.price) in after), is_exact=False
    )


def _verdict_at(trial: Trial, body: BookUpdate) -> Verdict | None:
    """Judge the copy as it stands; None while the body is newer."""
    here, wanted = trial.book.seq_id, body.seq_id
    if here is None or wanted is None or here > wanted:
        return _UNPROVEN
    return Verdict(tuple(_differences(trial, body))) if here == wanted else None


def _differences(trial: Trial, body: BookUpdate) -> list[Difference]:
    """Return the levels that differ, bids before asks, best first."""
    found = []
    for side, ours, theirs in (
        ("bid", trial.book.bids(), body.bids),
        ("ask", trial.book.asks(), body.asks),
    ):
        is_cut = len(theirs) >= trial.depth  # there may be more than were asked for
        mine = {level.price: level.size for level in (ours[: trial.depth] if is_cut else ours)}
        venue = {level.price: level.size for level in theirs[: trial.depth]}
        found += [
            Difference(side, price, mine.get(price), venue.get(price))
            for price in sorted({*mine, *venue}, key=float, reverse=side == "bid")
            if mine.get(price) != venue.get(price)
        ]
    return found
