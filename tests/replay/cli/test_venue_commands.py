"""`replay simulate` and `replay serve` as processes: what a user and a script see."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from recorder.capture.reader import Capture
from replay.server.catalogue import read_catalogue


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_simulate_reports_what_it_wrote(tmp_path: Path):
    done = replay("simulate", tmp_path / "c", "--seed", 3, "--frames", 500, "--json")

    assert done.returncode == 0
    report = json.loads(done.stdout)
    info = Capture(tmp_path / "c").info()
    assert (report["frames"], report["seed"]) == (500, 3)
    assert report["input_digest"] == info.input_digest
    assert done.stderr == ""


def test_simulate_refuses_in_one_sentence(tmp_path: Path):
    existing = tmp_path / "c"
    assert replay("simulate", existing, "--seed", 3, "--frames", 50).returncode == 0

    again = replay("simulate", existing, "--seed", 3, "--frames", 50)
    nonsense = replay("simulate", tmp_path / "d", "--seed", 3, "--instrument", "BTC/USDT")
    seedless = replay("simulate", tmp_path / "d")

    for refused, said in ((again, str(existing)), (nonsense, "BASE-USDT"), (seedless, "--seed")):
        assert refused.returncode == 2
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not (tmp_path / "d").exists()


@asynccontextmanager
async def serving(
    *arguments: str | Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """Run `replay serve`; yield the process and the first line it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "replay",
        "serve",
        *map(str, arguments),
        "--port",
        "0",
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            first = json.loads(await process.stdout.readline())
        yield process, first
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_serve_prints_its_address_first_and_a_report_at_the_end(datasets: Path):
    options = ("--speed", "max", "--at-end", "close", "--wait-for-subscribers", "1")
    async with serving(datasets / "btc-calm", *options) as (process, first):
        argument = {"channel": "trades", "instId": "BTC-USDT"}
        # As much as is known after a moment: of a small capture everything, on an idle machine.
        known = read_catalogue(Capture(datasets / "btc-calm")).known["public"]
        assert all(item in [one.argument for one in known] for item in first["arguments"]["public"])
        received = 0
        async with asyncio.timeout(120), connect(f"{first['url']}/public") as socket:
            await socket.send(json.dumps({"op": "subscribe", "args": [argument]}))
            async for message in socket:
                received += '"data"' in message
            assert socket.close_code == 1000
        async with asyncio.timeout(60):
            out, talk = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["frames"] == received > 0
    assert b"Traceback" not in talk


async def test_serve_ends_cleanly_on_sigterm(datasets: Path):
    async with (
        serving(datasets / "btc-calm", "--speed", "1") as (process, first),
        connect(f"{first['url']}/business") as socket,
    ):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await socket.wait_closed()
            out, talk = await process.communicate()

    assert process.returncode == 0
    assert json.loads(out)["too_slow"] == 0
    assert b"Traceback" not in talk


def test_serve_refuses_in_one_sentence(tmp_path: Path, datasets: Path):
    nothing = replay("serve", tmp_path / "nothing")
    fast = replay("serve", datasets / "btc-calm", "--speed", "fast")
    many = replay("serve", datasets / "btc-calm", "--port", 0, "--wait-for-subscribers", 99)
    late = replay("serve", datasets / "btc-calm", "--start", "2030-01-01")

    for refused, said in (
        (nothing, "nothing"),
        (fast, "speed"),
        (many, "at most"),
        (late, "start"),
    ):
        assert refused.returncode == 2
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
