"""The table of channels: where each lives, what it takes, how fast it is, whether it needs a login.

Responsible for these facts, once, for the recorder, the local venue and the help of the commands.
Refuses to hold wire shapes (that is `okx.messages`) and to build requests (`okx.subscription`).

Facts are from the OKX v5 API documentation, sections "Public channel", "Order Book Trading",
"Spread Trading", "Block Trading", "Financial Product" and the changelog through 2026-09:
candles and `trades-all` are served by `business` since 2023-06-20; `books-l2-tbt` and
`books50-l2-tbt` need a login on the *public* socket (fee tier VIP4 and above).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

from recorder.errors import UsageError

ENDPOINTS: tuple[str, ...] = ("public", "business", "private")
"""Sockets of the venue, in the order they are opened: `wss://HOST/ws/v5/<endpoint>`."""

INSTRUMENT_TYPES: tuple[str, ...] = (
    "SPOT",
    "MARGIN",
    "SWAP",
    "FUTURES",
    "OPTION",
    "EVENTS",
    "ANY",
)
"""What `instType` may be."""

ARGUMENT_KEYS: tuple[str, ...] = (
    "instType",
    "instFamily",
    "instId",
    "sprdId",
    "ccy",
    "algoId",
    "extraParams",
)
"""Every argument key beside `channel`, in the order in which they are written."""

BARS: tuple[str, ...] = (
    "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H", "6H", "12H",
    "1D", "2D", "3D", "5D", "1W", "1M", "3M",
    "6Hutc", "12Hutc", "1Dutc", "2Dutc", "3Dutc", "5Dutc", "1Wutc", "1Mutc", "3Mutc",
)  # fmt: skip
"""Candle intervals; `1s` exists for traded prices only. Without `utc` long bars open at UTC+8."""


class Channel(msgspec.Struct, frozen=True):
    """What is known about one channel.

    Attributes:
        name: as on the wire.
        endpoint: `public`, `business` or `private`.
        subject: the key that a bare value fills (`books:BTC-USDT` is instId); None takes none.
        required: keys that must be given; where several are joined by `|`, one of them.
        optional: keys that may be given.
        defaults: keys with the value they get when not given.
        login: the venue wants a login on that socket first.
        pace: how often the venue pushes, in words.
        depth: price levels per side of an order book; None for anything else.
        is_incremental: a book of snapshot and updates, chained by `prevSeqId`.
        note: what else a user should know before subscribing.
    """

    name: str
    endpoint: str
    subject: str | None = None
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    login: bool = False
    pace: str = "on change"
    depth: int | None = None
    is_incremental: bool = False
    note: str = ""

    @property
    def is_book(self) -> bool:
        """Whether it carries order books, whole or incremental."""
        return self.depth is not None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every argument key it takes, in the order in which they are written."""
        known = {part for key in self.required for part in key.split("|")}
        known.update(self.optional)
        known.update(key for key, _ in self.defaults)
        return tuple(key for key in ARGUMENT_KEYS if key in known)


def _by_instrument(name: str, pace: str, endpoint: str = "public", **facts: Any) -> Channel:
    return Channel(name, endpoint, subject="instId", required=("instId",), pace=pace, **facts)


def _by_spread(name: str, pace: str, **facts: Any) -> Channel:
    return Channel(name, "business", subject="sprdId", required=("sprdId",), pace=pace, **facts)


def _of_account(name: str, endpoint: str, **facts: Any) -> Channel:
    return Channel(name, endpoint, login=True, **facts)


_PUBLIC = (
    _by_instrument("tickers", "100 ms, on change"),
    _by_instrument("trades", "per trade"),
    _by_instrument("books", "100 ms", depth=400, is_incremental=True),
    _by_instrument("books5", "100 ms, whole each time", depth=5),
    _by_instrument("bbo-tbt", "10 ms, whole each time", depth=1),
    _by_instrument("books-l2-tbt", "10 ms", depth=400, is_incremental=True, login=True,
                   note="fee tier VIP4 and above"),
    _by_instrument("books50-l2-tbt", "10 ms", depth=50, is_incremental=True, login=True,
                   note="fee tier VIP4 and above"),
    _by_instrument("books-elp", "100 ms", depth=400, is_incremental=True,
                   note="replaced by books-rpi; accepted until 2026-10-31"),
    _by_instrument("books-rpi", "100 ms", depth=400, is_incremental=True),
    Channel("option-trades", "public", subject="instFamily", required=("instFamily|instId",),
            defaults=(("instType", "OPTION"),), pace="per trade",
            note="the first push may be an old trade"),
    _by_instrument("call-auction-details", "1 s during an auction"),
    Channel("instruments", "public", subject="instType", required=("instType",),
            note="changes only; the full list comes by REST"),
    Channel("event-contract-markets", "public", subject="instType",
            defaults=(("instType", "EVENTS"),)),
    _by_instrument("open-interest", "3 s, on change"),
    _by_instrument("funding-rate", "30 to 90 s", note="perpetuals only"),
    _by_instrument("price-limit", "200 ms, on change"),
    Channel("opt-summary", "public", subject="instFamily", required=("instFamily",),
            pace="whole family at once"),
    Channel("estimated-price", "public", subject="instId",
            required=("instType", "instFamily|instId"), pace="200 ms before a settlement"),
    _by_instrument("mark-price", "200 ms on change, else 10 s"),
    _by_instrument("index-tickers", "100 ms on change, else 60 s",
                   note="takes an index such as BTC-USDT"),
    Channel("liquidation-orders", "public", subject="instType", required=("instType",),
            pace="per event", note="neither complete nor in time order"),
    Channel("adl-warning", "public", subject="instType", required=("instType",),
            optional=("instFamily",), pace="1 s while in warning or adl"),
    Channel("status", "public"),
)  # fmt: skip

_BUSINESS = (
    _by_instrument("trades-all", "per fill", "business"),
    _by_spread("sprd-bbo-tbt", "10 ms, whole each time", depth=1),
    _by_spread("sprd-books5", "100 ms, whole each time", depth=5),
    _by_spread("sprd-books-l2-tbt", "10 ms", depth=400, is_incremental=True),
    _by_spread("sprd-public-trades", "per trade"),
    _by_spread("sprd-tickers", "100 ms, on change"),
    Channel("public-struc-block-trades", "business", pace="per trade, 15 minutes late"),
    _by_instrument("public-block-trades", "per trade, 15 minutes late", "business"),
    _by_instrument("block-tickers", "on execution, else 5 minutes", "business"),
)

_CANDLES = (
    *(_by_instrument(f"candle{bar}", "1 s", "business") for bar in ("1s", *BARS)),
    *(_by_instrument(f"mark-price-candle{bar}", "1 s", "business") for bar in BARS),
    *(
        _by_instrument(
            f"index-candle{bar}", "1 s", "business", note="takes an index such as BTC-USDT"
        )
        for bar in BARS
    ),
    *(_by_spread(f"sprd-candle{bar}", "1 s") for bar in BARS),
)

_ANY = (("instType", "ANY"),)
_ACCOUNT = (
    _of_account("account", "private", subject="ccy", optional=("ccy", "extraParams")),
    _of_account("positions", "private", subject="instId", defaults=_ANY,
                optional=("instFamily", "instId", "extraParams")),
    _of_account("balance_and_position", "private"),
    _of_account("orders", "private", subject="instId", defaults=_ANY,
                optional=("instFamily", "instId")),
    _of_account("fills", "private", subject="instId", optional=("instId",),
                note="fee tier VIP4 and above"),
    _of_account("liquidation-warning", "private", subject="instId", defaults=_ANY,
                optional=("instFamily", "instId")),
    _of_account("account-greeks", "private", subject="ccy", optional=("ccy",)),
    _of_account("orders-algo", "business", subject="instId", defaults=_ANY,
                optional=("instFamily", "instId")),
    _of_account("algo-advance", "business", subject="instId", defaults=_ANY,
                optional=("instId", "algoId")),
    _of_account("grid-orders-spot", "business", subject="instId",
                defaults=(("instType", "SPOT"),), optional=("instId", "algoId")),
    _of_account("grid-orders-contract", "business", subject="instId", defaults=_ANY,
                optional=("instId", "algoId")),
    _of_account("grid-positions", "business", subject="algoId", required=("algoId",)),
    _of_account("grid-sub-orders", "business", subject="algoId", required=("algoId",)),
    _of_account("algo-recurring-buy", "business", subject="algoId",
                defaults=(("instType", "SPOT"),), optional=("algoId",)),
    _of_account("copytrading-lead-notification", "business", subject="instId",
                defaults=(("instType", "SWAP"),), optional=("instId",)),
    _of_account("rfqs", "business"),
    _of_account("quotes", "business"),
    _of_account("struc-block-trades", "business"),
    _of_account("sprd-orders", "business", subject="sprdId", optional=("sprdId",)),
    _of_account("sprd-trades", "business", subject="sprdId", optional=("sprdId",)),
    _of_account("deposit-info", "business", subject="ccy", optional=("ccy",)),
    _of_account("withdrawal-info", "business", subject="ccy", optional=("ccy",)),
    _of_account("economic-calendar", "business", note="fee tier VIP1 and above, live only"),
)  # fmt: skip

CHANNELS: dict[str, Channel] = {
    channel.name: channel for channel in (*_PUBLIC, *_BUSINESS, *_CANDLES, *_ACCOUNT)
}
"""Every channel by name: public, business, candles, account."""


def channel_of(name: str) -> Channel:
    """Return what is known about a channel.

    Raises:
        UsageError: no channel has this name; the sentence lists the nearest ones.
    """
    channel = CHANNELS.get(name)
    if channel is not None:
        return channel
    near = get_close_matches(name, CHANNELS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "e.g. books, trades or tickers"
    raise UsageError(f"expected the name of an OKX channel, received {name!r}; {hint}")


def endpoint_serving(arguments: Iterable[bytes]) -> str | None:
    """Return the endpoint that serves subscribed arguments (JSON); None: nothing tells."""
    for argument in arguments:
        row = msgspec.json.decode(argument)
        name = row.get("channel") if isinstance(row, dict) else None
        channel = CHANNELS.get(name) if isinstance(name, str) else None
        if channel is not None:
            return channel.endpoint
    return None
