"""Elected: the parser behind an election.

Responsible for turning what an election delivers at a frame into that frame's events, at once or
frame by frame for who wants the frames themselves. Refuses to choose (`okx.election` does) and to
know what the interpreter does about an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from recorder.event import Event
from recorder.frame import Frame
from recorder.okx.election import Election

Reaction = Callable[[Frame, list[Event]], None]


class Elected:
    """Parses frames behind an election, and reacts to what each delivered one tells.

    Several may be delivered at one frame: their events have its `seq` and one count of `index`.
    """

    def __init__(
        self,
        election: Election,
        parse: Callable[[Frame], list[Event]],
        react: Mapping[type[Event], Reaction],
    ) -> None:
        self._election = election
        self._parse = parse
        self._react = react

    def step(self, frame: Frame) -> list[Event]:
        """Return the events of all that is delivered at a frame."""
        every: list[Event] = []
        for delivered in self._election.take(frame):
            events = self.apply(delivered)
            if every:
                before = len(every)
                events = [replace(event, index=event.index + before) for event in events]
            every += events
        return every

    def take(self, frame: Frame) -> Sequence[Frame]:
        """Return what is delivered at a text, for who serves the frames themselves.

        Those whose state matters (books) go to `apply` next, one after another, before the next
        `take`; a frame that is taken is not stepped over.
        """
        return self._election.take(frame)

    def apply(self, delivered: Frame) -> list[Event]:
        """Return the events of a frame that was delivered, after changing the state by them."""
        events = self._parse(delivered)
        reaction = self._react.get(type(events[0])) if events else None
        if reaction is not None:
            reaction(delivered, events)
        return events

    def connection_of(self, connection: int) -> int:
        """Return the number that what a connection brings is delivered with."""
        return self._election.connection_of(connection)

    def partners(self, connection: int) -> list[int]:
        """Return the other open connections that bring the same."""
        return self._election.partners(connection)
