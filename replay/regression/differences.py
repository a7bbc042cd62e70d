"""Differences: what events are not what they were, added up per type and field.

Responsible for comparing the events of one frame in two versions and for totals in bounded memory.
Refuses to compare values itself (`replay.difference` does) and to know where the versions are from.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from replay.difference import EventDifference, field_differences

KINDS_MAX = 500
"""Kinds of difference whose first frame is kept; the totals count the others, too."""

MISSING, ADDED = "(missing)", "(added)"
"""What stands for a field where a whole event is missing or added."""

_FIELDS_MAX = 200
"""Fields of one event that are kept: a book of 400 levels may differ in all of them."""

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode
_INSIDE = re.compile(r"[.\[]")


class TypeTotals(msgspec.Struct):
    """What changed in the events of one type: whole events, and those in which a field did."""

    changed: int = 0
    missing: int = 0
    added: int = 0
    fields: dict[str, int] = msgspec.field(default_factory=dict)


class FirstOfKind(msgspec.Struct, frozen=True):
    """The first frame with one kind of difference; `field` may be `(missing)` or `(added)`."""

    type: str
    field: str
    seq: int


class Differences:
    """Adds up what differs between two versions of the events of the same frames.

    Attributes:
        frames: whose events differ. totals: by event type. first: of the first such frame.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.totals: dict[str, TypeTotals] = {}
        self.first: list[EventDifference] = []
        self._kinds: dict[tuple[str, str], int] = {}

    def add(self, seq: int, ts_recv: int, expected: bytes, found: bytes) -> bool:
        """Compare the events of a frame, given as JSON arrays; tell whether they differ."""
        if expected == found:
            return False
        differences = compare(seq, ts_recv, expected, found)
        if not differences:
            return False
        self.frames += 1
        if not self.first:
            self.first = [_shortened(difference) for difference in differences]
        for difference in differences:
            self._count(difference)
        return True

    def _count(self, difference: EventDifference) -> None:
        one, two = difference.first, difference.second
        if one is not None and two is not None and type_of(one) == type_of(two):
            totals = self._of(type_of(one))
            totals.changed += 1
            for field in dict.fromkeys(_INSIDE.split(f.field)[0] for f in difference.fields):
                totals.fields[field] = totals.fields.get(field, 0) + 1
                self._note(type_of(one), field, difference.seq)
            return
        if one is not None:
            self._of(type_of(one)).missing += 1
            self._note(type_of(one), MISSING, difference.seq)
        if two is not None:
            self._of(type_of(two)).added += 1
            self._note(type_of(two), ADDED, difference.seq)

    def _of(self, type_: str) -> TypeTotals:
        return self.totals.setdefault(type_, TypeTotals())

    def _note(self, type_: str, field: str, seq: int) -> None:
        if len(self._kinds) < KINDS_MAX:
            self._kinds.setdefault((type_, field), seq)

    @property
    def kinds(self) -> list[FirstOfKind]:
        """The first frame of each kind of difference, in order of these frames."""
        items = sorted(self._kinds.items(), key=lambda item: (item[1], item[0]))
        return [FirstOfKind(type_, field, seq) for (type_, field), seq in items]


def compare(seq: int, ts_recv: int, expected: bytes, found: bytes) -> list[EventDifference]:
    """Return the events in which two JSON arrays of one frame's events differ."""
    before, after = _decode(expected), _decode(found)
    differences = []
    for index in range(max(len(before), len(after))):
        one = before[index] if index < len(before) else None
        two = after[index] if index < len(after) else None
        fields = field_differences(one, two) if one is not None and two is not None else []
        if fields or one is None or two is None:
            difference = EventDifference(
                seq=seq, index=index, ts_recv=ts_recv, first=one, second=two, fields=fields
            )
            differences.append(difference)
    return differences


def type_of(event: dict[str, Any]) -> str:
    """Return the type of an event given as JSON; what a user's parser leaves out is `?`."""
    return str(event.get("type", "?"))


def _shortened(difference: EventDifference) -> EventDifference:
    return msgspec.structs.replace(difference, fields=difference.fields[:_FIELDS_MAX])
