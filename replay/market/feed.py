"""Pushes of one instrument: its market as the venue writes it on the wire.

Responsible for the exact text of every public push (key order, strings and integers, compact JSON),
for the order of pushes at one instant (trades, then bbo-tbt, books, books5, tickers), for pace and
keep-alives. Refuses to know connections: it writes a channel while that is switched on.

Wire forms and paces are those of the OKX v5 API documentation, "Order Book Trading" and "Public
Data", with the key order seen on the wire and the fields of 2026 (`checksum` always 0, `source`
and integer `seqId` in trades).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from replay.market.chance import PriceTexts, format_decimal, format_fixed
from replay.market.flow import Fill, Flow
from replay.market.instruments import Instrument
from replay.market.tape import Bar, Tape

PUBLIC_CHANNELS = ("bbo-tbt", "books", "books5", "trades", "tickers")
"""What every instrument pushes on the public socket."""

BUSINESS_CHANNELS = ("trades-all", "candle1m")
"""What every instrument pushes on the business socket."""

KEEPALIVE_NS = 60 * NS_PER_SECOND
"""A book without a change for this long is pushed again (OKX API docs, "Order book channel")."""

_QUOTE_NS = 10 * NS_PER_MS
"""Closest spacing of bbo-tbt."""

Emit = Callable[[str, str], None]
"""Take one push: channel and text."""


class Watcher(Protocol):
    """Somebody who looks at every trade, and may have a part in it."""

    def part_of(self, fill: Fill) -> int:
        """Return how many of the fill's lots come from a resting order of his own."""

    def traded(self, fill: Fill, trade_id: int, own: int, now_ns: int) -> None:
        """Take note of a trade that has just been pushed; `own` lots of it are his."""


class Feed:
    """Write the pushes of one instrument.

    Attributes:
        live: the channels switched on.
        lose: `books` pushes to lose on the way (a scenario's gap): made, chained, not emitted.
        on_gap: called after the push by which a client can see that some were lost.
        watchers: told of every trade; the lots of the first who has a part are one fill of
            `trades-all`, the last.
    """

    def __init__(self, instrument: Instrument, flow: Flow, tape: Tape, emit: Emit) -> None:
        self.instrument = instrument
        self.live: set[str] = set()
        self.lose = 0
        self.on_gap: Callable[[], None] = lambda: None
        self.watchers: list[Watcher] = []
        self._has_lost = False
        self._flow = flow
        self._book = flow.book
        self._tape = tape
        self._emit = emit
        self._prices = PriceTexts(instrument.price_decimals)
        self._lots = instrument.size_decimals
        self._is_swap = instrument.is_swap
        name = instrument.id
        self._ticker_head = (
            f'{{"arg":{{"channel":"tickers","instId":"{name}"}},"data":[{{'
            f'"instType":"{instrument.type}","instId":"{name}","last":"'
        )
        self._head = {
            channel: f'{{"arg":{{"channel":"{channel}","instId":"{name}"}},'
            for channel in PUBLIC_CHANNELS + BUSINESS_CHANNELS
        }
        self._books_seq = self._book.seq
        self._books_at = self._five_at = self._quote_at = 0
        self._quote = self._five = ""
        self._ticker_is_stale = False
        self._trade_id = 700_000_000 + self._book.seq % 1_000_003
        self._last_trade: tuple[str, str] | None = None
        self._bar_at = 0
        self._bar_is_stale = False

    # --- at every burst ---------------------------------------------------------------------

    def traded(self, fills: list[Fill], now_ns: int) -> None:
        """Push what traded, aggregated on `trades` and fill by fill on `trades-all`."""
        name, ms, live = self.instrument.id, now_ns // NS_PER_MS, self.live
        for fill in fills:
            own = next(filter(None, [who.part_of(fill) for who in self.watchers]), 0)
            if own:
                # His order is one of those met; each of the others gives a lot at least.
                fill.count = min(max(fill.count, 2), fill.size - own + 1)
            price, side = self._prices[fill.price], "buy" if fill.is_buy else "sell"
            first = self._trade_id + 1
            self._trade_id += fill.count
            self._tape.trade(fill.price, fill.size)
            whole = format_decimal(fill.size, self._lots)
            text = (
                f'"data":[{{"instId":"{name}","tradeId":"{self._trade_id}","px":"{price}",'
                f'"sz":"{whole}","side":"{side}","ts":"{ms}",'
                f'"count":"{fill.count}","source":"0","seqId":{fill.seq}}}]}}'
            )
            if "trades" in live:
                self._emit("trades", self._head["trades"] + text)
            # The first maker order met gives what the others leave over.
            part, rest = divmod(fill.size - own, fill.count - (own > 0) or 1)
            size = format_decimal(part + rest, self._lots) if fill.count > 1 else whole
            others = format_decimal(part, self._lots) if fill.count > 1 else whole
            single = ""
            for trade_id in range(first, first + fill.count):
                if own and trade_id == self._trade_id:
                    size = format_decimal(own, self._lots)
                single = (
                    f'"data":[{{"instId":"{name}","tradeId":"{trade_id}","px":"{price}",'
                    f'"sz":"{size}","side":"{side}","source":"0","ts":"{ms}"}}]}}'
                )
                size = others
                if "trades-all" in live:
                    self._emit("trades-all", self._head["trades-all"] + single)
            self._last_trade = (text, single)
            for who in self.watchers:
                who.traded(fill, self._trade_id, own, now_ns)
        if fills:
            self._ticker_is_stale = self._bar_is_stale = True

    def quoted(self, now_ns: int) -> None:
        """Push the best bid and offer if they changed, at most every 10 ms."""
        if now_ns - self._quote_at < _QUOTE_NS:
            return
        book = self._book
        quote = (
            f'"data":[{{"asks":[{book.asks.row(book.asks.keys[-1])}],'
            f'"bids":[{book.bids.row(book.bids.keys[-1])}],"ts":"'
        )
        if quote == self._quote:
            return
        self._quote = quote
        self._ticker_is_stale = True
        self._push_quote(now_ns)

    # --- every 100 ms or so -----------------------------------------------------------------

    def publish(self, now_ns: int) -> None:
        """Push books, books5 and the ticker, each if it changed or its keep-alive is due."""
        asks, bids = self._book.asks.changes(), self._book.bids.changes()
        live = self.live
        self.quoted(now_ns)
        if "bbo-tbt" in live and now_ns - self._quote_at >= KEEPALIVE_NS:
            self._push_quote(now_ns)
        if asks or bids:
            # The sequence moves on by 7 at least: levels far away have changed as well.
            self._book.seq = max(self._book.seq, self._books_seq + 7)
            self._push_books("update", asks, bids, self._books_seq, now_ns)
        elif "books" in live and now_ns - self._books_at >= KEEPALIVE_NS:
            self._push_books("update", "", "", self._books_seq, now_ns)
        if "books5" in live:
            five = self._five_text()
            if five != self._five or now_ns - self._five_at >= KEEPALIVE_NS:
                self._five = five
                self._push_five(now_ns)
        if self._ticker_is_stale and "tickers" in live:
            self._push_ticker(now_ns)

    def publish_bar(self, now_ns: int) -> None:
        """Push the open bar if it changed: at most once a second."""
        if self._bar_is_stale and "candle1m" in self.live:
            self._push_bar(self._tape.bar, is_done=False)

    def close_bar(self) -> None:
        """End the minute and push its final bar."""
        self._push_bar(self._tape.roll(), is_done=True)

    def restart_sequence(self, now_ns: int) -> None:
        """Let the venue count anew from a low number: this update is a sequence reset."""
        before = self._books_seq
        self._flow.restart_sequence()
        asks, bids = self._book.asks.changes(), self._book.bids.changes()
        self._push_books("update", asks, bids, before, now_ns)

    # --- on subscribe -----------------------------------------------------------------------

    def start(self, channel: str, now_ns: int) -> None:
        """Switch a channel on and make its initial push (a book's only snapshot)."""
        self.live.add(channel)
        if channel == "books":
            book = self._book
            book.asks.forget_changes()
            book.bids.forget_changes()
            asks, bids = book.asks.best(400), book.bids.best(400)
            self._push_books("snapshot", asks, bids, -1, now_ns)
        elif channel == "books5":
            self._five = self._five_text()
            self._push_five(now_ns)
        elif channel == "bbo-tbt":
            self._quote_at = 0
            self._quote = ""
            self.quoted(now_ns)
        elif channel == "tickers":
            self._push_ticker(now_ns)
        elif channel == "candle1m":
            self._push_bar(self._tape.bar, is_done=False)
        elif self._last_trade is not None:
            text = self._last_trade[0 if channel == "trades" else 1]
            self._emit(channel, self._head[channel] + text)

    def stop(self, channel: str) -> None:
        """Switch a channel off."""
        self.live.discard(channel)

    # --- wire text --------------------------------------------------------------------------

    def _push_books(self, action: str, asks: str, bids: str, previous: int, now_ns: int) -> None:
        self._books_seq = seq = self._book.seq
        self._books_at = now_ns
        if "books" not in self.live:
            return
        if self.lose and action == "update":
            self.lose -= 1
            self._has_lost = True
            return
        self._emit(
            "books",
            f'{self._head["books"]}"action":"{action}","data":[{{"asks":[{asks}],"bids":[{bids}],'
            f'"ts":"{now_ns // NS_PER_MS}","checksum":0,"seqId":{seq},"prevSeqId":{previous}}}]}}',
        )
        if self._has_lost:
            self._has_lost = False
            self.on_gap()

    def _five_text(self) -> str:
        return f'"asks":[{self._book.asks.best(5)}],"bids":[{self._book.bids.best(5)}]'

    def _push_five(self, now_ns: int) -> None:
        self._five_at = now_ns
        self._emit(
            "books5",
            f'{self._head["books5"]}"data":[{{{self._five},"instId":"{self.instrument.id}",'
            f'"ts":"{now_ns // NS_PER_MS}","seqId":{self._book.seq}}}]}}',
        )

    def _push_quote(self, now_ns: int) -> None:
        self._quote_at = now_ns
        if "bbo-tbt" in self.live:
            end = f'{now_ns // NS_PER_MS}","seqId":{self._book.seq}}}]}}'
            self._emit("bbo-tbt", self._head["bbo-tbt"] + self._quote + end)

    def _push_ticker(self, now_ns: int) -> None:
        self._ticker_is_stale = False
        tape, book, price, lots = self._tape, self._book, self._prices, self._lots
        ask, bid = book.asks.keys[-1], book.bids.keys[-1]
        base, money = self._volumes(tape.volume, tape.turnover)
        self._emit(
            "tickers",
            f'{self._ticker_head}{price[tape.last_price]}",'
            f'"lastSz":"{format_decimal(tape.last_size, lots)}","askPx":"{price[-ask]}",'
            f'"askSz":"{format_decimal(book.asks.sizes[ask], lots)}","bidPx":"{price[bid]}",'
            f'"bidSz":"{format_decimal(book.bids.sizes[bid], lots)}",'
            f'"open24h":"{price[tape.open]}","high24h":"{price[tape.high]}",'
            f'"low24h":"{price[tape.low]}","sodUtc0":"{price[tape.open_utc0]}",'
            f'"sodUtc8":"{price[tape.open_utc8]}",'
            f'"volCcy24h":"{base if self._is_swap else money}",'
            f'"vol24h":"{format_decimal(tape.volume, lots)}","ts":"{now_ns // NS_PER_MS}"}}]}}',
        )

    def _push_bar(self, bar: Bar, *, is_done: bool) -> None:
        self._bar_is_stale = False
        if "candle1m" not in self.live:
            return
        if self._is_swap:
            # Swap candles carry trailing zeros that tickers do not (seen on the wire, 2026-08).
            decimals = self.instrument.price_decimals
            ohlc = [format_fixed(p, decimals) for p in (bar.open, bar.high, bar.low, bar.close)]
        else:
            ohlc = [self._prices[p] for p in (bar.open, bar.high, bar.low, bar.close)]
        base, money = self._volumes(bar.volume, bar.turnover)
        volume = format_decimal(bar.volume, self._lots)
        currency = base if self._is_swap else money
        row = [str(bar.start_ms), *ohlc, volume, currency, money, "1" if is_done else "0"]
        self._emit("candle1m", self._head["candle1m"] + '"data":[["' + '","'.join(row) + '"]]}')

    def _volumes(self, lots: int, turnover: int) -> tuple[str, str]:
        """Return a volume in base currency and in quote currency."""
        instrument = self.instrument
        decimals = instrument.size_decimals + instrument.contract_decimals
        return (
            format_decimal(lots, decimals),
            format_decimal(turnover, decimals + instrument.price_decimals),
        )
