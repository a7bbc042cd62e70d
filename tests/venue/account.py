"""An invented account that trades: pushes of the private channels, seeded.

Orders go live, are filled in part and whole or canceled; fills, balances and positions follow;
account and positions repeat as paged snapshots every five seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.okx.subscription import Subscription

Emit = Callable[[bytes], None]
UID = "100000000000000001"
_ANY = (("instType", "ANY"),)
_SNAPSHOT_NS = 5 * NS_PER_SECOND


class AccountFeed:
    """One account."""

    def __init__(self, seed: int, instruments: list[str]) -> None:
        self._random = Random(seed ^ 0xACC0)
        self._instruments = instruments
        self._order = 5_000_000
        self._cash = 1_000_000
        self._held: dict[str, int] = {}
        self._snapshot_at = 0
        self._open: dict[str, Any] | None = None

    def arguments(self) -> list[Subscription]:
        """Everything it pushes."""
        return [
            Subscription("account", ()),
            Subscription("positions", _ANY),
            Subscription("balance_and_position", ()),
            Subscription("orders", _ANY),
            Subscription("fills", ()),
        ]

    def begin(self, now_ns: int, emit: Emit) -> None:
        """Push the snapshots."""
        self._snapshot_at = now_ns
        self._snapshots(now_ns, emit)

    def act(self, now_ns: int, emit: Emit) -> int:
        """Do one thing; return when to do the next."""
        if now_ns >= self._snapshot_at:
            self._snapshots(now_ns, emit)
        elif self._open is None:
            self._place(now_ns, emit)
        else:
            self._fill(now_ns, emit)
        return now_ns + 20 * NS_PER_MS + self._random.getrandbits(7) * NS_PER_MS

    def _place(self, now_ns: int, emit: Emit) -> None:
        self._order += 1 + self._random.getrandbits(4)
        name = self._instruments[self._random.getrandbits(8) % len(self._instruments)]
        size = 1 + self._random.getrandbits(3)
        self._open = {
            "instType": "SWAP" if name.endswith("-SWAP") else "SPOT",
            "instId": name,
            "ordId": str(self._order),
            "clOrdId": "",
            "ordType": "limit",
            "side": "buy" if self._random.getrandbits(1) else "sell",
            "posSide": "net",
            "tdMode": "cross",
            "px": str(100 + self._random.getrandbits(5)),
            "sz": str(size),
            "state": "live",
            "accFillSz": "0",
            "avgPx": "",
            "fillPx": "",
            "fillSz": "0",
            "fillTime": "",
            "tradeId": "",
            "execType": "",
            "fee": "0",
            "feeCcy": "USDT",
            "reduceOnly": "false",
            "code": "0",
            "msg": "",
            "attachAlgoOrds": [],
            "linkedAlgoOrd": {"algoId": ""},
            "cTime": _ms(now_ns),
            "uTime": _ms(now_ns),
        }
        self._push("orders", [self._open], emit)

    def _fill(self, now_ns: int, emit: Emit) -> None:
        order = self._open
        assert order is not None
        left = int(order["sz"]) - int(order["accFillSz"])
        if self._random.getrandbits(3) == 0:
            order |= {"state": "canceled", "uTime": _ms(now_ns)}
            self._push("orders", [order], emit)
            self._open = None
            return
        size = min(left, 1 + self._random.getrandbits(2))
        done = int(order["accFillSz"]) + size
        name, price, trade = order["instId"], order["px"], str(self._random.getrandbits(30))
        order |= {
            "state": "filled" if size == left else "partially_filled",
            "accFillSz": str(done),
            "avgPx": price,
            "fillPx": price,
            "fillSz": str(size),
            "fillTime": _ms(now_ns),
            "tradeId": trade,
            "execType": "T",
            "fee": "-0.01",
            "uTime": _ms(now_ns),
        }
        self._push("orders", [order], emit)
        fill = {
            "instId": name,
            "fillSz": str(size),
            "fillPx": price,
            "side": order["side"],
            "ts": _ms(now_ns),
            "ordId": order["ordId"],
            "clOrdId": "0",
            "tradeId": trade,
            "execType": "T",
            "count": "1",
        }
        self._push("fills", [fill], emit)
        sign = 1 if order["side"] == "buy" else -1
        self._held[name] = self._held.get(name, 0) + sign * size
        self._cash -= sign * size * int(price)
        moved = {
            "pTime": _ms(now_ns),
            "eventType": "filled",
            "balData": [{"ccy": "USDT", "cashBal": str(self._cash), "uTime": _ms(now_ns)}],
            "posData": [],
            "trades": [{"instId": name, "tradeId": trade}],
        }
        self._push("balance_and_position", [moved], emit)
        if order["state"] == "filled":
            self._open = None

    def _snapshots(self, now_ns: int, emit: Emit) -> None:
        self._snapshot_at = now_ns + _SNAPSHOT_NS
        self._push("account", [self._account(now_ns)], emit, eventType="snapshot", **_page(1, 1))
        positions = [self._position(name, now_ns) for name in sorted(self._held)]
        pages = positions[:1], positions[1:]
        for number, page in enumerate(pages, 1):
            self._push("positions", page, emit, eventType="snapshot", **_page(number, len(pages)))

    def _account(self, now_ns: int) -> dict[str, Any]:
        cash = str(self._cash)
        detail = {
            "ccy": "USDT",
            "eq": cash,
            "cashBal": cash,
            "availBal": cash,
            "frozenBal": "0",
            "eqUsd": cash,
            "uTime": _ms(now_ns),
            "collateralEnabled": False,
        }
        return {
            "adjEq": "",
            "details": [detail],
            "imr": "",
            "isoEq": "0",
            "mgnRatio": "",
            "totalEq": cash,
            "uTime": _ms(now_ns),
            "upl": "",
        }

    def _position(self, name: str, now_ns: int) -> dict[str, Any]:
        return {
            "instType": "SWAP",
            "instId": name,
            "mgnMode": "cross",
            "posId": str(900 + self._instruments.index(name)),
            "posSide": "net",
            "pos": str(self._held[name]),
            "avgPx": "100",
            "markPx": "101",
            "upl": "0",
            "uplRatio": "0",
            "lever": "10",
            "liqPx": "",
            "ccy": "USDT",
            "tradeId": "",
            "cTime": _ms(now_ns),
            "uTime": _ms(now_ns),
            "pTime": _ms(now_ns),
            "closeOrderAlgo": [],
        }

    def _push(self, channel: str, data: list[dict[str, Any]], emit: Emit, **extra: Any) -> None:
        argument: dict[str, str] = {"channel": channel}
        if channel in ("orders", "positions"):
            argument["instType"] = "ANY"
        argument["uid"] = UID
        emit(msgspec.json.encode({"arg": argument, **extra, "data": data}))


def _ms(now_ns: int) -> str:
    return str(now_ns // NS_PER_MS)


def _page(number: int, count: int) -> dict[str, Any]:
    return {"curPage": number, "lastPage": number == count}
