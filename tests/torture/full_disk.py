"""Goal 4: the disk fills up at a random moment, and has room again: a small tmpfs, each policy.

Responsible for filling and emptying it under a recorder at full speed, and for adding up: kept and
declared frames are those received, to the frame. Needs root, for the mount.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture.writing.backlog import FRAME_BYTES
from tests.torture.checker import Wrong, expect, judge
from tests.torture.kills import is_starved
from tests.torture.receiver import Log
from tests.torture.zygote import Experiment, Zygote

_SIZE = 64 << 20
_RESERVE = 4 << 20
MEMORY = 16 << 20
"""`wait_bytes` of the runs that are to overflow, the least there is."""
RESUME_MS = 1_000.0
"""After room returned, writing goes on within this; the recorder looks ten times a second."""
_LONG_S = 12.0
"""How long the sender goes on where memory is to overflow: long enough on a slow machine."""


class Full(msgspec.Struct, kw_only=True):
    """One full disk.

    Attributes:
        resumed_ms: from room to the next written frame; None where the policy was to stop.
        loop_ms: the longest the event loop was late.
    """

    policy: str
    received: int
    lost: int
    resumed_ms: float | None
    loop_ms: float


def why_not(scratch: Path) -> str | None:
    """Return why this machine cannot mount a small tmpfs, None if it can."""
    if os.geteuid():
        return "needs root"
    place = scratch / "small"
    try:
        mount(place)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"cannot mount a tmpfs: {error}"
    unmount(place)
    return None


def mount(place: Path) -> None:
    """Mount an empty small disk."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(place)]
    subprocess.run(command, check=True, capture_output=True)


def unmount(place: Path) -> None:
    """Unmount it."""
    subprocess.run(["umount", "-l", str(place)], capture_output=True)


def fill(zygote: Zygote, scratch: Path, *, seed: int, policy: str, overflow: bool = False) -> Full:
    """Record until the disk is full, give room again where the policy waits for it; judge."""
    rng = random.Random(seed)
    place, path = scratch / "small", scratch / "log"
    mount(place)
    path.unlink(missing_ok=True)
    log = Log(path)
    is_rolling = rng.random() < 0.4
    options: dict[str, Any] = {
        "on_disk_full": policy,
        "sync_ms": 50,
        "segment_seconds": 0.25 if is_rolling else 60.0,
    }
    if overflow:
        options["wait_bytes"] = MEMORY
    try:
        filler = place / "filler"
        # What is sealed takes a fifth of its journal: a rolling recorder fills a disk slowly.
        room = _RESERVE + rng.randrange(100_000, 400_000 if is_rolling else 1_500_000)
        filler.write_bytes(bytes(_SIZE - room))
        arguments = {
            "log": str(path),
            "seed": seed,
            "rate": 14_000 if overflow else 3_000,
            "seconds": _LONG_S if overflow else 4.0 if policy == "stop" else 3.5,
            "append": False,
            "options": options,
        }
        root = place / "capture"
        zygote.start(
            Experiment(scenario="receive", root=str(root), arguments=arguments, shim=False)
        )
        zygote.release()
        resumed = None if policy == "stop" else _give_room(log, filler, rng, overflow)
        outcome = zygote.outcome()
        received = log.marks()[0]
        if policy == "stop":
            expect(outcome.said.startswith("DiskFull"), f"{policy} ended with {outcome.said}")
        else:
            expect(outcome.status == 0, f"{policy} ended with {outcome.said}")
        filler.unlink(missing_ok=True)
        verdict = judge(root, lambda seq: log.truth(seed, seq), at_least=log.marks()[2])
        lost = received + 1 - verdict.kept
        if policy != "stop":
            expect(verdict.declared == lost, f"{verdict.declared} declared, {lost} lost")
            expect(
                is_starved() or resumed is None or resumed <= RESUME_MS,
                f"writing went on {resumed} ms after room returned, expected {RESUME_MS}",
            )
        if overflow:
            expect(lost > 0, "nothing was dropped: the memory did not run over")
            expect(all(row.cause == "disk full" for row in verdict.rows), f"{verdict.rows}")
        return Full(
            policy=policy,
            received=received + 1,
            lost=lost,
            resumed_ms=resumed,
            loop_ms=log.marks()[5] / 1e6,
        )
    except AssertionError as error:
        raise Wrong(f"full disk, seed {seed}, {options}: {error}") from error
    finally:
        unmount(place)
        log.close()


def _give_room(log: Log, filler: Path, rng: random.Random, overflow: bool) -> float:
    """Wait until nothing is written any more, then make room; return how long it took, ms."""
    begun = time.monotonic()
    end = begun + 60
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < 0.3 and time.monotonic() < end:
        written = log.marks()[1]
        if written != seen or written < 0:
            seen, since = written, time.monotonic()
        time.sleep(0.005)
    while overflow and time.monotonic() < begun + _LONG_S:
        received, written, *_ = log.marks()
        if (received - written) * FRAME_BYTES > MEMORY * 1.1:  # and the payloads beside
            break
        time.sleep(0.02)
    time.sleep(rng.random() * 0.5)
    seen = log.marks()[1]
    filler.unlink()
    begun = time.monotonic()
    while log.marks()[1] <= seen and time.monotonic() < end:
        time.sleep(0.002)
    expect(log.marks()[1] > seen, "nothing was written after the disk had room again")
    return (time.monotonic() - begun) * 1e3
