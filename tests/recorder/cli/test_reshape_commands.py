"""`recorder seal`, `compact`, `slice`, `merge` and what `verify` and `info` say of the results."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import recorder.cli
from recorder.capture.reader import Capture


def run(*arguments: object) -> Result:
    return CliRunner().invoke(recorder.cli.cli, [str(item) for item in arguments])


def answer(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


@pytest.fixture
def calm(datasets: Path) -> Path:
    return datasets / "btc-calm"


def test_a_slice_is_a_capture_of_its_own(calm: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    said = run(
        "slice", calm, out, "--start", "2026-11-02T08:00:10Z", "--end", "2026-11-02T08:00:20Z"
    )
    assert re.search(r"frames \(\d+\.\d s\) to .*\(numbers kept\)", said.stderr.replace("\n", " "))
    found = answer("verify", out)
    assert (found["ok"], found["problems"]) == (True, [])
    start = Capture(out).info().start
    assert start is not None
    assert start >= 1_793_606_410_000_000_000
    assert "made by       slice of" in run("info", out).stdout
    other = answer("slice", calm, tmp_path / "t", "--channel", "trades")
    assert other["renumbered"] is True
    assert other["frames"] == answer("info", tmp_path / "t")["frames"]
    by_number = answer("slice", calm, tmp_path / "u", "--first-seq", 100, "--last-seq", 199)
    assert (by_number["frames"], by_number["first_seq"], by_number["last_seq"]) == (100, 100, 199)


def test_windows_that_are_none(calm: Path, tmp_path: Path) -> None:
    for options, said in (
        (("--start", "2026-11-03", "--end", "2026-11-02"), "--start before --end"),
        (("--first-seq", 5, "--last-seq", 4), "--first-seq up to --last-seq"),
        (("--start", "2030-01-01"), "expected"),
    ):
        result = run("slice", calm, tmp_path / "x", *options)
        assert said in str(result.exception)
        assert not (tmp_path / "x").exists()


def test_a_merge_holds_every_frame_of_both(calm: Path, tmp_path: Path) -> None:
    parts = [tmp_path / "a", tmp_path / "b"]
    for part, channel in zip(parts, ("trades", "tickers"), strict=True):
        answer("slice", calm, part, "--channel", channel)
    for part, note in zip(parts, ("one", "two"), strict=True):
        header = part / "capture.json"
        header.write_text(json.dumps(json.loads(header.read_text()) | {"note": note}))
    out = tmp_path / "m"
    said = run("merge", *parts, out)
    assert answer("info", out)["note"] == "one + two"
    assert f"connections of {parts[1]} from" in said.stderr
    frames = [answer("info", path)["frames"] for path in (*parts, out)]
    assert frames[2] == frames[0] + frames[1]
    assert answer("verify", out)["ok"] is True


def test_compaction_changes_files_and_nothing_else(calm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "c"
    answer("slice", calm, copy)  # a minute a segment, as recorded
    before = answer("info", copy)
    done = answer("compact", copy, "--no-wait")
    after = answer("info", copy)
    assert done["joined"] == 1
    assert done["segments"] == before["segments"] > 1
    assert after["input_digest"] == before["input_digest"]
    assert answer("verify", copy)["ok"] is True
    assert "nothing to join" in run("compact", copy, "--no-wait").stderr


def test_nothing_to_seal(calm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "c"
    shutil.copytree(calm, copy)
    result = run("seal", copy)
    assert "nothing to seal" in result.stderr
    assert answer("seal", copy)["segments"] == 0


def test_verify_tells_what_a_market_would_not_do(tmp_path: Path) -> None:
    """A crossed quote and a trade for nothing: counted and explained, and no problem."""
    quote = {
        "asks": [["1", "1", "0", "1"]],
        "bids": [["2", "1", "0", "1"]],
        "ts": "1790000000000",
        "seqId": 1,
    }
    rows = [
        {"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [quote]},
    ]
    lines = [
        json.dumps({"t": "1790000000.1", "kind": "text", "payload": json.dumps(row)})
        for row in rows
    ]
    source = tmp_path / "s.jsonl"
    source.write_text("\n".join(lines))
    assert run("import", source, tmp_path / "c").exit_code == 0
    found = answer("verify", tmp_path / "c")
    assert found["validation"] == {"crossed": 1}
    assert found["ok"] is True
    shown = run("verify", tmp_path / "c").stdout
    assert "crossed" in shown
    assert "a best bid above the best ask" in shown
    assert all(line == line.rstrip() for line in shown.splitlines())


@pytest.mark.parametrize("command", ["seal", "compact", "slice", "merge"])
def test_what_is_no_capture_is_one_sentence(tmp_path: Path, command: str) -> None:
    arguments = {"slice": ("a", "b"), "merge": ("a", "b", "c")}.get(command, ("a",))
    done = subprocess.run(
        [sys.executable, "-m", "recorder", command, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: expected")
    assert done.stderr.count("\n") == 1
