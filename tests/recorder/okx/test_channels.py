"""The table of channels against what OKX documents."""

from __future__ import annotations

import pytest

from recorder.errors import UsageError
from recorder.okx.channels import ARGUMENT_KEYS, CHANNELS, ENDPOINTS, channel_of

PUBLIC = [
    "tickers",
    "trades",
    "books",
    "books5",
    "bbo-tbt",
    "books-elp",
    "books-rpi",
    "option-trades",
    "call-auction-details",
    "instruments",
    "event-contract-markets",
    "open-interest",
    "funding-rate",
    "price-limit",
    "opt-summary",
    "estimated-price",
    "mark-price",
    "index-tickers",
    "liquidation-orders",
    "adl-warning",
    "status",
    "books-l2-tbt",
    "books50-l2-tbt",
]
BUSINESS = [
    "trades-all",
    "sprd-bbo-tbt",
    "sprd-books5",
    "sprd-books-l2-tbt",
    "sprd-public-trades",
    "sprd-tickers",
    "public-struc-block-trades",
    "public-block-trades",
    "block-tickers",
    "candle1s",
    "candle1m",
    "candle1Dutc",
    "mark-price-candle1m",
    "index-candle3Mutc",
    "sprd-candle1m",
    "orders-algo",
    "algo-advance",
    "grid-orders-spot",
    "grid-orders-contract",
    "grid-positions",
    "grid-sub-orders",
    "algo-recurring-buy",
    "copytrading-lead-notification",
    "rfqs",
    "quotes",
    "struc-block-trades",
    "sprd-orders",
    "sprd-trades",
    "deposit-info",
    "withdrawal-info",
    "economic-calendar",
]
PRIVATE = [
    "account",
    "positions",
    "balance_and_position",
    "orders",
    "fills",
    "liquidation-warning",
    "account-greeks",
]


def test_every_channel_is_on_its_endpoint() -> None:
    for endpoint, names in zip(ENDPOINTS, (PUBLIC, BUSINESS, PRIVATE), strict=True):
        for name in names:
            assert CHANNELS[name].endpoint == endpoint, name
    others = [n for n in CHANNELS if n not in (*PUBLIC, *BUSINESS, *PRIVATE)]
    assert all("candle" in name for name in others)
    assert all(CHANNELS[name].endpoint == "business" for name in others)


def test_only_books_of_public_need_a_login() -> None:
    needing = [n for n, c in CHANNELS.items() if c.login and c.endpoint == "public"]
    assert needing == ["books-l2-tbt", "books50-l2-tbt"]
    assert all(CHANNELS[name].login for name in PRIVATE)
    assert not CHANNELS["trades-all"].login


def test_books() -> None:
    depths = {name: c.depth for name, c in CHANNELS.items() if c.is_book}
    assert depths == {
        "books": 400, "books5": 5, "bbo-tbt": 1, "books-l2-tbt": 400, "books50-l2-tbt": 50,
        "books-elp": 400, "books-rpi": 400, "sprd-bbo-tbt": 1, "sprd-books5": 5,
        "sprd-books-l2-tbt": 400,
    }  # fmt: skip
    whole = [name for name, c in CHANNELS.items() if c.is_book and not c.is_incremental]
    assert whole == ["books5", "bbo-tbt", "sprd-bbo-tbt", "sprd-books5"]


def test_the_table_is_consistent() -> None:
    for name, channel in CHANNELS.items():
        assert channel.name == name
        assert channel.endpoint in ENDPOINTS
        assert set(channel.keys) <= set(ARGUMENT_KEYS)
        assert channel.subject is None or channel.subject in channel.keys
        assert channel.pace


def test_retired_bars_and_typing_mistakes_are_refused_with_a_hint() -> None:
    for name in ("candle1Y", "candle6M", "mark-price-candle1s"):
        with pytest.raises(UsageError, match="did you mean"):
            channel_of(name)
    with pytest.raises(UsageError, match=r"e\.g\. books"):
        channel_of("zzz")
