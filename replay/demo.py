"""The whole circle on one machine: serve, record, verify, query, replay.

Responsible for `replay demo`, which `make run` ends with: a newcomer sees in under a minute what
the product does, on real sockets and real files, and each claim is checked before it is printed.
Refuses to fake a step: server and recorder run as processes, by the commands a user would type.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
from rich.text import Text

from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.console import say, talk
from recorder.errors import CheckFailed, RecorderError, UsageError
from recorder.event import BookUpdate, Event, SequenceGap, Subscribed, Trade
from recorder.frame import Kind
from recorder.okx.route import is_push, route
from recorder.strategy import Context
from replay.player import play
from replay.simulation.simulator import simulate
from replay.sql import query

DATASET = Path(__file__).resolve().parent.parent / "datasets" / "btc-calm"
DEFAULT_SPEED = "20"
RECORDING_SECONDS = 120
STATUS_SECONDS = 0.25

QUERIES = (
    (
        "How much came in, per channel?",
        """SELECT channel, count(*) AS frames, count(DISTINCT instrument) AS instruments,
       round(avg(octet_length(payload))) AS mean_bytes
  FROM frames WHERE kind = 'text' AND channel IS NOT NULL
 GROUP BY channel ORDER BY frames DESC""",
    ),
    (
        "What did each market do? The first twelve bars of ten seconds with trades:",
        """SELECT instrument, strftime(time_bucket(INTERVAL '10 seconds',
           make_timestamp_ns(ts_event)::TIMESTAMP), '%H:%M:%S') AS bar,
       first(price ORDER BY seq, index) AS open, max(price) AS high, min(price) AS low,
       last(price ORDER BY seq, index) AS close, round(sum(size), 4) AS volume, count(*) AS trades
  FROM trades WHERE channel = 'trades' GROUP BY ALL ORDER BY instrument, bar LIMIT 12""",
    ),
)


class SpreadWatcher:
    """The sample strategy: reads the live book on every update, and counts who aggresses.

    The same object would run live: all it knows comes from events and from `context`.
    """

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.updates = self.gaps = 0
        self.spread_sum = 0.0
        self.low = float("inf")
        self.high = float("-inf")
        self.bought = self.sold = 0.0

    def on_event(self, event: Event, context: Context) -> None:
        """See one event; the book has already taken it in."""
        if isinstance(event, BookUpdate) and event.instrument == self.instrument:
            book = context.books.get(self.instrument)
            if book is None or not book.is_whole:
                return
            mid, spread = book.mid(), book.spread()
            if mid is None or spread is None:
                return
            self.updates += 1
            self.spread_sum += float(spread)
            self.low, self.high = min(self.low, float(mid)), max(self.high, float(mid))
        elif isinstance(event, Trade) and event.instrument == self.instrument:
            if event.channel != "trades":
                return  # trades-all tells the same trades again, fill by fill
            if event.side == "buy":
                self.bought += event.size
            else:
                self.sold += event.size
        elif isinstance(event, SequenceGap):
            self.gaps += 1

    def summary(self) -> str:
        """Return one line on what was seen."""
        if not self.updates:
            return f"{self.instrument}: no book was seen"
        return (
            f"{self.instrument}: read the book {self.updates:,} times, mean spread "
            f"{self.spread_sum / self.updates:.4g},\n   mid between {self.low:,.2f} and "
            f"{self.high:,.2f};\n   takers bought {self.bought:,.2f} and sold {self.sold:,.2f}"
        )


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo proved; `demo` raises where a proof failed.

    Attributes:
        frames, events: of the recording; pushes: data pushes compared byte for byte.
        output_digest: of the events, live and replayed alike.
        seconds: the whole demo on the wall clock.
    """

    recording: str
    frames: int
    events: int
    pushes: int
    output_digest: str
    seconds: float


def demo(
    *, capture: Path | None = None, out: Path | None = None, speed: str = DEFAULT_SPEED
) -> DemoReport:
    """Serve a capture on loopback, record it through a real socket, and prove that all agrees.

    Args:
        capture: what to serve; by default the dataset of the repository, or, where the package is
            installed without it, a session simulated on the spot.
        out: where the recording goes and stays; by default a temporary folder, removed.
        speed: of the served session, `max` or a multiple of real time.

    Raises:
        CheckFailed: a proof failed; the sentence says which and where.
        UsageError: there is something at `out` already.
        RecorderError: the server or the recorder did not do its part.
    """
    if out is not None and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        found = "a directory with files" if out.is_dir() else "a file"
        raise UsageError(
            f"expected nothing at {out} yet, found {found}; choose another name for --out"
        )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="okx-recorder-demo-") as scratch:
        source = capture or (DATASET if DATASET.is_dir() else _simulated(Path(scratch)))
        recording = out or Path(scratch) / "recording"
        _title(1, f"A recorded session: {source.name}")
        _describe(source)
        _title(2, "Serve it as a local OKX, and record that through a real socket")
        report = _record_what_is_served(source, recording, speed, log=Path(scratch) / "log.txt")
        _title(3, "Prove the recording: hashes, checksums, sequence numbers, then the bytes")
        pushes = _prove_bytes(source, recording)
        _title(4, "Replay it into a strategy, and prove that live and replay agree")
        output_digest = _prove_events(recording, report)
        _title(5, "Ask it questions in SQL")
        for question, sql in QUERIES:
            say(f"   {question}")
            answer = io.BytesIO()
            query(recording, sql, output=answer)
            _indented(answer.getvalue().decode())
        seconds = time.monotonic() - started
        _close(recording, kept=out is not None, seconds=seconds)
        return DemoReport(
            recording=str(recording),
            frames=report["frames"],
            events=report["events"],
            pushes=pushes,
            output_digest=output_digest,
            seconds=seconds,
        )


def _simulated(scratch: Path) -> Path:
    say("   (no dataset beside the package: simulating a session first)")
    path = scratch / "simulated"
    simulate(path, seed=7, duration=60)
    return path


def _describe(source: Path) -> None:
    info = Capture(source).info()
    seconds = ((info.end or 0) - (info.start or 0)) / 1e9
    if info.note:
        say(f"   {info.note}")
    say(
        f"   {info.frames:,} frames, {seconds:.0f} s of market, {len(info.channels)} channels, "
        f"{_count(info.segments, 'segment')} of zstd Parquet"
    )


def _count(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _record_what_is_served(
    source: Path, recording: Path, speed: str, *, log: Path
) -> dict[str, Any]:
    arguments = _arguments_of(source)
    serve = [
        "serve", str(source), "--port", "0", "--speed", speed, "--at-end", "close",
        "--wait-for-subscribers", str(len(arguments)), "--json",
    ]  # fmt: skip
    with log.open("wb") as talk_of_both, _process("replay", serve, talk_of_both) as server:
        url = json.loads(_first_line(server))["url"]
        _show("replay", serve)
        record = [
            "record", str(recording), "--url", url, "--until-closed", "--no-rest",
            "--no-resync", "--connect-timeout", "20", "--digest", "--json",
        ]  # fmt: skip
        for argument in arguments:
            record += ["--subscribe", argument]
        _show("recorder", record)
        with _process("recorder", record, talk_of_both) as recorder:
            answer = _watched(recorder, recording)
    if recorder.returncode != 0:
        raise RecorderError(
            f"expected exit code 0 from recorder, received {recorder.returncode}; it said:\n"
            f"{log.read_text()[-2000:]}"
        )
    report: dict[str, Any] = json.loads(answer)
    say(
        f"   recorded {report['frames']:,} frames in {report['seconds']:.1f} s, parsed live into "
        f"{report['events']:,} events"
    )
    return report


def _watched(recorder: subprocess.Popen[bytes], recording: Path) -> bytes:
    """Wait for the recorder and return what it printed; at a terminal, say how far it is."""
    deadline = time.monotonic() + RECORDING_SECONDS
    with talk.status("   connecting") as status:
        while True:
            try:
                return recorder.communicate(timeout=STATUS_SECONDS)[0]
            except subprocess.TimeoutExpired as error:
                if time.monotonic() > deadline:
                    raise RecorderError(
                        f"expected the recording to end when the server closes, but it ran for "
                        f"{RECORDING_SECONDS} s; run the two commands above by hand to see why"
                    ) from error
            with contextlib.suppress(OSError, ValueError, KeyError):
                written = json.loads((recording / "status.json").read_bytes())["written_seq"]
                status.update(f"   recording: {int(written) + 1:,} frames")


def _arguments_of(source: Path) -> list[str]:
    """Return what the session was subscribed to, in the form of `--subscribe`, in seq order."""
    found: dict[str, None] = {}
    for event in Capture(source).events(kinds=[Kind.TEXT]):
        if isinstance(event, Subscribed):
            place = "" if event.instrument is None else f":{event.instrument}"
            found[event.channel + place] = None
    return list(found)


def _prove_bytes(source: Path, recording: Path) -> int:
    report = verify(recording)
    if not report.ok:
        raise CheckFailed(f"expected a whole recording, but {report.problems[0].cause}")
    links, gaps = report.sequence["links"], report.sequence["gaps"]
    say(
        f"   recorder verify: every hash holds; {_count(links, 'link')} of book chains, "
        f"{_count(gaps, 'gap')}"
    )
    if gaps and gaps == Capture(source).info().gaps:
        say(f"   ({_count(gaps, 'gap')} in the session that was served, too: found again)")
    sent, received = _pushes(source), _pushes(recording)
    for argument, (count, digest) in sent.items():
        got = received.get(argument, (0, ""))
        if got != (count, digest):
            raise CheckFailed(
                f"expected {count} pushes of {argument} with digest {digest[:16]}, received "
                f"{got[0]} with {got[1][:16]}; compare `replay cat --as payloads` of both"
            )
    total = sum(count for count, _ in sent.values())
    say(f"   {total:,} data pushes on {_count(len(sent), 'argument')} came through byte for byte")
    say("   (the other frames are each session's own: requests, acks, connections)")
    return total


def _pushes(path: Path) -> dict[str, tuple[int, str]]:
    """Count and hash the data pushes of each argument, in seq order."""
    counts: dict[str, int] = {}
    hashes: dict[str, Any] = {}
    for frame in Capture(path).frames(kinds=[Kind.TEXT]):
        if not is_push(frame.payload):
            continue
        channel, instrument = route(frame.payload)
        argument = f"{channel}:{instrument}"
        counts[argument] = counts.get(argument, 0) + 1
        digest = hashes.setdefault(argument, hashlib.blake2b(digest_size=32))
        digest.update(len(frame.payload).to_bytes(4, "little") + frame.payload)
    return {name: (counts[name], hashes[name].hexdigest()) for name in counts}


def _prove_events(recording: Path, report: dict[str, Any]) -> str:
    instrument = next(
        event.instrument for event in Capture(recording).events() if isinstance(event, BookUpdate)
    )
    strategy = SpreadWatcher(instrument)
    played = play(recording, strategy, digest=True)
    say(f"   {strategy.summary()}")
    live = report["output_digest"]
    if played.output_digest != live:
        raise CheckFailed(
            f"expected the events that were parsed live (digest {live}), but the replay gave "
            f"{played.output_digest}; please report this with the recording"
        )
    say(f"   {played.events:,} events, live = replayed: digest {live[:32]}…")
    return str(live)


def _close(recording: Path, *, kept: bool, seconds: float) -> None:
    talk.rule(style="dim")
    say(f"All of it proved in {seconds:.1f} s. Against the real exchange it is the same command:")
    say("   recorder record captures/btc -s books:BTC-USDT -s trades:BTC-USDT")
    if kept:
        say(f"The recording is yours to explore: replay query {recording} 'FROM trades LIMIT 5'")


# --- at the terminal ----------------------------------------------------------------------


def _title(number: int, text: str) -> None:
    talk.print()
    talk.print(f"[bold cyan]{number}.[/] [bold]{text}[/]")


def _show(program: str, arguments: Sequence[str]) -> None:
    """Print a command on one line; what does not fit gives way to an ellipsis, word by word."""
    width = shutil.get_terminal_size().columns - len("   $ ") - 1
    words = [program, *arguments]
    shown = shlex.join(words)
    while len(shown) > width and len(words) > 1:
        words.pop()
        shown = shlex.join(words) + " …"
    line = Text.assemble("   ", ("$", "dim"), " ", shown)
    talk.print(line)


def _indented(text: str) -> None:
    for line in text.splitlines():
        say(f"     {line}")
    say("")


@contextlib.contextmanager
def _process(
    program: str, arguments: Sequence[str], stderr: IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our commands as a process of its own; end it however the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    stdout: IO[bytes] | None = process.stdout
    line = b"" if stdout is None else stdout.readline()
    if not line:
        raise RecorderError("expected the server to print its address, but it ended first")
    return line
