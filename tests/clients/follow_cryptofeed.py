"""cryptofeed follows a served capture over TLS; run by its own Python with one JSON argument."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TRADES
from cryptofeed.exchanges import OKX


def aim(task: dict[str, Any]) -> None:
    """Point its OKX at a server; it asks for the instruments that the capture has."""
    names = tuple(OKX.websocket_channels[name] for name in (L2_BOOK, TRADES))
    OKX.websocket_endpoints = [
        WebsocketEndpoint(
            f"{task['ws']}/public", channel_filter=names, options={"compression": None}
        )
    ]
    spot = "/api/v5/public/instruments?instType=SPOT"
    underlying = "/api/v5/public/underlying?instType=OPTION"
    routes = Routes([spot, spot], currencies=underlying)  # 3.0.1 cannot read the answer of one
    OKX.rest_endpoints = [RestEndpoint(task["rest"], routes=routes)]
    OKX.default_option_underlyings = ()


async def main(task: dict[str, Any]) -> None:
    """Take its own book until it has the wanted number."""
    aim(task)
    handler = FeedHandler()
    result: dict[str, Any] = {"client": f"cryptofeed {version('cryptofeed')}", "books": 0}
    trades: set[str] = set()

    async def take_trade(trade: Any, _: float) -> None:
        trades.add(trade.id)

    async def take_book(book: Any, _: float) -> None:
        result["books"] += 1
        if book.sequence_number == task["seq_id"]:
            for name, side in (("bids", book.book.bids), ("asks", book.book.asks)):
                result[name] = [(float(price), float(side[price])) for price in side]
            handler.request_stop()

    feed = OKX(
        symbols=[task["instrument"]],
        channels=[L2_BOOK, TRADES],
        callbacks={L2_BOOK: take_book, TRADES: take_trade},
    )
    handler.add_feed(feed)
    await handler.run_async()
    print(json.dumps({**result, "trades": len(trades)}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
