"""Goal: the simulated venue answers as OKX does, in its time, and stops where nobody knows.

Method: recordings written by hand (`scenes`); times are ms after START.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from scenes import DELAY_MS, LINEAR, MS, SPOT, START, Done, Scene, Script

from recorder.book import Books
from recorder.errors import UsageError
from recorder.event import AccountUpdate, Fill, OrderUpdate, PositionUpdate
from recorder.live.delivery import Delivery
from recorder.okx.interpreter import Interpreter
from replay.backtest import Simulation, make_settings
from replay.context import PlayContext

D = Decimal
BTC, LIN = SPOT["instId"], LINEAR["instId"]


def run(scene: Scene, strategy: Any, **settings: Any) -> Done:
    settings.setdefault("latency", "1ms/2ms")
    return scene.play(strategy, **settings)


def calm(*rules: dict[str, str], **how: Any) -> Scene:
    scene = Scene(*rules, **how)
    for rule in rules:
        scene.book(
            10, rule["instId"], [(100.0, 5), (99.9, 10)], [(100.1, 3), (100.2, 4)], snapshot=True
        )
    return scene


def answered(events: list[tuple[str, Any]]) -> list[tuple[str, str | None, str | None]]:
    return [
        (event.state, event.code, event.cancel_source) for word, event in events if word != "fill"
    ]


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "price", "kind", "code"),
    [
        ("1", "100.05", None, "51000"),  # off the tick
        ("1", "-1", None, "51000"),
        ("0", "100", None, "51000"),
        ("0.009", "100", None, "51020"),  # below the smallest size
        ("0.0105", "100", None, "51121"),  # no whole number of lots
        ("2000", "100", None, "51203"),
        ("200", None, None, "51202"),
        ("999", "100", None, "51008"),  # 99,900 USDT are not there
        (0.1 + 0.2, "100", None, "51121"),  # 0.30000000000000004
    ],
)
def test_an_order_is_refused_with_the_code_of_okx(
    size: Any, price: str | None, kind: str | None, code: str
) -> None:
    scene = calm(SPOT)
    scene.tick(100)
    orders: list[Any] = []
    script = Script((20, lambda context: orders.append(context.buy(BTC, size, price, kind=kind))))
    done = run(scene, script, cash={"USDT": 50_000})
    assert answered(script.told) == [("rejected", code, None)]
    assert (orders[0].state, orders[0].code) == ("rejected", code)
    (stats,) = done.stats
    assert (stats.orders, stats.rejected, stats.fills) == (1, 1, 0)
    assert stats.balances == {"USDT": D(50_000)}


def test_what_is_not_recorded_or_not_simulated_is_refused_and_told() -> None:
    option = SPOT | {"instId": "BTC-USD-261225-50000-C", "instType": "OPTION"}
    scene = calm(SPOT, option)
    scene.tick(100)
    script = Script(
        (20, lambda context: context.buy("ETH-USDT", "1")),
        (30, lambda context: context.buy(option["instId"], "1", "1")),
    )
    done = run(scene, script)
    assert answered(script.told) == [("rejected", "51001", None)] * 2
    assert ["ETH-USDT" in done.warnings[0], "OPTION" in done.warnings[1]] == [True, True]
    assert [row["code"] for row in done.rows["orders"]] == ["51001", "51001"]


def test_a_suspended_instrument_takes_no_orders() -> None:
    scene = calm(SPOT | {"state": "suspend"})
    scene.tick(100)
    script = Script((20, lambda context: context.buy(BTC, "1")))
    run(scene, script)
    assert answered(script.told) == [("rejected", "51022", None)]


def test_a_post_only_order_that_would_take_is_canceled_without_having_lived() -> None:
    scene = calm(SPOT)
    scene.tick(100)
    script = Script(
        (20, lambda context: context.buy(BTC, "1", "100.1", kind="post_only")),
        (30, lambda context: context.buy(BTC, "1", "100.0", kind="post_only")),
    )
    run(scene, script)
    assert answered(script.told) == [("canceled", "0", "31"), ("live", "0", None)]


def test_margin_must_cover_what_is_opened_but_not_what_is_closed() -> None:
    scene = calm(LINEAR)
    scene.tick(200)
    script = Script(
        # 3 contracts at 100.1 are 3.003 USDT, a tenth of which is margin.
        (20, lambda context: context.buy(LIN, "3", "100.1", kind="ioc")),
        (40, lambda context: context.buy(LIN, "3")),
        (60, lambda context: context.sell(LIN, "3")),
    )
    run(scene, script, cash={"USDT": "0.4"}, leverage=10)
    assert [state for state, code, _ in answered(script.told)] == ["filled", "rejected", "filled"]


def test_open_orders_hold_what_they_would_need() -> None:
    scene = calm(SPOT)
    scene.tick(200)
    script = Script(
        (20, lambda context: context.buy(BTC, "1", "90")),
        (30, lambda context: context.buy(BTC, "1", "91")),
        (40, lambda context: context.cancel()),
        (60, lambda context: context.buy(BTC, "1", "91")),
    )
    run(scene, script, cash={"USDT": 180})
    assert answered(script.told) == [
        ("live", "0", None), ("rejected", "51008", None), ("canceled", "0", "1"),
        ("live", "0", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        lambda context: context.buy(BTC, "1", kind="limit"),
        lambda context: context.buy(BTC, "1", "1", kind="market"),
        lambda context: context.buy(BTC, "much"),
        lambda context: context.buy(BTC, "1", "1", kind="stop"),
        lambda context: context.buy(BTC, float("nan")),
        lambda context: context.amend(None),
        lambda context: context.to_tick("ETH-USDT", 1),
    ],
)
def test_what_no_venue_could_be_asked_is_a_mistake_of_the_program(call: Any) -> None:
    scene = calm(SPOT)
    scene.tick(100)
    with pytest.raises(UsageError, match="expected"):
        run(scene, Script((20, call)))


# --- cancel and amend ----------------------------------------------------------------------------


def test_canceled_and_amended_orders_and_what_comes_too_late() -> None:
    scene = calm(SPOT)
    scene.trade(99, BTC, "sell", 99.0, 50)
    scene.tick(200)
    orders: list[Any] = []
    script = Script(
        (20, lambda context: orders.append(context.buy(BTC, "4", "100.0"))),
        (30, lambda context: context.amend(orders[0], price="99.9")),
        (40, lambda context: context.amend(orders[0], size="3")),
        (50, lambda context: context.amend(orders[0], price="99.95")),  # off the tick
        (98.5, lambda context: context.cancel(orders[0])),  # arrives after the trade
    )
    run(scene, script)
    assert script.states == ["live", "live", "live", "live", "fill", "filled", "filled"]
    updates = [event for word, event in script.told if word != "fill"]
    assert [(u.price, u.size, u.amend_result, u.code) for u in updates[1:4]] == [
        (D("99.9"), D(4), "0", "0"), (D("99.9"), D(3), "0", "0"), (D("99.9"), D(3), "-1", "51000"),
    ]  # fmt: skip
    assert updates[-1].code == "51400"
    assert orders[0].filled == D(3)


def test_an_order_keeps_its_place_only_where_its_size_shrinks() -> None:
    filled = {}
    for change in ({"size": "1"}, {"size": "3"}, {"price": "100.0"}):
        scene = calm(SPOT)
        scene.book(50, BTC, [(100.0, 9)], [])  # 4 more behind the order
        scene.trade(80, BTC, "sell", 100.0, 6)
        scene.tick(200)
        orders: list[Any] = []
        script = Script(
            (20, lambda context, orders=orders: orders.append(context.buy(BTC, "2", "100.0"))),
            (60, lambda context, o=orders, change=change: context.amend(o[0], **change)),
        )
        run(scene, script)
        filled[next(iter(change.items()))] = sum(size for _, size, _ in script.fills())
    assert filled == {("size", "1"): 1, ("size", "3"): 0, ("price", "100.0"): 1}


def test_nobody_trades_with_himself() -> None:
    scene = calm(SPOT)
    scene.tick(100)
    script = Script(
        (20, lambda context: context.buy(BTC, "1", "100.0")),
        (40, lambda context: context.sell(BTC, "1", "100.0")),
    )
    run(scene, script, cash={"USDT": 1_000, "BTC": 5})
    assert answered(script.told) == [
        ("live", "0", None), ("live", "0", None), ("canceled", "0", "32"), ("filled", "0", None),
    ]  # fmt: skip
    assert script.fills() == [(D(100), D(1), "T")]


# --- time ----------------------------------------------------------------------------------------


def test_an_order_meets_the_book_that_the_venue_had_when_it_came() -> None:
    """The change at 50 is received at 55: who sends at 48 knows nothing of it, and may miss it."""
    prices = {}
    for there in (1, 3):  # arrives at 49, before the change, or at 51, after it
        scene = calm(SPOT)
        scene.book(50, BTC, [], [(100.1, 0), (100.2, 0), (100.3, 9)])
        scene.tick(200)
        script = Script((48, lambda context: context.buy(BTC, "1")))
        run(scene, script, latency=f"{there}ms/9ms")
        ((price, _, _),) = script.fills()
        assert script.times() == [48 + there + 9] * 2
        prices[there] = price
    assert prices == {1: D("100.1"), 3: D("100.3")}


def test_an_answer_is_not_known_before_the_book_that_decides_it() -> None:
    """With a way back of 1 ms the venue's book of the arrival has not been received yet."""
    scene = calm(SPOT)
    scene.book(50, BTC, [], [(100.1, 0), (100.2, 0), (100.3, 9)])
    scene.tick(200)
    script = Script((48, lambda context: context.buy(BTC, "1")))
    run(scene, script, latency="3ms/1ms")
    assert script.fills() == [(D("100.3"), D(1), "T")]
    assert script.times()[0] == 51 + DELAY_MS


def test_latency_of_the_capture_is_what_its_market_data_took() -> None:
    scene = calm(SPOT, delay_ms=8)
    scene.tick(200)
    script = Script((40, lambda context: context.buy(BTC, "1", "99")))
    done = run(scene, script, latency="capture")
    (row,) = done.rows["orders"]
    assert [(row[name] - START) / MS for name in ("sent", "arrived", "answered")] == [40, 48, 56]
    assert script.times() == [56]


def test_requests_and_answers_do_not_overtake_each_other() -> None:
    scene = calm(SPOT)
    scene.tick(4_000)
    steps = [(20 + n, lambda context: context.buy(BTC, "0.01", "90")) for n in range(300)]
    script = Script(*steps)
    done = run(scene, script, latency="uniform:1ms-50ms", seed=3)
    ids = [event.client_order_id for _, event in script.told]
    assert ids == [f"s1o{n + 1}" for n in range(300)]
    assert script.times() == sorted(script.times())
    assert len({row["arrived"] - row["sent"] for row in done.rows["orders"]}) > 50
    again = run(scene, Script(*steps), latency="uniform:1ms-50ms", seed=3)
    other = run(scene, Script(*steps), latency="uniform:1ms-50ms", seed=4)
    assert done.digest == again.digest != other.digest


def test_a_clock_of_the_venue_that_is_ahead_gives_no_early_fills() -> None:
    scene = calm(SPOT, delay_ms=-30)
    scene.book(50, BTC, [], [(100.1, 0), (100.2, 0), (100.3, 9)])  # received at 20
    scene.tick(200)
    script = Script((15, lambda context: context.buy(BTC, "1")))
    run(scene, script, latency="10ms/1ms")
    assert script.fills() == [(D("100.3"), D(1), "T")]
    assert script.times()[0] == 26


# --- gaps ----------------------------------------------------------------------------------------


def test_a_gap_reaches_the_strategy_and_stops_fills_until_the_book_is_whole() -> None:
    scene = calm(SPOT)
    scene.book(50, BTC, [(100.0, 4)], [], jump=100)  # updates are missing
    scene.trade(60, BTC, "sell", 99.9, 9)  # would fill
    scene.book(90, BTC, [(100.0, 2)], [(100.1, 3)], snapshot=True)
    scene.trade(100, BTC, "sell", 100.0, 1)  # 2 stand before the order again
    scene.trade(110, BTC, "sell", 100.0, 1.5)
    scene.tick(200)
    script = Script(
        (20, lambda context: context.buy(BTC, "1", "100.0")),
        (70, lambda context: context.buy(BTC, "1")),
    )
    run(scene, script)
    assert script.states == ["live", "gap", "rejected", "fill", "partially_filled"]
    assert script.told[2][1].code == "51149"
    assert script.fills() == [(D(100), D("0.5"), "M")]


def test_a_disconnect_stops_fills_and_orders_can_be_canceled_meanwhile() -> None:
    scene = calm(SPOT)
    scene.disconnect(50)
    scene.connect(80, 3)
    scene.trade(85, BTC, "sell", 99.0, 50)  # trades come back before the book does
    scene.book(90, BTC, [(100.0, 5)], [(100.1, 3)], snapshot=True)
    scene.trade(100, BTC, "sell", 99.0, 50)
    scene.tick(200)
    orders: list[Any] = []
    script = Script(
        (20, lambda context: orders.append(context.buy(BTC, "1", "100.0"))),
        (21, lambda context: orders.append(context.buy(BTC, "1", "99.9"))),
        (60, lambda context: context.cancel(orders[0])),
    )
    run(scene, script)
    assert script.states == ["live", "live", "gap", "canceled", "fill", "filled"]
    assert script.fills() == [(D("99.9"), D(1), "M")]
    assert script.times()[-1] > 100


# --- what a strategy is given --------------------------------------------------------------------


def test_orders_balances_and_positions_are_known_when_the_answer_is_here() -> None:
    scene = calm(SPOT, LINEAR)
    scene.tick(200)
    seen: list[Any] = []

    def look(context: Any) -> None:
        seen.append((
            [order.state for order in context.open_orders], dict(context.positions),
            context.balance("BTC"), context.position(LIN),
        ))  # fmt: skip

    class Looker(Script):
        def on_event(self, event: Any, context: Any) -> None:
            if isinstance(event, (Fill, OrderUpdate, PositionUpdate, AccountUpdate)):
                self.told.append((type(event).__name__, event))

        on_order = on_fill = None  # type: ignore[assignment]

    script = Looker(
        (20, lambda context: context.sell(LIN, "2")),
        (20.1, lambda context: context.buy(BTC, "1", "99", kind="limit")),
        (25.9, look), (26.05, look), (30, look),
    )  # fmt: skip
    run(scene, script, taker_fee="0")
    assert seen == [
        (["sent", "sent"], {}, 0, 0),
        (["sent"], {LIN: D(-2)}, 0, D(-2)),
        (["live"], {LIN: D(-2)}, 0, D(-2)),
    ]
    words = [word for word, _ in script.told]
    assert words == ["Fill", "OrderUpdate", "PositionUpdate", "AccountUpdate", "OrderUpdate"]
    identities = [(event.seq, event.index) for _, event in script.told]
    assert len(set(identities)) == 5
    assert identities == sorted(identities)
    position = script.told[2][1]
    assert (position.position, position.average_price) == (D(-2), D("100"))


def test_strategies_on_one_stream_have_accounts_of_their_own() -> None:
    scene = calm(SPOT)
    scene.tick(100)
    first = Script((20, lambda context: context.buy(BTC, "1")))
    second = Script((20, lambda context: context.buy(BTC, "2")), (50, lambda c: c.log("late")))
    done = run(scene, [first, second], taker_fee="0")
    assert [(stats.strategy, stats.balances["BTC"]) for stats in done.stats] == [
        ("Script", 1), ("Script-2", 2),
    ]  # fmt: skip
    assert len(first.told) == len(second.told) == 2
    assert [(row["strategy"], row["text"]) for row in done.rows["logs"]] == [("Script-2", "late")]


def test_prices_and_sizes_can_be_rounded_to_the_steps_of_the_instrument() -> None:
    scene = calm(SPOT)
    scene.tick(100)
    found: list[Any] = []

    def look(context: Any) -> None:
        found.extend([
            context.to_tick(BTC, 100.1 + 0.2), context.to_tick(BTC, "100.19", "down"),
            context.to_tick(BTC, "100.11", "up"), context.to_lot(BTC, 0.1239),
            context.instruments[BTC].tick_size,
        ])  # fmt: skip

    run(scene, Script((20, look)))
    assert found == [D("100.3"), D("100.1"), D("100.2"), D("0.123"), 0.1]


def test_quotes_make_a_book_where_no_depth_is_recorded() -> None:
    scene = Scene(SPOT)
    quote = {"asks": [["100.1", "3", "0", "1"]], "bids": [["100.0", "5", "0", "1"]], "seqId": 1}
    argument = {"channel": "bbo-tbt", "instId": BTC}
    for at in (10, 60):
        row = quote | {"ts": str(START // MS + at)}
        scene._row(at, {"arg": argument, "data": [row]})
    scene.trade(70, BTC, "sell", 100.0, 6)
    scene.tick(100)
    script = Script(
        (20, lambda context: context.buy(BTC, "4", kind="market")),
        (30, lambda context: context.buy(BTC, "4", "100.0")),
    )
    run(scene, script)
    assert script.fills() == [(D("100.1"), D(3), "T"), (D(100), D(1), "M")]


def test_a_strategy_that_trades_is_told_where_it_can() -> None:
    context = PlayContext([Books()])
    assert not hasattr(context, "buy")
    with pytest.raises(UsageError, match=r"context.buy.*replay backtest"):
        context.buy(BTC, 1)
    with pytest.raises(AttributeError, match="no attribute 'bye'"):
        context.bye()


def test_the_same_simulation_trades_on_a_recording_being_made() -> None:
    """`record(on_event=Simulation(...))`: paper trading, with the answers of a replay."""
    scene = calm(SPOT)
    scene.trade(50, BTC, "sell", 99.0, 50)
    scene.tick(200)
    steps = ((20, lambda context: context.buy(BTC, "1", "100.0")),)
    replayed, live = Script(*steps), Script(*steps)
    done = run(scene, replayed)
    simulation = Simulation(live, make_settings(latency="1ms/2ms"))
    delivery, interpreter = Delivery(simulation), Interpreter()
    for frame in scene.frames:
        delivery.offer([frame], interpreter)
        interpreter.step(frame)
    delivery.wait(60)
    assert (delivery.errors, delivery.take_words()) == (0, [])
    assert live.told == replayed.told
    assert live.states == ["live", "fill", "filled"]
    assert simulation.results.close() == done.digest
