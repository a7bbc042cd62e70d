"""`replay.sweep.grid`: parameters from text, and every combination of them."""

from __future__ import annotations

import pytest

from recorder.errors import UsageError
from replay.sweep.grid import Value, combinations, read_parameter


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("window=5,10,20", [5, 10, 20]),
        ("edge=0.5", [0.5]),
        ("edge=1:5:1", [1, 2, 3, 4, 5]),
        ("edge=0:1:0.25", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("edge=5:1:-2", [5, 3, 1]),
        ("edge=1:2:0.4", [1.0, 1.4, 1.8]),
        ("is_fast=true,false", [True, False]),
        ("kind=post_only, ioc", ["post_only", "ioc"]),
        ("size=1,1.0", [1, 1.0]),
        ("window=08:00,09:00", ["08:00", "09:00"]),
    ],
)
def test_values(text: str, values: list[Value]) -> None:
    name, read = read_parameter(text)
    assert name == text.partition("=")[0]
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


def test_steps_are_counted_in_decimals() -> None:
    _, values = read_parameter("edge=0:1:0.1")
    assert values == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


@pytest.mark.parametrize(
    "text",
    ["window", "=5", "window=", "my window=5", "edge=1:2:0", "edge=1:2:-1", "edge=1:x:1",
     "edge=0:1:1e-9", "edge=nan:1:1", "window=5,5"],
)  # fmt: skip
def test_what_is_no_parameter_is_said(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected .*received|expected .*has"):
        read_parameter(text)


def test_every_combination_the_last_varies_first() -> None:
    assert list(combinations({"a": [1, 2], "b": ["x", "y"]})) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"},
    ]  # fmt: skip
    assert list(combinations({})) == [{}]
