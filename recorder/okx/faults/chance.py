"""Chance: which of the numbered things that could go wrong do go wrong.

Responsible for decisions that depend on nothing but the seed, the fault and the number of the thing
(of a recorded push: its `seq`), so that they are the same in every process, at every speed, behind
every filter, and in engine, server and venue alike. Refuses to remember anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from recorder.okx.faults import Fault, name_of

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15  # of splitmix64 (Steele, Lea, Flood 2014), whose mixer this is


class Chance:
    """The dice of one scenario.

    A fault's draws do not change with its place in the list nor with what else is listed, and what
    goes wrong at a small `p` also does at a larger one.

    Args:
        seed: any integer.
        faults: those whose places `draw` and `strikes` take.
    """

    def __init__(self, seed: int, faults: Sequence[Fault] = ()) -> None:
        self._seed = _mixed(seed & _MASK)
        self._salts: list[int] = []
        self._limits: list[int] = []
        self._seen: dict[bytes, int] = {}
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Take one more fault, at the next place."""
        name = _identity(fault)
        again = self._seen.get(name, 0)
        self._seen[name] = again + 1
        salt = int.from_bytes(blake2b(name + b"#%d" % again, digest_size=8).digest(), "little")
        self._salts.append(_mixed(salt ^ self._seed))
        self._limits.append(round((fault.p or 0) * (1 << 64)))

    def draw(self, place: int, number: int) -> int:
        """Return 64 bits for a fault and a number."""
        return _mixed((self._salts[place] + (number & _MASK) * _STEP) & _MASK)

    def strikes(self, place: int, number: int) -> bool:
        """Say whether a fault with a `p` happens to the thing of this number."""
        return self.draw(place, number) < self._limits[place]


def _identity(fault: Fault) -> bytes:
    """Return what makes a fault itself: all that is said but how often."""
    said = {
        field.name: getattr(fault, field.name)
        for field in msgspec.structs.fields(fault)
        if field.name not in ("p", "times") and getattr(fault, field.name) != field.default
    }
    return name_of(fault).encode() + msgspec.json.encode(said, order="sorted")


def _mixed(bits: int) -> int:
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
