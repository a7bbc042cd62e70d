"""When a fault comes, in a recording: at which push of which connection, and how often.

Responsible for the keys that say where, when and how often. Refuses to let it happen.
"""

from __future__ import annotations

from typing import Any

from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame
from recorder.okx import faults as kinds
from recorder.okx.channels import CHANNELS
from recorder.okx.faults import Scenario
from recorder.okx.faults.chance import Chance
from recorder.okx.faults.streamed import can_hit


class Line:
    """What is known of an open connection.

    Attributes:
        opened_mono: when; opened: the payload of that row; endpoint: as it says.
        pushes: so far; missed: messages since it was cut, None while it is not.
        is_silent: it was not cut, but nothing comes any more.
    """

    def __init__(self, mono: int) -> None:
        self.opened_mono = mono
        self.opened: bytes | None = None
        self.endpoint: str | None = None
        self.pushes = 0
        self.missed: int | None = None
        self.is_silent = False


class Timing:
    """The faults of a scenario, by their places in it."""

    def __init__(self, scenario: Scenario) -> None:
        self._faults: list[Any] = list(scenario.faults)
        self._left = [fault.uses for fault in self._faults]
        self._chance = Chance(scenario.seed or 0, self._faults)
        self._done: set[tuple[int, int]] = set()  # what came by itself: place, connection
        self._begun: int | None = None

    def begin(self, ts_recv: int) -> None:
        """Let the clock of `at` start, unless it has."""
        if self._begun is None:
            self._begun = ts_recv

    def strikes(self, place: int, frame: Frame, line: Line, channel: str) -> bool:
        """Say whether a fault that is about this argument comes with this push."""
        fault = self._faults[place]
        if self._left[place] == 0 or fault.connection not in (None, frame.connection):
            return False
        if fault.p is None:
            # What comes by itself comes once per connection at most, unless dice are thrown.
            if isinstance(fault, kinds.ByItself) and (place, frame.connection) in self._done:
                return False
        elif not self._chance.strikes(place, frame.seq):
            return False
        if fault.endpoint is not None:
            known = CHANNELS.get(channel)
            if fault.endpoint != (line.endpoint or (known.endpoint if known else None)):
                return False
        since = frame.ts_recv - (self._begun or 0)
        if fault.at is not None and since < fault.at * NS_PER_SECOND:
            return False
        since = frame.ts_mono - line.opened_mono
        if fault.after is not None and since < fault.after * NS_PER_SECOND:
            return False
        if fault.pushes is not None and line.pushes <= fault.pushes:
            return False
        return can_hit(fault, channel, frame.payload)

    def take(self, place: int, connection: int) -> None:
        """Count a fault that has happened."""
        left = self._left[place]
        self._left[place] = None if left is None else left - 1
        if self._faults[place].p is None and isinstance(self._faults[place], kinds.ByItself):
            self._done.add((place, connection))

    def bits(self, place: int, seq: int) -> int:
        """Return 64 bits for how a fault happens to a frame, independent of whether it does."""
        return self._chance.draw(place, ~seq)

    def forget(self, connection: int) -> None:
        """A connection has ended, and its number does not come again."""
        if self._done:
            self._done = {item for item in self._done if item[1] != connection}
