"""Goal: no bytes make a reader raise, hang or eat memory. The short form of `make fuzz`."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from tests.fuzz import fuzzer
from tests.fuzz.fuzzer import SEEDS, fuzz, mutated, try_one
from tests.fuzz.targets import TARGETS, seeds

MUTATIONS = {"parse": 250, "route": 250, "interpreter": 60, "journal": 150, "sealed": 60}


@pytest.mark.parametrize("target", TARGETS)
def test_mutated_bytes_do_no_harm(target: str) -> None:
    wanted = len(seeds(target)) + MUTATIONS[target]
    tried, faults = fuzz(target, 0, lambda n: n < wanted, keep=None)
    assert faults == []
    assert tried == wanted


@pytest.mark.parametrize("path", sorted(SEEDS.iterdir()), ids=lambda path: path.name)
def test_kept_inputs_do_no_harm(path: Path) -> None:
    assert try_one(path.name.split("-")[0], path.read_bytes()) is None


def test_a_fault_and_a_hang_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(data: bytes) -> None:
        assert b"x" not in data

    monkeypatch.setitem(TARGETS, "route", raises)
    assert try_one("route", b"x") is not None
    assert try_one("route", b"y") is None
    _, faults = fuzz("route", 0, lambda n: n < 300, keep=tmp_path)
    assert len(faults) >= len(list(tmp_path.iterdir())) > 0
    monkeypatch.setattr(fuzzer, "LONGEST_S", 0.1)
    monkeypatch.setitem(TARGETS, "route", lambda _: threading.Event().wait(60))
    assert "longer than" in str(try_one("route", b""))


def test_the_same_number_gives_the_same_inputs() -> None:
    def some() -> list[bytes]:
        chance = random.Random(3)
        return [mutated(b"abcdef", chance, [b"123"]) for _ in range(50)]

    assert some() == some()
    assert len(set(some())) > 20
