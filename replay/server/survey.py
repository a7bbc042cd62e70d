"""Survey: the few frames that say what a capture can serve, found without reading all of it.

Responsible for choosing them: where connections went, the first push and the acks of each
argument, REST bodies. Refuses to know what they mean (`catalogue`) and to hold more than a batch.

Theory of operation. A sealed segment's metadata names its channels and instruments, so a segment
is opened for rows only where it has a pair that no segment before it had, or where a connection
begins. Rows are read until every new pair has been met; only channels whose argument says more
than an instrument (`positions` of an `instType`) are read through, in those segments. What is not
sealed yet has no metadata and is read. An argument of such a channel that is first asked for in the
middle of a connection is thus found when it is played, not before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from recorder.capture.batch import FrameBatch
from recorder.capture.block import Selection
from recorder.capture.place import Place
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.segment import SegmentMeta, SegmentReader
from recorder.capture.snapshot import SealedSource
from recorder.errors import Damage
from recorder.frame import Frame, Kind
from recorder.okx.channels import CHANNELS
from recorder.okx.served import ack_of, push_of
from recorder.okx.subscription import Subscription
from replay.server.history import texts_of

Pair = tuple[str | None, str | None]

_CONNECTION_KINDS = frozenset({Kind.OPENED, Kind.SENT, Kind.REST})
_ALL_KINDS = _CONNECTION_KINDS | {Kind.TEXT}
_RELISTINGS = 20


class Survey:
    """One survey of a capture.

    Attributes:
        start, end: `ts_recv` of the first and the last frame seen so far, ns.
        report: what could not be read.
    """

    def __init__(self, capture: Capture) -> None:
        self.start: int | None = None
        self.end: int | None = None
        self.report = ReadReport()
        self._capture = capture
        self._met: set[Pair] = set()

    def frames(self) -> Iterator[list[Frame]]:
        """Yield the frames that matter, some at a time, in order; an empty list now and then."""
        next_seq, failures = 0, 0
        while True:
            snapshot = self._capture.list_again()
            try:
                for source in snapshot.sources:
                    if not isinstance(source, SealedSource):
                        yield from self._read_through(next_seq)
                        return
                    if source.last_seq < next_seq:
                        continue
                    try:
                        meta = _meta_of(snapshot.root, source)
                    except Damage:
                        meta = None  # the playback says so when it gets there
                    if meta is not None:
                        self._saw(meta.start, meta.end)
                        yield from self._of_segment(meta)
                    next_seq, failures = source.last_seq + 1, 0
                return
            except FileNotFoundError:  # joined or expired since it was listed
                failures += 1
                if failures > _RELISTINGS:
                    return

    def _of_segment(self, meta: SegmentMeta) -> Iterator[list[Frame]]:
        first, last = meta.first_seq, meta.last_seq
        is_new = meta.connections > 0 or meta.runs > 0
        if is_new or meta.kinds.get(Kind.REST.label, 0):
            wanted = Selection(first_seq=first, last_seq=last, kinds=_CONNECTION_KINDS)
            for batch in self._select(wanted):
                yield _conversation(batch)
        pairs: set[Pair] = set()
        wide: set[str] = set()
        for channel, count in meta.channels.items():
            if _is_wide(channel) or not count.instruments:
                if is_new or (channel, None) not in self._met:
                    wide.add(channel)
                    self._met.add((channel, None))
                continue
            pairs |= {(channel, instrument) for instrument in count.instruments} - self._met
        yield []
        if pairs:
            yield from self._first_of(pairs, first, last)
        if wide:
            wanted = Selection(
                first_seq=first,
                last_seq=last,
                channels=frozenset(wide),
                kinds=frozenset({Kind.TEXT}),
            )
            known: set[object] = set()
            for batch in self._select(wanted):
                yield list(_new_texts(batch, known))

    def _first_of(self, pairs: set[Pair], first: int, last: int) -> Iterator[list[Frame]]:
        """Yield each pair's acks and its first push, until every pair has one."""
        wanted = Selection(
            first_seq=first,
            last_seq=last,
            channels=frozenset(channel for channel, _ in pairs if channel is not None),
            kinds=frozenset({Kind.TEXT}),
        )
        open_pairs = set(pairs)
        for batch in self._select(wanted):
            found: list[Frame] = []
            index = zip(batch.channel, batch.instrument, strict=True)
            for place, pair in enumerate(index):
                if pair not in open_pairs:
                    continue
                payload = batch.payload[place]
                if push_of(payload) is not None:
                    open_pairs.discard(pair)
                    found.append(_frame(batch, place))
                elif ack_of(payload) is not None:
                    found.append(_frame(batch, place))
            yield found
            if not open_pairs:
                break
        self._met |= pairs

    def _read_through(self, first_seq: int) -> Iterator[list[Frame]]:
        """Yield what matters of everything from a frame on, sealed or not."""
        known: set[object] = set()
        for batch in self._select(Selection(first_seq=first_seq, kinds=_ALL_KINDS)):
            self._saw(batch.ts_recv[0], batch.ts_recv[-1])
            texts = _new_texts(batch, known)
            yield sorted([*_conversation(batch), *texts], key=lambda frame: frame.seq)

    def _select(self, wanted: Selection) -> Iterator[FrameBatch]:
        return self._capture.select(wanted, self.report)

    def _saw(self, start: int, end: int) -> None:
        self.start = start if self.start is None else self.start
        self.end = end if self.end is None else max(self.end, end)


def last_pushes_before(
    capture: Capture,
    wanted: Collection[Subscription],
    seq: int,
    *,
    segments: int = 4,
    elects: bool = False,
) -> dict[Subscription, bytes]:
    """Return the last push before frame `seq` of each argument, where there is one.

    Segments are read from that frame backwards, at most so many of them: what has not been pushed
    for that long is left out.

    Args:
        elects: see `texts_of`.
    """
    found: dict[Subscription, bytes] = {}
    left = list(wanted)
    for first_seq, last_seq in stretches(capture, seq, segments):
        names = [push.instrument or push.get("sprdId") for push in left]
        chosen = Selection(
            first_seq=first_seq,
            last_seq=last_seq,
            channels=frozenset(push.channel for push in left),
            instruments=None if None in names else frozenset(name for name in names if name),
            kinds=frozenset({Kind.TEXT}),
        )
        here: dict[Subscription, bytes] = {}
        for _, payload in texts_of(capture, chosen, elects=elects):
            push = push_of(payload)
            if push is not None:
                here[push] = payload
        found |= {push: here[push] for push in left if push in here}
        left = [push for push in left if push not in found]
        if not left:
            break
    return found


def pushes_before(
    capture: Capture,
    channel: str,
    instrument: str | None,
    seq: int,
    *,
    segments: int = 8,
    elects: bool = False,
) -> Iterator[list[bytes]]:
    """Yield the pushes of a channel before frame `seq`, a segment at a time, the newest first.

    Within a segment they are in order.

    Args:
        instrument: None for all of the channel.
        segments: at most so many are read. elects: see `texts_of`.
    """
    for first_seq, last_seq in stretches(capture, seq, segments):
        chosen = Selection(
            first_seq=first_seq,
            last_seq=last_seq,
            channels=frozenset({channel}),
            instruments=None if instrument is None else frozenset({instrument}),
            kinds=frozenset({Kind.TEXT}),
        )
        texts = texts_of(capture, chosen, elects=elects)
        yield [text for _, text in texts if push_of(text) is not None]


def stretches(capture: Capture, seq: int, segments: int | None = None) -> list[tuple[int, int]]:
    """Return first and last seq of the segments before a frame, the newest first.

    Args:
        segments: at most so many; None: all.
    """
    firsts = [source.first_seq for source in capture.list_again().sealed if source.first_seq < seq]
    bounds: list[tuple[int, int]] = []
    last_seq = seq - 1
    wanted = firsts if segments is None else firsts[-segments:]
    for first_seq in reversed(wanted or [0]):
        if first_seq <= last_seq:
            bounds.append((first_seq, last_seq))
        last_seq = first_seq - 1
    return bounds


def _meta_of(root: Place, source: SealedSource) -> SegmentMeta:
    reader = SegmentReader(root, source.path, source.segment)
    reader.close()
    return reader.meta


def _is_wide(channel: str) -> bool:
    """Say whether an argument of a channel may say more than its instrument does."""
    known = CHANNELS.get(channel)
    return known is None or any(key not in ("instId", "sprdId") for key in known.keys)


def _conversation(batch: FrameBatch) -> list[Frame]:
    kinds = batch.kind
    return [
        _frame(batch, place)
        for place, kind in enumerate(kinds)
        if kind is Kind.OPENED
        or kind is Kind.REST
        or (kind is Kind.SENT and batch.payload[place].startswith(b"GET "))
    ]


def _new_texts(batch: FrameBatch, known: set[object]) -> Iterator[Frame]:
    """Yield the first push and the first ack of each argument on each connection."""
    for place, payload in enumerate(batch.payload):
        if batch.kind[place] is not Kind.TEXT:
            continue
        found = push_of(payload)
        what = (batch.connection[place], found, True)
        if found is None:
            found = ack_of(payload)
            what = (batch.connection[place], found, False)
        if found is not None and what not in known:
            known.add(what)
            yield _frame(batch, place)


def _frame(batch: FrameBatch, place: int) -> Frame:
    return next(batch.part(place, place + 1).frames())
