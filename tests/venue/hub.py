"""Who holds which argument, and what a newcomer gets first.

Pure. Books stand in one `Interpreter`, so a newcomer's snapshot and the REST body of a book have
the update numbers of the pushes around them, however many connections there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from recorder.frame import Frame, Kind
from recorder.okx.channels import CHANNELS, ENDPOINTS
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import answers, is_chained, push_of, rebuilt_snapshot
from recorder.okx.subscription import Subscription, subscription_of

WITHOUT_FIRST_PUSH = ("orders", "fills", "orders-algo", "instruments", "liquidation-warning")
"""Channels that push nothing on subscribe (OKX API docs)."""


class Holder(Protocol):
    """A connection."""

    def push(self, channel: str, instrument: str, payload: bytes) -> None:
        """Send a data push."""


class Hub:
    """All arguments of a venue."""

    def __init__(self) -> None:
        self.known: dict[str, dict[Subscription, None]] = {name: {} for name in ENDPOINTS}
        self.pushes = 0
        self._latest: dict[Subscription, list[bytes]] = {}
        self._holders: dict[tuple[str, Subscription], list[Holder]] = {}
        self._by_push: dict[Subscription, list[Holder]] = {}
        self._interpreter = Interpreter(str)

    def serve(self, subscription: Subscription) -> None:
        """Make an argument known."""
        self.known[CHANNELS[subscription.channel].endpoint][subscription.key] = None

    def knows(self, endpoint: str, argument: Mapping[str, Any]) -> bool:
        """Say whether an argument is served on an endpoint."""
        asked = subscription_of(argument)
        if asked is None:
            return False
        known = self.known[endpoint]
        return asked.key in known or any(answers(push, asked.key) for push in known)

    def take(self, payload: bytes) -> None:
        """Pass a push of the feed to everybody who holds its argument."""
        push = push_of(payload)
        assert push is not None, payload[:200]
        push = push.key
        self.pushes += 1
        if is_chained(push.channel):
            stamp = self.pushes
            self._interpreter.step(Frame(stamp, stamp, stamp, 0, Kind.TEXT, payload))
        elif b'"curPage":' in payload and b'"curPage":1,' not in payload:
            self._latest[push].append(payload)
        elif b'"eventType":"event_update"' not in payload:
            self._latest[push] = [payload]
        holders = self._by_push.get(push)
        if holders is None:
            endpoint = CHANNELS[push.channel].endpoint
            holders = self._by_push[push] = [
                holder
                for (where, asked), found in self._holders.items()
                if where == endpoint and answers(push, asked)
                for holder in found
            ]
        for holder in list(holders):
            holder.push(push.channel, instrument_of(push), payload)

    def start(self, holder: Holder, endpoint: str, argument: Mapping[str, Any]) -> None:
        """Let a connection have an argument from here on, first push first."""
        asked = subscription_of(argument)
        assert asked is not None
        self._holders.setdefault((endpoint, asked.key), []).append(holder)
        self._by_push.clear()
        for push in self.known[endpoint]:
            if answers(push, asked.key):
                for payload in self._first(push):
                    holder.push(push.channel, instrument_of(push), payload)

    def stop(self, holder: Holder, endpoint: str, argument: Mapping[str, Any]) -> None:
        """Send a connection no more of an argument."""
        asked = subscription_of(argument)
        assert asked is not None
        holders = self._holders.get((endpoint, asked.key), [])
        if holder in holders:
            holders.remove(holder)
        self._by_push.clear()

    def forget(self, holder: Holder) -> None:
        """Send a connection nothing more at all."""
        for holders in self._holders.values():
            while holder in holders:
                holders.remove(holder)
        self._by_push.clear()

    def book_body(self, instrument: str, depth: int) -> bytes | None:
        """Return the body of `GET /api/v5/market/books` as the book stands, None: no such book."""
        for book in self._interpreter.books.of(instrument):
            if book.channel == "books" and book.is_whole:
                row = {
                    "asks": [_level(level) for level in book.asks(depth)],
                    "bids": [_level(level) for level in book.bids(depth)],
                    "ts": str((book.ts_event or 0) // 1_000_000),
                    "seqId": book.seq_id,
                }
                return msgspec.json.encode({"code": "0", "msg": "", "data": [row]})
        return None

    def _first(self, push: Subscription) -> list[bytes]:
        if is_chained(push.channel):
            for book in self._interpreter.books.of(instrument_of(push)):
                if book.channel == push.channel and book.is_whole:
                    return [rebuilt_snapshot(push, book)]
            return []
        return [] if push.channel in WITHOUT_FIRST_PUSH else self._latest.get(push, [])


def instrument_of(push: Subscription) -> str:
    """Return the instrument or spread of an argument, "" where it has none."""
    return push.instrument or push.get("sprdId") or ""


def _level(level: Any) -> list[str]:
    return [level.price, level.size, "0", str(level.orders)]


Emit = Callable[[bytes], None]
