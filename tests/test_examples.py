"""The examples of docs/examples run as they are, against a local OKX."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"


def test_ticker_prints_tickers_and_candles_and_ends_by_ctrl_c(repository: Path) -> None:
    served = [
        sys.executable, "-m", "replay", "serve", str(repository / "datasets/btc-calm"),
        "--port", "0", "--speed", "100", "--wait-for-subscribers", "2", "--at-end", "loop",
    ]  # fmt: skip
    with subprocess.Popen(served, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().decode().strip()
            command = [sys.executable, "-u", str(EXAMPLES / "ticker.py"), url]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as shown:
                assert shown.stdout is not None
                assert shown.stderr is not None
                tickers = candles = 0
                for line in shown.stdout:
                    tickers += bool(re.fullmatch(r"BTC-USDT  [\d.]+ \| [\d.]+\n", line))
                    candles += bool(re.fullmatch(r"BTC-USDT  1 m closed at .*, volume .*\n", line))
                    if tickers >= 5 and candles >= 1:
                        break
                shown.send_signal(signal.SIGINT)
                assert shown.wait(30) == 0
                assert shown.stderr.read() == ""
        finally:
            server.terminate()


def test_ticker_ends_with_one_sentence_when_it_cannot_start() -> None:
    command = [sys.executable, str(EXAMPLES / "ticker.py"), "http://127.0.0.1:1/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert re.fullmatch(r"error: expected an address ws://.*\n", ended.stderr)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert path.read_text().count("\n") <= 35
