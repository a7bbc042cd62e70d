"""The measurements of `make bench`, each beside the bare loop it is compared with.

Responsible for taking both sides in turn (A B A B …) and quoting the best of each, which is the
least disturbed by other work on the machine. Refuses to judge: aims are printed, not asserted.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard

from recorder.capture.reader import Capture
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import Parser
from recorder.okx.pushes import shape_of
from recorder.okx.route import is_push, route
from replay.player import play
from replay.simulation.simulator import simulate
from tests.bench.serving import serving

ROUNDS = 5
CHANNELS = ("books", "trades", "bbo-tbt", "tickers", "books5", "candle1m")
INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP", "ETH-USDT-SWAP")
RATE = 0.1
"""A usual subscription, calm enough that a third of its frames are book updates."""


class Figure(NamedTuple):
    """One line of the table: our figure, what it stands beside, and their ratio."""

    what: str
    ours: str
    beside: str
    theirs: str
    ratio: float
    aim: str | None = None


class Corpus(NamedTuple):
    """The same frames as a sealed capture, as objects in memory, and as decoders with bytes."""

    path: Path
    frames: list[Frame]
    bare: list[tuple[Callable[[bytes], Any], bytes]]
    scratch: Path


def make_corpus(scratch: Path, frames: int) -> Corpus:
    """Simulate a session of `frames` frames; keep its data pushes in memory as well."""
    path = scratch / "corpus"
    simulate(
        path,
        seed=1,
        frames=frames,
        channels=CHANNELS,
        instruments=INSTRUMENTS,
        rate=RATE,
        reproducible=True,
    )
    pushes = [f for f in Capture(path).frames(kinds=[Kind.TEXT]) if is_push(f.payload)]
    decoders: dict[str, Callable[[bytes], Any]] = {}
    bare = []
    for frame in pushes:
        channel, _ = route(frame.payload)
        if channel is None or (shape := shape_of(channel)) is None:
            continue
        decode = decoders.get(channel)
        if decode is None:
            decode = msgspec.json.Decoder(shape.push(float), strict=False).decode
            decoders[channel] = decode
        try:
            decode(frame.payload)
        except msgspec.ValidationError:
            # A number left blank: rare (funding), and the bare loop is to know its type too.
            bare.append((msgspec.json.decode, frame.payload))
        else:
            bare.append((decode, frame.payload))
    return Corpus(path, pushes, bare, scratch)


def in_turn(*jobs: Callable[[], object]) -> list[float]:
    """Run the jobs in turn, `ROUNDS` times; return the best seconds of each."""
    best = [float("inf")] * len(jobs)
    for _ in range(ROUNDS):
        for index, job in enumerate(jobs):
            started = time.perf_counter()
            job()
            best[index] = min(best[index], time.perf_counter() - started)
    return best


def rate(count: int, seconds: float) -> str:
    """Return frames per second for a table."""
    return f"{count / seconds:,.0f}/s"


def parsing(corpus: Corpus) -> list[Figure]:
    """Decode and dispatch, events and interpreter, against a loop that knows each type."""
    parse = Parser().parse
    count = len(corpus.frames)

    def bare() -> None:
        for decode, payload in corpus.bare:
            decode(payload)

    def parsed() -> None:
        for frame in corpus.frames:
            parse(frame)

    def interpreted() -> None:
        step = Interpreter().step
        for frame in corpus.frames:
            step(frame)

    bare_s, parse_s, step_s = in_turn(bare, parsed, interpreted)
    beside = "bare msgspec loop that knows the type"
    theirs = rate(count, bare_s)
    return [
        Figure("parse to events", rate(count, parse_s), beside, theirs, bare_s / parse_s, "0.85"),
        Figure("… and interpret (books)", rate(count, step_s), beside, theirs, bare_s / step_s),
    ]


def replaying(corpus: Corpus) -> list[Figure]:
    """Play a sealed capture into a callback, against decoding from memory into one."""
    seen = 0

    def callback(event: object, context: object) -> None:
        nonlocal seen
        seen += 1

    def bare() -> None:
        for decode, payload in corpus.bare:
            callback(decode(payload), None)

    def played() -> None:
        play(corpus.path, callback)

    def read() -> None:
        for batch in Capture(corpus.path).batches():
            batch.payload  # noqa: B018 - the column is built when the batch is

    bare_s, play_s, read_s = in_turn(bare, played, read)
    count = len(corpus.frames)
    theirs = rate(count, bare_s)
    return [
        Figure(
            "replay into a callback", rate(count, play_s),
            "bare decode + callback, in memory", theirs, bare_s / play_s, "0.60",
        ),
        Figure(
            "read frames from disk", rate(count, read_s),
            "bare decode + callback, in memory", theirs, bare_s / read_s,
        ),
    ]  # fmt: skip


def recording(corpus: Corpus) -> list[Figure]:
    """Record what a faster process blasts over loopback, beside a client that only receives."""
    blob = corpus.scratch / "payloads.bin"
    with blob.open("wb") as file:
        for frame in corpus.frames:
            file.write(len(frame.payload).to_bytes(4, "little") + frame.payload)
    count = len(corpus.frames)
    ours, stored, theirs = [], [], []
    for round_number in range(3):
        theirs.append(_blasted(blob, [sys.executable, "-m", "tests.bench.receive"])["seconds"])
        out = corpus.scratch / f"recorded-{round_number}"
        report = _blasted(
            blob,
            [
                sys.executable, "-m", "recorder", "record", str(out), "--until-closed", "--json",
                "--no-rest", "--no-resync", "--subscribe", "books:BTC-USDT", "--url",
            ],
        )  # fmt: skip
        # From the first stamp to the last: what the socket side reached while all else ran.
        frames = Capture(out).frames(kinds=[Kind.TEXT])
        first = last = 0
        received = 0
        for frame in frames:
            first = first or frame.ts_mono
            last = frame.ts_mono
            received += 1
        if received < count:
            raise SystemExit(f"expected {count} recorded frames, found {received}")
        ours.append((last - first) / 1e9)
        stored.append(report["seconds"])
    beside = "websockets recv() loop that keeps nothing"
    return [
        Figure(
            "record: stamped, journaled, parsed", rate(count, min(ours)),
            beside, rate(count, min(theirs)), min(theirs) / min(ours),
        ),
        Figure(
            "record: start to all sealed", rate(count, min(stored)),
            beside, rate(count, min(theirs)), min(theirs) / min(stored),
        ),
    ]  # fmt: skip


def _blasted(blob: Path, client: list[str]) -> dict[str, Any]:
    """Start the blasting server, point a client at it, return what the client prints."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.blast", str(blob), "1"], stdout=subprocess.PIPE
    )
    try:
        stdout = server.stdout
        port = stdout.readline().decode().strip() if stdout is not None else ""
        done = subprocess.run(
            [*client, f"ws://127.0.0.1:{port}/ws/v5"], capture_output=True, timeout=600
        )
        if done.returncode != 0:
            raise SystemExit(done.stderr.decode())
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def sizes(corpus: Corpus) -> list[Figure]:
    """Bytes a frame on disk, everything included, beside compressed JSON lines of the same."""
    sealed = sum(file.stat().st_size for file in (corpus.path / "frames").rglob("*.parquet"))
    rows = sum(1 for _ in Capture(corpus.path).frames())

    def lines() -> Iterable[bytes]:
        for frame in Capture(corpus.path).frames():
            text = frame.payload.decode("utf-8", "replace")
            yield json.dumps({"t": frame.ts_recv, "d": text}).encode() + b"\n"

    def compressed(name: str, opened: Any) -> int:
        path = corpus.scratch / name
        with path.open("wb") as raw, opened(raw) as out:
            for line in lines():
                out.write(line)
        return path.stat().st_size

    ours = f"{sealed / rows:.1f} B"
    figures = []
    for what, name, opened in (
        ("gzip -6 JSON lines", "lines.gz", lambda raw: gzip.GzipFile("", "wb", 6, raw)),
        ("zstd -3 JSON lines", "lines.3", lambda raw: _zstd(raw, 3)),
        ("zstd -9 JSON lines", "lines.9", lambda raw: _zstd(raw, 9)),
    ):
        theirs = compressed(name, opened) / rows
        figures.append(
            Figure("sealed bytes a frame", ours, what, f"{theirs:.1f} B", sealed / rows / theirs)
        )
    return figures


def _zstd(raw: Any, level: int) -> Any:
    return zstandard.ZstdCompressor(level=level).stream_writer(raw, closefd=False)


JOBS: dict[str, Callable[[Corpus], list[Figure]]] = {
    "parsing": parsing,
    "replaying": replaying,
    "recording": recording,
    "serving": serving,
    "sizes": sizes,
}
