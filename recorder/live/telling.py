"""Telling: what a person hears about one endpoint.

Responsible for one sentence at a time, and for not saying it thousands of times: the capture holds
every one. Refuses to print; whoever listens does.
"""

from __future__ import annotations

from collections.abc import Callable

from recorder.event import ConnectionCount, Event, Notice, SequenceGap, VenueError
from recorder.live.ending import Closed

_WARNINGS_TOLD = 20


class Telling:
    """The voice of one endpoint.

    Args:
        name: `public`, `business` or `private`; url: its address. notify: told each sentence.
    """

    def __init__(self, name: str, url: str, notify: Callable[[str], None]) -> None:
        self._name = name
        self._url = url
        self._notify = notify
        self._told: str | None = None
        self._warnings = 0

    def warn(self, words: str) -> None:
        """Tell a warning, the first ones of many."""
        self._warnings += 1
        if self._warnings <= _WARNINGS_TOLD:
            self._notify(f"warning: {self._name}: {words}")
        elif self._warnings == _WARNINGS_TOLD + 1:
            self._notify(f"warning: {self._name}: more of these; they are in the capture")

    def hear(self, event: Event, *, is_resynced: bool) -> None:
        """Tell what the venue says of itself and of what was asked for, and what is missing."""
        if isinstance(event, VenueError):
            self.warn(f"the venue said {event.code}: {event.message}")
        elif isinstance(event, ConnectionCount) and event.exceeded:
            self.warn(f"too many connections hold {event.channel}: {event.count}")
        elif isinstance(event, Notice):
            self.warn(f"the venue announces {event.code}: {event.message}")
        elif isinstance(event, SequenceGap):
            self.warn(
                f"updates of {event.channel} {event.instrument} are missing between "
                f"{event.expected_seq_id} and {event.prev_seq_id}"
                f"{'; subscribing anew' if is_resynced else ''}"
            )

    @property
    def unreachable(self) -> str | None:
        """Why no socket could be opened the last time; None where none failed since one was."""
        return self._told

    def opened(self) -> None:
        """Note that a socket is open: the next failure is news again."""
        self._told = None

    def ended(self, closed: Closed) -> None:
        """Say once, not once per attempt, that the endpoint cannot be reached or was lost."""
        words = closed.reason
        if closed.opened and closed.by != "recorder":
            words = f"{closed.code} {words}".strip() if closed.code else words
            self._notify(f"warning: {self._name}: closed by the {closed.by} ({words})")
        elif not closed.opened and words != self._told:
            self._told = words
            self._notify(f"warning: {self._name}: cannot connect to {self._url} ({words})")
