"""A small recorder on `CaptureWriter`: an event loop, a socket read a turn, stamps, marks.

Responsible for receiving what a sender of its own (a process) writes at a set rate, and for noting
outside the capture, in a memory-mapped file that outlives it, every frame it stamped, when, and in
which turn of the loop. Refuses to wait for the disk, as the real one does.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
import resource
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder.capture.journal.room import Disk
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import RecorderError
from recorder.frame import Frame, Kind
from tests.torture import frames

_HEAD = struct.Struct("<qqqqqq")
_ROW = struct.Struct("<qqqq")
_WIRE = struct.Struct("<IBI")
_ROWS = 1 << 20  # the file is sparse
ROWS_AT = 4096


class StallingDisk(Disk):
    """A disk one of whose calls takes seconds: the thread that made it waits, and no other."""

    def __init__(self, call: str, at: int, seconds: float) -> None:
        self._left = at
        self._seconds = seconds
        setattr(self, call, self._stalling(getattr(self, call)))

    def _stalling(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._left -= 1
            if not self._left:
                time.sleep(self._seconds)
            return real(*arguments)

        return call


class Log:
    """The oracle's memory: what was received when, in a file outside the capture.

    Attributes:
        received: last seq stamped, written, durable: as last published by the writer.
        turns: turns of the event loop that read something. slowest_ns: longest of them.
        dropped: frames that were not taken because the recorder held back.
    """

    def __init__(self, path: Path) -> None:
        size = ROWS_AT + _ROWS * _ROW.size
        with path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) < size:
                file.truncate(size)
                fresh = True
            else:
                fresh = False
            self._memory = mmap.mmap(file.fileno(), size)
        if fresh:
            self.publish(-1, -1, -1, 0, 0, 0)

    def publish(
        self, received: int, written: int, durable: int, turns: int, slowest: int, late: int
    ) -> None:
        """Note the marks."""
        _HEAD.pack_into(self._memory, 0, received, written, durable, turns, slowest, late)

    def marks(self) -> tuple[int, int, int, int, int, int]:
        """Return received, written, durable, turns, slowest turn (ns), longest loop lag (ns)."""
        return _HEAD.unpack_from(self._memory, 0)

    def note(self, frame: Frame, i: int, turn: int) -> None:
        """Note one frame: the `i`-th that its sender sent."""
        at = ROWS_AT + frame.seq * _ROW.size
        where = (frame.connection + 1) << 32 | turn
        _ROW.pack_into(self._memory, at, i, frame.ts_recv, frame.ts_mono, where)

    def truth(self, seed: int, seq: int) -> Frame:
        """Return the frame received under a number."""
        i, ts_recv, ts_mono, where = self._row(seq)
        kind, payload = frames.content(seed, i)
        return Frame(seq, ts_recv, ts_mono, (where >> 32) - 1, kind, payload)

    def moment(self, seq: int) -> tuple[int, int]:
        """Return `(ts_mono, turn)` of a received frame."""
        _, _, ts_mono, where = self._row(seq)
        return ts_mono, where & 0xFFFFFFFF

    def _row(self, seq: int) -> tuple[int, ...]:
        return _ROW.unpack_from(self._memory, ROWS_AT + seq * _ROW.size)

    def close(self) -> None:
        """Close the file."""
        self._memory.close()


def send(fd: int, seed: int, rate: int, seconds: float) -> None:
    """Write frames at a rate, in bursts of a few, until nobody listens."""
    begin, i = time.monotonic(), 0
    with socket.socket(fileno=fd) as out:
        while (passed := time.monotonic() - begin) < seconds:
            due = int(passed * rate) + 4
            parts = []
            while i < due:
                kind, payload = frames.content(seed, i)
                parts += (_WIRE.pack(i, kind, len(payload)), payload)
                i += 1
            try:
                out.sendall(b"".join(parts))
            except OSError:
                return
            time.sleep(0.004)


class Receiver(asyncio.Protocol):
    """One read of the socket is one turn: stamp, hand over, publish."""

    def __init__(self, writer: CaptureWriter, log: Log) -> None:
        self._writer = writer
        self._log = log
        self._rest = b""
        self._connection = writer.next_connection
        self._turn = 0
        self.slowest = self.late = 0
        self.failure: RecorderError | None = None
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Take what one read gave."""
        ts_recv, ts_mono = time.time_ns(), time.monotonic_ns()
        writer, log = self._writer, self._log
        self._turn += 1
        data = self._rest + data
        at, seq, batch = 0, writer.next_seq, []
        while len(data) - at >= _WIRE.size:
            i, kind, length = _WIRE.unpack_from(data, at)
            end = at + _WIRE.size + length
            if end > len(data):
                break
            payload = data[at + _WIRE.size : end]
            connection = -1 if kind == Kind.RUN else self._connection
            batch.append(Frame(seq, ts_recv, ts_mono, connection, Kind(kind), payload))
            log.note(batch[-1], i, self._turn)
            seq += 1
            at = end
        self._rest = data[at:]
        if batch:
            self._publish(batch[-1].seq)
            try:
                writer.write(batch)
            except RecorderError as error:
                self.failure = error
                if not self.ended.done():
                    self.ended.set_result(None)
                return
        self.slowest = max(self.slowest, time.monotonic_ns() - ts_mono)
        self._publish(writer.next_seq - 1)

    def _publish(self, received: int) -> None:
        writer = self._writer
        self._log.publish(
            received, writer.written_seq, writer.durable_seq, self._turn, self.slowest, self.late
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender is done."""
        if not self.ended.done():
            self.ended.set_result(None)

    async def watch(self) -> None:
        """Measure how late the loop runs, and keep the marks fresh."""
        while True:
            before = time.monotonic_ns()
            await asyncio.sleep(0.002)
            self.late = max(self.late, time.monotonic_ns() - before - 2_000_000)
            self._publish(self._writer.next_seq - 1)


async def _receive(writer: CaptureWriter, log: Log, fd: int) -> Receiver:
    loop = asyncio.get_running_loop()
    _, receiver = await loop.create_connection(
        lambda: Receiver(writer, log), sock=socket.socket(fileno=fd)
    )
    watching = loop.create_task(receiver.watch())
    await receiver.ended
    watching.cancel()
    return receiver


def receive(
    root: Path,
    log_path: Path,
    *,
    seed: int,
    rate: int,
    seconds: float,
    append: bool,
    options: dict[str, Any],
    stall: tuple[str, int, float] | None = None,
) -> str:
    """Record from a sender process until it is done; the scenario of the kills.

    Args:
        stall: call of `Disk`, its number, seconds: that one takes so long.
    """
    log = Log(log_path)
    options = {"segment_seconds": 0.25, **options}
    disk = None if stall is None else StallingDisk(*stall)
    with CaptureWriter(root, options=WriterOptions(**options), append=append, disk=disk) as writer:
        log.publish(writer.next_seq - 1, writer.written_seq, writer.durable_seq, 0, 0, 0)
        ours, theirs = socket.socketpair()
        if not os.fork():
            ours.close()
            try:
                send(theirs.detach(), seed, rate, seconds)
            finally:
                os._exit(0)
        theirs.close()
        gc.freeze()
        receiver = asyncio.run(_receive(writer, log, ours.detach()))
        if receiver.failure is not None:
            raise receiver.failure
        report = writer.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{report.frames} {peak:.1f}"
