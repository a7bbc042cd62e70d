"""Building: one sealed segment into the tables of its views, by the one interpreter.

Responsible for reading the segment strictly (its bytes have the hash in its name, its frames are
as many as it says), for beginning with the state that stood before it, and for committing: every
file by rename, then the index that makes them count. Refuses to make a table of what cannot be
proven: such a segment is left to the interpreter, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.derived import date_of, part_path
from recorder.capture.digest import digest_of
from recorder.capture.layout import file_mode
from recorder.capture.reader import Capture
from recorder.capture.sealing.seal import file_hash
from recorder.capture.segment import SegmentMeta, SegmentReader
from recorder.capture.snapshot import SealedSource, Snapshot
from recorder.errors import Damage
from recorder.event import Event
from recorder.frame import Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import PARSER_VERSION
from replay.derived.index import FORMAT, TableIndex, TablePart, read_index, write_index
from replay.derived.writing import TableWriter
from replay.tables import BatchBuilder
from replay.views import VIEWS


class Built(msgspec.Struct, frozen=True):
    """What came of one segment; `reason` why nothing did."""

    segment: int
    frames: int = 0
    events: int = 0
    views: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    reason: str | None = None


class Stopped(Exception):
    """The caller wants no more."""


class _Unproven(Exception):
    """The segment cannot be shown to be what a table would say of it."""


class _Maker:
    """The rows of one view on their way."""

    def __init__(self, builder: BatchBuilder, writer: TableWriter) -> None:
        self.add = builder.add
        self.builder = builder
        self.writer = writer

    def flush(self) -> None:
        self.writer.add(self.builder.take())


def build_tables(
    root: Path,
    source: SealedSource,
    views: Sequence[str],
    should_stop: Callable[[], bool] = lambda: False,
) -> Built:
    """Make the tables of some views of one sealed segment, beside those that are fresh.

    Raises:
        FileNotFoundError: the segment is gone (joined, expired). OSError: the disk.
        Stopped: `should_stop` said so; nothing counts that was not finished.
    """
    try:
        meta = _read_meta(root, source)
        capture = Capture(root)
        interpreter = _state_before(capture, source, meta)
        return _build(root, capture, source, meta, interpreter, views, should_stop)
    except (Damage, _Unproven) as why:
        reason = why.cause if isinstance(why, Damage) else str(why)
        return Built(source.segment, reason=reason)


def _read_meta(root: Path, source: SealedSource) -> SegmentMeta:
    reader = SegmentReader(root, source.path, source.segment)
    reader.close()
    if file_hash(root / source.path)[:16] != source.hash16:
        raise _Unproven("its bytes do not have the hash in its name")
    return reader.meta


def _state_before(capture: Capture, source: SealedSource, meta: SegmentMeta) -> Interpreter:
    """Return the interpreter before the segment: that of its checkpoint, or equal to it."""
    try:
        state = read_checkpoint(capture.path, source.segment)
        if digest_of(state) == meta.checkpoint:
            return Interpreter.restore(state)
    except (Damage, FileNotFoundError, ValueError):
        pass
    interpreter = capture.interpreter_before(source.first_seq)
    if digest_of(interpreter.save()) != meta.checkpoint:
        raise _Unproven("the state before it is not the one it was sealed with")
    return interpreter


def _build(
    root: Path,
    capture: Capture,
    source: SealedSource,
    meta: SegmentMeta,
    interpreter: Interpreter,
    views: Sequence[str],
    should_stop: Callable[[], bool],
) -> Built:
    date = date_of(source.path)
    facts = {
        "format": FORMAT,
        "capture": capture.header.id,
        "segment": source.segment,
        "segment_hash": source.hash16,
        "first_seq": source.first_seq,
        "last_seq": source.last_seq,
        "parser": str(PARSER_VERSION),
        "checkpoint": meta.checkpoint,
    }
    mode = file_mode(root)
    makers: dict[str, _Maker] = {}
    for name in views:
        view = VIEWS[name]
        path = root / part_path(name, date, source.segment)
        writer = TableWriter(path, view, {**facts, "view": name}, mode=mode)
        makers[name] = _Maker(BatchBuilder(view, view.schema.names), writer)
    try:
        frames, events, lost = _feed(capture, source, interpreter, makers, should_stop)
        if frames != meta.count:
            raise _Unproven(f"it holds {frames} frames of {meta.count}")
        for maker in makers.values():
            maker.flush()
        made = {name: maker.writer.close() for name, maker in makers.items()}
    except BaseException:
        for maker in makers.values():
            maker.writer.abandon()
        raise
    before = read_index(root, source)
    kept: dict[str, TablePart] = {} if before is None else before.views
    index = TableIndex(
        frames=frames,
        events=events,
        min_ts_recv=meta.min_ts_recv,
        max_ts_recv=meta.max_ts_recv,
        lost_seqs=lost,
        views={**kept, **made},
        **facts,  # type: ignore[arg-type]
    )
    write_index(root, date, index)
    rows = {name: (part.rows, part.bytes) for name, part in made.items()}
    return Built(source.segment, frames, events, rows)


def _feed(
    capture: Capture,
    source: SealedSource,
    interpreter: Interpreter,
    makers: dict[str, _Maker],
    should_stop: Callable[[], bool],
) -> tuple[int, int, list[int]]:
    """Step through the segment; return its frames, events and the seqs of its `lost` rows."""
    alone = Snapshot(capture.path.absolute(), (source,), is_live=False, first_seq=source.first_seq)
    takers = _takers(makers)
    step, books = interpreter.step, interpreter.books
    frames = events = 0
    lost: list[int] = []
    batches = capture.pinned(alone).batches(first_seq=source.first_seq, last_seq=source.last_seq)
    for batch in batches:
        if should_stop():
            raise Stopped
        frames += len(batch)
        if Kind.LOST in batch.kind:
            lost += [
                seq for seq, kind in zip(batch.seq, batch.kind, strict=True) if kind is Kind.LOST
            ]
        for frame in batch.frames():
            for event in step(frame):
                events += 1
                for maker in takers.get(type(event), ()):
                    if maker.add(event, books):
                        maker.flush()
    return frames, events, lost


def _takers(makers: dict[str, _Maker]) -> dict[type[Event], tuple[_Maker, ...]]:
    takers: dict[Any, tuple[_Maker, ...]] = {}
    for name, maker in makers.items():
        for event_type in VIEWS[name].takes:
            takers[event_type] = (*takers.get(event_type, ()), maker)
    return takers
