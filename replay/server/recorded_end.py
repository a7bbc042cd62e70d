"""How a recorded connection ended, as far as it can be made to happen again.

Responsible for telling an end that the venue or the network made from one that the recorder made.
Refuses to close anything.
"""

from __future__ import annotations

import msgspec

_NOT_SENT = (1005, 1006, 1015)  # codes that no close frame may carry (RFC 6455, 7.4.1)


class Ending(msgspec.Struct, frozen=True):
    """An end that a client is to see.

    Attributes:
        code, reason: of the close frame. is_sent: there was one; else the connection just broke.
    """

    code: int
    reason: str
    is_sent: bool


class _Closed(msgspec.Struct):
    code: int | None = None
    reason: str | None = None
    by: str | None = None
    opened: bool = True


_decode = msgspec.json.Decoder(_Closed).decode


def ending_of(payload: bytes) -> Ending | None:
    """Return how the connection of a `closed` row ended; None where its recorder closed it.

    A connect that failed is no end either: nobody held anything.
    """
    try:
        row = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if row.by == "recorder" or not row.opened:
        return None
    code = row.code or 1006
    is_sent = row.by == "venue" and 1000 <= code < 5000 and code not in _NOT_SENT
    return Ending(code, row.reason or "", is_sent)
