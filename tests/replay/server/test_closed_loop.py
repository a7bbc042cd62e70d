"""The closed loop: what `serve` sends, recorded by the real recorder, is what was recorded."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from recorder.capture.reader import Capture
from recorder.errors import ExitCode
from recorder.frame import Kind
from recorder.live.recording import record
from recorder.okx.served import push_of
from recorder.okx.subscription import Subscription
from replay.server import serve
from replay.simulation.simulator import simulate

ROUNDS = 5


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two instruments on the public and the business endpoint."""
    path = tmp_path_factory.mktemp("loop") / "short"
    simulate(path, seed=5, instruments=["BTC-USDT", "ETH-USDT-SWAP"], duration=2.0, scenario="calm")
    return path


def pushes_of(path: Path) -> dict[Subscription, list[bytes]]:
    """The data pushes of a capture, per argument, in order."""
    found: defaultdict[Subscription, list[bytes]] = defaultdict(list)
    for frame in Capture(path).frames(kinds=[Kind.TEXT]):
        push = push_of(frame.payload)
        if push is not None:
            found[push].append(frame.payload)
    return dict(found)


async def served_and_recorded(source: Path, out: Path, speed: str) -> None:
    wanted = list(pushes_of(source))
    async with serve(
        source, port=0, speed=speed, at_end="close", wait_for_subscribers=len(wanted)
    ) as server:
        report = await record(out, wanted, url=server.url, until_closed=True)
    assert report.exit_code is ExitCode.DONE


@pytest.mark.parametrize("speed", ["1", "10", "max"])
async def test_at_any_speed_the_recorder_gets_the_same_bytes(
    short: Path, tmp_path: Path, speed: str
):
    await served_and_recorded(short, tmp_path / "out", speed)

    assert pushes_of(tmp_path / "out") == pushes_of(short)


async def test_five_rounds_change_nothing(short: Path, tmp_path: Path):
    source = short
    for round_number in range(ROUNDS):
        out = tmp_path / str(round_number)
        await served_and_recorded(source, out, "max")
        source = out

    assert pushes_of(source) == pushes_of(short)
    assert sum(map(len, pushes_of(source).values())) > 100
