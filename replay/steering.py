"""Steering: a replay that obeys its controls between two frames.

Responsible for standing still, stepping, and for knowing where the replay is to go next. Refuses
to find that place: the player begins anew there.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from replay.controls import (
    ChangeSpeed,
    Controls,
    Order,
    Pause,
    Resume,
    ScaleSpeed,
    Seek,
    SeekBy,
    Step,
    Stop,
    Toggle,
)
from replay.pacer import SPIN_NS, Schedule

_LOOK_NS = NS_PER_SECOND // 10


class Steering:
    """What the orders given so far amount to.

    Args:
        controls: where orders come from. schedule: what they change.
        show: told the steady time, ns, about ten times a second while nothing is played.

    Attributes:
        is_stopped: the replay is to end. is_leaving: it is to end or to go elsewhere.
    """

    def __init__(
        self, controls: Controls, schedule: Schedule, *, show: Callable[[int], object]
    ) -> None:
        self._controls = controls
        self._schedule = schedule
        self._show = show
        self._steps = 0
        self._target: int | None = None
        self._at: int | None = None  # data time of the frame played last, or of the first to be
        self._is_last_order = False
        self._is_free = False  # nothing but an order can make a frame wait
        self._passed: Frame | None = None  # the last one that went freely
        self.is_stopped = False

    @property
    def is_stepping(self) -> bool:
        """Whether ordered steps are still to be played."""
        return self._steps > 0

    @property
    def is_leaving(self) -> bool:
        """Whether the frames that would come next are not to be played."""
        return self.is_stopped or self._target is not None

    def take_target(self) -> int | None:
        """Return the time to go on at, ns, once; None where the replay just went on."""
        target, self._target = self._target, None
        if target is not None:
            self._at = None
        return target

    def stand_still(self) -> None:
        """Begin paused."""
        self._schedule.pause(monotonic_ns())

    def take_turn(self, frame: Frame) -> bool:
        """Do as `await_turn`, but lose no time where frames go as fast as they can."""
        if self._is_free and not self._controls.pending and frame.kind is not Kind.RUN:
            self._passed = frame
            return True
        self.catch_up()
        is_turn = self.await_turn(frame)
        self._is_free = not (
            self._steps
            or self._is_last_order
            or self._schedule.is_paused
            or self._schedule.speed is not None
            or self.is_leaving
        )
        return is_turn

    def catch_up(self) -> None:
        """Let the schedule know of the frames that went as fast as they could."""
        frame, self._passed = self._passed, None
        if frame is not None:
            now = monotonic_ns()
            self._schedule.due(frame, now)
            self.played(frame, now)

    def rest(self, seconds: float) -> None:
        """Wait while there is no frame to be played; obey what is ordered meanwhile."""
        self._controls.wait(seconds)
        self.obey()

    def await_turn(self, frame: Frame) -> bool:
        """Return True when the frame is to be played, False when it is not to be played at all."""
        while True:
            now = monotonic_ns()
            wait = self.wait_for(frame, now)
            if wait is None:
                return False
            if wait <= SPIN_NS:
                due = now + wait
                while now < due:
                    now = monotonic_ns()
                self.played(frame, now)
                return True
            self._controls.wait(min(wait - SPIN_NS, _LOOK_NS) / NS_PER_SECOND)
            self._show(monotonic_ns())

    def wait_for(self, frame: Frame, now: int) -> int | None:
        """Obey the orders given; return how long the frame's turn is away, ns.

        After waiting, or when an order is given, ask again. 0: play it now and say so (`played`);
        None: it is not to be played at all.
        """
        schedule = self._schedule
        if self._at is None:
            self._at = frame.ts_recv
        self.obey()
        if self.is_leaving:
            return None
        due = schedule.due(frame, now)
        if self._steps:
            self._steps -= 1
            schedule.let_go(now)
            return 0
        if self._is_last_order:
            self.is_stopped = True
            return None
        if schedule.is_paused:
            return _LOOK_NS
        return max(due - now, 0)

    def obey(self) -> None:
        """Take the orders given so far."""
        while (order := self._controls.take()) is not None:
            self._obey(order)

    def played(self, frame: Frame, now: int) -> None:
        """Note that the frame waited for goes out at `now`."""
        self._schedule.sent(now)
        self._at = frame.ts_recv

    def _obey(self, order: Order) -> None:
        schedule, now = self._schedule, monotonic_ns()
        match order:
            case Pause():
                schedule.pause(now)
                self._steps = 0
            case Resume():
                schedule.resume(now)
                self._steps = 0
            case Toggle():
                self._obey(Resume() if schedule.is_paused else Pause())
            case Step(frames):
                schedule.pause(now)
                self._steps += frames
            case Seek(to):
                self._target = to
            case SeekBy(by):
                at = (self._at or 0) + schedule.waited(now)
                base = at if self._target is None else self._target
                self._target = base + by
            case ChangeSpeed(speed):
                schedule.change_speed(speed, now)
            case ScaleSpeed(factor):
                if schedule.speed is not None:
                    schedule.change_speed(schedule.speed * factor, now)
            case Stop(after_steps):
                self._is_last_order = True
                self.is_stopped = not (after_steps and self._steps)
