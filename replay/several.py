"""Several captures as one relation, and sealed segments of an object store as rows.

Responsible for the column `capture`, which tells rows of several captures apart, and for reading of
files in a store only what a query asks of them. Refuses to merge: within a capture `seq` orders,
between captures nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recorder.capture.place import Remote, is_refusal, store_failure
from recorder.capture.snapshot import SealedSource
from recorder.errors import Damage
from replay.extent import Extent
from replay.pushdown import Bounds, interval, texts
from replay.scan import FRAMES, Scan

CAPTURE_COMMENT = "which of the captures; seq counts within it"

_CAPTURE = pa.field("capture", pa.string())


class SeveralScan(Scan):
    """The rows of one scan for each of several captures, one after the other, with their name."""

    def __init__(self, parts: Mapping[str, Scan]) -> None:
        first = next(iter(parts.values()))
        super().__init__(pa.schema([_CAPTURE, *first.schema]), first.extent)
        self._parts = parts

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        wanted = texts(bounds, "capture")
        for name, part in self._parts.items():
            if wanted is not None and name not in wanted:
                continue
            names = [column for column in schema.names if column != "capture"]
            inner = pa.schema([part.schema.field(n) for n in names or part.schema.names[:1]])
            part.extent.begin()
            for batch in part._batches(inner, bounds):
                yield _named(batch, schema, name)


def _named(batch: pa.RecordBatch, schema: pa.Schema, name: str) -> pa.RecordBatch:
    arrays = [
        pa.repeat(pa.scalar(name), batch.num_rows)
        if field.name == "capture"
        else batch.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class StoredFrames(Scan):
    """The sealed frames of a capture in an object store: what DuckDB reads itself on a disk.

    Args:
        sources: the segments to read.
    """

    def __init__(self, extent: Extent, sources: Sequence[SealedSource]) -> None:
        super().__init__(FRAMES, extent)
        self._sources = sources

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        spans = self.extent.spans(bounds)
        wanted = _row_filter(bounds)
        for source in self._sources:
            if any(
                s.first_seq <= source.last_seq and source.first_seq <= s.last_seq for s in spans
            ):
                yield from self._rows_of(source, schema, wanted)

    def _rows_of(
        self, source: SealedSource, schema: pa.Schema, wanted: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        place = self.extent.root / source.path
        assert isinstance(place, Remote)  # noqa: S101 - made for no other
        options = ds.ParquetFragmentScanOptions(pre_buffer=True, page_checksum_verification=True)
        try:
            stored = ds.dataset(
                [place.key],
                schema=FRAMES,
                filesystem=place.filesystem,
                format=ds.ParquetFileFormat(default_fragment_scan_options=options),
            )
            yield from stored.to_batches(
                columns=schema.names,
                filter=wanted,
                batch_readahead=2,  # one row group being used, one on its way
                fragment_readahead=1,
                use_threads=True,
            )
        except (OSError, pa.ArrowException) as error:
            if is_refusal(error):
                raise store_failure(place, error) from error
            self.extent.report.add(_damage(source, error))


def _damage(source: SealedSource, error: Exception) -> Damage:
    cause = str(error).partition("\n")[0]
    if isinstance(error, FileNotFoundError):
        cause = "file disappeared"
    return Damage(
        f"expected a whole segment in {source.path}, but reading it failed: {cause}",
        file=source.path,
        cause=cause,
        segment=source.segment,
        first_seq=source.first_seq,
        last_seq=source.last_seq,
    )


def _row_filter(bounds: Bounds) -> pc.Expression | None:
    """Return a filter by which row groups can be passed over; DuckDB's own is applied behind it."""
    filters: list[pc.Expression] = []
    for name in ("seq", "ts_recv", "ts_mono", "connection"):
        low, high = interval(bounds, name)
        if low is not None:
            filters.append(pc.field(name) >= low)
        if high is not None:
            filters.append(pc.field(name) <= high)
    for name in ("kind", "channel", "instrument"):
        values = texts(bounds, name)
        if values is not None:
            filters.append(pc.field(name).isin(values))
    found: pc.Expression | None = None
    for part in filters:
        found = part if found is None else found & part
    return found
