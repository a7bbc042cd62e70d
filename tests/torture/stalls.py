"""Goal 6: a disk that stalls: the k-th fdatasync or writev takes seconds.

Responsible for the delay (by strace, which slows every other system call of the recorder as well;
or in the call itself, where nothing but the stall can make the event loop late), and for how late
the event loop ran and how much memory the recorder took meanwhile. Nothing is lost: a stall is
shorter than the queue.
"""

from __future__ import annotations

import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from tests.torture.checker import Wrong, expect, judge
from tests.torture.receiver import Log
from tests.torture.shim import clear
from tests.torture.tracing import Tracer
from tests.torture.zygote import Experiment, Zygote


class Stall(msgspec.Struct, kw_only=True):
    """One stall: loop_ms is how late the event loop ran at worst, peak_mb the recorder's memory."""

    call: str
    seconds: float
    received: int
    loop_ms: float
    turn_ms: float
    peak_mb: float


def stall(
    zygote: Zygote,
    scratch: Path,
    *,
    seed: int,
    call: str,
    seconds: float,
    rate: int = 2_000,
    lasts: float = 3.0,
    options: dict[str, Any] | None = None,
    by_strace: bool = True,
) -> Stall:
    """Record while one thread's k-th call of a name hangs; everything must be there in the end.

    Args:
        by_strace: else the call waits by itself, of `Disk`'s: fdatasync, writev, sync_directory.
    """
    rng = random.Random(seed)
    root, path = scratch / "capture", scratch / "log"
    clear(root)
    path.unlink(missing_ok=True)
    log = Log(path)
    arguments = {
        "log": str(path),
        "seed": seed,
        "rate": rate,
        "seconds": lasts,
        "append": False,
        "options": options or {},
    }
    k = rng.randrange(2, 6)
    if not by_strace:
        arguments["stall"] = (call, k, seconds)
    try:
        pid = zygote.start(
            Experiment(scenario="receive", root=str(root), arguments=arguments, shim=False)
        )
        delay = f"{call}:delay_enter={int(seconds * 1e6)}:when={k}"
        with Tracer(pid, delay) if by_strace else nullcontext():
            zygote.release()
            outcome = zygote.outcome()
        expect(outcome.status == 0, f"ended with {outcome.said}")
        received, _, _, _, slowest, late = log.marks()
        judge(root, lambda seq: log.truth(seed, seq), at_least=received, is_clean=True)
        return Stall(
            call=call,
            seconds=seconds,
            received=received + 1,
            loop_ms=late / 1e6,
            turn_ms=slowest / 1e6,
            peak_mb=float(outcome.said.split()[-1]),
        )
    except AssertionError as error:
        raise Wrong(f"{call} delayed {seconds} s, seed {seed}, {options}: {error}") from error
    finally:
        log.close()
