"""`recorder record` as a real process: signals, exit codes, what goes to which stream."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.errors import ExitCode
from recorder.frame import Kind

TRADE = (
    b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d",'
    b'"px":"1.5","sz":"2","side":"buy","ts":"1790000000101","count":"1","source":"0","seqId":7}]}'
)
VenueOf = Callable[..., AbstractAsyncContextManager[Any]]


async def start(*arguments: object) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "recorder", "record", *map(str, arguments), stdout=PIPE, stderr=PIPE
    )


async def finish(process: Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return process.returncode, out.decode(), err.decode()


async def run(*arguments: object) -> tuple[int, str, str]:
    return await finish(await start(*arguments))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly(
    venue_of: VenueOf, tmp_path: Path, number: signal.Signals
) -> None:
    flowing = asyncio.Event()
    sent = 0

    async def script(socket: Any) -> None:
        nonlocal sent
        await socket.until_subscribed()
        while True:
            await socket.send(TRADE % sent)
            sent += 1
            if sent > 500 and all(item.started for item in venue.sockets):
                flowing.set()
            await asyncio.sleep(0.0005)

    out = tmp_path / "c"
    async with venue_of(script) as venue:
        process = await start(
            out, "-s", "trades:BTC-USDT", "-s", "trades-all:BTC-USDT", "--url", venue.url, "--json",
            "--segment-seconds", "0.2",
        )  # fmt: skip
        await asyncio.wait_for(flowing.wait(), 60)
        process.send_signal(number)
        code, stdout, stderr = await finish(process)
        assert len(venue.sockets) == 2
    assert code == ExitCode.DONE
    frames = list(Capture(out).frames())
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert list((out / "journal").iterdir()) == []
    assert len(list(out.glob("frames/date=*/*.parquet"))) >= 2
    data = [frame.payload for frame in frames if frame.payload.startswith(b'{"arg"')]
    assert len(data) == sent
    ends = [json.loads(f.payload) for f in frames if f.kind is Kind.CLOSED]
    opened = [row for row in ends if row["opened"]]
    assert [(row["by"], row["code"]) for row in opened] == [("recorder", 1000)] * 2
    report = json.loads(stdout)
    assert report["frames"] == len(frames)
    assert {"events", "seconds", "lost", "gaps", "connections", "output_digest"} <= set(report)
    assert signal.Signals(number).name in stderr
    assert re.search(r"^disk: [\d.]+ [kMGT]?B free$", stderr, re.MULTILINE)
    assert "recorded" in stderr
    assert "\r" not in stderr, "no progress line where there is no terminal"


async def test_frames_and_digest_in_a_report(venue_of: VenueOf, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        for number in range(100):
            await socket.send(TRADE % number)
        await socket.until_closed()

    async with venue_of(script) as venue:
        code, stdout, _ = await run(
            tmp_path / "c", "--channel", "trades", "--instrument", "BTC-USDT", "--url", venue.url,
            "--no-rest", "--frames", "50", "--digest", "--json", "--note", "for a test",
        )  # fmt: skip
    assert code == ExitCode.DONE
    report = json.loads(stdout)
    assert report["messages"] == 50
    assert len(report["output_digest"]) == 64
    assert json.loads((tmp_path / "c" / "capture.json").read_text())["note"] == "for a test"


async def test_duration_counts_from_the_first_ack(venue_of: VenueOf, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await asyncio.sleep(0.5)
        await socket.until_subscribed()
        await socket.until_closed()

    async with venue_of(script) as venue:
        code, stdout, _ = await run(
            tmp_path / "c", "-s", "trades:BTC-USDT", "--url", venue.url, "--no-rest",
            "--duration", "0.3", "--json",
        )  # fmt: skip
    assert code == ExitCode.DONE
    report = json.loads(stdout)
    assert report["stopped_by"] == "duration reached"
    assert 0.8 <= report["seconds"] < 30


async def test_nothing_to_connect_to(tmp_path: Path, unused_port: int) -> None:
    url = f"ws://127.0.0.1:{unused_port}/ws/v5"
    code, stdout, stderr = await run(
        tmp_path / "c", "-s", "books:BTC-USDT", "--url", url, "--no-rest", "--connect-timeout", "1"
    )
    assert code == ExitCode.REFUSED
    assert stdout == ""
    assert stderr.count("error:") == 1
    assert "Connection refused" in stderr


async def test_all_refused_and_some_refused(venue_of: VenueOf, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed(1)
        await asyncio.sleep(0)

    async with venue_of(script, knows=lambda arg: arg["instId"] == "BTC-USDT") as venue:
        shared = ("--url", venue.url, "--no-rest", "--until-closed")
        some = await run(tmp_path / "a", "-s", "books:FOO", "-s", "books:BTC-USDT", *shared)
        none = await run(tmp_path / "b", "-s", "books:FOO", *shared)
    assert some[0] == ExitCode.LOSS
    assert "1 disconnect, 1 subscription refused" in some[2]
    assert none[0] == ExitCode.REFUSED
    assert "60018 for books:FOO" in none[2]


async def test_mistakes_of_the_user_are_one_sentence_and_exit_2(
    venue_of: VenueOf, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("do not touch")

    async def script(socket: Any) -> None:
        await socket.until_closed()

    async with venue_of(script) as venue:
        shared = ("--url", venue.url, "--no-rest")
        mistakes = (
            ((full, "-s", "books:BTC-USDT", *shared), "expected nothing at"),
            ((tmp_path / "c", "-s", "bokos:BTC-USDT", *shared), "did you mean books"),
            ((tmp_path / "c", "-s", "orders", *shared), "without a login"),
            ((tmp_path / "c", "--private", "-s", "orders", *shared), "OKX_API_KEY"),
            ((tmp_path / "c", *shared), "at least one --subscribe"),
            ((tmp_path / "c", "--instrument", "BTC-USDT", *shared), "expected --channel"),
            ((tmp_path / "c", "-s", "books:BTC-USDT", "--duration", "-1", *shared), "above 0"),
        )
        ends = await asyncio.gather(*(run(*arguments) for arguments, _ in mistakes))
        for (code, stdout, stderr), (_, words) in zip(ends, mistakes, strict=True):
            assert (code, stdout) == (ExitCode.USAGE, ""), stderr
            assert words in stderr
            assert not (tmp_path / "c").exists()
        assert venue.attempts == []
    assert (full / "mine.txt").read_text() == "do not touch"


@pytest.mark.parametrize(
    "option", ["--segment-seconds", "--segment-bytes", "--sync-ms", "--ping-after",
               "--pong-timeout", "--duration", "--frames", "--connect-timeout"],
)  # fmt: skip
async def test_a_number_out_of_range_is_named_as_the_option(tmp_path: Path, option: str) -> None:
    code, stdout, stderr = await run(tmp_path / "c", "-s", "books:BTC-USDT", option, "0")
    assert (code, stdout) == (ExitCode.USAGE, "")
    assert stderr.startswith(f"error: expected {option} above 0")
    assert stderr.count("\n") == 1
    assert not (tmp_path / "c").exists()


async def test_the_end_that_was_asked_for_is_no_warning(venue_of: VenueOf, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(TRADE % 1)

    async with venue_of(script) as venue:
        code, _, stderr = await run(
            tmp_path / "c", "-s", "trades:BTC-USDT", "--url", venue.url, "--no-rest",
            "--until-closed",
        )  # fmt: skip
    assert code == ExitCode.DONE
    assert "warning" not in stderr
    assert "closed by the venue" in stderr  # why it ended is still said


async def test_a_broken_standard_error_does_not_end_a_recording(
    venue_of: VenueOf, tmp_path: Path
) -> None:
    """Whoever read the log is gone; each warning would raise, and rich would even exit."""

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(b'{"event":"notice","code":"64008","msg":"soon"}')  # a warning
        for number in range(20):
            await socket.send(TRADE % number)

    reading, writing = os.pipe()
    async with venue_of(script) as venue:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "recorder", "record", str(tmp_path / "c"),
            "-s", "trades:BTC-USDT", "--url", venue.url, "--no-rest", "--frames", "22", "--json",
            stdout=PIPE, stderr=writing,
            # Buffered, as it is unless somebody says so: what is left is flushed at the very end.
            env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )  # fmt: skip
        os.close(writing)
        os.close(reading)
        stdout, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == ExitCode.DONE
    assert json.loads(stdout)["stopped_by"] == "frame count reached"
    texts = list(Capture(tmp_path / "c").frames(kinds=[Kind.TEXT]))
    assert [frame.payload for frame in texts[-20:]] == [TRADE % number for number in range(20)]
