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


class Backoff:
    """Delays between attempts: exponential with jitter, reset by a connection that lived.

    A connection that the venue accepts and closes at once counts as a failure: resetting on
    every success would hammer the venue.

    Args:
        first: longest first delay, s; each failure doubles it up to `longest`.
        lived: s a connection must have lived to prove that all is well again.
    """

    def __init__(
        self,
        random: Random,
        *,
        first: float = 0.5,
        longest: float = 60.0,
        lived: float = 30.0,
    ) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self._lived = lived
        self._failures = 0

    def next_delay(self, lived: float | None) -> float:
        """Return how long to wait, s, after a connection that lived so long (None: it failed).

        After one that lived long enough the first delay is short but not nothing: everybody
        reconnects when the venue restarts.
        """
        if lived is not None and lived >= self._lived:
            self._failures = 0
        ceiling = min(self._first * 2.0 ** min(self._failures, 32), self._longest)
        self._failures += 1
        return self._random.uniform(ceiling / 2, ceiling)


class ConnectionLimit:
    """At most so many new connections in any second, over all endpoints of one recorder."""

    def __init__(self, per_second: int = CONNECTIONS_PER_SECOND) -> None:
        self._per_second = per_second
        self._starts: deque[int] = deque(maxlen=per_second)

    def reserve(self, now: int) -> int:
        """Book the next free slot and return when it is (monotonic ns, never before `now`)."""
        start = now
        if len(self._starts) == self._per_second:
            start = max(now, self._starts[0] + NS_PER_SECOND)
        self._starts.append(start)
        return start
