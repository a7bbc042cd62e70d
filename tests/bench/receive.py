"""The bare loop that recording is compared with: `websockets` receives, nothing is kept.

python -m tests.bench.receive ws://127.0.0.1:PORT/ws/v5     prints {"frames", "seconds"}
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SUBSCRIBE = '{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'


async def receive(url: str) -> None:
    """Count messages until the server closes; the clock starts with the first."""
    frames, started, ended = 0, 0.0, 0.0
    async with connect(
        url + "/public", compression=None, max_size=None, ping_interval=None, proxy=None
    ) as socket:
        await socket.send(SUBSCRIBE)
        try:
            while True:
                await socket.recv(decode=False)
                frames += 1
                ended = time.perf_counter()
                started = started or ended
        except ConnectionClosed:
            pass
    print(json.dumps({"frames": frames, "seconds": ended - started}))


if __name__ == "__main__":
    asyncio.run(receive(sys.argv[1]))
