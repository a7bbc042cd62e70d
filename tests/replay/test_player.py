"""Goal: a replay is the recording again: same events, books and digests, whatever the speed.

Method: invented sessions whose truth is known, played whole, in windows and filtered, against
`Capture.events` and an interpreter that stepped through everything from the first frame.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from invented_session import START, Invented, S, write_capture

from recorder.capture.reader import Capture
from recorder.errors import ExitCode, UsageError
from recorder.event import BookUpdate, Event, Quote, Trade
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Context
from replay.player import NOTE, Progress, play


@pytest.fixture(scope="module")
def session() -> Invented:
    return Invented(2_000, seed=3)


@pytest.fixture(scope="module")
def path(session: Invented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(
        tmp_path_factory.mktemp("captures") / "c", session.frames, segment_seconds=5
    )


class Seen:
    """A strategy that keeps what it was given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.times: list[int] = []

    def on_event(self, event: Event, context: Context) -> None:
        self.events.append(event)
        self.times.append(context.clock.now())


def test_a_strategy_sees_the_events_of_the_capture(path: Path, session: Invented) -> None:
    seen = Seen()
    report = play(path, seen)
    assert seen.events == list(Capture(path).events())
    assert (report.frames, report.events) == (len(session.frames), len(seen.events))
    assert report.requested_speed == "max"
    assert report.max_lag_ms == 0
    assert report.input_digest is report.output_digest is None
    assert report.types == {}
    assert seen.times == [event.ts_recv for event in seen.events]


def test_a_callable_will_do_and_none_counts(path: Path) -> None:
    count = 0

    def strategy(event: Event, _context: Context) -> None:
        nonlocal count
        count += isinstance(event, Trade)

    play(path, strategy)
    assert play(path).types["Trade"] == count > 0
    with pytest.raises(UsageError, match="on_event"):
        play(path, object())


def test_books_are_those_of_the_moment(path: Path, session: Invented) -> None:
    bests: list[tuple[int, str, float | None, float | None]] = []

    def strategy(event: Event, context: Context) -> None:
        if isinstance(event, BookUpdate):
            book = context.books.get(event.instrument, "books")
            bid, ask = (
                (book.best_bid(), book.best_ask()) if book and book.is_whole else (None, None)
            )
            bests.append((event.seq, event.instrument, bid and bid.price, ask and ask.price))
        elif isinstance(event, Quote):
            bests.append((event.seq, event.instrument, event.bid_price, event.ask_price))

    play(path, strategy)
    assert bests == session.truth.bests


def test_digests_are_equal_at_every_speed_and_equal_to_info(path: Path) -> None:
    info = Capture(path).info()
    reports = [play(path, speed=speed, digest=True) for speed in ("max", 100_000, "40000x")]
    assert {report.input_digest for report in reports} == {info.input_digest}
    assert len({report.output_digest for report in reports}) == 1
    assert {report.events for report in reports} == {info.events}
    assert reports[1].requested_speed == 100_000.0
    assert reports[1].achieved_speed is not None


def test_the_output_digest_does_not_depend_on_the_number_type(path: Path) -> None:
    expected = play(path, digest=True, channels=["books", "trades"])
    for number in (Decimal, str):
        seen = Seen()
        report = play(path, seen, digest=True, number=number, channels=["books", "trades"])
        assert report.output_digest == expected.output_digest
        trades = [event for event in seen.events if isinstance(event, Trade)]
        assert {type(trade.price) for trade in trades} == {number}


def test_the_digest_is_the_same_in_any_process(path: Path) -> None:
    expected = play(path, digest=True)
    code = (
        "import sys, json; from replay import play; r = play(sys.argv[1], digest=True); "
        "print(json.dumps([r.input_digest, r.output_digest]))"
    )
    for seed, zone in (("1", "Asia/Hong_Kong"), ("77", "America/New_York")):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == [expected.input_digest, expected.output_digest]


def test_another_event_is_another_digest(session: Invented, tmp_path: Path, path: Path) -> None:
    frames = list(session.frames)
    at = next(i for i, f in enumerate(frames) if b'"px":' in f.payload)
    changed = frames[at].payload.replace(b'"side":"buy"', b'"side":"sell"', 1)
    if changed == frames[at].payload:
        changed = frames[at].payload.replace(b'"side":"sell"', b'"side":"buy"', 1)
    frames[at] = msgspec.structs.replace(frames[at], payload=changed)
    other = play(write_capture(tmp_path / "c", frames), digest=True)
    this = play(path, digest=True)
    assert other.output_digest != this.output_digest
    assert other.input_digest != this.input_digest


@pytest.mark.parametrize("at", [0.05, 0.4, 0.75])
def test_a_window_starts_with_the_right_books(path: Path, session: Invented, at: float) -> None:
    start = session.frames[int(len(session.frames) * at)].ts_recv
    end = start + 3 * S
    first = next(f.seq for f in session.frames if f.ts_recv >= start)
    whole = Interpreter()
    for frame in session.frames[:first]:
        whole.step(frame)
    seen: list[Event] = []
    states: list[list[Any]] = []

    def strategy(event: Event, context: Context) -> None:
        seen.append(event)
        states.append(state_of(context.books))

    report = play(path, strategy, start=start, end=end)
    expected: list[Event] = []
    expected_states: list[list[Any]] = []
    for frame in session.frames[first : first + report.frames]:
        for event in whole.step(frame):
            expected.append(event)
            expected_states.append(state_of(whole.books))
    assert report.frames > 0
    assert seen == expected == list(Capture(path).events(start=start, end=end))
    assert states == expected_states


def state_of(books: Any) -> list[Any]:
    return [
        (book.instrument, book.channel, book.is_whole, book.seq_id, book.bids(3), book.asks(3))
        for book in books
    ]


@pytest.mark.parametrize(
    "filters",
    [
        {"channels": ["trades"]},
        {"channels": ["books"]},
        {"instruments": ["BTC-USDT"]},
        {"channels": ["books", "bbo-tbt"], "instruments": ["XRP-USDT", "BTC-USDT"]},
    ],
)
@pytest.mark.parametrize("start", [None, START + 10 * S])
def test_a_filter_plays_the_same_events_as_the_whole(
    path: Path, filters: dict[str, list[str]], start: int | None
) -> None:
    capture = Capture(path)
    seen = Seen()
    shown: set[tuple[str, str]] = set()

    def strategy(event: Event, context: Context) -> None:
        seen.on_event(event, context)
        shown.update((book.instrument, book.channel) for book in context.books)

    report = play(capture, strategy, start=start, digest=True, **filters)  # type: ignore[arg-type]
    assert seen.events == list(capture.events(start=start, **filters))  # type: ignore[arg-type]
    assert report.frames == sum(1 for _ in capture.frames(start=start, **filters))  # type: ignore[arg-type]
    assert seen.events
    for instrument, channel in shown:
        assert instrument in filters.get("instruments", [instrument])
        assert channel in filters.get("channels", [channel])
    paced = play(capture, speed=1e6, start=start, digest=True, **filters)  # type: ignore[arg-type]
    assert paced.output_digest == report.output_digest
    assert paced.input_digest == report.input_digest


def test_what_a_strategy_raises_comes_out_with_the_event(path: Path) -> None:
    def strategy(event: Event, _context: Context) -> None:
        if event.seq >= 100 and isinstance(event, Trade):
            raise ValueError("no")

    for options in ({}, {"digest": True}, {"speed": 1e6}, {"channels": ["trades"]}):
        with pytest.raises(ValueError, match="no") as caught:
            play(path, strategy, **options)  # type: ignore[arg-type]
        (note,) = caught.value.__notes__
        trade = next(e for e in Capture(path).events() if e.seq >= 100 and isinstance(e, Trade))
        assert note == f"{NOTE} Trade at seq {trade.seq}, index {trade.index}"


def test_the_collector_is_left_as_it_was(path: Path) -> None:
    before = gc.get_threshold()
    during: list[tuple[int, int, int]] = []

    def strategy(_event: Event, _context: Context) -> None:
        during.append(gc.get_threshold())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        play(path, strategy)
    assert gc.get_threshold() == before
    assert during != [before]


def test_a_replay_takes_the_time_it_was_asked_to(tmp_path: Path, session: Invented) -> None:
    frames = session.frames[:160]
    span = frames[-1].ts_mono - frames[0].ts_mono
    assert S // 2 < span < 4 * S
    path = write_capture(tmp_path / "c", frames)
    seen: list[Progress] = []
    report = play(path, speed=4, on_progress=seen.append)
    assert report.seconds >= span / S / 4
    assert report.achieved_speed is not None
    assert 0 < report.achieved_speed <= 4.0
    assert report.requested_speed == 4.0
    assert seen
    assert [p.seq for p in seen] == sorted(p.seq for p in seen)


def test_progress_moves_on_through_a_quiet_stretch(tmp_path: Path) -> None:
    frames = [
        Frame(seq, START + at, at, 0, Kind.TEXT, b"pong") for seq, at in ((0, 0), (1, 20 * S))
    ]
    path = write_capture(tmp_path / "c", frames)
    seen: list[Progress] = []
    play(path, speed=40, on_progress=seen.append)
    waiting = [p for p in seen if p.seq == 0 and p.ts_recv > START]
    assert len(waiting) >= 2
    assert [p.ts_recv for p in waiting] == sorted({p.ts_recv for p in waiting})
    assert waiting[-1].ts_recv <= START + 20 * S
    assert all(38 < p.achieved_speed <= 40.0 for p in waiting if p.achieved_speed is not None)


def test_a_pause_between_runs_is_cut_even_where_a_filter_drops_its_row(
    tmp_path: Path, session: Invented
) -> None:
    trade = next(f.payload for f in session.frames if b'"px":' in f.payload)
    frames = [
        Frame(0, START, 900 * S, 0, Kind.TEXT, trade),
        Frame(1, START + 60 * S, 5 * S, -1, Kind.RUN, b"{}"),  # the machine was restarted
        Frame(2, START + 61 * S, 6 * S, 1, Kind.TEXT, trade),
    ]
    path = write_capture(tmp_path / "c", frames)
    for filters in ({}, {"channels": ["trades"]}):
        report = play(path, speed=20, max_gap=4 * S, **filters)  # type: ignore[arg-type]
        assert (4 + 1) / 20 <= report.seconds < 60 / 20
    assert report.frames == 2


def test_damage_and_loss_are_in_the_report(path: Path, tmp_path: Path, session: Invented) -> None:
    report = play(path)
    assert report.lost_rows == len(session.truth.lost)
    assert report.exit_code is ExitCode.LOSS
    broken = write_capture(tmp_path / "c", session.frames, segment_seconds=5)
    source = Capture(broken).snapshot().sealed[1]
    file = broken / source.path
    file.write_bytes(file.read_bytes()[:-100])
    report = play(broken)
    assert report.exit_code is ExitCode.FAILED
    assert [problem.file for problem in report.problems] == [source.path]
    assert report.frames == len(session.frames) - (source.last_seq - source.first_seq + 1)


def test_an_empty_window_plays_nothing(path: Path) -> None:
    report = play(path, start=START * 2, digest=True)
    assert (report.frames, report.events, report.achieved_speed) == (0, 0, None)
    with pytest.raises(UsageError, match="start"):
        play(path, start=START + S, end=START)


def test_real_sessions_give_one_digest_at_two_speeds(real_traffic: Path, tmp_path: Path) -> None:
    from recorder.capture.reshape.importer import import_sessions

    sources = sorted((real_traffic / "sessions").glob("*.jsonl"))
    assert sources
    for number, source in enumerate(sources):
        out = tmp_path / str(number)
        import_sessions([source], out)
        first = play(out, digest=True)
        second = play(out, speed=100_000, digest=True)
        assert first.output_digest == second.output_digest
        assert first.input_digest == second.input_digest == Capture(out).info().input_digest


def test_a_lone_name_is_no_list_of_letters(path: Path) -> None:
    with pytest.raises(UsageError, match="expected a list of channels, received 'trades'"):
        play(path, channels="trades")
