"""Shards: every subscription in exactly one, by a rule that looks at it alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.okx.channels import CHANNELS
from recorder.okx.shards import Shard, family_of, parse_shard, shard_of
from recorder.okx.subscription import Subscription, make_subscription, parse_subscription

COINS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=6)
FORMS = ("{}-USDT", "{}-USDT-SWAP", "{}-USD-261225", "{}-USD-261225-100000-C", "{}-USDC")
NEEDED = {
    "instId": "BTC-USDT", "instType": "SWAP", "instFamily": "BTC-USD", "sprdId": "A-B_C-D",
    "ccy": "USDT", "algoId": "1",
}  # fmt: skip


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    """Draw any channel with the arguments it takes."""
    channel = CHANNELS[draw(st.sampled_from(sorted(CHANNELS)))]
    given_ = {key.split("|")[0]: NEEDED[key.split("|")[0]] for key in channel.required}
    if "instId" in channel.keys and draw(st.booleans()):
        given_["instId"] = draw(st.sampled_from(FORMS)).format(draw(COINS))
    return make_subscription(channel.name, given_)


@given(wanted=st.lists(subscriptions(), max_size=30, unique=True), count=st.integers(1, 12))
def test_each_is_in_exactly_one_and_all_of_a_family_in_the_same(
    wanted: list[Subscription], count: int
) -> None:
    parts: list[list[Subscription]] = []
    for number in range(1, count + 1):
        try:
            parts.append(Shard(number, count).of(wanted))
        except UsageError:
            parts.append([])
    assert sorted(item for part in parts for item in part) == sorted(wanted)
    for part in parts:
        assert part == [item for item in wanted if item in part], "in their order"
    homes: dict[str | None, set[int]] = {}
    for item in wanted:
        homes.setdefault(family_of(item), set()).add(shard_of(item, count))
    assert all(len(found) == 1 for found in homes.values())
    assert homes.get(None, {1}) == {1}


@given(item=subscriptions(), count=st.integers(1, 12))
def test_one_shard_more_moves_only_what_it_takes(item: Subscription, count: int) -> None:
    before, after = shard_of(item, count), shard_of(item, count + 1)
    assert after in (before, count + 1)


def test_the_rule_is_pinned() -> None:
    """These are on disks of two machines that must agree: never change them."""
    texts = [
        "books:BTC-USDT", "trades:BTC-USDT-SWAP", "books:ETH-USDT", "books:SOL-USDT-SWAP",
        "opt-summary:BTC-USD", "tickers:BTC-USD-261225-100000-C", "sprd-tickers:A-B_C-D",
        "status", "liquidation-orders:SWAP", "orders:instType=SWAP,instId=SOL-USDT-SWAP",
    ]  # fmt: skip
    assert [shard_of(parse_subscription(text), 5) for text in texts] == [
        3,
        3,
        4,
        1,
        4,
        4,
        4,
        1,
        1,
        1,
    ]


def test_a_thousand_families_are_spread_evenly() -> None:
    found = Counter(shard_of(parse_subscription(f"books:C{n}-USDT"), 5) for n in range(1_000))
    assert sorted(found) == [1, 2, 3, 4, 5]
    assert min(found.values()) > 150


@pytest.mark.parametrize("text", ["", "2", "0/5", "6/5", "1/0", "a/b", "1/1001", "-1/5", "1/5/5"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 2/5"):
        parse_shard(text)


def test_an_empty_shard_says_where_everything_is() -> None:
    only = [parse_subscription("status")]
    assert Shard(1, 3).of(only) == only
    with pytest.raises(UsageError, match="all are in 1"):
        Shard(2, 3).of(only)
    assert str(parse_shard(" 2/3 ")) == "2/3"
