"""The public names are exactly these, each can be loaded, and loading the package loads none."""

from __future__ import annotations

import subprocess
import sys

import pytest

import recorder
import replay

RECORDER = [
    "Book", "Books", "Capture", "CaptureWriter", "Client", "Frame", "Interpreter", "Kind", "Parser",
    "RecorderError", "import_sessions", "parse", "record", "verify", "watch",
]  # fmt: skip
REPLAY = [
    "Controls", "PlayReport", "assert_parses_as_recorded", "book_at", "census", "check", "connect",
    "distill", "play", "prove", "query", "refresh", "serve", "simulate", "to_arrow",
    "to_df", "to_polars",
]  # fmt: skip


def test_names_are_pinned() -> None:
    assert sorted(recorder.__all__) == sorted(RECORDER)
    assert sorted(replay.__all__) == sorted(REPLAY)


@pytest.mark.parametrize("name", RECORDER)
def test_recorder_exports(name: str) -> None:
    assert getattr(recorder, name).__name__ == name


@pytest.mark.parametrize("name", REPLAY)
def test_replay_exports(name: str) -> None:
    assert getattr(replay, name).__name__ == name


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = recorder.nothing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = replay.nothing


def test_importing_loads_neither_arrow_nor_the_network() -> None:
    code = (
        "import sys, recorder, replay; "
        "heavy = {'pyarrow', 'duckdb', 'websockets', 'asyncio'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
