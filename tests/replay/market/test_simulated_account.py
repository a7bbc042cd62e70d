"""Goal: what a simulated account is told adds up, to the last digit, and agrees with the market.

Method: a session of one watched trader, read by the project's own parser with exact numbers; every
claim is computed again here, from the public trades and the fills alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from recorder.errors import UsageError
from recorder.event import (
    AccountUpdate,
    BalanceAndPosition,
    BookUpdate,
    Connected,
    ConnectionCount,
    EmptySnapshot,
    Event,
    Fill,
    Greeks,
    LiquidationWarning,
    LoggedIn,
    OrderUpdate,
    PositionUpdate,
    SequenceGap,
    Trade,
    Unrecognized,
    VenueError,
)
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.novelty import Census
from replay.simulation.simulator import simulated_frames

D = Decimal
SPOT, SWAP = "BTC-USDT", "BTC-USDT-SWAP"
CONTRACT = D("0.01")
NEXT = {
    None: {"live", "canceled"},
    "live": {"live", "partially_filled", "filled", "canceled"},
    "partially_filled": {"partially_filled", "filled", "canceled"},
}


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return list(
        simulated_frames(
            seed=20, duration=50.0, rate=0.5, instruments=(SPOT, SWAP), scenario="calm",
            private=True,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def events(frames: list[Frame]) -> list[Event]:
    interpreter = Interpreter(Decimal)
    return [event for frame in frames for event in interpreter.step(frame)]


def of(events: list[Event], kind: type, **fields: Any) -> Iterator[Any]:
    for event in events:
        if isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items()):
            yield event


def orders(events: list[Event]) -> dict[str, list[OrderUpdate]]:
    found: dict[str, list[OrderUpdate]] = defaultdict(list)
    for update in of(events, OrderUpdate):
        found[update.order_id].append(update)
    return found


def test_the_private_socket_logs_in_and_then_asks(frames: list[Frame], events: list[Event]) -> None:
    assert [event.endpoint for event in of(events, Connected)] == ["public", "business", "private"]
    (login,) = [f for f in frames if f.kind is Kind.SENT and b'"op":"login"' in f.payload]
    assert login.payload.count(b'"***"') == 3
    assert all(b"simulated-" not in frame.payload for frame in frames)
    (logged_in,) = of(events, LoggedIn)
    asked = [f.seq for f in frames if f.kind is Kind.SENT and b'"channel":"orders"' in f.payload]
    assert asked[0] > logged_in.seq > login.seq
    assert len(list(of(events, ConnectionCount))) == 6
    assert not list(of(events, VenueError)) + list(of(events, Unrecognized))


def test_the_market_stays_sound_with_a_trader_in_it(frames: list[Frame]) -> None:
    interpreter = Interpreter()
    looks = 0
    for frame in frames:
        for event in interpreter.step(frame):
            assert not isinstance(event, SequenceGap)
            if isinstance(event, BookUpdate) and event.channel == "books":
                book = interpreter.books.get(event.instrument, "books")
                assert book is not None
                bid, ask = book.best_bid(), book.best_ask()
                assert bid is not None
                assert ask is not None
                assert bid.price < ask.price
                looks += 1
    assert looks > 300


def test_every_fill_is_a_trade_of_the_public_tape(events: list[Event]) -> None:
    whole = {(t.instrument, t.trade_id): t for t in of(events, Trade, channel="trades")}
    single = {(t.instrument, t.trade_id): t for t in of(events, Trade, channel="trades-all")}
    makers = takers = 0
    for fill in of(events, Fill):
        trade = whole[fill.instrument, fill.trade_id]
        assert fill.price == trade.price
        assert fill.ts_event == trade.ts_event
        if fill.execution == "T":
            takers += 1
            assert (fill.size, fill.side, fill.count) == (trade.size, trade.side, trade.count)
        else:
            makers += 1
            assert fill.side != trade.side
            assert fill.size == single[fill.instrument, fill.trade_id].size
    assert makers > 10
    assert takers > 10


def test_the_fills_of_a_trade_still_add_up_to_it(events: list[Event]) -> None:
    single = {(t.instrument, int(t.trade_id)): t for t in of(events, Trade, channel="trades-all")}
    checked = 0
    for trade in of(events, Trade, channel="trades"):
        last = int(trade.trade_id)
        ids = range(last - trade.count + 1, last + 1)
        fills = [single.get((trade.instrument, number)) for number in ids]
        if None not in fills:
            checked += 1
            assert sum(fill.size for fill in fills if fill is not None) == trade.size
            assert all(fill.size > 0 for fill in fills if fill is not None)
    assert checked > 200


def test_orders_go_through_their_states_and_their_fills_add_up(events: list[Event]) -> None:
    fills: dict[str, list[Fill]] = defaultdict(list)
    for fill in of(events, Fill):
        fills[fill.order_id].append(fill)
    seen = set()
    for order_id, updates in orders(events).items():
        state, filled, trades = None, D(0), []
        for update in updates:
            assert update.state in NEXT[state], (order_id, state, update.state)
            state = update.state
            if update.trade_id is not None:
                trades.append(update.trade_id)
                assert update.fill_size is not None
                filled += update.fill_size
            assert update.filled_size == filled
            assert (state == "filled") == (filled == update.size)
            if state == "canceled":
                assert update.cancel_source in {"1", "14", "31"}
            seen.add((update.order_type, state))
        assert trades == [fill.trade_id for fill in fills[order_id]]
        last = updates[-1]
        worth = sum((fill.price * fill.size for fill in fills[order_id]), D(0))
        if filled and last.average_price is not None:
            assert abs(last.average_price * filled - worth) < D("1e-6")
        told = sum((u.fill_fee or D(0) for u in updates if u.trade_id), D(0))
        assert last.fee == told
        if last.order_type == "limit":
            assert all(fill.execution == "M" for fill in fills[order_id])
    assert {("limit", "live"), ("limit", "filled"), ("market", "filled"), ("ioc", "canceled"),
            ("post_only", "canceled")} <= seen  # fmt: skip
    assert ("post_only", "live") not in seen
    assert any(u.amend_result == "0" for u in of(events, OrderUpdate))


def test_a_maker_is_filled_at_his_own_price(events: list[Event]) -> None:
    price: dict[str, Decimal | None] = {}
    for update in of(events, OrderUpdate):
        if update.trade_id is not None and update.execution == "M":
            assert update.fill_price == price[update.order_id]
        price[update.order_id] = update.price


def test_cash_is_what_it_was_and_what_the_fills_did(events: list[Event]) -> None:
    """Spot exchanges currencies, swaps pay their profit; both pay fees; nothing else moves cash."""
    cash: dict[str, Decimal] = {}
    checked, trade_id = 0, ""
    for event in events:
        if isinstance(event, BalanceAndPosition):
            told = {balance.currency: balance.cash for balance in event.balances}
            if event.event_type == "snapshot":
                cash = {currency: amount or D(0) for currency, amount in told.items()}
            else:
                checked += 1
                assert told == {currency: cash[currency] for currency in told}
                assert [t.trade_id for t in event.trades] == [trade_id]
        elif isinstance(event, OrderUpdate) and event.trade_id is not None:
            trade_id = event.trade_id
            price, size = event.fill_price or D(0), event.fill_size or D(0)
            if event.instrument == SPOT:
                sign = 1 if event.side == "buy" else -1
                cash["BTC"] += sign * size
                cash["USDT"] -= sign * price * size
            else:
                cash["USDT"] += event.fill_pnl or D(0)
            cash[event.fill_fee_currency or ""] += event.fill_fee or D(0)
    assert checked > 20


def test_balances_and_positions_are_told_alike_on_every_channel(events: list[Event]) -> None:
    account: dict[str, Decimal | None] = {}
    position: dict[tuple[str, str | None], Decimal | None] = {}
    compared = 0
    for event in events:
        if isinstance(event, AccountUpdate):
            account |= {balance.currency: balance.cash for balance in event.balances}
            for balance in event.balances:
                cash, frozen = balance.cash or D(0), balance.order_frozen or D(0)
                assert balance.available == cash - frozen
                assert frozen >= 0
        elif isinstance(event, PositionUpdate):
            position[event.instrument, event.margin_mode] = event.position
        elif isinstance(event, BalanceAndPosition) and event.event_type == "filled":
            compared += 1
            assert {b.currency: b.cash for b in event.balances}.items() <= account.items()
            for changed in event.positions:
                told = position[changed.instrument, changed.margin_mode]
                assert told == changed.position
    assert compared > 20


def test_a_position_is_the_sum_of_its_fills(events: list[Event]) -> None:
    mode = {u.order_id: u.trade_mode for u in of(events, OrderUpdate)}
    held: dict[str | None, Decimal] = defaultdict(D)
    last: dict[str | None, PositionUpdate] = {}
    for event in events:
        if isinstance(event, Fill) and event.instrument == SWAP:
            held[mode[event.order_id]] += event.size if event.side == "buy" else -event.size
        elif isinstance(event, PositionUpdate):
            assert event.position == held[event.margin_mode]
            last[event.margin_mode] = event
            if event.position:
                move = (event.mark_price or D(0)) - (event.average_price or D(0))
                gain = move * event.position * CONTRACT
                assert abs((event.unrealized_pnl or D(0)) - gain) < D("1e-8")
            assert event.realized_pnl == (event.pnl or 0) + (event.fee or 0)
    assert set(last) == {"cross", "isolated"}


def test_snapshots_come_in_pages_and_say_when_there_is_nothing(events: list[Event]) -> None:
    (empty,) = of(events, EmptySnapshot, channel="positions", seq=min(
        e.seq for e in of(events, EmptySnapshot)
    ))  # fmt: skip
    assert (empty.event_type, empty.page, empty.is_last_page) == ("snapshot", 1, True)
    assert empty.argument["instType"] == "ANY"
    pages = [(p.page, p.is_last_page) for p in of(events, PositionUpdate, event_type="snapshot")]
    assert (1, False) in pages
    assert (2, True) in pages
    for one, two in pairwise(pages):
        assert two[0] == (1 if one[1] else one[0] + 1)
    first = next(of(events, AccountUpdate))
    assert (first.event_type, first.page, first.is_last_page) == ("snapshot", 1, True)
    assert {b.currency for b in first.balances} == {"USDT", "BTC"}
    changes = list(of(events, AccountUpdate, event_type="event_update"))
    assert changes
    assert all(update.page is None and update.is_last_page is None for update in changes)
    assert list(of(events, Greeks))


def test_a_thin_margin_is_warned_of(events: list[Event]) -> None:
    warnings = list(of(events, LiquidationWarning))
    assert warnings
    for warning in warnings:
        assert (warning.margin_mode, warning.instrument) == ("isolated", SWAP)
        assert warning.margin_ratio < 3


def test_an_account_does_not_change_sessions_without_one() -> None:
    plain = list(simulated_frames(seed=4, frames=500, scenario="calm"))
    assert plain == list(simulated_frames(seed=4, frames=500, scenario="calm", private=False))
    assert not [f for f in plain if b'"login"' in f.payload]


def test_the_same_seed_gives_the_same_account() -> None:
    one, two = (
        list(simulated_frames(seed=9, frames=1_500, rate=0.3, private=True)) for _ in range(2)
    )
    assert one == two


def test_an_account_needs_a_spot_instrument_and_a_swap() -> None:
    with pytest.raises(UsageError, match="a spot instrument and a swap"):
        next(simulated_frames(seed=1, frames=10, instruments=[SPOT], private=True))


def test_nothing_the_simulator_says_is_new_to_the_types(frames: list[Frame]) -> None:
    census = Census()
    for frame in frames:
        census.take(frame)
    assert census.found == []
