"""The ledger with what retention let go of: the one loss that no frame tells.

Responsible for the row of `expired.json` at the head of the view `ledger`. Refuses everything else:
the other rows are events, read as in every view.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from replay.pushdown import Bounds, texts
from replay.scan import EventScan

EXPIRED = "Expired"
"""`type` of that row."""


class LedgerScan(EventScan):
    """The view `ledger`."""

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        expired = self.extent.expired
        types = texts(bounds, "type")
        if expired is not None and (types is None or EXPIRED in types):
            detail = {"segments": expired.segments, "bytes": expired.bytes}
            row = {
                "seq": expired.last_seq,
                "index": 0,
                "type": EXPIRED,
                "cause": "retention",
                "count": expired.frames,
                "detail": msgspec.json.encode(detail).decode(),
            }
            yield pa.RecordBatch.from_pylist([row], schema=self.view.schema).select(schema.names)
        yield from super()._batches(schema, bounds)
