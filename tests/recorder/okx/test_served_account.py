"""The state of an account, joined from recorded snapshots and changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.okx.served_account import ACCOUNT_CHANNELS, AccountState

ANY = {"channel": "positions", "instType": "ANY", "uid": "111"}


def push(argument: dict[str, str], data: list[Any], **extra: Any) -> bytes:
    return msgspec.json.encode({"arg": argument, **extra, "data": data})


def joined(channel: str, *payloads: bytes) -> dict[str, Any]:
    state = AccountState(channel)
    for payload in payloads:
        state.take(payload)
    first = state.first_push()
    assert first is not None
    return dict(msgspec.json.decode(first))


def test_pages_of_a_snapshot_and_the_changes_after_them_become_one_snapshot():
    body = joined(
        "positions",
        push(ANY, [{"posId": "1", "pos": "9"}], eventType="snapshot", curPage=1, lastPage=True),
        push(ANY, [{"posId": "7", "pos": "2"}], eventType="snapshot", curPage=1, lastPage=False),
        push(ANY, [{"posId": "8", "pos": "3"}], eventType="snapshot", curPage=2, lastPage=True),
        push(ANY, [{"posId": "7", "pos": "4"}], eventType="event_update"),
        push(ANY, [{"posId": "8", "pos": "0"}, {"posId": "9", "pos": "-1"}]),
    )

    assert body == {
        "arg": ANY,
        "eventType": "snapshot",
        "curPage": 1,
        "lastPage": True,
        "data": [{"posId": "7", "pos": "4"}, {"posId": "9", "pos": "-1"}],
    }


def test_an_account_keeps_the_currencies_that_a_change_does_not_name():
    argument = {"channel": "account", "uid": "111"}
    body = joined(
        "account",
        push(
            argument,
            [{"totalEq": "9", "details": [{"ccy": "BTC", "eq": "1"}, {"ccy": "USDT", "eq": "5"}]}],
            eventType="snapshot",
            curPage=1,
            lastPage=True,
        ),
        push(
            argument,
            [{"totalEq": "8", "details": [{"ccy": "USDT", "eq": "4"}]}],
            eventType="event_update",
        ),
    )

    assert body["data"] == [
        {"totalEq": "8", "details": [{"ccy": "BTC", "eq": "1"}, {"ccy": "USDT", "eq": "4"}]}
    ]


def test_balances_and_positions_become_a_snapshot_of_both():
    argument = {"channel": "balance_and_position", "uid": "111"}
    whole = {
        "pTime": "1",
        "eventType": "snapshot",
        "balData": [{"ccy": "USDT", "cashBal": "100"}],
        "posData": [{"posId": "1", "instId": "A", "pos": "2"}],
        "trades": [],
    }
    filled = {
        "pTime": "2",
        "eventType": "filled",
        "balData": [{"ccy": "USDT", "cashBal": "90"}],
        "posData": [{"posId": "2", "instId": "B", "pos": "1"}],
        "trades": [{"instId": "B", "tradeId": "7"}],
    }

    body = joined("balance_and_position", push(argument, [whole]), push(argument, [filled]))

    assert body["data"] == [
        {
            "pTime": "2",
            "eventType": "snapshot",
            "balData": [{"ccy": "USDT", "cashBal": "90"}],
            "posData": [whole["posData"][0], filled["posData"][0]],
            "trades": [],
        }
    ]
    assert "eventType" not in body


def test_recordings_from_before_event_types_get_none():
    body = joined("account-greeks", push({"channel": "account-greeks"}, [{"ccy": "BTC"}]))

    assert body == {"arg": {"channel": "account-greeks"}, "data": [{"ccy": "BTC"}]}


def test_nothing_pushed_is_no_snapshot():
    assert AccountState("account").first_push() is None


@pytest.mark.parametrize("channel", ACCOUNT_CHANNELS)
@settings(deadline=None)
@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), st.lists, max_leaves=5))
def test_no_data_makes_it_raise(channel: str, data: object):
    state = AccountState(channel)
    for item in (data, [data], [{"details": data, "balData": data, "posData": [data]}]):
        state.take(push({"channel": channel}, item))  # type: ignore[arg-type]
    state.take(b"\xff")
    state.first_push()
