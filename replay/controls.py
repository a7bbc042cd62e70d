"""Controls: what may be asked of a running replay, from another thread or from a strategy.

Responsible for handing orders over, in their order, and for waking a replay that waits. Refuses
to know the replay: it takes the orders when it is between two frames, so that an order never falls
into the middle of a frame's events.
"""

from __future__ import annotations

import threading
from collections import deque
from fractions import Fraction
from typing import TypeAlias

import msgspec

from recorder.errors import UsageError
from replay.pace import Speed, parse_speed


class Pause(msgspec.Struct, frozen=True):
    """Stand still."""


class Resume(msgspec.Struct, frozen=True):
    """Go on from there."""


class Toggle(msgspec.Struct, frozen=True):
    """Pause, or resume when paused."""


class Step(msgspec.Struct, frozen=True):
    """Play so many frames at once, then stand still."""

    frames: int = 1


class Seek(msgspec.Struct, frozen=True):
    """Go on at the first frame received at or after this time, ns since the Unix epoch."""

    to: int


class SeekBy(msgspec.Struct, frozen=True):
    """Go on so many ns of data time further; negative: back."""

    by: int


class ChangeSpeed(msgspec.Struct, frozen=True):
    """Go on at this speed; None: as fast as possible."""

    speed: Speed


class ScaleSpeed(msgspec.Struct, frozen=True):
    """Go on so many times as fast; nothing at max, where there is no number to multiply."""

    factor: Fraction


class Stop(msgspec.Struct, frozen=True):
    """End the replay here; its report is of what was played.

    Attributes:
        after_steps: play the steps that were ordered before it ends.
    """

    after_steps: bool = False


Order: TypeAlias = Pause | Resume | Toggle | Step | Seek | SeekBy | ChangeSpeed | ScaleSpeed | Stop


class Controls:
    """The handle of one running replay; every method returns at once and may come from any thread.

        controls = Controls()
        threading.Thread(target=play, args=(capture, strategy), kwargs={"controls": controls})
        controls.pause(); controls.seek(1_790_000_000_000_000_000); controls.resume()

    Args:
        paused: begin standing still, before the first frame.
    """

    def __init__(self, *, paused: bool = False) -> None:
        self._orders: deque[Order] = deque([Pause()] if paused else [])
        self._given = threading.Condition()

    def give(self, order: Order) -> None:
        """Hand an order over."""
        with self._given:
            self._orders.append(order)
            self._given.notify_all()

    def pause(self) -> None:
        """Stand still."""
        self.give(Pause())

    def resume(self) -> None:
        """Go on."""
        self.give(Resume())

    def step(self, frames: int = 1) -> None:
        """Play so many frames at once, then stand still.

        Raises:
            UsageError: fewer than one.
        """
        if frames < 1:
            raise UsageError(f"expected at least one frame to step, received {frames}")
        self.give(Step(frames))

    def seek(self, to: int) -> None:
        """Go on at the first frame received at or after `to`, ns; books are right at once."""
        self.give(Seek(to))

    def seek_by(self, by: int) -> None:
        """Go on `by` ns of data time further, or back."""
        self.give(SeekBy(by))

    def change_speed(self, speed: str | float | Fraction | None) -> None:
        """Go on at another speed: `max` or data seconds per second.

        Raises:
            UsageError: it is neither.
        """
        self.give(ChangeSpeed(parse_speed(speed)))

    def stop(self) -> None:
        """End the replay."""
        self.give(Stop())

    def stop_after_steps(self) -> None:
        """End the replay when the steps ordered so far have been played."""
        self.give(Stop(after_steps=True))

    # --- the replay's side -----------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether an order waits to be taken."""
        return bool(self._orders)

    def take(self) -> Order | None:
        """Return the next order, None if there is none."""
        return self._orders.popleft() if self._orders else None

    def wait(self, seconds: float) -> None:
        """Return when an order is there, at the latest after so many seconds."""
        with self._given:
            self._given.wait_for(lambda: bool(self._orders), seconds)
