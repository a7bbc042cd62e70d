"""Coverage as rows: how much of a time each argument was received, for SQL.

Responsible for answering `window_start = … and window_end = …` with what `recorder info --coverage`
says of that time. Refuses to know what a hole is: `okx.coverage` does.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from recorder.capture.reading.covered import CoverageReport, coverage_of
from recorder.errors import UsageError
from replay.extent import Extent
from replay.pushdown import Bounds, interval, texts
from replay.scan import Scan

COMMENTS = {
    "window_start": "begin of the time asked for, or of the capture, ns since the epoch, UTC",
    "window_end": "its end, which is not part of it, ns",
    "channel": "channel of the subscription",
    "subject": "its instrument, else its other arguments, e.g. instType=SWAP",
    "covered_ns": "how long it was received without a known hole, ns, over whatever connection",
    "share": "that as a part of the time, 0 to 1",
    "holes": "the times without it: since, until (ns) and what ended the time before (cause)",
}

HOLE = pa.struct([("since", pa.int64()), ("until", pa.int64()), ("cause", pa.string())])

_FIELDS: dict[str, pa.DataType] = {
    "window_start": pa.int64(),
    "window_end": pa.int64(),
    "channel": pa.string(),
    "subject": pa.string(),
    "covered_ns": pa.int64(),
    "share": pa.float64(),
    "holes": pa.list_(HOLE),
}
_SCHEMA = pa.schema(_FIELDS)


class CoverageScan(Scan):
    """What was received in the time that a filter names; without one, in all of the capture."""

    def __init__(self, extent: Extent) -> None:
        super().__init__(_SCHEMA, extent)

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        start, end = _instant(bounds, "window_start"), _instant(bounds, "window_end")
        if start is not None and end is not None and start >= end:
            raise UsageError(
                f"expected a start before the end, received start {start} and end {end}; swap them"
            )
        report = self._report(start, end, bounds)
        if report is None:
            return
        rows = [
            {
                "window_start": report.start,
                "window_end": report.end,
                "channel": one.channel,
                "subject": one.subject,
                "covered_ns": one.covered_ns,
                "share": one.share,
                "holes": [
                    {"since": hole.start, "until": hole.end, "cause": hole.cause}
                    for hole in one.holes
                ],
            }
            for one in report.arguments
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=_SCHEMA).select(schema.names)

    def _report(self, start: int | None, end: int | None, bounds: Bounds) -> CoverageReport | None:
        capture, report = self.extent.capture, self.extent.report
        if next(capture.frames(start=start, end=end, report=report), None) is None:
            return None  # nothing was recorded then
        return coverage_of(
            capture,
            start=start,
            end=end,
            channels=texts(bounds, "channel") or (),
            instruments=texts(bounds, "subject") or (),
            report=report,
        )


def _instant(bounds: Bounds, column: str) -> int | None:
    low, high = interval(bounds, column)
    return low if low == high else None
