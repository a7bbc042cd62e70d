"""Many cheap WebSocket clients in one process: they subscribe, count bytes, and wait for the end.

    python -m tests.bench.listeners URL COUNT < request

Prints `{"seconds": …, "bytes": …}`: from when the first 32 KiB have come (answers are less) to the
last byte of all. Not a WebSocket library: what is measured is the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from urllib.parse import urlsplit

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_LIMIT_S = 600
_ANSWERS_BYTES = 32 << 10


async def listen(url: str, count: int, request: bytes) -> dict[str, float]:
    """Hold `count` connections until the server closes them all."""
    parts = urlsplit(url)
    began: list[float] = []
    sizes: list[int] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
        writer.write(_HANDSHAKE.format(path=parts.path, host=parts.netloc).encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_frame(request))
        size = 0
        while data := await reader.read(1 << 20):
            size += len(data)
            if not began and size > _ANSWERS_BYTES:
                began.append(time.perf_counter())
            if data.endswith(b"\x88\x02\x03\xe8"):  # a close frame with 1000
                break
        writer.close()
        sizes.append(size)

    async with asyncio.timeout(_LIMIT_S):
        await asyncio.gather(*(one() for _ in range(count)))
    return {"seconds": time.perf_counter() - began[0], "bytes": sum(sizes)}


def _frame(payload: bytes) -> bytes:
    """Return one masked text frame."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
    return head + mask + masked


if __name__ == "__main__":
    print(json.dumps(asyncio.run(listen(sys.argv[1], int(sys.argv[2]), sys.stdin.buffer.read()))))
