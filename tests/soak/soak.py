"""A soak: a recorder and a venue full of faults, each a process, and everything checked at the end.

What must hold, whatever the seed: every message the venue wholly handed over is stored, in order
and byte-exact; `recorder verify` finds nothing; every subscription is back, every book whole; no
file, descriptor or memory is left behind; no secret is anywhere; the venue's limits were kept.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from recorder.capture.reader import Capture
from recorder.frame import Kind
from recorder.okx.faults import write_scenario
from recorder.okx.faults.drawn import random_scenario
from recorder.okx.interpreter import Interpreter
from recorder.okx.subscription import parse_subscription, subscription_of
from tests.venue.conservation import Verdict, check

SUBSCRIPTIONS = (
    "books:BTC-USDT",
    "books:BTC-USDT-SWAP",
    "bbo-tbt:BTC-USDT",
    "books5:ETH-USDT",
    "tickers:ETH-USDT",
    "trades:BTC-USDT",
    "mark-price:BTC-USDT-SWAP",
    "candle1m:BTC-USDT",
    "trades-all:BTC-USDT-SWAP",
    "orders:instType=ANY",
    "positions:instType=ANY",
    "account",
    "balance_and_position",
)
SECRETS = {
    "OKX_API_KEY": "soak-key-1f0c2d9b",
    "OKX_SECRET_KEY": "soak-secret-7a31e04c",
    "OKX_PASSPHRASE": "soak-passphrase-55d8",
}
HASTY = {
    "ping_after": 0.5,
    "pong_timeout": 1.0,
    "open_timeout": 2.0,
    "close_timeout": 1.0,
    "first_delay": 0.05,
    "longest_delay": 0.3,
    "later_delay": 0.3,
    "lived": 2.0,
}
PATIENT = {
    "ping_after": 8.0,
    "pong_timeout": 4.0,
    "first_delay": 0.5,
    "longest_delay": 8.0,
    "later_delay": 5.0,
    "lived": 10.0,
}
_LONG_SECONDS = 120.0
_END_SECONDS = 240.0  # to start, and to seal at low priority on a busy machine
_ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Soak:
    """What one soak was and did.

    Attributes:
        problems: sentences; none: good.
        samples: (seconds since there was a capture, resident bytes, open descriptors).
        table: lines for a person: what the venue did, what the recorder said.
    """

    seed: int
    seconds: float
    problems: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    table: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        kinds = Counter(fault["fault"] for fault in self.verdict.faults)
        resident = [size for at, size, _ in self.samples if at > 0.2 * self.seconds]
        parts = [
            *self.table,
            "",
            "faults: " + ", ".join(f"{name} {count}" for name, count in sorted(kinds.items())),
            f"recorder: {self.report}",
            f"memory: {min(resident, default=0) >> 20} to {max(resident, default=0) >> 20} MiB",
            str(self.verdict),
        ]
        if self.problems:
            parts += [f"FAILED with SOAK_SEED={self.seed} SOAK_SECONDS={self.seconds:g}:"]
            parts += [f"  {problem}" for problem in self.problems]
        else:
            parts += [f"good: seed {self.seed}, {self.seconds:g} s"]
        return "\n".join(parts)


def soak(directory: Path, *, seed: int, seconds: float, count: int = 30) -> Soak:
    """Run one soak in a directory; the capture and the logs stay there."""
    result = Soak(seed, seconds)
    out, log = directory / "capture", directory / "oracle.jsonl"
    scenario = random_scenario(
        seed, seconds=seconds, count=count, recovery=0.2 * seconds, rest=True
    )
    (directory / "scenario.json").write_text(write_scenario(scenario))
    environment = {**os.environ, **SECRETS}
    venue = subprocess.Popen(
        [sys.executable, "-m", "tests.venue", "--seed", str(seed), "--log", str(log),
         "--scenario", str(directory / "scenario.json"), "--judge-logins"],
        cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert venue.stdout is not None
        url = venue.stdout.readline().strip()
        with (directory / "recorder.log").open("wb") as words:
            recorder = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.subject", str(out), "--url", url,
                 "--seconds", str(seconds), "--resnapshot-seconds", str(max(5.0, seconds / 20)),
                 "--link", msgspec.json.encode(HASTY if seconds < _LONG_SECONDS else PATIENT)
                 .decode(), *(word for item in SUBSCRIPTIONS for word in ("--subscribe", item))],
                cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=words,
            )  # fmt: skip
            with recorder:
                _watch(recorder, result, out, limit=seconds + _END_SECONDS)
                assert recorder.stdout is not None
                told = recorder.stdout.read()
        if recorder.returncode != 0:
            result.problems.append(f"the recorder ended with code {recorder.returncode}")
        with contextlib.suppress(msgspec.DecodeError):
            result.report = msgspec.json.decode(told)
    finally:
        venue.terminate()
        venue.wait(60)
    if venue.returncode != 0:
        result.problems.append(f"the venue ended with code {venue.returncode}")
    _judge(result, out, log, directory / "recorder.log")
    return result


def _watch(recorder: subprocess.Popen[bytes], result: Soak, out: Path, *, limit: float) -> None:
    """Look at the recorder's memory and descriptors until it ends."""
    begun = time.monotonic()
    recording = None
    proc = Path(f"/proc/{recorder.pid}")
    while recorder.poll() is None:
        now = time.monotonic() - begun
        if now > limit:
            recorder.kill()
            result.problems.append(f"the recorder did not end within {limit:g} s")
            return
        if recording is None and (out / "capture.json").exists():
            recording = now
        with contextlib.suppress(OSError, IndexError, ValueError):
            pages = int((proc / "statm").read_text().split()[1])
            count = len(list((proc / "fd").iterdir()))
            if recording is not None and pages:  # none: it has ended just now
                resident = pages * os.sysconf("SC_PAGE_SIZE")
                result.samples.append((now - recording, resident, count))
        with contextlib.suppress(subprocess.TimeoutExpired):
            recorder.wait(0.25)


def _judge(result: Soak, out: Path, log: Path, words: Path) -> None:
    """Check everything there is to check."""
    problems = result.problems
    if not (out / "capture.json").is_file():
        problems.append(f"there is no capture; the recorder said: {words.read_text()[-2_000:]}")
        return
    result.verdict = check(out, log)
    problems += result.verdict.problems
    verified = subprocess.run(
        [sys.executable, "-m", "recorder", "verify", str(out), "--json"],
        cwd=_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if verified.returncode != 0:
        problems.append(f"verify: code {verified.returncode}: {verified.stdout}{verified.stderr}")
    problems += _not_restored(out)
    problems += _left_behind(out)
    problems += _grown(result)
    problems += _secrets_in([*out.rglob("*"), log, words])
    result.table = _table(log, words)


def _not_restored(out: Path) -> list[str]:
    """Say what was not subscribed, and which books were not whole, when the recorder stopped."""
    interpreter = Interpreter()
    held: list[Any] = []
    whole: dict[str, bool] = {}
    for frame in Capture(out).frames():
        if frame.kind is Kind.CLOSED:
            body = msgspec.json.decode(frame.payload)
            is_proper = body["by"] == "recorder" and body["code"] == 1000
            if is_proper and body.get("reason") != "replaced":
                held += interpreter.subscriptions(frame.connection)
                whole |= {
                    f"{book.channel}:{book.instrument}": book.is_whole
                    for book in interpreter.books
                    if book.connection == frame.connection
                }
        interpreter.step(frame)
    have = {found.key for argument in held if (found := subscription_of(argument)) is not None}
    wanted = [parse_subscription(text) for text in SUBSCRIPTIONS]
    missing = [str(item) for item in wanted if item.key not in have]
    broken = [text for text in SUBSCRIPTIONS if text.startswith("books:") and not whole.get(text)]
    return [f"not subscribed at the end: {missing}"] * bool(missing) + [
        f"books not whole at the end: {broken}, of {whole}"
    ] * bool(broken)


def _left_behind(out: Path) -> list[str]:
    """Say what lies about that should not."""
    strange = [path for path in out.rglob("*") if path.name.endswith((".tmp", ".part", "~"))]
    strange += list((out / "journal").glob("*"))
    return [f"left behind: {[str(path.relative_to(out)) for path in strange]}"] if strange else []


def _grown(result: Soak) -> list[str]:
    """Compare memory and descriptors late in the soak with those early in it."""
    found = []
    whole = result.seconds
    late = [item for item in result.samples if 0.75 * whole < item[0] <= whole]
    early = [item for item in result.samples if 0.2 * whole < item[0] <= 0.5 * whole]
    if not early or not late:
        return ["the recorder could not be watched"]
    if result.seconds >= _LONG_SECONDS:
        before, after = (median(item[1] for item in part) for part in (early, late))
        if after > 1.05 * before + (4 << 20):
            found.append(f"memory grew from {before / 1e6:.1f} to {after / 1e6:.1f} MB")
    before, after = (median(item[2] for item in part) for part in (early, late))
    if after > before + 4:
        found.append(f"open descriptors grew from {before:g} to {after:g}")
    return found


def _secrets_in(paths: list[Path]) -> list[str]:
    """Say in which files a secret can be read."""
    wanted = [value.encode() for value in SECRETS.values()]
    return [
        f"a secret stands in {path}"
        for path in paths
        if path.is_file() and any(value in path.read_bytes() for value in wanted)
    ]


def _table(log: Path, words: Path) -> list[str]:
    """Put side by side what the venue did and what the recorder said, by time."""
    rows: list[tuple[int, str, str]] = []
    begun = 0
    for line in log.read_text().splitlines():
        body = msgspec.json.decode(line)
        if body["what"] == "venue":
            begun = body["at"]
        elif body["what"] == "fault":
            place = f"{body.get('endpoint', '')} {body['connection']}".strip()
            shown = f"{body['fault']} {body['detail']}".strip()
            rows.append((body["at"], f"{place:<12} {shown}", ""))
    for line in words.read_text(errors="replace").splitlines():
        at, _, said = line.partition(" ")
        if at.isdigit():
            rows.append((int(at), "", said))
        else:
            rows.append((rows[-1][0] if rows else 0, "", line))
    rows.sort(key=lambda row: row[0])
    head = f"{'s':>7}  {'what the venue did':<58} what the recorder said"
    return [head] + [f"{(at - begun) / 1e9:7.2f}  {did:<58.58} {said}" for at, did, said in rows]
