"""A book equals a naive model, whoever looks at it and whenever; a chain equals its rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recorder.book import Book
from recorder.event import BookUpdate, Event, Level, SequenceGap
from recorder.frame import Frame, Kind
from recorder.okx.checksum import DEPTH, checksum
from recorder.okx.interpreter import Interpreter

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
"""No shrinking: a failing stream is replayed from its example, and shrinking one takes minutes."""

TEXTS = st.sampled_from(["0.5", "1", "1.10", "2", "3.75", "10", "20.25"])
SIZES = st.sampled_from(["0", "0", "1", "2.5", "40"])
SIDE = st.lists(st.tuples(TEXTS, SIZES), max_size=6, unique_by=lambda level: level[0])
UPDATES = st.lists(st.tuples(st.booleans(), SIDE, SIDE, st.integers(0, 3)), max_size=40)
NUMBERS = st.sampled_from([float, Decimal, str])


@settings(max_examples=300, deadline=None, phases=PHASES)
@given(updates=UPDATES, number=NUMBERS)
def test_book_equals_a_naive_model(updates: Any, number: type) -> None:
    book = Book("E", "books", number=number)
    model: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
    for seq, (is_snapshot, bids, asks, looks) in enumerate(updates):
        book.apply(
            BookUpdate(
                seq=seq,
                index=0,
                ts_recv=seq,
                ts_event=seq,
                instrument="E",
                channel="books",
                is_snapshot=is_snapshot,
                bids=[Level(number(price), number(size)) for price, size in bids],
                asks=[Level(number(price), number(size)) for price, size in asks],
            )
        )
        for name, levels in (("bids", bids), ("asks", asks)):
            if is_snapshot:
                model[name] = {}
            for price, size in levels:
                model[name][Decimal(price)] = Decimal(size)
                if not Decimal(size):
                    del model[name][Decimal(price)]
        if looks == 1:
            book.best_bid()
        elif looks == 2:
            book.best_ask()
        elif looks == 3:
            _assert_equal(book, model)
    _assert_equal(book, model)


def _assert_equal(book: Book, model: dict[str, dict[Decimal, Decimal]]) -> None:
    bids = sorted(model["bids"].items(), reverse=True)
    asks = sorted(model["asks"].items())
    for levels, expected in ((book.bids(), bids), (book.asks(), asks)):
        assert [
            (Decimal(str(level.price)), Decimal(str(level.size))) for level in levels
        ] == expected
    for depth in (0, 1, 3):
        assert book.bids(depth) == book.bids()[:depth]
        assert book.asks(depth) == book.asks()[:depth]
    best_bid, best_ask = book.best_bid(), book.best_ask()
    assert best_bid == (book.bids()[0] if bids else None)
    assert best_ask == (book.asks()[0] if asks else None)
    assert book.is_crossed == bool(bids and asks and bids[0][0] >= asks[0][0])
    assert len(book) == len(bids) + len(asks)
    if bids and asks:
        assert float(book.spread()) == pytest.approx(float(asks[0][0] - bids[0][0]))
        assert float(book.mid()) == pytest.approx(float(asks[0][0] + bids[0][0]) / 2)


@st.composite
def streams(draw: st.DrawFn) -> list[Frame]:
    """Books of two connections and two instruments: chained, legacy with checksums, broken, …

    Legacy frames carry the checksum of a model kept here, sometimes a wrong one.
    """
    frames: list[Frame] = []
    last: dict[tuple[int, str], int] = {}
    texts: dict[tuple[int, str], Book] = {}

    def add(kind: Kind, connection: int, payload: Any) -> None:
        seq = len(frames)
        data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        frames.append(Frame(seq, seq, seq, connection, kind, data))

    for _ in range(draw(st.integers(0, 30))):
        connection = draw(st.integers(0, 1))
        what = draw(st.integers(0, 19))
        if what == 0:
            add(Kind.CLOSED, connection, {"code": 1006, "opened": True})
            continue
        if what == 1:
            add(Kind.OPENED, connection, {"url": "wss://h"})
            continue
        if what == 2:
            add(Kind.RUN, -1, {})
            continue
        if what == 3:
            add(Kind.LOST, connection, {"connection": connection, "cause": "test"})
            continue
        instrument = draw(st.sampled_from(["CHAINED", "LEGACY"]))
        if what == 4:
            event = draw(st.sampled_from(["subscribe", "unsubscribe"]))
            argument = {"channel": "books", "instId": instrument}
            add(Kind.TEXT, connection, {"event": event, "arg": argument})
            continue
        key = (connection, instrument)
        is_snapshot = key not in last or draw(st.integers(0, 5)) == 0
        bids, asks = draw(SIDE), draw(SIDE)
        row: dict[str, Any] = {
            "asks": [[price, size, "0", "1"] for price, size in asks],
            "bids": [[price, size, "0", "1"] for price, size in bids],
            "ts": "1795000000000",
        }
        prev = last.get(key, 0) + draw(st.sampled_from([0, 0, 0, 0, 1]))
        seq_id = last[key] = draw(st.integers(1, 100))
        if instrument == "CHAINED":
            row |= {"checksum": 0, "seqId": seq_id, "prevSeqId": -1 if is_snapshot else prev}
        else:
            model = texts.setdefault(key, Book("LEGACY", "books", number=str))
            model.apply(
                BookUpdate(
                    0, 0, 0, 0, "LEGACY", "books", is_snapshot,
                    [Level(price, size) for price, size in bids],  # type: ignore[arg-type]
                    [Level(price, size) for price, size in asks],  # type: ignore[arg-type]
                )
            )  # fmt: skip
            row["checksum"] = checksum(model.bids(DEPTH), model.asks(DEPTH)) + draw(
                st.sampled_from([0, 0, 0, 0, 0, 1])
            )
        add(
            Kind.TEXT,
            connection,
            {
                "arg": {"channel": "books", "instId": instrument},
                "action": "snapshot" if is_snapshot else "update",
                "data": [row],
            },
        )
    return frames


@settings(max_examples=200, deadline=None, phases=PHASES)
@given(frames=streams(), cuts=st.sets(st.integers(0, 30)), number=NUMBERS)
def test_saving_and_restoring_anywhere_changes_nothing(
    frames: list[Frame], cuts: set[int], number: type
) -> None:
    straight, split = Interpreter(number), Interpreter(number)
    for frame in frames:
        if frame.seq in cuts:
            split = Interpreter.restore(split.save(), number)
        assert split.step(frame) == straight.step(frame)
        assert split.save() == straight.save()


@pytest.mark.parametrize("watched", [0, 2])
def test_books_that_wait_are_the_same(watched: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at whenever, resting on checkpoints of whatever moment: same events, same state."""
    monkeypatch.setattr("recorder.book.book._WATCHED", watched)

    @settings(max_examples=100, deadline=None, phases=PHASES)
    @given(
        frames=streams(),
        looks=st.dictionaries(st.integers(0, 30), st.sampled_from(["best", "levels", "save"])),
        rests=st.dictionaries(st.integers(0, 30), st.integers(0, 3)),
    )
    def hold(frames: list[Frame], looks: dict[int, str], rests: dict[int, int]) -> None:
        straight, waiting = Interpreter(), Interpreter()
        waiting.let_books_wait()
        states = [straight.save()]
        for frame in frames:
            assert waiting.step(frame) == straight.step(frame)
            assert waiting.integrity == straight.integrity
            states.append(straight.save())
            if frame.seq in rests:  # of this moment, or of an earlier one
                waiting.rest_on(states[max(0, len(states) - 1 - rests[frame.seq])])
            look = looks.get(frame.seq)
            if look == "save":
                assert waiting.save() == straight.save()
            for ours, theirs in zip(waiting.books, straight.books, strict=True):
                assert (ours.seq, ours.seq_id, ours.is_whole) == (
                    theirs.seq, theirs.seq_id, theirs.is_whole,
                )  # fmt: skip
                if look == "best":
                    assert ours.best_bid() == theirs.best_bid()
                elif look == "levels":
                    assert (ours.bids(), ours.asks()) == (theirs.bids(), theirs.asks())
        assert waiting.save() == straight.save()

    hold()


@settings(max_examples=150, deadline=None, phases=PHASES)
@given(frames=streams())
def test_number_types_prove_the_same(frames: list[Frame]) -> None:
    interpreters = [Interpreter(number) for number in (float, Decimal, str)]
    for frame in frames:
        kinds = [
            [(type(event), event.index) for event in interpreter.step(frame)]
            for interpreter in interpreters
        ]
        assert kinds[0] == kinds[1] == kinds[2]
    first = interpreters[0]
    for other in interpreters[1:]:
        assert other.integrity == first.integrity
        for ours, theirs in zip(first.books, other.books, strict=True):
            assert ours.is_whole == theirs.is_whole
            assert [level.price for level in ours.bids()] == [
                float(level.price) for level in theirs.bids()
            ]


@settings(max_examples=200, deadline=None, phases=PHASES)
@given(
    steps=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30),
    start=st.integers(1, 1000),
)
def test_every_loss_is_told_exactly_once(steps: list[tuple[int, bool]], start: int) -> None:
    """Drop some updates of a perfect chain: one gap for each run of dropped ones."""
    interpreter = Interpreter()
    events: list[Event] = []
    losses, dropped, last = 0, False, start

    def push(action: str, prev: int, seq_id: int) -> None:
        row = {"asks": [], "bids": [["1", "1", "0", "1"]], "ts": "1", "checksum": 0}
        payload = msgspec.json.encode(
            {
                "arg": {"channel": "books", "instId": "E"},
                "action": action,
                "data": [{**row, "seqId": seq_id, "prevSeqId": prev}],
            }
        )
        events.extend(interpreter.step(Frame(0, 0, 0, 0, Kind.TEXT, payload)))

    push("snapshot", -1, start)
    for stride, is_dropped in steps:
        seq_id = last + stride + 1
        if not is_dropped:
            losses += dropped
            push("update", last, seq_id)
        dropped = is_dropped
        last = seq_id
    assert sum(isinstance(event, SequenceGap) for event in events) == losses
    assert interpreter.integrity.gaps == losses
    assert interpreter.books["E"].is_whole == (losses == 0)
