"""News: what one census has that another one, or an earlier time, had not.

Responsible for telling each new thing once, at its widest: a new channel as one, not by its fields.
Refuses to look at frames: `replay.regression.census` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from recorder.frame import KINDS, LABELS, Kind
from replay.regression.census import ChannelCensus, Sighting


class New(msgspec.Struct, frozen=True):
    """Something that was not there before.

    Attributes:
        channel: of the message. what: `channel`, `field`, `type`, `value` or `shape`.
        name: the path, `path: type`, `path = value`, or the shape's digest.
    """

    channel: str
    what: str
    name: str
    count: int
    first: int
    last: int
    first_seq: int


_OWN = tuple(LABELS[kind] for kind in KINDS if kind not in (Kind.TEXT, Kind.BINARY, Kind.REST))
"""Rows of the recorder's own, and what it sent: never news of the venue."""


def new_since(channels: dict[str, ChannelCensus], since: int) -> list[New]:
    """Return what was first seen at or after a time; nothing where nothing is older."""
    if all(channel.seen.first >= since for channel in channels.values()):
        return []
    return _telling(
        new
        for new in _everything(channels)
        if new.first >= since and _is_first_told(new, channels[new.channel], since)
    )


def new_against(channels: dict[str, ChannelCensus], known: dict[str, ChannelCensus]) -> list[New]:
    """Return what another census did not have."""
    there = {(new.channel, new.what, new.name) for new in _everything(known)}
    return _telling(
        new
        for new in _everything(channels)
        if (new.channel, new.what, new.name) not in there
        and (new.what == "channel" or new.channel in known)
        and not (new.what == "value" and _path(new) in known[new.channel].open_fields)
        and not (new.what == "type" and (new.channel, "field", _path(new)) not in there)
    )


def _path(new: New) -> str:
    return new.name.split(" = ")[0] if new.what == "value" else new.name.split(": ")[0]


def _telling(found: Iterable[New]) -> list[New]:
    """Leave out what is ours, and shapes that a new field or type explains."""
    news = [n for n in found if n.channel not in _OWN and not n.channel.startswith("sent ")]
    explained = {(n.channel, n.first_seq) for n in news if n.what in ("field", "type")}
    return [n for n in news if n.what != "shape" or (n.channel, n.first_seq) not in explained]


def _is_first_told(new: New, channel: ChannelCensus, since: int) -> bool:
    """A new channel is told as one, not field by field; a new field not type by type."""
    if new.what == "channel":
        return True
    if channel.seen.first >= since:
        return False
    if new.what == "type":
        return min(seen.first for seen in channel.fields[_path(new)].values()) < since
    return True


def _everything(channels: dict[str, ChannelCensus]) -> Iterator[New]:
    for name, channel in channels.items():
        yield _new(name, "channel", name, channel.seen)
        for path, types in channel.fields.items():
            whole = msgspec.structs.replace(min(types.values(), key=lambda seen: seen.first))
            whole.count = sum(seen.count for seen in types.values())
            yield _new(name, "field", path, whole)
            for type_, seen in types.items():
                yield _new(name, "type", f"{path}: {type_}", seen)
        for path, values in channel.values.items():
            for value, seen in values.items():
                yield _new(name, "value", f"{path} = {value}", seen)
        for shape, seen in channel.shapes.items():
            yield _new(name, "shape", shape, seen)


def _new(channel: str, what: str, name: str, seen: Sighting) -> New:
    return New(channel, what, name, seen.count, seen.first, seen.last, seen.first_seq)
