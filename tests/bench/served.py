"""`replay.serve` as a process that tells what it cost: the other side of `broadcast`.

    python -m tests.bench.served CAPTURE COUNT ARGUMENTS

Prints its port. When COUNT clients hold ARGUMENTS arguments each, the clock starts, at max. Prints
`{"seconds", "cpu_s", "sent"}` of the way from there to the last push: reading and decoding the
capture is part of it, starting and surveying are not.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from replay.server import Server, serve

_LOOK_S = 0.01


async def run(path: str, count: int, arguments: int) -> None:
    """Serve once."""
    async with serve(path, port=0, speed=None, start_paused=True, at_end="close") as server:
        await server.wait_surveyed()
        print(server.port, flush=True)
        while _held(server) < count * arguments:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_S)
        began, cpu = time.perf_counter(), time.process_time()
        server.controls.resume()
        await server.wait_finished()
        cost = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        print(json.dumps(cost | {"sent": server.report().sent}), flush=True)


def _held(server: Server) -> int:
    return sum(client.arguments for client in server.status().clients)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
