"""The goals of a long torture, and how each fills its share of the time.

Responsible for drawing experiments by seed until a goal's time is over, and for going on with the
next goal after a broken promise. Refuses to judge: each goal's module does.
"""

from __future__ import annotations

import errno
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from rich.console import Console

from tests.torture import (
    captures,
    damage,
    full_disk,
    kills,
    power,
    readers,
    recorder_kills,
    stalls,
    sweep,
    traced_sweep,
    tracing,
)
from tests.torture.checker import Wrong
from tests.torture.report import Result
from tests.torture.zygote import Zygote


class Torture:
    """One goal's time: where it works, its seeds, and how long it may go on."""

    def __init__(self, scratch: Path, seed: int, seconds: float, console: Console) -> None:
        self.scratch = scratch
        self.rng = random.Random(seed)
        self.console = console
        self.begun = time.monotonic()
        self.until = self.begun + seconds
        self.zygote = Zygote()

    def __enter__(self) -> Torture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.zygote.__exit__(kind, error, trace)

    def run(self, goal: Goal) -> Result:
        """Run experiments of a goal until its time is over."""
        result = Result(goal=goal.number, title=goal.title, frames=[], ms=[], figures={}, wrong=[])
        place = self.scratch / f"goal-{goal.number}{goal.title[:8].strip().replace(' ', '-')}"
        place.mkdir(parents=True)
        self.scratch = place
        reason = goal.why_not(place)
        if reason is not None:
            result.skipped = reason
        try:
            while reason is None and time.monotonic() < self.until and len(result.wrong) < 3:
                try:
                    goal.once(self, result)
                except Wrong as wrong:
                    self._keep_evidence(place, result, str(wrong))
                except Exception as error:  # noqa: BLE001 - a reader that raises is a promise broken
                    self._keep_evidence(place, result, repr(error))
        finally:
            result.seconds = time.monotonic() - self.begun
        self.console.print(
            f"goal {goal.number:>2}  {result.runs:6,} runs  {result.seconds:5.0f} s  "
            f"{len(result.wrong)} broken  {goal.title}"
        )
        return result

    @staticmethod
    def _keep_evidence(place: Path, result: Result, sentence: str) -> None:
        evidence = place.with_name(f"{place.name}-wrong-{len(result.wrong) + 1}")
        result.wrong.append(f"{sentence}; kept in {evidence}")
        shutil.move(place, evidence)
        place.mkdir()

    def seed(self) -> int:
        """Draw the seed of the next experiment."""
        return self.rng.randrange(1, 1 << 30)


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A goal: its number in the list, share of the time, experiment, and what it needs."""

    number: str
    title: str
    share: float
    once: Callable[[Torture, Result], None]
    why_not: Callable[[Path], str | None] = lambda _: None


def _no_strace(_: Path) -> str | None:
    return tracing.why_not()


def _kills(options: dict[str, Any]) -> Callable[[Torture, Result], None]:
    def once(torture: Torture, result: Result) -> None:
        for kill in kills.chain(
            torture.zygote,
            torture.scratch,
            seed=torture.seed(),
            kills=25,
            options=options,
            until=torture.until,
        ):
            result.lost(kill.lost, kill.lost_ms)
            result.worst("turns lost", kill.lost_turns)
            result.worst("frames received", kill.received)
            kills.hold_to_promise(kill, options)

    return once


def _system_calls(torture: Torture, result: Result) -> None:
    hits = traced_sweep.kill_at_every_call(
        torture.zygote, torture.scratch, seed=torture.seed(), until=torture.until
    )
    for hit in hits:
        result.lost(hit.lost)


def _seam(kind: str) -> Callable[[Torture, Result], None]:
    def once(torture: Torture, result: Result) -> None:
        step = torture.rng.randrange(3, 9)
        for hit in sweep.sweep_recording(
            torture.zygote,
            torture.scratch,
            kind=kind,
            seed=torture.seed(),
            first=torture.rng.randrange(1, step + 1),
            step=step,
        ):
            result.lost(hit.lost)

    return once


def _power(torture: Torture, result: Result) -> None:
    options: dict[str, Any] = torture.rng.choice(({}, kills.BLOCK, {"sync_ms": 50}))
    cut = power.cut(torture.zygote, torture.scratch, seed=torture.seed(), options=options)
    result.lost(cut.lost, cut.lost_ms)


def _full(torture: Torture, result: Result) -> None:
    policy, overflow = torture.rng.choice(
        (("stop", False), ("wait", False), ("wait", True), ("ring", False))
    )
    full = full_disk.fill(
        torture.zygote, torture.scratch, seed=torture.seed(), policy=policy, overflow=overflow
    )
    result.lost(full.lost)
    if full.resumed_ms is not None:
        result.worst("resumed after ms", full.resumed_ms)
    result.worst("loop late ms", full.loop_ms)


def _refusals() -> Iterator[dict[str, Any]]:
    syncs, writes = ("fsync", "fdatasync"), ("write", "writev")
    room = ("write", "writev", "open", "mkdir", "posix_fallocate")
    yield {"error": errno.EIO, "calls": syncs}
    yield {"error": errno.EIO, "calls": syncs, "cut_after": 6}
    yield {"error": errno.EIO, "calls": writes}
    yield {"error": errno.EIO, "calls": ("rename", "replace")}
    yield {"error": errno.EIO, "calls": ("open",)}
    yield {"error": errno.EIO, "cut_after": 9}
    yield {"error": errno.EIO, "spell": 3}
    yield {"error": errno.EIO, "spell": -1}
    yield {"error": errno.ENOSPC, "calls": room, "spell": -1}
    for policy in ("wait", "ring"):
        yield {
            "error": errno.ENOSPC,
            "calls": room,
            "spell": 4,
            "options": {"on_disk_full": policy},
        }


def _errors(torture: Torture, result: Result) -> None:
    step = torture.rng.randrange(4, 9)
    chosen = torture.rng.choice(list(_refusals()))
    hits = sweep.sweep_errors(
        torture.zygote,
        torture.scratch,
        seed=torture.seed(),
        first=torture.rng.randrange(1, step + 1),
        step=step,
        **chosen,
    )
    for hit in hits:
        result.lost(hit.lost)
    result.worst("stopped of a sweep", sum(hit.outcome.status == 9 for hit in hits))


def _stalls(torture: Torture, result: Result) -> None:
    by_strace = not result.runs % 3 and tracing.why_not() is None
    last = "fsync" if by_strace else "sync_directory"
    call = torture.rng.choice(("fdatasync", "writev", last))
    seconds = torture.rng.choice((0.5, 1.5, 4.0))
    stall = stalls.stall(
        torture.zygote,
        torture.scratch,
        seed=torture.seed(),
        call=call,
        seconds=seconds,
        lasts=2.0 + seconds,
        by_strace=by_strace,
    )
    result.lost(0)
    beside = "beside strace, " if by_strace else ""
    result.worst(f"{beside}loop late ms", stall.loop_ms)
    result.worst("peak MB", stall.peak_mb)


def _recorders(torture: Torture, result: Result) -> None:
    deaths = recorder_kills.chain(
        torture.scratch, seed=torture.seed(), kills=12, until=torture.until
    )
    result.runs += deaths.kills
    result.worst("while starting, of a chain", deaths.while_starting)
    result.worst("handed over by the venue, of a chain", deaths.handed)
    result.worst("not stored, of a chain", deaths.cut)


def _damage(torture: Torture, result: Result) -> None:
    seed = torture.seed()
    form = torture.rng.choice(("sealed", "journal", "journal-zstd"))
    whole = torture.scratch / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    truth = captures.build(
        whole,
        seed=seed,
        count=130,
        sealed=form == "sealed",
        compress_journal=form == "journal-zstd",
    )
    places = [
        p for pattern in ("frames/*/*", "journal/*", "checkpoints/*") for p in whole.glob(pattern)
    ]
    file = str(torture.rng.choice(sorted(places)).relative_to(whole))
    found = damage.sweep(
        whole, file, torture.scratch, truth, seed=seed, every=7, bits=3, until=torture.until
    )
    result.runs += found.flips + found.cuts
    result.worst("slowest ms", found.slowest_ms)


def _readers(torture: Torture, result: Result) -> None:
    left = max(torture.until - time.monotonic(), 4.0)
    reading = readers.read_meanwhile(
        torture.zygote, torture.scratch, seed=torture.seed(), seconds=min(left * 0.95, 600.0)
    )
    result.lost(0)
    for name in ("scans", "queries", "joined", "expired", "sealers_killed"):
        result.worst(name.replace("_", " "), getattr(reading, name))


def _upkeep(torture: Torture, result: Result) -> None:
    seed, whole = torture.seed(), torture.scratch / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    truth = captures.build(whole, seed=seed, count=250)
    scenario = torture.rng.choice(("compact", "expire"))
    size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    result.runs += sweep.sweep_upkeep(
        torture.zygote,
        torture.scratch,
        whole,
        truth,
        scenario=scenario,
        kind=torture.rng.choice(("kill", "torn", "cut")),
        seed=seed,
        arguments={"max_bytes": size // 2} if scenario == "expire" else {},
    )


GOALS = (
    Goal(number="1", title="SIGKILL under load, write-through", share=15, once=_kills({})),
    Goal(number="1", title="block journal, SIGKILL under load", share=15, once=_kills(kills.BLOCK)),
    Goal(number="1", title="recorder record against a venue", share=8, once=_recorders),
    Goal(
        number="2",
        title="SIGKILL at every system call",
        share=16,
        once=_system_calls,
        why_not=_no_strace,
    ),
    Goal(number="2", title="torn writes, SIGKILL in the middle", share=5, once=_seam("torn")),
    Goal(number="2", title="compaction, retention struck at every call", share=4, once=_upkeep),
    Goal(number="3", title="power cut by POSIX's rules", share=7, once=_seam("cut")),
    Goal(
        number="3",
        title="ext4 on a loop device, power cut",
        share=12,
        once=_power,
        why_not=power.why_not,
    ),
    Goal(
        number="4", title="disk full, each policy", share=8, once=_full, why_not=full_disk.why_not
    ),
    Goal(number="5", title="EIO and ENOSPC at every call", share=8, once=_errors),
    Goal(number="6", title="stalls of the disk", share=5, once=_stalls),
    Goal(number="7", title="damage at rest", share=6, once=_damage),
    Goal(number="11", title="readers meanwhile", share=5, once=_readers),
)
