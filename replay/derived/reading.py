"""Reading a table: the row groups that a filter leaves, checked before a row of them is given.

Responsible for the proof of what is read (the footer by its hash, every column chunk by its
checksum), for skipping row groups by their statistics, and for counting the bytes. Refuses to give
rows of a file that fails: `TableStale` comes before the first one, so that the caller can ask the
interpreter instead.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import pyarrow
import pyarrow.parquet

from recorder.capture.place import Place, Remote
from recorder.errors import Damage, StoreFailed
from replay.derived.index import TablePart
from replay.derived.writing import chunk_range, read_exactly
from replay.pushdown import Bounds

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pq: Any = pyarrow.parquet

IN_MEMORY = 32 << 20
"""Compressed bytes that are kept between the check and the decoding; more is read twice."""
AT_ONCE = 4 << 20
"""Bytes read by one call."""
GROUPS_AT_ONCE = 4


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
            footer = opened.read_at(part.bytes - part.footer_bytes, part.footer_bytes)
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

    def batches(self, names: Sequence[str], bounds: Bounds) -> Iterator[Any]:
        """Yield the rows of the row groups that may hold wanted ones, as record batches.

        Args:
            names: top-level columns; at least one.

        Raises:
            TableStale: the file fails, before the first batch.
            Damage: it fails behind that, where it was whole a moment ago.
        """
        count = self._metadata.num_row_groups
        groups = [group for group in range(count) if self._may_hold(group, bounds)]
        if groups:
            with closing(self._open()) as opened:
                chunks = _Chunks(opened, self._ranges(groups, names))
                chunks.check()
                self._reads.bytes += chunks.bytes
                yield from self._decode(chunks, groups, list(names))
        self._reads.parts += 1
        self._reads.groups += len(groups)
        self._reads.groups_skipped += count - len(groups)

    def _decode(self, chunks: _Chunks, groups: list[int], names: list[str]) -> Iterator[Any]:
        try:
            file = pq.ParquetFile(pa.PythonFile(chunks, mode="r"), metadata=self._metadata)
            for at in range(0, len(groups), GROUPS_AT_ONCE):
                table = file.read_row_groups(groups[at : at + GROUPS_AT_ONCE], columns=names)
                table = table.select(names)
                self._reads.rows += table.num_rows
                yield from table.to_batches()
        except GeneratorExit:
            raise
        except Exception as error:
            raise Damage(
                f"expected {self._path} to stay the table that it was when it was checked, but "
                f"reading it failed: {error}; run the query again",
                file=str(self._path),
                cause="a derived table changed while it was read",
            ) from error

    def _ranges(self, groups: Sequence[int], names: Sequence[str]) -> list[_Range]:
        """Return where the column chunks of some top-level columns are, and their checksums."""
        wanted = set(names)
        numbers = [n for n, leaf in enumerate(self._leaves) if leaf.partition(".")[0] in wanted]
        ranges = []
        for group in groups:
            columns = self._metadata.row_group(group)
            for number in numbers:
                start, length = chunk_range(columns.column(number))
                checksum = self._part.checksums[group * len(self._leaves) + number]
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

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes from `offset` on: `length`, or fewer where the file ends or fails."""
        try:
            if self._fd < 0:
                return bytes(self._file.read_at(length, offset))
            return read_exactly(self._fd, offset, length)
        except OSError:
            return b""

    def close(self) -> None:
        """Close it."""
        if self._fd < 0:
            self._file.close()
        else:
            os.close(self._fd)


class _Chunks:
    """The checked column chunks of a file, at their places in it, as a file for Arrow.

    What lies between them reads as zeros: Arrow joins neighbouring reads and skips it.
    """

    def __init__(self, opened: _Opened, ranges: Sequence[_Range]) -> None:
        self._opened = opened
        self._ranges = ranges
        self._starts = [piece.start for piece in ranges]
        self._kept: list[memoryview] | None = None
        self._at = 0
        self.bytes = sum(piece.length for piece in ranges)
        self.closed = False

    def check(self) -> None:
        """Read everything and compare; keep it if it is not much.

        Raises:
            TableStale: a chunk is not the one that was written.
        """
        kept: list[memoryview] = []
        first = 0
        while first < len(self._ranges):
            # Neighbours in one read, a few MiB at most.
            end, last = self._ranges[first].start, first
            while last < len(self._ranges) and self._ranges[last].start == end:
                end += self._ranges[last].length
                last += 1
                if end - self._ranges[first].start >= AT_ONCE:
                    break
            run = self._ranges[first:last]
            content = memoryview(self._opened.read_at(run[0].start, end - run[0].start))
            for piece in run:
                begin = piece.start - run[0].start
                chunk = content[begin : begin + piece.length]
                _compare(chunk, piece)
                if self.bytes <= IN_MEMORY:
                    kept.append(chunk)
            first = last
        if self.bytes <= IN_MEMORY:
            self._kept = kept

    def _load(self, number: int) -> memoryview:
        if self._kept is not None:
            return self._kept[number]
        piece = self._ranges[number]
        content = memoryview(self._opened.read_at(piece.start, piece.length))
        _compare(content, piece)
        return content

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes from the position on."""
        start, end = self._at, self._at + size
        self._at = end
        number = max(bisect_right(self._starts, start) - 1, 0)
        parts: list[bytes | memoryview] = []
        at = start
        while number < len(self._ranges) and self._starts[number] < end:
            piece = self._ranges[number]
            content = self._load(number)[max(start - piece.start, 0) : end - piece.start]
            begin = max(piece.start, start)
            if len(content):
                parts += (bytes(begin - at), content)
                at = begin + len(content)
            number += 1
        parts.append(bytes(end - at))
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; the end is behind the last chunk."""
        last = self._ranges[-1]
        base = (0, self._at, last.start + last.length)[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""
        self.closed = True


def _compare(content: memoryview, piece: _Range) -> None:
    if zlib.crc32(content) != piece.checksum:
        raise TableStale(f"the column chunk at {piece.start}")
