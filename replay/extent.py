"""Extent: which frames of a capture one connection sees, and which of them a scan must read.

Responsible for turning bounds of a filter into ranges of sequence numbers, by what the sealed
segments say of their times. Refuses to read frames: `replay.scan` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import pyarrow as pa

from recorder.capture.expiry.mark import Expired
from recorder.capture.footer import read_meta
from recorder.capture.linked import has_links
from recorder.capture.place import Place, Remote
from recorder.capture.reader import ELECTED, Capture, ReadReport
from recorder.capture.reading.hold import LAPSE_S, Hold
from recorder.capture.reading.window import too_early
from recorder.capture.snapshot import SealedSource, Snapshot
from recorder.clock import utc_date
from recorder.errors import Damage
from replay.asked import Asked
from replay.derived.fresh import Tables, lost_between
from replay.pushdown import Bounds, Interval, interval
from replay.tables import View

_AT_ONCE = 16
"""So many questions to an object store at a time."""


class Span(NamedTuple):
    """A range of frames to read.

    Attributes:
        first_seq, last_seq: inclusive.
        start: nothing before the first frame received at or after this time can matter; ns.
    """

    first_seq: int
    last_seq: int
    start: int | None = None

    def within(self, source: SealedSource) -> Span:
        """Return the part of this span that lies in a segment."""
        first_seq = max(self.first_seq, source.first_seq)
        return Span(first_seq, min(self.last_seq, source.last_seq), self.start)


class Stopped(Exception):
    """A scan was asked to stop (`Position.stop`)."""


class Position(ReadReport):
    """What scans of a capture met, and where they are.

    Attributes:
        reached: number of the last frame read, by whatever scan; -1: none yet.
        is_stopped: the next batch ends the scan.
    """

    reached: int = -1
    is_stopped: bool = False

    def passed(self, last_seq: int) -> None:
        """Note a position.

        Raises:
            Stopped: it was asked to.
        """
        if self.is_stopped:
            raise Stopped
        self.reached = last_seq


class Extent:
    """The frames of one snapshot, and what scans of them met.

    Attributes:
        capture: where they are.
        last_seq: of the last frame; -1 for an empty capture.
        gaps: ranges, inclusive, that DuckDB does not read from Parquet itself.
        report: losses and problems of all scans.
        failures: what stopped a scan; DuckDB keeps only the text of it.
        hold: keeps the snapshot's files from being deleted while it is used (`begin`).
        tables: what was made ahead of its segments.
        asked: the question that it is part of an answer to.
    """

    def __init__(
        self,
        capture: Capture,
        snapshot: Snapshot,
        last_seq: int,
        gaps: list[tuple[int, int]],
        hold: Hold,
    ) -> None:
        self.capture = capture
        self.last_seq = last_seq
        self.gaps = gaps
        self.report = Position()
        self.failures: list[Exception] = []
        self.hold = hold
        self.tables = Tables(snapshot.root)
        self.asked: Asked | None = None
        self._snapshot = snapshot
        self._times: dict[str, Interval] = {}

    @cached_property
    def has_links(self) -> bool:
        """Whether redundant links brought any of it."""
        return self.capture.links == ELECTED and has_links(self.capture)

    @property
    def root(self) -> Place:
        """Where the capture lies."""
        return self._snapshot.root

    @property
    def expired(self) -> Expired | None:
        """What retention has let go of before its first frame."""
        return self._snapshot.expired

    @property
    def first_seq(self) -> int:
        """Number that the capture begins with."""
        return self._snapshot.first_seq

    def begin(self) -> None:
        """Note that a query reads: its files are held from here on.

        Raises:
            Damage: nothing was read for so long that the hold lapsed, and files have gone since.
        """
        if not self.hold.renew():
            return
        root = self._snapshot.root
        gone = [s.path for s in self._snapshot.sealed if not (root / s.path).exists()]
        if gone:
            raise Damage(
                f"expected {gone[0]} in {root}, but it was joined with others or expired while "
                f"this connection was not used for {LAPSE_S / 60:.0f} minutes; call "
                f"refresh(connection)",
                file=gone[0],
                cause="gone since this connection was used",
            )

    def spans(self, bounds: Bounds) -> list[Span]:
        """Return the ranges that hold every frame within the bounds, in order.

        An upper bound of `ts_recv` excludes whole segments only: where the wall clock stepped
        back, frames behind the first late one are early again.
        """
        low, high = interval(bounds, "seq")
        first = 0 if low is None else max(low, 0)
        last = self.last_seq if high is None else min(high, self.last_seq)
        start, end = interval(bounds, "ts_recv")
        if end is None:
            return [Span(first, last, start)] if first <= last else []
        ranges = list(self.gaps)
        chosen = self._chosen(first, last, start)
        self._learn_times(chosen)
        for source in chosen:
            earliest, latest = self._times[source.path]
            if (earliest is None or earliest <= end) and (
                start is None or latest is None or latest >= start
            ):
                ranges.append((source.first_seq, source.last_seq))
        spans: list[Span] = []
        for low, high in sorted(ranges):
            low, high = max(low, first), min(high, last)
            if low > high:
                continue
            if spans and spans[-1].last_seq >= low - 1:
                spans[-1] = Span(spans[-1].first_seq, max(high, spans[-1].last_seq))
            else:
                spans.append(Span(low, high))
        return spans

    def pieces(self, span: Span, view: View) -> Iterator[Span | SealedSource]:
        """Yield what a span is made of, in order: segments with a fresh table, and the rest.

        A segment is given whole, although the span may begin or end within it.
        """
        first = span.first_seq
        for source in self._snapshot.sealed:
            if source.last_seq < first or source.first_seq > span.last_seq:
                continue
            if self.capture.links == ELECTED and self.tables.part(source, view) is not None:
                if source.first_seq > first:
                    yield Span(first, source.first_seq - 1, span.start)
                yield source
                first = source.last_seq + 1
        if first <= span.last_seq:
            yield Span(first, span.last_seq, span.start)

    def table_rows(
        self, source: SealedSource, span: Span, view: View, schema: pa.Schema, bounds: Bounds
    ) -> Iterator[pa.RecordBatch] | None:
        """Return the rows that a segment's table has; None where it is gone or damaged."""
        rows = self.tables.rows(source, view, schema, bounds)
        index = self.tables.part(source, view)
        if rows is not None and index is not None:
            self.report.lost_rows += lost_between(index, span.first_seq, span.last_seq)
        return rows

    def _chosen(self, first: int, last: int, start: int | None) -> list[SealedSource]:
        """Return the segments that may hold a frame in a window, without opening all of them."""
        early, day = 0, ""
        if start is not None:
            day = utc_date(start)
            try:
                early = too_early(self._snapshot, start, first)
            except FileNotFoundError:
                early = 0  # gone; whoever reads it says so
        beyond = [s for s in self._snapshot.sources[early:] if isinstance(s, SealedSource)]
        # A segment ends where its UTC date would rise: none holds a later date than its own.
        return [
            source
            for source in beyond
            if source.last_seq >= first
            and source.first_seq <= last
            and source.path.partition("date=")[2][:10] >= day
        ]

    def _learn_times(self, sources: list[SealedSource]) -> None:
        """Find the bounds of `ts_recv` in segments; open where one cannot tell."""
        unknown = [source for source in sources if source.path not in self._times]
        if isinstance(self.root, Remote) and len(unknown) > 1:  # each answer takes a while
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="footers") as pool:
                found = list(pool.map(self._times_of, unknown))
        else:
            found = [self._times_of(source) for source in unknown]
        for source, times in zip(unknown, found, strict=True):
            self._times[source.path] = times

    def _times_of(self, source: SealedSource) -> Interval:
        try:
            meta = read_meta(self.root, source.path, source.segment)
        except (Damage, FileNotFoundError):
            return None, None  # reading it will say what is wrong
        return meta.min_ts_recv, meta.max_ts_recv
