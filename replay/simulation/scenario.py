"""What happens to a simulated session beside trading: gaps, resets, silence, disconnects.

Responsible for the time table of a simulation. Refuses to make any of it happen: that is
`replay.simulation.session`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.errors import UsageError

SCENARIOS = ("mixed", "calm", "stress", "every-channel")
"""Names of the time tables; `scenario_of` describes them."""

_PERIOD_MAX_NS = 900 * NS_PER_SECOND
_QUIET_NS = 75 * NS_PER_SECOND
"""Longer than the 60 s after which a silent book is pushed again."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A time table; every time is ns after the start of a period, None for never.

    Attributes:
        period: the table repeats after this long, ns.
        reset_at: the first instrument's sequence restarts from a low number.
        gap_at: the first instrument loses `gap_frames` book updates on the way.
        frenzy_at, frenzy_for: prices move five times as much, order flow follows.
        quiet_at, quiet_for: nobody trades.
        notice_at: the venue announces an upgrade on the public socket (64008).
        disconnect_at: the public socket breaks (1006); `failed_connects` attempts fail.
        has_every_channel: every channel there is, with a trading account, each for one argument.
    """

    period: int
    reset_at: int | None = None
    gap_at: int | None = None
    gap_frames: int = 2
    frenzy_at: int | None = None
    frenzy_for: int = 5 * NS_PER_SECOND
    quiet_at: int | None = None
    quiet_for: int = _QUIET_NS
    notice_at: int | None = None
    disconnect_at: int | None = None
    failed_connects: int = 0
    has_every_channel: bool = False


def scenario_of(name: str, duration_ns: int | None) -> Scenario:
    """Return the time table of a name, fitted to a duration (None: endless).

    `mixed`: a reset, a gap, a frenzy, a disconnect, and in sessions of four minutes or more a quiet
    stretch and an upgrade notice. `calm`: an undisturbed session, with a quiet stretch if there
    are 100 s. `stress`: reset, gap, frenzy, and a disconnect with a failed attempt to reconnect.
    `every-channel`: an undisturbed session that holds every channel of the venue.
    Tables repeat every 15 minutes at the latest.

    Raises:
        UsageError: there is no such table.
    """
    period = min(duration_ns or _PERIOD_MAX_NS, _PERIOD_MAX_NS)
    percent = period // 100
    if name == "calm":
        has_room = period >= 100 * NS_PER_SECOND
        return Scenario(period=period, quiet_at=12 * percent if has_room else None)
    if name == "every-channel":
        return Scenario(period=period, has_every_channel=True)
    if name == "stress":
        return Scenario(
            period=period,
            reset_at=15 * percent,
            gap_at=30 * percent,
            frenzy_at=50 * percent,
            disconnect_at=75 * percent,
            failed_connects=1,
        )
    if name == "mixed":
        is_long = period >= 240 * NS_PER_SECOND
        disconnect_at = 85 * percent
        return Scenario(
            period=period,
            reset_at=10 * percent,
            gap_at=20 * percent,
            frenzy_at=30 * percent,
            quiet_at=40 * percent if is_long else None,
            notice_at=disconnect_at - 60 * NS_PER_SECOND if is_long else None,
            disconnect_at=disconnect_at,
        )
    raise UsageError(f"expected a scenario as one of {', '.join(SCENARIOS)}, received {name!r}")


def check_arguments(
    names: Sequence[str], duration: float | None, frames: int | None, rate: float, seed: int
) -> None:
    """Refuse arguments of a simulation that make no sense.

    Raises:
        UsageError: each with its own sentence.
    """
    year = 366 * 86_400
    for is_met, wanted, received in (
        (names, "at least one instrument", "none"),
        (duration is None or 0 < duration <= year, "a duration of up to a year", f"{duration} s"),
        (frames is None or frames >= 1, "at least 1 frame", frames),
        (0.01 <= rate <= 100, "a rate from 0.01 to 100 (1 is the default)", rate),
        (seed >= 0, "a seed of 0 or more", seed),
    ):
        if not is_met:
            raise UsageError(f"expected {wanted} to simulate, received {received}")
