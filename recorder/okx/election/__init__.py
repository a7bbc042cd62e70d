"""Election: what several links bring of the same, as one stream.

Responsible for choosing, of the copies that redundant sockets record, the one that is delivered,
and when; for which rows say that there are several; and for saving and restoring what that needs.
Refuses to change or to drop anything on disk (every copy is stored as it came), to read a clock,
and to understand payloads beyond their argument and their numbers.

The rule. Links of one endpoint of one recorder (the `opened` rows say `endpoint` and `link`) hold
the same arguments. Of each argument a copy is known by (seqId, prevSeqId) where the push has both,
else by the hash of its payload, which holds argument and venue time. The first copy counts, later
ones are dropped. An update of a book is delivered when its predecessor (prevSeqId) has been; where
that is missing it waits for another link to bring it, at most `HOLE_NS` of data time and only while
there is a link that could (that is not beyond the hole itself), and is then delivered behind the
hole, which the book's chain declares.
A snapshot begins a book that is not whole at once; where it is whole, another link's snapshot is
ignored as soon as the updates have come to where it stands. States (quotes, tickers …) older than
the last one delivered are ignored. Everything else is delivered as it first comes.

What is delivered carries `seq`, `ts_recv` and `ts_mono` of the frame that made its turn, so order
never goes back, and the connection number of the group (`links.Group`), so a book goes on when a
link ends. Acks, errors, notices, rows and requests are each link's own, and pass as they are.
Where an endpoint has one link, everything does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from recorder.frame import Frame, Kind
from recorder.okx.election.books import HOLE_NS, IsWhole, Numbered, Timed, stream_of
from recorder.okx.election.figures import LinkFigures, LinkTally, report_of
from recorder.okx.election.links import Group, GroupState
from recorder.okx.election.memory import MemoryState
from recorder.okx.election.streams import LATEST, Latest, Plain, StreamState, told_by
from recorder.okx.pushes import INCREMENTAL_BOOKS
from recorder.okx.responses import UNREADABLE
from recorder.okx.route import is_push, route
from recorder.okx.spreads import INCREMENTAL_SPREAD_BOOK

__all__ = [
    "HOLE_NS",
    "Election",
    "ElectionState",
    "LinkFigures",
    "links_in_run",
    "report_of",
]

_FOLLOWED = frozenset((*INCREMENTAL_BOOKS, INCREMENTAL_SPREAD_BOOK))
_PREFIX = b'{"arg":{"channel":"'
_HEAD_BYTES = 1024
_STREAMS_MAX = 50_000


class _Opened(msgspec.Struct):
    endpoint: str | None = None
    link: int | None = None


class _Place(msgspec.Struct):
    endpoint: str | None = None
    link: int | None = None


class _Run(msgspec.Struct):
    endpoints: list[_Place] = []
    connections: tuple[int, int] | None = None
    elected: bool = False


class _Argument(msgspec.Struct):
    arg: dict[str, Any]


class _Left(_Argument):
    event: str | None = None


class ElectionState(msgspec.Struct, array_like=True):
    """An election, saved; equal elections give equal states."""

    domains: list[tuple[int, int]]
    groups: list[GroupState]
    streams: list[tuple[int, StreamState]]


_decode_opened = msgspec.json.Decoder(_Opened).decode
_decode_run = msgspec.json.Decoder(_Run).decode
_decode_argument = msgspec.json.Decoder(_Argument).decode

_decode_left = msgspec.json.Decoder(_Left).decode


def links_in_run(payload: bytes) -> bool:
    """Say whether a `run` row tells of an endpoint with several links."""
    run = _read(_decode_run, payload)
    return run is not None and any((place.link or 0) > 0 for place in run.endpoints)


def _read(decode: Any, payload: bytes) -> Any:
    try:
        return decode(payload)
    except UNREADABLE:
        return None


@lru_cache(maxsize=8192)
def _argument_of(head: bytes) -> bytes | None:
    """Return the argument at the head of a push in its one form, None where it is none."""
    try:
        argument = _decode_argument(head + b"}}").arg
    except UNREADABLE:
        return None
    return msgspec.json.encode(argument, order="sorted")


class Election:
    """Elects among the frames of a capture, given in `seq` order.

    Args:
        is_whole: see `streams.IsWhole`; None: whatever has begun and not broken.

    """

    def __init__(self, is_whole: IsWhole | None = None) -> None:
        self._is_whole: IsWhole = is_whole or (lambda connection, channel, instrument: True)
        self._domains: list[tuple[int, int]] = []
        self._groups: dict[tuple[int, str], Group] = {}
        self._of: dict[int, Group] = {}
        self._streams: dict[tuple[int, str, bytes], Plain] = {}
        self._books: dict[tuple[int, str, str, str], Plain] = {}
        self._by_head: dict[tuple[int, str, bytes], Plain] = {}
        self._tallies: dict[tuple[str, int], LinkTally] = {}
        self._over: dict[int, tuple[int, ...]] = {}

    def take(self, frame: Frame) -> Sequence[Frame]:
        """Return the frames that are delivered at this one, none, it or several, in order.

        Delivered pushes have its `seq` and stamps. Never raises for anything a capture may hold.
        """
        if frame.kind is Kind.TEXT:
            group = self._of.get(frame.connection)
            if group is None or not group.elects:
                return (frame,)
            stream = self._stream(group, frame.payload)
            if stream is not None:
                return stream.take(frame, group.live[frame.connection])
            if b'"unsubscribe"' in frame.payload:
                self._leave(group, frame)
            return (frame,)
        if frame.kind is Kind.OPENED:
            row = _read(_decode_opened, frame.payload)
            if row is not None:
                self.open(frame.connection, row.endpoint, row.link, frame.ts_mono)
        elif frame.kind is Kind.CLOSED:
            self._over = {}
            self._close(frame.connection, frame.ts_mono)
        elif frame.kind is Kind.RUN:
            self._begin_run(frame)
        return (frame,)

    # --- what is known --------------------------------------------------------------------

    def connection_of(self, connection: int) -> int:
        """Return whose chains hold what a connection brings: its own, or its group's."""
        group = self._of.get(connection)
        return connection if group is None or not group.elects else group.connection

    def over_with(self, connection: int) -> tuple[int, ...]:
        """Return the connections whose chains are over now that one has ended."""
        return self._over.get(connection, (connection,))

    def partners(self, connection: int) -> list[int]:
        """Return the other open connections that bring the same."""
        group = self._of.get(connection)
        if group is None or not group.elects:
            return []
        return [other for other in group.live if other != connection]

    def has_brought(self, connection: int, channel: str, instrument: str) -> bool:
        """Say whether a connection has brought anything of a book; yes where it is the only one."""
        group = self._of.get(connection)
        if group is None or not group.elects:
            return True
        stream = self._books.get((group.domain, group.endpoint, channel, instrument))
        return stream is not None and connection in stream.holders

    @property
    def waiting(self) -> int:
        """How many pushes wait for what is missing before them."""
        return sum(stream.waiting for stream in self._streams.values())

    def counts(self) -> dict[str, int]:
        """Return the figures of every link since construction, by name; see `figures`."""
        return {
            f"{endpoint}.{number}.{name}": count
            for (endpoint, number), tally in sorted(self._tallies.items())
            for name, count in tally.counts().items()
        }

    # --- rows -----------------------------------------------------------------------------

    def open(self, connection: int, endpoint: str | None, link: int | None, now: int) -> None:
        """Take a connection that is open."""
        key = self._domain_of(connection), endpoint or ""
        group = self._group(key)
        group.open(connection, link or 0, now)
        self._of[connection] = group

    def stand(
        self, connection: int, argument: bytes, book: tuple[str, str], seq_id: int | None, ts: int
    ) -> None:
        """Take where a book (channel, instrument) of an open connection stands, ts in ms."""
        group = self._of[connection]
        kind = Timed.kind if seq_id is None else Numbered.kind
        stream = self._made(kind, group, *book, argument)
        last = ts if seq_id is None else seq_id
        stream.restore(
            StreamState(
                kind, *book, argument, MemoryState(0, [], []), [(connection, ts)], last, ts,
                False, 0, [],
            )
        )  # fmt: skip
        self._streams[group.domain, group.endpoint, argument] = stream

    def _leave(self, group: Group, frame: Frame) -> None:
        """Take an ack of the venue that a connection does not hold an argument any more."""
        acked = _read(_decode_left, frame.payload)
        if acked is None or acked.event != "unsubscribe":
            return
        argument = msgspec.json.encode(acked.arg, order="sorted")
        stream = self._streams.get((group.domain, group.endpoint, argument))
        if stream is not None:
            stream.end(group.live[frame.connection])

    def _close(self, connection: int, now: int) -> None:
        group = self._of.pop(connection, None)
        if group is None:
            return
        link = group.live[connection]
        for stream in self._streams.values():
            if stream.group is group:
                stream.end(link)
        group.close(connection, now)
        if group.elects:
            self._over[connection] = () if group.live else (group.connection,)

    def _begin_run(self, frame: Frame) -> None:
        """Begin anew: whatever connections the process before had are gone."""
        run = _read(_decode_run, frame.payload) or _Run()
        self._over = {}
        domain = -1
        if run.connections is None:
            self._forget(list(self._groups))
            self._domains.clear()
        elif run.elected:
            first, below = run.connections
            for connection in [number for number in self._of if first <= number < below]:
                self._close(connection, frame.ts_mono)
        else:
            domain = run.connections[0]
            self._forget([key for key in self._groups if key[0] == domain])
            if run.connections not in self._domains:
                self._domains.append(run.connections)
        for place in run.endpoints:
            if place.link is not None:
                self._group((domain, place.endpoint or "")).numbers.setdefault(place.link)

    def _forget(self, keys: list[tuple[int, str]]) -> None:
        gone = [self._groups.pop(key) for key in keys]
        self._of = {number: group for number, group in self._of.items() if group not in gone}
        for streams in (self._streams, self._by_head, self._books):
            for key in [key for key, stream in streams.items() if stream.group in gone]:
                del streams[key]  # type: ignore[arg-type]

    def _domain_of(self, connection: int) -> int:
        return next((a for a, below in self._domains if a <= connection < below), -1)

    def _group(self, key: tuple[int, str]) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key, self._tallies)
        return group

    # --- streams --------------------------------------------------------------------------

    def _stream(self, group: Group, payload: bytes) -> Plain | None:
        """Return the stream that a push belongs to; None: it is no push."""
        head = payload[: payload.find(b"}")] if payload.startswith(_PREFIX) else b""
        if head:
            stream = self._by_head.get((group.domain, group.endpoint, head))
            if stream is not None:
                return stream
        if not is_push(payload):
            return None
        argument = _argument_of(head) if 0 < len(head) < _HEAD_BYTES else None
        if argument is None:
            pushed = _read(_decode_argument, payload)
            if pushed is None:
                return None
            argument = msgspec.json.encode(pushed.arg, order="sorted")
        key = group.domain, group.endpoint, argument
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= _STREAMS_MAX:
                return None
            stream = self._streams[key] = self._new(group, argument, payload)
        if head:
            self._by_head[group.domain, group.endpoint, head] = stream
        return stream

    def _new(self, group: Group, argument: bytes, payload: bytes) -> Plain:
        channel, instrument = route(payload)
        channel, instrument = channel or "", instrument or ""
        kind = Plain.kind
        if instrument and channel in _FOLLOWED:
            told = told_by(payload)
            if told is not None:
                kind = Timed.kind if told.seq_id is None else Numbered.kind
        elif instrument and channel in LATEST:
            kind = Latest.kind
        return self._made(kind, group, channel, instrument, argument)

    def _made(
        self, kind: str, group: Group, channel: str, instrument: str, argument: bytes
    ) -> Plain:
        stream = stream_of(kind, group, channel, instrument, argument, self._is_whole)
        if channel in _FOLLOWED:
            self._books[group.domain, group.endpoint, channel, instrument] = stream
        return stream

    # --- state ----------------------------------------------------------------------------

    def save(self) -> ElectionState:
        """Return the state; figures are no part of it."""
        groups = sorted(self._groups)
        place = {key: at for at, key in enumerate(groups)}
        return ElectionState(
            self._domains,
            [self._groups[key].save() for key in groups],
            [
                (place[domain, endpoint], self._streams[domain, endpoint, argument].save())
                for domain, endpoint, argument in sorted(self._streams)
            ],
        )

    @classmethod
    def restore(cls, saved: ElectionState, is_whole: IsWhole | None = None) -> Election:
        """Return an election that goes on exactly where the saved one stood."""
        election = cls(is_whole)
        election._domains = list(saved.domains)
        groups = []
        for state in saved.groups:
            group = election._group((state.domain, state.endpoint))
            group.restore(state)
            groups.append(group)
            for connection in group.live:
                election._of[connection] = group
        for place, known in saved.streams:
            group = groups[place]
            stream = election._made(
                known.kind, group, known.channel, known.instrument, known.argument
            )
            stream.restore(known)
            election._streams[group.domain, group.endpoint, known.argument] = stream
        return election
