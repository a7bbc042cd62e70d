"""Capture: read a capture, finished or still being recorded, as one lazy stream in seq order.

Responsible for choosing what to read (windows, filters, seq bounds), for serving every frame
exactly once while segments are being sealed, and for saying what could not be read. Refuses to
change anything on disk and to hold more than a block or two in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from recorder.capture import layout
from recorder.capture.batch import FrameBatch
from recorder.capture.block import Selection
from recorder.capture.place import Place, Where, place_of
from recorder.capture.reading.serve import Problem, ReadReport, serve
from recorder.capture.reading.window import seq_bounds
from recorder.capture.snapshot import Snapshot, SourceGone, take_snapshot
from recorder.errors import Damage, UsageError
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter

if TYPE_CHECKING:
    from recorder.book import Book
    from recorder.capture.info import CaptureInfo

__all__ = ["Capture", "Problem", "ReadReport"]

_LISTINGS = 20
"""How often a read lists again without coming a frame further, before that is damage."""


ELECTED, EVERY_COPY = LINKS = ("elected", "all")


class Capture:
    """A capture, open for reading. Cheap to make; nothing is held open.

    Attributes:
        links: what events tell where redundant links recorded: `elected`, the one stream that is
            made of them, or `all`, what each of them brought.
    """

    def __init__(self, path: Where, *, links: str = ELECTED) -> None:
        """Check that there is a capture.

        Args:
            path: a directory, or a folder of an object store, `s3://bucket/prefix`.
            links: see above.

        Raises:
            UsageError: `links` is neither of them.
            NotACapture: there is none. Damage: `capture.json` cannot be read.
            StoreFailed: the store did not answer, or refused.
        """
        if links not in LINKS:
            raise UsageError(f"expected links {ELECTED} or {EVERY_COPY}, received {links}")
        self.links = links
        self.path: Place = place_of(path)
        self.header = layout.read_header(self.path)

    def snapshot(self) -> Snapshot:
        """Return the files that hold the capture now, in seq order."""
        return self.list_again()

    def list_again(self) -> Snapshot:
        """Return what is there now, also where `snapshot` is pinned."""
        return take_snapshot(self.path, first_seq=self.header.first_seq or 0)

    def pinned(self, snapshot: Snapshot) -> Capture:
        """Return this capture as it was listed before: reads begin with those files.

        They can go on only while the files are there (`hold.hold_snapshot` keeps them); what was
        sealed or joined meanwhile is read in its new form.
        """
        return _Pinned(self, snapshot)

    def frames(
        self,
        *,
        start: int | None = None,
        end: int | None = None,
        channels: Iterable[str] | None = None,
        instruments: Iterable[str] | None = None,
        connections: Iterable[int] | None = None,
        kinds: Iterable[Kind] | None = None,
        first_seq: int | None = None,
        last_seq: int | None = None,
        report: ReadReport | None = None,
    ) -> Iterator[Frame]:
        """Yield frames in seq order; the arguments are those of `batches`."""
        for batch in self.batches(
            start=start,
            end=end,
            channels=channels,
            instruments=instruments,
            connections=connections,
            kinds=kinds,
            first_seq=first_seq,
            last_seq=last_seq,
            report=report,
        ):
            yield from batch.frames()

    def batches(
        self,
        *,
        start: int | None = None,
        end: int | None = None,
        channels: Iterable[str] | None = None,
        instruments: Iterable[str] | None = None,
        connections: Iterable[int] | None = None,
        kinds: Iterable[Kind] | None = None,
        first_seq: int | None = None,
        last_seq: int | None = None,
        report: ReadReport | None = None,
    ) -> Iterator[FrameBatch]:
        """Yield frames in seq order, up to 8,192 at a time, as parallel lists.

        Args:
            start, end: `ts_recv`, ns: from the first frame at or after `start` to before the
                first one from there on that is at or after `end`. One contiguous seq interval.
            channels, instruments: frames without one are dropped.
            connections, kinds: likewise.
            first_seq, last_seq: inclusive bounds.
            report: collects losses and problems; damaged parts are then passed over.

        Raises:
            Damage: something could not be read, and there is no `report`.
            UsageError: `start` is after `end`.
        """
        selection = Selection(
            first_seq=max(first_seq or 0, 0),
            last_seq=last_seq,
            channels=names_to_keep(channels, "channels"),
            instruments=names_to_keep(instruments, "instruments"),
            connections=None if connections is None else frozenset(connections),
            kinds=None if kinds is None else frozenset(kinds),
        )
        return self.select(self._within(selection, start, end, report), report)

    def events(
        self,
        *,
        start: int | None = None,
        end: int | None = None,
        channels: Iterable[str] | None = None,
        instruments: Iterable[str] | None = None,
        connections: Iterable[int] | None = None,
        kinds: Iterable[Kind] | None = None,
        first_seq: int | None = None,
        last_seq: int | None = None,
        report: ReadReport | None = None,
        number: type = float,
    ) -> Iterator[Event]:
        """Yield the events of the frames that `frames` would yield, books right from the first.

        The interpreter starts at a checkpoint and sees every frame from there on; the filters
        choose whose events come out.
        """
        wanted = Selection(
            channels=names_to_keep(channels, "channels"),
            instruments=names_to_keep(instruments, "instruments"),
            connections=None if connections is None else frozenset(connections),
            kinds=None if kinds is None else frozenset(kinds),
        )
        # One listing for the window, the state before it and its frames: a capture of thousands
        # of files takes longer to list than to find the place.
        listed = self.pinned(self.snapshot())
        bounds = listed._within(
            Selection(first_seq=max(first_seq or 0, 0), last_seq=last_seq), start, end, report
        )
        return listed._events(bounds, wanted, report, number)

    def follow(
        self,
        *,
        start: int | None = None,
        end: int | None = None,
        channels: Iterable[str] | None = None,
        instruments: Iterable[str] | None = None,
        connections: Iterable[int] | None = None,
        kinds: Iterable[Kind] | None = None,
        first_seq: int | None = None,
        report: ReadReport | None = None,
    ) -> Iterator[Frame]:
        """Yield frames as `frames` does, and go on while they are being recorded.

        It waits for what comes next, a few milliseconds behind the recorder, and ends when that has
        ended (no process holds LOCK) or with the first frame at or after `end`.
        """
        from recorder.capture.reading.follow import following_batches, waiting

        wanted = Selection(
            first_seq=max(first_seq or 0, 0),
            channels=names_to_keep(channels, "channels"),
            instruments=names_to_keep(instruments, "instruments"),
            connections=None if connections is None else frozenset(connections),
            kinds=None if kinds is None else frozenset(kinds),
        )
        batches = following_batches(self, wanted, start=start, end=end, report=report)
        return (frame for batch in waiting(batches) for frame in batch.frames())

    def interpreter_before(
        self, seq: int, number: type = float, *, report: ReadReport | None = None
    ) -> Interpreter:
        """Return the interpreter as it stood before frame `seq`: books, chains, connections."""
        from recorder.capture.checkpoint import interpreter_before

        return interpreter_before(self, seq, number, report=report)

    def book_at(
        self,
        instrument: str,
        at: int | None = None,
        *,
        channel: str | None = None,
        number: type = float,
        report: ReadReport | None = None,
    ) -> Book:
        """Return the order book of an instrument as it stood at an instant.

        Args:
            at: ns since the Unix epoch: after every frame received at or before it; None: after
                the last message received (at the end of a recording its books end with their
                connections).
            channel: of this channel; None: the best there is (`recorder.book.PREFERENCE`).
            number: type of prices and sizes: float, Decimal or str (as sent).
            report: collects losses and damage met on the way.

        Raises:
            UsageError: no such book was held then. Damage: a part cannot be read; no `report`.
        """
        from recorder.capture.reading.instant import book_at

        return book_at(self, instrument, at, channel=channel, number=number, report=report)

    def info(self) -> CaptureInfo:
        """Count what the capture holds; reads metadata, and the journal at the end."""
        from recorder.capture.info import info_of

        return info_of(self)

    def _within(
        self, selection: Selection, start: int | None, end: int | None, report: ReadReport | None
    ) -> Selection:
        if start is None and end is None:
            return selection
        if start is not None and end is not None and start > end:
            raise UsageError(
                f"expected a start before the end, received start {start} and end {end}; swap them"
            )
        low, high = seq_bounds(self, start, end, report)
        first_seq = max(selection.first_seq, low)
        last_seq = selection.last_seq
        if high is not None:
            last_seq = high if last_seq is None else min(last_seq, high)
        return msgspec.structs.replace(selection, first_seq=first_seq, last_seq=last_seq)

    def select(
        self,
        wanted: Selection,
        report: ReadReport | None = None,
        *,
        on_jump: Callable[[int], None] | None = None,
    ) -> Iterator[FrameBatch]:
        """Yield the frames of a selection; `batches` and `events` are made of this.

        Retention may let frames go that a slow reader has not reached yet: that is damage for
        this read, told like any other part that cannot be read.

        Args:
            on_jump: the reader relies on `wanted.first_seq` itself; called with the first number
                there is, before its batch, each time that frames before it have expired.
        """
        failed_at, failures = -1, 0
        is_promised = on_jump is not None
        snapshot = self.snapshot()
        while wanted.last_seq is None or wanted.first_seq <= wanted.last_seq:
            if is_promised and wanted.first_seq < snapshot.first_seq:
                gone = _expired(wanted, snapshot)
                if report is None:
                    raise gone
                report.add(gone)
                if on_jump is not None:
                    on_jump(snapshot.first_seq)
            is_promised = True
            wanted = msgspec.structs.replace(
                wanted, first_seq=max(wanted.first_seq, snapshot.first_seq)
            )
            try:
                for batch in serve(snapshot, self.header.id, wanted, report):
                    next_seq = batch.seq[-1] + 1
                    if report is not None:
                        report.passed(next_seq - 1)
                    yield batch
                    wanted = msgspec.structs.replace(wanted, first_seq=next_seq)
                return
            except SourceGone as gone:
                # Sealed, joined or removed since the listing: go on from a new one. A slow reader
                # may meet one after the other before it has read a frame.
                next_seq = max(wanted.first_seq, gone.next_seq)
                failures = failures + 1 if failed_at == next_seq else 0
                if failures > _LISTINGS:
                    raise Damage(
                        f"expected {gone.file} in {self.path}, but it disappeared while it was "
                        f"read; read again when nothing removes segments",
                        file=gone.file,
                        cause="file disappeared",
                    ) from gone
                failed_at = next_seq
                wanted = msgspec.structs.replace(wanted, first_seq=next_seq)
                snapshot = self.list_again()

    def _events(
        self, bounds: Selection, wanted: Selection, report: ReadReport | None, number: type
    ) -> Iterator[Event]:
        first_seq = max(bounds.first_seq, self.snapshot().first_seq)
        bounds = msgspec.structs.replace(bounds, first_seq=first_seq)
        interpreter = self.interpreter_before(first_seq, number, report=report)
        keep_all = not wanted.filters

        def start_again(seq: int) -> None:
            nonlocal interpreter
            interpreter = self.interpreter_before(seq, number, report=report)

        for batch in self.select(bounds, report, on_jump=start_again):
            step = interpreter.step
            if keep_all:
                for frame in batch.frames():
                    yield from step(frame)
                continue
            index = zip(batch.channel, batch.instrument, strict=True)
            for frame, key in zip(batch.frames(), index, strict=True):
                events = step(frame)
                if wanted.wants(frame, key):
                    yield from events


class _Pinned(Capture):
    """A capture whose reads begin with one snapshot."""

    def __init__(self, capture: Capture, snapshot: Snapshot) -> None:
        self.path = capture.path
        self.links = capture.links
        self.header = capture.header
        self._snapshot = snapshot

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def list_again(self) -> Snapshot:
        first_seq = self.header.first_seq or 0
        return take_snapshot(self.path, first_seq=first_seq, keep_from=self._snapshot.first_seq)


def _expired(wanted: Selection, snapshot: Snapshot) -> Damage:
    last_seq = snapshot.first_seq - 1
    if wanted.last_seq is not None:
        last_seq = min(last_seq, wanted.last_seq)
    return Damage(
        f"expected frames {wanted.first_seq} to {last_seq} of {snapshot.root}, but retention let "
        f"them go while they were read; read faster, or keep more",
        file=layout.EXPIRED_FILE,
        cause="expired while it was read",
        first_seq=wanted.first_seq,
        last_seq=last_seq,
    )


def names_to_keep(names: Iterable[str] | None, option: str) -> frozenset[str] | None:
    """Return the names to keep; a lone text would be taken for a list of its letters."""
    if isinstance(names, str):
        raise UsageError(f"expected a list of {option}, received {names!r}; write [{names!r}]")
    return None if names is None else frozenset(names)
