"""Limits and choices of the venue, as data.

Responsible for everything about OKX that differs between accounts, times and sources: limits, fee
tiers, which code answers what. Refuses to converse: `okx.exchange` asks these tables.

Facts are from the OKX v5 API documentation and its changelog. Where sources disagree, the default
is what was seen last, and the other form is a value of the same rule.
"""

from __future__ import annotations

import msgspec

from recorder.clock import NS_PER_SECOND

OKX_IDLE_NS = 30 * NS_PER_SECOND

TIERS = {"books-l2-tbt": 4, "books50-l2-tbt": 4, "fills": 4, "economic-calendar": 1}
"""Lowest fee tier (VIP level) of the channels that ask for one, since 2026-04-07."""

COUNTED = (
    "orders",
    "account",
    "positions",
    "balance_and_position",
    "liquidation-warning",
    "account-greeks",
)
"""Private channels whose sockets the venue counts, and says so after each ack."""

EXCLUSIVE = "books-l2-tbt"
EXCLUDED = ("books50-l2-tbt", "books")
"""With `books-l2-tbt` the other two of one instrument cannot be held (changelog 2024-07-17)."""

TRADING = (
    "order",
    "batch-orders",
    "cancel-order",
    "batch-cancel-orders",
    "amend-order",
    "batch-amend-orders",
    "mass-cancel",
    "sprd-order",
    "sprd-cancel-order",
    "sprd-amend-order",
    "sprd-mass-cancel",
)
"""Operations that trade; none of them is served here."""


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits and choices of the venue; None switches a limit off.

    Attributes:
        requests_per_hour: subscribe, unsubscribe and login requests of one connection; a request
            with many arguments counts once. Above it: error 60014, the socket stays open.
        request_bytes: longest request; above it the venue closes with 1009. OKX documents 64 KB;
            clients that were built against the older 4,096 bytes still exist.
        idle_ns: the venue drops a connection that subscribed to nothing, or to which it pushed
            nothing, for this long (30 s at OKX).
        tier: VIP level of the account; below the channel's: error 64003. None: every channel.
        channel_connections: sockets that may hold one private channel (30 at OKX).
        channels_per_connection: above it the venue closes with 4009; OKX publishes no number.
        has_exclusive_books: `books-l2-tbt` excludes `books` and `books50-l2-tbt` (64004).
        candles_on_public: answer to a candle channel on `public`: 60018 since 2024, 64001 in 2023.
        login_on_public: answer to a private channel on `public`: 60018, or 60008 by the docs.
        closes_after_failed_login: close 4001 follows; unknown for OKX.
        illegal: first word of error 60012: `Illegal` on the wire, `Invalid` in some docs.
        separator: between the pairs in error 60018: `,` or `, `, both seen.
    """

    requests_per_hour: int | None = 480
    request_bytes: int | None = 65_536
    idle_ns: int | None = None
    tier: int | None = None
    channel_connections: int | None = 30
    channels_per_connection: int | None = None
    has_exclusive_books: bool = True
    candles_on_public: str = "60018"
    login_on_public: str = "60018"
    closes_after_failed_login: bool = False
    illegal: str = "Illegal"
    separator: str = ","


class ChannelCounts:
    """How many sockets of one account hold each counted channel.

    Shared by the conversations of an account; several arguments of one channel on one socket count
    once, and channels count apart (OKX API docs, "Connection count").
    """

    def __init__(self) -> None:
        self._sockets: dict[str, dict[str, int]] = {}

    def count(self, channel: str, connection_id: str) -> int:
        """Return how many sockets would hold a channel with this one among them."""
        sockets = self._sockets.get(channel, {})
        return len(sockets) + (connection_id not in sockets)

    def join(self, channel: str, connection_id: str) -> None:
        """Note that a socket holds one argument more of a channel."""
        sockets = self._sockets.setdefault(channel, {})
        sockets[connection_id] = sockets.get(connection_id, 0) + 1

    def leave(self, channel: str, connection_id: str) -> None:
        """Note that a socket holds one argument less of a channel."""
        sockets = self._sockets.get(channel, {})
        left = sockets.pop(connection_id, 0) - 1
        if left > 0:
            sockets[connection_id] = left
