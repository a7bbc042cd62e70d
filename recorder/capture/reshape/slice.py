"""Slice: a part of a capture as a capture of its own, whose books are right from its first frame.

Responsible for choosing the frames and for the checkpoint they start from. Refuses to leave out
what is not named by a frame (connections, requests, answers, losses), to pass over damage, and to
leave a half-made slice behind.

A window keeps the numbers of its frames, so that `(seq, index)` of an event means the same in both
captures. Where frames are left out by channel or instrument, the rest is numbered from 0: numbers
have no holes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from recorder.capture.batch import FrameBatch
from recorder.capture.block import Selection
from recorder.capture.reader import Capture, names_to_keep
from recorder.capture.reading.hold import hold_snapshot
from recorder.capture.reading.window import seq_bounds
from recorder.capture.reshape.derive import Plan, derive, frames_of, is_private, origin_of
from recorder.clock import format_time
from recorder.errors import UsageError
from recorder.frame import NO_CONNECTION, Frame, Kind
from recorder.okx import checkpoint
from recorder.okx.interpreter import Interpreter

Progress = Callable[[int], None]


class SliceReport(msgspec.Struct, kw_only=True):
    """What a slice holds.

    Attributes:
        frames: in the slice. first_seq, last_seq: of these, in the numbers of the source.
        start, end: `ts_recv` of the first and last frame, ns.
        renumbered: frames were left out by channel or instrument, so the rest is counted anew.
        input_digest: of the slice.
    """

    path: str
    source: str
    frames: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    start: int | None = None
    end: int | None = None
    segments: int = 0
    lost_rows: int = 0
    renumbered: bool = False
    input_digest: str | None = None


def slice_capture(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    start: int | None = None,
    end: int | None = None,
    first_seq: int | None = None,
    last_seq: int | None = None,
    channels: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> SliceReport:
    """Write a part of `source` as a new capture.

    Args:
        start, end: `ts_recv`, ns: one contiguous interval, as for every reader.
        first_seq, last_seq: inclusive bounds.
        channels, instruments: frames that name another one are left out; frames that name none
            (connections, requests, answers, losses) stay.
        progress: called with the number of frames written so far.

    Raises:
        NotACapture: `source` is none. CaptureExists: `out` is there already.
        UsageError: no frame is in the window. DiskFull: no room; nothing is left behind.
        Damage: a part of the window cannot be read.
    """
    whole = Capture(source)
    chosen = _Choice(names_to_keep(channels, "channels"), names_to_keep(instruments, "instruments"))
    snapshot, hold = hold_snapshot(whole)
    with hold:
        capture = whole.pinned(snapshot)
        bounds = _bounds(capture, start, end, first_seq, last_seq)
        first = next(capture.frames(first_seq=bounds.first_seq, last_seq=bounds.last_seq), None)
        if first is None:
            raise UsageError(_nothing(whole, snapshot.first_seq))
        bounds = msgspec.structs.replace(bounds, first_seq=first.seq)
        interpreter = capture.interpreter_before(first.seq)
        plan = Plan(
            venue=whole.header.venue,
            note=whole.header.note,
            origin=origin_of(
                "slice",
                [whole],
                first_seq=first.seq,
                last_seq=bounds.last_seq,
                channels=chosen.channels and sorted(chosen.channels),
                instruments=chosen.instruments and sorted(chosen.instruments),
            ),
            first_seq=0 if chosen.filters else first.seq,
            private=is_private(whole),
            interpreter=_without_others(interpreter, chosen) if chosen.filters else interpreter,
        )
        seen = _Seen()
        batches = seen.watch(capture.select(bounds))
        frames = _renumbered(batches, chosen) if chosen.filters else frames_of(batches)
        info = derive(out, plan, frames, progress)
    return SliceReport(
        path=str(out),
        source=str(source),
        frames=info.frames,
        first_seq=first.seq,
        last_seq=seen.last_seq,
        start=info.start,
        end=info.end,
        segments=info.segments,
        lost_rows=info.lost_rows,
        renumbered=chosen.filters,
        input_digest=info.input_digest,
    )


class _Choice(msgspec.Struct, frozen=True):
    """Which channels and instruments stay; None: all."""

    channels: frozenset[str] | None
    instruments: frozenset[str] | None

    @property
    def filters(self) -> bool:
        return self.channels is not None or self.instruments is not None

    def keeps(self, channel: str | None, instrument: str | None) -> bool:
        """Tell whether a frame stays: it names nothing else than what is wanted."""
        return (channel is None or self.channels is None or channel in self.channels) and (
            instrument is None or self.instruments is None or instrument in self.instruments
        )


class _Seen:
    """Remembers the last number that passed."""

    def __init__(self) -> None:
        self.last_seq: int | None = None

    def watch(self, batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
        for batch in batches:
            self.last_seq = batch.seq[-1]
            yield batch


def _bounds(
    capture: Capture,
    start: int | None,
    end: int | None,
    first_seq: int | None,
    last_seq: int | None,
) -> Selection:
    low, high = first_seq or 0, last_seq
    if start is not None or end is not None:
        if start is not None and end is not None and start > end:
            raise UsageError(
                f"expected a start before the end, received start {start} and end {end}; swap them"
            )
        first, last = seq_bounds(capture, start, end, None)
        low = max(low, first)
        if last is not None:
            high = last if high is None else min(high, last)
    return Selection(first_seq=low, last_seq=high)


def _nothing(capture: Capture, first_seq: int) -> str:
    info = capture.info()
    if info.start is None or info.end is None:
        return f"expected frames to slice, found that {capture.path} holds none"
    return (
        f"expected a frame of {capture.path} in the window, found none; it holds frames "
        f"{first_seq} to {first_seq + info.frames - 1}, received from {format_time(info.start)} to "
        f"{format_time(info.end)}"
    )


def _renumbered(batches: Iterable[FrameBatch], chosen: _Choice) -> Iterator[list[Frame]]:
    """Yield the frames that stay, numbered from 0."""
    seq = 0
    for batch in batches:
        kept: list[Frame] = []
        index = zip(batch.channel, batch.instrument, strict=True)
        for frame, (channel, instrument) in zip(batch.frames(), index, strict=True):
            if chosen.keeps(channel, instrument):
                kept.append(numbered(frame, seq))
                seq += 1
        if kept:
            yield kept


def numbered(frame: Frame, seq: int, *, connections_from: int = 0) -> Frame:
    """Return a frame under another number, its connection counted from another one.

    A `lost` row loses the numbers that it names: they are of the old counting.
    """
    connection, payload = frame.connection, frame.payload
    if connection != NO_CONNECTION:
        connection += connections_from
    if frame.kind is Kind.LOST:
        payload = _without_numbers(payload, connections_from)
    return Frame(seq, frame.ts_recv, frame.ts_mono, connection, frame.kind, payload)


def _without_numbers(payload: bytes, connections_from: int) -> bytes:
    try:
        row: Any = msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return payload
    if not isinstance(row, dict):
        return payload
    connection = row.get("connection")
    if type(connection) is int and connection != NO_CONNECTION:
        row["connection"] = connection + connections_from
    row["first_seq"] = row["last_seq"] = None
    return msgspec.json.encode(row)


def _without_others(interpreter: Interpreter, chosen: _Choice) -> Interpreter:
    """Return the state without the books that no frame of the slice will change."""
    state = checkpoint.decode(interpreter.save(), interpreter.number)
    books = [book for book in state.books if chosen.keeps(book.channel, book.instrument)]
    pruned = checkpoint.encode(books, state.connections, interpreter.number)
    return Interpreter.restore(pruned, interpreter.number)
