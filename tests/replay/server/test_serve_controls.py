"""A running server obeys (pause, step, seek, speed), as a client and its status see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from recorder.capture.reader import Capture
from recorder.okx.served import push_of
from replay.server import Server, serve
from replay.server.status import ServeStatus
from replay.simulation.simulator import simulate

BOOKS = {"channel": "books", "instId": "BTC-USDT"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("controls") / "calm"
    simulate(path, seed=8, instruments=["BTC-USDT"], duration=12.0, rate=0.5, scenario="calm")
    return path


async def hold_books(server: Server) -> ClientConnection:
    socket = await connect(
        f"{server.url}/public", ping_interval=None, max_queue=None, compression=None
    )
    await socket.send(json.dumps({"op": "subscribe", "args": [BOOKS]}))
    return socket


async def next_push(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            text = await socket.recv(decode=False)
            if push_of(text) is not None:
                return dict(json.loads(text)["data"][0])


async def until(server: Server, is_met: Callable[[ServeStatus], bool]) -> ServeStatus:
    """Look at the status until it says something."""
    async with asyncio.timeout(60):
        while not is_met(status := server.status()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return status


async def test_a_server_that_starts_paused_stands_until_told_to_go(calm: Path):
    async with serve(calm, port=0, speed="max", start_paused=True) as server:
        status = await until(server, lambda now: now.state == "paused")
        assert status.position == 0
        server.controls.step(5)
        await until(server, lambda now: 5 <= now.position < 20)
        server.controls.resume()
        status = await until(server, lambda now: now.state == "ended")

    assert status.speed == "max"
    assert status.position == Capture(calm).info().frames


async def test_a_seek_gives_subscribers_the_book_of_that_instant(calm: Path):
    frames = list(Capture(calm).frames())
    books = [f for f in frames if b'{"arg":{"channel":"books","' in f.payload[:30]]
    at = books[len(books) // 2]
    async with serve(calm, port=0, speed=1, start_paused=True) as server:
        await until(server, lambda now: now.state == "paused")
        socket = await hold_books(server)
        server.controls.seek(at.ts_recv)
        snapshot = await next_push(socket)
        status = await until(server, lambda now: now.at == at.ts_recv)
        server.controls.resume()
        update = await next_push(socket)
        await socket.close()

    assert snapshot["prevSeqId"] == -1
    assert update == json.loads(at.payload)["data"][0]
    assert update["prevSeqId"] == snapshot["seqId"]
    assert status.state == "paused"
    assert status.clients[0].arguments == 1


async def test_it_can_be_sent_back_from_the_end_and_hurried(calm: Path):
    first = json.loads(
        next(f.payload for f in Capture(calm).frames() if b'"action":"snapshot"' in f.payload)
    )
    async with serve(calm, port=0, speed="max", wait_for_subscribers=1) as server:
        socket = await hold_books(server)
        await until(server, lambda now: now.state == "ended")
        server.controls.change_speed(1000)
        server.controls.seek(0)
        pushes = [await next_push(socket)]
        while pushes[-1]["prevSeqId"] != -1 or len(pushes) == 1:
            pushes.append(await next_push(socket))
        assert pushes[0] == pushes[-1] == first["data"][0]
        status = await until(server, lambda now: now.state == "ended")
        await socket.close()

    assert status.speed == 1000.0
