"""Goal: percentiles are those of the values, to a sixteenth, in constant memory."""

from __future__ import annotations

import random

import pytest

from replay.lateness import Lateness


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_those_of_the_values(seed: int) -> None:
    rng = random.Random(seed)
    values = [int(10 ** rng.uniform(0, 10)) - 1 for _ in range(2_000)]
    late = Lateness()
    for value in values:
        late.add(value)
    report = late.report()
    values.sort()
    for share, found in (
        (0.5, report.p50_us), (0.9, report.p90_us), (0.99, report.p99_us), (0.999, report.p999_us),
    ):  # fmt: skip
        exact = values[max(int(share * len(values) + 0.5) - 1, 0)] / 1_000
        assert found is not None
        assert exact * 15 / 16 <= found <= exact
    assert report.max_us == values[-1] / 1_000
    below = 0
    for bucket in report.buckets:
        if bucket.below_us is not None:
            assert below + bucket.frames == sum(v < bucket.below_us * 1_000 for v in values)
        below += bucket.frames
    assert below == report.frames == len(values)


def test_without_frames_there_are_no_percentiles() -> None:
    report = Lateness().report()
    assert (report.frames, report.p50_us, report.max_us) == (0, None, None)
