"""`replay prove`: every way gives the same events, and a way that does not is caught and shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from recorder.capture.digest import EventDigest
from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.errors import UsageError
from recorder.event import Event, Trade
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from replay.cli import cli
from replay.player import play
from replay.proving import witness
from replay.proving.evidence import ProofReport
from replay.proving.proof import prove
from replay.proving.witness import Blocks

AT = 1_500


@pytest.fixture(scope="module")
def btc(datasets: Path) -> Path:
    return datasets / "btc-calm"


@pytest.fixture(scope="module")
def frames(btc: Path) -> list[Frame]:
    return list(Capture(btc).frames(last_seq=2_000))


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(
        cli, ["prove", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
    )
    return int(result.return_value), result.stdout


def copied(path: Path, frames: list[Frame], digest: EventDigest | None = None) -> Path:
    writer = CaptureWriter(path)
    try:
        writer.write(frames)
    finally:
        writer.close(event_digest=digest)
    return path


def few(path: Path, **options: Any) -> ProofReport:
    return prove(path, rewrite=False, **options)


def test_every_way_agrees(btc: Path) -> None:
    code, text = run(btc)
    report = play(btc, digest=True)
    assert code == 0
    assert f"{report.output_digest}" in text
    assert f"{report.input_digest}" in text
    assert "all 18 ways agree" in text
    for way in ("played at max", "Kathmandu", "journal, its recorder killed", "compacted"):
        assert way in text


def test_an_event_that_differs_is_found_and_shown_field_by_field(
    btc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Capture.events
    trade = next(e for e in Capture(btc).events() if isinstance(e, Trade) and e.seq > AT)

    def unfaithful(self: Capture, **options: Any) -> Iterator[Event]:
        for event in original(self, **options):
            if (event.seq, event.index) == (trade.seq, trade.index):
                yield msgspec.structs.replace(trade, price=trade.price + 1)
            else:
                yield event

    monkeypatch.setattr(Capture, "events", unfaithful)
    report = few(btc)
    bad = [check for check in report.checks if check.ok is False]
    assert not report.ok
    assert report.exit_code == 1
    assert {check.name for check in bad} >= {"streamed (Capture.events)"}
    first = bad[0]
    assert first.block == 0
    assert first.frame is not None
    assert first.frame["seq"] == trade.seq
    assert first.difference is not None
    assert [field.field for field in first.difference.fields] == ["price"]
    code, text = run(btc, "--no-processes", "--no-forms")
    assert code == 1
    assert f"first differing frame: seq {trade.seq}, " in text
    assert f"found     {trade.price + 1}" in text


def test_a_play_that_differs_is_found(btc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Interpreter):
        def step(self, frame: Frame) -> list[Event]:
            events = super().step(frame)
            return events[:-1] if frame.seq == AT else events

    def forgetful(capture: Capture, seq: int, *_: object) -> Interpreter:
        return Forgetful()

    monkeypatch.setattr("replay.source.interpreter_before", forgetful)
    report = few(btc)
    names = [check.name for check in report.checks if check.ok is False]
    assert names[:2] == ["played at max", "played at a speed"]
    difference = next(c.difference for c in report.checks if c.name == "played at max")
    assert difference is not None
    assert (difference.seq, difference.second) == (AT, None)


def test_another_capture_is_compared_frame_by_frame(
    btc: Path, frames: list[Frame], tmp_path: Path
) -> None:
    same = copied(tmp_path / "same", frames)
    end = frames[-1].ts_recv
    assert few(btc, end=end, against=same).ok
    at = next(n for n, f in enumerate(frames) if n > AT and f.kind is Kind.TEXT)
    changed = list(frames)
    payload = frames[at].payload.replace(b"BTC", b"XTC", 1)
    changed[at] = msgspec.structs.replace(frames[at], payload=payload)
    report = few(btc, end=end, against=copied(tmp_path / "other", changed))
    (check,) = report.checks
    assert check.ok is False
    assert check.difference is not None
    assert (check.difference.seq, check.frame and check.frame["seq"]) == (at, at)
    assert [field.field for field in check.difference.fields] == ["payload"]


def test_digests_are_kept_and_compared_on_another_machine(btc: Path, tmp_path: Path) -> None:
    code, text = run(btc, "--digests")
    kept = tmp_path / "digests.json"
    kept.write_text(text)
    assert code == 0
    assert run(btc, "--against", kept)[0] == 0
    blocks = msgspec.json.decode(text, type=Blocks)
    assert blocks.events
    blocks.events[0] = msgspec.structs.replace(blocks.events[0], digest="0" * 64)
    kept.write_bytes(msgspec.json.encode(blocks))
    code, text = run(btc, "--against", kept, "--json")
    (check,) = msgspec.json.decode(text)["checks"]
    assert (code, check["ok"], check["block"]) == (1, False, 0)
    kept.write_text("[]")
    with pytest.raises(UsageError, match="digests"):
        few(btc, against=kept)


def test_the_events_of_a_block_can_be_asked_of_another_process(btc: Path) -> None:
    code, text = run(btc, "--events-of", 0)
    assert code == 0
    assert len(text.splitlines()) == sum(1 for _ in Capture(btc).events())
    assert run(btc, "--events-of", 7)[1] == ""


def test_what_the_recorder_delivered_is_compared(frames: list[Frame], tmp_path: Path) -> None:
    honest, other, step = EventDigest(), EventDigest(), Interpreter().step
    for frame in frames:
        events = step(frame)
        honest.update(events)
        other.update(events if frame.seq != AT else [])
    report = few(copied(tmp_path / "true", frames, honest))
    (live,) = [check for check in report.checks if check.name.startswith("live")]
    assert live.ok, live
    report = few(copied(tmp_path / "false", frames, other))
    assert [check.name for check in report.checks if check.ok is False] == [live.name]


def test_a_window_is_proved_alone(btc: Path, frames: list[Frame]) -> None:
    report = few(btc, start=frames[500].ts_recv, end=frames[900].ts_recv)
    assert report.ok
    assert (report.first_seq, report.frames) == (500, 400)
    empty = few(btc, start=1, end=2)
    assert (empty.ok, empty.frames) == (True, 0)


def test_a_steered_play_really_goes_back(btc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    blocks = witness.EventBlocks

    def counted() -> object:
        made.append(blocks())
        return made[-1]

    monkeypatch.setattr(witness, "EventBlocks", counted)
    capture = Capture(btc)
    window = witness.Window(start=None, end=None, first_seq=0, last_seq=3508)
    witness.Playing("steered", capture, window, speed=witness.FAST, is_steered=True).blocks()
    assert len(made) == 2
