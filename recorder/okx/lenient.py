"""The second, lenient reading of a push that the fast decoder of its channel refused.

Responsible for blanks, for older layouts and for numbers of an unexpected JSON type. Refuses to
guess: what does not fit a channel's shape after that is not forced into it (it becomes `Data`).

Three things bring a frame here. The venue writes a missing number as `""`, which no number type
accepts; teaching the fast decoders to would slow every number of every frame for the sake of
rare ones (`nextFundingRate`, quotes of an illiquid option). Candles of old frames have fewer
columns. And a venue that sends `1.5` where it always sent `"1.5"` is still understood.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from recorder.okx.shape import Decode, Shape

WIRE_NUMBERS: dict[type, Any] = {
    float: float,
    Decimal: Decimal,
    # A text is only checked to be a number; it is kept as it was sent.
    str: Annotated[str, msgspec.Meta(pattern=r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$")],
}
"""What the decoders are told for each number type."""

_DEEPEST = 64
"""Levels of nesting a message may have. OKX sends up to six; the bound keeps the same message
readable at every depth of the Python stack, or at none."""


_NOT_FINITE = re.compile(rb'"[-+]?(?:s?nan|inf)', re.IGNORECASE)


def fast_decoder(push: Any, number: type) -> Decode:
    """Return the decoder of one channel's pushes as the venue sends them."""
    decode: Decode = msgspec.json.Decoder(push, strict=False).decode
    if number is not Decimal:
        return decode

    def decode_finite(payload: bytes) -> Any:
        # Decimal reads "sNaN", which cannot even be hashed; float and str need no such guard.
        if _NOT_FINITE.search(payload) is not None:
            raise ValueError("a number that may not be finite")
        return decode(payload)

    return decode_finite


def lenient_decoder(push: Any, shape: Shape, number: type) -> Decode:
    """Return a decoder of one channel's pushes that forgives what can be forgiven."""
    # JSON numbers keep their digits where digits matter.
    generic = (
        msgspec.json.Decoder() if number is float else msgspec.json.Decoder(float_hook=number)
    ).decode
    columns = shape.columns
    as_text = shape.push(WIRE_NUMBERS[str])
    for wire in (push, as_text) if number is Decimal else (push,):
        msgspec.json.Decoder(wire)  # here, where nobody else makes one, not first when converted

    def decode(payload: bytes) -> Any:
        document = generic(payload)
        if columns is not None:
            document["data"] = [columns(row) for row in document["data"]]
        if number is Decimal:
            # What is no plain number as a text is none as a Decimal either (NaN, Infinity).
            msgspec.convert(without_blanks(document, number=str), as_text, strict=False)
        return msgspec.convert(without_blanks(document, number=number), push, strict=False)

    return decode


def sparse_decoder(lenient: Decode) -> Decode:
    """Return a channel's lenient decoder as its first choice, for pushes full of blanks."""

    def decode(payload: bytes) -> Any:
        if payload.count(b"[") + payload.count(b"{") > _DEEPEST and nests_too_deep(
            msgspec.json.decode(payload), payload
        ):
            raise ValueError("nested too deep")
        return lenient(payload)

    return decode


def without_blanks(value: Any, *, number: type) -> Any:
    """Return JSON without blank members: `""` and null go, in arrays they become None.

    Numbers of the wrong JSON type become what a decoder of `number` takes.
    """
    if isinstance(value, dict):
        return {
            key: without_blanks(member, number=number)
            for key, member in value.items()
            if member is not None and member != ""
        }
    if isinstance(value, list):
        return [without_blanks(member, number=number) for member in value]
    if isinstance(value, str):
        return value or None
    if number is str and type(value) in (int, Decimal):
        return str(value)
    return value


def nests_too_deep(document: Any, payload: bytes) -> bool:
    """Whether a message nests deeper than any the venue sends; cheap for ordinary ones."""
    if payload.count(b"[") + payload.count(b"{") <= _DEEPEST:
        return False
    layer = [document]
    for _ in range(_DEEPEST):
        layer = [
            member
            for value in layer
            for member in (value.values() if isinstance(value, dict) else value)
            if isinstance(member, (dict, list))
        ]
        if not layer:
            return False
    return True
