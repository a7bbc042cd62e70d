"""Scans: a capture as Arrow datasets that make their rows when they are read.

Responsible for the two kinds of dataset that DuckDB reads, of events and of frames, and for
reading no more of the capture than the filter needs. Refuses to keep anything: each scan streams
from the capture through the parser or the interpreter, in bounded memory, and ends. Where a
segment has a fresh table of the view (`replay.derived`), its rows are read from there instead.

Theory of operation. DuckDB asks a registered dataset for a scanner, giving the columns and the
part of the filter that it pushes down. From these follow the channels, kinds, instruments and the
window of frames that can matter (`recorder.okx.origins` knows where each event type comes from).
Every scan sees the frames up to the snapshot's last number, so that all views of a connection
agree, whatever is recorded, sealed or compacted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds

from recorder.book import Books
from recorder.capture.batch import FrameBatch
from recorder.event import Event, SequenceGap
from recorder.frame import KINDS, LABELS, Frame, Kind
from recorder.okx.origins import ARGUMENT_CHANNELS, ORIGINS, Origin, among_links
from recorder.okx.parser import Parser
from replay.extent import Extent, Span
from replay.pushdown import Bounds, bounds_of, columns_in, texts
from replay.tables import BatchBuilder, View

_FRAME_FIELDS: dict[str, pa.DataType] = {
    "seq": pa.int64(),
    "ts_recv": pa.int64(),
    "ts_mono": pa.int64(),
    "connection": pa.int32(),
    "kind": pa.string(),
    "channel": pa.string(),
    "instrument": pa.string(),
    "payload": pa.binary(),
}
FRAMES = pa.schema(_FRAME_FIELDS)


class Scan(ds.InMemoryDataset):
    """A dataset whose scanner makes record batches on demand."""

    def __init__(self, schema: pa.Schema, extent: Extent) -> None:
        super().__init__(schema.empty_table())  # type: ignore[call-arg]
        self.extent = extent

    def scanner(  # type: ignore[override]
        self,
        columns: list[str] | None = None,
        filter: Any = None,  # noqa: A002
        **options: Any,
    ) -> ds.Scanner:
        """Return a scanner over fresh batches; called by DuckDB for each scan of a query."""
        self.extent.begin()
        names = list(self.schema.names if columns is None else columns)
        if filter is not None:
            # The filter is applied behind the batches, so its columns must be in them.
            names += [name for name in columns_in(filter, self.schema.names) if name not in names]
        schema = pa.schema([self.schema.field(name) for name in names or self.schema.names[:1]])
        batches = self._guarded(self._batches(schema, bounds_of(filter)))
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        return ds.Scanner.from_batches(reader, columns=columns, filter=filter)

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError

    def _guarded(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            self.extent.failures.append(error)
            raise


class FrameScan(Scan):
    """Frames as rows: the part of a capture that is not in Parquet yet."""

    def __init__(self, extent: Extent) -> None:
        super().__init__(FRAMES, extent)

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        labels = texts(bounds, "kind")
        kinds = None if labels is None else [kind for kind in KINDS if kind.label in labels]
        for span in self.extent.spans(bounds):
            for first, last in self.extent.gaps:
                for batch in self.extent.capture.batches(
                    first_seq=max(first, span.first_seq),
                    last_seq=min(last, span.last_seq),
                    start=span.start,
                    channels=texts(bounds, "channel"),
                    instruments=texts(bounds, "instrument"),
                    kinds=kinds,
                    report=self.extent.report,
                ):
                    yield _columns_of(batch, schema)


def _columns_of(batch: FrameBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        values = getattr(batch, field.name)
        if field.name == "kind":
            values = [LABELS[kind] for kind in values]
        arrays.append(pa.array(values, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class EventScan(Scan):
    """One view of events as rows."""

    def __init__(self, view: View, extent: Extent) -> None:
        super().__init__(view.schema, extent)
        self.view = view

    def _batches(self, schema: pa.Schema, bounds: Bounds) -> Iterator[pa.RecordBatch]:
        making = _Making.of(self.view, schema, bounds, elects=self.extent.has_links)
        for span in self.extent.spans(bounds):
            for piece in self.extent.pieces(span, self.view):
                if isinstance(piece, Span):
                    yield from self._made_now(making, piece)
                    continue
                made_ahead = self.extent.table_rows(piece, span, self.view, schema, bounds)
                if made_ahead is not None:
                    yield from made_ahead
                else:  # it failed when it was opened
                    yield from self._made_now(making, span.within(piece))

    def _made_now(self, making: _Making, span: Span) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a span from its frames, by the parser or the interpreter."""
        builder = BatchBuilder(self.view, making.schema.names)
        names, add, takes = making.schema.names, builder.add, making.takes
        passes = [self._read(read, span) for read in making.reads]
        frames = passes[0] if len(passes) == 1 else merge(*passes, key=attrgetter("seq"))
        step, books = Parser().parse, Books()
        if making.has_state:
            first = next(frames, None)
            if first is None:
                return
            interpreter = self.extent.capture.interpreter_before(
                first.seq, report=self.extent.report
            )
            step, books = interpreter.step, interpreter.books
            frames = chain((first,), frames)
        for frame in frames:
            for event in step(frame):
                if isinstance(event, takes) and add(event, books):
                    yield builder.take().select(names)
        yield builder.take().select(names)

    def _read(self, read: Read, span: Span) -> Iterator[Frame]:
        for batch in self.extent.capture.batches(
            first_seq=span.first_seq,
            last_seq=span.last_seq,
            start=span.start,
            channels=read.channels,
            instruments=read.instruments,
            kinds=read.kinds,
            report=self.extent.report,
        ):
            if read.marks is None:
                yield from batch.frames()
            else:
                yield from _marked(batch, read.marks)


def _marked(batch: FrameBatch, marks: list[bytes]) -> Iterator[Frame]:
    """Yield the frames that hold one of the marks, or could hide one behind a JSON escape."""
    for at, payload in enumerate(batch.payload):
        if any(mark in payload for mark in marks) or b"\\" in payload:
            yield Frame(
                batch.seq[at],
                batch.ts_recv[at],
                batch.ts_mono[at],
                batch.connection[at],
                batch.kind[at],
                payload,
            )


class _Making(NamedTuple):
    """How the rows of one scan are made from frames.

    Attributes:
        takes: the event types wanted; reads: the passes that find their frames.
        has_state: they depend on what came before.
    """

    schema: pa.Schema
    takes: tuple[type[Event], ...]
    reads: list[Read]
    has_state: bool

    @classmethod
    def of(cls, view: View, schema: pa.Schema, bounds: Bounds, *, elects: bool) -> _Making:
        """Return what a view needs within the bounds of a filter.

        Args:
            elects: the capture has redundant links.
        """
        names = texts(bounds, "type")
        takes = tuple(t for t in view.takes if names is None or t.__name__ in names)
        origins = [ORIGINS[event_type] for event_type in takes]
        if view.follows_books:
            origins.append(ORIGINS[SequenceGap])
        if elects:
            origins = [among_links(origin) for origin in origins]
        reads = plan(origins, texts(bounds, "instrument"))
        return cls(schema, takes, reads, any(origin.has_state for origin in origins))


class Read(NamedTuple):
    """One pass over a capture: what the reader filters by, and marks one of which must occur."""

    channels: list[str] | None
    kinds: list[Kind] | None
    instruments: list[str] | None
    marks: list[bytes] | None


def plan(origins: list[Origin], instruments: list[str] | None) -> list[Read]:
    """Return the passes that together read every frame of these origins, each frame once.

    Args:
        origins: of the event types wanted.
        instruments: those wanted; None: all. Only used where the frame's index can be trusted.
    """
    marks = None if instruments is None else [name.encode() for name in instruments]
    kinds = [kind for kind in Kind if any(kind in origin.kinds for origin in origins)]
    if any(origin.channels is None for origin in origins):
        texts_too = sorted({Kind.TEXT, *kinds})
        if len(origins) == 1 and not kinds:
            (origin,) = origins
            if origin.by_argument and instruments is not None:
                return [Read(None, texts_too, instruments, None)]
            if origin.mark:
                return [Read(None, texts_too, None, [origin.mark])]
        return [Read(None, texts_too, None, None)]
    channels = list(dict.fromkeys(c for origin in origins for c in origin.channels or ()))
    reads = []
    if instruments is None:
        if channels:
            reads.append(Read(channels, [Kind.TEXT], None, None))
    else:
        by_argument = [c for c in channels if c in ARGUMENT_CHANNELS]
        by_row = [c for c in channels if c not in ARGUMENT_CHANNELS]
        if by_argument:
            reads.append(Read(by_argument, [Kind.TEXT], instruments, None))
        if by_row:
            reads.append(Read(by_row, [Kind.TEXT], None, marks))
    if kinds or not reads:
        reads.append(Read(None, kinds, None, None))
    return reads
