"""What faults put on the wire: changed pushes, and messages nobody asked for.

Responsible for the payloads. Refuses to decide when (that is `okx.faults.conversation`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from recorder.okx import faults as kinds
from recorder.okx.channels import CHANNELS
from recorder.okx.exchange import Send
from recorder.okx.faults.plan import Action, SendBinary, SendRaw

_BROKEN = b"\xb3\x05no frame"  # reserved bits and a reserved opcode, RFC 6455 section 5.2
_GARBLED = b'{"arg":{"channel":"garbled"},"data":["\xff\xfe\xc3("]}'


def message_of(fault: Any) -> Action:
    """Return the message that a fault sends by itself."""
    match fault:
        case kinds.Say(text=text):
            return Send(text.encode())
        case kinds.SayHuge(bytes=size):
            head, tail = b'{"arg":{"channel":"huge"},"data":["', b'"]}'
            return Send(head + b"x" * max(0, size - len(head) - len(tail)) + tail)
        case kinds.SayBinary(bytes=size):
            return SendBinary(bytes(range(256)) * (size // 256) + bytes(range(size % 256)))
        case kinds.BreakFraming():
            return SendRaw(_BROKEN)
    return Send(_GARBLED)


def corrupted(payload: bytes, bits: int, count: int) -> bytes:
    """Return a payload with some of its ASCII characters changed into other printable ones.

    Args:
        bits: 64 of them, which decide where and into what. count: how many characters; a place
            that comes twice is changed twice.
    """
    changed = bytearray(payload)
    places = [at for at, byte in enumerate(payload) if byte < 0x80]
    for _ in range(count if places else 0):
        bits = (bits * 0xD1342543DE82EF95 + 1) & ((1 << 64) - 1)  # the high bits are the good ones
        at = places[(bits >> 32) % len(places)]
        shift = 1 + (bits >> 16) % 94
        changed[at] = 0x20 + (changed[at] - 0x20 + shift) % 95
    return bytes(changed)


def is_chained_push(channel: str) -> bool:
    """Say whether a channel is a book of one snapshot and updates, where none may be lost."""
    known = CHANNELS.get(channel)
    return known is not None and known.is_incremental


def changed(fault: Any, payload: bytes) -> list[bytes] | None:
    """Return what is sent instead of a push; None where the fault cannot be about this one."""
    match fault:
        case kinds.Gap():
            return []
        case kinds.Repeat():
            return [payload, payload]
    try:
        body: dict[str, Any] = msgspec.json.decode(payload)
        rows = [row for row in body["data"] if isinstance(row, dict)]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return None
    if not rows:
        return None
    for row in rows:
        match fault:
            case kinds.DeleteUnknown():
                if not isinstance(row.get("bids"), list):
                    return None
                # Below every price there is; columns as the other rows of its book have them.
                row["bids"].append(["0.00000001", "0", "0", "0"])
            case kinds.OldFirst(seconds=seconds):
                if not str(row.get("ts", "")).isdigit():
                    return None
                row["ts"] = str(int(row["ts"]) - round(seconds * 1_000))
            case kinds.Rename(to=name):
                if "instId" not in row:
                    return None
                row["instId"] = name
            case kinds.NewField():
                row["fieldOfTomorrow"] = "1"
    return [msgspec.json.encode(body)]
