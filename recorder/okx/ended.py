"""Which accepted subscriptions an error takes back: an ack is not final.

Responsible for this one question, over what the venue is known to have accepted on a connection.
Refuses to guess: an error that could mean several of them, or none, takes none back, but where
its code is about all of a kind.

Cases of the OKX API docs ("Subscribe", "Error code", "Connection count") and of users' reports:
60011 after the ack of a channel that needs a login, 64004 after the ack of a book that
`books-l2-tbt` of the same instrument excludes, 64003 for a fee tier that is too low, and
`channel-conn-count-error` after the ack of a private channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from recorder.event import ConnectionCount, VenueError
from recorder.okx.channels import CHANNELS
from recorder.okx.standing import DEEP_BOOK_EXCLUDES, PLEASE_LOG_IN, TIER_TOO_LOW

Argument = dict[str, Any]

_MENTIONED = re.compile(r"(channel|instType|instFamily|instId|sprdId|ccy|algoId):\s*([^,\s\"}]+)")
_EXCLUDED = ("books", "books50-l2-tbt")


def ended_by(event: VenueError | ConnectionCount, held: Iterable[Argument]) -> list[Argument]:
    """Return the arguments among those held that are held no more.

    Args:
        event: an error, or a count of connections.
        held: accepted on its connection.
    """
    held = list(held)
    if isinstance(event, ConnectionCount):
        return [item for item in held if event.exceeded and item.get("channel") == event.channel]
    if event.argument is not None:
        return [item for item in held if item == event.argument]
    mentioned = dict(_MENTIONED.findall(event.message))
    if "channel" in mentioned:
        return [item for item in held if all(item.get(k) == v for k, v in mentioned.items())]
    if event.code == PLEASE_LOG_IN:
        return [item for item in held if _needs_login(item)]
    if event.code == DEEP_BOOK_EXCLUDES:
        deep = {item.get("instId") for item in held if item.get("channel") == "books-l2-tbt"}
        return [
            item for item in held
            if item.get("channel") in _EXCLUDED and item.get("instId") in deep
        ]  # fmt: skip
    if event.code in TIER_TOO_LOW:
        gated = [item for item in held if _needs_login(item)]
        return gated if len(gated) == 1 else []
    return []


def _needs_login(argument: Argument) -> bool:
    channel = CHANNELS.get(str(argument.get("channel")))
    return channel is not None and channel.login
