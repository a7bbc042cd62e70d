"""python-okx follows a served capture over TLS; run by its own Python with one JSON argument.

The library hands out texts and keeps no book: the levels are put together here, in six lines.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from okx.websocket.WsPublicAsync import WsPublicAsync


async def main(task: dict[str, Any]) -> None:
    """Subscribe to a book and trades until the book has the wanted number."""
    client = WsPublicAsync(url=f"{task['ws']}/public")
    sides: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
    trades: list[str] = []
    done = asyncio.Event()

    def take(text: str) -> None:
        message = json.loads(text)
        for row in message.get("data", []):
            if message["arg"]["channel"] == "trades":
                trades.append(row["tradeId"])
                continue
            for name, side in sides.items():
                if message["action"] == "snapshot":
                    side.clear()
                for price, size, *_ in row[name]:
                    side[float(price)] = float(size)
                    if not float(size):
                        del side[float(price)]
            if row["seqId"] == task["seq_id"]:
                done.set()

    await client.connect()
    channels = [{"channel": name, "instId": task["instrument"]} for name in ("books", "trades")]
    await client.subscribe(channels, callback=take)
    consuming = asyncio.create_task(client.consume())
    await done.wait()
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    result = {
        "client": f"python-okx {version('python-okx')}",
        "bids": sorted(sides["bids"].items(), reverse=True),
        "asks": sorted(sides["asks"].items()),
        "trades": len(set(trades)),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
