"""Two faulty links of one true stream give that stream, or say exactly what is missing."""

from __future__ import annotations

import itertools
from typing import Any

from faulty_links import (
    MS,
    TRADES,
    Faults,
    alone,
    delivered_by,
    numbered_book,
    push,
    recorded,
    timed_book,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recorder.event import BookUpdate, Event, SequenceGap, Trade
from recorder.frame import Frame, Kind
from recorder.okx.election import HOLE_NS
from recorder.okx.interpreter import Interpreter

LENGTH = 40


def events_of(frames: list[Frame]) -> list[Event]:
    interpreter = Interpreter()
    events = []
    for frame in frames:
        made = interpreter.step(frame)
        assert [event.index for event in made] == list(range(len(made)))
        assert all(event.seq == frame.seq and event.ts_recv == frame.ts_recv for event in made)
        events += made
    return events


def updates(events: list[Event]) -> list[Any]:
    return [
        (e.is_snapshot, e.ts_event, e.seq_id, e.prev_seq_id, e.bids)
        for e in events
        if isinstance(e, BookUpdate)
    ]


def positions(low: int = 1) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(low, LENGTH - 2), max_size=8)


stalls = st.lists(
    st.tuples(st.integers(5, LENGTH - 5), st.integers(1, 8), st.integers(0, 1500 * MS)), max_size=2
).map(tuple)
lags = st.integers(0, 300 * MS)


PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # shrinking streams takes minutes
checked = settings(max_examples=60, deadline=None, phases=PHASES)


def changes(events: list[Event]) -> list[Any]:
    """Return the updates but for keep-alives: a late one of those says nothing any more."""
    return [update for update in updates(events) if update[4] or update[0]]


swaps = st.frozensets(st.sampled_from(range(1, LENGTH - 2, 3)), max_size=8)


@given(positions(), positions(), stalls, stalls, lags, lags, swaps, swaps)
@checked
def test_a_numbered_book_is_whole_wherever_one_link_had_it(
    lost_a: Any, lost_b: Any, stalls_a: Any, stalls_b: Any, lag_a: int, lag_b: int,
    swapped_a: Any, swapped_b: Any,
) -> None:  # fmt: skip
    truth = numbered_book(LENGTH)
    a = Faults(lost_a, swapped_a, stalls_a, lag_a)
    b = Faults(lost_b - lost_a, swapped_b, stalls_b, lag_b)
    merged = events_of(recorded([delivered_by(truth, a), delivered_by(truth, b)]))
    expected = events_of(alone(truth))
    assert changes(merged) == changes(expected)
    assert not [event for event in merged if isinstance(event, SequenceGap)]
    if not swapped_a | swapped_b:
        assert updates(merged) == updates(expected)  # keep-alives too, each once


@given(positions(), positions(), lags, lags)
@checked
def test_what_both_links_lost_is_declared_and_nothing_else_is_missing(
    lost_a: Any, lost_b: Any, lag_a: int, lag_b: int
) -> None:
    truth = numbered_book(LENGTH)
    a = delivered_by(truth, Faults(lost=lost_a - {LENGTH - 1}, lag=lag_a))
    b = delivered_by(truth, Faults(lost=lost_b - {LENGTH - 1}, lag=lag_b))
    frames = recorded([a, b])
    merged = events_of(frames + later(frames, truth[-1:]))
    missing = lost_a & lost_b
    told = updates(events_of(alone(truth)))
    kept = [u for n, u in enumerate(told) if n not in missing and (u[4] or u[0])]
    assert changes(merged) == kept
    gaps = [
        (event.expected_seq_id, event.prev_seq_id)
        for event in merged
        if isinstance(event, SequenceGap)
    ]
    assert gaps == declared(updates(merged))


def declared(told: list[Any]) -> list[tuple[int, int]]:
    """Return where a chain of updates breaks: by its numbers alone."""
    chain = [(update[2], update[3]) for update in told]
    return [(last, prev) for (last, _), (_, prev) in itertools.pairwise(chain) if prev != last]


def later(frames: list[Frame], payloads: list[bytes]) -> list[Frame]:
    """Return copies that come when no hole is waited for any more."""
    last = frames[-1]
    at = last.ts_mono + HOLE_NS
    return [
        Frame(last.seq + 1 + n, at, at, connection, Kind.TEXT, payload)
        for n, (connection, payload) in enumerate((c, p) for p in payloads for c in (0, 1))
    ]


@given(positions(5), positions(5), stalls, stalls, lags, lags, positions(5))
@checked
def test_a_book_without_numbers_is_whole_wherever_one_link_had_it(
    lost_a: Any, lost_b: Any, stalls_a: Any, stalls_b: Any, lag_a: int, lag_b: int, swapped: Any
) -> None:
    truth = timed_book(LENGTH)
    # What changes places on one link can only be put right by the other: it lost nothing there.
    near = {at + by for at in swapped for by in (-1, 0, 1, 2)}
    a = Faults(lost_a - near, swapped, stalls_a, lag_a)
    b = Faults(lost_b - lost_a - near, frozenset(), stalls_b, lag_b)
    merged = events_of(recorded([delivered_by(truth, a), delivered_by(truth, b)]))
    shown = updates(merged)
    assert shown == updates(events_of(alone(truth)))[: len(shown)]
    assert len(shown) >= LENGTH - 1 - waiting_at_the_end(a, b)


def waiting_at_the_end(a: Faults, b: Faults) -> int:
    """Return how many at the end still wait for the link that lost the last ones."""
    lost = [n for n in range(LENGTH) if n in a.lost or n in b.lost]
    tail = 0
    while LENGTH - 1 - tail in lost:
        tail += 1
    return tail + max(len(a.stalls), len(b.stalls))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=LENGTH), positions(), stalls, lags, lags)
@checked
def test_pushes_that_are_equal_are_as_many_as_the_better_link_brought(
    prices: list[int], lost: Any, stalls_b: Any, lag_a: int, lag_b: int
) -> None:
    """Equal bytes at equal times, sent several times, are several."""
    truth = [
        push(TRADES, {"instId": "BTC-USDT", "tradeId": str(price), "px": str(price + 1),
                      "sz": "1", "side": "buy", "ts": "5"})
        for price in prices
    ]  # fmt: skip
    a = delivered_by(truth, Faults(lag=lag_a))
    b = delivered_by(truth, Faults(lost=lost, stalls=stalls_b, lag=lag_b))
    merged = events_of(recorded([a, b]))
    traded = sorted(e.price for e in merged if isinstance(e, Trade))
    assert traded == sorted(float(price + 1) for price in prices)
