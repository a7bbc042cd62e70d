"""What a venue made of a recording pushes: which frames, for which argument, and snapshots.

Responsible for telling data pushes from everything else, for the argument a push answers to, and
for the wire form of a book snapshot made from a book. Refuses to decide when anything is sent:
that is `replay.server`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from recorder.book import Book
from recorder.clock import NS_PER_MS
from recorder.event import Level
from recorder.okx.channels import CHANNELS
from recorder.okx.checksum import checksum
from recorder.okx.responses import UNREADABLE
from recorder.okx.subscription import Subscription, subscription_of

_HEAD = b'{"arg":{'
_HEAD_BYTES_MAX = 1_024
_AFTER_ARGUMENT = (b',"data":', b',"action":"', b',"eventType":"')

_STANDING = frozenset(
    (
        *("tickers", "trades", "trades-all", "books5", "bbo-tbt", "status"),
        *("mark-price", "index-tickers", "funding-rate", "open-interest", "price-limit"),
        *("sprd-bbo-tbt", "sprd-books5", "sprd-tickers", "sprd-public-trades"),
    )
)


class _Message(msgspec.Struct, gc=False):
    event: str | None = None
    arg: dict[str, Any] | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Message).decode
_decode_argument = msgspec.json.Decoder(dict[str, Any]).decode


def push_of(payload: bytes) -> Subscription | None:
    """Return the argument a received text answers to if it is a data push, else None.

    What the venue adds to the argument of a push (`uid`) is not part of it. Never raises.
    """
    if payload.startswith(_HEAD):
        end = payload.find(b"}") + 1
        if 0 < end < _HEAD_BYTES_MAX and payload.startswith(_AFTER_ARGUMENT, end):
            found = _of_argument(payload[len(_HEAD) - 1 : end])
            if found is not None:
                return found
    if payload[:1] != b"{":
        return None
    try:
        message = _decode(payload)
    except UNREADABLE:
        return None
    if message.event is not None or message.arg is None or message.data is msgspec.UNSET:
        return None
    return subscription_of(message.arg)


def ack_of(payload: bytes) -> Subscription | None:
    """Return the argument an ack of a subscribe request names, None for anything else."""
    if b'"subscribe"' not in payload[:256]:
        return None
    try:
        message = _decode(payload)
    except UNREADABLE:
        return None
    if message.event != "subscribe" or message.arg is None:
        return None
    found = subscription_of(message.arg)
    return None if found is None else found.key


def answers(push: Subscription, asked: Subscription) -> bool:
    """Say whether pushes of one argument answer a subscription to another.

    They are the same, or the push leaves something out: `event-contract-markets` is asked for
    with an `instType` and pushed without (OKX API docs, "Event contract markets channel").
    """
    if push.channel != asked.channel:
        return False
    return all(pair in asked.arguments for pair in push.arguments)


def is_chained(channel: str) -> bool:
    """Say whether a channel is a book of one snapshot and updates after it."""
    known = CHANNELS.get(channel)
    return known is not None and known.is_incremental


def repeats_last(channel: str) -> bool:
    """Say whether the venue starts a subscription with the last push there was.

    So it does with tickers, trades (the last one, again) and candles (seen on the wire); the other
    channels here push their whole value each time, so the last one is what stands. Books of
    updates begin with a snapshot instead, accounts with their state, orders with nothing.
    """
    return channel in _STANDING or "candle" in channel


def is_snapshot(payload: bytes) -> bool:
    """Say whether a push of a chained book is a snapshot."""
    return b'"action":"snapshot"' in payload[:512] or b'"action": "snapshot"' in payload[:512]


def rebuilt_snapshot(push: Subscription, book: Book) -> bytes:
    """Return the snapshot the venue would send of this book, in wire form.

    The book must hold texts (`Interpreter(str)`), so that prices and sizes are written exactly as
    they were received. Where the venue numbered nothing yet (before 2023) the real CRC32 stands
    in the place of `seqId`; since 2026 the checksum is 0.
    """
    bids, asks = book.bids(1 << 20), book.asks(1 << 20)
    is_spread = push.channel.startswith("sprd-")
    row: dict[str, Any] = {
        "asks": [_columns(level, is_spread=is_spread) for level in asks],
        "bids": [_columns(level, is_spread=is_spread) for level in bids],
        "ts": str((book.ts_event or 0) // NS_PER_MS),
    }
    if book.seq_id is None:
        row["checksum"] = checksum(bids, asks)
    else:
        row |= {"checksum": 0, "seqId": book.seq_id, "prevSeqId": -1}
    body = {"arg": push.argument, "action": "snapshot", "data": [row]}
    return msgspec.json.encode(body)


def books_body(book: Book, depth: int) -> bytes:
    """Return the body of `GET /api/v5/market/books` for a book that holds texts.

    Its `seqId` is of the space of the pushes (OKX API docs, "Order book").
    """
    row: dict[str, Any] = {
        "asks": [_columns(level, is_spread=False) for level in book.asks(depth)],
        "bids": [_columns(level, is_spread=False) for level in book.bids(depth)],
        "ts": str((book.ts_event or 0) // NS_PER_MS),
    }
    if book.seq_id is not None:
        row["seqId"] = book.seq_id
    return msgspec.json.encode({"code": "0", "msg": "", "data": [row]})


def _columns(level: Level[str], *, is_spread: bool) -> Sequence[str]:
    if is_spread:
        return (level.price, level.size, str(level.orders))
    return (level.price, level.size, level.non_rpi_size or "0", str(level.orders))


@lru_cache(maxsize=8192)
def _of_argument(text: bytes) -> Subscription | None:
    """Read `{"channel":…}`; a few hundred arguments make millions of pushes."""
    try:
        return subscription_of(_decode_argument(text))
    except UNREADABLE:
        return None
