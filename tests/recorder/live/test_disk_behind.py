"""A disk that is behind: a venue is read on, a server on this machine may wait, books heal."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.journal.room import Disk
from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import ExitCode
from recorder.event import BookUpdate, Event, Lost, SequenceGap
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.live.pipeline import Pipeline
from recorder.okx.interpreter import Interpreter

QUEUE_BYTES = 20_000
UPDATES = 500


class Stalling(Disk):
    """Writes nothing while the gate is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        self.gate.wait(60)
        return super().writev(fd, buffers)


def book(action: str, seq: int, previous: int) -> bytes:
    return (
        f'{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"{action}","data":[{{"asks":'
        f'[["1.6","{seq}","0","1"]],"bids":[["1.5","1","0","1"]],"ts":"1790000000100",'
        f'"checksum":0,"seqId":{seq},"prevSeqId":{previous}}}]}}'
    ).encode()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what threads do, but not for ever."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def record_past_a_stall(
    venue_of: Any, out: Path, link: LinkOptions, monkeypatch: Any, *, resync: bool = True
) -> tuple[Any, list[dict[str, Any]]]:
    """Record a book whose updates come while the disk stands still, more than the queue holds."""
    disk, writers = Stalling(), []
    seen: list[Event] = []

    def writer_of(*args: Any, **options: Any) -> CaptureWriter:
        writers.append(CaptureWriter(*args, disk=disk, **options))
        return writers[0]

    monkeypatch.setattr("recorder.live.recording.CaptureWriter", writer_of)
    monkeypatch.setattr("recorder.live.recording.is_loopback", lambda _: False)
    monkeypatch.setattr("recorder.capture.writing.drain._LEAST_QUEUE_BYTES", 1)

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(book("snapshot", 0, -1))
        await until(lambda: any(isinstance(event, BookUpdate) for event in seen))
        await until(lambda: writers[0].written_seq == writers[0].next_seq - 1)
        disk.gate.clear()
        before = writers[0].next_seq
        for seq in range(1, UPDATES):
            await socket.send(book("update", seq, seq - 1))
        await until(lambda: writers[0].next_seq >= before + UPDATES - 1)
        disk.gate.set()
        await until(lambda: writers[0].written_seq == writers[0].next_seq - 1)
        await socket.send(book("update", UPDATES, UPDATES - 1))
        if resync:
            await socket.until_subscribed(2)
            await socket.send(book("snapshot", 900, -1), book("update", 901, 900))
        else:
            await asyncio.sleep(1.5)  # longer than the recorder takes to look at its losses

    async with venue_of(script) as venue:
        report = await record(
            out, ["books:BTC-USDT"], url=venue.url, rest=False, until_closed=True,
            on_event=lambda event, _: seen.append(event),
            link=LinkOptions(
                open_timeout=link.open_timeout, close_timeout=link.close_timeout, resync=resync
            ),
            writer_options=WriterOptions(queue_bytes=QUEUE_BYTES),
        )  # fmt: skip
        asked = [json.loads(item) for item in venue.sockets[0].received]
    return report, asked


async def test_a_stalled_disk_stalls_no_venue_and_its_books_begin_anew(
    venue_of: Any, tmp_path: Path, fast: LinkOptions, monkeypatch: Any
) -> None:
    out = tmp_path / "c"
    report, asked = await record_past_a_stall(venue_of, out, fast, monkeypatch)
    assert (report.pauses, report.exit_code) == (0, ExitCode.LOSS)
    assert report.lost > 0
    assert report.gaps == 0, "the recorder itself has missed nothing"
    assert [item["op"] for item in asked] == ["subscribe", "unsubscribe", "subscribe"]
    interpreter = Interpreter()
    events = [event for frame in Capture(out).frames() for event in interpreter.step(frame)]
    assert sum(event.count or 0 for event in events if isinstance(event, Lost)) == report.lost
    assert any(isinstance(event, SequenceGap) for event in events)
    last = [frame for frame in Capture(out).frames() if frame.kind is Kind.TEXT][-1]
    before_the_end = Interpreter()
    for frame in Capture(out).frames(last_seq=last.seq):
        before_the_end.step(frame)
    held = before_the_end.books["BTC-USDT"]
    assert (held.is_whole, held.seq_id) == (True, 901)
    assert verify(out).exit_code == ExitCode.LOSS


async def test_without_resync_a_book_is_left_as_it_is(
    venue_of: Any, tmp_path: Path, fast: LinkOptions, monkeypatch: Any
) -> None:
    out = tmp_path / "c"
    report, asked = await record_past_a_stall(venue_of, out, fast, monkeypatch, resync=False)
    assert report.lost > 0
    assert [item["op"] for item in asked] == ["subscribe"]


@pytest.mark.parametrize("may_wait", [True, False])
def test_only_who_can_wait_is_made_to(tmp_path: Path, may_wait: bool) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(queue_bytes=1_000)) as writer:
        pipeline = Pipeline(writer, may_wait=may_wait)
        writer._appender._drain.queued_bytes = 1_000
        assert pipeline.congested is may_wait
        writer._appender._drain.queued_bytes = 0
