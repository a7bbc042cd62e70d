"""The time table of a simulated session, put into practice.

Responsible for when each mishap of a `Scenario` happens, period after period, and for those that
happen in the market. Refuses those of connections: the session gives them as callables.
"""

from __future__ import annotations

from collections.abc import Callable

from replay.market.feed import Feed
from replay.market.venue import Venue
from replay.simulation.scenario import Scenario

Later = Callable[[int, Callable[[int], object]], None]
"""Let something happen once: so many ns from now."""

FRENZY_HEAT = 2_500
"""Variance of prices in a frenzy, percent."""


class Mishaps:
    """What goes wrong, and when."""

    def __init__(
        self, plan: Scenario, venue: Venue, later: Later, *,
        announce: Callable[[], None], disconnect: Callable[[], None],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._venue = venue
        self._later = later
        self._announce = announce
        self._disconnect = disconnect

    def schedule(self, start: int, now: int) -> None:
        """Plan one period, ns since the epoch, and the planning of the next."""
        plan = self._plan
        steps: list[tuple[int | None, Callable[[int], object]]] = [
            (plan.reset_at, self._first.restart_sequence),
            (plan.gap_at, lambda now: self._lose_updates()),
            (plan.notice_at, lambda now: self._announce()),
            (plan.disconnect_at, lambda now: self._disconnect()),
        ]
        if plan.quiet_at is not None:
            steps.append((plan.quiet_at, lambda now: self._be_quiet(is_quiet=True)))
            wake = plan.quiet_at + plan.quiet_for
            steps.append((wake, lambda now: self._be_quiet(is_quiet=False)))
        if plan.frenzy_at is not None:
            steps.append((plan.frenzy_at, lambda now: self._heat(FRENZY_HEAT)))
            steps.append((plan.frenzy_at + plan.frenzy_for, lambda now: self._heat(100)))
        for at, step in steps:
            if at is not None:
                self._later(start + at - now, step)
        end = start + plan.period
        self._later(end - now, lambda now: self.schedule(end, now))

    @property
    def _first(self) -> Feed:
        return next(iter(self._venue.markets.values())).feed

    def _lose_updates(self) -> None:
        self._first.lose = self._plan.gap_frames

    def _be_quiet(self, *, is_quiet: bool) -> None:
        self._venue.is_quiet = is_quiet

    def _heat(self, percent: int) -> None:
        self._venue.heat = percent
