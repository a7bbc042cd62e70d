"""Rows on their way into a sorted block: packed as they come, sorted when the block is full.

Responsible for holding up to a block of frames in a few flat buffers (no object per frame stays
alive) and for giving them as one Arrow table in the order of a sealed segment. Refuses to decide
when a block is full and to write it: `seal` and `segment` do.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pyarrow
import pyarrow.compute

from recorder.capture.batch import FrameBatch, Index
from recorder.frame import LABELS

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pc: Any = pyarrow.compute

SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("ts_recv", pa.int64(), nullable=False),
        pa.field("ts_mono", pa.int64(), nullable=False),
        pa.field("connection", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("channel", pa.string()),
        pa.field("instrument", pa.string()),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)


class _Codes(dict[Index, int]):
    """Number the index keys in the order in which they are met."""

    def __missing__(self, key: Index) -> int:
        code = self[key] = len(self)
        return code


class PendingRows:
    """Frames in seq order, not yet sorted.

    Attributes:
        rows: frames held. payload_bytes: of their payloads.
        first_seq, last_seq: of the frames held; meaningless when there are none.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.rows = 0
        self.first_seq = self.last_seq = 0
        self._integers = [array("q"), array("q"), array("q"), array("i")]
        self._kinds = array("b")
        self._keys = _Codes()
        self._codes = array("i")
        self._ends = array("i", [0])
        self._payloads: list[bytes] = []  # those of one batch, joined
        self.payload_bytes = 0

    @property
    def mono_ns(self) -> int:
        """Monotonic time from the first frame held to the last, ns."""
        monos = self._integers[2]
        return monos[-1] - monos[0]

    def add(self, batch: FrameBatch, index: Sequence[Index]) -> None:
        """Add frames with their routing index."""
        if not self.rows:
            self.first_seq = batch.seq[0]
        self.last_seq = batch.seq[-1]
        self.rows += len(batch)
        columns = (batch.seq, batch.ts_recv, batch.ts_mono, batch.connection)
        for packed, values in zip(self._integers, columns, strict=True):
            packed.extend(array(packed.typecode, values))  # from a list it would go one by one
        self._kinds.extend(array("b", batch.kind))
        self._codes.extend(array("i", list(map(self._keys.__getitem__, index))))
        ends = list(accumulate(map(len, batch.payload), initial=self.payload_bytes))
        self._ends.extend(array("i", ends)[1:])
        self._payloads.append(b"".join(batch.payload))
        self.payload_bytes = ends[-1]

    def take_table(self) -> Any:
        """Return the rows ordered by (channel, instrument, seq), None first; hold none then."""
        rows, keys = self.rows, list(self._keys)
        ranks = [0] * len(keys)
        for rank, code in enumerate(sorted(range(len(keys)), key=lambda c: _sort_key(keys[c]))):
            ranks[code] = rank
        codes = _packed(pa.int32(), self._codes)
        # The sort is stable: within a key the rows stay in seq order.
        order = pc.array_sort_indices(pa.array(ranks, pa.int32()).take(codes))
        codes = codes.take(order)
        payload = pa.Array.from_buffers(
            pa.binary(),
            rows,
            [None, pa.py_buffer(self._ends), pa.py_buffer(b"".join(self._payloads))],
        )
        kinds = _packed(pa.int8(), self._kinds)
        seq, ts_recv, ts_mono, connection = self._integers
        columns = [
            _packed(pa.int64(), seq).take(order),
            _packed(pa.int64(), ts_recv).take(order),
            _packed(pa.int64(), ts_mono).take(order),
            _packed(pa.int32(), connection).take(order),
            pa.array(LABELS, pa.string()).take(kinds.take(order)),
            pa.array([channel for channel, _ in keys], pa.string()).take(codes),
            pa.array([instrument for _, instrument in keys], pa.string()).take(codes),
            payload.take(order),
        ]
        self._clear()
        return pa.Table.from_arrays(columns, schema=SCHEMA)


def _packed(kind: Any, values: array[int]) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _sort_key(key: Index) -> tuple[bool, str, bool, str]:
    channel, instrument = key
    return channel is not None, channel or "", instrument is not None, instrument or ""
