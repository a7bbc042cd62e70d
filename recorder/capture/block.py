"""Rows of one sorted block on their way from Parquet to Python, and which of them are wanted.

Responsible for filtering columns, restoring seq order, and making Python lists fast. Refuses to
open files: `segment` does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow
import pyarrow.compute

from recorder.capture.batch import BATCH_ROWS, FrameBatch, Index
from recorder.capture.digest import BLOCK_SHIFT
from recorder.frame import KIND_OF_LABEL, Frame, Kind

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pc: Any = pyarrow.compute


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which frames a reader wants; None means all. Seq bounds are inclusive."""

    first_seq: int = 0
    last_seq: int | None = None
    channels: frozenset[str] | None = None
    instruments: frozenset[str] | None = None
    connections: frozenset[int] | None = None
    kinds: frozenset[Kind] | None = None

    @property
    def filters(self) -> bool:
        """Whether anything but seq is restricted."""
        return not (
            self.channels is self.instruments is None and self.connections is self.kinds is None
        )

    def reaches(self, seq: int) -> bool:
        """Tell whether a number lies before the end of the seq bounds."""
        return self.last_seq is None or seq <= self.last_seq

    def wants(self, frame: Frame, index: Index) -> bool:
        """Tell whether a frame passes everything but the seq bounds."""
        return (
            _has(self.kinds, frame.kind)
            and _has(self.connections, frame.connection)
            and _has(self.channels, index[0])
            and _has(self.instruments, index[1])
        )


def _has(wanted: Container[Any] | None, value: Any) -> bool:
    return wanted is None or value in wanted


class LoadedBlock:
    """Rows of one sorted block in seq order, not yet Python objects."""

    def __init__(self, rows: int, columns: dict[str, Any], order: Any, payload: Any) -> None:
        self.rows = rows
        self._columns = columns
        self._order = order
        self._payload = payload
        self._names = {
            name: [*columns[name].dictionary.to_pylist(), None]
            for name in ("channel", "instrument")
        }
        self._kinds = [KIND_OF_LABEL[label] for label in columns["kind"].dictionary.to_pylist()]
        self._kind_codes = pa.array(self._kinds, pa.uint8())

    @classmethod
    def of(cls, table: Any, wanted: Selection) -> LoadedBlock | None:
        """Filter and order the rows of a table."""
        table = table.unify_dictionaries().combine_chunks()
        mask = _mask(table, wanted)
        if mask is not None:
            table = table.filter(mask).combine_chunks()
        rows = table.num_rows
        if rows == 0:
            return None
        whole = {name: _one_chunk(table.column(name)) for name in table.column_names}
        order = pc.array_sort_indices(whole["seq"])
        payload = whole.pop("payload")
        columns = {name: column.take(order) for name, column in whole.items()}
        return cls(rows, columns, order, payload)

    def record_runs(self) -> Iterator[tuple[int, int, memoryview]]:
        """Yield `(first seq, count, records)`: canonical records, cut at digest blocks.

        The bytes are put together by Arrow, without an object per frame.
        """
        at = 0
        seqs = self._columns["seq"]
        while at < self.rows:
            stop = min(at + BATCH_ROWS, self.rows)
            first_seq = seqs[at].as_py()
            block_end = ((first_seq >> BLOCK_SHIFT) + 1) << BLOCK_SHIFT
            if seqs[stop - 1].as_py() >= block_end:
                inside = integers(seqs, "q", at, stop - at)
                stop = at + bisect_left(inside, block_end)
            yield first_seq, stop - at, self._records(at, stop - at)
            at = stop

    def _records(self, start: int, rows: int) -> memoryview:
        columns = {name: column.slice(start, rows) for name, column in self._columns.items()}
        payload = self._payload.take(self._order.slice(start, rows))
        code = self._kind_codes.take(columns["kind"].indices)
        fields = [columns[name] for name in ("seq", "ts_recv", "ts_mono", "connection")]
        fields += [code, pc.binary_length(payload)]
        joined = pc.binary_join_element_wise(*map(_as_binary, fields), payload, b"")
        (size,) = integers(joined, "i", rows, 1)
        return memoryview(joined.buffers()[2])[:size]

    def batches(self) -> Iterator[FrameBatch]:
        """Yield the rows as batches."""
        for start in range(0, self.rows, BATCH_ROWS):
            yield self._batch(start, min(BATCH_ROWS, self.rows - start))

    def _batch(self, start: int, rows: int) -> FrameBatch:
        columns, kinds = self._columns, self._kinds

        def index() -> tuple[list[str | None], list[str | None]]:
            return self._labels("channel", start, rows), self._labels("instrument", start, rows)

        return FrameBatch(
            integers(columns["seq"], "q", start, rows),
            integers(columns["ts_recv"], "q", start, rows),
            integers(columns["ts_mono"], "q", start, rows),
            integers(columns["connection"], "i", start, rows),
            list(map(kinds.__getitem__, integers(columns["kind"].indices, "i", start, rows))),
            _payloads(self._payload.take(self._order.slice(start, rows))),
            index,
        )

    def _labels(self, name: str, start: int, rows: int) -> list[str | None]:
        names = self._names[name]
        missing = len(names) - 1
        codes = self._columns[name].indices.slice(start, rows).fill_null(missing)
        return [names[code] for code in integers(codes, "i", 0, rows)]


def integers(column: Any, code: str, start: int, rows: int) -> list[int]:
    """Return `rows` values of a primitive Arrow array without nulls as Python integers.

    A cast memoryview is several times faster than `to_pylist`, which makes a scalar per value.
    """
    start += column.offset
    values: Any = memoryview(column.buffers()[1]).cast("b")
    values = values.cast(code)
    chosen: list[int] = values[start : start + rows].tolist()
    return chosen


def _payloads(taken: Any) -> list[bytes]:
    """Return the values of a binary Arrow array."""
    ends = integers(taken, "i", 0, len(taken) + 1)
    content = taken.buffers()[2]
    if content is None:
        return [b""] * len(taken)
    whole = content.to_pybytes()
    return [whole[a:b] for a, b in pairwise(ends)]


def _as_binary(column: Any) -> Any:
    """Return the little-endian bytes of each integer."""
    width = column.type.bit_width // 8
    fixed = pa.Array.from_buffers(
        pa.binary(width), len(column), [None, column.buffers()[1]], offset=column.offset
    )
    return fixed.cast(pa.binary())


def _one_chunk(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _mask(table: Any, wanted: Selection) -> Any:
    masks = []
    seq = table.column("seq")
    if wanted.first_seq > 0:
        masks.append(pc.greater_equal(seq, wanted.first_seq))
    if wanted.last_seq is not None:
        masks.append(pc.less_equal(seq, wanted.last_seq))
    for name, values in (
        ("channel", wanted.channels),
        ("instrument", wanted.instruments),
        ("kind", None if wanted.kinds is None else {kind.label for kind in wanted.kinds}),
    ):
        if values is not None:
            members = pa.array(sorted(values), pa.string())
            masks.append(pc.is_in(table.column(name), value_set=members))
    if wanted.connections is not None:
        members = pa.array(sorted(wanted.connections), pa.int32())
        masks.append(pc.is_in(table.column("connection"), value_set=members))
    if not masks:
        return None
    mask = masks[0]
    for other in masks[1:]:
        mask = pc.and_(mask, other)
    return mask
