"""FrameBatch: up to 8,192 consecutive frames as parallel lists, the fast way to read a capture.

Responsible for the batch and for the routing index of a frame. Refuses to read files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from recorder.frame import KINDS, RECORD, Frame, Kind
from recorder.okx.route import NOWHERE, route, routes

BATCH_ROWS = 8192

Index = tuple[str | None, str | None]


def index_of(kind: Kind, payload: bytes) -> Index:
    """Return (channel, instrument) of a frame; None where it has none or several.

    Only messages of the conversation have them: received text and what was sent.
    """
    if kind is Kind.TEXT or kind is Kind.SENT:
        return route(payload)
    return None, None


def indexes_of(kinds: Sequence[Kind], payloads: Sequence[bytes]) -> list[Index]:
    """Return `index_of` each frame."""
    index = routes(payloads)
    text, sent = Kind.TEXT, Kind.SENT
    if kinds.count(text) < len(kinds):
        for position, kind in enumerate(kinds):
            if kind is not text and kind is not sent:
                index[position] = NOWHERE
    return index


class FrameBatch:
    """Frames in seq order, one list per column.

    Attributes:
        seq, ts_recv, ts_mono, connection: list of int.
        kind: list of Kind; payload: list of bytes.
    """

    __slots__ = (
        "_channel",
        "_index",
        "_instrument",
        "connection",
        "kind",
        "payload",
        "seq",
        "ts_mono",
        "ts_recv",
    )

    def __init__(
        self,
        seq: list[int],
        ts_recv: list[int],
        ts_mono: list[int],
        connection: list[int],
        kind: list[Kind],
        payload: list[bytes],
        index: Callable[[], tuple[list[str | None], list[str | None]]],
    ) -> None:
        self.seq = seq
        self.ts_recv = ts_recv
        self.ts_mono = ts_mono
        self.connection = connection
        self.kind = kind
        self.payload = payload
        self._index = index
        self._channel: list[str | None] | None = None
        self._instrument: list[str | None] | None = None

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def channel(self) -> list[str | None]:
        """Channel of each frame, None where it has none or several; made when first asked for."""
        if self._channel is None:
            self._channel, self._instrument = self._index()
        return self._channel

    @property
    def instrument(self) -> list[str | None]:
        """Instrument of each frame, None where it has none or several."""
        if self._instrument is None:
            self._channel, self._instrument = self._index()
        return self._instrument

    def part(self, start: int, stop: int) -> FrameBatch:
        """Return the rows from position `start` to before `stop`."""
        if start <= 0 and stop >= len(self.seq):
            return self
        rows = slice(start, stop)
        return FrameBatch(
            self.seq[rows],
            self.ts_recv[rows],
            self.ts_mono[rows],
            self.connection[rows],
            self.kind[rows],
            self.payload[rows],
            lambda: (self.channel[rows], self.instrument[rows]),
        )

    def frames(self) -> Iterator[Frame]:
        """Yield the rows as frames."""
        return map(
            Frame,
            self.seq,
            self.ts_recv,
            self.ts_mono,
            self.connection,
            self.kind,
            self.payload,
        )


def batch_of(frames: Sequence[Frame]) -> FrameBatch:
    """Return frames as a batch; channel and instrument are routed when asked for."""
    return _routed(
        [f.seq for f in frames],
        [f.ts_recv for f in frames],
        [f.ts_mono for f in frames],
        [f.connection for f in frames],
        [f.kind for f in frames],
        [f.payload for f in frames],
    )


def batch_of_records(records: bytes) -> FrameBatch:
    """Return the frames of at least one canonical record, as many as there are.

    Raises:
        ValueError: a length runs over the end or a kind is unknown.
    """
    at, size, head = 0, len(records), RECORD.size
    unpack = RECORD.unpack_from
    rows: list[tuple[int, ...]] = []
    payloads: list[bytes] = []
    while at < size:
        if size - at < head:
            raise ValueError("record header cut short")
        row = unpack(records, at)
        at += head
        end = at + row[5]
        rows.append(row)
        payloads.append(records[at:end])
        at = end
    seq, ts_recv, ts_mono, connection, codes, _ = map(list, zip(*rows, strict=True))
    if at > size or max(codes) >= len(KINDS):
        raise ValueError("record length or kind out of range")
    kinds = list(map(KINDS.__getitem__, codes))
    return _routed(seq, ts_recv, ts_mono, connection, kinds, payloads)


def _routed(
    seq: list[int],
    ts_recv: list[int],
    ts_mono: list[int],
    connection: list[int],
    kinds: list[Kind],
    payloads: list[bytes],
) -> FrameBatch:
    def index() -> tuple[list[str | None], list[str | None]]:
        pairs = indexes_of(kinds, payloads)
        return [channel for channel, _ in pairs], [instrument for _, instrument in pairs]

    return FrameBatch(seq, ts_recv, ts_mono, connection, kinds, payloads, index)
