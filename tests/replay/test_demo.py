"""The demo: run as a newcomer runs it, and held to what it says."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.capture.reader import Capture
from replay.simulation.simulator import simulate
from replay.sql import query


def demo(*arguments: object, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "replay", "demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "COLUMNS": str(columns)},
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "session"
    simulate(path, seed=3, duration=6, instruments=["BTC-USDT"], note="A [short] session.")
    return path


@pytest.fixture(scope="module")
def done(session: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    kept = session.parent / "kept"
    return demo("--capture", session, "--out", kept, "--speed", "max", "--json"), kept


def test_it_proves_and_reports(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, kept = done
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert report["frames"] == Capture(kept).info().frames
    assert f"recorded {report['frames']:,} frames" in process.stderr
    assert f"{report['pushes']:,} data pushes" in process.stderr
    assert f"digest {report['output_digest'][:32]}" in process.stderr
    assert "A [short] session." in process.stderr


def test_its_lines_fit_a_terminal(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, kept = done
    # The one line that may be longer names the folder that the user chose.
    lines = [line for line in process.stderr.splitlines() if str(kept) not in line]
    assert [line for line in lines if len(line) > 80] == []
    commands = [line for line in lines if line.startswith("   $ ")]
    assert commands == [] or all(line.endswith(" …") for line in commands)


def test_the_strategy_counts_each_trade_once(
    done: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    process, kept = done
    said = re.search(r"takers bought ([\d.,]+) and sold ([\d.,]+)", process.stderr)
    assert said is not None
    output = io.BytesIO()
    sums = (
        "select printf('%.2f', sum(size) filter (side = 'buy')) as b, "
        "printf('%.2f', sum(size) filter (side = 'sell')) as s from trades where channel = 'trades'"
    )
    query(kept, sums, format="json", output=output)
    (row,) = json.loads(output.getvalue())
    assert (said[1].replace(",", ""), said[2].replace(",", "")) == (row["b"], row["s"])


def test_a_wrong_path_is_one_sentence(tmp_path: Path) -> None:
    process = demo("--capture", tmp_path / "nothing")
    assert process.returncode == 2
    assert "expected a capture" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("taken", ["file", "directory"])
def test_a_place_that_is_taken_is_refused_before_anything_starts(
    session: Path, tmp_path: Path, taken: str
) -> None:
    out = tmp_path / "out"
    out.write_text("mine") if taken == "file" else (out / "mine").mkdir(parents=True)
    refused = demo("--capture", session, "--out", out)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"error: expected nothing at {out} yet, found a {taken}")
