"""Goal: a user's parser is held to what a capture means; the plugin gives captures to tests.

Method: small parsers written here with the standard library's `json`; pytest in its own process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recorder.okx.parser import parse
from replay import assert_parses_as_recorded
from tests.replay.invented_session import Invented, write_capture

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def session() -> Invented:
    return Invented(250, seed=8)


@pytest.fixture(scope="module")
def path(session: Invented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(tmp_path_factory.mktemp("recorded") / "c", session.frames)


def trades_of(payload: bytes) -> list[dict[str, Any]] | None:
    """A user's parser: trades alone, numbers as the venue's texts."""
    if b'"channel":"trades"' not in payload or b'"data"' not in payload:
        return None
    return [
        {"type": "Trade", "price": row["px"], "size": row["sz"], "side": row["side"],
         "instrument": row["instId"], "ts_event": int(row["ts"]) * 1_000_000}
        for row in json.loads(payload)["data"]
    ]  # fmt: skip


def test_a_right_parser_passes(path: Path, session: Invented) -> None:
    messages = {trade["seq"] for trade in session.truth.trades}
    assert assert_parses_as_recorded(trades_of, path) == len(messages)
    assert assert_parses_as_recorded(trades_of, path, channels=["trades"]) == len(messages)


def test_results_may_be_objects_and_single(path: Path) -> None:
    def quotes_of(payload: bytes) -> Any:
        if b'"bbo-tbt"' not in payload or b'"data"' not in payload:
            return None
        (row,) = json.loads(payload)["data"]
        return SimpleNamespace(ask_price=float(row["asks"][0][0]))

    assert assert_parses_as_recorded(quotes_of, path) > 0


def test_our_own_events_pass(path: Path, session: Invented) -> None:
    by_payload = {frame.payload: parse(frame) for frame in session.frames}
    with pytest.raises(AssertionError, match="seq: expected"):
        assert_parses_as_recorded(by_payload.__getitem__, path)  # equal pongs have other numbers


@pytest.mark.parametrize(
    ("change", "said"),
    [({"price": "1"}, "price: expected"), ({"mood": 1}, "no field 'mood'"),
     ({"type": "Quote"}, "type: expected 'Trade'"), ({"price": None}, "received None")],
)  # fmt: skip
def test_a_wrong_parser_fails_at_its_first_message(
    path: Path, session: Invented, change: dict[str, Any], said: str
) -> None:
    def wrong(payload: bytes) -> Any:
        rows = trades_of(payload)
        return rows and [rows[0] | change, *rows[1:]]

    first = session.truth.trades[0]["seq"]
    with pytest.raises(AssertionError, match=rf"(?s)seq {first},.*{said}"):
        assert_parses_as_recorded(wrong, path)
    with pytest.raises(AssertionError, match=r"expected . events, received 0"):
        assert_parses_as_recorded(lambda payload: trades_of(payload) and [], path)
    with pytest.raises(AssertionError, match="found 0"):
        assert_parses_as_recorded(lambda payload: None, path)


TESTS = """
import pytest

def test_each(capture):
    assert next(capture.frames()).seq == 0

@pytest.mark.capture("captures/one")
def test_one(capture):
    assert capture.path.name == "one"
"""


@pytest.mark.parametrize("ini", ["captures = captures/*", ""])
def test_the_plugin_gives_captures(tmp_path: Path, path: Path, ini: str) -> None:
    for name in ("one", "two"):
        shutil.copytree(path, tmp_path / "captures" / name)
    (tmp_path / "captures" / "none").mkdir()
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "replay.pytest_captures", "-v", "-o", "addopts="],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "test_it.py::test_one PASSED" in done.stdout, done.stdout
    if ini:
        assert done.returncode == 0
        assert "test_each[one] PASSED" in done.stdout
        assert "test_each[two] PASSED" in done.stdout
        assert "3 passed" in done.stdout
    else:
        assert "1 passed, 1 error" in done.stdout
        assert "ini option `captures`" in done.stdout
