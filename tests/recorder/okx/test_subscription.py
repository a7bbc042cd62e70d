"""Reading subscriptions, their identity, and requests within the venue's limits."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.okx.channels import CHANNELS
from recorder.okx.subscription import (
    REQUEST_BYTES_MAX,
    Subscription,
    build_requests,
    cross_subscriptions,
    parse_subscription,
    subscription_of,
)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("books:BTC-USDT", {"channel": "books", "instId": "BTC-USDT"}),
        ("books:instId=BTC-USDT", {"channel": "books", "instId": "BTC-USDT"}),
        (" trades:BTC-USDT ", {"channel": "trades", "instId": "BTC-USDT"}),
        ("liquidation-orders:SWAP", {"channel": "liquidation-orders", "instType": "SWAP"}),
        ("liquidation-orders:instType=SWAP", {"channel": "liquidation-orders", "instType": "SWAP"}),
        ("opt-summary:BTC-USD", {"channel": "opt-summary", "instFamily": "BTC-USD"}),
        (
            "option-trades:BTC-USD",
            {"channel": "option-trades", "instType": "OPTION", "instFamily": "BTC-USD"},
        ),
        (
            "estimated-price:instFamily=BTC-USD,instType=FUTURES",
            {"channel": "estimated-price", "instType": "FUTURES", "instFamily": "BTC-USD"},
        ),
        ("orders", {"channel": "orders", "instType": "ANY"}),
        ("orders:BTC-USDT", {"channel": "orders", "instType": "ANY", "instId": "BTC-USDT"}),
        ("status", {"channel": "status"}),
        (
            'account:ccy=BTC,extraParams={"updateInterval":"0","a":"b"}',
            {"channel": "account", "ccy": "BTC", "extraParams": '{"updateInterval":"0","a":"b"}'},
        ),
        (
            "sprd-tickers:BTC-USDT_BTC-USDT-SWAP",
            {"channel": "sprd-tickers", "sprdId": "BTC-USDT_BTC-USDT-SWAP"},
        ),
    ],
)
def test_text_becomes_an_argument_and_back(text: str, argument: dict[str, str]) -> None:
    subscription = parse_subscription(text)
    assert subscription.argument == argument
    assert list(subscription.argument) == list(argument), "the order of keys is the venue's"
    assert parse_subscription(str(subscription)) == subscription
    assert subscription_of(argument) == subscription
    assert subscription_of(dict(reversed(argument.items()))) == subscription


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bokos:BTC-USDT", "did you mean books"),
        ("Books:BTC-USDT", "did you mean books"),
        ("", "expected the name of an OKX channel"),
        ("books", "expected instId for channel books"),
        ("books:", "argument after the colon"),
        ("books:family=BTC", "arguments that channel books takes, received 'family'"),
        ("status:BTC-USDT", "expected no argument for channel status"),
        ("instruments:SPOTS", "expected instType as one of"),
        ("estimated-price:BTC-USD-261225", "expected instType"),
        ("estimated-price:instType=FUTURES", "expected instFamily or instId"),
        ("books:BTC-USDT ETH-USDT", "without spaces"),
        ("books:BTC\nUSDT", "printable"),
        ("books:" + "X" * 600, "at most 512 bytes"),
        ("books:instId=A,instId=B", "each key once"),
        ("grid-positions", "expected algoId"),
    ],
)
def test_mistakes_name_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_subscription(text)
    assert words in str(caught.value)


def test_extra_params_and_uid_do_not_make_another_subscription() -> None:
    asked = parse_subscription('positions:extraParams={"updateInterval":"0"}')
    echoed = subscription_of({"channel": "positions", "uid": "111", "instType": "ANY"})
    assert echoed == asked.key
    assert echoed != asked
    assert hash(echoed) == hash(asked.key)


@pytest.mark.parametrize("argument", [{}, {"channel": 7}, {"instId": "BTC-USDT"}])
def test_an_argument_without_a_channel_is_none(argument: dict[str, object]) -> None:
    assert subscription_of(argument) is None


def test_channels_times_instruments() -> None:
    found = cross_subscriptions(["books", "status", "books"], ["BTC-USDT", "ETH-USDT", "BTC-USDT"])
    assert [str(item) for item in found] == ["books:BTC-USDT", "books:ETH-USDT", "status"]
    with pytest.raises(UsageError, match="expected instType for channel liquidation-orders"):
        cross_subscriptions(["liquidation-orders"], ["BTC-USDT-SWAP"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(CHANNELS)),
            st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=100),
        ),
        max_size=80,
    )
)
def test_requests_hold_everything_in_order_and_stay_small(pairs: list[tuple[str, str]]) -> None:
    wanted = [Subscription(name, (("instId", value),)) for name, value in pairs]
    numbers = itertools.count(1)
    requests = build_requests("subscribe", wanted, lambda: f"r{next(numbers)}")
    arguments = []
    for request in requests:
        body = json.loads(request.payload)
        assert list(body) == ["id", "op", "args"]
        assert body["id"] == request.id
        assert body["args"] == [item.argument for item in request.subscriptions]
        assert len(request.payload) <= REQUEST_BYTES_MAX
        arguments += request.subscriptions
    assert arguments == wanted
    assert len({request.id for request in requests}) == len(requests)
    for first, second in itertools.pairwise(requests):
        more = len(json.dumps(second.subscriptions[0].argument, ensure_ascii=False).encode())
        assert len(first.payload) + more > REQUEST_BYTES_MAX * 0.9, "as few as fit"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("books", "e.g. books:BTC-USDT"),
        ("liquidation-orders", "e.g. liquidation-orders:SWAP"),
        ("option-trades", "e.g. option-trades:BTC-USD"),
    ],
)
def test_a_missing_argument_is_shown_in_its_short_form(text: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_subscription(text)
    assert str(caught.value).endswith(advice)
    example = advice.removeprefix("e.g. ")
    assert parse_subscription(example).channel == text
