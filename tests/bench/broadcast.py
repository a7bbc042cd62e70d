"""A bare broadcast loop of `websockets`: what a server costs that does nothing but send.

    python -m tests.bench.broadcast PAYLOADS COUNT

Prints its port. When COUNT clients have said something, every payload of the file (4 bytes of
length before each) goes to all of them, and they are closed with 1000. It waits for a client with
more than 1 MiB unsent, as `serve --speed max` does. Prints `{"seconds", "cpu_s", "sent"}` of the
way from the first push to the last, as `served` does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve

_ROOM_BYTES = 1 << 20


async def run(path: Path, count: int) -> None:
    """Serve once."""
    payloads = []
    data = path.read_bytes()  # noqa: ASYNC240 - before anybody is served
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        payloads.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    ready: list[ServerConnection] = []
    is_full = asyncio.Event()

    async def converse(socket: ServerConnection) -> None:
        await socket.recv()
        ready.append(socket)
        if len(ready) == count:
            is_full.set()
        await socket.wait_closed()

    async with serve(converse, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await is_full.wait()
        began, cpu = time.perf_counter(), time.process_time()
        for place, payload in enumerate(payloads):
            broadcast(ready, payload, text=True)
            for socket in ready:
                while socket.transport.get_write_buffer_size() > _ROOM_BYTES:  # noqa: ASYNC110
                    await asyncio.sleep(0.0005)
            if place % 64 == 0:
                await asyncio.sleep(0)
        cost = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        print(json.dumps(cost | {"sent": len(payloads) * count}), flush=True)
        await asyncio.gather(*(socket.close() for socket in ready))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
