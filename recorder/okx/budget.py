"""The venue's limit of requests, and how much of it resynchronising may use.

Responsible for counting one connection's requests of the last hour, and for when the next one may
go out. Refuses to know what a request says, and to read a clock.

Asking for what was never held must not wait for books that break again and again: fresh snapshots
come out of a share of their own, in rounds that are a second apart, a minute once the hour has
seen many requests. What breaks between two rounds goes into the next one together.
"""

from __future__ import annotations

from collections import deque

from recorder.clock import NS_PER_SECOND

REQUESTS_PER_HOUR = 480
"""Subscribe, unsubscribe and login requests of one connection (OKX API docs, "Overview")."""

HOUR = 3_600 * NS_PER_SECOND
_ROUND = 1 * NS_PER_SECOND
_SLOW_ROUND = 60 * NS_PER_SECOND
_REQUESTS_OF_A_ROUND = 2  # unsubscribe, subscribe


class RequestBudget:
    """The requests of one connection within the trailing hour.

    Args:
        limit: how many the venue allows.
    """

    def __init__(self, limit: int = REQUESTS_PER_HOUR) -> None:
        self._limit = limit
        self._share = limit - limit // 4
        self._times: deque[int] = deque()
        self._last_round: int | None = None

    @property
    def available_from(self) -> int:
        """When the next request may go out, ns; 0 where it may at once."""
        return self._until_below(self._limit)

    @property
    def round_from(self) -> int:
        """When the next round of fresh snapshots may begin, ns."""
        earliest = self._until_below(max(self._share - _REQUESTS_OF_A_ROUND + 1, 1))
        if self._last_round is None:
            return earliest
        is_busy = len(self._times) >= self._limit // 2
        return max(earliest, self._last_round + (_SLOW_ROUND if is_busy else _ROUND))

    def take(self, now: int) -> bool:
        """Count a request that is about to go out; False where it must not."""
        self._forget(now)
        if len(self._times) >= self._limit:
            return False
        self._times.append(now)
        return True

    def begin_round(self, now: int) -> int:
        """Begin a round of fresh snapshots; return how many requests may leave in it.

        As many again are left to ask anew: a book must not be left and then have to wait.
        """
        self._forget(now)
        self._last_round = now
        return max((self._share - len(self._times)) // _REQUESTS_OF_A_ROUND, 1)

    def _forget(self, now: int) -> None:
        while self._times and now - self._times[0] >= HOUR:
            self._times.popleft()

    def _until_below(self, most: int) -> int:
        """Return when fewer than `most` requests lie within the hour."""
        excess = len(self._times) - most
        return 0 if excess < 0 else self._times[excess] + HOUR
