"""A spread between a spot instrument and its swap: book, trades and ticker of its own.

Responsible for the public channels of "Spread Trading" (OKX API docs): three columns a level,
prices that may be negative, a real checksum in `sprd-books-l2-tbt`, numbers beyond 2^53. Refuses
its candles: `bars.py` makes them from `mid`.
"""

from __future__ import annotations

from random import Random

from recorder.clock import NS_PER_MS
from recorder.event import Level
from recorder.okx.checksum import checksum
from recorder.okx.subscription import Subscription
from replay.market.chance import format_decimal
from replay.market.feed import Emit
from replay.market.venue import Market

SPREAD_CHANNELS = (
    "sprd-bbo-tbt", "sprd-books5", "sprd-books-l2-tbt", "sprd-public-trades", "sprd-tickers",
)  # fmt: skip
_LEVELS = 12
_EVERY_NS = 900 * NS_PER_MS
_FIRST_SEQ = 1_790_000_000_000_000_000
_SIZE_DECIMALS = 3

Ladder = dict[int, tuple[int, int]]
"""Size and orders by price in ticks."""


class Spread:
    """One spread; prices in ticks of the finer of its legs."""

    def __init__(self, spot: Market, swap: Market, random: Random, emit: Emit) -> None:
        self.id = f"{spot.instrument.id}_{swap.instrument.id}"
        self.decimals = max(spot.instrument.price_decimals, swap.instrument.price_decimals)
        self.live: set[str] = set()
        self._spot, self._swap = spot, swap
        self._bits = random.getrandbits
        self._emit = emit
        self._seq = _FIRST_SEQ + random.getrandbits(20)
        self._trade_id = 20_000 + random.getrandbits(10)
        self._bids: Ladder = {}
        self._asks: Ladder = {}
        self._volume = 0
        self.last = self._open = self._high = self._low = self.mid()
        self._reshape()

    @property
    def subscriptions(self) -> list[Subscription]:
        """What it answers."""
        return [Subscription(name, (("sprdId", self.id),)) for name in SPREAD_CHANNELS]

    def mid(self) -> int:
        """Return the swap's last price less the spot's, ticks."""
        return self._in_ticks(self._swap) - self._in_ticks(self._spot)

    def start(self, channel: str, now_ns: int) -> None:
        """Switch a channel on and make its first push."""
        self.live.add(channel)
        ms = now_ns // NS_PER_MS
        if channel == "sprd-books-l2-tbt":
            self._push_chain("snapshot", self._bids, self._asks, -1, ms)
        elif channel != "sprd-public-trades":
            self._push(channel, ms)

    def stop(self, channel: str) -> None:
        """Switch a channel off."""
        self.live.discard(channel)

    def act(self, now_ns: int) -> int:
        """Move the book, trade now and then, and push what is on."""
        ms = now_ns // NS_PER_MS
        bids, asks = self._bids, self._asks
        if self._bits(2) < 3:
            self._trade(ms)
        self._reshape()
        changed = self._difference(bids, self._bids), self._difference(asks, self._asks)
        before = self._seq
        self._seq += 1 + self._bits(4)
        self._push("sprd-bbo-tbt", ms)
        if "sprd-books-l2-tbt" in self.live:
            self._push_chain("update", *changed, before, ms)
        self._push("sprd-books5", ms)
        self._push("sprd-tickers", ms)
        return now_ns + _EVERY_NS + self._bits(26)

    def _in_ticks(self, market: Market) -> int:
        finer = self.decimals - market.instrument.price_decimals
        return market.tape.last_price * int(10**finer)

    def _reshape(self) -> None:
        """Lay both sides around the present difference; known prices keep most of their sizes."""
        mid, bits = self.mid(), self._bits
        bids, asks = self._bids, self._asks
        self._bids = {mid - 1 - 2 * n: self._level(bids, mid - 1 - 2 * n) for n in range(_LEVELS)}
        self._asks = {mid + 1 + 2 * n: self._level(asks, mid + 1 + 2 * n) for n in range(_LEVELS)}
        if bits(1):  # a one-sided thinning: an explicit delete follows
            self._bids.pop(min(self._bids))

    def _level(self, known: Ladder, price: int) -> tuple[int, int]:
        size = 100 + self._bits(12), 1 + self._bits(2)
        return known[price] if price in known and self._bits(2) else size

    @staticmethod
    def _difference(before: Ladder, now: Ladder) -> Ladder:
        gone = dict.fromkeys(before.keys() - now.keys(), (0, 0))
        return gone | {price: level for price, level in now.items() if before.get(price) != level}

    def _trade(self, ms: int) -> None:
        is_buy = bool(self._bits(1))
        price = min(self._asks) if is_buy else max(self._bids)
        size = 1 + self._bits(9)
        self._trade_id += 1
        self.last = price
        self._volume += size
        self._high, self._low = max(self._high, price), min(self._low, price)
        if "sprd-public-trades" in self.live:
            self._emit_row("sprd-public-trades", (
                f'"sprdId":"{self.id}","tradeId":"{self._trade_id}","px":"{self._text(price)}",'
                f'"sz":"{_size(size)}","side":"{"buy" if is_buy else "sell"}","ts":"{ms}"'
            ))  # fmt: skip

    # --- wire text --------------------------------------------------------------------------

    def _push(self, channel: str, ms: int) -> None:
        if channel not in self.live:
            return
        if channel == "sprd-tickers":
            bid, ask = max(self._bids), min(self._asks)
            prices = self._open, self._high, self._low
            start, high, low = (self._text(price) for price in prices)
            self._emit_row(channel, (
                f'"sprdId":"{self.id}","last":"{self._text(self.last)}","lastSz":"0.25",'
                f'"askPx":"{self._text(ask)}","askSz":"{_size(self._asks[ask][0])}",'
                f'"bidPx":"{self._text(bid)}","bidSz":"{_size(self._bids[bid][0])}",'
                f'"open24h":"{start}","high24h":"{high}","low24h":"{low}",'
                f'"vol24h":"{_size(self._volume)}","ts":"{ms}"'
            ))  # fmt: skip
            return
        depth = 1 if channel == "sprd-bbo-tbt" else 5
        asks, bids = self._rows(self._asks, depth), self._rows(self._bids, depth, is_bid=True)
        self._emit_row(channel, f'"asks":[{asks}],"bids":[{bids}],"ts":"{ms}","seqId":{self._seq}')

    def _push_chain(self, action: str, bids: Ladder, asks: Ladder, before: int, ms: int) -> None:
        rows = f'"asks":[{self._rows(asks)}],"bids":[{self._rows(bids, is_bid=True)}]'
        crc = checksum(self._levels(self._bids, is_bid=True), self._levels(self._asks))
        body = f'{rows},"ts":"{ms}","checksum":{crc},"prevSeqId":{before},"seqId":{self._seq}'
        self._emit_row("sprd-books-l2-tbt", body, f'"action":"{action}",')

    def _emit_row(self, channel: str, body: str, top: str = "") -> None:
        head = f'{{"arg":{{"channel":"{channel}","sprdId":"{self.id}"}},{top}'
        self._emit(channel, f'{head}"data":[{{{body}}}]}}')

    def _rows(self, side: Ladder, depth: int = _LEVELS * 4, *, is_bid: bool = False) -> str:
        prices = sorted(side, reverse=is_bid)[:depth]
        return ",".join(
            f'["{self._text(price)}","{_size(side[price][0])}","{side[price][1]}"]'
            for price in prices
        )

    def _levels(self, side: Ladder, *, is_bid: bool = False) -> list[Level[str]]:
        return [Level(self._text(price), _size(side[price][0]))
                for price in sorted(side, reverse=is_bid)]  # fmt: skip

    def _text(self, price: int) -> str:
        return format_decimal(price, self.decimals)


def _size(lots: int) -> str:
    return format_decimal(lots, _SIZE_DECIMALS)
