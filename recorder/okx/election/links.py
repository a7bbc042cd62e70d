"""Links: which connections of an endpoint bring the same, and as which of them it goes on.

Responsible for who is open, for the one connection number that the merged stream keeps while any
of them is, and for each link's figures. Refuses to look at what they bring: streams do.
"""

from __future__ import annotations

import msgspec

from recorder.okx.election.figures import LinkTally
from recorder.okx.election.memory import REMEMBERED_NS

_SLOT_FREE_AFTER = 2 * REMEMBERED_NS  # until then something may be remembered of who had it


class Link(msgspec.Struct, gc=False):
    """An open connection.

    Attributes:
        number: of the link, as its `opened` row says. slot: its place among the bits.
    """

    connection: int
    number: int
    slot: int
    tally: LinkTally

    @property
    def bit(self) -> int:
        """Its bit among those of the group."""
        return 1 << self.slot


class GroupState(msgspec.Struct, array_like=True):
    """A group, saved."""

    domain: int
    endpoint: str
    connection: int
    numbers: list[int]
    live: list[tuple[int, int, int]]
    slots: list[tuple[int, int, int | None]]
    since: int


class Group:
    """The links of one endpoint.

    Attributes:
        domain: first connection number of the recorder it belongs to; captures may be merged.
        connection: whose chains, books and gaps the merged stream has: the first connection that
            was open since none was.
        live: open connections. numbers: of all links there are.
    """

    def __init__(
        self, domain: int, endpoint: str, tallies: dict[tuple[str, int], LinkTally]
    ) -> None:
        self.domain = domain
        self.endpoint = endpoint
        self.connection = -1
        self.live: dict[int, Link] = {}
        self.numbers: dict[int, None] = {}
        self._tallies = tallies
        # Per slot: the link's number, and when it became free (None: it is in use).
        self._slots: dict[int, tuple[int, int | None]] = {}
        self._since = 0

    @property
    def elects(self) -> bool:
        """Whether there is anything to choose from."""
        return len(self.numbers) > 1

    def open(self, connection: int, number: int, now: int) -> Link:
        """Add a connection that is open from now on."""
        self._pass_time(now)
        if not self.live:
            self.connection = connection
        self.numbers.setdefault(number)
        slot = 0
        while slot in self._slots and not self._is_free(slot, now):
            slot += 1
        self._slots[slot] = number, None
        link = Link(connection, number, slot, self._tally(number))
        self.live[connection] = link
        return link

    def close(self, connection: int, now: int) -> None:
        """Remove a connection."""
        self._pass_time(now)
        link = self.live.pop(connection)
        self._slots[link.slot] = link.number, now

    def _is_free(self, slot: int, now: int) -> bool:
        freed = self._slots[slot][1]
        return freed is not None and now - freed >= _SLOT_FREE_AFTER

    def _tally(self, number: int) -> LinkTally:
        key = self.endpoint, number
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = LinkTally()
        return tally

    def _pass_time(self, now: int) -> None:
        """Count how long who has been open."""
        passed, self._since = max(now - self._since, 0), now
        open_now = dict.fromkeys(link.number for link in self.live.values())
        for number in open_now:
            tally = self._tally(number)
            tally.open_ns += passed
            if len(open_now) == 1:
                tally.alone_ns += passed

    def missed(self, bits: int) -> None:
        """Count what links never brought."""
        for slot, (number, _) in self._slots.items():
            if bits & 1 << slot:
                self._tally(number).missed += 1

    def save(self) -> GroupState:
        """Return the state."""
        return GroupState(
            self.domain, self.endpoint, self.connection, list(self.numbers),
            [(link.connection, link.number, link.slot) for link in self.live.values()],
            [(slot, number, freed) for slot, (number, freed) in self._slots.items()],
            self._since,
        )  # fmt: skip

    def restore(self, saved: GroupState) -> None:
        """Go on where a saved one stood."""
        self.connection = saved.connection
        self.numbers = dict.fromkeys(saved.numbers)
        self._slots = {slot: (number, freed) for slot, number, freed in saved.slots}
        self._since = saved.since
        for connection, number, slot in saved.live:
            self.live[connection] = Link(connection, number, slot, self._tally(number))
