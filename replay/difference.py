"""Difference: the first place where two streams of frames or events are not the same.

Responsible for narrowing two runs down to the first digest block in which they differ, for finding
the first frame or event in it, and for showing both sides field by field. Pure: whoever has blocks,
frames, events or their JSON gives them. Refuses to run anything (`proving.proof` does) and to judge
which side is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from recorder.capture.digest import BLOCK_NUMBERS, BlockDigest
from recorder.clock import format_time
from recorder.event import Event, Level, encode_event
from recorder.frame import Frame

PAYLOAD_SHOWN = 600
"""Bytes of a payload that are shown to a person."""

_ABSENT = "(absent)"
_LEVEL = re.compile(r"(bids|asks)\[\d+\]")
"""A level of a book, whose JSON is an array without names."""


class FieldDifference(msgspec.Struct, frozen=True):
    """One field that differs; values are JSON text, `(absent)` where a side has no such field.

    Attributes:
        field: where it is: `price`, `bids[3].size`.
    """

    field: str
    first: str
    second: str


class EventDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first event in which two streams differ.

    Attributes:
        seq, index: of the earlier one of the two; ts_recv: its own, ns.
        first, second: the two events as JSON objects, None where a stream has ended, or has no
            event of this place.
        fields: what differs, where both are there.
    """

    seq: int
    index: int
    ts_recv: int
    first: dict[str, Any] | None
    second: dict[str, Any] | None
    fields: list[FieldDifference]


class FrameDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame in which two streams differ; the names are those of `EventDifference`."""

    seq: int
    ts_recv: int
    first: dict[str, Any] | None
    second: dict[str, Any] | None
    fields: list[FieldDifference]


def block_bounds(k: int) -> tuple[int, int]:
    """Return first and last seq of a digest block, inclusive."""
    return k * BLOCK_NUMBERS, (k + 1) * BLOCK_NUMBERS - 1


def first_differing_block(
    first: Iterable[BlockDigest], second: Iterable[BlockDigest]
) -> int | None:
    """Return the number of the first digest block that is not the same on both sides.

    A block that one side lacks differs. Both sides come in order of k; None: they are equal.
    """
    for ours, theirs in zip_longest(first, second):
        if ours != theirs:
            return min(block.k for block in (ours, theirs) if block is not None)
    return None


def first_event_difference(
    first: Iterable[Event | bytes], second: Iterable[Event | bytes]
) -> EventDifference | None:
    """Return the first event that is not the same in both streams, None where they are equal.

    Args:
        first, second: events in order of (seq, index), or their JSON (`encode_event`), as a file
            of events has it a line. They are compared as JSON, byte for byte: -0.0 is not 0.0.
    """
    pairs = zip_longest(map(_event_json, first), map(_event_json, second))
    for ours, theirs in pairs:
        if ours != theirs:
            return _event_difference(ours, theirs)
    return None


def first_frame_difference(
    first: Iterable[Frame], second: Iterable[Frame]
) -> FrameDifference | None:
    """Return the first frame that is not the same in both streams, None where they are equal."""
    for ours, theirs in zip_longest(first, second):
        if ours == theirs:
            continue
        frames = [frame for frame in (ours, theirs) if frame is not None]
        early = min(frames, key=lambda frame: frame.seq)
        # Only one of them has a frame of this number: show that one alone.
        a, b = (
            frame_fields(frame) if frame is not None and frame.seq == early.seq else None
            for frame in (ours, theirs)
        )
        return FrameDifference(
            seq=early.seq,
            ts_recv=early.ts_recv,
            first=a,
            second=b,
            fields=field_differences(a, b) if a is not None and b is not None else [],
        )
    return None


def field_differences(first: Any, second: Any) -> list[FieldDifference]:
    """Return the fields in which two decoded JSON values differ, in the order of the first.

    Objects are compared by key and lists by position, however deep they lie.
    """
    return list(_differences("", first, second))


def frame_fields(frame: Frame) -> dict[str, Any]:
    """Return a frame as a JSON object; a payload that is no UTF-8 as `payload_hex`."""
    fields: dict[str, Any] = {
        "seq": frame.seq,
        "ts_recv": frame.ts_recv,
        "ts_mono": frame.ts_mono,
        "connection": frame.connection,
        "kind": frame.kind.label,
    }
    try:
        fields["payload"] = frame.payload.decode()
    except UnicodeDecodeError:
        fields["payload_hex"] = frame.payload.hex()
    return fields


def frame_line(frame: Frame) -> str:
    """Return a frame for a person: number, time, connection, kind and payload."""
    shown = frame.payload[:PAYLOAD_SHOWN].decode("utf-8", "backslashreplace")
    cut = f" … ({len(frame.payload)} bytes)" if len(frame.payload) > PAYLOAD_SHOWN else ""
    return (
        f"seq {frame.seq}  {format_time(frame.ts_recv)}  connection {frame.connection}  "
        f"{frame.kind.label}  {shown}{cut}"
    )


def difference_lines(
    difference: EventDifference | FrameDifference, names: Sequence[str] = ("first", "second")
) -> list[str]:
    """Return a difference for a person: where it is, then both sides field by field.

    Args:
        names: what the two sides are called.
    """
    is_event = isinstance(difference, EventDifference)
    place = f"seq {difference.seq}"
    if isinstance(difference, EventDifference):
        place += f", index {difference.index}"
    lines = [f"{'event' if is_event else 'frame'} {place}, {format_time(difference.ts_recv)}"]
    width = max(map(len, names))
    one, other = difference.first, difference.second
    if one is None or other is None:
        for name, side in zip(names, (one, other), strict=True):
            text = "(none)" if side is None else _json(side)
            lines.append(f"  {name:<{width}}  {_shortened(text)}")
        return lines
    kinds = [str(side.get("type") or side.get("kind")) for side in (one, other)]
    if kinds[0] == kinds[1]:
        lines[0] += f", {kinds[0]} {one.get('instrument') or ''}".rstrip()
    for field in difference.fields:
        lines.append(f"  {field.field}")
        for name, text in zip(names, (field.first, field.second), strict=True):
            lines.append(f"    {name:<{width}}  {_shortened(text)}")
    return lines


def _event_json(event: Event | bytes) -> bytes:
    return event if isinstance(event, bytes) else encode_event(event)


def _event_difference(ours: bytes | None, theirs: bytes | None) -> EventDifference:
    sides = [None if side is None else msgspec.json.decode(side) for side in (ours, theirs)]
    early = min((side for side in sides if side is not None), key=_place)
    a, b = (side if side is not None and _place(side) == _place(early) else None for side in sides)
    return EventDifference(
        seq=early["seq"],
        index=early["index"],
        ts_recv=early["ts_recv"],
        first=a,
        second=b,
        fields=field_differences(a, b) if a is not None and b is not None else [],
    )


def _place(event: dict[str, Any]) -> tuple[int, int]:
    return event["seq"], event["index"]


def _differences(path: str, first: Any, second: Any) -> Iterator[FieldDifference]:
    if isinstance(first, dict) and isinstance(second, dict):
        names = [*first, *(name for name in second if name not in first)]
        inner = [(f"{path}.{name}" if path else str(name), name) for name in names]
    elif isinstance(first, list) and isinstance(second, list):
        is_level = _LEVEL.fullmatch(path) is not None and max(len(first), len(second)) <= 4
        inner = [
            (f"{path}.{Level.__struct_fields__[at]}" if is_level else f"{path}[{at}]", at)
            for at in range(max(len(first), len(second)))
        ]
        first, second = dict(enumerate(first)), dict(enumerate(second))
    else:
        texts = _json(first), _json(second)
        if texts[0] != texts[1]:
            yield FieldDifference(path, *texts)
        return
    for place, key in inner:
        if key in first and key in second:
            yield from _differences(place, first[key], second[key])
        else:
            a, b = (_json(side[key]) if key in side else _ABSENT for side in (first, second))
            yield FieldDifference(place, a, b)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _shortened(text: str) -> str:
    return text if len(text) <= PAYLOAD_SHOWN else f"{text[:PAYLOAD_SHOWN]} …"
