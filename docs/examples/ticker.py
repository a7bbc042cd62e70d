"""Print tickers and one-minute candles of two markets as they come.

python docs/examples/ticker.py
"""

import asyncio
import sys

import recorder
from recorder.errors import RecorderError
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
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
    except RecorderError as error:  # one sentence: what was expected, received, what to do
        sys.exit(f"error: {error}")
