"""Parameters: what a sweep varies, as text and as values.

Responsible for `window=5,10,20` and `edge=1:5:0.5`, and for every combination in a fixed order.
Refuses to know a strategy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import TypeAlias

from recorder.errors import UsageError

Value: TypeAlias = int | float | bool | str
_VALUES_MAX = 100_000
"""Values of one parameter; more is a slip of the pen."""


def read_parameter(text: str) -> tuple[str, list[Value]]:
    """Read one parameter: values with commas, or first:last:step, both ends included.

    `5` is an integer, `0.5` a float, `true` and `false` are those, all else stays text. Steps are
    counted in decimals: `0:1:0.1` has eleven values.

    Raises:
        UsageError: the text is not of that form.
    """
    name, equals, said = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier() or not said.strip():
        raise UsageError(
            f"expected --param NAME=VALUES, received {text!r}; e.g. window=5,10,20 or edge=1:5:0.5"
        )
    parts = said.split(":")
    if len(parts) == 3 and "," not in said:
        return name, _steps(text, parts)
    values: list[Value] = []
    for part in said.split(","):
        value = _value(part.strip())
        if any(value == other and type(value) is type(other) for other in values):
            raise UsageError(f"expected each value once, received {part.strip()} twice in {text!r}")
        values.append(value)
    return name, values


def combinations(
    parameters: Mapping[str, Sequence[Value]] | Iterable[tuple[str, Sequence[Value]]],
) -> Iterator[dict[str, Value]]:
    """Yield every combination, the last parameter varying first; of none, the empty one."""
    pairs = list(parameters.items() if isinstance(parameters, Mapping) else parameters)
    names = [name for name, _ in pairs]
    for values in product(*(values for _, values in pairs)):
        yield dict(zip(names, values, strict=True))


def _steps(text: str, parts: Sequence[str]) -> list[Value]:
    try:
        first, last, step = (Decimal(part.strip()) for part in parts)
        count = int((last - first) / step) + 1
    except (InvalidOperation, ZeroDivisionError, OverflowError, ValueError) as error:
        raise UsageError(
            f"expected FIRST:LAST:STEP as numbers, received {text!r}; e.g. edge=1:5:0.5"
        ) from error
    if not 1 <= count <= _VALUES_MAX:
        raise UsageError(
            f"expected 1 to {_VALUES_MAX:,} steps, {text!r} has {max(count, 0):,}; "
            "a step that leads from the first value to the last"
        )
    is_whole = all(value == value.to_integral_value() for value in (first, step))
    values = (first + step * place for place in range(count))
    return [int(value) if is_whole else float(value) for value in values]


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number
