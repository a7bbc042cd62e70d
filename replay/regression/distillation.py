"""Distillation: the smallest capture that still shows everything a large one does.

Responsible for choosing frames: every JSON shape, every word, every event type and every branch of
parser and interpreter that ran stays, and no branch that did not run before runs now. Refuses to
change frames (`redaction` may be asked to) and to claim what it has not measured: the written
capture is read back and covered once more.

Theory of operation. One pass watches every frame and keeps, for each item of coverage, the frame
that shows it with the least behind it: an update of a book means something only after its snapshot
and the updates between, so a frame's cost is its place in that chain. The chosen frames with their
chains are tried on a fresh interpreter; what is missing brings the rest of its connection along.
Then runs of frames, long ones first, are left out as long as the coverage stays exactly the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from recorder.capture.reader import Capture
from recorder.capture.reshape.derive import Plan, derive, is_private, origin_of
from recorder.capture.reshape.slice import numbered
from recorder.errors import UsageError
from recorder.frame import NO_CONNECTION, Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.pushes import INCREMENTAL_BOOKS
from recorder.okx.route import route
from recorder.okx.spreads import INCREMENTAL_SPREAD_BOOK
from replay.regression.branches import function_of
from replay.regression.coverage import CoverageCount, Item, Observer, count, covered_by
from replay.regression.redaction import Redaction

Progress = Callable[[str, int], None]

_BOOKS = frozenset((*INCREMENTAL_BOOKS, INCREMENTAL_SPREAD_BOOK))
_CHUNK = 8_192
EFFORT = 80_000
"""Steps of an interpreter that leaving frames out may take."""

_Place = tuple[int, int]
"""Number of the capture, and seq in it: where a frame stands among all."""

_Chain = tuple[int, str, str | None]


class DistillReport(msgspec.Struct, kw_only=True):
    """What a distilled capture holds.

    Attributes:
        frames, bytes: of it; of_frames, of_bytes: of the captures it is made from (payloads).
        covered: items of coverage in it, by kind; of: in the captures.
        missing: items that it does not cover; none unless frames were redacted, or a capture
            begins with a state that another one cannot begin with.
        added: items it covers though the captures do not.
    """

    path: str
    captures: list[str]
    frames: int = 0
    of_frames: int = 0
    bytes: int = 0
    of_bytes: int = 0
    covered: CoverageCount = msgspec.field(default_factory=CoverageCount)
    of: CoverageCount = msgspec.field(default_factory=CoverageCount)
    missing: list[str] = msgspec.field(default_factory=list)
    added: list[str] = msgspec.field(default_factory=list)
    redacted: int = 0
    input_digest: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether everything is covered."""
        return not self.missing


class _Candidate(msgspec.Struct):
    """A frame that shows something: where it stands, and since when its chain goes."""

    place: _Place
    depth: int
    opening: int
    chain: _Chain | None
    connection: int


def distill(
    captures: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    redact: bool = False,
    effort: int = EFFORT,
    progress: Progress | None = None,
) -> DistillReport:
    """Write the smallest capture found that covers all that captures cover.

    Args:
        captures: one or several; connections of the later ones are numbered on.
        redact: mask account data: numbers, ids and names in the pushes of an account.
        effort: how many frames may be stepped over while frames are left out.
        progress: called with what is being done and a number of frames.

    Raises:
        UsageError: there are no frames. CaptureExists: something is at `out`.
        Damage: a capture cannot be read.
    """
    several = [captures] if isinstance(captures, (str, os.PathLike)) else list(captures)
    opened = [Capture(path) for path in several]
    opened = [capture.pinned(capture.snapshot()) for capture in opened]
    report = DistillReport(path=str(out), captures=[str(path) for path in several])
    work = _Distilling(opened, progress or (lambda what, frames: None))
    work.watch(report)
    if not report.of_frames:
        raise UsageError(f"expected frames to distill, found none in {', '.join(report.captures)}")
    chosen = work.smallest(work.complete(work.chosen()), effort)
    frames = work.renumbered(chosen)
    if redact:
        redaction = Redaction()
        frames = [redaction.apply(frame) for frame in frames]
        report.redacted = redaction.count
    plan = Plan(
        venue=opened[0].header.venue,
        note=None,
        origin=origin_of("distill", opened, redacted=redact),
        first_seq=0,
        private=is_private(*opened),
        interpreter=Interpreter() if work.state is None else Interpreter.restore(work.state),
    )
    pieces = (frames[at : at + _CHUNK] for at in range(0, len(frames), _CHUNK))
    report.input_digest = derive(out, plan, pieces, None).input_digest
    _conclude(report, work, Capture(out))
    return report


def _conclude(report: DistillReport, work: _Distilling, made: Capture) -> None:
    """Cover the capture that was written, frame by frame as it stands on the disk."""
    frames = list(made.frames())
    covered = covered_by(frames, work.state)
    report.frames = len(frames)
    report.bytes = sum(len(frame.payload) for frame in frames)
    report.covered = count(item for item in work.best if item in covered)
    report.of = count(work.best)
    report.missing = [_name(item) for item in work.best if item not in covered]
    report.added = [_name(item) for item in covered if item not in work.best]


def _name(item: Item) -> str:
    *words, last = item
    if isinstance(last, str):
        return " ".join((*map(str, words), last))
    _, begin, end = last
    return f"branch {function_of(last).co_qualname}: line {begin} to {end}"


class _Distilling:
    """Choosing frames; see the module.

    Attributes:
        best: for each item of coverage the frame to show it. state: what the first capture begins
            with, None where it begins with nothing.
    """

    def __init__(self, captures: list[Capture], progress: Progress) -> None:
        self._captures = captures
        self._progress = progress
        self._connections_from = [0]
        self.best: dict[Item, _Candidate] = {}
        self.state: bytes | None = None
        first_seq = captures[0].snapshot().first_seq
        if first_seq:
            self.state = captures[0].interpreter_before(first_seq).save()

    def watch(self, report: DistillReport) -> None:
        """Look at every frame; fill `best`."""
        for number, capture in enumerate(self._captures):
            observer = Observer(self.state if number == 0 else None)
            chains: dict[_Chain, tuple[int, int]] = {}
            last_connection = -1
            for batch in capture.batches():
                for frame in batch.frames():
                    candidate = _candidate(number, frame, chains)
                    self._take(candidate, observer.step(frame))
                    report.of_bytes += len(frame.payload)
                    last_connection = max(last_connection, frame.connection)
                report.of_frames += len(batch)
                self._progress("looking at", report.of_frames)
            self._connections_from.append(self._connections_from[-1] + last_connection + 1)

    def _take(self, candidate: _Candidate, items: list[Item]) -> None:
        for item in items:
            known = self.best.get(item)
            if known is None or candidate.depth < known.depth:
                self.best[item] = candidate

    # --- enough ------------------------------------------------------------------------------

    def chosen(self) -> dict[_Place, Frame]:
        """Return the best frame of every item with the chain that it continues."""
        reach: dict[tuple[int, _Chain, int], int] = {}
        alone: dict[_Place, None] = {}
        for candidate in self.best.values():
            number, seq = candidate.place
            if candidate.chain is None:
                alone[candidate.place] = None
            else:
                key = (number, candidate.chain, candidate.opening)
                reach[key] = max(reach.get(key, 0), seq)
        frames: dict[_Place, Frame] = {}
        for number, seq in alone:
            self._add(frames, number, first_seq=seq, last_seq=seq)
        for (number, chain, opening), last in reach.items():
            connection, channel, instrument = chain
            self._add(
                frames, number, first_seq=opening, last_seq=last, connections=[connection],
                channels=[channel], instruments=None if instrument is None else [instrument],
                kinds=[Kind.TEXT],
            )  # fmt: skip
        return dict(sorted(frames.items()))

    def complete(self, frames: dict[_Place, Frame]) -> dict[_Place, Frame]:
        """Add what the chosen frames need so that they cover all, and nothing else."""
        for width in range(3):
            places = list(frames)
            covered = covered_by(self.renumbered(frames), self.state)
            short = {c.place for item, c in self.best.items() if item not in covered}
            short |= {places[at] for item, at in covered.items() if item not in self.best}
            if not short:
                return frames
            for place in sorted(short):
                self._bring_along(frames, place, width)
            frames = dict(sorted(frames.items()))
        return frames

    def _bring_along(self, frames: dict[_Place, Frame], place: _Place, width: int) -> None:
        """Add what stands before a frame: of its connection what is no push, then all; all."""
        number, seq = place
        connection = frames[place].connection if place in frames else NO_CONNECTION
        if width == 2:
            self._add(frames, number, last_seq=seq)
        elif width == 1:
            self._add(frames, number, last_seq=seq, connections=[connection, NO_CONNECTION])
        else:
            kinds = [kind for kind in Kind if kind is not Kind.TEXT]
            self._add(frames, number, last_seq=seq, connections=[connection], kinds=kinds)

    def _add(self, frames: dict[_Place, Frame], number: int, **wanted: Any) -> None:
        for frame in self._captures[number].frames(**wanted):
            frames[number, frame.seq] = frame

    # --- no more than enough -------------------------------------------------------------------

    def smallest(self, frames: dict[_Place, Frame], effort: int) -> dict[_Place, Frame]:
        """Leave out runs of frames, long ones first, while the coverage stays the same."""
        wanted = set(covered_by(self.renumbered(frames), self.state))
        places = list(frames)
        size = max(len(places) // 2, 1)
        while effort > 0:
            at = len(places)
            while at > 0 and effort > 0:
                begin = max(at - size, 0)
                rest = places[:begin] + places[at:]
                effort -= len(rest)
                self._progress("leaving out of", len(places))
                if rest and self._covers(rest, frames, wanted):
                    places = rest
                at = begin
            if size == 1:
                break
            size = max(size // 2, 1)
        return {place: frames[place] for place in places}

    def _covers(self, places: list[_Place], frames: dict[_Place, Frame], wanted: set[Item]) -> bool:
        return (
            wanted
            == covered_by(
                self.renumbered({place: frames[place] for place in places}), self.state
            ).keys()
        )

    def renumbered(self, frames: dict[_Place, Frame]) -> list[Frame]:
        """Return frames numbered from 0, connections apart from those of other captures."""
        return list(self._renumbering(frames))

    def _renumbering(self, frames: dict[_Place, Frame]) -> Iterator[Frame]:
        for seq, ((number, _), frame) in enumerate(frames.items()):
            yield numbered(frame, seq, connections_from=self._connections_from[number])


def _candidate(number: int, frame: Frame, chains: dict[_Chain, tuple[int, int]]) -> _Candidate:
    """Return what a frame would cost; `chains` holds opening and length of each book's chain."""
    place = (number, frame.seq)
    channel, instrument = route(frame.payload) if frame.kind is Kind.TEXT else (None, None)
    if channel not in _BOOKS or channel is None or b'"data"' not in frame.payload:
        return _Candidate(place, 0, frame.seq, None, frame.connection)
    chain = (frame.connection, channel, instrument)
    opening, depth = chains.get(chain, (frame.seq, -1))
    if b'"action":"snapshot"' in frame.payload[:300]:
        opening, depth = frame.seq, -1
    chains[chain] = (opening, depth + 1)
    return _Candidate(place, depth + 1, opening, chain, frame.connection)
