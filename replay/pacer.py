"""When a frame is due: data time turned into steady time, exactly and without drift.

Responsible for the schedule of a replay (`Schedule`, pure: time is an argument) and for a
synchronous wait for it (`Pacer`, whose clock and sleep are injected). Refuses to know frames
beyond their stamps, to reorder or to drop any.

Theory of operation. Data time is one line on which every frame has a position in ns. Within a run
it advances as `ts_mono` does. A `run` row starts a new monotonic clock, so there it advances by the
difference of `ts_recv`, at least 0 and cut by `max_gap`. An anchor is a pair (steady, position);

    due = anchor_steady + (position − anchor_position) / speed        integer ns, floored

Every due time is computed from the anchor, never from the time before it, so errors cannot add up.
A new anchor is set at the start, at a pause, resume, seek and change of speed. A frame that is late
goes at once and moves no anchor: the frames behind it catch up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

from recorder.clock import NS_PER_SECOND
from recorder.errors import UsageError
from recorder.frame import Kind
from replay.lateness import Lateness
from replay.pace import Speed

SPIN_NS = 100_000
"""How long before a due time sleeping ends and spinning begins.

Sleep overshoots by 55 us of timer slack and some 45 us of wake-up (measured); spinning from 100 us
ahead gave a median error below 1 us at a tenth of a core.
"""


class Stamped(Protocol):
    """What the schedule needs of a frame."""

    @property
    def ts_recv(self) -> int: ...
    @property
    def ts_mono(self) -> int: ...
    @property
    def kind(self) -> Kind: ...


class Schedule:
    """Due times of frames given in their order; reports the speed and the lag reached.

    Steady times (`now`, results) are ns of any clock that never falls, as integers.

    Args:
        speed: data seconds per steady second; None: every frame is due at once.
        max_gap: longest pause between two runs, ns of data time; None: as recorded.
        rate: frames per second of data time, in the place of what their stamps say.
        is_merged: frames come from several captures: their monotonic clocks do not compare, so
            data time advances as the greatest `ts_recv` so far does.
        lateness: counts how late each frame was.

    Attributes:
        lag: how late the frame sent last was, ns; 0 at max.
    """

    def __init__(
        self,
        speed: Speed = None,
        *,
        max_gap: int | None = None,
        rate: Fraction | None = None,
        is_merged: bool = False,
        lateness: Lateness | None = None,
    ) -> None:
        if max_gap is not None and max_gap < 0:
            raise UsageError(f"expected a longest pause of 0 s or more, received {max_gap} ns")
        self._max_gap = max_gap
        self._rate = rate
        self._is_merged = is_merged
        self._lateness = lateness
        self._paced = 0  # frames since the rate began to count
        self._set_speed(speed)
        self._anchor: tuple[int, int] | None = None  # steady, position
        self._paused = False
        self._last: Stamped | None = None
        self._latest = 0  # greatest ts_recv of merged frames
        self._is_starved = False
        self._position = 0  # of the last frame given to due()
        self._sent_position = 0
        self._due: int | None = None
        self._played = 0  # data ns between frames sent
        self._running_since: int | None = None
        self._ran = 0  # steady ns, pauses excluded
        self._max_lag = 0
        self.lag = 0

    @property
    def speed(self) -> Speed:
        """The speed asked for; None is max."""
        return self._speed

    @property
    def is_paused(self) -> bool:
        """Whether the schedule stands still."""
        return self._paused

    @property
    def max_lag(self) -> int:
        """How late the latest frame was, ns; 0 at max, where nothing can be late."""
        return self._max_lag

    def due(self, frame: Stamped, now: int) -> int:
        """Return the steady time at which this frame is due; `now` when there is no waiting.

        Frames come in their order. Asking again for the frame asked for last (after a resume or
        a change of speed) is allowed. While paused the answer is what it would be on a resume
        at `now`.
        """
        if frame is not self._last:
            self._advance(frame)
        if self._anchor is None:
            self._anchor = (now, self._position)
            self._sent_position = self._position
        if self._running_since is None and not self._paused:
            self._running_since = now
        if self._speed is None:
            self._due = None
            return now
        steady, position = (now, self._anchor[1]) if self._paused else self._anchor
        ahead = self._position - position
        self._due = steady + ahead * self._per // self._data
        if self._is_starved:
            self._is_starved = False
            if self._due < now:  # it was not there when it was due: that is not being late
                self._anchor, self._due = (now, self._position), now
        return self._due

    def starve(self) -> None:
        """Note that no frame is there to be played: the next one cannot be late."""
        self._is_starved = True

    def sent(self, now: int) -> None:
        """Note that the frame last given to `due` went out at `now`."""
        self.lag = 0
        if self._due is not None:
            self.lag = max(now - self._due, 0)
            if self._lateness is not None:
                self._lateness.add(self.lag)
        if self.lag > self._max_lag:
            self._max_lag = self.lag
        self._played += self._position - self._sent_position
        self._sent_position = self._position

    def pause(self, now: int) -> None:
        """Stand still from `now` on."""
        if not self._paused:
            self._reanchor(now)
            self._paused = True
            if self._running_since is not None:
                self._ran += now - self._running_since
                self._running_since = None

    def resume(self, now: int) -> None:
        """Go on from where `pause` stopped."""
        if self._paused:
            self._paused = False
            if self._anchor is not None:
                self._anchor = (now, self._anchor[1])
                self._running_since = now

    def change_speed(self, speed: Speed, now: int) -> None:
        """Go on at another speed from the position reached at `now`."""
        if not self._paused:
            self._reanchor(now)
        self._set_speed(speed)

    def let_go(self, now: int) -> None:
        """Let the frame last given to `due` go at once; the schedule goes on from its position."""
        if self._anchor is not None:
            self._anchor = (now, self._position)
        self._due = None

    def seek(self) -> None:
        """Forget the position: the next frame, wherever it lies, is due at once."""
        self._anchor = None
        self._last = None
        self._latest = 0
        self._due = None

    def achieved_speed(self, now: int) -> float | None:
        """Return data time per steady time, pauses excluded; None before time has passed."""
        ran = self._ran
        if self._running_since is not None:
            ran += now - self._running_since
        return (self._played + self.waited(now)) / ran if ran > 0 else None

    def waited(self, now: int) -> int:
        """Return the data time that has passed since the last frame sent, ns; 0 at max."""
        return (
            0 if self._anchor is None else self._reached(now, *self._anchor) - self._sent_position
        )

    def _set_speed(self, speed: Speed) -> None:
        self._speed = speed
        # `_data` ns of data in `_per` ns of steady time; a Fraction's own properties are slow.
        self._data, self._per = (1, 1) if speed is None else speed.as_integer_ratio()

    def _advance(self, frame: Stamped) -> None:
        """Move the position to that of the next frame."""
        if self._rate is not None:
            if self._last is not None:
                # From the count, not from the frame before: nothing adds up.
                before, self._paced = self._paced, self._paced + 1
                per, count = self._rate.denominator * NS_PER_SECOND, self._rate.numerator
                self._position += self._paced * per // count - before * per // count
        elif self._last is not None:
            step = frame.ts_mono - self._last.ts_mono
            # A fall of the monotonic clock proves a new run whose row is not here (a filter).
            is_new_run = frame.kind == Kind.RUN or (step < 0 and not self._is_merged)
            if is_new_run or self._is_merged:
                before = self._latest if self._is_merged else self._last.ts_recv
                step = max(0, frame.ts_recv - before)
                if is_new_run and self._max_gap is not None:
                    step = min(step, self._max_gap)
            self._position += step
        self._last = frame
        self._latest = max(self._latest, frame.ts_recv)

    def _reanchor(self, now: int) -> None:
        """Anchor `now` at the position reached."""
        if self._anchor is not None:
            self._anchor = (now, self._reached(now, *self._anchor))

    def _reached(self, now: int, steady: int, position: int) -> int:
        """Return the position at `now`, given the anchor.

        That is where the line of the schedule is, but not before the last frame sent (it may run
        late) and not beyond the frame waited for (nothing is known behind it).
        """
        if self._speed is None:
            return self._sent_position
        if not self._paused:
            position += (now - steady) * self._data // self._per
        return max(self._sent_position, min(position, self._position))


class Pacer:
    """Wait for each frame's due time, synchronously: sleep to 100 us before it, then spin.

    Args:
        speed, max_gap, rate, is_merged, lateness: see `Schedule`.
        clock: steady clock, ns.
        sleep: sleeps a number of seconds.
    """

    def __init__(
        self,
        speed: Speed = None,
        *,
        max_gap: int | None = None,
        rate: Fraction | None = None,
        is_merged: bool = False,
        lateness: Lateness | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.schedule = Schedule(
            speed, max_gap=max_gap, rate=rate, is_merged=is_merged, lateness=lateness
        )
        self._clock = clock
        self._sleep = sleep

    def wait(self, frame: Stamped) -> bool:
        """Return True when the frame is due; at once when it is late."""
        clock = self._clock
        now = clock()
        due = self.schedule.due(frame, now)
        while due - now > SPIN_NS:
            self._sleep((due - now - SPIN_NS) / NS_PER_SECOND)
            now = clock()
        while now < due:
            now = clock()
        self.schedule.sent(now)
        return True

    def achieved_speed(self) -> float | None:
        """Return data time per steady time so far, None before time has passed."""
        return self.schedule.achieved_speed(self._clock())
