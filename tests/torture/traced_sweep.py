"""Goals 2 and 5 by strace: the real system call, one name and one k after the other.

Responsible for running a scenario with SIGKILL (or an error) at the first, second … call of each
name until a run is untouched, and for judging what each leaves.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.torture import frames
from tests.torture.checker import Wrong, expect, judge
from tests.torture.shim import clear
from tests.torture.sweep import Hit
from tests.torture.tracing import CALLS, run
from tests.torture.zygote import Experiment, Zygote


def kill_at_every_call(
    zygote: Zygote,
    scratch: Path,
    *,
    seed: int,
    count: int = 130,
    calls: Iterable[str] = CALLS,
    first: int = 1,
    step: int = 1,
    most: int = 10_000,
    until: float = float("inf"),
) -> list[Hit]:
    """Kill a recorder at each of its system calls; judge; kill each second one's recovery, too."""
    found = []
    arguments: dict[str, Any] = {"seed": seed, "count": count}
    for name in calls:
        for k in range(first, first + most * step, step):
            if time.monotonic() > until:
                return found
            root = scratch / "c"
            clear(root)
            injection = f"{name}:signal=SIGKILL:when={k}"
            outcome = run(
                zygote,
                Experiment(scenario="record", root=str(root), arguments=arguments),
                injection,
            )
            where = f"SIGKILL at {name} {k} ({outcome.last_call}), seed {seed}"
            try:
                expect(outcome.status in (0, -9), f"status {outcome.status}: {outcome.said}")
                if k % 2 and (root / "capture.json").is_file():
                    again = f"{name}:signal=SIGKILL:when={1 + k % 5}"
                    run(zygote, Experiment(scenario="recover", root=str(root)), again)
                verdict = judge(
                    root,
                    lambda seq: frames.frame(seed, seq),
                    at_least=outcome.written,
                    is_clean=outcome.status == 0,
                )
            except Exception as error:
                raise Wrong(f"{where}: {error!r}; left in {root}") from error
            lost = max(outcome.handed + 1 - verdict.next_seq, 0)
            found.append(Hit(at=k, call=name, lost=lost, outcome=outcome, verdict=verdict))
            if outcome.status == 0:
                break
    return found


def recover_killed_at_every_call(
    zygote: Zygote,
    scratch: Path,
    left: Path,
    *,
    seed: int,
    calls: Iterable[str] = CALLS,
    most: int = 10_000,
) -> int:
    """Kill the recovery of `left` at each of its system calls; each must then still converge."""
    strikes = 0
    for name in calls:
        for k in range(1, most + 1):
            root = scratch / "r"
            clear(root)
            shutil.copytree(left, root)
            experiment = Experiment(scenario="recover", root=str(root))
            outcome = run(zygote, experiment, f"{name}:signal=SIGKILL:when={k}")
            try:
                expect(outcome.status in (0, -9), f"status {outcome.status}: {outcome.said}")
                judge(root, lambda seq: frames.frame(seed, seq), at_least=-1)
            except Exception as error:
                raise Wrong(f"recovery killed at {name} {k}: {error!r}; left in {root}") from error
            strikes += 1
            if outcome.status == 0:
                break
    return strikes
