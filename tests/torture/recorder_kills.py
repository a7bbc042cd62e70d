"""Goal 1, the whole program: `recorder record --append` against a venue, killed and started again.

Responsible for two processes that talk over real sockets, for killing the recorder at random
moments (also while it starts and recovers), and for comparing the capture with the venue's own log.
Refuses to know how a recorder works: that is the point.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.reader import Capture
from recorder.capture.recover import recover
from recorder.capture.verify import verify
from tests.torture.checker import Wrong, expect
from tests.torture.shim import clear
from tests.venue.conservation import check

ROOT = Path(__file__).resolve().parents[2]
SUBSCRIPTIONS = ("books:BTC-USDT", "trades:BTC-USDT", "bbo-tbt:ETH-USDT", "candle1m:BTC-USDT")
PATIENCE_S = 120.0


class Deaths(msgspec.Struct, kw_only=True):
    """What a chain of killed recorders cost.

    Attributes:
        kills: how many, of them while_starting. handed, stored: messages by the venue's log and in
            the capture. cut: handed and not stored: in the kernel, in the recorder's memory.
    """

    kills: int = 0
    while_starting: int = 0
    handed: int = 0
    stored: int = 0
    cut: int = 0


class _Status(msgspec.Struct):
    written_seq: int = -1


def chain(
    scratch: Path, *, seed: int, kills: int, until: float = float("inf"), rate: float = 20.0
) -> Deaths:
    """Kill a recorder again and again on one capture, then let one end in order; judge."""
    out, log = scratch / "capture", scratch / "oracle.jsonl"
    clear(out)
    log.unlink(missing_ok=True)
    rng, deaths = random.Random(seed), Deaths()
    venue = subprocess.Popen(
        [sys.executable, "-m", "tests.venue", "--seed", str(seed), "--rate", str(rate),
         "--log", str(log)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert venue.stdout is not None
        url = venue.stdout.readline().strip()
        for _ in range(kills):
            _kill_one(out, url, rng, deaths, scratch)
            if time.monotonic() > until:
                break
        _end_one(out, url, scratch)
    finally:
        venue.terminate()
        try:
            venue.wait(60)
        except subprocess.TimeoutExpired:
            venue.kill()
            venue.wait(60)
    try:
        _judge(out, log, deaths)
    except AssertionError as error:
        raise Wrong(f"recorder killed, seed {seed}, {deaths}: {error}; in {scratch}") from error
    return deaths


def _start(out: Path, url: str, scratch: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [word for item in SUBSCRIPTIONS for word in ("--subscribe", item)]
    with (scratch / "recorder.log").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "recorder", "record", str(out), "--append", "--url", url,
             "--no-rest", "--segment-seconds", "1", *words, *more],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip


def _kill_one(out: Path, url: str, rng: random.Random, deaths: Deaths, scratch: Path) -> None:
    recorder = _start(out, url, scratch)
    try:
        if rng.random() < 0.2:
            deaths.while_starting += 1
            time.sleep(rng.random() * 2)
        else:
            _wait_for_data(out, recorder)
            time.sleep(rng.random() * 1.5)
        written = _written(out, recorder)
    finally:
        with suppress(ProcessLookupError):
            os.kill(recorder.pid, signal.SIGKILL)
        recorder.wait(60)
    deaths.kills += 1
    if rng.random() < 0.5 and (out / layout.CAPTURE_FILE).exists():
        report = _recovered(out)  # else the next recorder does
        expect(report > written, f"{written} was published as written, {report} is next")


def _recovered(out: Path) -> int:
    """Recover as soon as the dead recorder's sealer has let go of the lock."""
    end = time.monotonic() + PATIENCE_S
    while layout.is_locked(out) and time.monotonic() < end:
        time.sleep(0.02)
    report = recover(out)
    expect(not report.problems, f"recovery found {report.problems}")
    return report.next_seq


def _written(out: Path, recorder: subprocess.Popen[bytes]) -> int:
    """Return what this recorder has published as written, -1 if nothing."""
    with suppress(OSError, msgspec.MsgspecError):
        content = (out / layout.STATUS_FILE).read_bytes()
        if msgspec.json.decode(content)["pid"] == recorder.pid:
            return msgspec.json.decode(content, type=_Status).written_seq
    return -1


def _wait_for_data(out: Path, recorder: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_S
    while _written(out, recorder) < 0:
        expect(recorder.poll() is None, f"the recorder ended with {recorder.returncode}")
        expect(time.monotonic() < end, f"nothing was recorded within {PATIENCE_S} s")
        time.sleep(0.01)


def _end_one(out: Path, url: str, scratch: Path) -> None:
    recorder = _start(out, url, scratch, "--duration", "1")
    try:
        code = recorder.wait(PATIENCE_S)
    finally:
        recorder.kill()
        recorder.wait(60)
    expect(code in (0, 3), f"the last recorder ended with {code}")


def _judge(out: Path, log: Path, deaths: Deaths) -> None:
    report = verify(out)
    expect(report.ok, f"verify: {report.problems[:3]}")
    info = Capture(out).info()
    expect(info.input_digest == report.input_digest, "info and verify disagree on the digest")
    expect(not layout.list_journals(out), "a journal is left")
    verdict = check(out, log)
    problems = [one for one in verdict.problems if "handshakes" not in one]
    expect(not problems, f"{problems[:3]}")
    deaths.handed, deaths.stored, deaths.cut = verdict.handed, verdict.stored, verdict.cut
