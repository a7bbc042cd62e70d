"""Redundant: what two captures of the same must have said to be elected from, when merged.

Responsible for how far apart the clocks of two recorders were, and for the rows that say which
links there are. Refuses to choose between copies: every reader elects (`okx.election`).

The clocks. A push that both received is known by its bytes. The difference of its two receive times
is the skew of the clocks and the difference of the ways to the venue, which nobody can tell apart
from frames. The median over common pushes is taken for the skew, and taken off the second's times:
so the merged capture has one clock, that of the first, and a push is as late on a link as it was
beyond what is usual there. The amount stands in the second's `run` rows (`clock_skew_ns`) and in
`capture.json`; added again, it gives what was recorded.

Bounded: of each capture the pushes with the smallest hashes are kept, those of the whole time, so
however long they are and wherever they overlap, the same pushes are kept of both.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from recorder.frame import Frame, Kind
from recorder.okx import checkpoint
from recorder.okx.channels import endpoint_serving
from recorder.okx.election import Election, ElectionState
from recorder.okx.election.streams import key_of
from recorder.okx.route import is_push

SAMPLES = 65_536


class Beginning(Protocol):
    """What must be known of a capture that begins in the midst of a recording.

    Attributes:
        shift: added to the numbers of its connections. links_from: to those of its links.
        start, begins: time of the first frame of both and of its own, ns.
    """

    shift: int
    links_from: int
    start: int
    begins: int


class Common(msgspec.Struct, frozen=True):
    """What two captures have in common.

    Attributes:
        pushes: how many were compared. skew_ns: by how much the second's clock was ahead.
        spread_ns: between the 5th and the 95th percentile of the differences.
    """

    pushes: int
    skew_ns: int
    spread_ns: int


class Sample:
    """The pushes of a capture with the smallest hashes, and when each was first received.

    Attributes:
        links: numbers above those of its links. start: time of the first frame, ns.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.links = 1
        self.start: int | None = None
        self.times: dict[bytes, int] = {}
        largest: list[bytes] = []  # a heap of inverted keys, so that the largest comes first
        for frame in frames:
            if self.start is None:
                self.start = frame.ts_recv
            if frame.kind is Kind.OPENED:
                self.links = max(self.links, _link_of(frame.payload) + 1)
            if frame.kind is not Kind.TEXT or not is_push(frame.payload):
                continue
            key = key_of(frame.payload)
            if key in self.times:
                continue
            if len(largest) >= SAMPLES:
                if _inverted(key) <= largest[0]:
                    continue
                del self.times[_inverted(heapq.heapreplace(largest, _inverted(key)))]
            else:
                heapq.heappush(largest, _inverted(key))
            self.times[key] = frame.ts_recv


def _inverted(key: bytes) -> bytes:
    return bytes(255 - byte for byte in key)


def in_common(first: Sample, second: Sample) -> Common | None:
    """Compare the clocks of two captures; None where they have no push in common."""
    times = second.times
    apart = sorted(times[key] - at for key, at in first.times.items() if key in times)
    if not apart:
        return None
    count = len(apart)
    spread = apart[(count - 1) * 95 // 100] - apart[(count - 1) * 5 // 100]
    return Common(count, apart[(count - 1) // 2], spread)


def _link_of(payload: bytes) -> int:
    row = _row(payload)
    link = row.get("link")
    return link if isinstance(link, int) else 0


def _row(payload: bytes) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return {}
    return row if isinstance(row, dict) else {}


def relinked(payload: bytes, kind: Kind, links_from: int, skew_ns: int) -> bytes:
    """Return a row of a recorder that has become one of two: its links are counted on.

    Args:
        links_from: added to their numbers. skew_ns: what was taken off its times.
    """
    row = _row(payload)
    if not row or kind not in (Kind.OPENED, Kind.CLOSED, Kind.RUN):
        return payload
    if kind is Kind.RUN:
        places = row.get("endpoints")
        if isinstance(places, list):
            row["endpoints"] = [
                {**place, "link": (place.get("link") or 0) + links_from}
                for place in places
                if isinstance(place, dict)
            ]
        row |= {"elected": True, "clock_skew_ns": (row.get("clock_skew_ns") or 0) + skew_ns}
    elif kind is Kind.OPENED or "link" in row:
        row["link"] = (row.get("link") or 0) + links_from
    return msgspec.json.encode(row)


def elected_state(
    sources: Sequence[Beginning], states: Sequence[checkpoint.State]
) -> ElectionState:
    """Return the election before the first row, of captures that may begin amid a recording.

    Which endpoint a connection is of is told by what it has subscribed. Of a book that both hold
    the one of the capture that begins first goes on, as the book of all links, from where it
    stands; the other is taken out of its state.

    Args:
        states: before the first frame of each, under the numbers of the result.
    """
    electing = Election()
    order = sorted(range(len(sources)), key=lambda at: sources[at].begins)
    for at in order:
        for known in sorted(states[at].connections, key=lambda known: known.connection):
            endpoint = endpoint_serving(known.subscriptions)
            electing.open(known.connection, endpoint, sources[at].links_from, sources[at].start)
    taken: set[tuple[int, str, str]] = set()
    for at in order:
        state, kept = states[at], []
        holders = {known.connection: known for known in state.connections}
        for book in state.books:
            own = _open_number(book.connection, state, sources[at].shift)
            merged = electing.connection_of(own)
            key = merged, book.channel, book.instrument
            is_first = at == order[0] and book.is_whole and own in holders
            if (merged != own and not is_first) or key in taken:
                continue
            taken.add(key)
            kept.append(book)
            book.connection = merged
            if is_first and book.ts_event is not None and electing.partners(own):
                place = book.channel, book.instrument
                argument = _argument_of(holders[own], *place)
                electing.stand(own, argument, place, book.seq_id, book.ts_event // 1_000_000)
        state.books = kept
    return electing.save()


def _open_number(connection: int, state: checkpoint.State, shift: int) -> int:
    """Return an open connection whose book this is: of links it is all of theirs."""
    for group in [] if state.election is None else state.election.groups:
        if group.connection + shift == connection and group.live:
            return min(number for number, _, _ in group.live) + shift
    return connection


def _argument_of(known: checkpoint.ConnectionState, channel: str, instrument: str) -> bytes:
    """Return the argument by which a connection holds a book, as the election writes it."""
    for subscription in known.subscriptions:
        row = _row(subscription)
        if row.get("channel") == channel and instrument in row.values():
            return subscription
    argument = {"channel": channel, "instId": instrument}
    return msgspec.json.encode(argument, order="sorted")
