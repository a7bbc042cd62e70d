"""Arrow values as plain ones that JSON, CSV and a table can show.

Responsible for exactness: nanoseconds, big integers and decimals keep every digit. Refuses to
write anything: `replay.results` does.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import date, time
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa

from recorder.clock import NS_PER_SECOND, format_time

_CELL_WIDTH = 72
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}

_encode = msgspec.json.Encoder(decimal_format="number").encode


def plain(array: Any, *, binary_as_text: bool = False) -> list[Any]:
    """Return the values of an Arrow array as None, bool, int, float, Decimal, str, list, dict.

    Args:
        binary_as_text: UTF-8 as it is and other bytes escaped, for people; else base64.
    """
    kind = array.type
    if pa.types.is_timestamp(kind):
        return [_time(value, kind.unit) for value in array.cast(pa.int64()).to_pylist()]
    if pa.types.is_decimal(kind) and kind.scale == 0:
        return [_integer(value) for value in array.to_pylist()]
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode(), binary_as_text=binary_as_text)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        members = iter(plain(array.flatten(), binary_as_text=binary_as_text))
        lengths = array.value_lengths().to_pylist()
        return [None if n is None else list(islice(members, n)) for n in lengths]
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        fields = [plain(field, binary_as_text=binary_as_text) for field in array.flatten()]
        rows = zip(*fields, strict=True) if fields else ((),) * len(array)
        return [
            dict(zip(names, row, strict=True)) if is_valid else None
            for row, is_valid in zip(rows, array.is_valid().to_pylist(), strict=True)
        ]
    as_bytes = _text_of_bytes if binary_as_text else _base64
    return [_other(value, as_bytes) for value in array.to_pylist()]


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _text_of_bytes(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _integer(value: Decimal | None) -> Any:
    if value is None:
        return None
    number = int(value)
    # The encoder takes 64 bits; a sum of BIGINT has 128.
    return number if -(2**63) <= number < 2**63 else msgspec.Raw(str(number).encode())


def _time(value: int | None, unit: str) -> Any:
    """Return RFC 3339 with the digits of the unit; the bare number beyond the year 9999."""
    if value is None:
        return None
    digits = _DIGITS[unit]
    ns = value * (NS_PER_SECOND // 10**digits)
    try:
        text = format_time(ns)
    except OverflowError:
        return value
    return text[:19] + (text[19 : 20 + digits] if digits else "") + "Z"


def _other(value: Any, as_bytes: Any) -> Any:
    if isinstance(value, bytes):
        return as_bytes(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, pa.MonthDayNano):
        seconds, ns = divmod(value.nanoseconds, NS_PER_SECOND)
        return f"P{value.months}M{value.days}DT{seconds}.{ns:09d}S"
    if isinstance(value, dict):
        return {str(key): _other(member, as_bytes) for key, member in value.items()}
    if isinstance(value, list):  # a map comes as pairs
        if all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
            return {str(key): _other(member, as_bytes) for key, member in value}
        return [_other(member, as_bytes) for member in value]
    return value


def csv_cell(value: Any) -> Any:
    """Return what a CSV writer shall write: empty for NULL, JSON for what is nested."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return _encode(value).decode() if isinstance(value, (list, dict)) else value


def table_cell(value: Any) -> str:
    """Return one short line for a person."""
    if value is None:
        return "NULL"
    text = csv_cell(value)
    text = text if isinstance(text, str) else str(text)
    if not text.isprintable():
        text = "".join(_visible(text[:_CELL_WIDTH]))
    return text if len(text) <= _CELL_WIDTH else text[: _CELL_WIDTH - 1] + "…"


def _visible(text: str) -> Iterable[str]:
    return (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
