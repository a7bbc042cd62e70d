"""Recorded: a user's own parser held against what a capture means.

Responsible for `assert_parses_as_recorded`, to be called in a test. Refuses to know how that parser
names things: it compares the fields that its results have, and says where a name is no field.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from recorder.capture.reader import Capture
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.okx.parser import parse as our_parse

_SHOWN = 400


def assert_parses_as_recorded(
    parse: Callable[[bytes], Any],
    capture: Capture | str | os.PathLike[str],
    *,
    channels: list[str] | None = None,
) -> int:
    """Assert that a parser gives for each received text what this package's parser gives.

    Args:
        parse: takes the exact bytes of a message and returns what they mean: one result or a list
            of them, each a dict or an object with attributes; None for a message that it does
            not handle. Fields have the names of docs/events.md; those that a result leaves out
            are not compared. Numbers are equal by value: `"1.50"`, 1.5 and Decimal("1.5").
        channels: only messages of these.

    Returns:
        Messages compared.

    Raises:
        AssertionError: the first message that means something else, with both sides.
    """
    opened = capture if isinstance(capture, Capture) else Capture(capture)
    compared = 0
    for frame in opened.frames(kinds=[Kind.TEXT], channels=channels):
        found = parse(frame.payload)
        if found is None:
            continue
        results = list(found) if isinstance(found, (list, tuple)) else [found]
        fault = _fault(our_parse(frame), results)
        if fault is not None:
            raise AssertionError(_sentence(frame, fault))
        compared += 1
    if not compared:
        raise AssertionError(f"expected messages of {opened.path} that the parser handles, found 0")
    return compared


def _fault(events: list[Event], results: list[Any]) -> str | None:
    if len(events) != len(results):
        return f"expected {len(events)} events, received {len(results)}"
    for index, (event, result) in enumerate(zip(events, results, strict=True)):
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        fields["type"] = type(event).__name__
        for name, value in _fields_of(result).items():
            if name not in fields:
                return f"event {index}: {fields['type']} has no field {name!r}"
            if not _equal(fields[name], value):
                return f"event {index}, {name}: expected {fields[name]!r}, received {value!r}"
    return None


def _fields_of(result: Any) -> dict[str, Any]:
    if isinstance(result, dict):
        return result
    if isinstance(result, msgspec.Struct):
        fields = {name: getattr(result, name) for name in result.__struct_fields__}
        return {"type": type(result).__name__, **fields} if isinstance(result, Event) else fields
    return dict(vars(result))


def _equal(one: Any, two: Any) -> bool:
    """Compare by value: levels as lists, numbers whatever their type."""
    if isinstance(one, msgspec.Struct):
        one = list(msgspec.structs.astuple(one))
    if isinstance(two, msgspec.Struct):
        two = list(msgspec.structs.astuple(two))
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)):
        return len(one) == len(two) and all(map(_equal, one, two))
    if one == two or type(one) is type(two):
        return bool(one == two)
    numbers = [_number(value) for value in (one, two)]
    return None not in numbers and numbers[0] == numbers[1]


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        return Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None


def _sentence(frame: Frame, fault: str) -> str:
    text = frame.payload[:_SHOWN].decode("utf-8", "backslashreplace")
    cut = " …" if len(frame.payload) > _SHOWN else ""
    return f"seq {frame.seq}, {frame.ts_recv} ns: {fault}\n  {text}{cut}"
