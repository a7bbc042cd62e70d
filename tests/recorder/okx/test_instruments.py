"""Patterns of instruments: what they match, which lists they need, what is said when none."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import UsageError
from recorder.okx.instruments import (
    Listing,
    has_pattern,
    match_instruments,
    pattern_requests,
    read_listings,
    resolve_patterns,
)
from recorder.okx.subscription import parse_subscription

PATH = "/api/v5/public/instruments?instType="
LISTED = [
    Listing("BTC-USDT", "SPOT"),
    Listing("ETH-USDT", "SPOT"),
    Listing("NEW-USDT", "SPOT", state="preopen"),
    Listing("OLD-USDT", "SPOT", state="suspend"),
    Listing("BTC-USDT-SWAP", "SWAP", "BTC-USDT", "BTC-USDT"),
    Listing("BTC-USD-SWAP", "SWAP", "BTC-USD", "BTC-USD"),
    Listing("BTC-USD_UM-SWAP", "SWAP", "BTC-USD_UM", "BTC-USD"),
    Listing("ETH-USDT-SWAP", "SWAP", "ETH-USDT", "ETH-USDT"),
    Listing("BTC-USD-261225", "FUTURES", "BTC-USD", "BTC-USD"),
    Listing("BTC-USD-261225-50000-C", "OPTION", "BTC-USD", "BTC-USD"),
    Listing("BTC-USD-261225-50000-P", "OPTION", "BTC-USD", "BTC-USD"),
    Listing("BTC-USDT_BTC-USDT-SWAP", "SPREAD"),
    Listing("ETH-USDT_ETH-USDT-SWAP", "SPREAD"),
]


def resolved(*texts: str, **options: object) -> list[str]:
    subscriptions = [parse_subscription(text) for text in texts]
    return [str(item) for item in resolve_patterns(subscriptions, LISTED, **options)]  # type: ignore[arg-type]


@given(st.text("BTC-*?", max_size=8), st.lists(st.text("BTC-", max_size=8), max_size=12))
def test_matching_is_that_of_file_names(pattern: str, names: list[str]) -> None:
    assert match_instruments(pattern, names) == tuple(
        sorted({name for name in names if fnmatch.fnmatchcase(name, pattern)})
    )


@pytest.mark.parametrize(
    "odd", ["BTC.USDT", "btc-usdt", "BTC-USDT-SWAPX", "[B]TC-USDT", "B\nC-USDT"]
)
def test_everything_but_the_two_wildcards_is_itself(odd: str) -> None:
    assert match_instruments("BTC-USDT*"[:8] + "?SWAP", [odd]) == ()
    assert match_instruments("[B]TC-*", [odd]) == (("[B]TC-USDT",) if odd[0] == "[" else ())


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("books:BTC-*-SWAP", ["SWAP"]),
        ("books:*SWAP", ["SWAP", "SPOT"]),
        ("books:*-??????", ["SPOT", "SWAP", "FUTURES"]),
        ("trades:*-USDT", ["SPOT"]),
        ("trades:BTC-USD?", ["SPOT", "SWAP", "FUTURES"]),
        ("books:BTC-USD-2612*", ["SWAP", "FUTURES", "OPTION&instFamily=BTC-USD"]),
        ("books:BTC-USD-*-C", ["OPTION&instFamily=BTC-USD"]),
        ("books:BTC-USD-26122?", ["SWAP", "FUTURES", "OPTION&instFamily=BTC-USD"]),
        ("books:*-261225", ["FUTURES"]),
        ("funding-rate:BTC-*", ["SWAP", "FUTURES"]),
        ("index-tickers:BTC-*", ["SWAP", "FUTURES"]),
        ("orders:instType=SWAP,instId=BTC-*", ["SWAP"]),
        ("books:BTC-USDT", []),
        ("status", []),
    ],
)
def test_only_the_lists_a_pattern_can_mean_are_asked_for(text: str, lists: list[str]) -> None:
    subscription = parse_subscription(text)
    assert has_pattern(subscription) == bool(lists)
    assert set(pattern_requests([subscription])) == {PATH + name for name in lists}


def test_lists_are_asked_for_once_and_spreads_have_their_own() -> None:
    texts = ("books:BTC-*-SWAP", "trades:*-SWAP", "sprd-tickers:BTC*", "books:ETH-USD-*-P")
    wanted = [parse_subscription(text) for text in texts]
    assert pattern_requests(wanted) == [
        PATH + "SWAP",
        PATH + "OPTION&instFamily=ETH-USD",
        "/api/v5/sprd/spreads",
    ]


def test_a_pattern_becomes_what_it_matches_in_its_place() -> None:
    assert resolved("trades:ETH-USDT", "books:BTC-*-SWAP", "status", "trades:*-USDT") == [
        "trades:ETH-USDT",
        "books:BTC-USD-SWAP",
        "books:BTC-USDT-SWAP",
        "books:BTC-USD_UM-SWAP",
        "status",
        "trades:BTC-USDT",
        "trades:NEW-USDT",
    ]


def test_only_instruments_that_trade_or_soon_will() -> None:
    assert "trades:OLD-USDT" not in resolved("trades:*-USDT")
    assert resolved("trades:*-USDT", states=("suspend",)) == ["trades:OLD-USDT"]


def test_a_channel_that_exists_for_some_types_only_gets_these() -> None:
    assert resolved("funding-rate:ETH-*") == ["funding-rate:ETH-USDT-SWAP"]
    assert resolved("index-tickers:BTC-*") == ["index-tickers:BTC-USD", "index-tickers:BTC-USDT"]
    assert resolved("sprd-tickers:BTC*") == ["sprd-tickers:BTC-USDT_BTC-USDT-SWAP"]
    assert resolved("books:BTC-USD-261225-*-C") == ["books:BTC-USD-261225-50000-C"]


def test_other_arguments_stay() -> None:
    text = "orders:instType=SWAP,instId=BTC-USDT-*"
    (item,) = resolve_patterns([parse_subscription(text)], LISTED)
    assert item == parse_subscription("orders:instType=SWAP,instId=BTC-USDT-SWAP")


def test_no_match_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        resolved("books:BTX-USDT-*")
    assert str(caught.value) == (
        "expected an instrument that matches BTX-USDT-* for channel books among 7 listed ones, "
        "received none; the nearest are BTC-USDT-SWAP, BTC-USD-SWAP, ETH-USDT-SWAP"
    )
    with pytest.raises(UsageError, match="check the spelling, case included"):
        resolved("books:zzzz*zzz")
    with pytest.raises(UsageError, match="begin the pattern with one, as in BTC-USD-"):
        resolved("books:zzz*C")
    spot = [item for item in LISTED if item.type == "SPOT"]
    with pytest.raises(UsageError, match="the list holds nothing of this kind"):
        resolve_patterns([parse_subscription("books:BTC-*-SWAP")], spot)


def test_bodies_of_rest_and_files_of_rows() -> None:
    row = {"instId": "BTC-USDT", "instType": "SPOT", "state": "live", "tickSz": "0.1", "uly": ""}
    spread = {"sprdId": "A-B_A-B-SWAP", "state": "live", "legs": []}
    body = {"code": "0", "msg": "", "data": [row, spread, {"other": 1}]}
    wanted = [Listing("BTC-USDT", "SPOT"), Listing("A-B_A-B-SWAP", "SPREAD")]
    assert read_listings(json.dumps(body).encode(), "a body") == wanted
    assert read_listings(json.dumps([row, spread]).encode(), "a file") == wanted
    assert read_listings(b'[{"instId":"BTC-USD-261225"}]', "a file")[0].type == "FUTURES"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected a JSON list of instruments"),
        (b"<html>", "in list.json, received something else"),
        (b'{"data":{}}', "received something else"),
        (b"\xff", "received something else"),
        (b"[" * 100_000, "received something else"),
        (b'{"code":"50011","msg":"Too Many Requests","data":[]}', "error 50011: Too Many Requests"),
    ],
)
def test_what_is_no_list_is_said_so(body: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_listings(body, "list.json")


def test_real_lists(real_traffic: Path) -> None:
    bodies = sorted((real_traffic / "rest").iterdir())
    listings = [item for body in bodies for item in read_listings(body.read_bytes(), body.name)]
    assert {item.type for item in listings} == {"SPOT", "SWAP"}
    wanted = [parse_subscription("books:BTC-USD*-SWAP")]
    found = [item.instrument for item in resolve_patterns(wanted, listings)]
    assert found == ["BTC-USD-SWAP", "BTC-USDT-SWAP"]
