"""`recorder watch` as a real process: lines, JSON, signals, and readers that go away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from recorder.errors import ExitCode

TRADE = (
    b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d",'
    b'"px":"1.50","sz":"2","side":"buy","ts":"1790000000101","count":"1","source":"0","seqId":7}]}'
)
VenueOf = Callable[..., AbstractAsyncContextManager[Any]]


async def start(*arguments: object, **options: Any) -> Process:
    options = {"stdout": PIPE, "stderr": PIPE} | options
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "recorder", "watch", *map(str, arguments), **options
    )


async def finish(process: Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert b"Traceback" not in (err or b"")
    return process.returncode, (out or b"").decode(), (err or b"").decode()


async def three_trades(socket: Any) -> None:
    await socket.until_subscribed()
    await socket.send(*(TRADE % number for number in range(3)))


async def flow(socket: Any) -> None:
    await socket.until_subscribed()
    for number in range(1_000_000):
        await socket.send(TRADE % number)
        await asyncio.sleep(0.001)


async def test_lines_and_json(venue_of: VenueOf) -> None:
    async with venue_of(three_trades) as venue:
        shared = ("-s", "trades:BTC-USDT", "--url", venue.url, "--until-closed")
        plain, lines = await asyncio.gather(
            finish(await start(*shared)), finish(await start(*shared, "--json"))
        )
    assert (plain[0], lines[0]) == (ExitCode.DONE, ExitCode.DONE)
    trades = [line for line in plain[1].splitlines() if " buy " in line]
    assert len(trades) == 3
    assert trades[0].endswith("trades  BTC-USDT  buy   2 @ 1.50")  # as the venue wrote it
    assert "\x1b" not in plain[1], "colour belongs on a terminal only"
    events = [json.loads(line) for line in lines[1].splitlines()]
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert [e["price"] for e in events if e["type"] == "Trade"] == [1.5] * 3
    assert {"Connected", "Subscribed", "Disconnected"} <= {event["type"] for event in events}


async def test_a_signal_ends_it_cleanly(venue_of: VenueOf) -> None:
    async with venue_of(flow) as venue:
        process = await start("-s", "trades:BTC-USDT", "--url", venue.url)
        assert process.stdout is not None
        for _ in range(5):
            await asyncio.wait_for(process.stdout.readline(), 60)
        process.send_signal(signal.SIGINT)
        code, out, err = await finish(process)
    assert code == ExitCode.DONE
    assert "disconnected" in out.splitlines()[-1]
    assert "by the recorder" in out.splitlines()[-1]
    assert "SIGINT: closing the sockets" in err


async def test_a_reader_that_goes_away_ends_it_quietly(venue_of: VenueOf) -> None:
    """As `| head -1`: both while frames flow, and in a market where nothing happens."""

    async def quiet(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.until_closed()

    for script in (flow, quiet):
        async with venue_of(script) as venue:
            reading, writing = os.pipe()
            reader = asyncio.StreamReader()
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda reader=reader: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
            )
            process = await start("-s", "trades:BTC-USDT", "--url", venue.url, stdout=writing)
            os.close(writing)
            assert await asyncio.wait_for(reader.read(10), 60)
            pipe.close()
            code, _, err = await finish(process)
        assert (code, err) == (ExitCode.DONE, "")


async def test_mistakes_and_refusals(venue_of: VenueOf) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()

    async with venue_of(script, knows=lambda arg: arg["instId"] == "BTC-USDT") as venue:
        url = ("--url", venue.url, "--until-closed")
        nothing, depth, some, none = await asyncio.gather(
            finish(await start(*url)),
            finish(await start("-s", "books:BTC-USDT", "--depth", "0", *url)),
            finish(await start("-s", "trades:FOO", "-s", "trades:BTC-USDT", *url)),
            finish(await start("-s", "trades:FOO", *url)),
        )
    assert nothing[0] == depth[0] == ExitCode.USAGE
    assert "at least one --subscribe" in nothing[2]
    assert some[0] == ExitCode.LOSS
    assert "venue-error " in some[1]
    assert none[0] == ExitCode.REFUSED
    assert "60018 for trades:FOO" in none[2]
