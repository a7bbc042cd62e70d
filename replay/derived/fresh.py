"""Which segments of a snapshot have a table of a view that is fresh, and its rows.

Responsible for the one question that a scan asks (`Tables.part`) and for never giving half a
table: one that fails before its first row is as if there were none. Refuses to look at frames and
to make or remove anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from recorder.capture.derived import TABLES_DIR, date_of, part_path
from recorder.capture.place import Place
from recorder.capture.snapshot import SealedSource
from replay.derived.index import TableIndex, read_index
from replay.derived.reading import TableFile, TableReads, TableStale
from replay.pushdown import Bounds, interval
from replay.tables import View


class Tables:
    """The derived tables of one capture, as one connection sees them.

    Args:
        root: of the capture.

    Attributes:
        reads: what was read of them.
    """

    def __init__(self, root: Place) -> None:
        self._root = root
        self._has_any = (root / TABLES_DIR).is_dir()
        self._indexes: dict[str, TableIndex | None] = {}
        self._files: dict[tuple[str, str], TableFile] = {}
        self.reads = TableReads()

    def part(self, source: SealedSource, view: View) -> TableIndex | None:
        """Return the index of a segment if it has a fresh table of this view, else None."""
        if not self._has_any:
            return None
        if source.path not in self._indexes:
            self._indexes[source.path] = read_index(self._root, source)
        index = self._indexes[source.path]
        return None if index is None or index.part_of(view) is None else index

    def rows(
        self, source: SealedSource, view: View, schema: pa.Schema, bounds: Bounds
    ) -> Iterator[pa.RecordBatch] | None:
        """Return the rows of a view in a segment, as far as they can matter; None: no table.

        Args:
            schema: the columns wanted, in the view's types.

        Raises:
            Damage: the file was changed in place between being checked and being decoded.
        """
        index = self.part(source, view)
        part = None if index is None else index.part_of(view)
        if index is None or part is None:
            return None
        if not part.rows or not _overlap(index, bounds):
            return iter(())
        key = (source.path, view.name)
        try:
            file = self._files.get(key)
            if file is None:
                path = self._root / part_path(view.name, date_of(source.path), source.segment)
                file = self._files[key] = TableFile(path, part, self.reads)
            batches = file.batches(schema, bounds)
            first = next(batches, None)
        except TableStale:
            self.reads.refused += 1
            self._indexes[source.path] = None
            return None
        return _typed(first, batches, schema)


def _overlap(index: TableIndex, bounds: Bounds) -> bool:
    for column, low, high in (
        ("seq", index.first_seq, index.last_seq),
        ("ts_recv", index.min_ts_recv, index.max_ts_recv),
    ):
        first, last = interval(bounds, column)
        if (first is not None and first > high) or (last is not None and last < low):
            return False
    return True


def _typed(first: Any, others: Iterator[Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield batches in the types of a view: a file names the members of lists otherwise."""
    if first is None:
        return
    is_same = first.schema.equals(schema)
    for batch in chain((first,), others):
        if is_same:
            yield batch
        else:
            columns = [
                column if column.type == kind else column.cast(kind)
                for column, kind in zip(batch.columns, schema.types, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def lost_between(index: TableIndex, first_seq: int, last_seq: int) -> int:
    """Return how many `lost` rows the segment of an index has within bounds, inclusive."""
    return sum(first_seq <= seq <= last_seq for seq in index.lost_seqs)
