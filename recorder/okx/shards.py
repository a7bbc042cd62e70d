"""Shards: one list of subscriptions divided among several recorders.

Responsible for the one rule: which part a subscription belongs to. Refuses to look at the list as
a whole, so that adding or removing one instrument moves no other.

The rule. Everything about one instrument family goes to one shard: spot, swap, futures and options
of BTC-USDT, and their index. A spread goes by its own name. What names no instrument and no family
(`liquidation-orders:SWAP`, `status`, `account`, `orders` of all), and whatever belongs to an
account, goes to shard 1, which alone needs the keys. The shard of a family is the one for which
BLAKE2b-64 of `SHARD|FAMILY` is greatest (rendezvous hashing): the same on every machine, and one
shard more takes its share from each of the others and moves nothing between those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from recorder.errors import UsageError
from recorder.okx.channels import CHANNELS
from recorder.okx.subscription import Subscription

SHARDS_MAX = 1_000

_FORM = re.compile(r"(\d{1,4})/(\d{1,4})", re.ASCII)


class Shard(msgspec.Struct, frozen=True):
    """One part of several.

    Attributes:
        number: from 1. count: of all parts.
    """

    number: int
    count: int

    def of(self, subscriptions: Sequence[Subscription]) -> list[Subscription]:
        """Return those that belong to this part, in their order.

        Raises:
            UsageError: none does.
        """
        found = [item for item in subscriptions if shard_of(item, self.count) == self.number]
        if not found:
            taken = sorted({shard_of(item, self.count) for item in subscriptions})
            raise UsageError(
                f"expected a subscription in shard {self}, received none of "
                f"{len(subscriptions)}: all are in {', '.join(map(str, taken)) or 'none'}; "
                f"run only those, or use fewer shards"
            )
        return found

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Read `2/5`.

    Raises:
        UsageError: it is no such thing.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= SHARDS_MAX:
        raise UsageError(
            f"expected a shard such as 2/5, the second of five (at most {SHARDS_MAX}), "
            f"received {text!r}"
        )
    return Shard(int(found[1]), int(found[2]))


def family_of(subscription: Subscription) -> str | None:
    """Return the instrument family a subscription is about, None where it is about none."""
    channel = CHANNELS.get(subscription.channel)
    if channel is not None and channel.login and not channel.is_book:
        return None
    spread = subscription.get("sprdId")
    if spread is not None:
        return spread
    instrument = subscription.get("instFamily") or subscription.instrument
    return None if instrument is None else "-".join(instrument.split("-")[:2])


def shard_of(subscription: Subscription, count: int) -> int:
    """Return which of `count` shards a subscription belongs to, from 1."""
    family = family_of(subscription)
    if family is None:
        return 1
    return max(range(1, count + 1), key=lambda number: _weight(number, family))


def _weight(number: int, family: str) -> bytes:
    return blake2b(f"{number}|{family}".encode(), digest_size=8).digest()
