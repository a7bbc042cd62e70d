"""The ledger: events that make data less than whole, and every restart.

Responsible for which events these are and for why, in words; the SQL view `ledger` and the table of
that name in a database say the same through this. Refuses to know columns.
"""

from __future__ import annotations

from typing import Any

from recorder.event.conversation import (
    BookMismatch,
    BookReset,
    ChecksumMismatch,
    ClockStep,
    ConnectFailed,
    ConnectionCount,
    Disconnected,
    Lost,
    NoveltySeen,
    RunStarted,
    SequenceGap,
    VenueError,
)
from recorder.event.root import Event

LEDGER_TYPES: tuple[type[Event], ...] = (
    SequenceGap, BookReset, ChecksumMismatch, BookMismatch, Disconnected, ConnectFailed, VenueError,
    ConnectionCount, Lost, ClockStep, NoveltySeen, RunStarted,
)  # fmt: skip
"""Types of events that may stand in the ledger."""


def is_in_ledger(event: Any) -> bool:
    """Tell whether an event of these types does stand in it.

    A periodic clock sample is no step, and a count within the limit no refusal.
    """
    if isinstance(event, ClockStep):
        return event.step is not None
    return not isinstance(event, ConnectionCount) or bool(event.exceeded)


def cause_of(event: Any) -> str | None:
    """Return why, in words: a cause, the venue's no, how a connection ended; None: by itself."""
    cause: str | None = getattr(event, "cause", None)
    if cause:
        return cause
    if isinstance(event, Disconnected) and not event.reason:
        known = [event.by, None if event.code is None else f"({event.code})"]
        return " ".join(filter(None, known)) or None
    if isinstance(event, VenueError):
        return f"{event.code} {event.message}".strip() or None
    if isinstance(event, NoveltySeen):
        return event.what
    reason: str | None = getattr(event, "reason", None)
    return reason
