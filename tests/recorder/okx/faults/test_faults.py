"""The scenario language: what can be said, what is refused, and scenarios drawn by seed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from recorder.errors import UsageError
from recorder.okx.faults import (
    AnyFault,
    CloseWith,
    CutOff,
    Gap,
    LoginError,
    Scenario,
    kinds,
    name_of,
    read_scenario,
    write_scenario,
)
from recorder.okx.faults.drawn import random_scenario


def test_toml_and_json_say_the_same():
    toml = """
    seed = 7
    clock_skew = 31.5
    [rules]
    requests_per_hour = 20
    candles_on_public = "64001"
    [[faults]]
    do = "close"
    code = 4006
    endpoint = "public"
    after = 2.5
    times = 3
    [[faults]]
    do = "gap"
    channel = "books"
    instrument = "BTC-USDT"
    pushes = 100
    """
    scenario = read_scenario(toml)

    assert scenario.faults == (
        CloseWith(code=4006, endpoint="public", after=2.5, times=3),
        Gap(channel="books", instrument="BTC-USDT", pushes=100),
    )
    assert scenario.rules.requests_per_hour == 20
    assert scenario.clock_skew == 31.5
    assert read_scenario(write_scenario(scenario)) == scenario


@pytest.mark.parametrize("kind", get_args(AnyFault), ids=name_of)
def test_every_kind_is_read_by_its_name_and_explains_itself(kind: type):
    fault = read_scenario(f'[[faults]]\ndo = "{name_of(kind)}"').faults[0]

    assert type(fault) is kind
    assert fault == kind()
    assert kind.__doc__


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[faults]]\ndo = "explode"', "explode"),
        ('[[faults]]\ndo = "close"\nkode = 1', "kode"),
        ('[[faults]]\ndo = "close"\ncode = "x"', "faults[0].code"),
        ('[[faults]]\ndo = "cut"\nhow = "gently"', "eof, inside, reset"),
        ("faults = [", "TOML"),
        ("{", "JSON"),
        ("[rules]\nmercy = 1", "mercy"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_name(text: str, told: str):
    with pytest.raises(UsageError) as refused:
        read_scenario(text)

    assert told in str(refused.value)


def test_the_page_names_every_kind_and_its_examples_can_be_read(repository: Path):
    page = (repository / "docs" / "faults.md").read_text()

    missing = [name for name in kinds() if f"| `{name}` |" not in page]
    assert not missing
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        assert read_scenario(example).faults


def test_the_same_seed_draws_the_same_faults():
    assert random_scenario(3, seconds=60) == random_scenario(3, seconds=60)
    assert random_scenario(3, seconds=60) != random_scenario(4, seconds=60)
    assert random_scenario(3, seconds=60).seed == 3


@pytest.mark.parametrize("seed", range(20))
def test_drawn_faults_are_spread_over_the_time_and_can_be_survived(seed: int):
    scenario = random_scenario(seed, seconds=600, count=30)

    assert len(scenario.faults) == 30
    moments = [fault.at or 0 for fault in scenario.faults]
    assert moments == sorted(moments)
    assert moments[-1] <= 0.8 * 600
    assert all(fault.endpoint in ("public", "business", "private") for fault in scenario.faults)
    assert len({name_of(fault) for fault in scenario.faults}) > 20
    text = write_scenario(scenario)
    assert '"code": "60009"' not in text
    assert '"status": 403' not in text


def test_in_a_short_time_no_fault_is_drawn_from_which_nobody_recovers_by_its_end():
    for seed in range(30):
        scenario = random_scenario(seed, seconds=20, count=30, recovery=4)
        names = {name_of(fault) for fault in scenario.faults}
        assert not names & {"evict", "no-answer"}
        assert max(fault.at or 0 for fault in scenario.faults) <= 16


def test_endpoints_that_are_not_meant_are_spared():
    scenario = random_scenario(5, seconds=60, count=60, endpoints=("business",))

    assert {fault.endpoint for fault in scenario.faults} == {"business"}
    assert "rest" not in {fault.endpoint for fault in random_scenario(5, seconds=60).faults}
    with_rest = random_scenario(5, seconds=60, count=60, rest=True)
    assert "rest" in {fault.endpoint for fault in with_rest.faults}
    assert not any(isinstance(fault, LoginError) for fault in scenario.faults)


def test_defaults_are_left_out_of_nothing_that_matters():
    body = msgspec.json.decode(write_scenario(Scenario(faults=(CutOff(how="reset"),))))

    assert body["faults"][0]["do"] == "cut"
    assert body["faults"][0]["how"] == "reset"
