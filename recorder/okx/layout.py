"""Layout: a channel told by a table of event field and wire key, where nothing more is to be said.

Responsible for making the wire struct of such a channel and the reading of its pushes from the
table and the annotations of the event type. Refuses to choose names: the tables
(`market_layouts.py`, `account_layouts.py`) do. The busy channels are written out by hand in
`pushes.py`, because a reading made from a table costs several times as much.

What an annotation says about the wire: `Number` and Decimal are a number, an int whose name is
`ts_event` or ends in `_time` is a time in milliseconds, any other int fits 64 bits, a tuple is an
array of structs with a layout of their own or of plain objects. A field that cannot be None has to
be there and not blank; else the push fits no shape and stays `Data`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter
from types import GenericAlias, NoneType
from typing import Any, NamedTuple, Optional, get_args, get_origin

import msgspec

from recorder.event import EmptySnapshot, Event, Int64
from recorder.frame import Frame
from recorder.okx.messages import Milliseconds
from recorder.okx.shape import NS, Decode, Handle, Reading, Shape

Make = Callable[..., Any]

_COMMON = ("seq", "index", "ts_recv")
_OF_PUSH = {
    "uid": "arg.uid",
    "event_type": "event_type",
    "page": "page",
    "is_last_page": "is_last_page",
}
"""Fields of account events that the push says once for all its rows."""


class AccountArgument(msgspec.Struct, gc=False, rename={"inst_id": "instId"}):
    """The argument of a push; only account channels name a `uid`."""

    uid: str | None = None
    inst_id: str | None = None


class TablePush(msgspec.Struct, gc=False, rename={
    "event_type": "eventType", "page": "curPage", "is_last_page": "lastPage",
}):  # fmt: skip
    """What surrounds the rows; paging exists in `account` and `positions` since 2025-03-12."""

    arg: AccountArgument
    event_type: str | None = None
    page: Int64 | None = None
    is_last_page: bool | None = None


class _WholeArgument(msgspec.Struct):
    arg: dict[str, Any]


_decode_argument = msgspec.json.Decoder(_WholeArgument).decode


class Layout(NamedTuple):
    """An event type, or a struct inside one, and where its fields are on the wire.

    Attributes:
        makes: the type.
        keys: wire key of each of its fields; what is told once for the push is left out.
        inner: layouts of the fields that are arrays of structs.
    """

    makes: type[msgspec.Struct]
    keys: dict[str, str]
    inner: dict[str, Layout] = {}  # noqa: RUF012 - never written to


def _kinds(annotation: Any) -> tuple[Any, bool]:
    """Return an annotation without None, and whether None was there."""
    options = get_args(annotation)
    if NoneType not in options:
        return annotation, False
    (plain,) = [option for option in options if option is not NoneType]
    return plain, True


def _wire_type(layout: Layout, name: str, kind: Any, number: Any) -> Any:
    if name in layout.inner:
        return GenericAlias(list, (_row_type(layout.inner[name], number),))
    if get_origin(kind) is tuple:
        return GenericAlias(list, (get_args(kind)[0],))
    if kind is int:
        return Milliseconds if _is_time(name) else Int64
    return number if kind in (float, Decimal) else kind


def _is_time(name: str) -> bool:
    return name == "ts_event" or name.endswith("_time")


def _row_type(layout: Layout, number: Any) -> Any:
    """Return the wire struct of a row for one number type."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(layout.makes):
        if field.name not in layout.keys:
            continue
        kind, is_optional = _kinds(field.type)
        wire = _wire_type(layout, field.name, kind, number)
        if get_origin(kind) is tuple:
            fields.append((field.name, wire, msgspec.field(default_factory=list)))
        elif is_optional:
            fields.append((field.name, Optional[wire], None))  # noqa: UP045 - made at run time
        else:
            fields.append((field.name, wire))
    return msgspec.defstruct(
        f"{layout.makes.__name__}Row", fields, gc=False, kw_only=True, rename=layout.keys
    )


def _maker(layout: Layout) -> Make:
    """Return the function from a decoded row, and the fields it does not hold, to the type."""
    makes, keys = layout.makes, layout.keys
    fields = {field.name: field for field in msgspec.structs.fields(makes)}
    get, names = attrgetter(*keys), tuple(keys)
    kinds = {name: _kinds(fields[name].type) for name in keys}
    times = [name for name, (kind, _) in kinds.items() if kind is int and _is_time(name)]
    texts = [(name, not is_optional) for name, (kind, is_optional) in kinds.items() if kind is str]
    objects = [name for name, (kind, _) in kinds.items() if get_origin(kind) is dict]
    arrays = [name for name, (kind, _) in kinds.items() if get_origin(kind) is tuple]
    inner = {name: _maker(member) for name, member in layout.inner.items()}

    def make(row: Any, **values: Any) -> Any:
        values.update(zip(names, get(row), strict=True))
        for name in times:
            if values[name] is not None:
                values[name] *= NS
        for name, is_needed in texts:
            if values[name] == "":
                if is_needed:
                    raise ValueError(f"a blank {name}")
                values[name] = None
        for name in objects:
            values[name] = values[name] or None
        for name in arrays:
            of_member = inner.get(name)
            members = values[name]
            values[name] = tuple(members if of_member is None else map(of_member, members))
        return makes(**values)

    return make


def _empty(frame: Frame, payload: bytes, channel: str, push: TablePush) -> EmptySnapshot:
    """Return what a push without rows says: that there is nothing."""
    return EmptySnapshot(
        frame.seq, 0, frame.ts_recv, channel, _decode_argument(payload).arg, push.arg.uid,
        push.event_type, push.page, push.is_last_page,
    )  # fmt: skip


def _renamed(event: Any, asked: str) -> Event:
    """Return an event that names the subscription's instrument where that is another one."""
    if event.instrument == asked:
        return event  # type: ignore[no-any-return]
    return msgspec.structs.replace(event, subscribed_as=asked)  # type: ignore[no-any-return]


def _reading(layout: Layout, channel: str) -> Reading:
    fields = [field.name for field in msgspec.structs.fields(layout.makes)]
    constants = {"channel": channel} if "channel" in fields else {}
    of_push = {name: attrgetter(path) for name, path in _OF_PUSH.items()
               if name in fields and name not in layout.keys}  # fmt: skip
    is_renamable, is_account = "subscribed_as" in fields, "uid" in fields
    told = {*_COMMON, *constants, *of_push, *layout.keys, *(("subscribed_as",) * is_renamable)}
    if told != set(fields):
        raise TypeError(f"the layout of {channel} and its event differ: {told ^ set(fields)}")
    make = _maker(layout)

    def reading(decode: Decode) -> Handle:
        def handle(frame: Frame, payload: bytes) -> list[Event]:
            push = decode(payload)
            rows = push.data
            if not rows and is_account:
                return [_empty(frame, payload, channel, push)]
            shared = {name: get(push) for name, get in of_push.items()}
            events = [
                make(row, seq=frame.seq, index=index, ts_recv=frame.ts_recv, **constants, **shared)
                for index, row in enumerate(rows)
            ]
            asked = push.arg.inst_id if is_renamable else None
            return events if asked is None else [_renamed(event, asked) for event in events]

        return handle

    return reading


def shape_from(
    channel: str, layout: Layout, *, number: type | None = None, is_sparse: bool = False
) -> Shape:
    """Return the shape of a channel that a layout tells completely."""

    def push(number: Any) -> Any:
        rows = GenericAlias(list, (_row_type(layout, number),))
        return msgspec.defstruct(
            "Push", [("data", rows)], bases=(TablePush,), gc=False, kw_only=True
        )

    return Shape(push, _reading(layout, channel), number=number, is_sparse=is_sparse)
