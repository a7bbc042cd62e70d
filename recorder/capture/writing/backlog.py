"""Frames on their way to the disk: waiting, in hand, and written but not yet durable.

Responsible for their order, for counting the memory they really take, and for what is dropped
when there is too much of it: the oldest that wait, whose place a `lost` row takes. Refuses to lock
(its owner does), to touch a disk, and to drop anything that was taken out already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from recorder.capture.options import Loss
from recorder.frame import NO_CONNECTION, Frame, Kind

FRAME_BYTES = 208
"""What Python needs for a frame beside its payload's bytes: the struct, four integers, the bytes
object's head and a place in a list (`sys.getsizeof` of each)."""


class Batch(msgspec.Struct):
    """Frames handed over together.

    Attributes:
        size: bytes of memory. following: the number after them, beyond those a `lost` row of the
            writer's own names. is_hole: it is such a row, alone.
    """

    frames: Sequence[Frame]
    size: int
    following: int
    is_hole: bool = False


class _LostRow(msgspec.Struct):
    last_seq: int
    count: int
    bytes: int
    connection: int
    cause: str


_decode_lost = msgspec.json.Decoder(_LostRow).decode


class _Hole(msgspec.Struct):
    """What was dropped before the oldest batch that waits; `told` was reported earlier."""

    first: Frame
    following: int
    connection: int
    cause: str
    count: int = 0
    bytes: int = 0
    told_count: int = 0
    told_bytes: int = 0


class Backlog:
    """The frames between `CaptureWriter.write` and a durable journal.

    Attributes:
        unsynced_bytes: memory of those written and kept until they are durable.
        losses: what was dropped and not told yet. has_dropped: anything ever was.
    """

    def __init__(self) -> None:
        self._waiting: deque[Batch] = deque()
        self._kept: deque[Batch] = deque()
        self._hole: _Hole | None = None
        self._in_hand = 0
        self._queued = 0
        self.unsynced_bytes = 0
        self.losses: list[Loss] = []
        self.has_dropped = False

    def __bool__(self) -> bool:
        return bool(self._waiting) or self._hole is not None

    @property
    def waiting_bytes(self) -> int:
        """Memory of the frames that wait or are in hand."""
        return self._queued + self._in_hand

    @property
    def queued_bytes(self) -> int:
        """Memory of the frames that wait."""
        return self._queued

    @property
    def oldest_mono(self) -> int | None:
        """`ts_mono` of the oldest frame that is not durable; a look without the lock."""
        for batches in (self._kept, self._waiting):
            try:
                return batches[0].frames[0].ts_mono
            except IndexError:
                continue
        return None

    @property
    def first_seq(self) -> int | None:
        """Number of the oldest frame that waits, or of the hole before it."""
        if self._hole is not None:
            return self._hole.first.seq
        return self._waiting[0].frames[0].seq if self._waiting else None

    def put(self, frames: Sequence[Frame], payload_bytes: int) -> int:
        """Add the newest frames; return `waiting_bytes`."""
        size = payload_bytes + FRAME_BYTES * len(frames)
        self._waiting.append(Batch(frames, size, frames[-1].seq + 1))
        self._queued += size
        return self._queued + self._in_hand

    def take(self, most: int) -> list[Batch]:
        """Take the oldest batches, about `most` bytes of them; they are in hand until `written`."""
        taken: list[Batch] = []
        if self._hole is not None:
            taken.append(self._row_of(self._hole))
            self._hole = None
        size = 0
        while self._waiting and size < most:
            batch = self._waiting.popleft()
            taken.append(batch)
            size += batch.size
        self._queued -= size
        self._in_hand += sum([batch.size for batch in taken])
        self._kept.extend(taken)
        return taken

    def written(self, batches: Sequence[Batch]) -> None:
        """Note that batches which were taken went out; they are kept until they are durable."""
        size = sum([batch.size for batch in batches])
        self._in_hand -= size
        self.unsynced_bytes += size

    def durable(self, seq: int) -> None:
        """Let go of what is on the disk, up to a number."""
        kept = self._kept
        while kept and kept[0].following <= seq + 1:
            self.unsynced_bytes -= kept.popleft().size

    def put_back(self, seq: int) -> None:
        """Put everything taken that is above a number back in front of what waits."""
        again: deque[Batch] = deque()
        while self._kept and self._kept[-1].following > seq + 1:
            batch = self._kept.pop()
            if not batch.is_hole and batch.frames[0].seq <= seq:
                below = [frame for frame in batch.frames if frame.seq <= seq]
                self._kept.append(Batch(below, _size_of(below), seq + 1))
                batch = _batch_of(batch.frames[len(below) :])
                again.appendleft(batch)
                break
            again.appendleft(batch)
        if self._hole is not None and again:
            hole, self._hole = self._hole, None
            again.append(self._row_of(hole))
        self._waiting.extendleft(reversed(again))
        self._queued += sum(batch.size for batch in again)
        self._in_hand = 0
        self.unsynced_bytes = sum(batch.size for batch in self._kept)

    def drop(self, excess: int, cause: str) -> None:
        """Drop the oldest that wait until `excess` bytes are gone, or none are left."""
        while excess > 0 and self._waiting:
            batch = self._waiting.popleft()
            self._queued -= batch.size
            excess -= batch.size
            self._widen(batch, cause)

    def _widen(self, batch: Batch, cause: str) -> None:
        self.has_dropped = True
        first = batch.frames[0]
        hole = self._hole
        if hole is None:
            connection = first.connection
            if batch.is_hole:
                connection = _decode_lost(first.payload).connection
            hole = self._hole = _Hole(first, batch.following, connection, cause)
        hole.following = batch.following
        if batch.is_hole:
            row = _decode_lost(first.payload)
            hole.count += row.count
            hole.bytes += row.bytes
            hole.told_count += row.count
            hole.told_bytes += row.bytes
            connections = {row.connection}
        else:
            hole.count += len(batch.frames)
            hole.bytes += sum(len(frame.payload) for frame in batch.frames)
            connections = {frame.connection for frame in batch.frames}
        if connections != {hole.connection}:
            hole.connection = NO_CONNECTION

    def _row_of(self, hole: _Hole) -> Batch:
        """Make the row that stands in the place of the first frame dropped, and tell the loss."""
        row = {
            "connection": hole.connection,
            "first_seq": hole.first.seq,
            "last_seq": hole.following - 1,
            "count": hole.count,
            "bytes": hole.bytes,
            "cause": hole.cause,
        }
        if hole.count > hole.told_count:
            told = {"count": hole.count - hole.told_count, "bytes": hole.bytes - hole.told_bytes}
            self.losses.append(msgspec.convert({**row, **told}, Loss))
        payload = msgspec.json.encode(row)
        first = hole.first
        frame = Frame(first.seq, first.ts_recv, first.ts_mono, NO_CONNECTION, Kind.LOST, payload)
        return Batch([frame], len(payload) + FRAME_BYTES, hole.following, True)


def _batch_of(frames: Sequence[Frame]) -> Batch:
    return Batch(frames, _size_of(frames), frames[-1].seq + 1)


def _size_of(frames: Sequence[Frame]) -> int:
    return sum(len(frame.payload) for frame in frames) + FRAME_BYTES * len(frames)
