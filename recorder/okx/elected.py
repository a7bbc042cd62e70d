"""Elected: the parser behind an election.

Responsible for turning what an election delivers at a frame into that frame's events. Refuses to
choose (`okx.election` does) and to know what the interpreter does about an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from recorder.event import Event
from recorder.frame import Frame
from recorder.okx.election import Election

Reaction = Callable[[Frame, list[Event]], None]


def elected(
    election: Election, parse: Callable[[Frame], list[Event]], react: Mapping[type[Event], Reaction]
) -> Callable[[Frame], list[Event]]:
    """Return what parses frames behind an election, and reacts to what each delivered one tells.

    Several may be delivered at one frame: their events have its `seq` and one count of `index`.
    """

    def parse_elected(frame: Frame) -> list[Event]:
        every: list[Event] = []
        for delivered in election.take(frame):
            events = parse(delivered)
            reaction = react.get(type(events[0])) if events else None
            if reaction is not None:
                reaction(delivered, events)
            if every:
                before = len(every)
                events = [replace(event, index=event.index + before) for event in events]
            every += events
        return every

    return parse_elected
