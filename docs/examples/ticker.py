"""Print tickers and one-minute candles of two markets as they come.

python docs/examples/ticker.py
"""

import asyncio
import contextlib
import sys

import recorder
from recorder.event import Candle, Ticker

CHANNELS = ["tickers:BTC-USDT", "tickers:ETH-USDT", "candle1m:BTC-USDT", "candle1m:ETH-USDT"]


async def main(url: str | None = None) -> None:
    async for event in recorder.watch(CHANNELS, url=url):
        match event:
            case Ticker():
                print(f"{event.instrument}  {event.bid_price} | {event.ask_price}")
            case Candle(confirmed=True):
                print(f"{event.instrument}  1 m closed at {event.close}, volume {event.volume}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
