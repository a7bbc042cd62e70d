"""Goals 2, 3 and 5 by the seam: every call that changes the disk, one after the other.

Responsible for running a scenario with the fault at call 1, 2, 3 … until a run is untouched, and
judging what each leaves; recovery itself is swept likewise.
"""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.frame import Frame
from tests.torture import frames
from tests.torture.checker import Verdict, Wrong, expect, judge
from tests.torture.shim import Fault, clear
from tests.torture.zygote import Experiment, Outcome, Zygote


def sweep_upkeep(
    zygote: Zygote,
    scratch: Path,
    whole: Path,
    truth: list[Frame],
    *,
    scenario: str,
    kind: str,
    seed: int,
    arguments: dict[str, Any] | None = None,
    step: int = 1,
    first: int = 1,
) -> int:
    """Strike a compaction or a retention at each call: no frame that it may keep is gone."""
    runs = 0
    for left, outcome, k in hits(
        zygote,
        scratch,
        scenario=scenario,
        fault=Fault(kind=kind, seed=seed),
        arguments=arguments or {},
        start=whole,
        step=step,
        first=first,
    ):
        runs += 1
        try:
            expect(outcome.status in (0, -9), f"status {outcome.status}: {outcome.said}")
            _judge_upkeep(left, truth, may_begin_later=scenario == "expire")
            again = zygote.run(
                Experiment(scenario=scenario, root=str(left), arguments=arguments or {})
            )
            expect(again.status == 0, f"run again: {again.said}")
            _judge_upkeep(left, truth, may_begin_later=scenario == "expire")
        except Exception as error:
            raise Wrong(
                f"{scenario}, {kind} at call {k} ({outcome.last_call}), seed {seed}: {error!r}; "
                f"left in {left}"
            ) from error
    return runs


def _judge_upkeep(root: Path, truth: list[Frame], *, may_begin_later: bool) -> None:
    found = list(Capture(root).frames())
    expect(found == truth[len(truth) - len(found) :] and found, "other frames than before")
    expect(may_begin_later or len(found) == len(truth), f"{len(found)} of {len(truth)} left")
    report = verify(root)
    expect(report.ok, f"verify: {report.problems[:3]}")


STOPS = ("DiskFull", "RecorderError", "UsageError", "DiskFailed", "TimeoutError")
"""How a recorder may say that it cannot go on."""


class Hit(msgspec.Struct, kw_only=True):
    """One experiment of a sweep: where the fault met it and what was lost."""

    at: int
    call: str
    lost: int
    outcome: Outcome
    verdict: Verdict


def hits(
    zygote: Zygote,
    scratch: Path,
    *,
    scenario: str,
    fault: Fault,
    arguments: dict[str, Any],
    start: Path | None = None,
    step: int = 1,
    first: int = 1,
    limit: int = 100_000,
) -> Iterator[tuple[Path, Outcome, int]]:
    """Yield `(what is left, outcome, k)` for each k, until the fault met no call.

    Args:
        start: a directory to begin with, copied each time.
    """
    for k in range(first, first + limit * step, step):
        root, remains = scratch / "c", scratch / "remains"
        clear(root)
        clear(remains)
        if start is not None:
            shutil.copytree(start, root)
        at = msgspec.structs.replace(fault, at=k, seed=fault.seed + k, remains=str(remains))
        outcome = zygote.run(
            Experiment(scenario=scenario, root=str(root), arguments=arguments, fault=at)
        )
        expect(outcome.status != 99, f"{scenario} hangs with {fault.kind} at {k}")
        left = remains if fault.kind == "cut" and outcome.status == -9 else root
        yield left, outcome, k
        if outcome.calls < k:
            return


def sweep_recording(
    zygote: Zygote,
    scratch: Path,
    *,
    kind: str,
    seed: int,
    count: int = 200,
    step: int = 1,
    first: int = 1,
    **more: Any,
) -> list[Hit]:
    """Kill (or cut the power of) a recorder at each of its calls; judge each remainder.

    Every second remainder's recovery is itself struck at a random call before it may finish.
    """
    found = []
    arguments = {"seed": seed, "count": count, **more}
    rng = random.Random(seed)

    def truth(seq: int) -> Any:
        return frames.frame(seed, seq)

    fault = Fault(kind=kind, seed=seed)
    for left, outcome, k in hits(
        zygote,
        scratch,
        scenario="record",
        fault=fault,
        arguments=arguments,
        step=step,
        first=first,
    ):
        promised = outcome.durable if kind == "cut" else outcome.written
        try:
            if left.is_dir() and k % 2:
                left = _struck_recovery(zygote, left, kind, rng)
            is_clean = outcome.status == 0
            expect(is_clean or outcome.status == -9, f"ended with {outcome.status}")
            verdict = judge(left, truth, at_least=promised, is_clean=is_clean)
        except Exception as error:
            raise Wrong(
                f"{kind} at call {k} ({outcome.last_call}), seed {seed}, {arguments}: {error!r}; "
                f"left in {left}\n{outcome.said}"
            ) from error
        lost = max(outcome.handed + 1 - verdict.next_seq, 0)
        found.append(Hit(at=k, call=outcome.last_call, lost=lost, outcome=outcome, verdict=verdict))
    return found


def _struck_recovery(zygote: Zygote, root: Path, kind: str, rng: random.Random) -> Path:
    """Start a recovery that dies at a random call; return what it leaves."""
    if not (root / "capture.json").is_file():
        return root
    remains = root.with_name("struck")
    clear(remains)
    fault = Fault(
        kind=kind, at=rng.randrange(1, 40), seed=rng.randrange(1 << 30), remains=str(remains)
    )
    outcome = zygote.run(Experiment(scenario="recover", root=str(root), fault=fault))
    expect(outcome.status in (0, -9), f"recovery ended with {outcome}")
    return remains if kind == "cut" and outcome.status == -9 else root


def sweep_errors(
    zygote: Zygote,
    scratch: Path,
    *,
    seed: int,
    error: int,
    calls: tuple[str, ...] | None = None,
    spell: int = 1,
    cut_after: int = 0,
    count: int = 200,
    step: int = 1,
    first: int = 1,
    options: dict[str, Any] | None = None,
    pause_s: float = 0.0,
) -> list[Hit]:
    """Let the system refuse `spell` calls from the k-th on; judge how the recorder ended.

    It either records everything (the disk came back), or says that it stopped; what it dropped is
    declared to the frame, and nothing published as durable is gone, though the power is cut
    `cut_after` calls later.
    """
    found = []
    arguments = {"seed": seed, "count": count, "options": options or {}, "pause_s": pause_s}
    for k in range(first, 100_000, step):
        root, remains = scratch / "c", scratch / "remains"
        clear(root)
        clear(remains)
        fault = Fault(
            kind="error",
            at=k,
            calls=calls,
            error=error,
            lasting=spell != 1,
            spell=0 if spell < 0 else spell,
            cut_at=k + cut_after if cut_after else 0,
            seed=seed + k,
            remains=str(remains),
        )
        outcome = zygote.run(
            Experiment(scenario="record", root=str(root), arguments=arguments, fault=fault)
        )
        try:
            verdict = _judge_error(root, remains, outcome, seed)
        except Exception as wrong:
            raise Wrong(
                f"{errno.errorcode[error]} x{spell} at call {k} ({outcome.last_call}), "
                f"cut_after={cut_after} calls={calls} seed {seed}, {options}: {wrong!r}; left in "
                f"{scratch}\n{outcome.said[-1500:]}"
            ) from wrong
        lost = max(outcome.handed + 1 - verdict.next_seq, 0) + verdict.declared
        found.append(Hit(at=k, call=outcome.last_call, lost=lost, outcome=outcome, verdict=verdict))
        if outcome.calls < k:
            break
    return found


def _judge_error(root: Path, remains: Path, outcome: Outcome, seed: int) -> Verdict:
    def truth(seq: int) -> Any:
        return frames.frame(seed, seq)

    if outcome.status == -9:  # the power was cut
        return judge(remains, truth, at_least=outcome.durable)
    expect(outcome.status in (0, 9), f"ended with {outcome.status}")
    if outcome.status == 9:
        kind = outcome.said.split(":")[0]
        expect(kind in STOPS, f"stopped by {kind}, which is no sentence for a user")
        if not (root / "capture.json").is_file():
            return Verdict()
        return judge(root, truth, at_least=outcome.durable)
    verdict = judge(root, truth, at_least=-1)
    dropped = sum(count for _, count in msgspec.json.decode(outcome.said))
    expect(verdict.declared == dropped, f"{verdict.declared} declared, {dropped} told")
    expect(
        verdict.kept + verdict.declared == outcome.handed + 1,
        f"{verdict.kept} kept and {verdict.declared} lost of {outcome.handed + 1}",
    )
    return verdict
