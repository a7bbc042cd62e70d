"""Mutates seeds and watches what becomes of them.

Needs nothing but Python: changes seeds at random, the same way for the same number, and keeps what
it found. tests/properties asks the same of messages that Hypothesis makes up.
"""

from __future__ import annotations

import hashlib
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.fuzz.targets import TARGETS, seeds

SEEDS = Path(__file__).with_name("seeds")
LONGEST_S = 10.0
"""A single input that takes longer is a hang; a thousand of them take less."""
MEMORY_GROWTH = 512 << 20
"""Bytes that a target may add to the process, whatever it was given."""

_PIECES = (
    b'""', b"null", b"-1", b"0", b"1e999", b'"1e5"', b'"NaN"', b"[]", b"{}", b"[[]]", b'"\\u0000"',
    b"9" * 30, b'"' + b"9" * 30 + b'"', b'{"a":' * 70, b"\xff\xfe", b"\x00", b'"snapshot"',
    b'"update"', b'"action":', b'"event":"subscribe",', b"true", b"\n",
)  # fmt: skip


class Hang(Exception):
    """An input took too long."""


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Return some bytes changed in one to four places."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(changed) + 1)
        end = min(len(changed), at + chance.choice((1, 2, 8, 64)))
        match chance.randrange(6):
            case 0:
                changed[at:end] = chance.choice(_PIECES)
            case 1:
                changed[at:end] = b""
            case 2:
                changed[at:at] = changed[at:end] * chance.choice((1, 3, 50))
            case 3 if changed:
                changed[at % len(changed)] ^= 1 << chance.randrange(8)
            case 4:
                other = chance.choice(others)
                begin = chance.randrange(len(other) + 1)
                changed[at:end] = other[begin : begin + chance.choice((4, 40, 400))]
            case _:
                del changed[at if chance.random() < 0.2 else len(changed) :]
    return bytes(changed)


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise `Hang` in whatever takes longer."""

    def ring(_: int, __: FrameType | None) -> None:
        raise Hang(f"longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_one(target: str, data: bytes) -> str | None:
    """Give bytes to a target; return what went wrong, None for nothing."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with no_longer_than(LONGEST_S):
            TARGETS[target](data)
    except (Exception, Hang) as fault:  # noqa: BLE001 - that is what is looked for
        return f"{type(fault).__name__}: {fault}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return f"memory grew by {grown:,} bytes" if grown > MEMORY_GROWTH else None


def fuzz(
    target: str, seed: int, go_on: Callable[[int], bool], *, keep: Path | None = SEEDS
) -> tuple[int, list[str]]:
    """Try seeds, then mutations of them; return how many, and what went wrong."""
    chance, sources = random.Random(f"{target} {seed}"), seeds(target)
    faults: list[str] = []
    tried = 0
    while go_on(tried):
        data = sources[tried] if tried < len(sources) else b""
        if tried >= len(sources):
            data = mutated(chance.choice(sources), chance, sources)
        fault = try_one(target, data)
        tried += 1
        if fault is not None:
            name = f"{target}-{hashlib.blake2b(data, digest_size=6).hexdigest()}"
            faults.append(f"{name}: {fault}")
            if keep is not None:
                (keep / name).write_bytes(data)
            if len(faults) >= 20:
                break
    return tried, faults
