"""Goal: a distilled capture is small and still shows everything; masked data tells nothing.

Method: an invented session, a dataset with every channel, and real sessions. That nothing is
missing is measured here once more with a tracer of this test.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner

import recorder.okx
from recorder.capture.reader import Capture
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.verify import verify
from recorder.errors import CaptureExists, UsageError
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import parse
from replay.cli.distill import distill_command
from replay.regression.distillation import distill
from replay.regression.redaction import Redaction
from tests.replay.invented_session import Invented, write_capture

OKX = str(Path(recorder.okx.__file__).parent)


def lines_run(capture: Path) -> set[tuple[str, int]]:
    """Return the lines of `recorder.okx` that run while a capture is interpreted."""
    found: set[tuple[str, int]] = set()
    frames = list(Capture(capture).frames())
    for frame in frames:
        parse(frame)  # compiles what it needs, unwatched
    Interpreter().step(frames[0])
    interpreter = Interpreter()

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OKX):
            return None
        if event == "line":
            found.add((frame.f_code.co_filename, frame.f_lineno))
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        for frame in frames:
            interpreter.step(frame)
    finally:
        sys.settrace(before)
    return found


def types_of(capture: Path) -> set[type[Event]]:
    return {type(event) for event in Capture(capture).events()}


def test_an_invented_session_keeps_everything(tmp_path: Path) -> None:
    session = Invented(400, seed=2)
    source = write_capture(tmp_path / "whole", session.frames)
    report = distill(source, tmp_path / "small", effort=1_500)
    assert report.is_complete
    assert report.added == []
    assert report.covered == report.of
    assert min(report.of.shapes, report.of.values, report.of.events) > 8
    assert report.of.branches > 300
    assert report.of_frames == len(session.frames)
    assert report.frames < 0.4 * report.of_frames
    small = tmp_path / "small"
    assert types_of(small) == types_of(source)
    assert lines_run(small) == lines_run(source)
    assert verify(small).ok
    assert [frame.seq for frame in Capture(small).frames()] == list(range(report.frames))
    before = {frame.payload for frame in Capture(source).frames()}
    assert all(frame.payload in before for frame in Capture(small).frames())


def test_the_same_captures_give_the_same(tmp_path: Path) -> None:
    source = write_capture(tmp_path / "whole", Invented(100, seed=2).frames)
    one, two = (distill(source, tmp_path / name, effort=500) for name in ("one", "two"))
    assert one.input_digest == two.input_digest


def test_several_captures_are_one(tmp_path: Path) -> None:
    sources = [write_capture(tmp_path / str(n), Invented(120, seed=n).frames) for n in (1, 2)]
    report = distill(sources, tmp_path / "small", effort=1_000)
    assert report.is_complete
    assert types_of(tmp_path / "small") == types_of(sources[0]) | types_of(sources[1])


@pytest.mark.parametrize(
    ("name", "share"),
    [("2022-05-13-books-trades-tickers", 0.08), ("2021-07-22-tbt-link-a", 0.03)],
)
def test_a_real_session_keeps_everything_in_a_small_share(
    real_traffic: Path, tmp_path: Path, name: str, share: float
) -> None:
    source, small = tmp_path / "whole", tmp_path / "small"
    import_sessions([real_traffic / "sessions" / f"{name}.jsonl"], source)
    report = distill(source, small, effort=600)
    assert report.covered == report.of
    assert (report.missing, report.added) == ([], [])
    assert report.frames <= share * report.of_frames
    assert verify(small).checksums["mismatch"] == 0


def test_what_cannot_be_distilled_is_told(tmp_path: Path) -> None:
    source = write_capture(tmp_path / "c", Invented(100).frames)
    with pytest.raises(CaptureExists):
        distill(source, source, effort=0)
    empty = write_capture(tmp_path / "empty", [])
    with pytest.raises(UsageError, match="found none"):
        distill(empty, tmp_path / "small")


# --- redaction --------------------------------------------------------------------------------


def test_account_data_is_masked_and_means_the_same(datasets: Path) -> None:
    redaction, kept, masked = Redaction(), Interpreter(), Interpreter()
    secrets: set[str] = set()
    for frame in Capture(datasets / "every-channel").frames(last_seq=500):
        hidden = redaction.apply(frame)
        before, after = kept.step(frame), masked.step(hidden)
        assert [type(event) for event in before] == [type(event) for event in after]
        for event in before:
            uid = getattr(event, "uid", None)
            secrets |= {uid} if uid else set()
        if frame.kind is Kind.TEXT and b'"uid"' not in frame.payload:
            assert hidden is frame or b'"arg"' in frame.payload
        for secret in secrets:
            assert secret.encode() not in hidden.payload or b'"uid"' not in frame.payload
    assert secrets
    assert redaction.count > 20


def test_ids_stay_apart_and_words_stay() -> None:
    row = {"ordId": "7123", "clOrdId": "mine", "px": "-10.50", "sz": "0", "side": "buy",
           "instId": "BTC-USDT", "uTime": "1790000000000", "tag": "desk", "reduceOnly": "false",
           "fee": "", "state": "live", "n": 25, "list": [{"algoId": "7123"}]}  # fmt: skip
    message = {"arg": {"channel": "orders", "uid": "4455"}, "data": [row, row | {"ordId": "7124"}]}
    frame = Frame(0, 0, 0, 0, Kind.TEXT, json.dumps(message).encode())
    masked = json.loads(Redaction().apply(frame).payload)
    first, second = masked["data"]
    assert masked["arg"] == {"channel": "orders", "uid": "0001"}
    assert first["ordId"] == first["list"][0]["algoId"] != second["ordId"]
    assert first["clOrdId"] == second["clOrdId"] != "mine"
    assert first["px"] == "-10.10"
    assert first["tag"] != "desk"
    assert first["n"] == 11
    same = ("sz", "side", "instId", "uTime", "reduceOnly", "fee", "state")
    assert {key: first[key] for key in same} == {key: row[key] for key in same}


def test_a_run_row_keeps_versions_only() -> None:
    frame = Frame(0, 0, 0, -1, Kind.RUN, b'{"version":"1","boot_id":"b","options":{"o":1}}')
    assert Redaction().apply(frame).payload == b'{"version":"1"}'


# --- the command ------------------------------------------------------------------------------


def test_the_command_says_what_it_kept(tmp_path: Path) -> None:
    source = write_capture(tmp_path / "c", Invented(100).frames)
    arguments = [str(source), str(tmp_path / "small"), "--redact", "--json", "--effort", "500"]
    result = CliRunner().invoke(distill_command, arguments, standalone_mode=False)
    assert result.return_value == 0, result.exception
    report = json.loads(result.stdout)
    assert report["covered"] == report["of"]
    assert report["of_frames"] >= 100
    arguments = [str(source), str(tmp_path / "again"), "--effort", "0"]
    result = CliRunner().invoke(distill_command, arguments, standalone_mode=False)
    assert result.return_value == 0
    assert f"of {report['of_frames']} frames" in result.stderr
