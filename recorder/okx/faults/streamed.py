"""Which faults can be put into a recording, and what is said of each.

Responsible for refusing the others by name. Refuses to let any happen: `okx.faults.stream`.
"""

from __future__ import annotations

from typing import Any

from recorder.errors import UsageError
from recorder.okx import faults as kinds
from recorder.okx.faults import Scenario, name_of
from recorder.okx.faults.pushes import is_chained_push

SPOKEN = (kinds.Say, kinds.SayHuge, kinds.SayGarbled, kinds.SayBinary)
ENDING = (kinds.CutOff, kinds.CloseWith, kinds.GoSilent)
CHANGING = (kinds.DeleteUnknown, kinds.OldFirst, kinds.Rename, kinds.NewField)
STREAMED = (
    kinds.Gap, kinds.Lose, kinds.Repeat, kinds.Reorder, kinds.Delay, kinds.Hold, kinds.Corrupt,
    *ENDING, *CHANGING, *SPOKEN,
)  # fmt: skip
"""Kinds that can be put into a recording; the others are about handshakes, requests or bytes."""


def check_streamed(scenario: Scenario) -> None:
    """Refuse a scenario that a recording has no place for.

    Raises:
        UsageError: names the first fault of that kind.
    """
    for fault in scenario.faults:
        if not isinstance(fault, STREAMED):
            raise UsageError(
                f"expected faults that can be put into a recording, received {name_of(fault)!r}; "
                f"these can: {', '.join(name_of(kind) for kind in STREAMED)}"
            )


def can_hit(fault: Any, channel: str, payload: bytes) -> bool:
    """Say whether a fault can be about a push of this channel."""
    if not is_chained_push(channel):
        return not isinstance(fault, kinds.Gap | kinds.DeleteUnknown)
    if isinstance(fault, kinds.Gap | kinds.DeleteUnknown):
        return is_update(payload)
    if isinstance(fault, kinds.Repeat):
        return fault.channel is not None
    return not isinstance(fault, kinds.OldFirst)


def is_update(payload: bytes) -> bool:
    """Say whether a push of a chained book is an update."""
    return b'"action":"update"' in payload[:256]


def detail_of(fault: Any) -> str:
    """Say what a fault does, in words."""
    match fault:
        case kinds.Gap(count=count) | kinds.Lose(count=count):
            return f"{count} push{'' if count == 1 else 'es'} lost"
        case kinds.Delay(seconds=seconds) | kinds.Hold(seconds=seconds):
            return f"held back for {seconds:g} s"
        case kinds.Reorder(by=by):
            return f"comes behind the next {by}"
        case kinds.Repeat():
            return "comes twice"
        case kinds.Corrupt(bytes=count):
            return f"{count} character{'' if count == 1 else 's'} changed"
        case kinds.CutOff(away=away) | kinds.CloseWith(away=away):
            return f"connection closed, back after {away:g} s"
        case kinds.GoSilent():
            return "nothing comes any more"
        case kinds.Rename(to=name):
            return f"renamed to {name}"
        case kinds.DeleteUnknown():
            return "deletes a price nobody holds"
        case kinds.OldFirst(seconds=seconds):
            return f"looks {seconds:g} s old"
        case kinds.NewField():
            return "has a field nobody knows"
    return "a message nobody asked for follows"
