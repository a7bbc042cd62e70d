"""A scenario in the course of happening, and the actions that faults ask of a shell.

Responsible for which fault is left how often, for those of handshakes, and for the record of what
has happened. Refuses to know a connection: `okx.faults.conversation` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.okx import faults as kinds
from recorder.okx.exchange import Reply, Stopped, argument_key
from recorder.okx.faults import Fault, Scenario
from recorder.okx.faults.chance import Chance

_MADE_MAX = 100_000


class SendBinary(msgspec.Struct, frozen=True):
    """Send this binary message."""

    payload: bytes


class SendPieces(msgspec.Struct, frozen=True):
    """Send this text message as so many WebSocket frames."""

    payload: bytes
    pieces: int


class SendRaw(msgspec.Struct, frozen=True):
    """Put these bytes on the stream as they are."""

    data: bytes


class Cut(msgspec.Struct, frozen=True):
    """End the TCP stream without a close frame.

    Attributes:
        how: `eof`: after all was sent; `inside`: after that and half of a frame that holds
            `payload`; `reset`: at once, by a TCP reset.
    """

    how: str
    payload: bytes = b""


class Hang(msgspec.Struct, frozen=True):
    """Neither send nor read on this socket any more, and never close it."""


class Pace(msgspec.Struct, frozen=True):
    """Send at most so many bytes a second from here on; None: as fast as can be."""

    bytes_per_second: int | None


class Restart(msgspec.Struct, frozen=True):
    """Let the feed count a book's updates anew; None: the first book there is."""

    instrument: str | None


Action: TypeAlias = Reply | SendBinary | SendPieces | SendRaw | Cut | Hang | Pace | Restart


class Made(msgspec.Struct, frozen=True):
    """A fault that has happened.

    Attributes:
        now_ns: by the shell's clock; fault: its `do`; detail: what a person wants to know.
        endpoint, connection: where; connection as the shell numbers it, -1 at a handshake.
    """

    now_ns: int
    fault: str
    endpoint: str
    connection: int
    detail: str


class Faults:
    """A scenario in the course of happening, shared by all connections of a venue.

    Attributes:
        made: what has happened so far, oldest first; no longer than a person may read.
        counts: how often each kind has happened.
        version: rises whenever a fault is added or used up: lists made of `among` are old then.
        chance: the dice of faults with a `p`.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.made: list[Made] = []
        self.counts: dict[str, int] = {}
        self.version = 0
        self.chance = Chance(scenario.seed or 0)
        self._begun_ns: int | None = None
        self._faults: list[kinds.AnyFault] = []
        self._left: list[int | None] = []
        self._opened: dict[str, int] = {}
        self._asked = 0
        for fault in scenario.faults:
            self.add(fault)

    def add(self, fault: kinds.AnyFault) -> None:
        """Add a fault to the scenario, now."""
        self._faults.append(fault)
        self.chance.add(fault)
        self._left.append(fault.uses)
        self.version += 1

    def at_handshake(self, endpoint: str, now_ns: int) -> kinds.AtHandshake | None:
        """Return what goes wrong with a handshake (or, of `rest`, a request), None for nothing."""
        self._begin(now_ns)
        number = self._opened.get(endpoint, 0)
        self._asked += 1
        for index, fault in self.among(kinds.AtHandshake):
            is_meant = fault.endpoint == endpoint or (fault.endpoint is None and endpoint != "rest")
            is_meant = is_meant and fault.connection in (None, number)
            is_time = is_meant and self.is_time(fault, now_ns)
            if is_time and self.strikes(index, fault, self._asked):
                detail = f"HTTP {fault.status}" if isinstance(fault, kinds.Refuse) else ""
                self.take(index, Made(now_ns, kinds.name_of(fault), endpoint, -1, detail))
                found: kinds.AtHandshake = fault
                return found
        return None

    def opened(self, endpoint: str, now_ns: int) -> int:
        """Count an opened connection; return its number on its endpoint."""
        self._begin(now_ns)
        number = self._opened.get(endpoint, 0)
        self._opened[endpoint] = number + 1
        return number

    def among(self, group: Any) -> Iterator[tuple[int, Any]]:
        """Yield the faults of a group that are left, with their places."""
        for index, fault in enumerate(self._faults):
            if self._left[index] != 0 and isinstance(fault, group):
                yield index, fault

    def strikes(self, place: int, fault: Fault, number: int) -> bool:
        """Say whether a fault comes with the thing of this number; one without a `p` does."""
        return fault.p is None or self.chance.strikes(place, number)

    def is_time(self, fault: Fault, now_ns: int) -> bool:
        """Say whether a fault's `at` has come."""
        return fault.at is None or now_ns >= self.due(fault)

    def due(self, fault: Fault) -> int:
        """Return when a fault's `at` comes."""
        return (self._begun_ns or 0) + round((fault.at or 0) * NS_PER_SECOND)

    def _begin(self, now_ns: int) -> None:
        if self._begun_ns is None:
            self._begun_ns = now_ns

    def take(self, index: int, made: Made) -> None:
        """Let a fault happen once."""
        self.version += 1
        left = self._left[index]
        self._left[index] = None if left is None else left - 1
        self.counts[made.fault] = self.counts.get(made.fault, 0) + 1
        if len(self.made) < _MADE_MAX:
            self.made.append(made)


def subject_of(argument: Mapping[str, Any]) -> tuple[str, str]:
    """Return channel and instrument (or spread) of an argument, "" where there is none."""
    instrument = argument.get("instId") or argument.get("sprdId") or ""
    return str(argument.get("channel", "")), str(instrument)


def stops(action: Action, key: tuple[tuple[str, str], ...]) -> bool:
    """Say whether an action ends the argument with this key."""
    return isinstance(action, Stopped) and argument_key(action.argument) == key


def size_of(action: Action) -> int:
    """Return the bytes an action will put on the wire, about."""
    return len(getattr(action, "payload", b"")) + len(getattr(action, "data", b""))


def is_about(fault: Fault, argument: Mapping[str, Any]) -> bool:
    """Say whether a fault is meant for an argument."""
    return is_about_subject(fault, subject_of(argument))


def is_about_subject(fault: Fault, subject: tuple[str, str]) -> bool:
    """Say whether a fault is meant for a channel and instrument."""
    channel, instrument = subject
    return fault.channel in (None, channel) and fault.instrument in (None, instrument)
