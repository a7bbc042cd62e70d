"""Goal 7: every bit flipped, every length cut, of everything that holds data.

Responsible for damaging one file of a small capture at a time and judging: `verify` finds it, no
reader gives a wrong frame, recovery keeps what is whole, names the rest, and verifies clean.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.capture.verify import verify
from recorder.errors import Damage
from recorder.frame import Frame, Kind
from tests.torture.checker import Wrong, compare, expect
from tests.torture.shim import clear


class Damaged(msgspec.Struct, kw_only=True):
    """What a sweep over one file found.

    Attributes:
        slowest_ms: the longest judgement of one damage.
    """

    file: str
    flips: int = 0
    cuts: int = 0
    slowest_ms: float = 0.0


def damages(
    size: int, rng: random.Random, *, every: int, bits: int
) -> Iterator[tuple[str, int, int]]:
    """Yield `(what, position, bit)`: flips of `bits` bits of every n-th byte, and cuts there."""
    for at in range(rng.randrange(every), size, every):
        for bit in rng.sample(range(8), bits):
            yield "flip", at, bit
        yield "cut", at, 0


def sweep(
    whole: Path,
    file: str,
    scratch: Path,
    truth: list[Frame],
    *,
    seed: int,
    every: int = 1,
    bits: int = 8,
    recoveries: int = 12,
    until: float = float("inf"),
) -> Damaged:
    """Damage one file of a whole capture in every way; judge each.

    Args:
        file: relative to the capture.
    """
    found = Damaged(file=file)
    root = scratch / "damaged"
    clear(root)
    shutil.copytree(whole, root)
    path = root / file
    content = path.read_bytes()
    is_journal = file.startswith("journal/")
    boundaries = _boundaries(content) if is_journal else set[int]()
    rng = random.Random(seed)
    for what, at, bit in damages(len(content), rng, every=every, bits=bits):
        if time.monotonic() > until:
            break
        begun = time.monotonic()
        bad = (
            content[:at]
            if what == "cut"
            else content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        )
        path.write_bytes(bad)
        try:
            _judge(root, truth, must_be_found=not (what == "cut" and at in boundaries))
        except Exception as error:
            where = f"bit {bit} of byte {at}" if what == "flip" else f"cut at {at}"
            raise Wrong(f"{file}, {where}, seed {seed}: {error!r}; left in {root}") from error
        found.flips += what == "flip"
        found.cuts += what == "cut"
        found.slowest_ms = max(found.slowest_ms, (time.monotonic() - begun) * 1e3)
    if is_journal:
        _sweep_recovery(whole, file, scratch, truth, rng, recoveries, until)
    return found


def _boundaries(journal: bytes) -> set[int]:
    """Return where a journal may end as if its recorder had been killed between two writes."""
    found, at = {len(journal)}, journal.find(b"\xabBLK")
    while at >= 0:
        found.add(at)
        at = journal.find(b"\xabBLK", at + 1)
    return found


def _judge(root: Path, truth: list[Frame], *, must_be_found: bool) -> None:
    report = verify(root)
    if must_be_found:
        expect(not report.ok, "verify calls it whole")
    read = ReadReport()
    for frame in Capture(root).frames(report=read):
        expect(frame == truth[frame.seq], f"a wrong frame: {frame!r:.200}")
    try:
        strict = list(Capture(root).frames())
    except Damage:
        return
    expect(strict == truth[: len(strict)], "a wrong frame, read strictly")


def _sweep_recovery(
    whole: Path,
    file: str,
    scratch: Path,
    truth: list[Frame],
    rng: random.Random,
    recoveries: int,
    until: float,
) -> None:
    """Recover from a seeded choice of damages; what comes out is whole, sums, and stays."""
    content = (whole / file).read_bytes()
    root = scratch / "recovered"
    for _ in range(recoveries):
        if time.monotonic() > until:
            return
        clear(root)
        shutil.copytree(whole, root)
        at, length = rng.randrange(len(content)), rng.choice((1, 1, 100, 4_000))
        bad = bytearray(content)
        bad[at : at + length] = rng.randbytes(len(bad[at : at + length]))
        (root / file).write_bytes(bytes(bad))
        try:
            readable = {frame.seq for frame in Capture(root).frames(report=ReadReport())}
            recover(root)
            verdict = compare(root, lambda seq: truth[seq])
            after = verify(root)
            expect(after.ok, f"verify after recovery: {after.problems[:2]}")
            kept = {f.seq for f in Capture(root).frames() if f.kind is not Kind.LOST}
            expect(readable <= kept, f"recovery lost {sorted(readable - kept)[:5]}")
            unknown = any(row.count is None for row in verdict.rows)
            expect(
                unknown or verdict.declared == len(truth) - verdict.kept,
                f"{verdict.declared} declared, {len(truth) - verdict.kept} missing",
            )
        except Exception as error:
            raise Wrong(
                f"{file}, {length} bytes at {at}, recovered: {error!r}; left in {root}"
            ) from error
