"""What a replay says about itself: while it runs, and at its end.

Responsible for the two records and the exit code that follows. Refuses to print: `replay.cli`.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from recorder.capture.reader import Problem
from recorder.errors import ExitCode


class PlayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was played; the JSON of `replay play --json`.

    Attributes:
        frames, events: played, that is within the window and past the filters.
        seconds: how long it took, wall time.
        requested_speed: data seconds per second, `max`, `5000/s` or `step`; achieved_speed: what
            came of it, None where no time passed.
        max_lag_ms: how late the latest frame was; 0 at max.
        input_digest: of the frames played; output_digest: of their events with float numbers,
            whatever the strategy was given; None unless asked for.
        types: events of each type, where there was no strategy to look at them.
        restarts: seeks and loops; the digests are of what was played since the last one.
        lost_rows, torn_tail, problems: see `ReadReport`.
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
    """

    seq: int
    ts_recv: int
    frames: int
    events: int
    achieved_speed: float | None
    is_paused: bool = False
    speed: Fraction | None = None
    lag: int = 0
