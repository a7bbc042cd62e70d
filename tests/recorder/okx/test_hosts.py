"""Where the venue is, and what an instrument id says."""

from __future__ import annotations

import pytest

from recorder.errors import UsageError
from recorder.okx.hosts import hosts_at, hosts_of
from recorder.okx.instruments import instrument_requests, instrument_type
from recorder.okx.subscription import parse_subscription


@pytest.mark.parametrize(
    ("region", "demo", "endpoint", "rest"),
    [
        ("global", False, "wss://ws.okx.com:8443/ws/v5/public", "https://openapi.okx.com"),
        ("global", True, "wss://wspap.okx.com:8443/ws/v5/public", "https://openapi.okx.com"),
        ("us", False, "wss://wsus.okx.com:8443/ws/v5/public", "https://us.okx.com"),
        ("eea", True, "wss://wseeapap.okx.com:8443/ws/v5/public", "https://eea.okx.com"),
    ],
)
def test_regions(region: str, demo: bool, endpoint: str, rest: str) -> None:
    hosts = hosts_of(region, demo_trading=demo)
    assert (hosts.endpoint("public"), hosts.rest, hosts.demo_trading) == (endpoint, rest, demo)


@pytest.mark.parametrize(
    ("base", "endpoint", "rest"),
    [
        ("ws://127.0.0.1:8765/ws/v5", "ws://127.0.0.1:8765/ws/v5/business", "http://127.0.0.1:8765"),
        ("ws://127.0.0.1:8765/ws/v5/", "ws://127.0.0.1:8765/ws/v5/business", "http://127.0.0.1:8765"),
        ("wss://venue.example/x", "wss://venue.example/x/business", "https://venue.example"),
        ("ws://[::1]:80/ws/v5", "ws://[::1]:80/ws/v5/business", "http://[::1]:80"),
    ],
)  # fmt: skip
def test_a_base_of_ones_own(base: str, endpoint: str, rest: str) -> None:
    hosts = hosts_at(base)
    assert (hosts.endpoint("business"), hosts.rest) == (endpoint, rest)


@pytest.mark.parametrize(
    "base",
    ["", "127.0.0.1:8765", "http://x/", "ws://", "ws://x:port/", "ws://u:p@x/", "ws://x/?a=b"],
)
def test_what_is_no_base(base: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        hosts_at(base)


@pytest.mark.parametrize(
    ("instrument", "kind"),
    [
        ("BTC-USDT", "SPOT"),
        ("BTC-USDT-SWAP", "SWAP"),
        ("BTC-USD_UM-SWAP", "SWAP"),
        ("BTC-USD-261225", "FUTURES"),
        ("BTC-USD_UM_XPERP-310404", "FUTURES"),
        ("BTC-USD-261225-50000-C", "OPTION"),
        ("BTC-USD-261225-0.5-P", "OPTION"),
        ("ABC-ABOVE-DAILY-261123-1600-2", None),
        ("BTC", None),
    ],
)
def test_instrument_types(instrument: str, kind: str | None) -> None:
    assert instrument_type(instrument) == kind


def test_lists_are_asked_for_once_each() -> None:
    texts = [
        "books:BTC-USDT", "trades:ETH-USDT", "books:BTC-USDT-SWAP", "index-tickers:SOL-USDT",
        "opt-summary:ETH-USD", "books:BTC-USD-261225-50000-C", "liquidation-orders:MARGIN",
        "sprd-tickers:BTC-USD_UM-SWAP_BTC-USD_UM-250808", "status", "orders",
    ]  # fmt: skip
    base = "/api/v5/public/instruments?instType="
    assert instrument_requests(map(parse_subscription, texts)) == [
        f"{base}SPOT",
        f"{base}MARGIN",
        f"{base}SWAP",
        f"{base}FUTURES",
        f"{base}OPTION&instFamily=BTC-USD",
        f"{base}OPTION&instFamily=ETH-USD",
    ]
    assert instrument_requests([parse_subscription("index-tickers:BTC-USDT")]) == []
