"""Goal: a query on a capture that is being recorded is never behind and never fails.

Method: a served dataset, recorded by `recorder record` in a process of its own with segments of a
second, while another thread compacts and expires them; queries go on all the time. Behind means:
a frame that `status.json` had published as written before the query began is in the answer.
"""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from recorder.capture.expiry.retention import expire
from recorder.capture.reader import Capture
from recorder.capture.reshape.compact import compact
from recorder.errors import ExitCode
from replay import connect, query, refresh

STRESS = Path(__file__).parents[2] / "datasets" / "eth-stress"
PATIENCE_S = 120.0
QUESTION = """
    SELECT (SELECT count(*) FROM frames) AS frames, (SELECT min(seq) FROM frames) AS first,
           (SELECT max(seq) FROM frames) AS last,
           (SELECT count(*) FROM trades WHERE channel = 'trades') AS trades,
           (SELECT count(*) FROM frames WHERE channel = 'trades' AND kind = 'text'
            AND starts_with(decode(payload), '{"arg":{"channel":"trades"')
            AND contains(decode(payload), '"data":[')) AS pushes,
           (SELECT max("count") FROM ledger WHERE type = 'Expired') AS expired
"""


@contextmanager
def process(package: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command; it is ended like a person would, at the latest killed."""
    running = subprocess.Popen(
        [sys.executable, "-m", package, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
        try:
            running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()


class Keeper(Thread):
    """Compacts and expires, until it is told to stop."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.joined = self.gone = 0
        self.stop = Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.wait(0.2):
                report = compact(
                    self.root, clock=time.time_ns, sleep=time.sleep, span_s=3.0, level=1,
                    grace_s=0.5, wait=False,
                )  # fmt: skip
                self.joined += report.joined
                days = 8.0 / 86_400
                self.gone += len(expire(self.root, days=days, now_ns=time.time_ns(), grace_s=0.5))
        except BaseException as failure:  # noqa: BLE001 - looked at by the test
            self.failure = failure


def written_seq(root: Path) -> int:
    """Return what the recorder has published as written."""
    return int(json.loads((root / "status.json").read_text())["written_seq"])


def answer(root: Path) -> dict[str, int]:
    output = io.BytesIO()
    report = query(root, QUESTION, format="json", output=output)
    assert report.problems == []
    assert report.exit_code is not ExitCode.FAILED
    (row,) = json.loads(output.getvalue())
    return dict(row)


def test_queries_while_segments_roll_join_and_expire(tmp_path: Path) -> None:
    root = tmp_path / "live"
    serve = ["serve", str(STRESS), "--port", "0", "--speed", "2", "--at-end", "loop"]
    with process("replay", *serve) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        record = ["record", str(root), "--url", url, "--segment-seconds", "1", "--no-rest"]
        for channel in ("trades", "books", "bbo-tbt"):
            record += ["--subscribe", f"{channel}:ETH-USDT"]
        with process("recorder", *record):
            observe(root)
    whole = answer(root)
    assert whole["frames"] == Capture(root).info().frames
    assert sum(1 for _ in Capture(root).frames()) == whole["frames"]


def observe(root: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not (root / "status.json").exists() or not list(root.glob("frames/*/*.parquet")):
        assert time.monotonic() < until, "the recorder has sealed nothing"
        time.sleep(0.05)
    keeper = Keeper(root)
    keeper.start()
    asked = 0
    seen = {"first": 0, "last": 0}
    live = connect(root)
    try:
        while time.monotonic() < until and not (keeper.joined and keeper.gone and asked > 5):
            published = written_seq(root)
            if asked % 2:
                found = answer(root)
            else:
                refresh(live)
                names = ("frames", "first", "last", "trades", "pushes", "expired")
                (row,) = live.execute(QUESTION).fetchall()
                assert live.execute(QUESTION).fetchall() == [row], "a connection sees one state"
                found = dict(zip(names, row, strict=True))
            assert found["last"] >= published, "behind what was written when it began"
            assert found["frames"] == found["last"] - found["first"] + 1
            assert found["first"] >= seen["first"]
            assert found["last"] >= seen["last"]
            assert found["pushes"] == 0 or found["trades"] >= found["pushes"]
            if found["expired"] is not None:
                assert found["expired"] <= found["first"]
            seen = found
            asked += 1
            assert keeper.failure is None, keeper.failure
    finally:
        keeper.stop.set()
        live.close()
        keeper.join(60)
    assert keeper.failure is None, keeper.failure
    assert keeper.joined
    assert keeper.gone
    seen = answer(root)
    assert seen["expired"] == seen["first"], "what expired stands in the ledger"
    assert seen["trades"] > 0
