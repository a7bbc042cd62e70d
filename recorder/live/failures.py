"""Failures: what ends a recording, or is told to whoever subscribed, in the words of its error.

Responsible for these sentences. Refuses to decide when one is due.
"""

from __future__ import annotations

from collections.abc import Sequence

from recorder.errors import AuthError, HandshakeError, VenueRefused
from recorder.live.ending import Closed
from recorder.live.rules import ALL_REFUSED, Rule
from recorder.okx.auth import VALID_SECONDS
from recorder.okx.login import login_cause
from recorder.okx.session import GiveUp, Refusal

_REFUSALS_TOLD = 3
_CLOCK_CODES = ("60004", "60006")


def venue_refused(refusals: Sequence[Refusal], expected: str) -> VenueRefused:
    """Return the error of subscriptions that the venue said no to, at least one."""
    shown = "; ".join(
        f"{item.code} for {item.subscription} ({item.message})"
        for item in refusals[:_REFUSALS_TOLD]
    )
    more = len(refusals) - _REFUSALS_TOLD
    return VenueRefused(
        f"expected the venue to accept {expected}, received {shown}"
        f"{f' and {more} more' if more > 0 else ''}; {ALL_REFUSED.hint}",
        code=refusals[0].code,
        refused=[str(item.subscription) for item in refusals],
    )


def login_refused(url: str, action: GiveUp, ahead: float | None) -> AuthError:
    """Return the error of a login that cannot succeed.

    Args:
        ahead: how far this machine's clock was ahead of the venue's, s, if that is known.
    """
    words = " ".join(part for part in (action.code, action.message.rstrip(".")) if part)
    return AuthError(
        f"expected a login at {url}, received {words}: "
        f"{login_cause(action.code)}{_clock_words(action.code, ahead)}",
        code=action.code,
    )


def no_websocket(url: str, closed: Closed, rule: Rule) -> HandshakeError:
    """Return the error of an address where there is no WebSocket for us."""
    hint = f"; {rule.hint}" if rule.hint else ""
    words = f"{closed.code} {closed.reason}" if closed.opened else closed.reason
    return HandshakeError(
        f"expected a WebSocket at {url}, received {words}{hint}",
        status=None if closed.opened else closed.code,
    )


def _clock_words(code: str, ahead: float | None) -> str:
    """Say how far the clock is off, where that is what the refusal is about and it is known."""
    if code not in _CLOCK_CODES:
        return ""
    if ahead is None:
        return "; check that this machine's clock is right, and set it by NTP"
    if abs(ahead) < VALID_SECONDS:
        return "; by the venue's answers this machine's clock is right, the network may be slow"
    side = "ahead of" if ahead > 0 else "behind"
    return f"; this machine's clock is {abs(ahead):.0f} s {side} the venue's, set it by NTP"
