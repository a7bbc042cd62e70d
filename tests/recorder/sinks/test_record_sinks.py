"""`recorder record --sink` and `replay play --sink` as real processes, on good and on bad days."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.event import Trade
from tests.recorder.sinks.feeding import assert_equal, query, trade
from tests.servers import PASSWORD, PATIENCE_S, Postgres, RedisServer, free_port, until

VenueOf = Callable[..., AbstractAsyncContextManager[Any]]
EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
WITH_EXAMPLES = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH")])),
}
CSV = "module:csv_sink:CsvSink?folder={}"


async def start(out: Path, url: str, *arguments: object) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "recorder", "record", str(out), "-s", "trades:BTC-USDT",
        "--url", url, "--no-rest", "--json", *map(str, arguments), stdout=PIPE, stderr=PIPE,
        env=WITH_EXAMPLES,
    )  # fmt: skip


async def finish(process: Process) -> tuple[dict[str, Any], str]:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, err.decode()
    assert "Traceback" not in err.decode()
    return json.loads(out), err.decode()


def play(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "replay", "play", *map(str, arguments)],
        capture_output=True, text=True, timeout=PATIENCE_S, env=WITH_EXAMPLES,
    )  # fmt: skip


def trades_of(path: Path) -> list[tuple[int, int]]:
    return [(e.seq, e.index) for e in Capture(path).events() if isinstance(e, Trade)]


def lines_of(folder: Path) -> list[tuple[int, int]]:
    (file,) = folder.glob("*.csv")
    return [(int(row[0]), int(row[1])) for row in csv.reader(file.open())]


def nothing_holds(secret: bytes, *places: Path) -> None:
    for place in places:
        for file in place.rglob("*"):
            if file.is_file():
                assert secret not in file.read_bytes(), file


def sink_process(recorder: int) -> int:
    """Return the process of the one sink of a recorder."""
    tasks = Path(f"/proc/{recorder}/task").iterdir()
    children = [word for task in tasks for word in (task / "children").read_text().split()]
    (found,) = [
        pid for pid in children if b"sink_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return int(found)


class Script:
    """A venue that sends trades when told to."""

    def __init__(self) -> None:
        self.sent = 0
        self.socket: Any = None
        self.ready = asyncio.Event()

    async def __call__(self, socket: Any) -> None:
        await socket.until_subscribed()
        self.socket = socket
        self.ready.set()
        await socket.until_closed()

    async def send(self, count: int) -> None:
        await asyncio.wait_for(self.ready.wait(), PATIENCE_S)
        for _ in range(count):
            await self.socket.send(trade(self.sent))
            self.sent += 1


async def told(holds: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(until, holds, what)


async def test_three_sinks_while_it_is_recorded_and_again_from_history(
    venue_of: VenueOf, tmp_path: Path, database: str, redis_server: RedisServer
) -> None:
    out, rows = tmp_path / "c", tmp_path / "rows"
    sinks = [f"timescale:{database}", redis_server.url(), CSV.format(rows)]
    options = [word for address in sinks for word in ("--sink", address)]
    script = Script()
    async with venue_of(script) as venue:
        process = await start(out, venue.url, *options)
        await script.send(500)

        def count() -> int:
            with redis_server.client() as client:
                return int(client.xlen("okx:stream:trades"))

        await told(lambda: count() == 500, "500 trades in Redis while it is recorded")
        status = json.loads((out / "status.json").read_text())
        assert len(status["sinks"]) == 3
        await script.send(100)
        process.send_signal(signal.SIGTERM)
        report, talk = await finish(process)
    assert [sink["is_complete"] for sink in report["sinks"]] == [True] * 3
    assert report["sinks"][0]["sink"].startswith("timescale:postgresql://recorder:***@127.0.0.1")
    assert [sink["failures"] for sink in report["sinks"]] == [0] * 3
    assert assert_equal(database, out) == 600
    assert lines_of(rows) == trades_of(out)
    for secret in (PASSWORD, PASSWORD.replace("/", "%2F").replace(":", "%3A")):
        nothing_holds(secret.encode(), out)
        assert secret not in talk + json.dumps([report, status])
    again = play(out, *options, "--json")
    assert again.returncode == 0, again.stderr
    assert [sink["records"] for sink in json.loads(again.stdout)["sinks"]] == [0, 0, 0]
    assert assert_equal(database, out) == count() == len(lines_of(rows)) == 600


async def test_a_process_that_dies_is_started_again_and_goes_on(
    venue_of: VenueOf, tmp_path: Path
) -> None:
    out, rows = tmp_path / "c", tmp_path / "rows"
    script = Script()
    async with venue_of(script) as venue:
        process = await start(out, venue.url, "--sink", CSV.format(rows))
        await script.send(200)
        await told(lambda: bool(list(rows.glob("*.csv"))), "a file of rows")
        os.kill(sink_process(process.pid), signal.SIGKILL)
        await script.send(200)
        await told(lambda: len(lines_of(rows)) >= 400, "all rows")
        process.send_signal(signal.SIGINT)
        report, talk = await finish(process)
    assert "its process ended" in talk
    assert report["sinks"][0]["is_complete"]
    assert lines_of(rows) == trades_of(out)
    assert len(lines_of(rows)) == 400


@pytest.mark.skipif("SINKS_ROUNDS" not in os.environ, reason="long: make test-sinks")
async def test_a_database_that_is_down_costs_a_recording_nothing(
    venue_of: VenueOf, tmp_path: Path, postgres_server: Postgres
) -> None:
    """Nobody listens at first; then there is a database, and `play` brings what it lacks."""
    out, port = tmp_path / "c", free_port()
    address = f"timescale:{postgres_server.url('postgres')}".replace(
        str(postgres_server.port), str(port)
    )
    script = Script()
    async with venue_of(script) as venue:
        process = await start(out, venue.url, "--sink", address)
        await script.send(300)

        def status() -> Any:
            try:
                return json.loads((out / "status.json").read_text())["sinks"][0]
            except (OSError, KeyError):
                return {"state": None}

        await told(lambda: status()["state"] == "down", "a sink that is down")
        assert PASSWORD not in json.dumps(status())
        os.kill(process.pid, signal.SIGKILL)  # and no time for the rest
        await asyncio.wait_for(process.wait(), PATIENCE_S)
    failed = play(out, "--sink", address)
    assert failed.returncode == 5
    assert len(failed.stderr.strip().splitlines()) == 1
    assert failed.stderr.startswith("error: expected the database to take rows")
    right = f"timescale:{postgres_server.url('postgres')}?schema=late"
    assert play(out, "--sink", right).returncode in (0, 3)
    statement = "SELECT seq, index FROM late.trades ORDER BY 1, 2"
    found = query(postgres_server.url("postgres"), statement)
    assert found == trades_of(out)
    assert len(found) == 300


@pytest.mark.skipif("SINKS_ROUNDS" not in os.environ, reason="long: make test-sinks")
def test_parts_and_faults_of_a_replay(datasets: Path, database: str) -> None:
    address, path = f"timescale:{database}", datasets / "btc-calm"
    part = play(path, "--sink", address, "--channel", "trades")
    assert part.returncode == 0, part.stderr
    (found,) = query(database, "SELECT count(*), max(channel) FROM okx.trades")
    trades = [e for e in Capture(path).events() if isinstance(e, Trade) and e.channel == "trades"]
    assert found == (len(trades), "trades")
    assert query(database, "SELECT * FROM okx.positions") == []
    whole = play(path, "--sink", address)
    assert "stands at seq 3508" in whole.stderr
    assert_equal(database, path)
    refused = play(path, "--sink", address, "--fault", "gap:books:BTC-USDT@p=0.1", "--seed", "1")
    assert refused.returncode == 2
    assert "expected --sink without faults" in refused.stderr
    usage = play(path, "--sink", "timescale:postgresql://me:hush@h/d?tables=x")
    assert usage.returncode == 2
    assert "hush" not in usage.stderr
