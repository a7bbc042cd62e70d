"""Script: a channel that tells a short story again and again, whoever listens.

Responsible for the pace and the envelope of channels whose content does not come out of the
simulated market: maintenance, options, bots, block deals, transfers. Refuses to know any of them:
`rarities.py` and `desk.py` write the stories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.okx.subscription import Subscription
from replay.market.feed import Emit

Line = Callable[[int], list[Any]]
"""Give the rows of one push for a time in ms since the epoch."""

_encode = msgspec.json.Encoder().encode


class Script:
    """One channel with its lines.

    Args:
        asked: the subscription it answers.
        emit: takes (channel, text) of every push.
        lines: its pushes, in turn.
        every_s: seconds between two.
        first_s: seconds until the first; None: it comes on subscribe.
        uid: of the account, for an account's channel.
        says: the argument of its pushes where that is not the one asked for.
    """

    def __init__(
        self, asked: Subscription, emit: Emit, lines: Sequence[Line], *, every_s: int = 6,
        first_s: int | None = None, uid: str | None = None, says: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.asked = asked
        self._argument = (says or asked.argument) | ({} if uid is None else {"uid": uid})
        self._emit = emit
        self._lines = lines
        self._next = 0
        self._every = every_s * NS_PER_SECOND
        self._first = None if first_s is None else first_s * NS_PER_SECOND
        self._is_live = False

    def start(self, channel: str, now_ns: int) -> None:
        """Switch the channel on, and tell the first line where that is its way."""
        self._is_live = True
        if self._first is None:
            self._tell(now_ns)

    def stop(self, channel: str) -> None:
        """Switch the channel off."""
        self._is_live = False

    def first_act(self, start_ns: int) -> int:
        """Return when `act` is to be called first."""
        return start_ns + (self._every if self._first is None else self._first)

    def act(self, now_ns: int) -> int:
        """Tell the next line; return when the one after it is due."""
        if self._is_live:
            self._tell(now_ns)
        return now_ns + self._every

    def _tell(self, now_ns: int) -> None:
        rows = self._lines[self._next % len(self._lines)](now_ns // NS_PER_MS)
        self._next += 1
        push = {"arg": self._argument, "data": rows}
        self._emit(self.asked.channel, _encode(push).decode())
