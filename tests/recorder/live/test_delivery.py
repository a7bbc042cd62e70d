"""A handler's thread: what it sees, what it misses, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recorder.capture.digest import EventDigest
from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter, Loss
from recorder.clock import DataClock
from recorder.event import BookUpdate, Event, Lost, SequenceGap
from recorder.frame import Frame, Kind
from recorder.live import LinkOptions, delivery, lane, record
from recorder.live.connection import Stamp
from recorder.live.delivery import Delivery
from recorder.live.pipeline import Pipeline
from recorder.okx.interpreter import Interpreter
from recorder.timers import Timers

S = 1_000_000_000


def payload(number: int, *, instrument: str = "BTC-USDT") -> bytes:
    """Book frame number `number` of an instrument: a snapshot, then one link after the other."""
    action, previous = ("snapshot", -1) if number == 0 else ("update", number - 1)
    return (
        f'{{"arg":{{"channel":"books","instId":"{instrument}"}},"action":"{action}","data":[{{'
        f'"asks":[["{2000 + number % 7}","{number + 1}","0","1"]],'
        f'"bids":[["{1000 - number % 5}","{number + 1}","0","1"]],"ts":"1790000000100",'
        f'"checksum":0,"seqId":{number},"prevSeqId":{previous}}}]}}'
    ).encode()


def frame(seq: int, data: bytes | None = None) -> Frame:
    return Frame(seq, seq * S, seq * S, 0, Kind.TEXT, payload(seq) if data is None else data)


def state(interpreter_books: Any) -> list[Any]:
    return [
        (book.instrument, book.channel, book.connection, book.is_whole, book.seq_id, book.sides())
        for book in interpreter_books
    ]


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread does, but not for ever."""
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up, "the other thread did not get there"
        time.sleep(0.001)


class Offerer:
    """The event loop's side: offers each frame, then interprets it."""

    def __init__(self, handler: Any, **options: Any) -> None:
        self.live = Interpreter()
        self.delivery = Delivery(handler, **options)
        self.events: list[Event] = []

    def offer(self, *frames: Frame) -> None:
        self.delivery.offer(frames, self.live)
        for item in frames:
            self.events += self.live.step(item)


class Gate:
    """A handler that stands still until it is let go, and keeps what it saw."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.seen: list[Event] = []
        self.books: list[Any] = []
        self.times: list[int] = []

    def __call__(self, event: Event, context: Any) -> None:
        assert self.open.wait(60)
        self.seen.append(event)
        self.books.append(state(context.books))
        self.times.append(context.clock.now())


def test_a_handler_sees_each_event_with_the_books_and_the_time_of_just_then() -> None:
    gate = Gate()
    shell = Offerer(gate)
    shell.offer(frame(0), frame(1))
    shell.offer(*(frame(seq) for seq in range(2, 40)))
    shell.offer(frame(40, payload(45)))  # a gap: two events of one frame
    gate.open.set()  # only now: the live interpreter is far ahead of the handler
    shell.delivery.wait()
    assert gate.seen == shell.events
    assert isinstance(gate.seen[-1], SequenceGap)
    again = Interpreter()
    for event, books, now in zip(gate.seen, gate.books, gate.times, strict=True):
        if event.index == 0:
            again.step(frame(event.seq, payload(45) if event.seq == 40 else None))
        assert books == state(again.books)
        assert now == event.ts_recv
    assert (shell.delivery.lost, shell.delivery.errors) == (0, 0)
    assert shell.delivery.take_words() == []


def test_timers_fire_live_as_they_do_in_a_replay() -> None:
    class Strategy:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_event(self, event: Event, context: Any) -> None:
            if not self.seen:
                context.every(3 * S // 2, self.tick)
                context.at(4 * S, lambda _: 1 / 0)
            self.seen.append((event.seq, context.clock.now()))

        def tick(self, context: Any) -> None:
            self.seen.append(("tick", context.clock.now(), state(context.books)))

    live, replayed = Strategy(), Strategy()
    shell = Offerer(live.on_event)
    frames = [frame(seq) for seq in range(20)]
    for item in frames:
        shell.offer(item)
    shell.delivery.wait()
    assert shell.delivery.errors == 1
    (word,) = shell.delivery.take_words()
    assert "raised ZeroDivisionError" in word
    assert "in a timer; recording goes on" in word
    interpreter, clock = Interpreter(), DataClock()
    timers = Timers(clock)
    context = SimpleNamespace(
        clock=clock, books=interpreter.books, every=timers.every, at=lambda *_: None
    )
    for item in frames:
        timers.fire(item.ts_recv, context)
        clock.advance(item.ts_recv)
        for event in interpreter.step(item):
            replayed.on_event(event, context)
    assert live.seen == replayed.seen
    assert sum(item[0] == "tick" for item in live.seen) == 12


def test_what_a_slow_handler_misses_is_one_lost_and_the_books_are_right_after_it() -> None:
    gate = Gate()
    shell = Offerer(gate, queue_bytes=20_000)
    for seq in range(1_000):
        shell.offer(frame(seq))
        assert shell.delivery.waiting_bytes <= 20_000
    missed = shell.delivery.lost
    assert 0 < missed < 1_000
    gate.open.set()
    until(lambda: shell.delivery.waiting_bytes == 0)
    for seq in range(1_000, 1_010):
        shell.offer(frame(seq))
    shell.delivery.wait()
    told = [event for event in gate.seen if isinstance(event, Lost)]
    first = 1_000 - missed
    size = sum(len(payload(seq)) for seq in range(first, 1_000))
    assert told == [Lost(999, 0, 999 * S, -1, first, 999, missed, size, "handler too slow")], (
        "once for the whole episode"
    )
    seen = [event.seq for event in gate.seen if not isinstance(event, Lost)]
    assert seen == [*range(first), *range(1_000, 1_010)]
    at = gate.seen.index(told[0])
    until_then = Interpreter()
    for seq in range(1_000):
        until_then.step(frame(seq))
    assert gate.books[at] == state(until_then.books), "the loss itself sees the books after it"
    assert gate.books[-1] == state(shell.live.books)
    assert shell.delivery.lost == missed
    assert ["too slow" in words for words in shell.delivery.take_words()] == [True]


def test_a_second_episode_is_told_apart_and_waits_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Saving the live state costs the event loop: not again at once, however fast the handler."""
    monkeypatch.setattr(lane, "_RESUME_SPACING", 3_600 * S)
    gate = Gate()
    shell = Offerer(gate, queue_bytes=5_000)
    seq = 0

    def overflow() -> None:
        nonlocal seq
        before = shell.delivery.lost
        while shell.delivery.lost == before:
            shell.offer(frame(seq))
            seq += 1

    overflow()
    gate.open.set()
    until(lambda: shell.delivery.waiting_bytes == 0)
    shell.offer(frame(seq))
    seq += 1
    gate.open.clear()
    overflow()
    gate.open.set()
    until(lambda: shell.delivery.waiting_bytes == 0)
    before = shell.delivery.lost
    shell.offer(frame(seq))
    assert shell.delivery.lost == before + 1, "the hour is not over"
    monkeypatch.setattr(shell.delivery.lane, "_resume_from", 0)
    shell.offer(frame(seq + 1))
    shell.delivery.wait()
    told = [event for event in gate.seen if isinstance(event, Lost)]
    assert len(told) == 2
    assert sum(event.count or 0 for event in told) == shell.delivery.lost
    assert gate.seen[-1].seq == seq + 1
    assert gate.books[-1] == state(shell.live.books)


def test_a_loss_that_is_still_going_on_at_the_end_is_told_too() -> None:
    gate = Gate()
    shell = Offerer(gate, queue_bytes=5_000)
    for seq in range(100):
        shell.offer(frame(seq))
    shell.delivery.finish()
    gate.open.set()
    shell.delivery.wait()
    last = gate.seen[-1]
    assert isinstance(last, Lost)
    assert (last.last_seq, last.count) == (99, shell.delivery.lost)


def test_one_message_longer_than_the_queue_goes_through_when_nothing_waits() -> None:
    gate = Gate()
    gate.open.set()
    shell = Offerer(gate, queue_bytes=1_000)
    shell.offer(frame(0, b"x" * 50_000))
    until(lambda: shell.delivery.waiting_bytes == 0)
    shell.offer(frame(1, b"y"))
    shell.delivery.wait()
    assert [event.seq for event in gate.seen] == [0, 1]


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_handler_raises_is_counted_and_told_five_times(error: BaseException) -> None:
    def raises(event: Event, context: Any) -> None:
        raise error

    shell = Offerer(raises)
    shell.offer(*(frame(seq) for seq in range(9)))
    shell.delivery.wait()
    words = shell.delivery.take_words()
    assert (shell.delivery.errors, shell.delivery.lost, len(words)) == (9, 0, 5)
    assert all(type(error).__name__ in line and "test_delivery.py" in line for line in words)


def test_a_handler_that_never_returns_is_left_behind() -> None:
    gate = Gate()
    shell = Offerer(gate)
    shell.offer(*(frame(seq) for seq in range(50)))
    thread = next(item for item in threading.enumerate() if item.name == "recorder-handler")
    began = time.monotonic()
    shell.delivery.wait(0.05)
    assert time.monotonic() - began < 5
    assert thread.is_alive()
    assert thread.daemon, "it does not keep the process alive"
    assert shell.delivery.lost == 50
    (words,) = shell.delivery.take_words()
    assert "had not seen the last 50 frames" in words
    gate.open.set()
    thread.join(60)
    assert not thread.is_alive()
    assert len(gate.seen) <= 1, "it goes no further than the event in hand"


def test_the_threads_take_turns_quickly_while_there_is_a_handler() -> None:
    before = sys.getswitchinterval()
    shell = Offerer(lambda event, context: None)
    assert sys.getswitchinterval() <= 0.0005
    shell.delivery.wait()
    assert sys.getswitchinterval() == before


def test_the_capture_is_whole_whatever_the_handler_does(tmp_path: Path) -> None:
    """Reads go on at once, and what is lost to the handler is not lost to the capture."""
    gate = Gate()
    writer = CaptureWriter(tmp_path / "c")
    told: list[str] = []
    pipeline = Pipeline(
        writer, handler=gate, handler_queue_bytes=50_000, digest=True, notify=told.append
    )
    pipeline.begin({}, Stamp(S, S))
    number = 0
    for read in range(500):
        messages = [(Kind.TEXT, payload(number + i)) for i in range(10)]
        number += 10
        pipeline.received(0, messages, Stamp(2 * S + read, 2 * S + read))
    assert gate.seen == [], "the handler has not moved, and all that was taken meanwhile"
    gate.open.set()
    pipeline.close()
    pipeline.tell()
    counts = pipeline.counts
    assert counts.handler_lost > 0
    assert counts.lost == 0
    assert sum("too slow" in words for words in told) == 1
    capture = Capture(tmp_path / "c")
    assert sum(1 for item in capture.frames() if item.kind is Kind.TEXT) == 5_000
    again = EventDigest()
    for event in capture.events():
        again.update([event])
    assert pipeline.event_digest is not None
    assert again.hexdigest() == pipeline.event_digest.hexdigest()
    updates = [event for event in gate.seen if isinstance(event, BookUpdate)]
    assert 0 < len(updates) < 5_000


async def test_what_a_handler_sees_live_is_what_a_replay_gives(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*(payload(number) for number in range(300)))
        await socket.send(payload(400), b"\xff", b"")

    seen = EventDigest()
    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast, digest=True,
            until_closed=True, on_event=lambda event, _: seen.update([event]),
        )  # fmt: skip
    assert report.handler_lost == 0
    assert seen.hexdigest() == report.output_digest
    again = EventDigest()
    for event in Capture(tmp_path / "c").events():
        again.update([event])
    assert again.hexdigest() == report.output_digest


async def test_a_handler_that_stands_still_holds_up_no_recording(
    venue_of: Any, tmp_path: Path, fast: LinkOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "DRAIN_SECONDS", 0.05)
    release = threading.Event()

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*(payload(number) for number in range(200)))

    told: list[str] = []
    async with venue_of(script) as venue:
        async with asyncio.timeout(60):
            report = await record(
                tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast,
                until_closed=True, on_event=lambda *_: release.wait(), notify=told.append,
            )  # fmt: skip
    release.set()
    frames = list(Capture(tmp_path / "c").frames())
    assert [item.payload for item in frames if item.kind is Kind.TEXT][1:] == [
        payload(number) for number in range(200)
    ]
    assert report.handler_lost == len(frames) == report.frames
    assert any("is left behind" in words for words in told)


def test_frames_the_disk_did_not_keep_are_counted_told_and_end_the_digest(tmp_path: Path) -> None:
    losses = [
        [Loss(connection=0, first_seq=5, last_seq=9, count=5, bytes=50, cause="disk full")],
        [],
        [],
        [],
    ]
    told: list[str] = []
    pipeline = Pipeline(
        CaptureWriter(tmp_path / "c"), digest=True, notify=told.append,
        take_losses=lambda: losses.pop(0),
    )  # fmt: skip
    pipeline.begin({}, Stamp(S, S))
    pipeline.tick(Stamp(2 * S, 2 * S))
    assert pipeline.counts.lost == 5
    assert pipeline.event_digest is None, "the capture no longer holds what was interpreted"
    assert len(told) == 1
    assert "5 frames, seq 5 to 9, could not be kept (disk full)" in told[0]
    pipeline.close()


def test_a_strategy_of_methods_is_started_hears_its_timers_and_is_stopped() -> None:
    class Strategy:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_start(self, context: Any) -> None:
            self.seen.append(("start", context.clock.now() // S))
            context.after(3 * S // 2)

        def on_book(self, event: Event, context: Any) -> None:
            self.seen.append(event.seq)

        def on_timer(self, timer: Any, context: Any) -> None:
            self.seen.append(("timer", context.clock.now() / S))

        def on_stop(self, context: Any) -> None:
            self.seen.append("stop")

    strategy = Strategy()
    shell = Offerer(strategy)
    shell.offer(frame(1, payload(0)), frame(2, payload(1)), frame(3, payload(2)))
    shell.delivery.wait()
    assert strategy.seen == [("start", 1), 1, 2, ("timer", 2.5), 3, "stop"]
    assert (shell.delivery.errors, shell.delivery.take_words()) == (0, [])
