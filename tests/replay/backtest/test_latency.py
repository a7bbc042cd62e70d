"""The short forms of a latency, and what they draw."""

from __future__ import annotations

from random import Random

import pytest

from recorder.errors import UsageError
from replay.backtest.latency import Latency, parse_latency

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("5ms", Latency("fixed", 5 * MS, 5 * MS)),
        ("0", Latency("fixed", 0, 0)),
        ("250us/1.5ms", Latency("fixed", 250_000, 1_500_000)),
        ("uniform:2ms-10ms", Latency("uniform", 2 * MS, 10 * MS)),
        ("lognormal:5ms,0.4", Latency("lognormal", 5 * MS, 5 * MS, 0.4)),
        ("capture", Latency("capture")),
    ],
)
def test_a_model_is_read_from_its_short_form(text: str, model: Latency) -> None:
    assert parse_latency(text) == model
    assert parse_latency(model) is model


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "-5ms", "uniform:9ms-2ms", "uniform:2ms", "lognormal:5ms", "slow"]
)
def test_what_is_no_model_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="expected a latency such as"):
        parse_latency(text)


def test_models_draw_what_they_say() -> None:
    random = Random("1/0")
    assert parse_latency("5ms/8ms").draw(random, 77) == (5 * MS, 8 * MS)
    assert parse_latency("capture").draw(random, 77) == (77, 77)
    assert parse_latency("capture").draw(random, -3) == (0, 0)
    drawn = [parse_latency("uniform:2ms-10ms").draw(random, 0) for _ in range(200)]
    assert all(2 * MS <= time <= 10 * MS for pair in drawn for time in pair)
    drawn = [parse_latency("lognormal:5ms,0.5").draw(random, 0) for _ in range(2_000)]
    below = sum(there < 5 * MS for there, _ in drawn)
    assert 900 < below < 1_100  # the median
    assert all(time % 1_000 == 0 for pair in drawn for time in pair)
