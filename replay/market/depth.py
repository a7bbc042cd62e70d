"""The other order books of an instrument: tick-by-tick, fifty levels, and with retail orders.

Responsible for `books-l2-tbt`, `books50-l2-tbt`, `books-elp` and `books-rpi`: what of the venue's
book each shows, and the difference since its own last push. Refuses `books`, `books5` and
`bbo-tbt`, which `feed.py` writes.

Retail orders (RPI, before 2026-07 ELP) are made of the book: every third level holds a quarter
more of them. Their rows are `[price, total, without retail, orders]` (OKX API docs, books-rpi).
"""

from __future__ import annotations

from collections.abc import Callable

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.okx.subscription import Subscription
from replay.market.book import Side
from replay.market.chance import format_decimal
from replay.market.feed import Emit
from replay.market.flow import Flow
from replay.market.instruments import Instrument

Row = Callable[[Side, int], str | None]
"""Give a level as a channel shows it, None where it does not."""

_EVERY_NS = NS_PER_SECOND


class Depth:
    """One such channel of one instrument."""

    def __init__(self, channel: str, instrument: Instrument, flow: Flow, emit: Emit) -> None:
        self.asked = Subscription(channel, (("instId", instrument.id),))
        self._book = flow.book
        self._emit = emit
        self._ticks, self._lots = instrument.price_decimals, instrument.size_decimals
        self._depth = 50 if channel.startswith("books50") else 400
        self._row: Row = {"books-rpi": self._with_retail, "books-elp": self._retail_only}.get(
            channel, Side.row
        )
        self._checksum = '"checksum":0,' if channel.endswith("tbt") else ""
        self._shown: list[dict[int, str]] = [{}, {}]
        self._seq = -1
        self._is_live = False

    def start(self, channel: str, now_ns: int) -> None:
        """Switch the channel on and push the snapshot."""
        self._is_live = True
        self._shown = [{}, {}]
        self._seq = -1
        self._push("snapshot", now_ns)

    def stop(self, channel: str) -> None:
        """Switch the channel off."""
        self._is_live = False

    def act(self, now_ns: int) -> int:
        """Push what has changed."""
        if self._is_live:
            self._push("update", now_ns)
        return now_ns + _EVERY_NS

    def _push(self, action: str, now_ns: int) -> None:
        book = self._book
        asks, bids = self._changes(0, book.asks), self._changes(1, book.bids)
        if action == "update":
            if not asks and not bids:
                return
            book.seq = max(book.seq, self._seq + 1)
        before, self._seq = self._seq, book.seq
        name, channel = self.asked.instrument, self.asked.channel
        self._emit(
            channel,
            f'{{"arg":{{"channel":"{channel}","instId":"{name}"}},"action":"{action}","data":[{{'
            f'"asks":[{asks}],"bids":[{bids}],"ts":"{now_ns // NS_PER_MS}",{self._checksum}'
            f'"seqId":{book.seq},"prevSeqId":{before}}}]}}',
        )

    def _changes(self, which: int, side: Side) -> str:
        """Return the rows that differ from what was shown, best first; deletes among them."""
        before = self._shown[which]
        now: dict[int, str] = {}
        for key in reversed(side.keys[-self._depth :]):
            row = self._row(side, key)
            if row is not None:
                now[key] = row
        self._shown[which] = now
        rows = []
        for key in sorted(before.keys() | now.keys(), reverse=True):
            if key not in now:
                rows.append(f'["{self._price(side, key)}","0","0","0"]')
            elif now[key] != before.get(key):
                rows.append(now[key])
        return ",".join(rows)

    def _price(self, side: Side, key: int) -> str:
        return format_decimal(key * side.sign, self._ticks)

    def _retail(self, side: Side, key: int) -> int:
        return side.sizes[key] // 4 if key % 3 == 0 else 0

    def _with_retail(self, side: Side, key: int) -> str:
        size, retail = side.sizes[key], self._retail(side, key)
        total = format_decimal(size + retail, self._lots)
        rest = format_decimal(size, self._lots)
        orders = side.orders[key] + (retail > 0)
        return f'["{self._price(side, key)}","{total}","{rest}","{orders}"]'

    def _retail_only(self, side: Side, key: int) -> str | None:
        retail = self._retail(side, key)
        if not retail:
            return None
        return f'["{self._price(side, key)}","{format_decimal(retail, self._lots)}","0","1"]'
