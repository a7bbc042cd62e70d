"""Control of a served capture, over real sockets: commands, watching, the timeline, who may ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from replay.ladder import book_at
from replay.server import Server, serve
from replay.server.commands import OPERATIONS, Refused, Seek, read_command
from replay.server.timeline import BINS
from replay.server.timeline_process import parts_of


class Asker:
    """One socket at `/replay`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            return dict(json.loads(await self.socket.recv()))

    async def ask(self, op: str, **more: Any) -> dict[str, Any]:
        """Say one command; return its answer, passing what comes unasked."""
        await self.socket.send(json.dumps({"op": op, "id": f"{op}?", **more}))
        while True:
            message = await self.hear()
            if message.get("id") == f"{op}?":
                return message


@asynccontextmanager
async def asker_of(server: Server, **more: Any) -> AsyncIterator[Asker]:
    async with connect(f"ws://127.0.0.1:{server.port}/replay", **more) as socket:
        yield Asker(socket)


def get(server: Server, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.fixture
def stress(datasets: Path) -> Path:
    return datasets / "eth-stress"


async def test_every_command_moves_the_replay(stress: Path):
    start = Capture(stress).info().start
    assert start is not None
    async with (
        serve(stress, port=0, speed=1, start_paused=True) as server,
        asker_of(server) as asker,
    ):
        status = (await asker.ask("status"))["status"]
        assert (status["state"], status["position"], status["speed"]) == ("paused", 0, 1.0)
        assert status["capture"] == "eth-stress"
        assert status["url"] == server.url

        before = (await asker.ask("step", frames=1))["status"]
        after = (await asker.ask("step", frames=7))["status"]
        assert after["position"] - before["position"] >= 7
        assert after["state"] == "paused"

        there = start + 20 * NS_PER_SECOND
        moved = (await asker.ask("seek", to=there))["status"]
        assert moved["at"] >= there - NS_PER_SECOND
        at = moved["at"]
        moved = (await asker.ask("seek", by=-5))["status"]
        assert abs(at - moved["at"] - 5 * NS_PER_SECOND) < NS_PER_SECOND
        moved = (await asker.ask("seek", to="2026-11-02T08:00:40Z"))["status"]
        assert moved["time"].startswith("2026-11-02T08:00:4")

        assert (await asker.ask("speed", speed="max"))["status"]["speed"] == "max"
        assert (await asker.ask("speed", speed=0.5))["status"]["speed"] == 0.5
        assert (await asker.ask("resume"))["status"]["state"] == "playing"
        assert (await asker.ask("pause"))["status"]["state"] == "paused"


async def test_a_wrong_command_is_told_in_one_sentence_and_changes_nothing(stress: Path):
    wrong = [
        ("jump", {}, "expected op as one of status, pause, resume, step"),
        ("seek", {}, "expected either `to` (a time) or `by`"),
        ("seek", {"to": "yesterday"}, "expected a time as RFC 3339"),
        ("speed", {"speed": "fast"}, "expected a speed as max or a number above 0"),
        ("speed", {"speed": -1}, "expected a speed as max or a number above 0"),
        ("step", {"frames": 0}, "expected 1 to 1,000,000 frames, received 0"),
        ("pause", {"now": True}, "unknown field `now`"),
        ("watch", {"instrument": "FOO-BAR"}, "expected an instrument with a book in this capture"),
        ("watch", {"every_ms": 1}, "expected `every_ms` from 20 to 60000, received 1"),
        ("fault", {"fault": {"do": "nonsense"}}, "nonsense"),
    ]
    async with (
        serve(stress, port=0, speed=1, start_paused=True) as server,
        asker_of(server) as asker,
    ):
        for op, more, sentence in wrong:
            answer = await asker.ask(op, **more)
            assert answer["event"] == "error", answer
            assert sentence in answer["message"]
            assert "\n" not in answer["message"]
        for text in (b"\xff\xfe", b"[]", b"7", b"pause", b'{"op":7}', b"[" * 30_000):
            await asker.socket.send(text)
            answer = await asker.hear()
            assert answer["event"] == "error"
            assert "expected a command as a JSON object" in answer["message"]
        await asker.socket.send("x" * 100_000)
        assert "expected at most 65536 bytes" in (await asker.hear())["message"]
        assert (await asker.ask("status"))["status"]["position"] == 0


async def test_a_watcher_sees_the_ladder_that_the_capture_holds_there(stress: Path):
    async with (
        serve(stress, port=0, speed=1, start_paused=True) as server,
        asker_of(server) as asker,
    ):
        await server.wait_surveyed()
        described = await asker.ask("describe")
        assert described["instruments"] == ["ETH-USDT", "ETH-USDT-SWAP"]
        assert described["arguments"] == server.arguments
        moved = (await asker.ask("seek", to="2026-11-02T08:00:30Z"))["status"]
        await asker.ask("watch", every_ms=20, instrument="ETH-USDT", depth=5)
        update = await asker.hear()
        assert update["event"] == "update"
        # The seek stands before its first frame; a book is told of after it.
        truth = book_at(Capture(stress), "ETH-USDT", moved["at"] - 1, channel="books", number=str)
        shown = update["ladder"]
        assert [rung["price"] for rung in shown["bids"]] == [x.price for x in truth.bids(5)]
        assert [rung["size"] for rung in shown["asks"]] == [x.size for x in truth.asks(5)]
        assert shown["is_whole"]
        assert (await asker.hear())["event"] == "update"
        assert (await asker.ask("unwatch"))["event"] == "done"
        assert (await asker.ask("status"))["event"] == "done"


async def test_the_timeline_is_told_to_everybody_who_asks(stress: Path):
    async def told(asker: Asker) -> list[dict[str, Any]]:
        await asker.socket.send('{"op": "timeline"}')
        parts = []
        while not parts or not parts[-1].get("is_complete"):
            message = await asker.hear()
            if message["event"] == "timeline":
                parts.append(message["timeline"])
        return parts

    async with (
        serve(stress, port=0, speed=1, start_paused=True) as server,
        asker_of(server) as one,
        asker_of(server) as other,
    ):
        parts = await told(one)
        assert await told(other) == parts
    assert parts == [json.loads(json.dumps(part)) for part in parts]
    marks = [mark for part in parts for mark in part.get("marks", ())]
    assert sorted(mark["what"] for mark in marks) == [
        "connect-failed",
        "disconnect",
        "gap",
        "reset",
        "run",
    ]
    away = next(mark for mark in marks if mark["what"] == "disconnect")
    assert 0 < away["until"] - away["at"] < 10 * NS_PER_SECOND
    bins = next(part["bins"] for part in parts if "bins" in part)
    assert len(bins) == BINS
    assert sum(bins) == Capture(stress).info().kinds["text"]


def test_a_timeline_of_nothing_is_complete(tmp_path: Path):
    CaptureWriter(tmp_path / "empty").close()
    parts = list(parts_of(Capture(tmp_path / "empty")))
    assert [part.is_complete for part in parts] == [True]


async def test_status_and_page_by_http(stress: Path):
    async with serve(stress, port=0, speed=1, start_paused=True) as server:
        code, headers, body = await asyncio.to_thread(get, server, "/replay/status")
        assert code == 200
        assert headers["Content-Type"].startswith("application/json")
        assert json.loads(body)["state"] == "paused"
        code, headers, body = await asyncio.to_thread(get, server, "/")
        assert code == 200
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["X-Frame-Options"] == "DENY"
        assert b"<!doctype html>" in body
        for word in (b'src="http', b"src='http", b'href="http', b"@import", b"url(http", b"fetch("):
            assert word not in body, "the page needs no network"


async def test_a_fault_is_ordered_while_it_runs(stress: Path):
    books = {"channel": "books", "instId": "ETH-USDT"}
    async with (
        serve(stress, port=0, speed="max", start_paused=True) as server,
        connect(f"{server.url}/public", max_queue=None) as client,
        asker_of(server) as asker,
    ):
        await client.send(json.dumps({"op": "subscribe", "args": [books]}))
        assert json.loads(await client.recv())["event"] == "subscribe"
        fault = {"do": "gap", "instrument": "ETH-USDT", "count": 2}
        assert (await asker.ask("fault", fault=fault))["event"] == "done"
        await asker.ask("resume")
        previous = None
        async with asyncio.timeout(60):
            while True:
                row = json.loads(await client.recv())["data"][0]
                if previous not in (None, row["prevSeqId"]):
                    break
                previous = row["seqId"]
        assert server.report().faults == {"gap": 1}


def test_commands_are_read_exactly():
    command = read_command(b'{"op":"seek","to":1793606400000000001,"id":7}')
    assert isinstance(command, Seek)
    assert command.to_ns == 1793606400000000001
    refused = read_command(b'{"op":"step","frames":"many","id":"x"}')
    assert isinstance(refused, Refused)
    assert (refused.op, refused.id) == ("step", "x")
    assert len(set(OPERATIONS)) == len(OPERATIONS) == 11
