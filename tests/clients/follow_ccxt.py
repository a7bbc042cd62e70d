"""ccxt.pro follows a served capture; run by its own Python with one JSON argument."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ccxt.pro as ccxtpro
from ccxt.base.errors import BaseError


async def main(task: dict[str, Any]) -> None:
    """Watch a book, trades, a ticker and candles until the book has the wanted number."""
    client = ccxtpro.okx({"enableRateLimit": False})
    client.urls["api"]["ws"] = task["ws"]
    client.urls["api"]["rest"] = task["rest"]
    client.options["fetchMarkets"] = {"types": ["spot"]}
    client.options["fetchCurrencies"] = False
    client.has["fetchCurrencies"] = False
    symbol = task["instrument"].replace("-", "/")
    trades: dict[str, float] = {}
    seen: dict[str, Any] = {"books": 0, "errors": []}

    async def watch_book() -> Any:
        while True:
            try:
                book = await client.watch_order_book(symbol)
            except BaseError as error:  # how ccxt says that a chain broke; it has resubscribed
                seen["errors"].append(f"{type(error).__name__}: {error}"[:200])
                continue
            seen["books"] += 1
            if book["nonce"] == task["seq_id"]:
                return book

    async def watch_trades() -> None:
        while True:
            for trade in await client.watch_trades(symbol):
                trades[trade["id"]] = trade["price"]

    async def watch_ticker() -> None:
        while True:
            seen["ticker"] = (await client.watch_ticker(symbol))["last"]

    async def watch_candles() -> None:
        while True:
            for bar in await client.watch_ohlcv(symbol, "1m"):
                seen["candle"] = bar

    await client.load_markets()
    others = [asyncio.create_task(watch()) for watch in (watch_trades, watch_ticker, watch_candles)]
    try:
        book = await watch_book()
        await asyncio.sleep(1)  # what is on its way in the other channels
        result = {
            "client": f"ccxt {ccxtpro.__version__}",
            "bids": [level[:2] for level in book["bids"]],
            "asks": [level[:2] for level in book["asks"]],
            "trades": len(trades),
            **seen,
        }
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await client.close()
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
