"""Source: one capture of a replay.

Responsible for what belongs to one capture however many are played together: its frames, its
interpreter (one each: connections are numbered per capture, and two chains of one book must not
meet), its digests and what could not be read of it. Refuses to know the others, or time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from recorder.book import Books
from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.place import Remote, Where
from recorder.capture.reader import ELECTED, Capture, ReadReport
from recorder.errors import UsageError
from recorder.event import Event
from recorder.frame import Frame
from recorder.okx.faults import Scenario
from recorder.okx.faults.log import Injected
from recorder.okx.interpreter import Interpreter
from replay.faulted import Faulted
from replay.feed import PLAYED, Wanted, chunks, interpreter_before
from replay.milestones import NEVER, Milestones
from replay.play_report import SourceReport

Named: TypeAlias = "Capture | Where"
"""A capture, or its path."""

_SOURCES_MAX = 256


def captures_of(given: Named | Sequence[Named]) -> list[Capture]:
    """Return the captures that are named.

    Raises:
        UsageError: none, or too many. NotACapture: there is none at a path.
    """
    several = [given] if isinstance(given, (Capture, str, os.PathLike, Remote)) else list(given)
    if not 1 <= len(several) <= _SOURCES_MAX:
        raise UsageError(f"expected 1 to {_SOURCES_MAX} captures, received {len(several)}")
    return [item if isinstance(item, Capture) else Capture(item) for item in several]


class Source:
    """One capture, played from wherever the replay is sent.

    Args:
        faulted: puts faults into it.

    Attributes:
        interpreter: what the events come from, set by `begin`.
        milestones: lets its books rest on checkpoints; None where they are kept up.
        report: what the reader met since the last beginning.
        frames, events: played so far, over all beginnings.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        number: type,
        with_digest: bool,
        faulted: Faulted | None = None,
    ) -> None:
        self.capture = capture
        self._faulted = faulted
        self._number = number
        self._with_digest = with_digest
        self._wanted = Wanted(None, None, None, None)
        self._judge: Interpreter | None = None
        self.milestones: Milestones | None = None
        self.interpreter = Interpreter(number)
        self.report = ReadReport()
        self.input: FrameDigest | None = None
        self.output: EventDigest | None = None
        self.frames = 0
        self.events = 0

    @property
    def books(self) -> Books:
        """The books of the interpreter."""
        return self.interpreter.books

    def open(self, wanted: Wanted, *, follow: bool = False) -> Iterator[list[Frame]]:
        """Begin anew with a window; yield its frames, an empty list where nothing is new yet.

        Nothing is read before the first `next`. Digests and report are of this beginning.
        """
        self._wanted = wanted
        self.report = ReadReport()
        self._judge = None
        if self._with_digest:
            self.input, self.output = FrameDigest(), EventDigest()
        if self._faulted is not None:
            return self._faulted.open(wanted, self.report, follow=follow)
        return chunks(self.capture, wanted, self.report, follow=follow)

    def begin(self, first: Frame, *, at_full_speed: bool) -> None:
        """Restore the state before the first frame.

        Args:
            at_full_speed: nobody minds when a look at a book takes a moment.
        """
        if self._faulted is not None and self._faulted.first is not None:
            first = self._faulted.first  # which need not be the first that is delivered
        self.interpreter = interpreter_before(self.capture, first.seq, self._wanted, self._number)
        # Digests are of float events; a strategy may be given other numbers.
        if self._with_digest and self._number is not float:
            self._judge = interpreter_before(self.capture, first.seq, self._wanted, float)
        self.milestones = None
        is_elected = self.capture.links == ELECTED  # checkpoints are of that
        if at_full_speed and is_elected and self._faulted is None and self._number is float:
            self.milestones = Milestones(self.capture, self.interpreter, first.seq)

    @property
    def next_milestone(self) -> int:
        """The frame before which `pass_by` wants to be called."""
        return NEVER if self.milestones is None else self.milestones.next_seq

    def pass_by(self, seq: int) -> int:
        """Let books rest on the checkpoint before a frame, if there is one; return the next."""
        if seq < self.next_milestone or self.milestones is None:
            return self.next_milestone
        return self.milestones.pass_by(seq)

    def rest(self) -> None:
        """Have no state: nothing of it is to be played."""
        self.interpreter = Interpreter(self._number)

    def account(self, seen: Sequence[Frame], played: Sequence[Frame], events: list[Event]) -> None:
        """Digest what was played of it.

        Args:
            seen: what the interpreter saw; played: of it, what passed the filter.
        """
        if self.input is None or self.output is None:
            return
        self.input.update(played)
        if self._judge is None:
            self.output.update(events)
            return
        for frame in seen:
            judged = self._judge.step(frame)
            if not self._wanted.is_filtered or frame.kind in PLAYED:
                self.output.update(judged)

    def summary(self, *, inversions: int, late: int) -> SourceReport:
        """Return what was played of it; the counts are the merger's."""
        return SourceReport(
            capture=str(self.capture.path),
            frames=self.frames,
            events=self.events,
            inversions=inversions,
            late=late,
            input_digest=None if self.input is None else self.input.hexdigest(),
            output_digest=None if self.output is None else self.output.hexdigest(),
            lost_rows=self.report.lost_rows,
            torn_tail=self.report.torn_tail,
            problems=self.report.problems,
            faults=None if self._faulted is None else self._faulted.report(),
        )


def sources_of(
    captures: Sequence[Capture],
    number: type,
    with_digest: bool,  # noqa: FBT001 - passed on by the one caller
    wrong: Scenario,
    on_fault: Callable[[Injected], object] | None,
) -> list[Source]:
    """Return a source of each capture, with faults put in where the scenario holds any."""
    return [
        Source(
            capture,
            number=number,
            with_digest=with_digest,
            faulted=Faulted(capture, wrong, rank, on_fault) if wrong.faults else None,
        )
        for rank, capture in enumerate(captures)
    ]
