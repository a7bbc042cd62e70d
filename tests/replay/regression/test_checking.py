"""Goal: a check says what differs, where, and nothing else; an expectation is whole or the old one.

Method: captures of an invented session; parsers of tests/replay/regression/parsers.py against ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from recorder.capture.digest import EventDigest
from recorder.capture.reader import Capture
from recorder.errors import CheckFailed, Damage, UsageError
from recorder.frame import KINDS, Frame, Kind
from replay.cli.check import check_command
from replay.regression import checking, figures, rival
from replay.regression.checking import check
from replay.regression.expectation import read_expectation
from replay.regression.versus import compare_parsers
from tests.replay.invented_session import Invented, write_capture

PARSERS = "tests.replay.regression.parsers"


@pytest.fixture(scope="module")
def session() -> Invented:
    return Invented(400, seed=8)


@pytest.fixture(scope="module")
def original(session: Invented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_capture(tmp_path_factory.mktemp("check") / "c", session.frames)
    check(path, update=True)
    return path


@pytest.fixture
def capture(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "c"))


def test_a_capture_is_as_expected(capture: Path, session: Invented) -> None:
    report = check(capture)
    assert report.ok
    assert report.frames == len(session.frames)
    assert report.exit_code == 0
    assert report.first is None
    assert report.totals == {}


def test_an_expectation_tells_the_facts_of_the_capture(capture: Path) -> None:
    expected = read_expectation(capture / "expected.json")
    events = list(Capture(capture).events())
    digest = EventDigest()
    digest.update(events)
    info = Capture(capture).info()
    assert expected.input_digest == info.input_digest
    assert expected.output_digest == digest.hexdigest()
    assert sum(expected.events.values()) == len(events)
    assert expected.events["Trade"] == sum(type(e).__name__ == "Trade" for e in events)
    assert expected.integrity["gaps"] == info.gaps
    assert sum(block.frames for block in expected.blocks) == info.frames
    assert sum(n for b in expected.blocks for n, _ in b.events.values()) == len(events)
    trades = [
        frame for frame in Capture(capture).frames() if b'"channel":"trades"' in frame.payload
    ]
    assert expected.census["trades"].seen.count == sum(b'"data"' in f.payload for f in trades)


def test_an_expectation_is_no_part_of_a_digest(capture: Path, session: Invented) -> None:
    before = Capture(capture).info().input_digest
    (capture / "expected.json").unlink()
    (capture / "expected.events").unlink()
    assert Capture(capture).info().input_digest == before


def test_the_same_frames_give_the_same_expectation(capture: Path, tmp_path: Path) -> None:
    before = [(capture / f"expected.{end}").read_bytes() for end in ("json", "events")]
    report = check(capture, update=True)
    assert report.ok
    assert report.updated
    assert [(capture / f"expected.{end}").read_bytes() for end in ("json", "events")] == before


def test_many_blocks_are_as_one(
    capture: Path, monkeypatch: pytest.MonkeyPatch, session: Invented
) -> None:
    monkeypatch.setattr(figures, "BLOCK_FRAMES", 7)
    check(capture, update=True)
    monkeypatch.undo()
    expected = read_expectation(capture / "expected.json")
    assert len(expected.blocks) == -(-len(session.frames) // 7)
    assert check(capture).ok


def test_without_an_expectation_it_is_a_usage_error(capture: Path) -> None:
    (capture / "expected.json").unlink()
    with pytest.raises(UsageError, match="--update makes it"):
        check(capture)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"format": 2}'])
def test_what_is_no_expectation_is_refused(capture: Path, text: bytes) -> None:
    (capture / "expected.json").write_bytes(text)
    with pytest.raises(UsageError, match="anew"):
        check(capture)


@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_damaged_events_beside_an_expectation_are_told(capture: Path, how: str) -> None:
    events = capture / "expected.events"
    data = bytearray(events.read_bytes())
    data = data[:-1] if how == "cut" else data[:40] + bytes([data[40] ^ 1]) + data[41:]
    events.write_bytes(data)
    text = (capture / "expected.json").read_text()
    document = json.loads(text)
    document["blocks"][0]["digest"] = "0" * 16  # so that the block is looked into
    (capture / "expected.json").write_text(json.dumps(document))
    with pytest.raises(Damage, match="--update"):
        check(capture)


def test_events_that_were_left_behind_are_not_needed(capture: Path) -> None:
    (capture / "expected.events").unlink()
    assert check(capture).ok
    document = json.loads((capture / "expected.json").read_text())
    document["blocks"][0]["digest"] = "0" * 16
    (capture / "expected.json").write_text(json.dumps(document))
    report = check(capture)
    assert report.first is not None
    assert report.counted_in_blocks
    assert (report.first.seq, report.first.last_seq) == (0, report.frames - 1)


def test_other_frames_are_not_compared(capture: Path, session: Invented, tmp_path: Path) -> None:
    other = write_capture(tmp_path / "other", session.frames[:-1])
    report = check(other, expect=capture / "expected.json")
    assert not report.ok
    assert report.other_frames is not None
    assert "input digest" in report.other_frames
    updated = check(other, expect=capture / "expected.json", update=True)
    assert updated.updated
    assert check(other, expect=capture / "expected.json").ok


def test_a_directory_of_expectations_is_named_after_captures(capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "expectations"
    folder.mkdir()
    check(capture, expect=folder, update=True, figures_only=True)
    assert [path.name for path in folder.iterdir()] == ["c.json"]
    assert check(capture, expect=folder).ok
    document = json.loads((folder / "c.json").read_text())
    assert document["events_file"] is None


def test_figures_hold_nothing_of_the_events(capture: Path, session: Invented) -> None:
    check(capture, update=True, figures_only=True)
    assert not (capture / "expected.events").exists()
    text = (capture / "expected.json").read_text()
    for trade in session.truth.trades:
        assert f'"{trade["price"]}"' not in text
    assert check(capture).ok


def test_an_update_shows_what_changes_before_it_is_written(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (capture / "expected.json").read_bytes()
    document = json.loads(before)
    document["integrity"]["gaps"] += 1
    (capture / "expected.json").write_text(json.dumps(document))
    seen = []

    def announce(report: checking.CheckReport) -> None:
        seen.append((report.ok, (capture / "expected.json").read_bytes()))

    report = check(capture, update=True, announce=announce)
    assert seen == [(False, json.dumps(document).encode())]
    assert not report.ok
    assert report.exit_code == 0
    assert (capture / "expected.json").read_bytes() == before


def test_a_failed_update_leaves_the_old_files(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted((p.name, p.read_bytes()) for p in capture.glob("expected*"))

    def broken(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(capture, update=True, progress=broken)
    assert sorted((p.name, p.read_bytes()) for p in capture.glob("expected*")) == before


def test_an_expectation_of_a_private_capture_is_for_its_owner(capture: Path) -> None:
    capture.chmod(0o700)
    check(capture, update=True)
    for name in ("expected.json", "expected.events"):
        assert (capture / name).stat().st_mode & 0o777 == 0o600


# --- two parsers ------------------------------------------------------------------------------


def test_the_same_parser_differs_in_nothing(capture: Path) -> None:
    report = compare_parsers(capture, "recorder.okx.interpreter:Interpreter")
    assert report.ok
    assert report.against.events == report.this.events > 0
    assert report.this.frames_per_second > 0


def test_another_parser_is_told_apart_by_type_and_field(capture: Path, session: Invented) -> None:
    report = compare_parsers(capture, f"{PARSERS}:SwappedSides")
    assert not report.ok
    assert report.first is not None
    assert report.first.seq == session.truth.trades[0]["seq"]
    assert report.totals["Trade"].changed == len(session.truth.trades)
    assert report.totals["Trade"].fields == {"side": len(session.truth.trades)}
    assert [(kind.type, kind.field) for kind in report.kinds] == [("Trade", "side")]


def test_a_parser_that_raises_or_prints_is_a_difference(capture: Path, session: Invented) -> None:
    report = compare_parsers(capture, f"{PARSERS}:raises")
    assert report.frames_differing == len(session.frames)
    assert report.first is not None
    assert report.first.events[0].first == {"type": "Raised", "error": "ValueError: no"}


@pytest.mark.parametrize(
    ("parser", "said"),
    [("tests.nowhere:x", "No module"), (f"{PARSERS}:nothing", "no attribute"),
     (f"{PARSERS}:NUMBER", "neither callable"), ("no-such-revision", "git revision")],
)  # fmt: skip
def test_what_is_no_parser_is_refused(capture: Path, parser: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compare_parsers(capture, parser)


@pytest.mark.parametrize(("name", "said"), [("ends", "process ended"), ("hangs", "not answer")])
def test_a_parser_that_does_not_answer_is_named(
    capture: Path, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "hangs":
        parser = rival.Rival(f"{PARSERS}:hangs")
        monkeypatch.setattr(rival, "ANSWER_SECONDS", 0.2)
        parser.give([Frame(0, 0, 0, 0, Kind.TEXT, b"")])
        with pytest.raises(CheckFailed, match=said):
            parser.take()
        parser.close()
        return
    with pytest.raises(CheckFailed, match=said):
        compare_parsers(capture, f"{PARSERS}:ends")


def test_a_git_revision_is_a_parser(capture: Path, tmp_path: Path, repository: Path) -> None:
    if subprocess.run(
        ["git", "-C", repository, "rev-parse", "HEAD"], capture_output=True
    ).returncode:
        pytest.skip("the tests do not run in a git repository")
    head = rival.revision_into("HEAD", tmp_path)
    assert len(head) == 40
    assert (tmp_path / "recorder" / "okx" / "parser.py").exists()
    with rival.Rival("step", tmp_path) as parser:
        parser.give([Frame(0, 5, 5, 0, Kind.TEXT, b"pong")])
        (line,) = parser.take().lines
    assert json.loads(line) == [
        {"type": "Pong", "seq": 0, "index": 0, "ts_recv": 5, "connection": 0}
    ]


# --- the command ------------------------------------------------------------------------------


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(check_command, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value or 0), result.output


def test_the_command_says_what_differs(capture: Path, session: Invented) -> None:
    assert run(capture) == (0, f"{capture}: as expected: {len(session.frames):,} frames, "
                               f"{check(capture).events:,} events\n")  # fmt: skip
    code, output = run(capture, "--against", f"{PARSERS}:SwappedSides")
    first = session.truth.trades[0]
    assert code == 1
    assert f"first difference: seq {first['seq']}," in output
    assert "Trade  " in output
    assert "frames/s" in output
    assert session.frames[first["seq"]].payload.decode() in output


def test_the_command_tells_json(capture: Path) -> None:
    code, output = run(capture, "--json")
    (report,) = json.loads(output)
    assert (code, report["ok"], report["expected_parser_version"]) == (0, True, 3)


def test_options_that_do_not_fit_are_refused(capture: Path) -> None:
    with pytest.raises(UsageError, match="--figures together with --update"):
        run(capture, "--figures")
    with pytest.raises(UsageError, match="received both"):
        run(capture, "--against", "HEAD", "--update")
    with pytest.raises(UsageError, match="expected a directory"):
        run(capture, capture, "--expect", capture / "expected.json")


def test_the_child_knows_every_kind() -> None:
    """It runs with the `recorder` of another revision, but the kinds only grow."""
    assert [kind.value for kind in KINDS] == list(range(len(KINDS)))
    assert os.path.isabs(sys.executable)
