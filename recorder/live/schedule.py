"""When to connect: growing delays after failures, and the venue's limit of new connections.

Responsible for the two schedules. Refuses to wait (the caller does) and to read a clock or draw
entropy of its own: time and the random generator are arguments.
"""

from __future__ import annotations

from collections import deque
from random import Random

from recorder.clock import NS_PER_SECOND

CONNECTIONS_PER_SECOND = 3
"""New connections per second and IP address (OKX API docs, "Overview")."""

_WINDOW = NS_PER_SECOND + 50_000_000
"""A little more than the venue's second: what counts is when its side sees them."""


class Backoff:
    """Delays between attempts: exponential with jitter, reset by a connection that lived.

    A connection that the venue accepts and closes at once counts as a failure: resetting on
    every success would hammer the venue.

    Args:
        first: longest first delay, s; each failure doubles it up to `longest`.
        lived: s a connection must have lived to prove that all is well again.
        later: longest first delay, s, where the venue says that there are too many of us.
    """

    def __init__(
        self,
        random: Random,
        *,
        first: float = 0.5,
        longest: float = 60.0,
        lived: float = 30.0,
        later: float = 30.0,
    ) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self._lived = lived
        self._later = later
        self._failures = 0

    def has_lived(self, lived: float | None) -> bool:
        """Say whether a connection that lived so long, s, proved that all was well."""
        return lived is not None and lived >= self._lived

    def settle(self, lived: float | None) -> None:
        """Begin anew if a connection has lived long enough, though it is still open."""
        if self.has_lived(lived):
            self._failures = 0

    def next_delay(
        self, lived: float | None, *, is_later: bool = False, at_least: float = 0.0
    ) -> float:
        """Return how long to wait, s, after a connection that lived so long (None: it failed).

        After one that lived long enough the first delay is short but not nothing: everybody
        reconnects when the venue restarts.

        Args:
            is_later: there are too many of us: start from the longer first delay.
            at_least: what the venue asked for, s.
        """
        self.settle(lived)
        first, longest = self._first, self._longest
        if is_later:
            first, longest = max(first, self._later), max(longest, 8 * self._later)
        ceiling = min(first * 2.0 ** min(self._failures, 32), longest)
        self._failures += 1
        return max(self._random.uniform(ceiling / 2, ceiling), at_least)


class ConnectionLimit:
    """At most so many new connections in any second, over all endpoints of one recorder."""

    def __init__(self, per_second: int = CONNECTIONS_PER_SECOND) -> None:
        self._per_second = per_second
        self._starts: deque[int] = deque(maxlen=per_second)

    def reserve(self, now: int) -> int:
        """Book the next free slot and return when it is (monotonic ns, never before `now`)."""
        start = now
        if len(self._starts) == self._per_second:
            start = max(now, self._starts[0] + _WINDOW)
        self._starts.append(start)
        return start
