"""Two links of a simulated session of today's form, each with faults of its own, by seed.

Method: `recorder.okx.faults.stream` cuts gaps, reorders and delays into either link; what is
elected is held against the events of the one link that had everything.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.event import BookUpdate, Event, SequenceGap, Trade
from recorder.frame import Frame
from recorder.okx.faults import Delay, Gap, Lose, Reorder, Scenario
from recorder.okx.interpreter import Interpreter
from replay.simulation.simulator import simulate
from tests.doubled import doubled

SEEDS = range(1, 7)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> list[Frame]:
    path = tmp_path_factory.mktemp("simulated") / "one"
    simulate(path, seed=8, instruments=["BTC-USDT"], duration=8.0, scenario="calm")
    return list(Capture(path).frames())


def faulty(seed: int) -> Scenario:
    """Return what happens to one link; no book is mended by anything but the other link."""
    return Scenario(
        seed=seed,
        heal=None,
        faults=(
            Gap(channel="books", p=0.15),
            Reorder(channel="books", p=0.05),
            Lose(channel="trades", p=0.1),
            Delay(channel="books", p=0.02, seconds=0.6),
        ),
    )


def events_of(frames: list[Frame]) -> list[Event]:
    interpreter = Interpreter()
    return [event for frame in frames for event in interpreter.step(frame)]


def chain(events: list[Event]) -> list[Any]:
    """Return the updates of the book that change it: a keep-alive that is late says nothing."""
    return [
        (event.prev_seq_id, event.seq_id, event.bids, event.asks)
        for event in events
        if isinstance(event, BookUpdate) and event.channel == "books" and (event.bids or event.asks)
    ]


def brought(frames: list[Frame], payloads: set[bytes]) -> set[bytes]:
    return {frame.payload for frame in frames} & payloads


@pytest.mark.parametrize("seed", SEEDS)
def test_what_either_link_had_is_there_and_the_rest_is_declared(
    truth: list[Frame], seed: int
) -> None:
    frames = doubled(truth, (faulty(seed), faulty(100 + seed)))
    merged, expected = events_of(frames), events_of(truth)
    books = {frame.payload for frame in truth if b'"channel":"books",' in frame.payload}
    had = brought(frames, books)
    kept = chain(events_of([f for f in truth if f.payload not in books or f.payload in had]))
    told = chain(merged)

    # Updates that wait behind a hole when the capture ends are in its frames only.
    assert told == kept[: len(told)]
    assert len(kept) - len(told) <= 20
    gaps = [event for event in merged if isinstance(event, SequenceGap)]
    holes = [
        (last, prev)
        for (_, last, *_), (prev, *_) in itertools.pairwise(told)
        if prev != last and prev is not None
    ]
    assert [(gap.expected_seq_id, gap.prev_seq_id) for gap in gaps] == holes
    if not books - had:
        assert told == chain(expected)[: len(told)]
        assert not gaps

    trades = Counter(traded(merged))
    assert set(trades.values()) == {1}
    assert set(trades) <= set(traded(expected))
    either = [frame for frame in frames if b'"channel":"trades"' in frame.payload]
    assert set(trades) == set(traded(events_of(either)))


def traded(events: list[Event]) -> list[str]:
    return [e.trade_id for e in events if isinstance(e, Trade) and e.channel == "trades"]
