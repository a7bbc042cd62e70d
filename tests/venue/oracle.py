"""The venue's own record of a session: what the tested recorder is judged by.

One JSON object a line, written as it happens and flushed, outside the tested capture. `handed`
means: every byte of the message was taken by the kernel of this machine. Lines are

    {"what": "venue", "at": …, "seed": …, "url": …}
    {"what": "attempt", "at": …, "endpoint": "public"}          one TCP connection with a handshake
    {"what": "refused", "at": …, "endpoint": …, "how": "HTTP 503"}
    {"what": "opened", "at": …, "connection": 0, "endpoint": "public", "id": "9f3c01ab"}
    {"what": "frame", "at": …, "connection": 0, "order": 0, "kind": "text", "bytes": 81, "hash": …}
    {"what": "pending", …}          like `frame`, but not wholly handed over when the socket broke
    {"what": "received", "at": …, "connection": 0, "bytes": 4, "hash": …, "op": "ping"}
    {"what": "fault", "at": …, "connection": 0, "endpoint": …, "fault": "close", "detail": …}
    {"what": "ended", "at": …, "connection": 0, "how": "close", "handed": 17, "code": 4006}
    {"what": "stall", "at": …, "seconds": 0.5}     the venue itself got no time just before this
    {"what": "rest", "at": …, "target": "/api/v5/…", "status": 200, "bytes": 512, "hash": …}

`at` is the wall clock, ns. Hashes are BLAKE2b-64 in hex. A login is recorded without its content.
`how` of `ended` decides what must have been stored, see `conservation`.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from os import PathLike
from typing import Any, BinaryIO

import msgspec


def hash_of(payload: bytes) -> str:
    """Return the hash by which frames are compared."""
    return blake2b(payload, digest_size=8).hexdigest()


class Oracle:
    """Append what happens to a file (or only to memory, without a path)."""

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self.lines: list[dict[str, Any]] = []
        self._keeps = path is None
        self._file: BinaryIO | None = None if path is None else open(path, "ab", buffering=0)  # noqa: SIM115

    def note(self, what: str, **facts: Any) -> None:
        """Write one line."""
        line = {"what": what, "at": time.time_ns(), **facts}
        if self._file is not None:
            self._file.write(msgspec.json.encode(line) + b"\n")
        if self._keeps or what in ("fault", "refused"):
            self.lines.append(line)

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()
            self._file = None
