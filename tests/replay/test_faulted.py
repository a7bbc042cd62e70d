"""Faults in a replay: the same stream at every speed, behind every filter, from anywhere.

Method: the committed recordings, played with faults in ways that must agree; what a kind of fault
does to a stream is the matter of `okx/test_faulty_stream.py`.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recorder.capture.reader import Capture
from recorder.errors import UsageError
from recorder.event import BookUpdate, Event, InjectedFault, SequenceGap
from recorder.okx.faults import read_scenario
from recorder.okx.faults.log import Injected
from recorder.strategy import Context
from replay.cli.play import play_command
from replay.controls import Controls
from replay.player import PlayReport, play

FAULTS = (
    "gap:books@p=0.02", "lose:tickers@p=0.05", "reorder:books@p=0.01", "delay:trades@p=0.01",
    "stall@p=0.0005,seconds=2", "disconnect@p=0.0005", "corrupt@p=0.002", "duplicate@p=0.01",
)  # fmt: skip

END = 1_793_606_425_000_000_000  # 25 s into the recording: enough of everything


@pytest.fixture(scope="module")
def path(datasets: Path) -> Path:
    return datasets / "eth-stress"


def played(path: Path, *faults: str, **options: Any) -> tuple[list[Event], PlayReport]:
    events: list[Event] = []
    options = {"seed": 7, "faults": faults or FAULTS, "end": END} | options
    report = play(path, lambda event, _context: events.append(event), **options)
    return events, report


def test_speed_changes_nothing(path: Path) -> None:
    fast, at_max = played(path, digest=True)
    slow, paced = played(path, digest=True, speed=2_000)
    assert fast == slow
    assert at_max.faults == paced.faults
    assert (at_max.input_digest, at_max.output_digest) == (paced.input_digest, paced.output_digest)
    assert at_max.input_digest != Capture(path).info().input_digest


def test_a_filter_shows_a_part_of_the_same_stream(path: Path) -> None:
    whole, report = played(path)
    part, filtered = played(path, channels=["books"], instruments=["ETH-USDT"])
    assert filtered.faults == report.faults
    about = [
        event for event in whole
        if isinstance(event, BookUpdate | SequenceGap | InjectedFault)
        and (event.channel, event.instrument) == ("books", "ETH-USDT")
    ]  # fmt: skip
    kept = [e for e in part if isinstance(e, BookUpdate | SequenceGap | InjectedFault)]
    assert kept == about
    assert {type(event) for event in about} == {BookUpdate, SequenceGap, InjectedFault}


def test_a_probability_of_zero_changes_nothing(path: Path) -> None:
    plain = play(path, digest=True, end=END)
    _, report = played(path, "gap:books@p=0", "corrupt@p=0", digest=True)
    assert (report.input_digest, report.output_digest) == (plain.input_digest, plain.output_digest)
    assert report.faults is not None
    assert report.faults.injected == 0
    assert plain.faults is None


def test_a_window_and_a_seek_begin_with_the_right_books(path: Path) -> None:
    info = Capture(path).info()
    assert info.start is not None
    start = info.start + 10_000_000_000
    whole, _ = played(path, "gap:books@p=0.02")
    part, report = played(path, "gap:books@p=0.02", start=start)
    hits = [e.seq for e in whole if isinstance(e, InjectedFault) and e.fault == "gap"]
    first = next(event.seq for event in part)
    assert [e.seq for e in part if isinstance(e, InjectedFault) and e.fault == "gap"] == [
        seq for seq in hits if seq >= first
    ]
    assert report.faults is not None
    assert report.faults.healed >= report.faults.injected // 2

    controls, seen = Controls(), list[Event]()

    def strategy(event: Event, context: Context) -> None:
        if not seen:
            controls.seek(start)
        seen.append(event)

    play(path, strategy, faults=["gap:books@p=0.02"], seed=7, end=END, controls=controls)
    assert seen[-len(part) :] == part


def test_a_first_frame_that_comes_later_does_not_count_twice(path: Path) -> None:
    trades = list(Capture(path).frames(channels=["trades"], first_seq=2_000, last_seq=2_200))
    seen, report = played(path, "reorder:trades", start=trades[0].ts_recv)
    assert report.frames == play(path, start=trades[0].ts_recv, end=END).frames + 1
    assert isinstance(seen[0], InjectedFault)
    assert seen[0].seq == trades[0].seq
    assert seen[1].seq > trades[0].seq
    assert [event.seq for event in seen].count(trades[0].seq) == 1 + trades[0].payload.count(b"px")


def test_every_loop_is_the_same(path: Path) -> None:
    once, first = played(path)
    twice, second = played(path, loop=2)
    assert twice == once + once
    assert second.faults == first.faults


def test_exact_numbers_have_the_same_digest(path: Path) -> None:
    _, floats = played(path, digest=True)
    _, exact = played(path, digest=True, number=Decimal)
    assert exact.output_digest == floats.output_digest


def test_of_several_captures_each_throws_dice_of_its_own(path: Path) -> None:
    told: list[Injected] = []
    report = play(
        [path, path], faults=["lose:tickers@p=0.1"], seed=7, end=END, on_fault=told.append
    )
    parts = [source.faults for source in report.sources]
    assert report.faults is not None
    assert parts[0] is not None
    assert parts[1] is not None
    assert parts[0] == played(path, "lose:tickers@p=0.1")[1].faults
    assert [i.seq for i in parts[0].listed] != [i.seq for i in parts[1].listed]
    assert report.faults.injected == parts[0].injected + parts[1].injected == len(told)


def test_a_scenario_is_played_with_its_own_seed_and_heal(path: Path) -> None:
    text = 'seed = 7\nheal = inf\n[[faults]]\ndo = "gap"\nchannel = "books"\np = 0.02'
    report = play(path, faults=read_scenario(text), end=END)
    assert report.faults is not None
    assert report.faults.healed == 0
    assert report.faults.injected == played(path, "gap:books@p=0.02")[1].faults.injected  # type: ignore[union-attr]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(play_command, arguments)


def test_the_command_shows_a_table_and_logs_every_fault(path: Path, tmp_path: Path) -> None:
    log, scenario = tmp_path / "faults.jsonl", tmp_path / "faults.toml"
    scenario.write_text('seed = 3\n[[faults]]\ndo = "lose"\nchannel = "tickers"\np = 0.05')
    common = ("--fault", "gap:books:ETH-USDT@p=0.05", "--scenario", str(scenario))
    done = run(str(path), *common, "--fault-log", str(log))
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    shown = [line.split() for line in done.output.splitlines()]
    gaps = sum(row["fault"] == "gap" for row in rows)
    assert ["gap", "books", str(gaps), "SequenceGap", str(gaps)] in shown
    assert ["lose", "tickers", str(len(rows) - gaps), "unnoticed"] in shown

    again = json.loads(run(str(path), *common, "--json").stdout)
    assert again["faults"]["injected"] == len(rows)
    assert again["faults"]["seed"] == 3
    assert [row["seq"] for row in again["faults"]["listed"]] == [row["seq"] for row in rows]
    other = json.loads(run(str(path), *common, "--json", "--seed", "4", "--heal", "never").stdout)
    assert other["faults"]["healed"] == 0 < again["faults"]["healed"]
    assert other["faults"]["listed"] != again["faults"]["listed"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fault", "gp:books"], "did you mean gap"),
        (["--fault", "gap:book"], "did you mean books"),
        (["--fault", "refuse"], "can be put into a recording"),
        (["--fault", "gap:books:XYZ"], "XYZ"),
        (["--fault", "gap:books", "--heal", "soon"], "never"),
        (["--fault", "gap:books", "--fault-log", "/nowhere/x"], "/nowhere/x"),
    ],
)
def test_what_cannot_be_is_refused(path: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        CliRunner().invoke(play_command, [str(path), *arguments], catch_exceptions=False,
                           standalone_mode=False)  # fmt: skip
