"""Goal: a long query says how far it is, and Ctrl-C stops it: no traceback, no file, code 130."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.extent import Stopped
from replay.running import Running
from replay.sql import query

STRESS = Path(__file__).parents[3] / "datasets" / "eth-stress"
IN_DUCKDB = "select count(*) from range(1000000000000) t(a) where a % 7 = 3"
IN_SCANS = "select count(*) from bbo a, bbo b, trades c, trades d where a.bid_price > c.price"


@pytest.mark.parametrize("sql", [IN_DUCKDB, IN_SCANS])
def test_control_c_stops_a_query(tmp_path: Path, sql: str) -> None:
    """A terminal, so that the progress shows that the query runs before it is stopped."""
    out = tmp_path / "out.csv"
    ours, theirs = pty.openpty()
    command = [
        sys.executable, "-m", "replay", "query", str(STRESS), sql, "--format", "csv",
        "-o", str(out),
    ]  # fmt: skip
    environment = {**os.environ, "TERM": "xterm"}
    running = subprocess.Popen(command, stderr=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        said += read_until(ours, b"querying")
        running.send_signal(signal.SIGINT)
        said += read_until(ours, b"no result")
        assert running.wait(timeout=60) == 130
    finally:
        running.kill()
        running.wait()
        os.close(ours)
    assert b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def read_until(terminal: int, words: bytes) -> bytes:
    said, until = b"", time.monotonic() + 90
    while words not in said:
        assert time.monotonic() < until, said
        if select.select([terminal], [], [], 1.0)[0]:
            said += os.read(terminal, 4096)
    return said


def test_how_far_it_is_and_stopping_before_it_begins() -> None:
    running = Running()
    sql = "SELECT count(*) FROM bbo"
    assert running.done() == (0, 0)
    query(STRESS, sql, output=io.BytesIO(), running=running)
    done = running.done()
    assert 0 < done.frames <= done.of == 11_745
    running.stop()
    output = io.BytesIO()
    with pytest.raises(Stopped):
        query(STRESS, sql, output=output, running=running)
    assert output.getvalue() == b""
