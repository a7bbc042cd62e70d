"""The short, seeded form of each fault goal; `make torture` runs the long ones.

Where a machine cannot do something (no strace, no root, no loop device) the test is skipped and
says why. A failure prints the seed and leaves what it judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture import captures, damage, kills, sweep, traced_sweep, tracing
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


@pytest.mark.parametrize("kind", ["kill", "torn", "cut"])
def test_2_and_3_struck_at_a_call(zygote: Zygote, tmp_path: Path, kind: str) -> None:
    """SIGKILL, SIGKILL within a write, and a power cut by POSIX's rules, at every 14th call."""
    first = 1 + SEED % 14
    hits = sweep.sweep_recording(zygote, tmp_path, kind=kind, seed=SEED, first=first, step=14)
    assert hits[-1].outcome.status == 0
    assert len(hits) >= 6


def test_2_killed_at_a_system_call(zygote: Zygote, tmp_path: Path, strace: None) -> None:
    for name, k in (("rename", 3), ("unlink", 1), ("fsync", 9), ("writev", 5)):
        (hit,) = traced_sweep.kill_at_every_call(
            zygote, tmp_path, seed=SEED, calls=[name], first=k, most=1
        )
        assert hit.outcome.status == -9


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
