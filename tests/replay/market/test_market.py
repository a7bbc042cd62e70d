"""The market behind the simulator: decimal text, the venue's book, the order flow, the tape."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.market.book import SHOWN, Side
from replay.market.chance import (
    BOOK_SPACING_MS,
    EXPONENTIAL,
    LOGNORMAL,
    PriceTexts,
    format_decimal,
    format_fixed,
)
from replay.market.flow import Flow
from replay.market.instruments import instrument_of, rest_body
from replay.market.tape import Tape


@given(st.integers(-(10**20), 10**20), st.integers(0, 16))
def test_decimal_text_is_exact_and_short(value: int, decimals: int):
    exact = Decimal(value).scaleb(-decimals)
    text = format_decimal(value, decimals)

    assert Decimal(text) == exact
    assert "E" not in text
    assert not (("." in text) and text.endswith(("0", ".")))
    assert Decimal(format_fixed(value, decimals)) == exact
    assert len(format_fixed(value, decimals).partition(".")[2]) == decimals


def test_remembered_prices_stay_bounded():
    texts = PriceTexts(1)
    for ticks in range(PriceTexts.LIMIT + 10):
        assert texts[ticks] == format_decimal(ticks, 1)
    assert len(texts) <= PriceTexts.LIMIT


def test_the_tables_are_what_they_say():
    assert list(EXPONENTIAL) == sorted(EXPONENTIAL)
    assert len(EXPONENTIAL) == 256
    assert 1_015 < sum(EXPONENTIAL) / 256 < 1_025
    assert list(LOGNORMAL) == sorted(LOGNORMAL)
    assert (len(LOGNORMAL), LOGNORMAL[32]) == (65, 1_000)
    assert (len(BOOK_SPACING_MS), min(BOOK_SPACING_MS), max(BOOK_SPACING_MS)) == (64, 10, 335)


def apply(held: dict[str, list[str]], rows: str) -> None:
    for row in json.loads(f"[{rows}]"):
        if row[1] == "0":
            held.pop(row[0], None)
        else:
            held[row[0]] = row


_STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove", "look"]), st.integers(0, 900)), max_size=120
)


@settings(max_examples=40)
@given(st.integers(380, 430), _STEPS, st.sampled_from([1, -1]))
def test_a_client_that_applies_changes_holds_the_best_levels(start: int, steps: list, sign: int):
    side = Side(sign, PriceTexts(0), 0)
    offset = 0 if sign > 0 else -1_000
    for level in range(start):
        side.put(2 * level + offset, 1 + level, 1)
    held: dict[str, list[str]] = {}
    apply(held, side.best(SHOWN))
    side.forget_changes()
    for step, at in [*steps, ("look", 0)]:
        key = at + offset
        if step == "put":
            side.put(key, 7, 2)
        elif step == "remove" and key in side.sizes and len(side.keys) > 1:
            side.remove(key)
        elif step == "look":
            apply(held, side.changes())
            expected = {row[0]: row for row in json.loads(f"[{side.best(SHOWN)}]")}
            assert held == expected
    assert side.changes() == ""


def test_trimming_far_levels_tells_nobody():
    side = Side(1, PriceTexts(0), 0)
    for level in range(500):
        side.put(level, 1, 1)
    side.forget_changes()
    side.trim(SHOWN)

    assert len(side.keys) == SHOWN
    assert side.changes() == ""


def test_the_flow_keeps_a_sound_book_and_trades_take_from_it():
    flow = Flow(instrument_of("BTC-USDT"), 874_120, Random(3))
    book, fair, random = flow.book, 874_120, Random(4)
    traded = 0
    for step in range(4_000):
        fair += random.getrandbits(5) - 15
        before = book.seq
        best_bid, best_ask = book.best_bid, book.best_ask
        fills = flow.burst(fair)
        if step % 4 == 0:
            flow.settle()
        assert book.best_bid < book.best_ask
        assert len(book.bids.keys) >= SHOWN // 2 <= len(book.asks.keys)
        assert before < book.seq
        traded += len(fills)
        for fill in fills:
            assert fill.size >= fill.count >= 1
            assert fill.price >= best_ask if fill.is_buy else fill.price <= best_bid
            assert before < fill.seq <= book.seq
    assert traded > 500
    # The price has been followed.
    assert abs((book.best_bid + book.best_ask) // 2 - fair) < 60


def test_the_tape_rolls_bars_and_days():
    minute = 60_000_000_000
    day_end = 1_793_664_000 * 1_000_000_000  # 2026-11-03T00:00:00Z
    tape = Tape(100, 5, day_end - minute)
    tape.trade(103, 2)
    tape.trade(99, 1)

    done = tape.roll()

    assert (done.open, done.high, done.low, done.close) == (103, 103, 99, 99)
    assert (done.volume, done.turnover, done.trades) == (3, 305, 2)
    assert (tape.open_utc0, tape.open_utc8) == (99, 100)
    assert (tape.high, tape.low) == (103, 99)
    quiet = tape.roll()
    assert (quiet.open, quiet.close, quiet.volume) == (99, 99, 0)
    for _ in range(1_440):
        tape.roll()
    assert (tape.volume, tape.turnover, tape.high, tape.low) == (0, 0, 99, 99)


def test_the_instrument_list_has_the_form_of_the_venue():
    body = json.loads(rest_body([instrument_of("BTC-USDT-SWAP"), instrument_of("SOL-USDT")]))

    assert list(body) == ["code", "data", "msg"]
    swap, spot = body["data"]
    assert (swap["tickSz"], swap["lotSz"], swap["ctVal"], swap["ctValCcy"]) == (
        "0.1",
        "0.01",
        "0.01",
        "BTC",
    )
    assert (spot["instType"], spot["baseCcy"], spot["quoteCcy"]) == ("SPOT", "SOL", "USDT")
    assert list(swap) == list(spot)
