"""A sealed segment: sorted zstd Parquet, written once, read block by block.

Responsible for the columns, encodings and metadata (docs/format.md, "Sealed segment"), for
writing blocks, and for restoring arrival order in bounded memory. Refuses to decide what goes
into a segment (`seal`) or which segments are read (`reader`).
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from recorder.capture.batch import BATCH_ROWS, FrameBatch, Index
from recorder.capture.digest import BlockDigest
from recorder.errors import Damage
from recorder.frame import KIND_OF_LABEL, LABELS, Frame, Kind

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pc: Any = pyarrow.compute
pq: Any = pyarrow.parquet

BLOCK_ROWS = 262_144
GROUP_ROWS = 65_536
META_KEY = b"recorder"

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
_INTEGERS = ("seq", "ts_recv", "ts_mono", "connection")
_LABELS = ("kind", "channel", "instrument")


class SortedBlock(msgspec.Struct, frozen=True, array_like=True):
    """Bounds of one sorted block: `[rows, groups, first_seq, last_seq]` in JSON."""

    rows: int
    groups: int
    first_seq: int
    last_seq: int


class ChannelCount(msgspec.Struct):
    """What one channel holds in a segment or capture; bytes are of payloads."""

    frames: int = 0
    bytes: int = 0
    instruments: list[str] = msgspec.field(default_factory=list)


class SegmentMeta(msgspec.Struct, kw_only=True):
    """The metadata of a sealed segment; docs/format.md explains every field."""

    format: int
    capture: str
    segment: int
    first_seq: int
    last_seq: int
    next_seq: int
    count: int
    raw_bytes: int
    start: int
    end: int
    min_ts_recv: int
    max_ts_recv: int
    first_ts_mono: int
    last_ts_mono: int
    blocks: list[SortedBlock]
    digests: list[BlockDigest]
    carried: BlockDigest | None
    checkpoint: str
    parser: str
    events: int
    gaps: int
    unrecognized: int
    integrity: dict[str, int]
    lost_rows: int
    lost: int
    runs: int
    connections: int
    last_connection: int
    kinds: dict[str, int]
    channels: dict[str, ChannelCount]
    recorded: dict[str, int | str] | None
    recovered: bool


class SegmentWriter:
    """Write sorted blocks to a Parquet file; `close` adds the metadata."""

    def __init__(self, path: Path) -> None:
        self.blocks: list[SortedBlock] = []
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=list(_LABELS),
            write_statistics=[*_INTEGERS, *_LABELS],
            column_encoding={
                **dict.fromkeys(_INTEGERS, "DELTA_BINARY_PACKED"),
                # Sorted and compressed, DELTA_BYTE_ARRAY is 1 % smaller and reads 2 to 3 times
                # slower (measured on 200,000 frames of 340 bytes): replay speed is worth more.
                "payload": "PLAIN",
            },
            write_page_checksum=True,
            store_schema=False,
        )

    def add(self, frames: Sequence[Frame], index: Sequence[Index]) -> None:
        """Add a block of at most `BLOCK_ROWS` frames in seq order, with their routing index."""
        order = _sorted_order(index)
        chosen = [frames[i] for i in order]
        table = pa.Table.from_arrays(
            [
                _packed(pa.int64(), "q", [f.seq for f in chosen]),
                _packed(pa.int64(), "q", [f.ts_recv for f in chosen]),
                _packed(pa.int64(), "q", [f.ts_mono for f in chosen]),
                _packed(pa.int32(), "i", [f.connection for f in chosen]),
                pa.array([LABELS[f.kind] for f in chosen], pa.string()),
                pa.array([index[i][0] for i in order], pa.string()),
                pa.array([index[i][1] for i in order], pa.string()),
                pa.array([f.payload for f in chosen], pa.binary()),
            ],
            schema=SCHEMA,
        )
        self._writer.write_table(table, row_group_size=GROUP_ROWS)
        groups = -(-len(frames) // GROUP_ROWS)
        self.blocks.append(SortedBlock(len(frames), groups, frames[0].seq, frames[-1].seq))

    def close(self, meta: SegmentMeta) -> None:
        """Write metadata and footer."""
        self._writer.add_key_value_metadata({META_KEY: msgspec.json.encode(meta)})
        self._writer.close()

    def abandon(self) -> None:
        """Close the file without metadata: it is not a segment and will be deleted."""
        self._writer.close()


def _packed(kind: Any, code: str, values: list[int]) -> Any:
    """Return an integer Arrow array; `array` packs Python integers faster than Arrow does."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(array(code, values))])


def _sorted_order(index: Sequence[Index]) -> list[int]:
    """Return the positions ordered by (channel, instrument, seq), None first."""
    groups: dict[Index, list[int]] = {}
    for position, key in enumerate(index):
        group = groups.get(key)
        if group is None:
            group = groups[key] = []
        group.append(position)

    def rank(key: Index) -> tuple[bool, str, bool, str]:
        channel, instrument = key
        return channel is not None, channel or "", instrument is not None, instrument or ""

    return [position for key in sorted(groups, key=rank) for position in groups[key]]


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


class SegmentReader:
    """Read one sealed segment.

    Raises (every method):
        Damage: the file is cut short, or a page does not have its checksum.
        FileNotFoundError: it has been deleted; take a new snapshot.
    """

    def __init__(self, root: Path, path: str, segment: int) -> None:
        self._path = path
        self._segment = segment
        try:
            self._file = pq.ParquetFile(
                root / path, read_dictionary=list(_LABELS), page_checksum_verification=True
            )
            raw = (self._file.metadata.metadata or {}).get(META_KEY)
            if raw is None:
                raise self._damage("no segment metadata")
            self.meta = msgspec.json.decode(raw, type=SegmentMeta)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, msgspec.MsgspecError) as error:
            raise self._damage(str(error).partition("\n")[0]) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _damage(self, cause: str, block: SortedBlock | None = None) -> Damage:
        return Damage(
            f"expected a whole segment in {self._path}, but reading it failed: {cause}; "
            f"run `recorder verify` for the extent, and restore the file from a copy",
            file=self._path,
            cause=cause,
            segment=self._segment,
            first_seq=block.first_seq if block else None,
            last_seq=block.last_seq if block else None,
        )

    def blocks(self) -> Iterator[tuple[SortedBlock, list[int]]]:
        """Yield each sorted block and its row group numbers."""
        group = 0
        for block in self.meta.blocks:
            yield block, list(range(group, group + block.groups))
            group += block.groups

    def load(self, block: SortedBlock, groups: list[int], wanted: Selection) -> LoadedBlock | None:
        """Read one block and restore seq order; None where no row is wanted."""
        try:
            if wanted.filters:
                groups = [g for g in groups if self._may_hold(g, wanted)]
                if not groups:
                    return None
            table = self._file.read_row_groups(groups, use_threads=False)
            return LoadedBlock.of(table, wanted)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damage(str(error).partition("\n")[0], block) from error

    def _may_hold(self, group: int, wanted: Selection) -> bool:
        row_group = self._file.metadata.row_group(group)
        for column, values in ((5, wanted.channels), (6, wanted.instruments)):
            if values is None:
                continue
            statistics = row_group.column(column).statistics
            if statistics is None:
                continue
            if not statistics.has_min_max:
                return False  # every value of the group is null
            if not any(statistics.min <= value <= statistics.max for value in values):
                return False
        return True

    def first_at_or_after(self, groups: list[int], ts_recv: int, from_seq: int) -> int | None:
        """Return the lowest seq >= `from_seq` in some row groups with a `ts_recv` at or after."""
        try:
            table = self._file.read_row_groups(
                groups, columns=["seq", "ts_recv"], use_threads=False
            )
            seq = table.column("seq")
            mask = pc.and_(
                pc.greater_equal(table.column("ts_recv"), ts_recv), pc.greater_equal(seq, from_seq)
            )
            found: int | None = pc.min(seq.filter(mask)).as_py()
            return found
        except (pa.ArrowException, OSError) as error:
            raise self._damage(str(error).partition("\n")[0]) from error


class LoadedBlock:
    """Rows of one sorted block in seq order, not yet Python objects."""

    def __init__(self, rows: int, columns: dict[str, Any], order: Any, payload: Any) -> None:
        self.rows = rows
        self._columns = columns
        offsets = payload.buffers()[1]
        starts = pa.Array.from_buffers(
            pa.int32(), len(payload), [None, offsets], offset=payload.offset
        )
        ends = pa.Array.from_buffers(
            pa.int32(), len(payload), [None, offsets], offset=payload.offset + 1
        )
        self._starts = starts.take(order)
        self._ends = ends.take(order)
        content = payload.buffers()[2]
        self._content = content.to_pybytes() if content is not None else b""
        self._names = {
            name: [*columns[name].dictionary.to_pylist(), None]
            for name in ("channel", "instrument")
        }
        self._kinds = [KIND_OF_LABEL[label] for label in columns["kind"].dictionary.to_pylist()]

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

    def batches(self) -> Iterator[FrameBatch]:
        """Yield the rows as batches."""
        for start in range(0, self.rows, BATCH_ROWS):
            yield self._batch(start, min(BATCH_ROWS, self.rows - start))

    def _batch(self, start: int, rows: int) -> FrameBatch:
        columns, content, kinds = self._columns, self._content, self._kinds
        starts = integers(self._starts, "i", start, rows)
        ends = integers(self._ends, "i", start, rows)

        def index() -> tuple[list[str | None], list[str | None]]:
            return self._labels("channel", start, rows), self._labels("instrument", start, rows)

        return FrameBatch(
            integers(columns["seq"], "q", start, rows),
            integers(columns["ts_recv"], "q", start, rows),
            integers(columns["ts_mono"], "q", start, rows),
            integers(columns["connection"], "i", start, rows),
            list(map(kinds.__getitem__, integers(columns["kind"].indices, "i", start, rows))),
            [content[a:b] for a, b in zip(starts, ends, strict=True)],
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
