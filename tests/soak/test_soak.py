"""The short form of `make soak`: 20 seconds, 30 faults, a seed of the day it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.soak import soak


@pytest.mark.slow
def test_twenty_seconds_of_faults_lose_nothing(tmp_path: Path):
    result = soak(tmp_path, seed=20261122, seconds=20)

    assert not result.problems, str(result)
    assert len(result.verdict.faults) >= 20, str(result)
