"""PlayContext: what a strategy may look at while a capture is played.

Responsible for data time and the books of the moment. Refuses to move either: the player does.
"""

from __future__ import annotations

from recorder.book import Books
from recorder.clock import DataClock


class PlayContext:
    """What a strategy may look at.

    Attributes:
        clock: data time: `ts_recv` of the frame in hand, ns, never running backwards.
        books: the books of what is played, already changed by the event in hand.
        restarts: how often the stream was begun anew so far, by a seek or a loop: time and books
            may have jumped, also back. What a strategy remembers is its own affair.
    """

    __slots__ = ("books", "clock", "restarts")

    def __init__(self, books: Books, restarts: int = 0) -> None:
        self.clock = DataClock()
        self.books = books
        self.restarts = restarts
