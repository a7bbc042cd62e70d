"""Readers never see an error, a duplicate or a hole while segments roll, are joined and expire.

A recorder writes in one process, another one compacts and expires what it wrote; readers of every
kind go on all the time. Each payload is its own number, so what a reader gets can be judged.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.capture.reader import Capture, ReadReport
from recorder.capture.verify import verify
from replay import sql

SECONDS, AT_MOST = 4.0, 25.0
"""How long it goes on; longer where the machine is slow and not everything has happened yet."""

Read = Callable[[Path], tuple[int, int]]

_WRITER = """
import os, sys, time
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.frame import Frame, Kind
path, stop = sys.argv[1:]
with CaptureWriter(path, options=WriterOptions(segment_seconds=0.2)) as writer:
    seq = 0
    while not os.path.exists(stop):
        now = time.time_ns()
        writer.write([Frame(n, now, now, 0, Kind.TEXT, b"%d" % n) for n in range(seq, seq + 40)])
        seq += 40
        time.sleep(0.01)
print(seq)
"""

_KEEPER = """
import os, sys, time
from recorder.capture.reshape.compact import compact
from recorder.capture.expiry.retention import expire
root, stop = sys.argv[1:]
while not os.path.exists(stop):
    report = compact(root, clock=time.time_ns, sleep=time.sleep, span_s=1.0, level=1,
                     grace_s=1.0, wait=False)
    gone = expire(root, days=4.0 / 86400, now_ns=time.time_ns(), grace_s=1.0)
    print(report.joined, len(gone), flush=True)
    time.sleep(0.05)
"""


def read_all(root: Path) -> tuple[int, int]:
    """Read everything once; return the first and the last number.

    Segments expire here after seconds: who is slower, on a busy machine, is told what is gone.
    """
    report = ReadReport()
    first = expected = None
    gone: list[tuple[str, int | None, int | None]] = []
    for batch in Capture(root).batches(report=report):
        if expected is None:
            first = expected = batch.seq[0]
        if batch.seq[0] != expected:
            gone.append(("expired while it was read", expected, batch.seq[0] - 1))
            expected = batch.seq[0]
        assert batch.seq == list(range(expected, expected + len(batch)))
        assert batch.payload == [b"%d" % seq for seq in batch.seq]
        expected += len(batch)
    assert [(one.cause, one.first_seq, one.last_seq) for one in report.problems] == gone
    assert first is not None
    assert expected is not None
    return first, expected - 1


def ask_sql(root: Path) -> tuple[int, int]:
    """Ask one connection twice, some time apart: it sees the same, whatever happens to files."""
    question = (
        "SELECT count(*), count(DISTINCT seq), min(seq), max(seq), "
        "count(*) FILTER (decode(payload) <> seq::VARCHAR) FROM frames"
    )
    connection = sql.connect(root)
    try:
        ((count, distinct, first, last, wrong),) = connection.execute(question).fetchall()
        time.sleep(0.2)
        assert connection.execute(question).fetchall() == [(count, distinct, first, last, wrong)]
        assert (count, distinct, wrong) == (last - first + 1, last - first + 1, 0)
        ((unrecognized,),) = connection.execute("SELECT count(*) FROM unrecognized").fetchall()
        assert unrecognized == count
    finally:
        connection.close()
    return int(first), int(last)


def look(root: Path) -> tuple[int, int]:
    """Ask for the metadata, and for what is behind the last number they tell."""
    info = Capture(root).info()
    assert info.problems == []
    first = 0 if info.expired is None else info.expired.last_seq + 1
    last = first + info.frames - 1
    (frame,) = Capture(root).frames(first_seq=last, last_seq=last)
    assert frame.payload == b"%d" % last
    event = next(Capture(root).events(first_seq=last))
    assert event.seq == last
    return first, last


class Keeper(threading.Thread):
    """Listens to the process that compacts and expires."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__()
        self._process = process
        self.joined = self.gone = 0

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            joined, gone = map(int, line.split())
            self.joined += joined
            self.gone += gone


def start(code: str, *arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_readers_of_every_kind_while_segments_roll_join_and_expire(tmp_path: Path) -> None:
    root, stop = tmp_path / "c", tmp_path / "stop"
    began = time.monotonic()
    writer = start(_WRITER, root, stop)
    while not (root / "journal" / "000001.wal").exists():
        assert writer.poll() is None
        time.sleep(0.02)
    keeper = Keeper(start(_KEEPER, root, stop))
    keeper.start()
    failures: list[BaseException] = []
    counts: dict[Read, int] = {read_all: 0, ask_sql: 0, look: 0}

    def again(read: Read) -> None:
        seen = 0, 0
        try:
            while not stop.exists():
                first, last = read(root)
                assert first >= seen[0]
                assert last >= seen[1]
                seen = first, last
                counts[read] += 1
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=again, args=(read,)) for read in counts]
    for thread in threads:
        thread.start()
    while not failures and (passed := time.monotonic() - began) < AT_MOST:
        has_happened = keeper.joined and keeper.gone and min(counts.values()) > 1
        if has_happened and passed > SECONDS:
            break
        time.sleep(0.05)
    stop.touch()
    for thread in [*threads, keeper]:
        thread.join()
    written, _ = writer.communicate(timeout=60)
    keeper._process.wait(timeout=60)
    assert not failures
    assert writer.returncode == keeper._process.returncode == 0
    assert read_all(root)[1] == int(written) - 1
    assert verify(root).problems == []
    if not (keeper.joined and keeper.gone and min(counts.values()) > 1):
        pytest.skip(f"too slow here: {keeper.joined} joined, {keeper.gone} expired, {counts}")
