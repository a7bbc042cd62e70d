"""Check: hold the events of a capture against what they were when somebody looked last.

Responsible for `check(...)`: one pass over the frames through the interpreter, compared block by
block with an expectation, and where a block differs, frame by frame. Refuses to judge the frames
(`verify` does) and to compare the events of other frames than the expectation was made from.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.layout import file_mode
from recorder.capture.place import on_disk
from recorder.capture.reader import Capture, Problem, ReadReport
from recorder.capture.sealing.tally import integrity_counts
from recorder.errors import Damage, ExitCode, UsageError
from recorder.event import encode_event
from recorder.frame import LABELS, Frame
from recorder.okx.parser import PARSER_VERSION
from recorder.okx.route import route
from replay.difference import EventDifference
from replay.regression.census import Census
from replay.regression.differences import Differences, FirstOfKind, TypeTotals
from replay.regression.expectation import (
    FILE,
    EventsReader,
    Expectation,
    ExpectationWriter,
    read_expectation,
)
from replay.regression.figures import Block, OpenBlock, print_of

Progress = Callable[[int], None]


class FirstDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame whose events are not what they were.

    Attributes:
        events: the events that differ; empty where the expectation keeps figures only.
        last_seq: of the block, where not even the frame can be told; else `seq`.
    """

    seq: int
    last_seq: int
    ts_recv: int
    connection: int
    kind: str
    channel: str | None
    instrument: str | None
    payload: str
    events: list[EventDifference]


class CheckReport(msgspec.Struct, kw_only=True):
    """What a check found.

    Attributes:
        ok: everything is as expected. frames, events: read.
        frames_differing: frames whose events differ. At least, where `counted_in_blocks`: the
            expectation does not tell frames apart, and every differing block counts as one.
        first: the first of them. totals: by event type. kinds: first frame of each kind.
        integrity: the interpreter's counts that differ: expected and found.
        updated: a new expectation was written. new: there was none before.
        problems: parts of the capture that could not be read.
    """

    capture: str
    expectation: str
    ok: bool = True
    frames: int = 0
    events: int = 0
    parser_version: int = PARSER_VERSION
    expected_parser_version: int | None = None
    frames_differing: int = 0
    counted_in_blocks: bool = False
    first: FirstDifference | None = None
    totals: dict[str, TypeTotals] = msgspec.field(default_factory=dict)
    kinds: list[FirstOfKind] = msgspec.field(default_factory=list)
    integrity: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    other_frames: str | None = None
    updated: bool = False
    new: bool = False
    problems: list[Problem] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 as expected, or brought up to date; 1 otherwise."""
        is_done = (self.ok or self.updated) and not self.problems
        return ExitCode.DONE if is_done else ExitCode.FAILED


def expectation_path(capture: Path, expect: str | os.PathLike[str] | None) -> Path:
    """Return where the expectation of a capture is: in it, or where the caller says.

    A directory holds one file for each capture, named after it.
    """
    if expect is None:
        return capture / FILE
    path = Path(expect)
    return path / f"{capture.resolve().name}.json" if path.is_dir() else path


def check(
    capture: str | os.PathLike[str],
    *,
    expect: str | os.PathLike[str] | None = None,
    update: bool = False,
    figures_only: bool = False,
    announce: Callable[[CheckReport], None] | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare the events of a capture with its expectation.

    Args:
        expect: the file, or a directory of files named after captures.
            [`expected.json` in the capture]
        update: write the expectation anew, after comparing.
        figures_only: keep no events in it, only digests: nothing of the data is in it then.
        announce: called with the comparison before an update is put in place.
        progress: called with the number of frames read so far.

    Raises:
        UsageError: there is no expectation, and none is to be made.
        Damage: the events beside the expectation cannot be read.
    """
    opened = Capture(capture)
    opened = opened.pinned(opened.snapshot())
    path = expectation_path(on_disk(opened.path, "checked"), expect)
    report = CheckReport(capture=str(capture), expectation=str(path))
    expected = None if update and not path.exists() else read_expectation(path)
    report.new = expected is None
    if expected is not None:
        report.expected_parser_version = expected.parser_version
        report.other_frames = _other_frames(opened, expected)
        report.ok = report.other_frames is None
        if not report.ok and not update:
            return report
    writer = None
    if update:
        mode = file_mode(opened.path) if expect is None else 0o644 & ~_umask_of(opened)
        writer = ExpectationWriter(path, with_events=not figures_only, mode=mode)
    try:
        _Check(opened, report, path, expected if report.ok else None, writer).run(
            progress, announce
        )
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    return report


def _umask_of(capture: Capture) -> int:
    """Return the bits that a file about a private capture must not have."""
    return 0o077 if file_mode(capture.path) == 0o600 else 0


def _other_frames(capture: Capture, expected: Expectation) -> str | None:
    """Return why an expectation was made from other frames, None where it was not."""
    info = capture.info()
    if info.input_digest == expected.input_digest:
        return None
    return (
        f"expected the {expected.frames:,} frames with input digest {expected.input_digest[:16]}…, "
        f"which the expectation was made from, found {info.frames:,} frames with "
        f"{(info.input_digest or 'none')[:16]}…"
    )


class _Check:
    """One pass over one capture."""

    def __init__(
        self,
        capture: Capture,
        report: CheckReport,
        path: Path,
        expected: Expectation | None,
        writer: ExpectationWriter | None,
    ) -> None:
        self._capture = capture
        self._report = report
        self._expected = expected
        self._writer = writer
        self._differences = Differences()
        self._blocks: Iterator[Block] = iter(expected.blocks if expected is not None else ())
        self._block: Block | None = next(self._blocks, None)
        self._open = OpenBlock()
        self._reader = None if expected is None else EventsReader(path, expected)
        self._first: tuple[int, int] | None = None
        self._counts: dict[str, int] = {}

    def run(
        self, progress: Progress | None, announce: Callable[[CheckReport], None] | None
    ) -> None:
        """Read, compare, and write the new expectation where one is wanted."""
        try:
            figures = self._read(progress)
        finally:
            if self._reader is not None:
                self._reader.close()
        self._conclude(figures["integrity"])
        if announce is not None and self._writer is not None:
            announce(self._report)
        if self._writer is not None:
            if self._report.problems:
                raise Damage(
                    f"expected to read all of {self._capture.path}, but "
                    f"{self._report.problems[0].cause}; recover it before an expectation is made "
                    f"from it",
                    file=self._report.problems[0].file,
                    cause=self._report.problems[0].cause,
                )
            self._writer.close(**figures)
            self._report.updated = True

    def _read(self, progress: Progress | None) -> dict[str, object]:
        report, reading = self._report, ReadReport()
        first_seq = self._capture.snapshot().first_seq
        interpreter = self._capture.interpreter_before(first_seq)
        frames, output = FrameDigest(), EventDigest()
        census = Census() if self._writer is not None else None
        for batch in self._capture.batches(report=reading):
            for frame in batch.frames():
                events = interpreter.step(frame)
                told = [(type(event).__name__, encode_event(event)) for event in events]
                self._take(frame, told)
                report.events += len(told)
                if self._writer is not None and census is not None:
                    census.take(frame)
                    output.update(events)
                    for name, _ in told:
                        self._counts[name] = self._counts.get(name, 0) + 1
                    self._writer.add(frame.seq, frame.ts_recv, told)
            if self._writer is not None:
                frames.update(batch.frames())
            report.frames += len(batch)
            if progress is not None:
                progress(report.frames)
        report.problems += reading.problems
        return {
            "parser_version": PARSER_VERSION,
            "capture": self._capture.header.id,
            "frames": report.frames,
            "first_seq": first_seq if report.frames else None,
            "input_digest": frames.hexdigest(),
            "output_digest": output.hexdigest(),
            "events": dict(sorted(self._counts.items())),
            "integrity": integrity_counts(interpreter.integrity),
            "census": {} if census is None else census.channels,
        }

    def _take(self, frame: Frame, told: list[tuple[str, bytes]]) -> None:
        block = self._block
        if block is None:
            return
        self._open.add(frame.seq, frame.ts_recv, told)
        if len(self._open.lines) == block.frames:
            if self._open.digest() != block.digest:
                self._compare(block)
            self._block = next(self._blocks, None)
            self._open = OpenBlock()

    def _compare(self, block: Block) -> None:
        """Find the frames of a block whose events differ."""
        found, places = self._open.lines, self._open.places
        expected = None if self._reader is None else self._reader.lines(block)
        if expected is not None:
            for place, one, two in zip(places, expected, found, strict=True):
                if self._differences.add(*place, one, two):
                    self._name(place[0], place[0])
            return
        self._count_types(block)
        prints = _prints(block)
        if prints is None:
            self._report.counted_in_blocks = True
            self._report.frames_differing += 1
            self._name(places[0][0], places[-1][0])
            return
        for at, (seq, _) in enumerate(places):
            if prints[4 * at : 4 * at + 4] != print_of(found[at]):
                self._report.frames_differing += 1
                self._name(seq, seq)

    def _count_types(self, block: Block) -> None:
        """Tell which types changed, where only figures are known."""
        now = self._open.figures().events
        totals = self._report.totals
        for type_ in sorted({*now, *block.events}):
            before, after = block.events.get(type_, (0, "")), now.get(type_, (0, ""))
            if before != after:
                total = totals.setdefault(type_, TypeTotals())
                total.missing += max(0, before[0] - after[0])
                total.added += max(0, after[0] - before[0])

    def _name(self, seq: int, last_seq: int) -> None:
        if self._first is None:
            self._first = (seq, last_seq)

    def _conclude(self, found: object) -> None:
        report, differences = self._report, self._differences
        report.frames_differing += differences.frames
        report.totals.update(differences.totals)
        report.kinds = differences.kinds
        if self._expected is not None and isinstance(found, dict):
            names = sorted({*self._expected.integrity, *found})
            pairs = {n: (self._expected.integrity.get(n, 0), found.get(n, 0)) for n in names}
            report.integrity = {name: two for name, two in pairs.items() if two[0] != two[1]}
        if self._first is not None:
            report.first = self._described(*self._first)
        is_same = not report.frames_differing and not report.integrity
        report.ok = report.ok and is_same and not report.problems

    def _described(self, seq: int, last_seq: int) -> FirstDifference:
        frame = next(self._capture.frames(first_seq=seq, last_seq=seq))
        return first_difference(frame, last_seq, self._differences.first)


def first_difference(frame: Frame, last_seq: int, events: list[EventDifference]) -> FirstDifference:
    """Return a frame with what differs in it, for a report."""
    channel, instrument = route(frame.payload)
    return FirstDifference(
        seq=frame.seq,
        last_seq=last_seq,
        ts_recv=frame.ts_recv,
        connection=frame.connection,
        kind=LABELS[frame.kind],
        channel=channel,
        instrument=instrument,
        payload=frame.payload.decode("utf-8", "backslashreplace"),
        events=events,
    )


def _prints(block: Block) -> bytes | None:
    """Return the four bytes of each frame of a block, None where there are none."""
    if block.prints is None:
        return None
    try:
        prints = base64.b64decode(block.prints, validate=True)
    except binascii.Error:
        prints = b""
    if len(prints) != 4 * block.frames:
        raise UsageError(
            f"expected four bytes for each frame of the block at seq {block.first_seq} in the "
            f"expectation, received {len(prints)} for {block.frames} frames; make it anew with "
            f"--update"
        )
    return prints
