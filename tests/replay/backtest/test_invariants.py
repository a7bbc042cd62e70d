"""Goal: what holds whatever market and strategy do.

Method: random recordings with gaps and reconnects, and strategies that do random things, by seed.
What they came to is recomputed here from the recording and from the rows alone: exact sums with
Fractions, quotes and trades from the generator, not from anything that interprets frames.
"""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import INVERSE, LINEAR, MS, SPOT, START, Done, Scene

from recorder.event import Fill, OrderUpdate

RULES = (SPOT, LINEAR, INVERSE)
ENTRY, RESPONSE = 3, 4  # ms
CASH = {"USDT": 100_000, "BTC": 50}
KINDS = ("limit", "limit", "limit", "post_only", "ioc", "fok")
Sides = dict[str, dict[float, float]]


class Truth(NamedTuple):
    """What a recording was made of: books and trades by instrument, with the venue's ms."""

    scene: Scene
    books: dict[str, list[tuple[float, Sides]]]
    trades: dict[str, list[tuple[float, str, float, float]]]


def market(seed: int, *, steps: int = 120, cut: int | None = None, other: int = 0) -> Truth:
    """Make a recording; from step `cut` on by another seed."""
    draw = random.Random(seed)
    truth = Truth(Scene(*RULES), {}, {})
    scene = truth.scene
    books: dict[str, Sides] = {}
    at = 10.0

    def fresh(name: str) -> None:
        middle = 100 + draw.randrange(-20, 20) / 10
        books[name] = {
            "bids": {round(middle - k / 10, 1): float(draw.randrange(1, 9)) for k in range(1, 8)},
            "asks": {round(middle + k / 10, 1): float(draw.randrange(1, 9)) for k in range(1, 8)},
        }
        push(name, books[name], snapshot=True)

    def push(name: str, change: Sides, *, snapshot: bool = False, jump: int = 0) -> None:
        bids, asks = list(change["bids"].items()), list(change["asks"].items())
        scene.book(at, name, bids, asks, snapshot=snapshot, jump=jump)
        copy = {
            side: {p: s for p, s in levels.items() if s} for side, levels in books[name].items()
        }
        truth.books.setdefault(name, []).append((at, copy))

    for rule in RULES:
        fresh(rule["instId"])
        scene.funding(at, rule["instId"], "0.0002", settles_at=500)
    for step in range(steps):
        if step == cut:
            draw = random.Random(other)
        at = round(at + draw.choice((0, 1, 2, 7, 30)), 0)
        name = draw.choice(RULES)["instId"]
        book = books[name]
        chance = draw.random()
        if chance < 0.35:
            change: Sides = {"bids": {}, "asks": {}}
            side = draw.choice(("bids", "asks"))
            for _ in range(draw.randrange(1, 4)):
                price = draw.choice(list(book[side])) + draw.choice((-0.1, 0, 0, 0.1))
                change[side][round(price, 1)] = float(draw.choice((0, 0, 1, 3, 8)))
            book[side].update(change[side])
            opposite = "asks" if side == "bids" else "bids"
            for price in change[side]:  # who quotes across the others has traded with them
                for met in [p for p, s in book[opposite].items() if s]:
                    if met <= price if side == "bids" else met >= price:
                        book[opposite][met] = change[opposite][met] = 0.0
            if not all(any(levels.values()) for levels in book.values()):
                fresh(name)
            else:
                push(name, change)
        elif chance < 0.93:
            aggressor = draw.choice(("buy", "sell"))
            prices = [p for p, s in book["asks" if aggressor == "buy" else "bids"].items() if s]
            best = min(prices) if aggressor == "buy" else max(prices)
            price, size = round(best + draw.choice((-0.1, 0, 0, 0.1)), 1), draw.randrange(1, 6)
            scene.trade(at, name, aggressor, price, size)
            truth.trades.setdefault(name, []).append((at, aggressor, price, float(size)))
        elif chance < 0.96:
            push(name, {"bids": {}, "asks": {}}, jump=50)
            at += 20
            fresh(name)
        elif chance < 0.98:
            scene.disconnect(at)
            at += 30
            scene.connect(at, scene._connection + 1)
            for rule in RULES:
                fresh(rule["instId"])
    scene.tick(at + 400)
    return truth


class Gambler:
    """Does random things, by seed; notes what it was told."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.told: list[tuple[int, str]] = []

    def on_start(self, context: Any) -> None:
        context.every(9 * MS)

    def on_timer(self, timer: Any, context: Any) -> None:
        draw = self.draw
        name = draw.choice(RULES)["instId"]
        orders = context.open_orders
        chance = draw.random()
        if chance < 0.08 and orders:
            context.cancel(draw.choice(orders))
        elif chance < 0.14 and orders:
            context.amend(draw.choice(orders), price=self._price(context, name))
        elif chance < 0.18 and orders:
            context.amend(draw.choice(orders), size=draw.randrange(1, 9))
        else:
            trade = draw.choice((context.buy, context.sell))
            if chance > 0.9:
                trade(name, draw.randrange(1, 9))
            else:
                trade(name, draw.randrange(1, 9), self._price(context, name),
                      kind=draw.choice(KINDS))  # fmt: skip

    def _price(self, context: Any, name: str) -> Decimal:
        book = context.books.get(name)
        middle = book.mid() if book is not None and book.is_whole else None
        price = (middle or 100) + self.draw.randrange(-4, 5) / 10
        found: Decimal = context.to_tick(name, price)
        return found

    def on_event(self, event: Any, context: Any) -> None:
        what = repr(event) if isinstance(event, (Fill, OrderUpdate)) else type(event).__name__
        self.told.append((event.ts_recv, what))


def run(truth: Truth, seed: int, queue: str = "expected") -> tuple[Done, Gambler]:
    strategy = Gambler(seed)
    done = truth.scene.play(
        strategy, latency=f"{ENTRY}ms/{RESPONSE}ms", queue=queue, cash=CASH, maker_fee="0.0002",
        taker_fee="0.0005", seed=seed,
    )  # fmt: skip
    return done, strategy


SEEDS = st.integers(0, 10_000)


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from(("back", "expected", "front")))
def test_cash_and_positions_move_by_fills_fees_and_funding_alone(seed: int, queue: str) -> None:
    done, _ = run(market(seed), seed, queue)
    cash = {name: Fraction(amount) for name, amount in CASH.items()}
    lots: dict[str, Fraction] = {}
    for row in done.rows["fills"]:
        sign = 1 if row["side"] == "buy" else -1
        size, value = Fraction(row["size"]), Fraction(row["value"])
        rate = Fraction(5 if row["execution"] == "T" else 2, 10_000)
        name = row["instrument"]
        price = Fraction(row["price"])
        if name == SPOT["instId"]:
            assert value == size * price
            cash["BTC"] += sign * size
            cash["USDT"] -= sign * value
            assert Fraction(row["fee"]) == -rate * (size if sign > 0 else value)
        else:
            expected = size * price / 100 if name == LINEAR["instId"] else size * 100 / price
            assert abs(value - expected) < Fraction(1, 10**17)
            lots[name] = lots.get(name, Fraction(0)) + sign * size
            assert abs(Fraction(row["fee"]) + rate * value) < Fraction(1, 10**17)
            cash[row["settle_currency"]] += Fraction(row["pnl"])
        cash[row["fee_currency"]] += Fraction(row["fee"])
    for row in done.rows["funding"]:
        cash[row["currency"]] += Fraction(row["amount"])
    (stats,) = done.stats
    assert {name: Fraction(amount) for name, amount in stats.balances.items()} == cash
    assert {name: Fraction(held) for name, held in stats.positions.items()} == {
        name: held for name, held in lots.items() if held
    }
    # Profit of what was closed: of all that was bought and sold, valued as it was.
    for name, sign in ((LINEAR["instId"], 1), (INVERSE["instId"], -1)):
        rows = [row for row in done.rows["fills"] if row["instrument"] == name]
        if lots.get(name) == 0:
            flow = sum(
                Fraction(row["value"]) * (1 if row["side"] == "sell" else -1) for row in rows
            )
            realized = sum(Fraction(row["pnl"]) for row in rows)
            assert abs(realized - sign * flow) < Fraction(len(rows), 10**16)


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from(("back", "expected", "front")))
def test_no_fill_lies_outside_what_was_quoted_or_traded(seed: int, queue: str) -> None:
    truth = market(seed)
    done, _ = run(truth, seed, queue)
    sent = {row["client_order_id"]: row for row in done.rows["orders"]}
    given_out: dict[tuple[str, float, str], float] = {}
    for row in done.rows["fills"]:
        at, name, is_buy = (row["ts_event"] - START) / MS, row["instrument"], row["side"] == "buy"
        price, size = float(row["price"]), float(row["size"])
        books = truth.books[name]
        if row["execution"] == "T":
            # A millisecond holds several updates: any of them, and the last one before it.
            before = [index for index, (when, _) in enumerate(books) if when < at]
            near = books[before[-1] if before else 0 :]
            quoted = [book["asks" if is_buy else "bids"] for when, book in near if when <= at]
            assert any(levels.get(price, 0) >= size for levels in quoted)
        else:
            hits = [
                left for when, aggressor, traded, left in truth.trades.get(name, [])
                if when == at and (aggressor == "sell") is is_buy
                and (traded <= price if is_buy else traded >= price)
            ]  # fmt: skip
            across = [
                sum(s for p, s in book["asks" if is_buy else "bids"].items()
                    if (p <= price if is_buy else p >= price))
                for when, book in books if when == at
            ]  # fmt: skip
            key = (name, at, row["side"])
            given_out[key] = given_out.get(key, 0.0) + size
            assert given_out[key] <= sum(hits) + max(across, default=0.0) + 1e-9
        limit = sent[row["client_order_id"]]
        assert limit["filled"] <= limit["size"]


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_nothing_happens_before_its_latency_has_passed(seed: int) -> None:
    done, strategy = run(market(seed), seed)
    sent = {row["client_order_id"]: row["sent"] for row in done.rows["orders"]}
    for row in done.rows["orders"]:
        if row["arrived"] is not None:
            assert row["arrived"] >= row["sent"] + ENTRY * MS
        if row["answered"] is not None:
            assert row["answered"] >= row["sent"] + (ENTRY + RESPONSE) * MS
    for row in done.rows["fills"]:
        assert row["ts_event"] >= sent[row["client_order_id"]] + ENTRY * MS
        assert row["ts_recv"] >= row["ts_event"] + RESPONSE * MS
    times = [time for time, _ in strategy.told]
    assert times == sorted(times)


@settings(max_examples=8, deadline=None)
@given(SEEDS, SEEDS, st.integers(10, 110))
def test_what_comes_later_changes_nothing_before_it(seed: int, other: int, cut: int) -> None:
    """The same recording up to a step, then another: the same is told, until then."""
    truth, changed = market(seed), market(seed, cut=cut, other=other)
    frames = zip(truth.scene.frames, changed.scene.frames, strict=False)
    same = next(
        (index for index, (one, two) in enumerate(frames) if one != two), len(truth.scene.frames)
    )
    until = max(frame.ts_recv for frame in truth.scene.frames[:same])
    told = [
        [note for note in run(variant, seed)[1].told if note[0] < until]
        for variant in (truth, changed)
    ]
    assert told[0] == told[1]
    assert told[0]


def test_the_invariants_are_about_something() -> None:
    """Random runs fill as maker and taker, in every instrument, and meet gaps and refusals."""
    seen: set[Any] = set()
    for seed in range(5):
        done, strategy = run(market(seed), seed)
        seen |= {(row["instrument"], row["execution"]) for row in done.rows["fills"]}
        seen |= {row["code"] for row in done.rows["orders"]}
        seen |= {what for _, what in strategy.told if what in ("SequenceGap", "Disconnected")}
        seen |= {"funding"} if done.rows["funding"] else set()
    assert seen >= {(rule["instId"], role) for rule in RULES for role in "TM"}
    assert seen >= {"51149", "SequenceGap", "Disconnected", "funding"}


@pytest.mark.parametrize("queue", ["back", "expected", "front"])
def test_equal_runs_are_equal_to_the_last_byte(queue: str) -> None:
    assert run(market(5), 5, queue)[0].digest == run(market(5), 5, queue)[0].digest
    assert run(market(5), 5, queue)[0].digest != run(market(6), 5, queue)[0].digest
