"""The measurements of `replay serve`: to one client, to fifty, and a late subscriber's snapshot.

Responsible for the same cheap clients against our server and against a bare broadcast loop of
`websockets` over the same payloads, each in a process of its own. Refuses to judge.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect

from recorder.capture.reader import Capture
from recorder.frame import Kind
from recorder.okx.served import push_of
from recorder.okx.subscription import Subscription
from replay.server import serve

if TYPE_CHECKING:
    from tests.bench.measure import Corpus, Figure

CLIENTS = 50
ROUNDS = 3
FEW = 5_000
"""Frames that are sent to fifty clients."""
_LIMIT_S = 600


def serving(corpus: Corpus) -> list[Figure]:
    """Serve at max, beside a bare loop; then subscribe late.

    What is compared is CPU time of the serving process, all its threads, in turn (A B A B …): other
    work on the machine changes it little.
    """
    from tests.bench.measure import Figure

    figures = []
    for count in (1, CLIENTS):
        payloads, arguments, last_seq = _pushes(corpus.path, None if count == 1 else FEW)
        blob = corpus.scratch / f"served-{count}.bin"
        with blob.open("wb") as file:
            for payload in payloads:
                file.write(len(payload).to_bytes(4, "little") + payload)
        request = json.dumps({"op": "subscribe", "args": arguments}).encode()
        source = corpus.path if last_seq is None else _cut(corpus, last_seq)
        bare = ["tests.bench.broadcast", str(blob), str(count)]
        served = ["tests.bench.served", str(source), str(count), str(len(arguments))]
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(_cost(bare, count, request, len(payloads)))
            ours.append(_cost(served, count, request, len(payloads)))
        figures.append(
            Figure(
                f"serve at max: to {count} client{'s' * (count > 1)}",
                f"{min(ours) * 1e6:.2f} µs CPU a message",
                "bare broadcast loop of websockets, in memory",
                f"{min(theirs) * 1e6:.2f} µs",
                min(theirs) / min(ours),
            )
        )
    snapshot, pong = asyncio.run(_late(corpus.path))
    figures.append(
        Figure(
            "serve: snapshot for a late subscriber",
            f"{snapshot * 1e3:.1f} ms",
            "its pong",
            f"{pong * 1e3:.1f} ms",
            snapshot / pong,
            "< 200 ms",
        )
    )
    return figures


def _pushes(path: Path, most: int | None) -> tuple[list[bytes], list[dict[str, str]], int | None]:
    """Return the pushes of the public endpoint, their arguments, and where it stops."""
    payloads: list[bytes] = []
    asked: dict[Subscription, None] = {}
    for frame in Capture(path).frames(kinds=[Kind.TEXT]):
        push = push_of(frame.payload)
        if push is not None and "candle" not in push.channel:
            asked[push] = None
            payloads.append(frame.payload)
            if len(payloads) == most:
                return payloads, [push.argument for push in asked], frame.seq
    return payloads, [push.argument for push in asked], None


def _cut(corpus: Corpus, last_seq: int) -> Path:
    """Return a capture of the first frames of the corpus."""
    from recorder.capture.writer import CaptureWriter

    out = corpus.scratch / "few"
    with CaptureWriter(out) as writer:
        for batch in Capture(corpus.path).batches(last_seq=last_seq):
            writer.write(list(batch.frames()))
    return out


def _cost(module: list[str], count: int, request: bytes, pushes: int) -> float:
    """Start a server, point the clients at it; return its CPU seconds a message.

    Raises:
        SystemExit: it did not send everything to everybody.
    """
    server = subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        address = f"ws://127.0.0.1:{port}/ws/v5/public"
        command = [sys.executable, "-m", "tests.bench.listeners", address, str(count)]
        clients = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            assert clients.stdin is not None
            clients.stdin.write(request)
            clients.stdin.close()
            clients.wait(_LIMIT_S)
        finally:
            clients.kill()
            clients.wait()
        told: dict[str, Any] = json.loads(server.stdout.readline())
        if told["sent"] != count * pushes:
            raise SystemExit(f"expected {count * pushes} messages, {module[0]} sent {told['sent']}")
        return float(told["cpu_s"]) / (count * pushes)
    finally:
        server.kill()
        server.wait()


async def _late(path: Path) -> tuple[float, float]:
    """Return the median seconds to a snapshot and to a pong, near the end of a capture."""
    _, arguments, _ = _pushes(path, None)
    books = next(argument for argument in arguments if argument["channel"] == "books")
    snapshots, pongs = [], []
    async with serve(path, port=0, speed=None) as server:
        await server.wait_finished()
        async with connect(f"{server.url}/public", ping_interval=None) as socket:
            for _ in range(21):
                began = time.perf_counter()
                await socket.send("ping")
                await socket.recv()
                pongs.append(time.perf_counter() - began)
                began = time.perf_counter()
                await socket.send(json.dumps({"op": "subscribe", "args": [books]}))
                while b'"snapshot"' not in await socket.recv(decode=False):
                    pass
                snapshots.append(time.perf_counter() - began)
                await socket.send(json.dumps({"op": "unsubscribe", "args": [books]}))
                await socket.recv()
    return sorted(snapshots)[10], sorted(pongs)[10]
