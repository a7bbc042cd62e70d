"""Census: every JSON shape, field, type and enumerated value per channel, with times.

Responsible for reading messages without knowing any: unlike `okx.novelty`, which tells what no
type here knows, a census tells what there is, so that two of them can be compared. Refuses to
keep values that are no words of the venue: prices, ids, names of orders.

Theory of operation. Messages repeat: fold every number to one digit and every run of book levels
to one mark, and a few hundred folded texts make a session. Only the first message of each is
decoded and walked; for the others a hash is looked up and three numbers are changed.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from recorder.frame import LABELS, Frame, Kind
from recorder.okx.words import WORDS

_FOLDED_MAX = 20_000
"""Folded texts remembered at once; more are added up and forgotten."""
SHAPES_MAX = 5_000
VALUES_MAX = 64
"""Values of one field; with more of them it is no enumeration."""
_FIELDS_MAX = 20_000
_TEXT_MAX = 60

_LEVELS_4 = re.compile(rb'(?:\["[0-9.]+","[0-9.]+","[0-9.]+","[0-9]+"\],?)+')
_LEVELS_3 = re.compile(rb'(?:\["-?[0-9.]+","[0-9.]+","[0-9]+"\],?)+')
# Of values only: a key keeps its digits, as in `vol24h`.
_FRACTION = re.compile(rb'(?<=[":,\[\-])[0-9]+\.[0-9]+(?=[",}\]])')
_INTEGER = re.compile(rb'(?<=[":,\[\-])[0-9]{2,}(?=[",}\]])')
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,31}")
_NO_WORDS = re.compile(
    r"(Id|ID|[cC]cy|[cC]cyList|^uid|^tag|^msg|^title|^scheDesc|^href|^alias|^uly|^from|^to|^memo"
    r"|^note|^region|^category|^event|^unit|^refDate|^actual|^apiKey|^sign|^passphrase|^host"
    r"|^reason|^chain|^addrEx|^areaCodeFrom|^areaCodeTo|^clientId|^instFamily|^url|^request"
    r"|^group|^name|^text|^channel|^cause)$"
)
_CONTROL_WORDS = ("event", "op", "code")
_LONG_WORDS = tuple(
    channel
    for channel, keys in WORDS.items()
    if any(len(word) > 1 and word.isdigit() for words in keys.values() for word in words)
)
"""Channels with words such as `17`, which folding would hide."""


class Sighting(msgspec.Struct):
    """How often something was seen, when (`ts_recv`, ns), and in which frame first."""

    count: int
    first: int
    last: int
    first_seq: int

    def add(self, other: Sighting) -> None:
        """Add what was seen elsewhere."""
        self.count += other.count
        if other.first < self.first:
            self.first, self.first_seq = other.first, other.first_seq
        self.last = max(self.last, other.last)


class ChannelCensus(msgspec.Struct):
    """What one channel, event, request or row looks like.

    Attributes:
        seen: its frames. shapes: by digest; a shape is the set of its fields and their types.
        fields: sightings by path (`data[].px`) and JSON type; a text is `number`, `blank` or
            `text`, an array of scalars has its length: `array of 4`.
        values: sightings by path and value, where a field has words to choose from.
    """

    seen: Sighting
    shapes: dict[str, Sighting] = msgspec.field(default_factory=dict)
    fields: dict[str, dict[str, Sighting]] = msgspec.field(default_factory=dict)
    values: dict[str, dict[str, Sighting]] = msgspec.field(default_factory=dict)
    open_fields: list[str] = msgspec.field(default_factory=list)
    """Fields with more than `VALUES_MAX` different words: no enumerations."""


class Survey(msgspec.Struct):
    """What one message holds: the answer of `survey`."""

    channel: str
    shape: str
    fields: tuple[tuple[str, str], ...]
    values: tuple[tuple[str, str], ...]


class Census:
    """Takes frames in order and tells what they looked like.

    Attributes:
        beyond: messages whose shape or field was one too many to be kept by itself.
    """

    def __init__(self) -> None:
        self._folded: dict[tuple[int, bytes], tuple[Survey, Sighting]] = {}
        self._channels: dict[str, ChannelCensus] = {}
        self._shapes = self._fields = 0
        self.beyond = 0

    def take(self, frame: Frame) -> None:
        """Look at a frame; never raises."""
        key = (frame.kind, fold(frame.kind, frame.payload))
        known = self._folded.get(key)
        if known is None:
            if len(self._folded) >= _FOLDED_MAX:
                self._settle()
            seen = Sighting(0, frame.ts_recv, frame.ts_recv, frame.seq)
            known = self._folded[key] = survey(frame), seen
        seen = known[1]
        seen.count += 1
        if frame.ts_recv > seen.last:
            seen.last = frame.ts_recv
        elif frame.ts_recv < seen.first:
            seen.first, seen.first_seq = frame.ts_recv, frame.seq

    @property
    def channels(self) -> dict[str, ChannelCensus]:
        """What was seen, by channel, event, request or kind of row, sorted."""
        self._settle()
        found = {}
        for name, channel in sorted(self._channels.items()):
            found[name] = msgspec.structs.replace(
                channel,
                shapes=dict(sorted(channel.shapes.items())),
                fields={k: dict(sorted(v.items())) for k, v in sorted(channel.fields.items())},
                values={k: dict(sorted(v.items())) for k, v in sorted(channel.values.items())},
                open_fields=sorted(channel.open_fields),
            )
        return found

    def _settle(self) -> None:
        for found, seen in self._folded.values():
            self._add(found, seen)
        self._folded.clear()

    def _add(self, found: Survey, seen: Sighting) -> None:
        channel = self._channels.get(found.channel)
        if channel is None:
            if len(self._channels) >= SHAPES_MAX:
                self.beyond += seen.count
                return
            channel = self._channels[found.channel] = ChannelCensus(_copy(seen))
        else:
            channel.seen.add(seen)
        if not self._note(channel.shapes, found.shape, seen, SHAPES_MAX):
            self.beyond += seen.count
        for path, type_ in found.fields:
            types = channel.fields.get(path)
            if types is None:
                if self._fields >= _FIELDS_MAX:
                    self.beyond += seen.count
                    continue
                self._fields += 1
                types = channel.fields[path] = {}
            self._note(types, type_, seen, VALUES_MAX)
        for path, value in found.values:
            if path not in channel.open_fields:
                values = channel.values.setdefault(path, {})
                if not self._note(values, value, seen, VALUES_MAX):
                    channel.open_fields.append(path)
                    del channel.values[path]

    @staticmethod
    def _note(into: dict[str, Sighting], name: str, seen: Sighting, limit: int) -> bool:
        known = into.get(name)
        if known is not None:
            known.add(seen)
        elif len(into) < limit:
            into[name] = _copy(seen)
        else:
            return False
        return True


def _copy(seen: Sighting) -> Sighting:
    return Sighting(seen.count, seen.first, seen.last, seen.first_seq)


# --- one message ------------------------------------------------------------------------------


def fold(kind: Kind, payload: bytes) -> bytes:
    """Return 16 bytes that are the same for messages which differ in their numbers alone."""
    text = payload
    if kind is Kind.TEXT and payload.startswith(b'{"arg":{"channel":"'):
        name = payload[19 : payload.find(b'"', 19)]
        if name.decode("utf-8", "replace") not in _LONG_WORDS:
            if b'"asks"' in payload:
                text = _LEVELS_3.sub(b"[3]", _LEVELS_4.sub(b"[4]", text))
            text = _INTEGER.sub(b"11", _FRACTION.sub(b"1.1", text))
    elif len(payload) > 4096:
        text = _INTEGER.sub(b"11", _FRACTION.sub(b"1.1", text))
    return hashlib.blake2b(text, digest_size=16).digest()


def survey(frame: Frame) -> Survey:
    """Return what one message holds; never raises."""
    try:
        document = msgspec.json.decode(frame.payload)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        document = None
    channel = subject_of(frame, document)
    fields: dict[tuple[str, str], None] = {}
    values: dict[tuple[str, str], None] = {}
    if isinstance(document, (dict, list)):
        try:
            _walk(document, "", "", fields, values, channel)
        except RecursionError:
            fields[("", "nested too deep")] = None
    told = tuple(sorted(fields))
    shape = hashlib.blake2b(repr(told).encode(), digest_size=6).hexdigest()
    return Survey(channel, shape, told, tuple(sorted(values)))


def subject_of(frame: Frame, document: Any) -> str:
    """Return what a frame is about: a channel, `event NAME`, `sent NAME`, or its kind."""
    if frame.kind is Kind.TEXT:
        if isinstance(document, dict):
            argument = document.get("arg")
            event = document.get("event")
            if isinstance(event, str):
                return f"event {event[:_TEXT_MAX]}"
            if isinstance(argument, dict) and isinstance(argument.get("channel"), str):
                return str(argument["channel"])[:_TEXT_MAX]
            return "no push"
        return "pong" if frame.payload == b"pong" else "no JSON"
    if frame.kind is Kind.SENT:
        if isinstance(document, dict):
            return f"sent {str(document.get('op'))[:_TEXT_MAX]}"
        return "sent ping" if frame.payload == b"ping" else "sent request"
    return LABELS[frame.kind]


def _walk(
    value: Any,
    path: str,
    key: str,
    fields: dict[tuple[str, str], None],
    values: dict[tuple[str, str], None],
    channel: str,
) -> None:
    """Add the fields and words inside a value; arrays of objects count as one object."""
    if isinstance(value, dict):
        if path:
            fields[(path, "object")] = None
        for name, member in value.items():
            name = str(name)[:_TEXT_MAX]
            inner = f"{path}.{name}" if path else name
            _walk(member, inner, name, fields, values, channel)
        return
    if isinstance(value, list):
        _walk_array(value, path, key, fields, values, channel)
        return
    fields[(path, _type_of(value))] = None
    if is_word(value, path, key, channel):
        text = str(value).lower() if isinstance(value, bool) else value[:_TEXT_MAX]
        values[(path, text)] = None


def _walk_array(value: Any, path: str, key: str, fields: Any, values: Any,
                channel: str) -> None:  # fmt: skip
    if not value:
        fields[(path, "empty array")] = None
    elif any(isinstance(member, (dict, list)) for member in value):
        fields[(path, "array")] = None
        for member in value:
            _walk(member, f"{path}[]", key, fields, values, channel)
    else:
        fields[(path, f"array of {len(value)}")] = None
        is_row = path.endswith("[]")
        for at, member in enumerate(value):
            fields[(f"{path}[{at}]" if is_row else f"{path}[]", _type_of(member))] = None
        if is_row and "candle" in channel and isinstance(value[-1], str) and len(value[-1]) == 1:
            values[(f"{path}[{len(value) - 1}]", value[-1])] = None


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "JSON integer"
    if isinstance(value, float):
        return "JSON number"
    if value == "":
        return "blank"
    return "number" if _NUMBER.fullmatch(value) else "text"


def is_word(value: Any, path: str, key: str, channel: str) -> bool:
    """Tell whether a value is one of those the venue chooses from; `path` ends with the key."""
    if isinstance(value, bool):
        return True
    if not isinstance(value, str) or not value:
        return False
    place = path.replace("[]", "")
    known = place.removeprefix("data.") if place.startswith("data.") else f"/{place}"
    if known in WORDS.get(channel, ()):
        return True
    if " " in channel and key in _CONTROL_WORDS and len(value) <= _TEXT_MAX:
        return True
    return _NO_WORDS.search(key) is None and _WORD.fullmatch(value) is not None
