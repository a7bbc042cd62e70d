"""The rows of one view of one segment, on their way into a Parquet file.

Responsible for their order (by instrument and channel within a block, in the order of arrival
within these), their encodings, and for the file: synced before it has its name, read back for the
checksums. Refuses to make rows, and to hold more than a block of them.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from recorder.capture.layout import UNFINISHED, fsync_directory, fsync_file
from replay.derived.index import TablePart, layout_of
from replay.tables import View

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pc: Any = pyarrow.compute
pq: Any = pyarrow.parquet

META_KEY = b"recorder-table"
BLOCK_ROWS = 262_144
BLOCK_BYTES = 128 << 20
"""A sorted block ends early when its rows would take more memory."""
GROUP_ROWS = 16_384
OWN_GROUP_ROWS = 4_096
"""So many rows of one instrument and channel have groups of their own."""
LEVEL = 3
_READ_BYTES = 1 << 20
_SORTED_BY = ("instrument", "channel")
_MANY_VALUES = ("_id", "payload", "rows", "info", "body")


class TableWriter:
    """Write the rows of one view; `close` gives the proof.

    Args:
        path: the name it takes when it is complete. facts: of the segment, for the metadata.
    """

    def __init__(self, path: Path, view: View, facts: dict[str, Any], *, mode: int) -> None:
        self.rows = 0
        self._path = path
        self._temporary = path.with_name(path.name + UNFINISHED)
        self._view = view
        self._facts = facts
        self._mode = mode
        self._writer: Any = None
        self._pending: list[Any] = []
        self._pending_rows = self._pending_bytes = 0

    def add(self, batch: Any) -> None:
        """Take a record batch of all columns, in seq order."""
        if not batch.num_rows:
            return
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        if self._pending_rows >= BLOCK_ROWS or self._pending_bytes >= BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        table = sorted_rows(pa.Table.from_batches(self._pending))
        self.rows += table.num_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if self._writer is None:
            self._temporary.parent.mkdir(
                mode=0o700 if self._mode == 0o600 else 0o755, parents=True, exist_ok=True
            )
            self._writer = _open(self._temporary, table.schema)
        for start, stop in groups_of(table):
            self._writer.write_table(table.slice(start, stop - start), row_group_size=GROUP_ROWS)

    def close(self) -> TablePart:
        """Give the file its name; return what proves it. Without rows there is no file."""
        self._flush()
        if self._writer is None:
            self._path.unlink(missing_ok=True)
            return TablePart(layout_of(self._view), 0)
        facts = {**self._facts, "layout": layout_of(self._view), "rows": self.rows}
        self._writer.add_key_value_metadata({META_KEY: msgspec.json.encode(facts)})
        writer, self._writer = self._writer, None
        writer.close()
        self._temporary.chmod(self._mode)
        fsync_file(self._temporary)
        part = _proof(self._temporary, layout_of(self._view), self.rows)
        self._temporary.rename(self._path)
        fsync_directory(self._path.parent)
        return part

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._temporary.unlink(missing_ok=True)


def sorted_rows(table: Any) -> Any:
    """Return rows sorted by instrument and channel, in their own order within these."""
    names = [name for name in _SORTED_BY if name in table.schema.names]
    if not names or table.num_rows < 2:
        return table
    keys = {name: _ranks(table.column(name)) for name in names}
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in names])
    return table.take(order)


def groups_of(table: Any) -> list[tuple[int, int]]:
    """Return where the row groups of sorted rows begin and end.

    Of many rows of one instrument and channel each group holds nothing else: such a group is
    skipped, or wanted, as a whole, and these two columns need not be read.
    """
    names = [name for name in _SORTED_BY if name in table.schema.names]
    ends = {table.num_rows}
    for name in names:
        column = table.column(name).combine_chunks()
        changes = pc.not_equal(column.slice(1), column.slice(0, max(len(column) - 1, 0)))
        # A change to or from NULL is none for `not_equal`; a group may hold it, that is all.
        ends.update(n + 1 for n in pc.indices_nonzero(pc.fill_null(changes, False)).to_pylist())
    groups: list[tuple[int, int]] = []
    start = at = 0
    for end in sorted(ends):
        if start < at and (end - at >= OWN_GROUP_ROWS or end - start > GROUP_ROWS):
            groups.append((start, at))
            start = at
        while end - start > GROUP_ROWS:
            groups.append((start, start + GROUP_ROWS))
            start += GROUP_ROWS
        if end - start >= OWN_GROUP_ROWS:
            groups.append((start, end))
            start = end
        at = end
    if start < table.num_rows:
        groups.append((start, table.num_rows))
    return groups


def _ranks(column: Any) -> Any:
    """Return an integer for each value that sorts as the value does; null for null."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    ranks = pc.rank(coded.dictionary, "ascending")
    return ranks.take(coded.indices)


def _open(path: Path, schema: Any) -> Any:
    numbers, ids, coded, statistics = [], [], [], []
    for leaf, kind, is_top in _leaves(schema):
        if pa.types.is_integer(kind):
            numbers.append(leaf)
        elif pa.types.is_string(kind) and leaf.endswith(_MANY_VALUES):
            ids.append(leaf)
        elif not pa.types.is_boolean(kind):
            coded.append(leaf)
        if is_top and (pa.types.is_integer(kind) or leaf in _SORTED_BY):
            statistics.append(leaf)
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=coded,
        write_statistics=statistics,
        column_encoding={
            **dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
            **dict.fromkeys(ids, "DELTA_BYTE_ARRAY"),
        },
        write_page_checksum=True,
        store_schema=False,
    )


def _leaves(schema: Any) -> list[tuple[str, Any, bool]]:
    """Return path and type of every leaf column, and whether it is a column of its own."""
    leaves = []
    for field in schema:
        if pa.types.is_list(field.type):
            inside = field.type.value_type
            prefix = f"{field.name}.list.element"
            if pa.types.is_struct(inside):
                leaves += [(f"{prefix}.{member.name}", member.type, False) for member in inside]
            else:
                leaves.append((prefix, inside, False))
        else:
            leaves.append((field.name, field.type, True))
    return leaves


def chunk_range(column: Any) -> tuple[int, int]:
    """Return where a column chunk begins in its file, and its length in bytes."""
    start = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
        start = column.dictionary_page_offset
    return start, column.total_compressed_size


def _proof(path: Path, layout: str, rows: int) -> TablePart:
    """Read a finished file back; return its checksums."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size - 8)
        footer_bytes = int.from_bytes(file.read(4), "little") + 8
        file.seek(size - footer_bytes)
        footer = file.read(footer_bytes)
        metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + footer))
        if metadata.num_rows != rows:
            raise OSError(f"{path.name} holds {metadata.num_rows} rows of {rows}")
        checksums = []
        for group in range(metadata.num_row_groups):
            columns = metadata.row_group(group)
            for number in range(columns.num_columns):
                start, length = chunk_range(columns.column(number))
                file.seek(start)
                checksums.append(_checksum(file, length))
    proof = blake2b(footer, digest_size=8).hexdigest()
    return TablePart(layout, rows, size, footer_bytes, proof, checksums)


def _checksum(file: Any, length: int) -> int:
    total = 0
    while length > 0:
        content = file.read(min(length, _READ_BYTES))
        if not content:
            break
        total = zlib.crc32(content, total)
        length -= len(content)
    return total
