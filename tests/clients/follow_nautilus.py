"""nautilus_trader follows a served capture; run by its own Python with one JSON argument."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from nautilus_trader.core import nautilus_pyo3 as nautilus
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDeltas, TradeTick, capsule_to_data
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId


async def main(task: dict[str, Any]) -> None:
    """Feed its own `OrderBook` from its own client until the book has the wanted number."""
    http = nautilus.OKXHttpClient(
        api_key="key", api_secret="secret", api_passphrase="phrase", base_url=task["rest"]
    )
    instruments, *_ = await http.request_instruments(nautilus.OKXInstrumentType.SPOT)
    name = f"{task['instrument']}.OKX"
    client = nautilus.OKXWebSocketClient(url=f"{task['ws']}/public", heartbeat=20)
    book = OrderBook(InstrumentId.from_str(name), BookType.L2_MBP)
    trades: set[str] = set()
    seen: dict[str, int] = {"books": 0, "snapshots": 0}
    done = asyncio.Event()

    def take(message: Any) -> None:
        if type(message).__name__ != "PyCapsule":
            return
        data = capsule_to_data(message)  # data of the Rust core goes by pointer
        if isinstance(data, OrderBookDeltas):
            book.apply(data)
            seen["books"] += 1
            seen["snapshots"] += data.is_snapshot
            if data.sequence == task["seq_id"]:
                done.set()
        elif isinstance(data, TradeTick):
            trades.add(data.trade_id.value)

    await client.connect(asyncio.get_running_loop(), instruments, take)
    await client.wait_until_active(timeout_secs=60.0)
    wanted = nautilus.InstrumentId.from_str(name)
    await client.subscribe_book(wanted)
    await client.subscribe_trades(wanted, aggregated=False)
    await done.wait()
    await asyncio.sleep(1)  # trades on their way
    await client.close()
    result = {
        "client": f"nautilus_trader {version('nautilus_trader')}",
        # Its numbers are fixed-point: a float of the text is what the venue sent.
        "bids": [(float(str(level.price)), level.size()) for level in book.bids()],
        "asks": [(float(str(level.price)), level.size()) for level in book.asks()],
        "trades": len(trades),
        **seen,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
