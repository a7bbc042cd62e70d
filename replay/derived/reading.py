"""Reading a table: the row groups that a filter leaves, checked before a row of them is given.

Responsible for the proof of what is read (the footer by its hash, every column chunk by its
checksum), for skipping row groups by their statistics, and for counting the bytes. Refuses to give
rows of a file that fails: `TableStale` comes before the first one, so that the caller can ask the
interpreter instead.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from itertools import chain
from mmap import mmap
from typing import Any, NamedTuple

import msgspec
import pyarrow
import pyarrow.parquet

from recorder.capture.place import Place, Remote
from recorder.errors import Damage, StoreFailed
from replay.derived.index import TablePart
from replay.derived.writing import chunk_range
from replay.pushdown import Bounds

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pq: Any = pyarrow.parquet

IN_MEMORY = 32 << 20
"""Compressed bytes of one file that are held at once; where more is wanted, it is read twice."""
_SEVERAL = object()


class TableStale(Exception):
    """A table is gone, or is not what its index says."""


class TableReads(msgspec.Struct):
    """What scans have read of tables, since the connection was made.

    Attributes:
        parts: files that gave rows, or were proven to have none wanted; refused: those that were
            gone or damaged. groups, groups_skipped: row groups. bytes: read of the files.
    """

    parts: int = 0
    refused: int = 0
    groups: int = 0
    groups_skipped: int = 0
    rows: int = 0
    bytes: int = 0


class TableFile:
    """The metadata of one file, proven; it holds nothing open.

    Raises:
        TableStale: the file is gone, or its footer is not the one that was written.
    """

    def __init__(self, path: Place, part: TablePart, reads: TableReads) -> None:
        self._path = path
        self._part = part
        self._reads = reads
        with closing(self._open()) as opened:
            footer = opened.tail(part.footer_bytes)
        reads.bytes += len(footer)
        if blake2b(footer, digest_size=8).hexdigest() != part.footer:
            raise TableStale(f"{path.name}: footer")
        self._metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + footer))
        columns = self._metadata.num_columns
        self._leaves: list[str] = [self._metadata.schema.column(n).path for n in range(columns)]

    def _open(self) -> _Opened:
        try:
            opened = _Opened(self._path)
        except (OSError, StoreFailed) as error:
            raise TableStale(f"{self._path.name}: {error}") from error
        if opened.size != self._part.bytes:
            opened.close()
            raise TableStale(f"{self._path.name}: size")
        return opened

    def batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[Any]:
        """Yield the rows of the row groups that may hold wanted ones, a record batch for each.

        Args:
            schema: top-level columns of the view, at least one; a list may come with other names
                of its members.

        Raises:
            TableStale: the file fails, before the first batch.
            Damage: it fails behind that, where it was whole a moment ago.
        """
        count = self._metadata.num_row_groups
        wanted = [
            _Group(group, {name: self._held(group, name) for name in schema.names})
            for group in range(count)
            if self._may_hold(group, bounds)
        ]
        if wanted:
            with closing(self._open()) as opened:
                for group, loaded in self._checked(opened, wanted):
                    yield self._decode(group, loaded, schema)
        self._reads.parts += 1
        self._reads.groups += len(wanted)
        self._reads.groups_skipped += count - len(wanted)

    def _checked(self, opened: _Opened, groups: list[_Group]) -> Iterator[tuple[_Group, mmap]]:
        """Read at once what is not much; else check all of it before the first row is given."""
        ranges = {group.number: self._ranges(group) for group in groups}
        size = sum(piece.length for pieces in ranges.values() for piece in pieces)
        self._reads.bytes += size
        if size <= IN_MEMORY:
            loaded = _loaded(opened, list(chain.from_iterable(ranges.values())))
            for group in groups:
                yield group, loaded
            return
        for pieces in ranges.values():
            _loaded(opened, pieces)
        for group in groups:
            try:
                loaded = _loaded(opened, ranges[group.number])
            except TableStale as stale:
                raise Damage(
                    f"expected {self._path} to stay the table that it was when it was checked, "
                    f"but {stale} is another one now; run the query again",
                    file=str(self._path),
                    cause="a derived table changed while it was read",
                ) from stale
            yield group, loaded

    def _decode(self, group: _Group, loaded: mmap, schema: pa.Schema) -> Any:
        rows: int = self._metadata.row_group(group.number).num_rows
        self._reads.rows += rows
        columns: dict[str, Any] = {}
        if group.stored:
            file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(loaded)), metadata=self._metadata)
            is_wide = len(group.stored) > 2
            table = file.read_row_group(group.number, columns=group.stored, use_threads=is_wide)
            (batch,) = table.combine_chunks().to_batches()
            columns = {name: batch.column(name) for name in group.stored}
        for field in schema:
            if field.name not in columns:
                value = pa.scalar(group.held[field.name], type=field.type)
                columns[field.name] = pa.repeat(value, rows)
        arrays = [columns[name] for name in schema.names]
        return pa.RecordBatch.from_arrays(arrays, names=schema.names)

    def _held(self, group: int, name: str) -> Any:
        """Return the one value of a column in a row group, None for NULL; else `_SEVERAL`."""
        if name not in self._leaves:
            return _SEVERAL
        columns = self._metadata.row_group(group)
        statistics = columns.column(self._leaves.index(name)).statistics
        if statistics is None:
            return _SEVERAL
        if statistics.null_count == columns.num_rows:
            return None
        if not statistics.null_count and statistics.has_min_max:
            low, high = statistics.min, statistics.max
            return low if low == high else _SEVERAL
        return _SEVERAL

    def _ranges(self, group: _Group) -> list[_Range]:
        """Return where the column chunks to be read are, and their checksums."""
        stored = set(group.stored)
        columns = self._metadata.row_group(group.number)
        ranges = []
        for number, leaf in enumerate(self._leaves):
            if leaf.partition(".")[0] in stored:
                start, length = chunk_range(columns.column(number))
                checksum = self._part.checksums[group.number * len(self._leaves) + number]
                ranges.append(_Range(start, length, checksum))
        return sorted(ranges)

    def _may_hold(self, group: int, bounds: Bounds) -> bool:
        columns = None
        for name, bound in bounds.items():
            if name not in self._leaves:
                continue
            columns = columns or self._metadata.row_group(group)
            statistics = columns.column(self._leaves.index(name)).statistics
            if statistics is None:
                continue
            if statistics.null_count == columns.num_rows:
                return False  # no comparison holds for NULL
            if not statistics.has_min_max:
                continue
            low, high = statistics.min, statistics.max
            if isinstance(bound, frozenset):
                if not any(low <= value <= high for value in bound):
                    return False
            elif (bound[0] is not None and high < bound[0]) or (
                bound[1] is not None and low > bound[1]
            ):
                return False
        return True


class _Group:
    """One row group, and which of the wanted columns must be read of it.

    Attributes:
        held: the one value of each column, or `_SEVERAL`. stored: the columns with several.
    """

    def __init__(self, number: int, held: dict[str, Any]) -> None:
        self.number = number
        self.held = held
        self.stored = [name for name, value in held.items() if value is _SEVERAL]


class _Range(NamedTuple):
    """One column chunk in a file."""

    start: int
    length: int
    checksum: int


class _Opened:
    """An open file, on disk or in an object store, read by ranges."""

    def __init__(self, path: Place) -> None:
        self._fd = -1
        if isinstance(path, Remote):
            self._file = path.open()
            self.size = int(self._file.size())
        else:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.size = os.fstat(self._fd).st_size

    def read_into(self, target: memoryview, offset: int) -> None:
        """Fill a part of memory with the bytes from `offset` on; less where the file ends."""
        if self._fd < 0:
            content = self._file.read_at(len(target), offset)
            target[: len(content)] = content
            return
        while len(target):
            count = os.preadv(self._fd, [target], offset)
            if not count:
                return
            target, offset = target[count:], offset + count

    def tail(self, length: int) -> bytes:
        """Return the last bytes.

        Raises:
            TableStale: they cannot be read.
        """
        content = bytearray(length)
        try:
            self.read_into(memoryview(content), self.size - length)
        except OSError as error:
            raise TableStale(f"the file ({error})") from error
        return bytes(content)

    def close(self) -> None:
        """Close it."""
        if self._fd < 0:
            self._file.close()
        else:
            os.close(self._fd)


def _loaded(opened: _Opened, ranges: Sequence[_Range]) -> mmap:
    """Return memory of the file's size with the checked chunks at their places.

    What lies between them is never touched, and takes no memory.

    Raises:
        TableStale: a chunk is not the one that was written.
    """
    memory = mmap(-1, opened.size)
    with memoryview(memory) as view:
        first = 0
        while first < len(ranges):
            start = end = ranges[first].start
            last = first
            while last < len(ranges) and ranges[last].start == end:  # neighbours, in one read
                end += ranges[last].length
                last += 1
            try:
                with view[start:end] as target:
                    opened.read_into(target, start)
            except OSError as error:
                raise TableStale(f"the file ({error})") from error
            for piece in ranges[first:last]:
                with view[piece.start : piece.start + piece.length] as chunk:
                    if zlib.crc32(chunk) != piece.checksum:
                        raise TableStale(f"the column chunk at {piece.start}")
            first = last
    return memory
