"""A capture that is served while it is being recorded: `--at-end follow`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from recorder.capture.options import WriterOptions
from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from replay.server import Server, serve
from replay.server.timeline import Timeline

START = 1_790_000_000 * NS_PER_SECOND
TICKERS = {"channel": "tickers", "instId": "A-B"}
LATER = {"channel": "tickers", "instId": "C-D"}


def ticker(number: int, argument: dict[str, str] = TICKERS) -> bytes:
    return json.dumps({"arg": argument, "data": [{"last": str(number)}]}).encode()


class Recorder:
    """Writes a frame a second, of data time; every fourth begins a new segment."""

    def __init__(self, path: Path) -> None:
        self.writer = CaptureWriter(path, options=WriterOptions(segment_seconds=4))
        self.seq = 0
        self.add(b'{"endpoint":"public"}', Kind.OPENED)

    def add(self, payload: bytes, kind: Kind = Kind.TEXT) -> bytes:
        at = START + self.seq * NS_PER_SECOND
        self.writer.write([Frame(self.seq, at, at, 0, kind, payload)])
        self.writer.flush(60)
        self.seq += 1
        return payload


async def client_of(server: Server, argument: dict[str, str]) -> ClientConnection:
    socket = await connect(f"{server.url}/public", ping_interval=None)
    await socket.send(json.dumps({"op": "subscribe", "args": [argument]}))
    assert json.loads(await asyncio.wait_for(socket.recv(), 60))["event"] == "subscribe"
    return socket


async def until_known(server: Server, argument: dict[str, str]) -> None:
    async with asyncio.timeout(60):
        while argument not in server.arguments["public"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def next_push(socket: ClientConnection) -> bytes:
    return bytes(await asyncio.wait_for(socket.recv(decode=False), 60))


@pytest.mark.parametrize("speed", [None, 1_000])
async def test_what_a_recorder_adds_is_served_as_it_comes(tmp_path: Path, speed: float | None):
    recorder = Recorder(tmp_path / "live")
    try:
        first = [recorder.add(ticker(n)) for n in range(6)]
        async with serve(
            tmp_path / "live", port=0, speed=speed, wait_for_subscribers=1, at_end="follow"
        ) as server:
            socket = await client_of(server, TICKERS)
            assert [await next_push(socket) for _ in first] == first
            for number in range(6, 18):  # several segments, sealed meanwhile
                assert await next_push_of(recorder, socket, ticker(number)) == ticker(number)
            recorder.add(ticker(0, LATER))
            await until_known(server, LATER)
            later = await client_of(server, LATER)
            assert await next_push(later) == ticker(0, LATER), "the last push, once more"
            assert server.status().state == "playing"
            await asyncio.to_thread(recorder.writer.close)
            await asyncio.wait_for(server.wait_finished(), 60)
            assert server.status().state == "ended"
            server.controls.seek(START)
            assert await next_push(socket) == first[0]
    finally:
        recorder.writer.close()


async def next_push_of(recorder: Recorder, socket: ClientConnection, payload: bytes) -> bytes:
    recorder.add(payload)
    return await next_push(socket)


async def test_orders_are_obeyed_while_nothing_comes(tmp_path: Path):
    recorder = Recorder(tmp_path / "live")
    try:
        async with serve(tmp_path / "live", port=0, speed=None, at_end="follow") as server:
            recorder.add(ticker(1))
            await until_known(server, TICKERS)
            socket = await client_of(server, TICKERS)
            assert await next_push(socket) == ticker(1)
            server.controls.pause()
            recorder.add(ticker(2))
            server.controls.step()
            assert await next_push(socket) == ticker(2)
            server.controls.seek(START)
            server.controls.step(2)
            assert await next_push(socket) == ticker(1)
    finally:
        recorder.writer.close()


async def test_the_timeline_grows_for_who_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("replay.server.timeline.AGAIN_S", 0.0)

    async def told(timeline: Timeline) -> list[Any]:
        async with asyncio.timeout(120):
            return [part async for part in timeline.parts()]

    recorder = Recorder(tmp_path / "live")
    timeline = Timeline(Capture(tmp_path / "live"))
    try:
        recorder.add(ticker(1))
        before = await told(timeline)
        assert before[0].end == START + 1 * NS_PER_SECOND
        recorder.add(ticker(2))
        await asyncio.to_thread(recorder.writer.close)
        after = await told(timeline)
        assert after[0].end == START + 2 * NS_PER_SECOND
        assert sum(after[1].bins or []) == 2
        assert await told(timeline) == after, "nobody adds to it any more: it is not read again"
    finally:
        recorder.writer.close()
        await timeline.close()
