"""What a filter lets a scan skip.

Responsible for reading the filter that DuckDB pushes into an Arrow scan (a pyarrow expression, of
which only the text can be inspected) and for saying which frames cannot matter. Refuses to be
clever: whatever it does not understand to the last character means that nothing is skipped.
DuckDB and Arrow apply the whole filter afterwards, so a bound that is too wide costs time only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Interval: TypeAlias = tuple[int | None, int | None]
"""Inclusive bounds of an integer; None is open."""

Bounds: TypeAlias = dict[str, "Interval | frozenset[str]"]
"""What each named column must satisfy; a column that is not named may be anything."""

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<set>\{value_set=(?:string|int64):\[\n(?:\s*(?:\"[\w.:/-]*\"|-?\d+),?\n)*\s*\], "
    r"null_matching_behavior=\w+\})"
    r"|(?P<number>-?\d+(?![\w.]))"
    r"|(?P<other>-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)(?![\w.]))"
    r"|(?P<word>[A-Za-z_]\w*(?:\[\w+\])?)"
    r"|(?P<operator>==|!=|<=|>=|<|>)"
    r"|(?P<mark>[(),]))"
)

_FLIPPED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


class _NotUnderstoodError(Exception):
    """The text is not of the grammar; the caller gives up all bounds."""


def columns_in(expression: object, names: Iterable[str]) -> list[str]:
    """Return those of `names` that occur in a filter; maybe too many, never too few."""
    words = set(re.findall(r"\w+", str(expression)))
    return [name for name in names if name in words]


def bounds_of(expression: object) -> Bounds:
    """Return what a row must satisfy for the filter to hold, as far as it is understood."""
    if expression is None:
        return {}
    try:
        return _Reader(str(expression)).read()
    except _NotUnderstoodError:
        return {}


class _Reader:
    """Recursive descent over the text of one expression.

    expression := ( operand OPERATOR operand ) | ( expression and|or expression )
                | name ( argument, … ) | word
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _NotUnderstoodError
            self._tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            at = match.end()
        self._at = 0

    def read(self) -> Bounds:
        bounds = self._expression()
        if self._at != len(self._tokens):
            raise _NotUnderstoodError
        return bounds

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise _NotUnderstoodError
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _expect(self, text: str) -> None:
        if self._next()[1] != text:
            raise _NotUnderstoodError

    def _expression(self) -> Bounds:
        kind, text = self._next()
        if (kind, text) == ("mark", "("):
            return self._pair()
        if kind == "word":
            return self._call(text) if self._peek() == ("mark", "(") else {}
        if kind in ("text", "number", "other"):
            return {}
        raise _NotUnderstoodError

    def _pair(self) -> Bounds:
        """Read `a OP b)` after its opening parenthesis."""
        start = self._at
        left = self._expression()
        left_tokens = self._tokens[start : self._at]
        kind, operator = self._next()
        start = self._at
        right = self._expression()
        right_tokens = self._tokens[start : self._at]
        self._expect(")")
        if operator == "and":
            return _both(left, right)
        if operator == "or":
            return _either(left, right)
        if kind != "operator":
            raise _NotUnderstoodError
        if len(left_tokens) != 1 or len(right_tokens) != 1:
            return {}
        a, b = left_tokens[0], right_tokens[0]
        if a[0] == "word":
            return _comparison(a[1], operator, b)
        return _comparison(b[1], _FLIPPED[operator], a) if b[0] == "word" else {}

    def _call(self, name: str) -> Bounds:
        """Read the arguments of a function whose name was just read."""
        self._expect("(")
        arguments: list[list[tuple[str, str]]] = []
        bounds: list[Bounds] = []
        while True:
            start = self._at
            if self._peek()[0] == "set":
                self._at += 1
                bounds.append({})
            else:
                bounds.append(self._expression())
            arguments.append(self._tokens[start : self._at])
            if self._next()[1] == ")":
                break
            if self._tokens[self._at - 1] != ("mark", ","):
                raise _NotUnderstoodError
        if name == "is_in" and len(arguments) == 2:
            column, members = arguments
            if len(column) == 1 and column[0][0] == "word" and members[0][0] == "set":
                return _membership(column[0][1], members[0][1])
        # DuckDB wraps a filter as if_else(is_valid(x), filter, null): null does not pass.
        if name == "if_else" and len(arguments) == 3 and arguments[2] == [("word", "null[bool]")]:
            return bounds[1]
        return {}


def _comparison(column: str, operator: str, literal: tuple[str, str]) -> Bounds:
    kind, text = literal
    if kind == "text":
        return {column: frozenset((text[1:-1],))} if operator == "==" and "\\" not in text else {}
    if kind != "number":
        return {}
    value = int(text)
    intervals: dict[str, Interval] = {
        "==": (value, value),
        "<": (None, value - 1),
        "<=": (None, value),
        ">": (value + 1, None),
        ">=": (value, None),
    }
    return {column: intervals[operator]} if operator in intervals else {}


def _membership(column: str, members: str) -> Bounds:
    texts = re.findall(r'^\s*"([^"]*)",?$', members, re.MULTILINE)
    numbers = [int(n) for n in re.findall(r"^\s*(-?\d+),?$", members, re.MULTILINE)]
    if texts and not numbers:
        return {column: frozenset(texts)}
    return {column: (min(numbers), max(numbers))} if numbers and not texts else {}


def _both(left: Bounds, right: Bounds) -> Bounds:
    together = dict(left)
    for column, bound in right.items():
        known = together.get(column)
        if known is None:
            together[column] = bound
        elif isinstance(known, frozenset) and isinstance(bound, frozenset):
            together[column] = known & bound
        elif isinstance(known, tuple) and isinstance(bound, tuple):
            together[column] = (
                _pick(max, known[0], bound[0]),
                _pick(min, known[1], bound[1]),
            )
    return together


def _either(left: Bounds, right: Bounds) -> Bounds:
    hull: Bounds = {}
    for column in [column for column in left if column in right]:
        a, b = left[column], right[column]
        if isinstance(a, frozenset) and isinstance(b, frozenset):
            hull[column] = a | b
        elif isinstance(a, tuple) and isinstance(b, tuple):
            low = None if a[0] is None or b[0] is None else min(a[0], b[0])
            high = None if a[1] is None or b[1] is None else max(a[1], b[1])
            hull[column] = (low, high)
    return hull


def _pick(choose: Callable[[int, int], int], a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return choose(a, b)


def interval(bounds: Bounds, column: str) -> Interval:
    """Return the inclusive integer bounds of a column."""
    bound: Any = bounds.get(column)
    return bound if isinstance(bound, tuple) else (None, None)


def texts(bounds: Bounds, column: str) -> list[str] | None:
    """Return the texts a column may have, in a stated order; None: any."""
    bound = bounds.get(column)
    return sorted(bound) if isinstance(bound, frozenset) else None
