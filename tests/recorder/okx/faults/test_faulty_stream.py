"""Faults in a stream of recorded frames: what each kind does, and that only the seed decides.

Method: the committed recordings, whose every message is known, with an account of our own of which
pushes went in and came out; the interpreter judges the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture.reader import Capture
from recorder.errors import UsageError
from recorder.event import BookUpdate, Event, InjectedFault, SequenceGap
from recorder.frame import Frame, Kind
from recorder.okx.faults import delivery
from recorder.okx.faults.stream import FaultyStream
from recorder.okx.faults.words import scenario_of
from recorder.okx.interpreter import Interpreter
from recorder.okx.route import is_push, route

S = 1_000_000_000
BOOKS = ("books", "BTC-USDT")
TRADES = ("trades", "BTC-USDT")


@pytest.fixture(scope="module")
def calm(datasets: Path) -> list[Frame]:
    return list(Capture(datasets / "btc-calm").frames())


@pytest.fixture(scope="module")
def stress(datasets: Path) -> list[Frame]:
    # From before its sequence reset to behind its disconnect, at seq 9481.
    return list(Capture(datasets / "eth-stress").frames(last_seq=10_300))


def made(frames: list[Frame], *faults: str, seed: int = 7, chunk: int = 500, **more: Any) -> Any:
    """Return the stream's rows, and the `FaultyStream` that made them."""
    faulty = FaultyStream(scenario_of(faults, seed=seed, **more))
    chunks = [frames[at : at + chunk] for at in range(0, len(frames), chunk)]
    return [row for rows in faulty.stream(chunks) for row in rows], faulty


def events(frames: Iterable[Frame]) -> list[Event]:
    interpreter = Interpreter()
    return [event for frame in frames for event in interpreter.step(frame)]


def pushes(frames: Iterable[Frame], subject: tuple[str, str] | None = None) -> list[Frame]:
    return [
        frame
        for frame in frames
        if frame.kind is Kind.TEXT and is_push(frame.payload)
        if subject in (None, route(frame.payload))
    ]


def marks(frames: Iterable[Frame], *names: str) -> list[dict[str, Any]]:
    rows = [
        {"seq": frame.seq, "ts_recv": frame.ts_recv, **msgspec.json.decode(frame.payload)}
        for frame in frames
        if frame.kind is Kind.FAULT
    ]
    return [row for row in rows if not names or row["fault"] in names]


def update_seqs(frames: Iterable[Frame]) -> list[int]:
    return [frame.seq for frame in pushes(frames, BOOKS) if b'"action":"update"' in frame.payload]


# --- what each kind does ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["drop:trades@p=0.1", "lose:trades:BTC-USDT@p=0.1"])
def test_what_is_dropped_is_missing_and_nothing_else(calm: list[Frame], text: str) -> None:
    out, faulty = made(calm, text)
    hit = [row["seq"] for row in marks(out)]
    whole = [frame.seq for frame in pushes(calm, TRADES)]
    assert 20 < len(hit) < len(whole)
    assert [f.seq for f in pushes(out, TRADES)] == [seq for seq in whole if seq not in hit]
    assert [f for f in out if f.kind is not Kind.FAULT] == [f for f in calm if f.seq not in hit]
    assert faulty.log.report().injected == len(hit)


def test_a_gap_breaks_the_book_and_a_rebuilt_snapshot_heals_it(calm: list[Frame]) -> None:
    out, faulty = made(calm, "gap:books:BTC-USDT@pushes=300,count=3")
    (gap,) = marks(out, "gap")
    (heal,) = marks(out, "heal")
    updates = update_seqs(calm)
    lost = [seq for seq in updates if seq >= gap["seq"]][:3]
    assert update_seqs(out) == [seq for seq in updates if seq not in lost]
    found = events(out)
    assert [type(e) for e in found if isinstance(e, SequenceGap)] == [SequenceGap]
    noticed = next(e for e in found if isinstance(e, SequenceGap))
    assert heal["ts_recv"] - noticed.ts_recv == S
    snapshots = [e for e in found if isinstance(e, BookUpdate) and e.channel == "books"]
    assert sum(e.is_snapshot for e in snapshots) == 2
    assert book_of(out) == book_of(calm)
    report = faulty.log.report()
    assert (report.injected, report.healed) == (1, 1)
    assert report.table[0].noticed == {"SequenceGap": 1}


def book_of(frames: Iterable[Frame], channel: str = "books") -> tuple[Any, Any, int | None]:
    """Return the levels of BTC-USDT as they stand when the recording ends, and its number."""
    interpreter = Interpreter()
    for frame in frames:
        if frame.kind is not Kind.CLOSED:
            interpreter.step(frame)
    book = interpreter.books.get("BTC-USDT", channel)
    assert book is not None
    assert book.is_whole
    return (*book.sides(), book.seq_id)


def test_never_healed_a_book_stays_broken_until_a_recorded_snapshot(calm: list[Frame]) -> None:
    out, faulty = made(calm, "gap:books:BTC-USDT@pushes=300", heal=None)
    assert marks(out, "heal") == []
    interpreter = Interpreter()
    whole = []
    for frame in out:
        is_gap = any(isinstance(event, SequenceGap) for event in interpreter.step(frame))
        book = interpreter.books.get("BTC-USDT", "books")
        whole.append((is_gap, book is not None and book.is_whole))
    at = whole.index((True, False))
    assert whole[at - 1] == (False, True)
    assert not any(is_whole for _, is_whole in whole[at:])
    assert faulty.log.report().healed == 0


def test_a_duplicate_comes_right_behind_itself(calm: list[Frame]) -> None:
    out, _ = made(calm, "duplicate:trades@p=0.05")
    hit = {row["seq"] for row in marks(out)}
    counts = Counter(frame.seq for frame in pushes(out, TRADES))
    assert hit
    assert {seq for seq, count in counts.items() if count == 2} == hit
    assert max(counts.values()) == 2
    twice = [f for f, after in pairwise(out) if f == after]
    assert {frame.seq for frame in twice} == hit


def test_a_duplicate_of_a_book_must_name_its_channel(calm: list[Frame]) -> None:
    assert marks(made(calm, "duplicate:books@p=0.05")[0], "repeat")
    everywhere = marks(made(calm, "duplicate@p=0.05")[0], "repeat")
    assert {row["channel"] for row in everywhere} >= {"trades", "tickers"}
    assert "books" not in {row["channel"] for row in everywhere}


def test_a_reordered_push_comes_behind_the_next_two(calm: list[Frame]) -> None:
    out, _ = made(calm, "reorder:trades@p=0.02,by=2")
    hit = [row["seq"] for row in marks(out)]
    whole = [frame.seq for frame in pushes(calm, TRADES)]
    seen = [frame.seq for frame in pushes(out, TRADES)]
    assert hit
    assert sorted(seen) == whole
    assert seen != whole
    for seq in hit:
        at = whole.index(seq)
        later = seen.index(seq) - at
        assert later == min(2, len(whole) - 1 - at) or hit_nearby(hit, whole, at)


def hit_nearby(hit: list[int], whole: list[int], at: int) -> bool:
    return any(whole[i] in hit for i in range(max(at - 2, 0), min(at + 3, len(whole))) if i != at)


def test_a_delay_holds_back_its_argument_only_and_keeps_its_order(calm: list[Frame]) -> None:
    out, _ = made(calm, "delay:trades@p=0.01,seconds=2")
    assert [f.seq for f in pushes(out, TRADES)] == [f.seq for f in pushes(calm, TRADES)]
    of = {frame.seq: frame for frame in calm}
    hit = marks(out)
    assert hit
    for row in hit:
        delayed = next(f for f in pushes(out, TRADES) if f.seq == row["seq"])
        assert delayed.ts_recv - of[row["seq"]].ts_recv == 2 * S
    assert [f.seq for f in pushes(out, BOOKS)] == [f.seq for f in pushes(calm, BOOKS)]
    assert [e for e in events(out) if isinstance(e, SequenceGap)] == []


def test_a_stall_holds_back_a_whole_connection(calm: list[Frame]) -> None:
    out, _ = made(calm, "stall@after=5,seconds=3,connection=2")
    (row,) = marks(out)
    held = [
        frame for frame in calm
        if frame.connection == 2 and frame.seq >= row["seq"]
        and frame.ts_recv < row["ts_recv"] + 3 * S and frame.kind is Kind.TEXT
    ]  # fmt: skip
    assert len(held) > 20
    at = {frame.seq: frame for frame in out if frame.kind is Kind.TEXT}
    assert {at[frame.seq].ts_recv for frame in held} == {row["ts_recv"] + 3 * S}
    assert [f.seq for f in out if f.connection == 2] == sorted(
        [f.seq for f in calm if f.connection == 2] + [row["seq"]]
    )


def test_a_disconnect_loses_what_comes_until_the_client_is_back(calm: list[Frame]) -> None:
    out, faulty = made(calm, "disconnect@after=5,away=2,endpoint=public")
    (cut,), (back,) = marks(out, "cut"), marks(out, "back")
    public = next(frame.connection for frame in calm if frame.seq == cut["seq"])
    assert back["ts_recv"] - cut["ts_recv"] == 2 * S
    missed = [
        frame.seq for frame in calm
        if frame.connection == public and cut["seq"] <= frame.seq
        and frame.ts_recv < back["ts_recv"] and frame.kind is Kind.TEXT
    ]  # fmt: skip
    assert back["detail"] == f"{len(missed)} messages missed"
    seen = {frame.seq for frame in pushes(out) if frame.ts_recv != back["ts_recv"]}
    assert not seen & set(missed)
    names = Counter(type(event).__name__ for event in events(out))
    assert names["Connected"] == Counter(type(e).__name__ for e in events(calm))["Connected"] + 1
    assert book_of(out) == book_of(calm)
    assert faulty.log.report().table[0].noticed == {"Disconnected": 1}
    after = [frame for frame in out if frame.ts_recv == back["ts_recv"]]
    acked = [f.payload for f in after if b'"event":"subscribe"' in f.payload]
    assert len(acked) == len(set(acked)) > 3


def test_corrupted_pushes_differ_in_so_many_characters(calm: list[Frame]) -> None:
    out, _ = made(calm, "corrupt:trades@p=0.05,bytes=1")
    hit = {row["seq"] for row in marks(out)}
    of = {frame.seq: frame.payload for frame in calm}
    assert hit
    for frame in out:
        if frame.kind is Kind.FAULT:
            continue
        other = of[frame.seq]
        different = sum(a != b for a, b in zip(frame.payload, other, strict=True))
        assert different == (1 if frame.seq in hit else 0)
        frame.payload.decode()


@pytest.mark.parametrize(
    ("text", "event"),
    [("say:trades@text=", "Unrecognized"), ("garbled", "Unrecognized"), ("binary", "Unrecognized")],
)
def test_messages_that_nobody_asked_for_are_noticed(
    calm: list[Frame], text: str, event: str
) -> None:
    out, faulty = made(calm, text)
    assert len(marks(out)) == 1
    assert faulty.log.report().table[0].noticed == {event: 1}
    recorded = [frame for frame in out if frame.kind is Kind.TEXT and frame in calm]
    assert len(recorded) == sum(frame.kind is Kind.TEXT for frame in calm)


def test_a_silent_connection_says_nothing_until_the_recording_closes_it(calm: list[Frame]) -> None:
    out, _ = made(calm, "silence@after=5,connection=2")
    (row,) = marks(out)
    after = [frame for frame in out if frame.connection == 2 and frame.ts_recv > row["ts_recv"]]
    assert [frame.kind for frame in after] == [Kind.CLOSED]


# --- the stream is honest, and nothing but the seed decides ----------------------------------

MANY = (
    "gap:books@p=0.01", "lose@p=0.002", "duplicate@p=0.002", "reorder@p=0.003,by=2",
    "delay@p=0.002,seconds=0.7", "stall@p=0.0005,seconds=1.5", "disconnect@p=0.0005",
    "corrupt@p=0.003", "say@p=0.001",
)  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_never_go_back_in_time_and_name_what_was_recorded(
    stress: list[Frame], seed: int
) -> None:
    out, faulty = made(stress, *MANY, seed=seed)
    monos = [frame.ts_mono for frame in out]
    assert monos == sorted(monos)
    of = {frame.seq: frame for frame in stress}
    assert all(frame.connection == of[frame.seq].connection for frame in out
               if frame.kind is Kind.TEXT and frame.payload == of[frame.seq].payload)  # fmt: skip
    report = faulty.log.report()
    told = [event for event in events(out) if isinstance(event, InjectedFault)]
    cures = sum(event.fault in ("heal", "back") for event in told)
    assert report.injected == len(told) - cures == sum(row.injected for row in report.table)
    assert len(report.table) > 9
    assert [(i.seq, i.fault) for i in report.listed] == [
        (event.seq, event.fault) for event in told if event.fault not in ("heal", "back")
    ]


def test_the_same_seed_gives_the_same_bytes_in_any_chunks(stress: list[Frame]) -> None:
    first, _ = made(stress, *MANY, chunk=1)
    again, _ = made(stress, *MANY, chunk=4096)
    other, _ = made(stress, *MANY, seed=8)
    assert first == again
    assert first != other


def test_a_probability_of_zero_changes_nothing(stress: list[Frame]) -> None:
    out, faulty = made(stress, *[text.partition("@")[0] + "@p=0" for text in MANY])
    assert out == stress
    assert faulty.log.report().injected == 0


def test_what_goes_wrong_seldom_also_goes_wrong_often(stress: list[Frame]) -> None:
    seldom = {row["seq"] for row in marks(made(stress, "lose@p=0.002")[0], "lose")}
    often = {row["seq"] for row in marks(made(stress, "lose@p=0.02")[0], "lose")}
    beside = made(stress, "repeat:tickers@p=0.1", "lose@p=0.002")[0]
    assert seldom
    assert seldom < often
    assert abs(len(often) / len(pushes(stress)) - 0.02) < 0.006
    assert {row["seq"] for row in marks(beside, "lose")} >= seldom - {
        row["seq"] for row in marks(beside, "repeat")
    }


def test_it_begins_anywhere_and_hits_the_same_pushes(stress: list[Frame]) -> None:
    at = len(stress) // 2
    whole = {row["seq"] for row in marks(made(stress, "gap:books@p=0.02")[0], "gap")}
    before: list[Interpreter] = [Interpreter(str), Interpreter()]
    for frame in stress[:at]:
        for interpreter in before:
            interpreter.step(frame)
    scenario = scenario_of(["gap:books@p=0.02"], seed=7)
    faulty = FaultyStream(scenario, truth=before[0], seen=before[1])
    out = [row for rows in faulty.stream([stress[at:]]) for row in rows]
    assert {row["seq"] for row in marks(out, "gap")} == {seq for seq in whole if seq >= at}
    assert marks(out, "heal")


def test_what_is_held_back_is_bounded(calm: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "HELD_FRAMES_MAX", 50)
    out, faulty = made(calm, "stall@after=5,seconds=100")
    assert faulty.log.report().early > 0
    assert sorted(f.seq for f in out if f.kind is Kind.TEXT) == [
        f.seq for f in calm if f.kind is Kind.TEXT
    ]
    monos = [frame.ts_mono for frame in out]
    assert monos == sorted(monos)


@pytest.mark.parametrize("text", ["refuse", "late-ack", "drip", "reset-sequence", "evict"])
def test_what_a_recording_has_no_place_for_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=text):
        made([], text)
