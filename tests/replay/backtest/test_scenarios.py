"""Goal: a backtest's money is right to the last digit.

Method: recordings written by hand (`scenes`), outcomes computed by hand; the arithmetic stands in
the comments, the numbers in the assertions.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import pytest
from scenes import INVERSE, LINEAR, MS, SPOT, START, Done, Scene, Script

D = Decimal
BTC, LIN, INV = SPOT["instId"], LINEAR["instId"], INVERSE["instId"]


def run(scene: Scene, strategy: Any, **settings: Any) -> Done:
    settings.setdefault("latency", "1ms/2ms")
    settings.setdefault("maker_fee", "0.0002")
    settings.setdefault("taker_fee", "0.0005")
    return scene.play(strategy, **settings)


def calm(*rules: dict[str, str]) -> Scene:
    """Return a scene in which each instrument has a book of 100.0 to 100.1 and more behind."""
    scene = Scene(*rules)
    for rule in rules:
        scene.book(
            10, rule["instId"], [(100.0, 5), (99.9, 10), (99.5, 20)],
            [(100.1, 3), (100.2, 4), (100.5, 50)], snapshot=True,
        )  # fmt: skip
    return scene


def test_a_taker_round_trip_pays_the_spread_and_both_fees() -> None:
    scene = calm(SPOT)
    scene.book(60, BTC, [(100.4, 6)], [(100.1, 0), (100.2, 0)])
    scene.tick(200)
    script = Script(
        (20, lambda context: context.buy(BTC, "2")),
        (100, lambda context: context.sell(BTC, "1.998")),
    )
    done = run(scene, script, cash={"USDT": 1_000, "BTC": 1})
    assert script.fills() == [(D("100.1"), D(2), "T"), (D("100.4"), D("1.998"), "T")]
    # Buys 2 at 100.1: pays 200.2, receives 2 less 0.0005 of it in BTC.
    # Sells 1.998 at 100.4: receives 200.5992 less 0.0005 of it, 0.1002996, in USDT.
    (stats,) = done.stats
    assert stats.balances == {"BTC": D("1.001"), "USDT": D("1000.2989004")}
    # Equity at the end: 1.001 BTC at the middle of 100.4 and 100.5, and the dollars;
    # before the first order 1 BTC at 100.05.
    assert stats.final_equity == D("1000.2989004") + D("1.001") * D("100.45")
    assert stats.initial_equity == D("1100.05")
    # Fees in dollars: 0.001 BTC at 100.05 when it was paid, and 0.1002996.
    assert stats.fees == -(D("0.001") * D("100.05") + D("0.1002996"))
    assert stats.turnover == D("200.2") + D("200.5992")
    assert (stats.fills, stats.maker_share, stats.fill_ratio) == (2, 0.0, 1.0)
    # Slippage: (100.1/100.05 - 1) and (1 - 100.4/100.45) in bp, by value.
    first, second = (100.1 / 100.05 - 1) * 1e4, (1 - 100.4 / 100.45) * 1e4
    paid = (first * 200.2 + second * 200.5992) / 400.7992
    assert stats.slippage_bps == pytest.approx(paid)


def test_a_taker_walks_the_levels_and_leaves_what_they_do_not_hold() -> None:
    scene = calm(SPOT)
    scene.tick(200)
    script = Script(
        (20, lambda context: context.buy(BTC, "8.5", kind="market")),
        (40, lambda context: context.buy(BTC, "9", "100.2", kind="ioc")),
        (60, lambda context: context.buy(BTC, "7.001", "100.2", kind="fok")),
        (80, lambda context: context.buy(BTC, "7", "100.2", kind="fok")),
    )
    run(scene, script)
    assert script.fills() == [
        (D("100.1"), D(3), "T"), (D("100.2"), D(4), "T"), (D("100.5"), D("1.5"), "T"),
        (D("100.1"), D(3), "T"), (D("100.2"), D(4), "T"),
        (D("100.1"), D(3), "T"), (D("100.2"), D(4), "T"),
    ]  # fmt: skip
    orders = [event for word, event in script.told if word != "fill"]
    assert [(event.state, event.cancel_source) for event in orders] == [
        ("partially_filled", None), ("partially_filled", None), ("filled", None),
        ("partially_filled", None), ("partially_filled", None), ("canceled", "14"),
        ("canceled", "13"),
        ("partially_filled", None), ("filled", None),
    ]  # fmt: skip
    # (3 x 100.1 + 4 x 100.2 + 1.5 x 100.5) / 8.5
    spent = D("300.3") + D("400.8") + D("150.75")
    assert orders[2].average_price == Context(prec=34).divide(spent, D("8.5"))
    assert orders[2].fee_currency == "BTC"
    assert orders[2].fee == -D("8.5") * D("0.0005")


@pytest.mark.parametrize(
    ("queue", "filled"),
    [
        # 5 lots stand before the order of 4. Trades of 1.5: 3.5 left. The level goes from 5 to
        # 2.5: 1.5 of it traded, 1 canceled. Then 3 trade, then 2.
        ("back", ["0.5", "2"]),  # canceled behind, but only 2.5 are left: 0.5 of 3, then 2
        ("expected", ["0.5", "2"]),  # 1 of 3.5 canceled, all ahead: 2.5
        ("front", ["1.5", "2.5"]),  # nobody ahead: the first trade fills
    ],
)
def test_a_maker_waits_for_those_before_him(queue: str, filled: list[str]) -> None:
    scene = calm(SPOT)
    scene.trade(50, BTC, "sell", 100.0, 1.5)
    scene.book(60, BTC, [(100.0, 2.5)], [])
    scene.trade(70, BTC, "sell", 100.0, 3)
    scene.trade(80, BTC, "sell", 100.0, 2)
    scene.tick(200)
    script = Script((20, lambda context: context.buy(BTC, "4", "100.0", kind="post_only")))
    run(scene, script, queue=queue)
    assert script.fills() == [(D(100), D(size), "M") for size in filled]
    assert script.states[0] == "live"


def test_those_who_join_later_are_behind_and_expectation_shares_what_is_canceled() -> None:
    scene = calm(SPOT)
    scene.book(50, BTC, [(100.0, 15)], [])  # 5 before the order, 10 behind
    scene.book(60, BTC, [(100.0, 12)], [])  # 3 canceled: in expectation 1 of those before
    scene.trade(70, BTC, "sell", 100.0, 5)
    scene.tick(200)
    filled = {}
    for queue in ("back", "expected", "front"):
        script = Script((20, lambda context: context.buy(BTC, "4", "100.0")))
        run(scene, script, queue=queue)
        filled[queue] = [size for _, size, _ in script.fills()]
    assert filled == {"back": [], "expected": [D(1)], "front": [D(4)]}


def test_a_trade_through_the_price_fills_no_more_than_it_was() -> None:
    scene = calm(SPOT)
    scene.trade(50, BTC, "sell", 99.9, 1.5)
    scene.trade(60, BTC, "buy", 99.9, 9)  # the other side: not for this order
    scene.trade(70, BTC, "sell", 99.9, 9)
    scene.tick(200)
    script = Script((20, lambda context: context.buy(BTC, "4", "100.0")))
    done = run(scene, script)
    assert script.fills() == [(D(100), D("1.5"), "M"), (D(100), D("2.5"), "M")]
    assert done.stats[0].maker_share == 1.0


def test_a_trade_told_after_its_book_does_not_count_twice() -> None:
    scene = calm(SPOT)
    scene.book(50, BTC, [(100.0, 3)], [])  # 2 of 5 traded; the trade is told later
    scene.trade(50, BTC, "sell", 100.0, 2, seq=6)  # its number is before the book's
    scene.trade(70, BTC, "sell", 100.0, 3.5)
    scene.tick(200)
    script = Script((20, lambda context: context.buy(BTC, "4", "100.0")))
    run(scene, script)
    assert script.fills() == [(D(100), D("0.5"), "M")]


def test_a_quote_across_a_resting_order_fills_as_much_as_was_quoted() -> None:
    scene = calm(SPOT)
    scene.book(50, BTC, [(100.0, 0), (99.9, 0)], [(99.8, 1.5)])
    scene.book(60, BTC, [], [(99.8, 1.5)])  # the same quote: nothing new to meet
    scene.tick(200)
    script = Script((20, lambda context: context.buy(BTC, "4", "100.0")))
    run(scene, script)
    assert script.fills() == [(D(100), D("1.5"), "M")]


def test_funding_is_paid_at_the_boundary_by_the_mark_price() -> None:
    scene = calm(LINEAR)
    scene.mark(15, LIN, 100.05)
    scene.funding(16, LIN, "0.0001", settles_at=100)
    scene.funding(60, LIN, "0.0003", settles_at=100)  # the last word before it
    scene.mark(90, LIN, 102.0)
    scene.tick(200)
    script = Script((20, lambda context: context.buy(LIN, "3")))
    done = run(scene, script)
    # Long 3 contracts of 0.01 BTC at a mark of 102: 3.06 dollars, of which 0.0003 are paid.
    (row,) = done.rows["funding"]
    assert (row["amount"], row["ts"]) == (D("-0.000918"), START + 100 * MS)
    (stats,) = done.stats
    assert stats.funding == D("-0.000918")
    # Bought 3 x 0.01 at 100.1 = 3.003, fee 0.0005 of it; marked at 102.
    assert stats.fees == -D("3.003") * D("0.0005")
    assert stats.pnl == (D("102") - D("100.1")) * D("0.03") + stats.fees + stats.funding
    assert stats.positions == {LIN: D(3)}
    assert done.warnings == []


def test_a_short_receives_what_longs_pay_and_a_missing_rate_is_told() -> None:
    scene = calm(LINEAR)
    scene.tick(200)
    done = run(scene, Script((20, lambda context: context.sell(LIN, "3"))))
    assert "no funding rate" in done.warnings[0]
    scene = calm(LINEAR)
    scene.funding(16, LIN, "0.0002", settles_at=100)
    scene.tick(200)
    done = run(scene, Script((20, lambda context: context.sell(LIN, "3"))))
    # No mark price is recorded: the middle of the book, 100.05.
    assert done.stats[0].funding == D("100.05") * D("0.03") * D("0.0002")


def test_a_settlement_behind_the_end_is_not_missed() -> None:
    scene = calm(LINEAR)
    scene.funding(16, LIN, "0.0002", settles_at=10_000)
    scene.tick(200)
    done = run(scene, Script((20, lambda context: context.sell(LIN, "3"))))
    assert (done.stats[0].funding, done.warnings) == (0, [])


def test_an_inverse_contract_gains_coins() -> None:
    scene = Scene(INVERSE)
    scene.book(10, INV, [(100.0, 500)], [(125.0, 500)], snapshot=True)
    scene.book(50, INV, [(200.0, 500)], [(125.0, 0), (250.0, 500)])
    scene.tick(300)
    script = Script(
        (20, lambda context: context.buy(INV, "10")),
        (70, lambda context: context.sell(INV, "4")),
        (90, lambda context: context.sell(INV, "10")),
    )
    done = run(scene, script, cash={"BTC": 1}, currency="BTC", taker_fee="0.001")
    # 10 contracts of 100 dollars at 125: 8 BTC of value, fee 0.008.
    # 4 sold at 200: worth 2, cost 3.2: gain 1.2, fee 0.002.
    # 10 sold at 200: 6 close (worth 3, cost 4.8: gain 1.8), 4 open short (worth 2); fee 0.005.
    (stats,) = done.stats
    assert stats.balances == {"BTC": 1 + D("1.2") + D("1.8") - D("0.008") - D("0.002") - D("0.005")}
    assert stats.positions == {INV: D(-4)}
    last = done.rows["positions"][-1]
    assert (last["average_price"], last["realized_pnl"]) == (D(200), D(3))
    # The short of 400 dollars from 200 is marked at 225: 400/200 - 400/225, to 1e-18.
    owed = D(2) - D("1.777777777777777777")
    assert stats.final_equity == stats.balances["BTC"] - owed


def test_a_linear_position_is_turned_at_its_average_price() -> None:
    scene = calm(LINEAR)
    scene.book(50, LIN, [(100.9, 100)], [(100.1, 0), (100.2, 0), (100.5, 0), (101.1, 9)])
    scene.tick(200)
    script = Script(
        (20, lambda context: context.buy(LIN, "4")),
        (70, lambda context: context.sell(LIN, "10")),
    )
    done = run(scene, script)
    # Long 3 at 100.1 and 1 at 100.2, all closed at 100.9: 4 x 100.9 - 400.5 = 3.1, x 0.01.
    pnl = [row["pnl"] for row in done.rows["fills"]]
    assert pnl == [0, 0, D("0.031")]
    last = done.rows["positions"][-1]
    assert (last["position"], last["average_price"]) == (D(-6), D("100.9"))


def test_once_the_price_has_gone_through_nobody_stands_before_the_order() -> None:
    scene = calm(SPOT)
    scene.trade(50, BTC, "sell", 99.9, 1.5)
    scene.trade(60, BTC, "sell", 100.0, 2)
    scene.tick(200)
    script = Script((20, lambda context: context.buy(BTC, "4", "100.0")))
    run(scene, script)
    assert script.fills() == [(D(100), D("1.5"), "M"), (D(100), D(2), "M")]


def test_orders_of_one_strategy_share_a_trade_in_their_order() -> None:
    scene = calm(SPOT)
    scene.trade(50, BTC, "sell", 100.0, 1.5)
    scene.trade(60, BTC, "sell", 99.9, 0.7)
    scene.tick(200)
    script = Script(
        (20, lambda context: context.buy(BTC, "1", "100.0")),
        (21, lambda context: context.buy(BTC, "1", "100.0")),
        (22, lambda context: context.buy(BTC, "1", "99.9")),
    )
    run(scene, script, queue="front")
    assert script.fills() == [
        (D(100), D(1), "M"), (D(100), D("0.5"), "M"), (D(100), D("0.5"), "M"),
        (D("99.9"), D("0.2"), "M"),
    ]  # fmt: skip


def test_a_trade_before_the_order_came_is_not_for_it_however_late_it_is_told() -> None:
    scene = calm(SPOT)
    scene.delay_ms = 40
    scene.trade(20, BTC, "sell", 99.0, 50)  # received at 60; the order arrived at 21
    scene.tick(200)
    script = Script((20, lambda context: context.buy(BTC, "1", "100.0")))
    run(scene, script)
    assert script.states == ["live"]
