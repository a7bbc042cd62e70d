"""The examples of docs/examples run as they are, against a local OKX."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
PATIENCE_S = 60


def test_ticker_prints_tickers_and_candles_and_ends_by_ctrl_c(repository: Path) -> None:
    served = [
        sys.executable, "-m", "replay", "serve", str(repository / "datasets/btc-calm"),
        "--port", "0", "--speed", "100", "--wait-for-subscribers", "2", "--at-end", "loop",
    ]  # fmt: skip
    with started(served, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        command = [sys.executable, "-u", str(EXAMPLES / "ticker.py"), url]
        with started(command, stderr=subprocess.PIPE) as shown:
            assert shown.stdout is not None
            tickers = candles = 0
            for line in shown.stdout:
                tickers += bool(re.fullmatch(r"BTC-USDT  [\d.]+ \| [\d.]+\n", line))
                candles += bool(re.fullmatch(r"BTC-USDT  1 m closed at .*, volume .*\n", line))
                if tickers >= 5 and candles >= 1:
                    break
            shown.send_signal(signal.SIGINT)
            # Reads on: who prints into a full pipe ends no sooner than somebody does.
            _, errors = shown.communicate(timeout=PATIENCE_S)
            assert (shown.returncode, errors) == (0, "")


@contextmanager
def started(command: list[str], *, stderr: int) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the test is over, however it ends."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_ticker_ends_with_one_sentence_when_it_cannot_start() -> None:
    command = [sys.executable, str(EXAMPLES / "ticker.py"), "http://127.0.0.1:1/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(r"error: expected an address ws://.*\n", ended.stderr)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert path.read_text().count("\n") <= 35
