"""What was brought already, and by which links.

Responsible for telling a copy from something new, for as long as a link may lag behind another,
and for noticing what a link never brought. Refuses to know what is brought: keys are bytes.

Equal keys. A link may bring the same bytes twice because they were sent twice. So each time a link
brings a key, this is a copy of the oldest occurrence of it that the link has not brought yet, and
new where there is none: the merged stream has as many as the link that brought most of them.

Time. An occurrence is remembered for one to two `REMEMBERED_NS` from when it was first brought, in
data time (`ts_mono`), cut at whole multiples of it: what is remembered depends on stamps alone and
not on how many others there were, so that reading a part of the channels gives what reading all
gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from recorder.clock import NS_PER_SECOND

REMEMBERED_NS = 30 * NS_PER_SECOND
"""A link that is further behind is dead: 25 s without a sound, and the recorder closes it."""

Missed = Callable[[int], None]
"""Told the bits of the links that should have brought something, and did not."""


class Occurrence(msgspec.Struct, array_like=True, gc=False):
    """Something that was brought.

    Attributes:
        key: what. seen: bits of the links that brought it.
        expected: bits of those that should. arrived: when the first of them did, monotonic ns.
    """

    key: bytes
    seen: int
    expected: int
    arrived: int


Slot = Occurrence | list[Occurrence]


class Memory:
    """The occurrences of one stream.

    Args:
        missed: see `Missed`.
    """

    __slots__ = ("_generation", "_missed", "_old", "_young")

    def __init__(self, missed: Missed) -> None:
        self._missed = missed
        self._generation = 0
        self._young: dict[bytes, Slot] = {}
        self._old: dict[bytes, Slot] = {}

    def pass_time(self, now: int) -> None:
        """Forget what is too old."""
        generation = now // REMEMBERED_NS
        if generation == self._generation:
            return
        self._judge(self._old)
        if generation == self._generation + 1:
            self._old = self._young
        else:
            self._judge(self._young)
            self._old = {}
        self._young = {}
        self._generation = generation

    def copy_of(self, key: bytes, bit: int) -> Occurrence | None:
        """Return the oldest occurrence that this link has not brought, after noting that it has."""
        for generation in (self._old, self._young):
            slot = generation.get(key)
            if slot is None:
                continue
            for occurrence in slot if type(slot) is list else (slot,):
                if not occurrence.seen & bit:  # type: ignore[union-attr]
                    occurrence.seen |= bit  # type: ignore[union-attr]
                    return occurrence  # type: ignore[return-value]
        return None

    def add(self, key: bytes, bit: int, expected: int, now: int) -> Occurrence:
        """Remember something new."""
        occurrence = Occurrence(key, bit, expected, now)
        self._put(self._young, occurrence)
        return occurrence

    def known(self, saved: Occurrence) -> Occurrence:
        """Return what is remembered as the same as a saved occurrence; itself if nothing is."""
        return next((one for one in self._all() if one == saved), saved)

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}

    def end(self, bit: int) -> int:
        """Expect nothing from a link any more; return how many it had still to bring."""
        owed = 0
        for occurrence in self._all():
            if occurrence.expected & bit:
                owed += not occurrence.seen & bit
                occurrence.expected &= ~bit
        return owed

    def _all(self) -> Iterator[Occurrence]:
        for generation in (self._old, self._young):
            yield from occurrences(generation)

    def _judge(self, gone: dict[bytes, Slot]) -> None:
        for occurrence in occurrences(gone):
            owed = occurrence.expected & ~occurrence.seen
            if owed:
                self._missed(owed)

    @staticmethod
    def _put(generation: dict[bytes, Slot], occurrence: Occurrence) -> None:
        slot = generation.get(occurrence.key)
        if slot is None:
            generation[occurrence.key] = occurrence
        elif type(slot) is list:
            slot.append(occurrence)
        else:
            generation[occurrence.key] = [slot, occurrence]  # type: ignore[list-item]

    def save(self) -> MemoryState:
        """Return what is remembered, in the order it came."""
        return MemoryState(
            self._generation, list(occurrences(self._old)), list(occurrences(self._young))
        )

    def restore(self, saved: MemoryState) -> None:
        """Remember exactly what was saved."""
        self._generation = saved.generation
        for generation, known in ((self._old, saved.old), (self._young, saved.young)):
            for occurrence in known:
                self._put(generation, occurrence)


class MemoryState(msgspec.Struct, array_like=True):
    """A memory, saved."""

    generation: int
    old: list[Occurrence]
    young: list[Occurrence]


def occurrences(generation: dict[bytes, Slot]) -> Iterator[Occurrence]:
    """Yield what one generation holds."""
    for slot in generation.values():
        if isinstance(slot, list):
            yield from slot
        else:
            yield slot
