"""The commands around a capture, run as commands: exit codes, sentences, JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LINES = [
    '{"t":1700000000.25,"kind":"opened","connection":0,"payload":"wss://x/ws/v5/public"}',
    '{"t":1700000000.5,"kind":"text","connection":0,"payload":"{\\"event\\":\\"subscribe\\",'
    '\\"arg\\":{\\"channel\\":\\"trades\\",\\"instId\\":\\"BTC-USDT\\"},\\"connId\\":\\"a\\"}"}',
    *(
        f'{{"t":{1700000001 + i},"kind":"text","connection":0,"payload":'
        f'"{{\\"arg\\":{{\\"channel\\":\\"trades\\",\\"instId\\":\\"BTC-USDT\\"}},\\"data\\":'
        f'[{{\\"instId\\":\\"BTC-USDT\\",\\"tradeId\\":\\"{i}\\",\\"px\\":\\"9.5\\",\\"sz\\":\\"1\\",'
        f'\\"side\\":\\"buy\\",\\"ts\\":\\"1700000000000\\"}}]}}"}}'
        for i in range(30)
    ),
]


def run(*arguments: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recorder", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def capture(tmp_path: Path, source: Path) -> Path:
    done = run("import", source, tmp_path / "c", "--segment-seconds", 10, "--note", "[a] note")
    assert (done.returncode, done.stdout) == (0, "")
    assert "imported 32 frames of 1 connection" in done.stderr
    assert "\x1b" not in done.stderr  # no progress bar where nobody looks
    return tmp_path / "c"


def test_info(capture: Path) -> None:
    done = run("info", capture)
    assert done.returncode == 0
    for text in ("[a] note", "32 (0 in the journal)", "2023-11-14T22:13:20.250000000Z", "trades"):
        assert text in done.stdout
    found = json.loads(run("info", "--json", capture).stdout)
    assert found["frames"] == 32
    assert found["events"] == 33
    assert (found["start"], found["end"]) == (1700000000250000000, 1700000030000000000)
    assert (found["segments"], found["journal_frames"]) == (3, 0)
    assert (found["gaps"], found["lost"]) == (0, 0)
    assert len(found["input_digest"]) == 64
    (channel,) = found["channels"]
    assert (channel["name"], channel["frames"], channel["instruments"]) == ("trades", 31, 1)


def test_info_counts_in_good_english(capture: Path) -> None:
    said = run("info", capture).stdout
    assert re.search(r"segments +3 sealed, 0 runs, 1 connection *\n", said)
    assert "0 gaps, no losses declared" in said


def test_info_names_no_ratio_while_a_capture_is_larger_than_its_payloads(tmp_path: Path) -> None:
    source = tmp_path / "one.jsonl"
    source.write_text(LINES[0] + "\n")
    assert run("import", source, tmp_path / "one").returncode == 0
    said = run("info", tmp_path / "one").stdout
    assert re.search(r"size +\d+ B of payloads, [\d.]+ kB on disk *\n", said)
    assert "times smaller" not in said


def test_info_tells_a_recorder_that_died_from_one_that_ended(tmp_path: Path) -> None:
    path = tmp_path / "killed"
    writing = (
        "import os, sys\n"
        "from recorder.capture.writer import CaptureWriter\n"
        "from recorder.frame import Frame, Kind\n"
        "writer = CaptureWriter(sys.argv[1])\n"
        "writer.write([Frame(0, 10**18, 5, 0, Kind.TEXT, b'pong')])\n"
        "writer.flush(timeout=60)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", writing, str(path)], timeout=60, check=False)
    died = run("info", path)
    assert f"{path} (okx, unfinished)" in died.stdout
    assert f"`recorder recover {path}` seals the rest" in died.stderr
    done = run("recover", path)
    assert done.returncode == 3  # what it had received and not written is declared lost
    assert done.stderr.startswith("recovered 1 frame, cut 0 bytes, 1 hole, ")
    assert run("recover", path).returncode == 0
    recovered = run("info", path)
    assert f"{path} (okx, closed)" in recovered.stdout
    assert "1 loss (0 frames known)" in recovered.stdout
    assert "unfinished" not in recovered.stdout + recovered.stderr


def test_verify(capture: Path) -> None:
    assert "whole" in run("verify", capture).stdout
    done = run("verify", "--json", capture)
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert (found["ok"], found["frames"], found["problems"]) == (True, 32, [])
    assert found["checksums"] == {"match": 0, "mismatch": 0, "absent": 0}
    assert found["sequence"] == {"links": 0, "gaps": 0, "resets": 0}
    assert found["unrecognized"] == 0


def test_recover(capture: Path) -> None:
    done = run("recover", capture)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("nothing to recover in ")


def test_recover_says_what_it_cannot_repair(capture: Path) -> None:
    victim = max((capture / "frames").rglob("*.parquet"))
    victim.unlink()
    for command in ("recover", "verify", "info"):
        done = run(command, capture)
        assert done.returncode == 1
        assert "checkpoints/000003.zst (segment 2, " in done.stdout + done.stderr
    assert "nothing to recover" not in run("recover", capture).stderr
    (problem,) = json.loads(run("recover", "--json", capture).stdout)["problems"]
    assert problem["cause"] == "segment 2 missing"


def test_a_truncated_file_is_one_sentence_and_exit_1(capture: Path) -> None:
    victim = sorted((capture / "frames").rglob("*.parquet"))[1]
    victim.write_bytes(victim.read_bytes()[:-20])
    name = str(victim.relative_to(capture))
    done = run("verify", capture)
    assert done.returncode == 1
    assert f"problem: {name} (segment 1" in done.stdout
    info = run("info", "--json", capture)
    assert info.returncode == 1
    assert json.loads(info.stdout)["frames"] < 32
    assert f"damage: {name}" in info.stderr
    assert "Traceback" not in done.stderr + info.stderr


def test_existing_output(source: Path, capture: Path) -> None:
    done = run("import", source, capture)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--append" in done.stderr
    assert run("import", source, capture, "--append").returncode == 0
    assert json.loads(run("info", "--json", capture).stdout)["connections"] == 2


def test_not_a_capture(tmp_path: Path) -> None:
    for command in ("info", "verify", "recover"):
        for path in (tmp_path, tmp_path / "absent"):
            done = run(command, path)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("error: expected a capture")
            assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_line(tmp_path: Path, source: Path) -> None:
    source.write_text("\n".join([*LINES[:3], '{"t":', LINES[3]]))
    done = run("import", source, tmp_path / "c")
    assert done.returncode == 2
    assert f"{source} line 4" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_standard_input_and_reproducible(tmp_path: Path, source: Path) -> None:
    text = source.read_text()
    for name in ("a", "b"):
        done = run("import", "-", tmp_path / name, "--reproducible", stdin=text)
        assert done.returncode == 0
    first, second = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.parquet")}
        for n in ("a", "b")
    )
    assert first == second != {}
