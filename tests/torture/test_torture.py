"""The short, seeded form of each fault goal; `make torture` runs the long ones.

Where a machine cannot do something (no strace, no root, no loop device) the test is skipped and
says why. A failure prints the seed and leaves what it judged.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import (
    captures,
    damage,
    full_disk,
    kills,
    power,
    recorder_kills,
    stalls,
    sweep,
    traced_sweep,
    tracing,
)
from tests.torture.zygote import Zygote

SEED = 20


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    """One process that forks every child of this module."""
    with Zygote() as process:
        yield process


@pytest.fixture
def strace() -> None:
    """Skip where strace cannot inject."""
    if (reason := tracing.why_not()) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("journal", [{}, kills.BLOCK], ids=["write-through", "block"])
def test_1_killed_under_load(zygote: Zygote, tmp_path: Path, journal: dict[str, object]) -> None:
    for kill in kills.chain(zygote, tmp_path, seed=SEED, kills=3, options=dict(journal)):
        kills.hold_to_promise(kill, journal)


def test_1_the_whole_recorder_killed(tmp_path: Path) -> None:
    """`recorder record --append` against a venue, compared with what that one handed over."""
    deaths = recorder_kills.chain(tmp_path, seed=SEED, kills=1)
    assert deaths.stored > 0


@pytest.mark.parametrize("kind", ["kill", "torn", "cut"])
def test_2_and_3_struck_at_a_call(zygote: Zygote, tmp_path: Path, kind: str) -> None:
    """SIGKILL, SIGKILL within a write, and a power cut by POSIX's rules, at every 20th call."""
    first = 1 + SEED % 7
    hits = sweep.sweep_recording(zygote, tmp_path, kind=kind, seed=SEED, first=first, step=20)
    assert hits[-1].outcome.status == 0
    assert len(hits) >= 4


def test_2_killed_at_a_system_call(zygote: Zygote, tmp_path: Path, strace: None) -> None:
    for name, k in (("rename", 3), ("unlink", 1), ("fsync", 9), ("writev", 5)):
        (hit,) = traced_sweep.kill_at_every_call(
            zygote, tmp_path, seed=SEED, calls=[name], first=k, most=1
        )
        assert hit.outcome.status == -9


@pytest.mark.parametrize(("scenario", "kind"), [("compact", "kill"), ("expire", "cut")])
def test_2_upkeep_struck_at_a_call(
    zygote: Zygote, tmp_path: Path, scenario: str, kind: str
) -> None:
    truth = captures.build(tmp_path / "whole", seed=SEED, count=250)
    arguments = {"max_bytes": 20_000} if scenario == "expire" else {}
    runs = sweep.sweep_upkeep(
        zygote,
        tmp_path,
        tmp_path / "whole",
        truth,
        scenario=scenario,
        kind=kind,
        seed=SEED,
        arguments=arguments,
        first=2,
        step=6,
    )
    assert runs > 2


def test_3_power_cut_on_ext4(zygote: Zygote, tmp_path: Path) -> None:
    if (reason := power.why_not(tmp_path)) is not None:
        pytest.skip(reason)
    assert power.cut(zygote, tmp_path, seed=SEED).received > 0


def test_4_disk_full(zygote: Zygote, tmp_path: Path) -> None:
    if (reason := full_disk.why_not(tmp_path)) is not None:
        pytest.skip(reason)
    full = full_disk.fill(zygote, tmp_path, seed=SEED, policy="wait")
    assert full.resumed_ms is not None


@pytest.mark.parametrize(
    ("error", "calls", "cut_after", "options"),
    [
        (errno.EIO, ("fsync", "fdatasync"), 6, {}),
        (errno.EIO, ("write", "writev"), 0, {}),
        (errno.ENOSPC, ("write", "writev", "open"), 0, {"on_disk_full": "wait"}),
    ],
)
def test_5_errors(
    zygote: Zygote,
    tmp_path: Path,
    error: int,
    calls: tuple[str, ...],
    cut_after: int,
    options: dict[str, str],
) -> None:
    hits = sweep.sweep_errors(
        zygote,
        tmp_path,
        seed=SEED,
        error=error,
        calls=calls,
        cut_after=cut_after,
        options=dict(options),
        first=7,
        step=12,
    )
    assert len(hits) > 1


def test_6_a_stalled_disk(zygote: Zygote, tmp_path: Path, strace: None) -> None:
    stall = stalls.stall(zygote, tmp_path, seed=SEED, call="fdatasync", seconds=0.6, lasts=1.0)
    assert stall.received > 0
    assert kills.is_starved() or stall.loop_ms < 300


def test_6_a_disk_whose_call_stalls(zygote: Zygote, tmp_path: Path) -> None:
    """Without strace, which would slow down all the rest."""
    stall = stalls.stall(
        zygote, tmp_path, seed=SEED, call="writev", seconds=0.6, lasts=1.0, by_strace=False
    )
    assert stall.received > 0
    assert kills.is_starved() or stall.loop_ms < 300


@pytest.mark.parametrize("form", ["sealed", "journal", "journal-zstd"])
def test_7_damage_at_rest(tmp_path: Path, form: str) -> None:
    truth = captures.build(
        tmp_path / "whole",
        seed=SEED,
        count=130,
        sealed=form == "sealed",
        compress_journal=form == "journal-zstd",
    )
    files = [
        str(path.relative_to(tmp_path / "whole"))
        for pattern in ("frames/*/*", "journal/*", "checkpoints/*")
        for path in sorted(tmp_path.glob(f"whole/{pattern}"))
    ]
    every = 1_500 if form == "journal" else 400
    for file in files:
        damage.sweep(
            tmp_path / "whole", file, tmp_path, truth, seed=SEED, every=every, bits=1, recoveries=2
        )
