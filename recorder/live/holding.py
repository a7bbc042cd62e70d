"""Holding: what is wanted of one endpoint, and how it stands on the sockets there are.

Responsible for the list, which may change at any time, and for one answer where several sockets
have one each. Refuses to ask the venue for anything: `okx.session` does, socket by socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from recorder.live.conversation import Conversation
from recorder.okx.session import Standing
from recorder.okx.subscription import Subscription

_BEST_FIRST = (
    Standing.HELD, Standing.LEAVING, Standing.ASKED, Standing.DUE, Standing.REFUSED,
)  # fmt: skip


class Holding:
    """The arguments of one endpoint.

    Attributes:
        wanted: what to hold. distinct: as many of them the venue tells apart.
        some: set while anything is wanted; whoever ends the endpoint sets it for good.
    """

    def __init__(self, wanted: Sequence[Subscription]) -> None:
        self.some = asyncio.Event()
        self._set(wanted)

    def add(self, subscriptions: Sequence[Subscription]) -> None:
        """Want more."""
        self._set((*self.wanted, *subscriptions))

    def remove(self, subscriptions: Sequence[Subscription]) -> None:
        """Want less."""
        gone = {item.key for item in subscriptions}
        self._set([item for item in self.wanted if item.key not in gone])

    def standing(
        self, subscription: Subscription, sockets: Sequence[Conversation]
    ) -> Standing | None:
        """Return how an argument stands on the open ones of some sockets; None: not wanted."""
        if subscription.key not in self._keys:
            return None
        found = [item.session.standings.get(subscription) for item in sockets if item.session]
        return min((how for how in found if how), key=_BEST_FIRST.index, default=Standing.DUE)

    def _set(self, wanted: Sequence[Subscription]) -> None:
        self.wanted = tuple(dict.fromkeys(wanted))
        self._keys = {item.key for item in self.wanted}
        self.distinct = len(self._keys)
        if self.wanted:
            self.some.set()
        else:
            self.some.clear()
