"""Coverage: when was each argument being received, and where are the holes?

Responsible for telling "did I have BTC books from nine to ten?" from what the interpreter knows:
accepted subscriptions, ended connections, declared losses, books that were not whole. Refuses to
take silence for a hole: a market may be quiet, and a dead socket is found by the heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from recorder.event import (
    BookUpdate,
    ChecksumMismatch,
    Disconnected,
    Event,
    Lost,
    RunStarted,
    SequenceGap,
    Subscribed,
    Unsubscribed,
    VenueError,
)
from recorder.frame import Frame
from recorder.okx.interpreter import Interpreter
from recorder.okx.pushes import INCREMENTAL_BOOKS
from recorder.okx.spreads import INCREMENTAL_SPREAD_BOOK

_FOLLOWED = frozenset((*INCREMENTAL_BOOKS, INCREMENTAL_SPREAD_BOOK))
"""Channels whose pushes mean nothing without all those before them."""


class _Key(NamedTuple):
    connection: int
    channel: str
    subject: str


class Span(msgspec.Struct, frozen=True):
    """A time in which one connection received one argument without a known hole.

    Attributes:
        subject: the instrument, else the argument's other fields, e.g. `instType=SWAP`.
        start, end: ns since the Unix epoch, by `ts_recv`: from the acceptance (of a followed book:
            from its snapshot) to the first row that says otherwise.
        first_seq, last_seq: rows between which it lies, inclusive.
        ended_by: why it ended: `unsubscribed`, `disconnected`, `refused`, `gap`, `lost`, `restart`
            or `end` (of what was read).
    """

    channel: str
    subject: str
    connection: int
    start: int
    end: int
    first_seq: int
    last_seq: int
    ended_by: str


class Hole(msgspec.Struct, frozen=True):
    """A time without: `start` to `end`, ns, and what ended the span before (`begin`: nothing)."""

    start: int
    end: int
    cause: str


class Covered(msgspec.Struct, frozen=True):
    """How much of a window one argument was received, over whatever connection.

    Attributes:
        covered_ns: time with it. share: of the window, 0 to 1.
        holes: the times without it, in order.
    """

    channel: str
    subject: str
    covered_ns: int
    share: float
    holes: list[Hole]


class Coverage:
    """Fold rows into spans. Memory grows with interruptions, not with frames.

    Args:
        interpreter: the one that steps over the same rows; what it knows by now is where this
            begins.
        start: time of that, ns.
    """

    def __init__(self, interpreter: Interpreter, *, start: int, first_seq: int) -> None:
        self._interpreter = interpreter
        self._open: dict[_Key, tuple[int, int]] = {}
        self._wanted: dict[_Key, None] = {}  # a set would end spans in the order of its hashes
        self._lost: set[int] | None = set()  # connections to begin anew; None: all of them
        self._last = start, first_seq
        self.spans: list[Span] = []
        for connection in interpreter.connections:
            for argument in interpreter.subscriptions(connection):
                self._wanted[_key(connection, argument)] = None
        self._begin(self._wanted)

    def step(self, frame: Frame, events: Sequence[Event]) -> None:
        """Take a row and the events that the interpreter has just made of it."""
        if any(type(event) is RunStarted for event in events):
            self._end(list(self._wanted), "restart", forget=True)
            self._lost = set()
        elif self._lost is None or self._lost:
            self._last = max(self._last[0], frame.ts_recv), frame.seq
            lost, self._lost = self._lost, set()
            self._begin(key for key in self._wanted if lost is None or key.connection in lost)
        for event in events:
            if type(event) in _LOOKED_AT:
                self._last = max(self._last[0], frame.ts_recv), frame.seq
                self._look(frame, event)
        self._last = max(self._last[0], frame.ts_recv), frame.seq

    def finish(self, end: int | None = None) -> list[Span]:
        """End what is open; return all spans, in the order they ended.

        Args:
            end: when, ns, where rows behind it are known; None: with the last row seen.
        """
        if end is not None:
            self._last = max(self._last[0], end), self._last[1]
        self._end(list(self._open), "end", forget=True)
        return self.spans

    def _look(self, frame: Frame, event: Any) -> None:
        match event:
            case Subscribed():
                key = _key(event.connection, event.argument)
                self._wanted[key] = None
                self._begin([key])
            case Unsubscribed():
                self._end([_key(event.connection, event.argument)], "unsubscribed", forget=True)
            case VenueError():
                self._end(self._taken_back(frame.connection), "refused", forget=True)
            case Disconnected():
                mine = [key for key in self._wanted if key.connection == event.connection]
                self._end(mine, "disconnected", forget=True)
            case Lost():
                is_one = event.connection >= 0
                hit = [k for k in self._open if not is_one or k.connection == event.connection]
                self._end(hit, "lost")
                if not is_one:
                    self._lost = None
                elif self._lost is not None:
                    self._lost.add(event.connection)
            case SequenceGap() | ChecksumMismatch():
                self._end([_Key(event.connection, event.channel, event.instrument)], "gap")
            case BookUpdate() if event.is_snapshot:
                subject = event.subscribed_as or event.instrument
                key = _Key(frame.connection, event.channel, subject)
                if key in self._wanted:
                    self._begin([key])

    def _taken_back(self, connection: int) -> list[_Key]:
        held = {_key(connection, a) for a in self._interpreter.subscriptions(connection)}
        return [k for k in self._wanted if k.connection == connection and k not in held]

    def _begin(self, keys: Iterable[_Key]) -> None:
        for key in keys:
            if key not in self._open and (key.channel not in _FOLLOWED or self._is_whole(key)):
                self._open[key] = self._last

    def _is_whole(self, key: _Key) -> bool:
        return any(
            book.is_whole
            for book in self._interpreter.books.of(key.subject)
            if book.channel == key.channel and book.connection == key.connection
        )

    def _end(self, keys: Iterable[_Key], why: str, *, forget: bool = False) -> None:
        end, last_seq = self._last
        for key in keys:
            if forget:
                self._wanted.pop(key, None)
            begun = self._open.pop(key, None)
            if begun is not None and begun[0] < end:
                start, first_seq = begun
                span = Span(
                    key.channel, key.subject, key.connection, start, end, first_seq, last_seq, why
                )
                self.spans.append(span)


_LOOKED_AT = frozenset(
    (
        BookUpdate,
        ChecksumMismatch,
        Disconnected,
        Lost,
        SequenceGap,
        Subscribed,
        Unsubscribed,
        VenueError,
    )
)


def _key(connection: int, argument: dict[str, Any]) -> _Key:
    rest = {name: value for name, value in argument.items() if name != "channel"}
    named = rest.get("instId") or rest.get("sprdId")
    subject = str(named or ",".join(f"{name}={value}" for name, value in sorted(rest.items())))
    return _Key(connection, str(argument.get("channel", "")), subject)


def summary(spans: Iterable[Span], *, start: int, end: int) -> list[Covered]:
    """Return what each argument's spans cover of a window, connections put together.

    Args:
        start, end: the window, ns; `end` is not part of it.

    Returns:
        By channel and subject.
    """
    of: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        of.setdefault((span.channel, span.subject), []).append(span)
    return [_covered(*key, of[key], start, end) for key in sorted(of)]


def _covered(channel: str, subject: str, spans: list[Span], start: int, end: int) -> Covered:
    holes, at, cause = list[Hole](), start, "begin"
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.start > at:
            holes.append(Hole(at, min(span.start, end), cause))
        if span.end >= at:
            at, cause = span.end, span.ended_by
        elif at == start:
            cause = span.ended_by
        if at >= end:
            break
    if at < end:
        holes.append(Hole(at, end, cause))
    holes = [hole for hole in holes if hole.end > hole.start]
    covered = end - start - sum(hole.end - hole.start for hole in holes)
    share = covered / (end - start) if end > start else 0.0
    return Covered(channel, subject, covered, share, holes)
