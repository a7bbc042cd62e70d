"""Faulted: a capture's frames with faults put into them, before anything is filtered.

Responsible for feeding `okx.faults.stream` from a capture (window, state before it, a recorder that
is followed) and for filtering what comes out. Refuses to know what a fault does. Everything in the
window is read, whatever the filter, so that a filter shows a part of the same stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from recorder.capture.reader import Capture, ReadReport
from recorder.frame import Frame, Kind
from recorder.okx.faults import Scenario
from recorder.okx.faults.log import FaultReport, Injected
from recorder.okx.faults.stream import FaultyStream
from recorder.okx.messages import FaultMark
from recorder.okx.route import route
from replay.feed import LIFECYCLE, PLAYED, Wanted, chunks

_SEED_STEP = 1_000_003  # so that sources of one replay, numbered alike, are not hit alike
_decode_mark = msgspec.json.Decoder(FaultMark).decode


class Faulted:
    """One capture, played from wherever the replay is sent, with faults.

    Args:
        rank: of the source; each throws dice of its own.
        on_fault: is told of every fault as it is injected.

    Attributes:
        first: the first recorded frame of the window, None before it has been read.
    """

    def __init__(
        self,
        capture: Capture,
        scenario: Scenario,
        rank: int = 0,
        on_fault: Callable[[Injected], object] | None = None,
    ) -> None:
        seed = (scenario.seed or 0) + rank * _SEED_STEP
        self._scenario = msgspec.structs.replace(scenario, seed=seed)
        self._capture = capture
        self._on_fault = on_fault
        self._stream = FaultyStream(self._scenario)  # refuses what cannot be, before any reading
        self.first: Frame | None = None

    def open(
        self, wanted: Wanted, report: ReadReport, *, follow: bool = False
    ) -> Iterator[list[Frame]]:
        """Begin anew; yield what the interpreter must see, an empty list where nothing is new."""
        self.first = None
        self._stream = FaultyStream(self._scenario, on_fault=self._on_fault)
        everything = wanted._replace(channels=None, instruments=None)
        for frames in chunks(self._capture, everything, report, follow=follow):
            if frames and self.first is None:
                self._begin(frames[0])
            delivered = [row for frame in frames for row in self._stream.take(frame)]
            kept = _kept(delivered, wanted)
            if kept or not frames:
                yield kept
        if rest := _kept(self._stream.finish(), wanted):
            yield rest

    def report(self) -> FaultReport:
        """Return what was injected since the last beginning, and what was noticed of it."""
        return self._stream.log.report()

    def _begin(self, first: Frame) -> None:
        """Let the stream begin with the state of the books before its first frame."""
        self.first = first
        before = self._capture.interpreter_before
        self._stream = FaultyStream(
            self._scenario,
            truth=before(first.seq, str, report=ReadReport()),
            seen=before(first.seq, float, report=ReadReport()),
            on_fault=self._on_fault,
        )


def _kept(frames: list[Frame], wanted: Wanted) -> list[Frame]:
    if not wanted.is_filtered:
        return frames
    return [
        frame
        for frame in frames
        if frame.kind in LIFECYCLE or (frame.kind in PLAYED and _is_wanted(frame, wanted))
    ]


def _is_wanted(frame: Frame, wanted: Wanted) -> bool:
    if frame.kind is Kind.FAULT:
        mark = _decode_mark(frame.payload)
        channel, instrument = mark.channel, mark.instrument
    else:
        channel, instrument = route(frame.payload)
    return (wanted.channels is None or channel in wanted.channels) and (
        wanted.instruments is None or instrument in wanted.instruments
    )
