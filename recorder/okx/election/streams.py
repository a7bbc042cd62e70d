"""Streams: one argument of one endpoint, as several links bring it.

Responsible for what every stream has: copies told from news, and pushes restamped. Refuses to know
connections as such, and what payloads say beyond their numbers; streams of updates, whose order
matters, are in `books`.

`Plain`: every push speaks for itself and is delivered when the first link brings it. `Latest`: a
push is a state that the next one replaces; one older than what was delivered is ignored.

Nothing happens but when a push of the stream itself arrives: whether other streams are read beside
it makes no difference.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import msgspec

from recorder.frame import Frame
from recorder.okx.election.links import Group, Link
from recorder.okx.election.memory import Memory, MemoryState, Occurrence


class Held(msgspec.Struct, array_like=True, gc=False):
    """A push that waits.

    Attributes:
        position: number (or venue time) it follows; number: its own. serial: order of arrival,
            -1: it begins the stream anew. ts: venue time, ms. arrived: monotonic ns.
        occurrence: who has brought it.
    """

    position: int
    number: int
    serial: int
    is_snapshot: bool
    ts: int
    arrived: int
    payload: bytes
    occurrence: Occurrence


class Told(NamedTuple):
    """The few things an election reads in a push of a book or a state."""

    is_snapshot: bool
    ts: int
    seq_id: int | None
    prev_seq_id: int | None


class StreamState(msgspec.Struct, array_like=True):
    """A stream, saved."""

    kind: str
    channel: str
    instrument: str
    argument: bytes
    memory: MemoryState
    holders: list[tuple[int, int]]
    last: int | None
    last_ts: int | None
    is_broken: bool
    serial: int
    held: list[Held]


class _Row(msgspec.Struct, gc=False):
    ts: int
    seqId: int | None = None  # noqa: N815
    prevSeqId: int | None = None  # noqa: N815


class _Push(msgspec.Struct, gc=False):
    data: list[_Row]
    action: str | None = None


_decode = msgspec.json.Decoder(_Push, strict=False).decode


def told_by(payload: bytes) -> Told | None:
    """Return what a push says of its place; None where it says none, or is of several rows."""
    try:
        push = _decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if len(push.data) != 1:
        return None
    row = push.data[0]
    return Told(push.action == "snapshot", row.ts, row.seqId, row.prevSeqId)


def key_of(payload: bytes) -> bytes:
    """Return the key of a push without numbers: argument, venue time and all, by its hash."""
    return blake2b(payload, digest_size=8).digest()


class Plain:
    """A stream in which every push speaks for itself.

    Attributes:
        holders: connections that have brought something here, and the latest venue time of it.
        expected: their bits.
    """

    kind = "plain"

    def __init__(self, group: Group, channel: str, instrument: str, argument: bytes) -> None:
        self.group = group
        self.channel = channel
        self.instrument = instrument
        self.argument = argument
        self.memory = Memory(group.missed)
        self.holders: dict[int, int] = {}
        self.expected = 0

    def take(self, frame: Frame, link: Link) -> list[Frame]:
        """Return what is delivered now that a link has brought this."""
        now = frame.ts_mono
        self.memory.pass_time(now)
        if self._brings(link, key_of(frame.payload), now) is None:
            return []
        return [self._out(frame, frame.payload)]

    def end(self, link: Link) -> None:
        """Take the end of a connection."""
        if self.holders.pop(link.connection, None) is not None:
            self.expected &= ~link.bit
            link.tally.missed += self.memory.end(link.bit)

    @property
    def waiting(self) -> int:
        """How many pushes wait."""
        return 0

    def save(self) -> StreamState:
        """Return the state."""
        return StreamState(
            self.kind, self.channel, self.instrument, self.argument, self.memory.save(),
            list(self.holders.items()), None, None, False, 0, [],
        )  # fmt: skip

    def restore(self, saved: StreamState) -> None:
        """Go on where a saved one stood."""
        self.memory.restore(saved.memory)
        self.holders = dict(saved.holders)
        for connection in self.holders:
            link = self.group.live.get(connection)
            self.expected |= 0 if link is None else link.bit

    def _brings(self, link: Link, key: bytes, now: int, ts: int = 0) -> Occurrence | None:
        """Note what a link brings; return its occurrence, None where it is a copy."""
        held = self.holders.get(link.connection)
        if held is None:
            self.expected |= link.bit
        if held is None or held < ts:
            self.holders[link.connection] = ts
        copy = self.memory.copy_of(key, link.bit)
        if copy is not None:
            link.tally.copied(now - copy.arrived)
            return None
        link.tally.first += 1
        return self.memory.add(key, link.bit, self.expected, now)

    def _out(self, frame: Frame, payload: bytes) -> Frame:
        """Return a payload with the seq and the stamps of the frame that made its turn."""
        connection = self.group.connection
        if payload is frame.payload and connection == frame.connection:
            return frame
        return Frame(frame.seq, frame.ts_recv, frame.ts_mono, connection, frame.kind, payload)


class Latest(Plain):
    """A stream of states: what is older than the last one delivered says nothing any more."""

    kind = "latest"

    def __init__(self, group: Group, channel: str, instrument: str, argument: bytes) -> None:
        super().__init__(group, channel, instrument, argument)
        self._last: tuple[int, int] | None = None

    def take(self, frame: Frame, link: Link) -> list[Frame]:
        delivered = super().take(frame, link)
        told = told_by(frame.payload) if delivered else None
        if told is None:
            return delivered
        place = told.ts, told.seq_id or 0
        if self._last is not None and place < self._last:
            link.tally.late += 1
            return []
        self._last = place
        return delivered

    def save(self) -> StreamState:
        saved = super().save()
        if self._last is not None:
            saved.last_ts, saved.last = self._last
        return saved

    def restore(self, saved: StreamState) -> None:
        super().restore(saved)
        if saved.last_ts is not None and saved.last is not None:
            self._last = saved.last_ts, saved.last


LATEST = frozenset(
    ("bbo-tbt", "books5", "tickers", "mark-price", "index-tickers", "price-limit",
     "sprd-bbo-tbt", "sprd-books5", "sprd-tickers")
)  # fmt: skip
"""Channels of one instrument whose push replaces the one before it, and says when it was made."""
