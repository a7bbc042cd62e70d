"""Goal 1: SIGKILL at a random moment under load, again and again on one capture.

Responsible for the plan (seeded), for killing recorders, their recoveries and their sealers, and
for how much each kill cost: frames, event-loop turns and the age of the oldest frame lost.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture import layout
from recorder.capture.journal import FILE_HEADER
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.frame import Kind
from tests.torture.checker import Wrong, expect, judge
from tests.torture.receiver import Log
from tests.torture.shim import clear
from tests.torture.zygote import Experiment, Zygote

BLOCK = {"journal": "block", "flush_ms": 50}


class Kill(msgspec.Struct, kw_only=True):
    """One kill: how many frames, turns and milliseconds it cost.

    Attributes:
        received: frames stamped by then. lost_ms: age of the oldest lost frame at the kill.
        at_roll: the newest journal held no frame yet.
    """

    received: int
    lost: int
    lost_turns: int
    lost_ms: float
    during: str
    at_roll: bool = False


def chain(
    zygote: Zygote,
    scratch: Path,
    *,
    seed: int,
    kills: int,
    rate: int = 2_000,
    options: dict[str, Any] | None = None,
    until: float = float("inf"),
) -> list[Kill]:
    """Kill a recorder `kills` times, continuing the capture each time; judge it at the end."""
    root, path = scratch / "capture", scratch / "log"
    clear(root)
    path.unlink(missing_ok=True)
    log = Log(path)
    rng = random.Random(seed)
    found: list[Kill] = []
    first = 0
    try:
        for _ in range(kills):
            kill = _one(zygote, root, path, log, seed, rng, rate, options or {}, first)
            found.append(kill)
            if rng.random() < 0.3 and (root / layout.CAPTURE_FILE).exists():
                recover(root)  # else the next recorder does
            first = _next_seq(root, first)
            if time.monotonic() > until:
                break
        judge(root, lambda seq: log.truth(seed, seq), at_least=-1)
    except AssertionError as error:
        raise Wrong(
            f"kills, seed {seed}, {options}, kill {len(found)}, in {scratch}: {error}"
        ) from error
    finally:
        log.close()
    return found


def _one(
    zygote: Zygote,
    root: Path,
    path: Path,
    log: Log,
    seed: int,
    rng: random.Random,
    rate: int,
    options: dict[str, Any],
    first: int,
) -> Kill:
    """Start a recorder, kill it at a random moment, compare what is left with what it received."""
    during = rng.choices(("load", "start", "sealer first"), (8, 2, 1))[0]
    log.publish(first - 1, first - 1, first - 1, 0, 0, 0)
    arguments = {
        "log": str(path),
        "seed": seed,
        "rate": rate,
        "seconds": 20.0,
        "append": root.exists(),
        "options": options,
    }
    pid = zygote.start(
        Experiment(scenario="receive", root=str(root), arguments=arguments, shim=False)
    )
    zygote.release()
    if during == "start":
        time.sleep(rng.random() * 0.3)
    else:
        _wait_for(lambda: log.marks()[0] >= first, pid)
        time.sleep(0.05 + rng.random() * 1.2)
    if during == "sealer first":
        for child in sealers_of(pid):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.1 + rng.random() * 0.5)
    at = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    outcome = zygote.outcome()
    expect(outcome.status == -9, f"ended with {outcome.status}: {outcome.said}")
    at_roll = _is_rolling(root)
    received, written, *_ = log.marks()
    following = _compare(root, log, seed, first)
    expect(following > written, f"frame {written} was published as written, {following} is next")
    lost = max(received + 1 - following, 0)
    turns, oldest = 0, 0.0
    if lost:
        oldest = (at - log.moment(following)[0]) / 1e6
        turns = log.moment(received)[1] - log.moment(following)[1] + 1
    return Kill(
        received=max(received + 1 - first, 0),
        lost=lost,
        lost_turns=turns,
        lost_ms=oldest,
        during=during,
        at_roll=at_roll,
    )


def _is_rolling(root: Path) -> bool:
    journals = layout.list_journals(root)
    return bool(journals) and (
        layout.journal_path(root, journals[-1]).stat().st_size <= FILE_HEADER.size
    )


def _compare(root: Path, log: Log, seed: int, first: int) -> int:
    """Compare the frames of this run with what was received; return the number after the last."""
    following = first
    if not (root / layout.CAPTURE_FILE).exists():
        return following
    for frame in Capture(root).frames(first_seq=first, report=ReadReport()):
        expect(frame.seq == following, f"frame {frame.seq} follows {following - 1}")
        following = frame.seq + 1
        if frame.kind is Kind.LOST:
            continue
        sent = log.truth(seed, frame.seq)
        expect(frame == sent, f"frame {frame.seq} is {frame!r:.200}, received {sent!r:.200}")
    return following


def _next_seq(root: Path, first: int) -> int:
    """Return a number below which all has been compared."""
    is_capture = (root / layout.CAPTURE_FILE).exists()
    for source in reversed(Capture(root).snapshot().sealed if is_capture else ()):
        return max(first, source.last_seq + 1)
    return first


def _wait_for(ready: Callable[[], bool], pid: int) -> None:
    end = time.monotonic() + 15
    while not ready():
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            raise Wrong(f"recorder {pid} received nothing for 15 s")
        time.sleep(0.002)


def sealers_of(pid: int) -> list[int]:
    """Return the sealer processes of a recorder."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"recorder.capture.sealing.sealer" in command:
                found.append(int(child))
    return found


def is_starved() -> bool:
    """Tell whether others use this machine so much that threads wait for a processor.

    Then the writer's thread comes late, which costs frames, but says nothing about the recorder.
    """
    return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)


def hold_to_promise(kill: Kill, options: dict[str, Any]) -> None:
    """Raise where a kill cost more than the journal's mode allows."""
    if is_starved():
        return
    if options.get("journal") == "block":
        limit = float(options["flush_ms"]) + 20
        expect(kill.lost_ms <= limit, f"{kill} lost more than {limit} ms")
    else:
        expect(kill.lost_turns <= 1, f"{kill} lost more than one turn of the event loop")
