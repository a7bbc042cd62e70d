"""What a replay says about itself: while it runs, and at its end.

Responsible for the two records and the exit code that follows. Refuses to print: `replay.cli`.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from recorder.capture.reader import Problem
from recorder.errors import ExitCode
from recorder.okx.faults.log import FaultReport
from replay.lateness import LatenessReport


class SourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was played of one capture.

    Attributes:
        capture: its path. frames, events: as in `PlayReport`, of this one.
        inversions: frames read whose `ts_recv` lies before that of an earlier frame of this source:
            the wall clock stepped back there. They keep their place in their source.
        late: of a followed source: frames that came after frames received later, because the others
            had waited for it long enough (`replay.merged`); without any, a replay afterwards plays
            the same in the same order.
        input_digest, output_digest: of this one alone, whatever it was merged with.
        lost_rows, torn_tail, problems: see `ReadReport`.
        faults: what was put into it on purpose, since the last seek or loop; None: nothing was to.
    """

    capture: str
    frames: int
    events: int
    inversions: int
    input_digest: str | None
    output_digest: str | None
    lost_rows: int
    torn_tail: bool
    problems: list[Problem]
    faults: FaultReport | None = None
    late: int = 0


class PlayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was played; the JSON of `replay play --json`.

    Attributes:
        frames, events: played, that is within the window and past the filters.
        seconds: how long it took, wall time.
        requested_speed: data seconds per second, `max`, `5000/s` or `step`; achieved_speed: what
            came of it, None where no time passed.
        max_lag_ms: how late the latest frame was; 0 at max.
        input_digest: of the frames played; output_digest: of their events with float numbers,
            whatever the strategy was given; None unless asked for. Of several sources: over the
            digests of each and the order in which their frames were played.
        types: events of each type, where there was no strategy to look at them.
        restarts: seeks and loops; the digests are of what was played since the last one.
        lost_rows, torn_tail, problems: see `ReadReport`; of all sources.
        sources: what was played of each capture, by rank.
        timers_fired: how often timers fired; timers_left: those still waiting at the end.
        lateness: how late frames were, where asked for.
        faults: what was put in on purpose, all sources together; None: nothing was to.
    """

    frames: int
    events: int
    seconds: float
    requested_speed: float | str
    achieved_speed: float | None
    max_lag_ms: float
    input_digest: str | None
    output_digest: str | None
    types: dict[str, int]
    restarts: int
    lost_rows: int
    torn_tail: bool
    problems: list[Problem]
    sources: list[SourceReport]
    timers_fired: int = 0
    timers_left: int = 0
    lateness: LatenessReport | None = None
    faults: FaultReport | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0 whole, 3 with declared loss or a torn tail, 1 where a part had to be skipped."""
        if self.problems:
            return ExitCode.FAILED
        return ExitCode.LOSS if self.lost_rows or self.torn_tail else ExitCode.DONE


class Progress(msgspec.Struct, frozen=True):
    """Where a replay stands.

    Attributes:
        seq: of the last frame; ts_recv: its own, and the data time waited since, ns.
        frames, events: played so far.
        achieved_speed: data seconds per second so far, None before time has passed.
        is_paused: it stands still. speed: as asked for now, None is max.
        lag: how late the frame in hand is, ns; 0 at max.
        is_live: it has caught up with the recorder it follows.
    """

    seq: int
    ts_recv: int
    frames: int
    events: int
    achieved_speed: float | None
    is_paused: bool = False
    speed: Fraction | None = None
    lag: int = 0
    is_live: bool = False
