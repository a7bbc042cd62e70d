"""Novelty: fields, words and channels of the venue that no type here knows, counted.

Responsible for telling that OKX has begun to send something new ("new fields appear without
notice", OKX API docs), from the raw message alone: events ignore what they do not know. Refuses
to stand in the hot path: `verify` takes every frame of a capture, a live recording looks at one a
second of each channel (`NoveltyWatch`). REST bodies and control frames are not looked at.

Theory of operation. Per channel a decoder is compiled that knows exactly the keys the parser's
own struct of that channel names (`Shape.push`), so no list of keys is kept twice, and that accepts
exactly the known words (`words.py`). It builds next to nothing. Only a message it refuses is
decoded into plain objects and walked, key by key; most of those hold a known thing in an unknown
form (a blank where an array should be) and count for nothing.
"""

from __future__ import annotations

from types import GenericAlias
from typing import Any, Literal, NamedTuple, Optional

import msgspec

from recorder.event import Level
from recorder.frame import Frame, Kind
from recorder.okx.channels import ARGUMENT_KEYS
from recorder.okx.pushes import shape_of
from recorder.okx.responses import UNREADABLE
from recorder.okx.spread_messages import SpreadLevel
from recorder.okx.words import UNREAD, WORDS, Values

LIMIT = 500
"""Different novelties kept; a venue gone mad shall not fill the memory."""

_PREFIX = b'{"arg":{"channel":"'
_NAME = len(_PREFIX)
_TOP = ("arg", "data", "action", "eventType", "curPage", "lastPage", "id")
_ARGUMENT = ("channel", "uid", "uly", *ARGUMENT_KEYS)  # uly: until 2023-06
_CANDLE_COLUMNS = {"candle": (5, 7, 9), "price": (5, 6), "spread": (7,)}
_TEXT_MAX = 40


class Novelty(msgspec.Struct, frozen=True):
    """One thing nobody knew.

    Attributes:
        channel: of the push.
        what: where: `data.newKey`, `data.details.newKey`, `arg.newKey`, `newKey` (top of the
            push), `data.side=hold` (a word), `data.asks: 5 columns`, or `no type`.
        count: messages that held it; first_seq: the first of them.
    """

    channel: str
    what: str
    count: int
    first_seq: int

    def __str__(self) -> str:
        """Say it in a sentence, for a person at a live recording."""
        return (
            f"OKX sends something new in {self.channel}: {self.what} (seq {self.first_seq}); it is "
            f"recorded, its events leave it out or show it as sent"
        )


class _Known(NamedTuple):
    """What is known of one channel.

    Attributes:
        accepts: raises for a message that holds anything else.
        keys: row keys, those inside arrays of objects by the array's key.
        words: of the rows, by key (`array.key` inside).
        columns: lengths a row may have, where rows are arrays.
        level_columns: number of columns of a book level, 0 for what is no book.
    """

    accepts: Any
    keys: dict[str, dict[str, None] | None]
    words: Values
    columns: tuple[int, ...]
    level_columns: int


class Census:
    """Counts what is new, message by message."""

    def __init__(self) -> None:
        self._known: dict[str, _Known | None] = {}
        self._found: dict[tuple[str, str], list[int]] = {}
        self.beyond = 0
        """Sightings of novelties beyond `LIMIT` different ones."""

    @property
    def found(self) -> list[Novelty]:
        """Every novelty, by channel and place."""
        return [Novelty(*key, *numbers) for key, numbers in sorted(self._found.items())]

    def take(self, frame: Frame) -> list[Novelty]:
        """Look at a received text; return what was seen for the first time. Never raises."""
        payload = frame.payload
        if frame.kind is not Kind.TEXT or not payload.startswith(_PREFIX):
            return []
        name = payload[_NAME : payload.find(b'"', _NAME)]
        return self.take_payload(name.decode("utf-8", "replace"), payload, frame.seq)

    def take_payload(self, channel: str, payload: bytes, seq: int = 0) -> list[Novelty]:
        """Look at a push of a channel; return what was seen for the first time. Never raises."""
        try:
            known = self._known[channel]
        except KeyError:
            known = self._learn(channel)
        if known is None:
            return self._count(channel, ["no type"], seq)
        try:
            rows = known.accepts(payload).data
        except UNREADABLE:
            return self._count(channel, _walk(known, channel, payload), seq)
        if known.columns:
            odd = {len(row) for row in rows}.difference(known.columns)
            return self._count(channel, [f"data: {n} columns" for n in sorted(odd)], seq)
        if known.level_columns:
            return self._count(channel, _level_columns(known, payload), seq)
        return []

    def _learn(self, channel: str) -> _Known | None:
        if len(self._known) >= LIMIT:
            return None
        known = self._known[channel] = _known(channel)
        return known

    def _count(self, channel: str, seen: list[str], seq: int) -> list[Novelty]:
        fresh = []
        for what in seen:
            numbers = self._found.get((channel, what))
            if numbers is not None:
                numbers[0] += 1
            elif len(self._found) < LIMIT:
                self._found[channel, what] = [1, seq]
                fresh.append(Novelty(channel, what, 1, seq))
            else:
                self.beyond += 1
        return fresh


class NoveltyWatch:
    """Looks at a live recording: at most one message a second of each channel.

    Call `look` with the first frame of each batch: a batch is what one socket read brought, and a
    rare push comes alone. A look that is not due costs two look-ups.
    """

    def __init__(self, every_ns: int = 1_000_000_000) -> None:
        self.census = Census()
        self._every = every_ns
        self._due: dict[bytes, int] = {}

    def look(self, frame: Frame) -> list[Novelty]:
        """Look at a frame if its channel is due; return what was seen for the first time ever."""
        payload = frame.payload
        head = payload[_NAME : _NAME + 12]
        if frame.ts_mono < self._due.get(head, 0) or not payload.startswith(_PREFIX):
            return []
        if len(self._due) < LIMIT or head in self._due:
            self._due[head] = frame.ts_mono + self._every
        return self.census.take(frame)


# --- what is known ---------------------------------------------------------------------------


def _known(channel: str) -> _Known | None:
    shape = shape_of(channel)
    if shape is None:
        return None
    fields = {field.name: field for field in msgspec.structs.fields(shape.push(str))}
    (row,) = fields["data"].type.__args__
    words = WORDS.get(channel, {})
    if _config(row).array_like:
        columns = _candle_columns(channel)
        rows: Any = GenericAlias(list, (GenericAlias(list, (msgspec.Raw,)),))
        return _Known(_acceptor(rows, words), {}, words, columns, 0)
    keys = _keys_of(row)
    keys.update(dict.fromkeys(UNREAD.get(channel, ())))
    level = {Level: 4, SpreadLevel: 3}.get(_level_type(row), 0)
    rows = GenericAlias(list, (_strict("Row", keys, words, ""),))
    return _Known(_acceptor(rows, words), keys, words, (), level)


def _config(type_: Any) -> Any:
    return getattr(type_, "__origin__", type_).__struct_config__


def _candle_columns(channel: str) -> tuple[int, ...]:
    if channel.startswith("sprd-"):
        return _CANDLE_COLUMNS["spread"]
    return _CANDLE_COLUMNS["candle" if channel.startswith("candle") else "price"]


def _member(type_: Any) -> Any:
    """Return the struct an array holds, None for anything else."""
    (member,) = getattr(type_, "__args__", None) or (None,) if _is_list(type_) else (None,)
    origin = getattr(member, "__origin__", member)
    is_struct = isinstance(origin, type) and issubclass(origin, msgspec.Struct)
    return member if is_struct else None


def _is_list(type_: Any) -> bool:
    return getattr(type_, "__origin__", None) is list


def _keys_of(row: Any) -> dict[str, dict[str, None] | None]:
    """Return the wire keys of a row; inside arrays of objects, theirs."""
    keys: dict[str, dict[str, None] | None] = {}
    for field in msgspec.structs.fields(row):
        member = _member(field.type)
        if member is None or _config(member).array_like:
            keys[field.encode_name] = None
        else:
            inner = msgspec.structs.fields(member)
            keys[field.encode_name] = dict.fromkeys(part.encode_name for part in inner)
    return keys


def _level_type(row: Any) -> Any:
    for field in msgspec.structs.fields(row):
        if field.encode_name == "asks":
            return getattr(_member(field.type), "__origin__", None)
    return None


def _strict(name: str, keys: Any, words: Values, prefix: str) -> Any:
    """Return a struct of exactly these keys; it skips over every value but the known words."""
    fields: list[Any] = []
    for index, (key, inner) in enumerate(keys.items()):
        kind: Any = msgspec.Raw
        if inner is not None:
            kind = GenericAlias(list, (_strict(key, inner, words, f"{prefix}{key}."),))
        elif prefix + key in words:
            kind = _word(words[prefix + key])
        fields.append((f"k{index}", kind, msgspec.field(default=None, name=key)))
    return msgspec.defstruct(name, fields, gc=False, forbid_unknown_fields=True)


def _word(values: tuple[str, ...]) -> Any:
    return Optional[Literal[("", *values)]]  # noqa: UP045 - made at run time


def _acceptor(rows: Any, words: Values) -> Any:
    """Return the decoder of a whole push that refuses anything new."""
    argument = _strict("Argument", dict.fromkeys(_ARGUMENT), {}, "")
    fields: list[Any] = [("arg", argument), ("data", rows)]
    for key in _TOP[2:]:
        known = words.get("/" + key)
        kind: Any = msgspec.Raw if known is None else _word(known)
        fields.append((key, kind, None))
    push = msgspec.defstruct("Push", fields, gc=False, forbid_unknown_fields=True)
    return msgspec.json.Decoder(push).decode


# --- the long way ----------------------------------------------------------------------------


def _walk(known: _Known, channel: str, payload: bytes) -> list[str]:
    """Return what is new in a message that the strict decoder refused."""
    try:
        document = msgspec.json.decode(payload)
    except UNREADABLE:
        return []
    if not isinstance(document, dict):
        return []
    seen = dict.fromkeys(key[:_TEXT_MAX] for key in document if key not in _TOP)
    for key, values in known.words.items():
        if key.startswith("/"):
            _look_at_word(seen, key[1:], document.get(key[1:]), values)
    argument, rows = document.get("arg"), document.get("data")
    for key in argument if isinstance(argument, dict) else ():
        if key not in _ARGUMENT:
            seen[f"arg.{key[:_TEXT_MAX]}"] = None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            _look_at(seen, known, row, known.keys, "")
    return list(seen)


def _look_at(
    seen: dict[str, None], known: _Known, row: dict[str, Any], keys: Any, prefix: str
) -> None:
    for key, value in row.items():
        path = prefix + key
        if key not in keys:
            seen[f"data.{path[:_TEXT_MAX]}"] = None
        elif path in known.words:
            _look_at_word(seen, f"data.{path}", value, known.words[path])
        elif not prefix and keys[key] is not None and isinstance(value, list):
            for member in value:
                if isinstance(member, dict):
                    _look_at(seen, known, member, keys[key], f"{key}.")


def _look_at_word(seen: dict[str, None], path: str, value: Any, known: tuple[str, ...]) -> None:
    if isinstance(value, str) and value and value not in known:
        seen[f"{path}={value[:_TEXT_MAX]}"] = None


def _level_columns(known: _Known, payload: bytes) -> list[str]:
    """Look at the first level of each side: all levels of a message are alike."""
    seen = []
    for side in (b'"asks":[[', b'"bids":[['):
        start = payload.find(side)
        if start >= 0:
            end = payload.find(b"]", start)
            count = payload.count(b",", start, end) + 1
            if count != known.level_columns:
                seen.append(f"data.{side[1:5].decode()}: {count} columns")
    return seen
