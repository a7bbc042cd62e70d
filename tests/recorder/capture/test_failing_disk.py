"""What a writer does when system calls fail: nothing is lost unsaid, nothing is there twice.

`Disk` is the border to the system: the tests make its calls fail, the files are real.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import eq
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture.expiry.retention import expire_oldest
from recorder.capture.journal.room import RESERVE_FILE, Disk
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.capture.writing.drain import LOOK_S
from recorder.errors import DiskFailed, DiskFull, ExitCode, InternalError, RecorderError
from recorder.frame import Frame, Kind

PATIENCE_S = 60
"""Nothing takes so long, but a sealer is polite and this machine may be busy."""
START = 1_793_606_400_000_000_000
MIB = 1 << 20


def frames_of(count: int, *, first_seq: int = 0, size: int = 100) -> list[Frame]:
    return [
        Frame(
            seq, START + seq * 1000, seq * 1000, seq % 3, Kind.TEXT, seq.to_bytes(4) * (size // 4)
        )
        for seq in range(first_seq, first_seq + count)
    ]


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds, and go on holding: it is asked once more."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert holds()


class Faulty(Disk):
    """Fails the calls whose numbers are given, counted from 1 per name; keeps what was done."""

    def __init__(self, **failing: tuple[int, Callable[[int], bool]]) -> None:
        self.failing = failing
        self.calls: Counter[str] = Counter()
        self.failed_files: list[str] = []
        self._spoiled: list[str] = []
        self.synced_after_failure: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def _meet(self, name: str, fd: int | None = None) -> None:
        self.before()
        self.calls[name] += 1
        file = "" if fd is None else os.readlink(f"/proc/self/fd/{fd}").removesuffix(".tmp")
        if name == "fdatasync" and file in self.failed_files:
            self.synced_after_failure.append(file)
        code, is_due = self.failing.get(name, (0, lambda _: False))
        if is_due(self.calls[name]):
            if name == "fdatasync" and code == errno.EIO:
                self.failed_files.append(file)
            elif name == "writev" and code == errno.EIO:
                self._spoiled.append(file)
            raise OSError(code, os.strerror(code))

    def create(self, path: Path, mode: int) -> int:
        # The other thread may be about to sync a file in the moment in which a write to it fails;
        # once the next one is begun, it must know.
        self.failed_files += self._spoiled
        self._spoiled.clear()
        self._meet("create")
        return super().create(path, mode)

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        try:
            self._meet("writev", fd)
        except OSError:
            # As the kernel does: some of it fits, then no more.
            if self.calls["writev"] % 2:
                os.write(fd, bytes(buffers[0])[:7])
            raise
        return super().writev(fd, buffers)

    def fdatasync(self, fd: int) -> None:
        self._meet("fdatasync", fd)
        super().fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        self._meet("sync_directory")
        super().sync_directory(path)

    def truncate(self, fd: int, size: int) -> None:
        self._meet("truncate")
        super().truncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        self._meet("rename")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._meet("unlink")
        super().unlink(path)


def only(*numbers: int) -> Callable[[int], bool]:
    return lambda number: number in numbers


def from_on(first: int) -> Callable[[int], bool]:
    return lambda number: number >= first


class Small(Disk):
    """A disk of which a test says how much is free; a journal's bytes take from it."""

    def __init__(self, free: int) -> None:
        self.free = free

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        fits, taken = [], 0
        for buffer in buffers:
            part = memoryview(buffer)[: max(self.free - taken, 0)]
            taken += len(part)
            if part:
                fits.append(part)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = super().writev(fd, fits)
        self.free -= done
        return done

    def allocate(self, fd: int, size: int) -> None:
        if size > self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.free -= size

    def unlink(self, path: Path) -> None:
        if path.name == RESERVE_FILE and path.exists():
            self.free += 4 * MIB
        super().unlink(path)

    def free_bytes(self, path: Path) -> int:
        return self.free


def lost_rows(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(frame.payload) for frame in frames if frame.kind is Kind.LOST]


def assert_conserved(path: Path, sent: Sequence[Frame]) -> list[dict[str, Any]]:
    """Every frame is there, or its number lies in a `lost` row whose figures are right."""
    kept = list(Capture(path).frames())
    by_seq = {frame.seq: frame for frame in sent}
    expected = 0
    for frame in kept:
        assert frame.seq == expected
        expected += 1
        if frame.kind is Kind.LOST:
            row = msgspec.json.decode(frame.payload)
            gone = [by_seq[seq] for seq in range(row["first_seq"], row["last_seq"] + 1)]
            assert (row["first_seq"], row["count"]) == (frame.seq, len(gone))
            assert row["bytes"] == sum(len(one.payload) for one in gone)
            assert (frame.ts_recv, frame.ts_mono) == (gone[0].ts_recv, gone[0].ts_mono)
            expected = row["last_seq"] + 1
        else:
            assert frame == by_seq[frame.seq]
    assert expected == len(sent)
    return lost_rows(kept)


# --- a disk that fails ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("fdatasync", number) for number in (2, 3, 5, 6)),
        *(("writev", number) for number in (2, 3, 6, 7)),
        ("sync_directory", 2),
        ("create", 3),
    ],
)
@pytest.mark.parametrize("journal", ["write-through", "block"])
def test_one_failed_call_costs_no_frame(
    tmp_path: Path, name: str, number: int, journal: Any
) -> None:
    disk = Faulty(**{name: (errno.EIO, only(number))})
    # The reserve is created before the journal: the first of its calls are the writer's start.
    frames = frames_of(300)
    options = WriterOptions(segment_bytes=20_000, sync_ms=2, journal=journal, flush_ms=2)
    try:
        writer = CaptureWriter(tmp_path / "c", options=options, disk=disk)
    except DiskFailed as error:
        assert "its disk fails" in str(error)  # noqa: PT017 - one of the first calls, for some
        return
    with writer:
        for at in range(0, 300, 25):
            writer.write(frames[at : at + 25])
            writer.flush(PATIENCE_S)
            assert writer.durable_seq <= writer.written_seq
            read = list(Capture(tmp_path / "c").frames(report=(report := ReadReport())))
            assert read == frames[: at + 25]
            assert report.problems == []
            # Else a slow machine syncs so rarely that the call in question never comes.
            until(lambda last=frames[at + 24].seq: writer.durable_seq == last)
        if number > 3 and name in ("fdatasync", "writev"):
            assert writer.take_notes()
    assert disk.calls[name] >= number or number > 3
    assert disk.synced_after_failure == []
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert os.listdir(tmp_path / "c/journal") == []
    assert verify(tmp_path / "c").exit_code == ExitCode.DONE


@pytest.mark.parametrize("name", ["fdatasync", "writev"])
def test_killed_at_any_call_of_a_rescue(tmp_path: Path, name: str) -> None:
    """The directory as it is before each call, read and recovered: whole, once, in order."""
    disk = Faulty(**{name: (errno.EIO, only(8))})
    frames = frames_of(200)
    options = WriterOptions(segment_bytes=10**6, sync_ms=10**6)
    copies: list[tuple[Path, int, int]] = []
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:

        def keep() -> None:
            if disk.calls[name] >= 7 and len(copies) < 40:
                copy = tmp_path / f"copy-{len(copies)}"
                shutil.copytree(tmp_path / "c", copy, ignore=shutil.ignore_patterns("status*"))
                copies.append((copy, writer.written_seq, writer.durable_seq))

        for at in range(0, 200, 10):
            writer.write(frames[at : at + 10])
            writer.flush(PATIENCE_S)
            disk.before = keep
            if at % 20 == 0 or name == "fdatasync":
                writer._appender._syncer.hurry()
                until(lambda last=at + 9: writer.durable_seq >= last)
        disk.before = lambda: None
    assert copies
    for copy, written, durable in copies:
        read = list(Capture(copy).frames(report=(report := ReadReport())))
        assert read == frames[: len(read)]
        assert len(read) >= max(written, durable) + 1
        assert report.problems == []
        recover(copy)
        again = list(Capture(copy).frames())
        assert again[:-1] == read
        assert lost_rows(again)[0]["cause"] == "killed"
        assert verify(copy).exit_code == ExitCode.LOSS
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_a_disk_that_fails_for_good_stops_the_recording(tmp_path: Path) -> None:
    disk = Faulty(fdatasync=(errno.EIO, from_on(4)), writev=(errno.EIO, from_on(6)))
    frames = frames_of(100)
    writer = CaptureWriter(tmp_path / "c", options=WriterOptions(sync_ms=2), disk=disk)
    with pytest.raises(DiskFailed, match="also in a new file") as caught:  # noqa: PT012
        for frame in frames:
            writer.write([frame])
            writer.flush(PATIENCE_S)
    assert caught.value.exit_code == ExitCode.DISK_FAILED
    durable = writer.durable_seq
    with pytest.raises(DiskFailed, match=r"frames from \d+ on were received and are not on"):
        writer.close()
    assert disk.synced_after_failure == []
    # The same bytes, read by the next recorder on a disk that works.
    with CaptureWriter(tmp_path / "c", append=True) as again:
        first = again.next_seq
        again.write(frames_of(5, first_seq=first))
    kept = [frame for frame in Capture(tmp_path / "c").frames() if frame.kind is Kind.TEXT]
    assert kept[:-5] == frames[: len(kept) - 5]
    assert len(kept) - 5 >= durable + 1
    assert [row["cause"] for row in lost_rows(list(Capture(tmp_path / "c").frames()))] == ["killed"]


def test_the_last_sync_may_fail_too(tmp_path: Path) -> None:
    disk = Faulty()
    frames = frames_of(50)
    options = WriterOptions(sync_ms=10**6)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        writer.write(frames)
        writer.flush(PATIENCE_S)
        disk.failing = {"fdatasync": (errno.EIO, only(disk.calls["fdatasync"] + 1))}
    assert writer.durable_seq == 49
    assert disk.synced_after_failure == []
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").exit_code == ExitCode.DONE


# --- a full disk ---------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["write-through", "block"])
def test_stop_ends_with_everything_before_and_a_row_for_the_rest(
    tmp_path: Path, journal: Any
) -> None:
    disk = Small(4 * MIB + 30_000)
    frames = frames_of(30_000, size=1000)
    options = WriterOptions(journal=journal, flush_ms=5)
    writer = CaptureWriter(tmp_path / "c", options=options, disk=disk)
    sent = 0
    with pytest.raises(DiskFull, match="the disk is full"):  # noqa: PT012
        while True:
            batch = frames[sent : sent + 500]
            sent += 500
            writer.write(batch)
            writer.flush(PATIENCE_S)
    for at in range(sent, sent + 5000, 500):  # rows of sockets that close, and what is in flight
        with pytest.raises(DiskFull):
            writer.write(frames[at : at + 500])
    sent += 5000
    with pytest.raises(DiskFull):
        writer.close()
    rows = assert_conserved(tmp_path / "c", frames[:sent])
    assert [row["cause"] for row in rows] == ["disk full"]
    assert sum(loss.count for loss in writer.take_losses()) == rows[0]["count"]
    assert verify(tmp_path / "c").exit_code == ExitCode.LOSS
    assert Capture(tmp_path / "c").info().lost == rows[0]["count"]
    with CaptureWriter(tmp_path / "c", append=True) as again:
        assert again.next_seq == sent
        again.write(frames_of(3, first_seq=sent))
    assert verify(tmp_path / "c").exit_code == ExitCode.LOSS
    assert not (tmp_path / "c" / RESERVE_FILE).exists()


def test_wait_goes_on_within_a_second_of_room(tmp_path: Path) -> None:
    disk = Small(4 * MIB + 30_000)
    frames = frames_of(2_000, size=1000)
    options = WriterOptions(on_disk_full="wait")
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        writer.write(frames[:20])
        writer.flush(PATIENCE_S)
        for at in range(20, 2_000, 20):
            writer.write(frames[at : at + 20])
        until(lambda: writer._appender.is_waiting)
        written = writer.written_seq
        assert 19 <= written < 100
        read = list(Capture(tmp_path / "c").frames(report=(report := ReadReport())))
        assert (read, report.problems) == (frames[: written + 1], [])
        until(lambda: writer.durable_seq == written)
        disk.free = 50 * MIB
        assert LOOK_S < 1
        until(lambda: writer.written_seq == 1_999)
        notes = " / ".join(writer.take_notes())
        assert notes.index("is full") < notes.index("there is room")
    assert assert_conserved(tmp_path / "c", frames) == []
    assert Capture(tmp_path / "c").info().segments == 2
    assert verify(tmp_path / "c").exit_code == ExitCode.DONE


def test_wait_drops_the_oldest_when_its_memory_ends(tmp_path: Path) -> None:
    disk = Small(4 * MIB + 30_000)
    frames = frames_of(60_000, size=1000)
    options = WriterOptions(on_disk_full="wait", wait_bytes=20 * MIB, segment_bytes=8 * MIB)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        for at in range(0, 60_000, 500):
            writer.write(frames[at : at + 500])
            if at == 1000:
                until(lambda: writer._appender.is_waiting)
            assert writer.queued_bytes < 21 * MIB
        disk.free = 200 * MIB
        until(lambda: writer.written_seq == 59_999)
        losses = writer.take_losses()
        assert [loss.cause for loss in losses] == ["disk full"]
        assert (losses[0].first_seq, losses[0].connection) == (writer_first_lost(tmp_path), -1)
    rows = assert_conserved(tmp_path / "c", frames)
    assert [row["count"] for row in rows] == [losses[0].count]
    assert rows[0]["last_seq"] == losses[0].last_seq
    report = verify(tmp_path / "c")
    assert (report.exit_code, report.problems) == (ExitCode.LOSS, [])


def writer_first_lost(path: Path) -> int:
    return next(iter(Capture(path / "c").frames(kinds=[Kind.LOST]))).seq


def test_a_recorder_that_ends_while_it_waits_leaves_the_row(tmp_path: Path) -> None:
    disk = Small(4 * MIB + 30_000)
    frames = frames_of(20_000, size=1000)
    options = WriterOptions(on_disk_full="wait")
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        writer.write(frames[:10_000])
        until(lambda: writer._appender.is_waiting)
        for at in range(10_000, 20_000, 100):
            writer.write(frames[at : at + 100])
    (row,) = assert_conserved(tmp_path / "c", frames)
    assert row["count"] > 10_000
    assert verify(tmp_path / "c").exit_code == ExitCode.LOSS


def test_full_twice_and_killed_in_between(tmp_path: Path) -> None:
    disk = Small(4 * MIB + 30_000)
    frames = frames_of(40_000, size=1000)
    options = WriterOptions(on_disk_full="wait", wait_bytes=16 * MIB)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        for begin in (0, 20_000):
            writer.write(frames[begin : begin + 100])
            until(lambda: writer._appender.is_waiting)
            for at in range(begin + 100, begin + 20_000, 100):
                writer.write(frames[at : at + 100])
            disk.free = 24 * MIB
            until(lambda last=begin + 19_999: writer.written_seq == last)
            disk.free = 4000
            shutil.copytree(tmp_path / "c", tmp_path / f"killed-{begin}")
        disk.free = 100 * MIB
    assert len(assert_conserved(tmp_path / "c", frames)) == 2
    for begin in (0, 20_000):
        copy = tmp_path / f"killed-{begin}"
        read = list(Capture(copy).frames())
        recover(copy)
        assert list(Capture(copy).frames())[:-1] == read
        assert verify(copy).exit_code == ExitCode.LOSS


def test_ring_has_the_oldest_segments_deleted(tmp_path: Path) -> None:
    frames = frames_of(3_000, size=1000)
    options = WriterOptions(on_disk_full="ring", segment_bytes=200_000)

    class Ring(Small):
        """What leaves `frames/` is free again."""

        def free_bytes(self, path: Path) -> int:
            sealed = sum(p.stat().st_size for p in path.glob("frames/*/*.parquet"))
            if sealed < self.sealed:
                self.free += 10 * MIB
            self.sealed = sealed
            return self.free

        sealed = 0

    disk = Ring(50 * MIB)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        writer.write(frames[:2_000])
        writer.flush(PATIENCE_S)
        writer._sealer.wait_below(1)
        until(lambda: len(list(tmp_path.glob("c/frames/*/*.parquet"))) >= 5)
        disk.free_bytes(tmp_path / "c")
        disk.free = 0
        writer.write(frames[2_000:])
        until(lambda: writer.written_seq == 2_999)
        until(lambda: writer._sealer.removed > 0)
        assert any("let go" in note for note in writer.take_notes())
    kept = list(Capture(tmp_path / "c").frames())
    assert kept == frames[kept[0].seq :]
    assert kept[0].seq > 0
    assert verify(tmp_path / "c").ok


def test_what_must_stay_free_counts_as_full(tmp_path: Path) -> None:
    disk = Small(100 * MIB)
    frames = frames_of(300)
    options = WriterOptions(on_disk_full="wait", keep_free=50 * MIB)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        writer.write(frames[:100])
        writer.flush(PATIENCE_S)
        disk.free = 49 * MIB
        writer.write(frames[100:200])
        until(lambda: writer._appender.is_waiting)
        assert disk.free >= 48 * MIB
        disk.free = 80 * MIB
        until(lambda: writer.written_seq == 199)
        writer.write(frames[200:])
        assert writer.forecast.free is not None
        assert writer.forecast.free < 31 * MIB
    assert assert_conserved(tmp_path / "c", frames) == []
    with pytest.raises(DiskFull, match="expected room for a capture"):
        CaptureWriter(tmp_path / "d", options=WriterOptions(keep_free=1 << 60))


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (errno.EIO, DiskFailed, ExitCode.DISK_FAILED),
        (errno.ENOSPC, DiskFull, ExitCode.DISK_FULL),
        (errno.EROFS, RecorderError, ExitCode.USAGE),
    ],
)
def test_a_disk_that_refuses_the_first_file(
    tmp_path: Path, code: int, kind: type[RecorderError], exit_code: ExitCode
) -> None:
    with pytest.raises(kind) as caught:
        CaptureWriter(tmp_path / "c", disk=Faulty(create=(code, only(2))))
    assert caught.value.exit_code == exit_code


# --- a slow disk ---------------------------------------------------------------------------------


class Stalling(Disk):
    """Holds every write until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        self.gate.wait(PATIENCE_S)
        return super().writev(fd, buffers)


def test_a_stalled_disk_climbs_the_ladder_and_drops_last(tmp_path: Path) -> None:
    disk = Stalling()
    frames = frames_of(40_000, size=1000)
    options = WriterOptions(queue_bytes=20 * MIB)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        writer.write(frames[:100])
        writer.flush(PATIENCE_S)
        disk.gate.clear()
        took = list[float]()
        for at in range(100, 40_000, 100):
            began = time.thread_time()
            writer.write(frames[at : at + 100])
            took.append(time.thread_time() - began)
            assert writer.queued_bytes < 21 * MIB
        # All but a few of 400: a garbage collection of other tests' objects may fall into one.
        assert sorted(took)[-8] < 0.01
        assert writer.congested
        disk.gate.set()
        until(lambda: writer.written_seq == 39_999)
        notes = writer.take_notes()
        losses = writer.take_losses()
    words = ("compressed", "sealing paused", "less compression", "dropped", "caught up")
    assert [next(word for word in words if word in note) for note in notes] == list(words)
    rows = assert_conserved(tmp_path / "c", frames)
    assert [row["count"] for row in rows] == [loss.count for loss in losses]
    assert {loss.cause for loss in losses} == {"disk too slow"}
    assert verify(tmp_path / "c").exit_code == ExitCode.LOSS


def test_a_sync_that_stalls_holds_writing_but_not_the_caller(tmp_path: Path) -> None:
    """Memory for what is written and not durable is bounded: then frames wait in the queue."""

    class Holding(Disk):
        def __init__(self) -> None:
            self.gate = threading.Event()

        def fdatasync(self, fd: int) -> None:
            if threading.current_thread().name == "journal-sync":
                self.gate.wait(PATIENCE_S)
            super().fdatasync(fd)

    disk = Holding()
    frames = frames_of(900, size=100_000)  # more than may be held
    options = WriterOptions(sync_ms=1, segment_bytes=1 << 30)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        for at in range(0, 900, 10):
            writer.write(frames[at : at + 10])
        until(lambda: writer._appender.unsynced_bytes > 64 * MIB)
        time.sleep(0.1)
        assert writer._appender.unsynced_bytes < 80 * MIB
        assert writer.durable_seq == -1
        disk.gate.set()
    assert writer.durable_seq == 899
    assert all(map(eq, Capture(tmp_path / "c").frames(), frames))
    assert Capture(tmp_path / "c").info().frames == 900


@pytest.mark.parametrize("held", ["fdatasync", "sync_directory"])
def test_a_roll_does_not_wait_for_the_disk(tmp_path: Path, held: str) -> None:
    """What waits in memory dies with the process: however slow a sync is, frames go out."""

    class Holding(Disk):
        def __init__(self) -> None:
            self.gate = threading.Event()
            self.threads: set[str] = set()

        def _hold(self, name: str) -> None:
            if name == held and not is_starting:
                self.threads.add(threading.current_thread().name)
                self.gate.wait(PATIENCE_S)

        def fdatasync(self, fd: int) -> None:
            self._hold("fdatasync")
            super().fdatasync(fd)

        def sync_directory(self, path: Path) -> None:
            self._hold("sync_directory")
            super().sync_directory(path)

    is_starting, disk = True, Holding()
    frames = frames_of(1_000)
    options = WriterOptions(sync_ms=1, segment_bytes=20_000)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        is_starting = False
        for at in range(0, 1_000, 100):
            writer.write(frames[at : at + 100])
        writer.flush(PATIENCE_S)
        assert list(Capture(tmp_path / "c").frames()) == frames
        assert writer._appender.segment > 5
        assert writer.durable_seq < 999
        assert disk.threads <= {"journal-sync"}
        disk.gate.set()
    assert writer.durable_seq == 999
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_an_end_counts_as_durable_behind_the_beginning_of_the_next(tmp_path: Path) -> None:
    """Else a sealed segment could look like the end of the recording after a power cut."""

    class Listing(Disk):
        def __init__(self) -> None:
            self.synced: list[str] = []

        def fdatasync(self, fd: int) -> None:
            super().fdatasync(fd)
            self.synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)

        def sync_directory(self, path: Path) -> None:
            names = sorted(file.name for file in path.glob("*.wal"))
            super().sync_directory(path)
            self.synced.append(" ".join(names))

    disk, retired = Listing(), dict[int, int]()
    options = WriterOptions(sync_ms=1, segment_bytes=20_000)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        handed_on = writer._appender._syncer._on_retired

        def keep(segment: int) -> None:
            retired[segment] = len(disk.synced)
            handed_on(segment)

        writer._appender._syncer._on_retired = keep
        for at in range(0, 600, 100):
            writer.write(frames_of(100, first_seq=at))
            until(lambda last=at + 99: writer.durable_seq == last)
        last = writer._appender.segment
    assert sorted(retired) == list(range(last + 1))
    for segment in range(last):
        before = disk.synced[: retired[segment]]
        name, following = f"{segment:06d}.wal", f"{segment + 1:06d}.wal"
        anchored = [at for at, entry in enumerate(before) if following in entry.split()]
        assert before[anchored[0]] == following, "its header, then its name"
        assert any(" " in before[at] or before[at] == following for at in anchored[1:])
        assert before[-1] == name


def test_a_disk_that_never_answers_does_not_hold_the_end_for_ever(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("recorder.capture.writer.PATIENCE_S", 0.3)
    disk = Stalling()
    writer = CaptureWriter(tmp_path / "c", disk=disk)
    disk.gate.clear()
    writer.write(frames_of(10))
    with pytest.raises(DiskFailed, match="has hung for"):
        writer.close()
    disk.gate.set()
    writer._appender._drain.thread.join(PATIENCE_S)


# --- blocks --------------------------------------------------------------------------------------


def test_a_block_is_cut_by_age_by_size_and_by_a_life_row(tmp_path: Path) -> None:
    options = WriterOptions(journal="block", flush_ms=50)
    with CaptureWriter(tmp_path / "age", options=options) as writer:
        ages = []
        for frame in frames_of(20):
            began = time.monotonic()
            writer.write([frame])
            until(lambda last=frame.seq: writer.written_seq == last)
            ages.append(time.monotonic() - began)
        # A timer that waits for the next frame would never fire here.
        assert min(ages) > 0.045
    options = WriterOptions(journal="block", flush_ms=60_000)
    with CaptureWriter(tmp_path / "else", options=options) as writer:
        frames = frames_of(1000, size=2000)
        writer.write(frames[:10])
        time.sleep(0.05)
        assert writer.written_seq == -1
        writer.write(frames[10:])
        until(lambda: writer.written_seq == 999)
        (frame,) = frames_of(1, first_seq=1000)
        writer.write([frame])
        opened = msgspec.structs.replace(frame, seq=1001, kind=Kind.OPENED, payload=b"{}")
        writer.write([opened])
        until(lambda: writer.written_seq == 1001)
        (last,) = frames_of(1, first_seq=1002)
        writer.write([last])
        writer.flush(PATIENCE_S)
    assert list(Capture(tmp_path / "else").frames()) == [*frames, frame, opened, last]
    assert verify(tmp_path / "else").exit_code == ExitCode.DONE


def test_blocks_hold_many_batches_and_few_bytes(tmp_path: Path) -> None:
    sizes = {}
    for journal in ("write-through", "block"):
        options = WriterOptions(journal=journal, flush_ms=1000)
        with CaptureWriter(tmp_path / journal, options=options) as writer:
            for frame in frames_of(2000):
                writer.write([frame])
            writer.flush(PATIENCE_S)
            sizes[journal] = (tmp_path / journal / "journal/000000.wal").stat().st_size
    assert sizes["block"] * 4 < sizes["write-through"]


# --- a real disk of a few MiB --------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 24 MiB in memory, where this user may."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mounted)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system of limited size (root)")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


@pytest.mark.parametrize("policy", ["stop", "wait", "ring"])
def test_a_real_disk_that_is_full(small_disk: Path, policy: Any) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(14 * MIB))
    frames = frames_of(12_000, size=2000)
    options = WriterOptions(on_disk_full=policy, segment_bytes=2 * MIB)
    path = small_disk / "c"
    writer = CaptureWriter(path, options=options)
    sent = 0
    is_full = False
    with suppress(DiskFull):
        while sent < 12_000 and not is_full:
            sent += 100
            writer.write(frames[sent - 100 : sent])
            until(lambda last=sent - 1: writer._appender.is_waiting or writer.written_seq == last)
            is_full = writer.written_seq < sent - 1
    if policy != "ring":  # which may have made room already
        until(lambda: writer._appender.is_waiting)
    written = writer.written_seq
    read = list(Capture(path).frames(report=(report := ReadReport())))
    assert report.problems == []
    assert policy == "ring" or len(read) == written + 1
    assert read[: written + 1 - read[0].seq] == frames[read[0].seq : written + 1]
    if policy != "stop":
        filler.unlink()
        until(lambda: writer.written_seq == sent - 1)
        writer.close()
    else:
        with pytest.raises(DiskFull):
            writer.close()
    # What was in hand fits into the reserve: nothing is lost, whatever the policy.
    kept = list(Capture(path).frames())
    assert kept == frames[kept[0].seq : sent]
    assert kept[0].seq == 0 or policy == "ring"
    assert verify(path).ok


# --- what nobody foresees ------------------------------------------------------------------------


class Closing(Disk):
    """Fails to close, as a file system behind a network may, and to write when told to."""

    def __init__(self) -> None:
        self.fails = False
        self.closed = 0

    def writev(self, fd: int, buffers: Sequence[bytes | memoryview]) -> int:
        if self.fails:
            self.fails = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().writev(fd, buffers)

    def close(self, fd: int) -> None:
        super().close(fd)
        self.closed += 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_close_that_fails_changes_nothing(tmp_path: Path) -> None:
    disk = Closing()
    frames = frames_of(3_000, size=1000)
    options = WriterOptions(segment_bytes=MIB)
    with CaptureWriter(tmp_path / "c", options=options, disk=disk) as writer:
        for at in range(0, 3_000, 100):
            disk.fails = at == 1_500
            writer.write(frames[at : at + 100])
            writer.flush(PATIENCE_S)
    assert disk.closed > 2
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert os.listdir(tmp_path / "c/journal") == []


def test_a_fault_while_a_failure_is_dealt_with_ends_the_recording_in_words(
    tmp_path: Path, monkeypatch: Any
) -> None:
    disk = Faulty(writev=(errno.EIO, lambda call: call > 1))
    writer = CaptureWriter(tmp_path / "c", disk=disk)
    monkeypatch.setattr(
        "recorder.capture.journal.chain.JournalChain.abandon", lambda _: os.close(-1)
    )
    writer.write(frames_of(10))
    with pytest.raises(InternalError, match="the journal writer stopped"):
        writer.flush(PATIENCE_S)
    with pytest.raises(InternalError, match="the journal writer stopped"):
        writer.close()


def test_a_full_disk_is_not_for_the_sockets_to_wait_for(tmp_path: Path) -> None:
    disk = Faulty(writev=(errno.ENOSPC, lambda call: call > 1))
    options = WriterOptions(on_disk_full="wait", queue_bytes=MIB, wait_bytes=MIB)
    writer = CaptureWriter(tmp_path / "c", options=options, disk=disk)
    monkey = disk.free_bytes
    disk.free_bytes = lambda path: 0  # type: ignore[method-assign]
    writer.write(frames_of(1_000, size=1000))
    until(lambda: writer._appender.is_waiting)
    assert writer.queued_bytes > MIB / 2
    assert not writer.congested
    disk.failing, disk.free_bytes = {}, monkey  # type: ignore[method-assign]
    until(lambda: writer.written_seq == 999)
    writer.close()
    assert len(list(Capture(tmp_path / "c").frames())) == 1_000


def test_a_ring_goes_round_on_a_real_disk(small_disk: Path) -> None:
    path = small_disk / "c"
    options = WriterOptions(on_disk_full="ring", segment_bytes=1 * MIB)
    noise = random.Random(4)
    sent = 0
    with CaptureWriter(path, options=options) as writer:
        for _ in range(200):  # 40 MB through 24 MiB
            frames = [
                msgspec.structs.replace(frame, payload=noise.randbytes(2000))
                for frame in frames_of(100, first_seq=sent)
            ]
            writer.write(frames)
            sent += 100
            until(lambda last=sent - 1: writer.written_seq == last)
    kept = list(Capture(path).frames())
    assert kept[0].seq > 0
    assert [frame.seq for frame in kept] == list(range(kept[0].seq, sent))
    assert verify(path).problems == []


def test_the_mark_of_a_ring_takes_its_room_from_the_reserve(small_disk: Path) -> None:
    path = small_disk / "c"
    with CaptureWriter(path, options=WriterOptions(segment_bytes=MIB)) as writer:
        writer.write(frames_of(3000, size=1000))
    reserve = path / RESERVE_FILE
    reserve.write_bytes(bytes(4 * MIB))
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass
    assert len(expire_oldest(path, 1, now_ns=START)) == 1
    assert verify(path).problems == []
    assert 4 * MIB - (128 << 10) <= reserve.stat().st_size <= 4 * MIB
