"""The pytest plugin, as a user has it: a fresh project, a tiny bot, another pytest process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from recorder.capture.reader import Capture
from recorder.event import Trade

BOT = '''
import asyncio, json
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_sync

ASK = json.dumps({"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]})

class Bot:
    """Keeps the last price; knows nothing of a replay."""

    def __init__(self, url):
        self.url, self.trades, self.last = url, 0, None

    def take(self, text):
        for row in json.loads(text).get("data", []):
            self.trades, self.last = self.trades + 1, row["px"]

    def run(self):
        with connect_sync(self.url + "/public") as socket:
            socket.send(ASK)
            try:
                for text in socket:
                    self.take(text)
            except ConnectionClosed:
                pass

    async def follow(self):
        async with connect(self.url + "/public") as socket:
            await socket.send(ASK)
            try:
                async for text in socket:
                    self.take(text)
            except ConnectionClosed:
                pass
'''

TESTS = """
import asyncio, urllib.request, json
import pytest
from bot import Bot

@pytest.mark.replay("btc-calm")
def test_sync(replay_server):
    bot = Bot(replay_server.url)
    bot.run()
    replay_server.wait_finished()
    assert (bot.trades, bot.last) == EXPECTED
    assert replay_server.report().frames == bot.trades
    assert replay_server.status().state == "ended"

@pytest.mark.asyncio
@pytest.mark.replay("btc-calm", wait_for_subscribers=1)
async def test_async(replay_server):
    bot = Bot(replay_server.url)
    await asyncio.gather(bot.follow(), replay_server.finished())
    assert (bot.trades, bot.last) == EXPECTED

def test_several(serve_capture):
    one = serve_capture("btc-calm", start_paused=True)
    two = serve_capture("btc-calm", speed=10, at_end="idle")
    assert one.port != two.port
    one.controls.step(30)
    with urllib.request.urlopen(one.rest_url + "/replay/status", timeout=60) as answer:
        assert json.load(answer)["state"] == "paused"
    assert one.arguments == two.arguments

@pytest.mark.replay("btc-calm")
def test_that_fails(replay_server):
    assert replay_server.url == "somewhere else"

def test_without_a_marker(replay_server):
    pass

@pytest.mark.replay("nowhere")
def test_of_no_capture(replay_server):
    pass

@pytest.mark.replay("btc-calm", speed="fast")
def test_of_no_speed(replay_server):
    pass
"""


def pytest_in(project: Path, repository: Path, *arguments: str) -> str:
    """Run another pytest in a project, with our plugin as the only one beside pytest-asyncio."""
    paths = [str(repository), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rA", "--strict-markers"),
            *("-p", "pytest_asyncio.plugin", "-p", "replay.pytest_plugin"),
            *("-p", "no:cacheprovider", *arguments),
        ],
        cwd=project,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.stdout + done.stderr


def test_a_bot_is_tested_against_a_recorded_session(
    tmp_path: Path, repository: Path, datasets: Path
):
    (tmp_path / "bot.py").write_text(BOT)
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "btc-calm").symlink_to(datasets / "btc-calm")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    events = Capture(datasets / "btc-calm").events(channels=["trades"], number=str)
    trades = [event for event in events if isinstance(event, Trade)]
    expected = (len(trades), trades[-1].price)
    (folder / "test_bot.py").write_text(TESTS.replace("EXPECTED", repr(expected)))

    told = pytest_in(tmp_path, repository)

    outcomes = {
        line.split("::")[1].split(" ")[0]: line.split(" ")[0]
        for line in told.splitlines()
        if line.startswith(("PASSED", "FAILED", "ERROR")) and "::" in line
    }
    assert outcomes == {
        "test_sync": "PASSED",
        "test_async": "PASSED",
        "test_several": "PASSED",
        "test_that_fails": "FAILED",
        "test_without_a_marker": "ERROR",
        "test_of_no_capture": "ERROR",
        "test_of_no_speed": "ERROR",
    }, told
    assert 'expected @pytest.mark.replay("path/to/capture") on test_without_a_marker' in told
    assert "NotACapture" in told
    assert "expected a speed as max or a number above 0 (10, 0.5, 10x), received 'fast'" in told


def test_a_project_that_does_not_use_it_loads_nothing(tmp_path: Path, repository: Path):
    (tmp_path / "test_other.py").write_text(
        textwrap.dedent(
            """
            import sys

            def test_nothing_of_ours_is_loaded():
                heavy = {"pyarrow", "duckdb", "websockets", "msgspec", "replay.server", "recorder"}
                assert not heavy & set(sys.modules)
                assert "replay.pytest_plugin" in sys.modules
            """
        )
    )
    told = pytest_in(tmp_path, repository)
    assert "1 passed" in told, told


def test_the_plugin_is_an_entry_point(repository: Path):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"]["replay"] == "replay.pytest_plugin"


def test_the_marker_is_known(pytestconfig: pytest.Config):
    if not pytestconfig.pluginmanager.has_plugin("replay"):
        pytest.skip("the installed metadata is older than pyproject.toml: pip install --editable .")
    markers = pytestconfig.getini("markers")
    assert any(line.startswith("replay(capture") for line in markers)
