"""Merge: two captures as one, every frame of both.

Responsible for the order and for the new numbers of frames and connections. Refuses to choose
between frames that both recorded, to pass over damage, and to leave a half-made capture behind.
What two recorders of the same need beside that is in `redundant`.

Order. A frame's time is the highest `ts_recv` of its own capture up to it, so that each capture's
order is kept whatever its clock did; the earlier time comes first, and of equal ones the first
capture's. That time is also the new `ts_mono`: monotonic clocks of two machines, or of two boots,
cannot be compared.

Numbers. Frames count from 0. Connections of the first capture keep their numbers, those of the
second count on behind them. Two kinds of rows name numbers, and follow: a `lost` row loses the seqs
that it names (its count stays), a `run` row gains `connections`, the numbers it speaks of.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from recorder.capture.batch import BATCH_ROWS
from recorder.capture.expiry.earlier import last_connection_before
from recorder.capture.place import on_disk
from recorder.capture.reader import Capture
from recorder.capture.reading.hold import hold_snapshot
from recorder.capture.reshape.derive import Plan, derive, is_private, origin_of
from recorder.capture.reshape.redundant import Common, Sample, elected_state, in_common, relinked
from recorder.capture.reshape.slice import numbered
from recorder.capture.snapshot import Snapshot
from recorder.errors import UsageError
from recorder.frame import Frame, Kind
from recorder.okx import checkpoint
from recorder.okx.interpreter import Interpreter

Progress = Callable[[int], None]

_BEHIND_ALL = 1 << 31
_NEVER = 1 << 63
_BATCH_BYTES = 8 << 20


class MergeReport(msgspec.Struct, kw_only=True):
    """What a merge holds.

    Attributes:
        frames: in the result. connections_from: what was added to the second's numbers.
        start, end: `ts_recv` of the first and last frame, ns.
        elected: what they have in common; None where they are only put together.
    """

    path: str
    sources: list[str]
    frames: int = 0
    segments: int = 0
    lost_rows: int = 0
    connections_from: int = 0
    start: int | None = None
    end: int | None = None
    input_digest: str | None = None
    elected: Common | None = None


def merge_captures(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    elect: bool = False,
    skew_ns: int | None = None,
    progress: Progress | None = None,
) -> MergeReport:
    """Write every frame of two captures as a new capture.

    Args:
        elect: they are redundant recorders of the same: their links become links of one, so that
            every reader gets the one stream of both. Then it makes no difference which is named
            first: the one with the smaller id is.
        skew_ns: by how much the clock of the one with the larger id was ahead; None: by what the
            pushes that both received say.
        progress: called with the number of frames written so far.

    Raises:
        NotACapture: one is none. CaptureExists: `out` is there already.
        UsageError: they are of different venues, or hold nothing.
        Damage: a part cannot be read. DiskFull: no room; nothing is left behind.
    """
    captures = [Capture(first), Capture(second)]
    if captures[0].header.venue != captures[1].header.venue:
        raise UsageError(
            f"expected two captures of one venue, received {captures[0].header.venue} and "
            f"{captures[1].header.venue}; keep them apart"
        )
    if elect:
        captures.sort(key=lambda capture: capture.header.id)
    with ExitStack() as stack:
        sources: list[_Source] = []
        for rank, capture in enumerate(captures):
            snapshot, hold = hold_snapshot(capture)
            stack.enter_context(hold)
            # Reading up to here makes the result a matter of the sources as they are now.
            pinned = capture.pinned(snapshot)
            shift = 0 if rank == 0 else sources[0].connections
            sources.append(_Source(pinned, snapshot, rank, shift))
        if not any(source.last_seq is not None for source in sources):
            raise UsageError(f"expected frames to merge, found none in {first} and {second}")
        how: dict[str, Any] = {}
        common = _set_links(sources, skew_ns) if elect else None
        if common is not None:
            how = {"elected": True, "clock_skew_ns": common.skew_ns}
        plan = Plan(
            venue=captures[0].header.venue,
            note=_note_of(captures),
            origin=origin_of("merge", captures, last_seqs=[s.last_seq for s in sources], **how),
            first_seq=0,
            private=is_private(*captures),
            interpreter=_joined_state(sources),
        )
        info = derive(out, plan, _merged(sources), progress)
    return MergeReport(
        path=str(out),
        sources=[str(capture.path) for capture in captures],
        frames=info.frames,
        segments=info.segments,
        lost_rows=info.lost_rows,
        connections_from=sources[1].shift,
        start=info.start,
        end=info.end,
        input_digest=info.input_digest,
        elected=common,
    )


def _set_links(sources: list[_Source], skew_ns: int | None) -> Common:
    """Have the links of the second go on behind those of the first, on the clock of the first.

    Raises:
        UsageError: they have nothing in common.
    """
    first, second = sources
    samples = [Sample(source.frames()) for source in sources]
    common = in_common(*samples)
    if common is None and skew_ns is None:
        raise UsageError(
            f"expected two recordings of the same, found no push that both {first.capture.path} "
            f"and {second.capture.path} received; merge them without --elect"
        )
    common = common or Common(0, 0, 0)
    if skew_ns is not None:
        common = replace(common, skew_ns=skew_ns)
    first.is_elected = second.is_elected = True
    second.links_from, second.skew_ns = samples[0].links, common.skew_ns
    for source, sample in zip(sources, samples, strict=True):
        if sample.start is not None:
            source.begins = sample.start - source.skew_ns
    starts = [sample.start for sample in samples if sample.start is not None]
    first.start = second.start = min(starts, default=0)
    return common


class _Source:
    """One of the captures.

    Attributes:
        connections: number after its highest connection, in the new numbers.
        last_seq: of its last frame now; None: it has none.
        begins: time of its first frame on the clock of the result, where they are elected.
    """

    def __init__(self, capture: Capture, snapshot: Snapshot, rank: int, shift: int) -> None:
        self.capture = capture
        self.rank = rank
        self.shift = shift
        self.before = capture.interpreter_before(snapshot.first_seq)
        state = checkpoint.decode(self.before.save(), float)
        highest = last_connection_before(on_disk(capture.path, "merged"), _BEHIND_ALL)
        highest = max([highest, *(known.connection for known in state.connections)])
        highest = max([highest, *(book.connection for book in state.books)])
        self.is_elected = False
        self.links_from = self.skew_ns = self.start = 0
        self.begins = _NEVER
        self.last_seq: int | None = None
        if snapshot.sealed:
            self.last_seq = snapshot.sealed[-1].last_seq
        for batch in capture.batches(first_seq=(self.last_seq or -1) + 1):
            highest = max(highest, *batch.connection)
            self.last_seq = batch.seq[-1]
        self.connections = highest + 1 + shift

    def timed(self) -> Iterator[tuple[int, int, Frame]]:
        """Yield the frames, each with its time and this source's rank."""
        latest: int | None = None
        for frame in self.frames():
            time = frame.ts_recv - self.skew_ns
            latest = time if latest is None else max(latest, time)
            yield latest, self.rank, frame

    def frames(self) -> Iterator[Frame]:
        """Yield the frames as they are."""
        if self.last_seq is not None:
            yield from self.capture.frames(last_seq=self.last_seq)


def _note_of(captures: Sequence[Capture]) -> str | None:
    """Return the notes of both, each once; one alone would speak for frames it never meant."""
    notes = dict.fromkeys(capture.header.note for capture in captures if capture.header.note)
    return " + ".join(notes) or None


def _merged(sources: list[_Source]) -> Iterator[list[Frame]]:
    """Yield the frames of all, in order and under their new numbers, some at a time."""
    streams: Iterable[Iterator[tuple[int, int, Frame]]] = [source.timed() for source in sources]
    chosen: list[Frame] = []
    size = 0
    for seq, (time, rank, frame) in enumerate(heapq.merge(*streams, key=itemgetter(0, 1))):
        source = sources[rank]
        new = numbered(frame, seq, connections_from=source.shift)
        payload = new.payload
        if frame.kind is Kind.RUN:
            payload = _of_its_own(payload, source)
        if source.is_elected:
            payload = relinked(payload, frame.kind, source.links_from, source.skew_ns)
        ts_recv = new.ts_recv - source.skew_ns
        chosen.append(Frame(seq, ts_recv, time, new.connection, new.kind, payload))
        size += len(payload)
        if len(chosen) >= BATCH_ROWS or size >= _BATCH_BYTES:
            yield chosen
            chosen, size = [], 0
    if chosen:
        yield chosen


def _of_its_own(payload: bytes, source: _Source) -> bytes:
    """Return a run row that speaks of the connections of its own capture alone."""
    try:
        row: Any = msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return payload
    if not isinstance(row, dict):
        return payload
    first, below = source.shift, source.connections
    match row.get("connections"):
        case [int(own_first), int(own_below)]:  # merged before
            first, below = own_first + source.shift, own_below + source.shift
    return msgspec.json.encode({**row, "connections": [first, below]})


def _joined_state(sources: list[_Source]) -> Interpreter:
    """Return the state before the first frame: what the captures themselves began with."""
    states: list[checkpoint.State] = []
    for source in sources:
        state = checkpoint.decode(source.before.save(), float)
        for book in state.books:
            book.connection += source.shift
        for known in state.connections:
            known.connection += source.shift
            known.opened_mono = None  # of a clock that the result does not have
        states.append(state)
    election = elected_state(sources, states) if sources[0].is_elected else None
    books = [book for state in states for book in state.books]
    connections = [known for state in states for known in state.connections]
    return Interpreter.restore(checkpoint.encode(books, connections, float, election=election))
