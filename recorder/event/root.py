"""What all events share: their first three fields, their numbers and the level of a book.

Responsible for these alone. Refuses to hold any event a consumer would name: the files beside
this one do, and `recorder.event` gives them all.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec

Number: TypeAlias = float
N = TypeVar("N")
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of the wire; whatever does not fit a signed 64-bit column is not understood."""


class Event(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag=True):
    """What all events have; see the module for the conventions."""

    seq: int
    index: int
    ts_recv: int


class Level(msgspec.Struct, Generic[N], frozen=True, gc=False, array_like=True):
    """One price level of a book; in JSON the array `[price, size, non_rpi_size, orders]`.

    It has the wire's own shape so that a book is decoded straight into events.

    Attributes:
        price: price of the level.
        size: total size at this price, absolute; 0 deletes the level.
        non_rpi_size: third wire column; only `books-rpi` fills it, elsewhere 0; None in books of
            two or three columns.
        orders: number of orders at this price.
    """

    price: N
    size: N
    non_rpi_size: N | None = None
    orders: Int64 = 0
