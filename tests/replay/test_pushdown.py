"""Goal: bounds read off a filter never exclude a row the filter lets pass.

Method: real pyarrow expressions (their text is what DuckDB's filters become), random ones
included, evaluated by Arrow over a small table and compared with the bounds.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.pushdown import bounds_of, columns_in, interval, texts

seq, name, price = pc.field("seq"), pc.field("name"), pc.field("price")


@pytest.mark.parametrize(
    ("expression", "bounds"),
    [
        (None, {}),
        (seq == 5, {"seq": (5, 5)}),
        (seq > 5, {"seq": (6, None)}),
        ((seq >= 5) & (seq < 9), {"seq": (5, 8)}),
        (pc.scalar(5) < seq, {"seq": (6, None)}),
        ((seq == 1) | (seq == 7), {"seq": (1, 7)}),
        ((seq == 1) | (name == "a"), {}),
        ((name == "a") & (seq >= 2), {"name": frozenset({"a"}), "seq": (2, None)}),
        ((name == "a") | (name == "b"), {"name": frozenset({"a", "b"})}),
        ((name == "a") & (name == "b"), {"name": frozenset()}),
        (name.isin(["a", "b"]), {"name": frozenset({"a", "b"})}),
        (seq.isin([3, 9]), {"seq": (3, 9)}),
        ((price > 1.5) & (seq > 3), {"seq": (4, None)}),
        ((price > -1e300) & (seq > 3), {"seq": (4, None)}),
        (~(seq > 3), {}),
        (seq != 3, {}),
        (seq > -3, {"seq": (-2, None)}),
        (name.is_null(), {}),
        (pc.if_else(name.is_valid(), seq > 3, pa.scalar(None, pa.bool_())), {"seq": (4, None)}),
        (name == 'it\'s "x" and (seq > 5)', {}),
        (name.isin(['a", "b']), {}),
        (name.isin([str(n) for n in range(50)]), {}),  # Arrow's text leaves most of them out
    ],
)
def test_what_is_understood(expression: pc.Expression | None, bounds: object) -> None:
    found = bounds_of(expression)
    assert {key: value for key, value in found.items() if value != (None, None)} == bounds


@pytest.mark.parametrize("text", ["(seq > 5", "seq > 5)", "((seq > 5) and", "(seq > 5) x", "é"])
def test_what_is_not_understood_bounds_nothing(text: str) -> None:
    assert bounds_of(text) == {}


def test_columns_are_never_too_few() -> None:
    expression = (name.isin(["seq"])) & (price > 1)
    assert columns_in(expression, ["seq", "name", "price", "other"]) == ["seq", "name", "price"]


_NAMES = ["a", "b", "c d", 'q"q', "x) and (seq == 1", "\\", ""]
_atoms = st.one_of(
    st.builds(lambda n: seq > n, st.integers(-2, 12)),
    st.builds(lambda n: seq <= n, st.integers(-2, 12)),
    st.builds(lambda n: seq == n, st.integers(-2, 12)),
    st.builds(lambda n: seq != n, st.integers(-2, 12)),
    st.builds(lambda n: name == n, st.sampled_from(_NAMES)),
    st.builds(lambda n: name != n, st.sampled_from(_NAMES)),
    st.builds(name.isin, st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4)),
    st.builds(seq.isin, st.lists(st.integers(0, 10), min_size=1, max_size=4)),
    st.builds(lambda x: price < x, st.floats(allow_nan=False)),
    st.just(name.is_valid()),
)
_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=8,
)

_TABLE = pa.table(
    {
        "seq": [n % 11 for n in range(88)],
        "name": [[*_NAMES, None][n % 8] for n in range(88)],
        "price": [float(n) for n in range(88)],
    }
)


@given(_expressions)
def test_no_row_that_passes_lies_outside_the_bounds(expression: pc.Expression) -> None:
    bounds = bounds_of(expression)
    low, high = interval(bounds, "seq")
    names = texts(bounds, "name")
    for row in _TABLE.filter(expression).to_pylist():
        assert low is None or row["seq"] >= low
        assert high is None or row["seq"] <= high
        assert names is None or row["name"] in names
