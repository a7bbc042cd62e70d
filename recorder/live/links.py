"""Links: the places of redundant sockets beside each other.

Responsible for what the links of one endpoint must agree on: that they do not connect at one
moment, that each prefers another of the venue's addresses, that one at a time is replaced when the
venue announces its end; and for what a refusal or an end means when others still hold the same.
Refuses to open, close or hold anything: each link is an `Endpoint` of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from recorder.clock import NS_PER_SECOND

if TYPE_CHECKING:
    from recorder.live.endpoint import Endpoint
    from recorder.okx.session import Refusal
    from recorder.okx.subscription import Subscription

STAGGER_SECONDS = 0.5
"""Between the first attempts of two links of an endpoint."""

TURN_SECONDS = 15.0
"""Longest that a link waits for another one's replacement; the venue announces 60 s ahead."""


class Turns:
    """Who of the links of an endpoint is being replaced."""

    def __init__(self) -> None:
        self.holder: Place | None = None
        self.waiting: dict[Place, Callable[[], None]] = {}


class Place:
    """The place of one link among those of its endpoint.

    Args:
        number: of the link, from 0. count: how many there are. turns: what they share.
    """

    def __init__(self, number: int = 0, count: int = 1, turns: Turns | None = None) -> None:
        self.number = number
        self._count = count
        self._turns = turns or Turns()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> int | None:
        """Which of the venue's addresses to prefer, by number; None where it does not matter."""
        return None if self._count == 1 else self.number

    def named(self, endpoint: str) -> str:
        """Return the endpoint's name for a person, with the link where there are several."""
        return endpoint if self._count == 1 else f"{endpoint} link {self.number}"

    def first_attempt(self, now: int) -> int:
        """Return when to connect for the first time, monotonic ns."""
        return now + round(self.number * STAGGER_SECONDS * NS_PER_SECOND)

    def take_turn(self, again: Callable[[], None]) -> bool:
        """Begin a replacement, or be called again when it is this link's turn."""
        turns = self._turns
        if turns.holder in (None, self):
            turns.holder = self
            turns.waiting.pop(self, None)
            return True
        if self not in turns.waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TURN_SECONDS, self._take_it)
        turns.waiting[self] = again
        return False

    def give_turn(self) -> None:
        """Let the next link be replaced."""
        turns = self._turns
        if turns.holder is self:
            turns.holder = None
            if turns.waiting:
                asyncio.get_running_loop().call_soon(next(iter(turns.waiting))._take_it)

    def _take_it(self) -> None:
        again = self._turns.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if again is not None:
            self._turns.holder = None
            again()
            if self._turns.holder is None:  # there was nothing to replace any more
                self._turns.holder = self
                self.give_turn()


def places(count: int) -> list[Place]:
    """Return the places of the links of one endpoint."""
    turns = Turns()
    return [Place(number, count, turns) for number in range(count)]


def links_of(endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return all links of an endpoint, itself among them."""
    return [item for item in endpoints if item.name == endpoint.name]


def refused_everywhere(endpoints: Sequence[Endpoint]) -> list[Refusal]:
    """Return what the venue refused on every link where it was asked, each argument once."""
    asked = [item for item in endpoints if item.times_opened]
    kept = on_every_link(asked, lambda item: [refusal.subscription for refusal in item.refusals])
    told = {r.subscription: r for item in reversed(asked) for r in item.refusals}
    return [told[subscription] for subscription in kept]


def on_every_link(
    endpoints: Sequence[Endpoint], said: Callable[[Endpoint], Sequence[Subscription]]
) -> list[Subscription]:
    """Return the arguments that all links of their endpoint say something of, each once."""
    found: list[Subscription] = []
    for name in dict.fromkeys(item.name for item in endpoints):
        first, *others = [list(said(item)) for item in endpoints if item.name == name]
        found += [item for item in first if all(item in other for other in others)]
    return found
