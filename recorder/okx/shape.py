"""Shape: what a typed channel looks like on the wire, and how its pushes become events.

Responsible for the words that the tables of channels (`pushes.py`, `market_layouts.py`,
`account_layouts.py`, `spreads.py`) and the parser share. Refuses to know any channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from recorder.event import Event
from recorder.frame import Frame

NS = 1_000_000
"""Nanoseconds in the venue's millisecond."""

Decode = Callable[[bytes], Any]
Handle = Callable[[Frame, bytes], list[Event]]
Reading = Callable[[Decode], Handle]


class Shape(NamedTuple):
    """What a typed channel looks like, and how it becomes events.

    Attributes:
        push: gives the wire struct of a push for a number type.
        reading: gives the function from frames to events for a decoder.
        columns: brings rows of an older layout into today's, where there are any.
        number: the number type of its events whatever the parser's; None for the parser's.
        is_sparse: nearly every push leaves members blank, so that the fast decoder would refuse
            it: the lenient one comes first.
    """

    push: Callable[[Any], Any]
    reading: Reading
    columns: Callable[[Any], list[Any]] | None = None
    number: type | None = None
    is_sparse: bool = False


def pushed(push: Any, row: Any) -> Callable[[Any], Any]:
    """Return what gives the wire struct of a push of such rows for a number type."""
    return lambda number: push[row[number]]


def to_ns(milliseconds: int | None) -> int | None:
    """Return a venue time in ns, None for None."""
    return None if milliseconds is None else milliseconds * NS
