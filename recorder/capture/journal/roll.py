"""When a segment ends: by data alone, so that the same frames make the same segments.

Responsible for cutting a stream of frames into journal blocks and segments (docs/format.md,
"Rolling"). Refuses to touch a file or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from recorder.capture.digest import BLOCK_NUMBERS
from recorder.capture.journal import BLOCK_BYTES
from recorder.clock import NS_PER_DAY
from recorder.frame import RECORD, Frame, Kind


class RecordRun(msgspec.Struct, frozen=True, gc=False):
    """Encoded records of consecutive frames that belong into one journal block."""

    first_seq: int
    count: int
    records: bytes
    after: int | None = None  # where it is a `lost` row that names numbers: the one behind them

    @property
    def following(self) -> int:
        """The number that comes after the run."""
        return self.first_seq + self.count if self.after is None else self.after


class Roller:
    """Cut frames into runs of records, calling `roll(first_seq)` before a new segment begins."""

    def __init__(
        self, *, segment_ns: int, segment_bytes: int, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._segment_ns = segment_ns
        self._segment_bytes = segment_bytes
        self._block_bytes = block_bytes
        self._empty = True
        self._bytes = 0
        self._mono_start = 0
        self._mono_end = 0
        self._day_end = 0

    def begin_anew(self) -> None:
        """Let the next frame begin a segment without a call of `roll`."""
        self._empty = True

    def cut(self, frames: Sequence[Frame], roll: Callable[[int], None]) -> Iterator[RecordRun]:
        """Yield the frames as runs; a run given out before `roll` belongs to the old segment."""
        pack, head = RECORD.pack, RECORD.size
        parts: list[bytes] = []
        block_limit, segment_limit = self._block_bytes, self._segment_bytes
        mono_start, mono_end = self._mono_start, self._mono_end
        day_end, total = self._day_end, self._bytes
        fresh, run = self._empty, Kind.RUN
        pending = count = 0
        first_seq = frames[0].seq if frames else 0
        for frame in frames:
            ts_recv, ts_mono, payload = frame.ts_recv, frame.ts_mono, frame.payload
            seq = frame.seq
            kind = frame.kind
            if (
                fresh
                or not mono_start <= ts_mono < mono_end
                or total >= segment_limit
                or ts_recv >= day_end
                or kind is run
            ):
                if count:
                    yield RecordRun(first_seq, count, b"".join(parts))
                    parts.clear()
                    first_seq, pending, count = seq, 0, 0
                if not fresh:
                    roll(seq)
                fresh = False
                mono_start, mono_end = ts_mono, ts_mono + self._segment_ns
                day_end = (ts_recv // NS_PER_DAY + 1) * NS_PER_DAY
                total = 0
            elif (pending >= block_limit or seq % BLOCK_NUMBERS == 0) and count:
                yield RecordRun(first_seq, count, b"".join(parts))
                parts.clear()
                first_seq, pending, count = seq, 0, 0
            size = len(payload)
            parts.append(pack(seq, ts_recv, ts_mono, frame.connection, kind, size))
            parts.append(payload)
            count += 1
            size += head
            pending += size
            total += size
        self._empty = fresh
        self._mono_start, self._mono_end = mono_start, mono_end
        self._day_end, self._bytes = day_end, total
        if count:
            yield RecordRun(first_seq, count, b"".join(parts))
