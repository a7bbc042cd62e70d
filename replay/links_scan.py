"""Redundant links as rows: how each of them fared, for SQL.

Responsible for answering with what `recorder info --json` says under `links`, row for row. Refuses
to count: the election does, and `recorder.capture.info` adds up.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from replay.extent import Extent
from replay.pushdown import Bounds
from replay.scan import Scan

COMMENTS = {
    "endpoint": "endpoint of the venue: public, business or private",
    "link": "number of the link, as in `sessions`",
    "first": "pushes that it was the first to bring",
    "copies": "pushes that another link had brought before",
    "missed": "pushes that another link brought and this one, though it held the argument, did not",
    "late": "pushes it brought when the stream had gone past them",
    "lag_p50_ms": "of its copies, how long after the first one, ms, to a quarter; NULL without any",
    "lag_p90_ms": "likewise, nine of ten",
    "lag_p99_ms": "likewise, 99 of 100",
    "lag_max_ms": "likewise, all",
    "open_s": "how long it was open, s",
    "alone_s": "of that, how long no other link of the endpoint was: covered by this one only",
}

_TYPES: dict[str, pa.DataType] = {
    "endpoint": pa.string(),
    **dict.fromkeys(("link", "first", "copies", "missed", "late"), pa.int64()),
}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.float64())) for name in COMMENTS])


class LinksScan(Scan):
    """One row per redundant link; none where every endpoint had one."""

    def __init__(self, extent: Extent) -> None:
        super().__init__(_SCHEMA, extent)

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        info = self.extent.capture.info()
        known = self.extent.report.problems
        known += [problem for problem in info.problems if problem not in known]
        rows = [msgspec.structs.asdict(figures) for figures in info.links]
        yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA).select(schema.names)
