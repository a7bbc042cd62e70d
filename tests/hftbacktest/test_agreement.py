"""Goal: the same orders on the same recording come to the same at hftbacktest's exchange.

Method: a strategy of ours trades on a committed capture; its recorded book and trades go into
hftbacktest's event rows, its orders, with their times, to hftbacktest in an environment of its own
(`make test-hftbacktest`; elsewhere this skips). Compared is what each order was filled.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.event import BookUpdate, Trade
from replay import play
from replay.backtest import Backtest, backtest

PYTHON = os.environ.get("HFTBACKTEST_PYTHON")
NAME = "BTC-USDT"
ENTRY = RESPONSE = 2 * NS_PER_MS
LASTS = 1_500 * NS_PER_MS
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
BUY, SELL, LOCAL, EXCHANGE = 1 << 29, 1 << 28, 1 << 30, 1 << 31
MAKER_TOLERANCE = 0.1
"""Share of all that makers traded by which the two may differ."""

pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="HFTBACKTEST_PYTHON names no interpreter with hftbacktest; make it so"
)


class Trader:
    """Sends one order after the other; takers walk levels, makers join the best price."""

    def __init__(self, *, rests: bool) -> None:
        self.rests = rests
        self.orders: list[dict[str, Any]] = []

    def on_start(self, context: Any) -> None:
        context.every(2 * NS_PER_SECOND)

    def on_timer(self, timer: Any, context: Any) -> None:
        book = context.books.get(NAME)
        if book is None or not book.is_whole:
            return
        is_buy = len(self.orders) % 2 == 0
        own, other = (book.best_bid, book.best_ask) if is_buy else (book.best_ask, book.best_bid)
        ticks = 0 if self.rests else (500 if is_buy else -500)
        level = own() if self.rests else other()
        price = context.to_tick(NAME, level.price + ticks * 0.1)
        size = "0.05" if self.rests else str(0.2 + 0.1 * (len(self.orders) % 7))[:3]
        kind = "post_only" if self.rests else "ioc"
        order = (context.buy if is_buy else context.sell)(NAME, size, price, kind=kind)
        self.orders.append({
            "sent": order.sent, "side": order.side, "price": str(order.price),
            "size": str(order.size), "kind": kind,
        })  # fmt: skip
        if self.rests:
            context.after(LASTS, lambda later: later.cancel(order))


def rows_of(capture: Path) -> bytes:
    """Return the book and the trades in hftbacktest's event rows."""
    rows = bytearray()

    def row(kind: int, event: Any, price: float, size: float) -> None:
        rows.extend(struct.pack(
            "<QqqddQqd", kind | LOCAL | EXCHANGE, event.ts_event, event.ts_recv, price, size,
            0, 0, 0.0,
        ))  # fmt: skip

    def take(event: Any, _context: Any) -> None:
        if isinstance(event, BookUpdate) and event.channel == "books":
            kind = SNAPSHOT if event.is_snapshot else DEPTH
            for side, levels, worst in ((BUY, event.bids, -1), (SELL, event.asks, -1)):
                if event.is_snapshot and levels:
                    row(CLEAR | side, event, levels[worst].price, 0.0)
                for level in levels:
                    row(kind | side, event, level.price, level.size)
        elif isinstance(event, Trade) and event.channel == "trades-all":
            row(TRADE | (BUY if event.side == "buy" else SELL), event, event.price, event.size)

    play(capture, take)
    return bytes(rows)


def compared(capture: Path, scratch: Path, trader: Trader) -> tuple[Backtest, Any]:
    """Return what both came to."""
    ours = backtest(
        capture, trader, channels=["books", "trades-all"], instruments=[NAME], maker_fee=0,
        taker_fee=0, latency=f"{ENTRY}ns/{RESPONSE}ns", queue="back",
        cash={"USDT": 10**9, "BTC": 10**6},
    )  # fmt: skip
    events, orders = scratch / "events", scratch / "orders.json"
    events.write_bytes(rows_of(capture))
    orders.write_text(json.dumps({
        "orders": trader.orders, "entry": ENTRY, "response": RESPONSE, "lasts": LASTS,
        "tick": 0.1, "lot": 1e-8,
    }))  # fmt: skip
    command = [str(PYTHON), str(Path(__file__).with_name("theirs.py")), str(events), str(orders)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    return ours, json.loads(ended.stdout.splitlines()[-1])


def sizes(done: Backtest) -> list[float]:
    """Return what each order of ours was filled."""
    rows = sorted(done.rows["orders"], key=lambda row: row["sent"])
    return [float(row["filled"]) for row in rows]


def test_takers_are_filled_exactly_alike(repository: Path, tmp_path: Path) -> None:
    trader = Trader(rests=False)
    ours, theirs = compared(repository / "datasets/btc-calm", tmp_path, trader)
    count = theirs["done"]
    assert count > 50
    assert theirs["filled"][:count] == pytest.approx(sizes(ours)[:count], abs=1e-9)
    prices: dict[str, list[float]] = {}
    for row in ours.rows["fills"]:
        prices.setdefault(row["client_order_id"], []).append(float(row["price"]))
    last = [found[-1] for found in prices.values()]
    assert theirs["last_price"][:count] == pytest.approx(last[:count], abs=1e-9)
    assert sum(len(found) > 1 for found in prices.values()) > 50, "few took several levels"


def test_makers_are_filled_alike_within_a_tolerance(repository: Path, tmp_path: Path) -> None:
    trader = Trader(rests=True)
    ours, theirs = compared(repository / "datasets/btc-calm", tmp_path, trader)
    count = theirs["done"]
    pairs = list(zip(sizes(ours)[:count], theirs["filled"][:count], strict=True))
    traded = sum(mine for mine, _ in pairs)
    differs = sum(abs(mine - other) for mine, other in pairs)
    alike = sum(abs(mine - other) < 1e-9 for mine, other in pairs)
    print(f"{count} makers, {alike} alike: ours traded {traded:.4f}, differences {differs:.4f}")
    assert traded > 0.5
    assert differs <= MAKER_TOLERANCE * traded
