"""Where a sink goes on: after its data went back, behind damage, in a copy made earlier."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from recorder.capture.reader import Capture
from recorder.capture.reading.resume import resume
from recorder.errors import UsageError
from recorder.event import Trade
from recorder.okx.faults import Scenario
from recorder.sinks import Position, Record
from recorder.sinks.runner import Runner
from replay import play
from replay.cli.outlets import outlets_of
from replay.outlets import Outlets
from tests.recorder.sinks.feeding import MS, START, Recording


class KeptSink:
    """Keeps numbers and a position in memory; what is called first can be made to fail."""

    wants: frozenset[type] | None = frozenset({Trade})
    batch_rows, batch_seconds, refused = 10, 0.0, 0
    history_seconds: float | None = None

    def __init__(self, options: dict[str, str] | None = None) -> None:
        self.kept: list[int] = []
        self.position: Position | None = None
        self.rewound: list[Position | None] = []
        self.restored: Position | None = None

    def open(self, capture: str) -> Sequence[Position | None]:
        return [self.position]

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        if self.restored is not None:  # an earlier backup, put in while the batch was on its way
            self.position, self.restored = self.restored, None
            self.kept = [seq for seq in self.kept if seq <= self.position.seq]
            raise ConnectionError("restarted")
        self.kept += [record.seq for record in records]
        self.position = position or self.position

    def rewind(self, position: Position | None) -> None:
        self.rewound.append(position)

    def close(self) -> None:
        """Nothing is held."""


def stand(seq: int) -> Position:
    return Position(seq, 0, START + seq * MS)


def made(path: Path, last: int, *, seal: bool = False) -> Path:
    recording = Recording(path)
    recording.trades(1, last)
    recording.end(seal=seal)
    return path


def test_a_batch_in_hand_is_dropped_where_the_feeder_begins_anew_at_once(tmp_path: Path) -> None:
    sink = KeptSink()
    began_anew = threading.Event()

    def tell(words: str) -> None:
        if words == "goes on":  # the moment before the batch in hand is looked at again
            runner.open()
            began_anew.set()

    runner = Runner(sink, "x", monotonic=time.monotonic, tell=tell)
    events = [e for e in Capture(made(tmp_path / "c", 30)).events() if isinstance(e, Trade)]
    runner.open()
    assert runner.put(events[:20], stand(20))
    assert runner.settle()
    sink.restored = stand(5)
    assert runner.put(events[20:], stand(30))
    assert began_anew.wait(60)
    assert runner.put(events[5:], stand(30))
    assert runner.settle()
    assert runner.finish(60)
    assert sink.kept == list(range(1, 31))


def test_a_copy_made_earlier_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path / "copy", 20)
    whole = tmp_path / "whole"
    shutil.copytree(path, whole)
    recording = Recording(whole, append=True)
    recording.trades(21, 40)
    recording.end()
    sink = KeptSink()
    monkeypatch.setattr("replay.outlets.sink_of", lambda _: sink)
    for capture in (whole, path, whole):
        with Outlets(capture, ["module:here.Sink"]) as outlets:
            play(capture, outlets)
        assert (sink.kept, sink.rewound) == (list(range(1, 41)), [])
    # While it is recorded, numbers that are gone come again: then it is forgotten.
    begin = resume(Capture(path), [stand(40)])
    assert begin.is_torn
    assert begin.is_short
    assert begin.last_common is not None
    assert begin.last_common.seq == 20


def test_damage_where_a_sink_stands_takes_nothing_back(tmp_path: Path) -> None:
    path = made(tmp_path / "c", 40, seal=True)
    (sealed,) = path.glob("frames/*/*.parquet")
    content = bytearray(sealed.read_bytes())
    content[10 : len(content) // 2] = bytes(len(content) // 2 - 10)
    sealed.chmod(0o600)
    sealed.write_bytes(content)
    assert not resume(Capture(path), [stand(40)]).is_torn


def test_links_one_by_one_go_into_no_sink(tmp_path: Path) -> None:

    capture = Capture(made(tmp_path / "c", 3), links="all")
    with pytest.raises(UsageError, match="--links all"):
        outlets_of(["module:x.Y"], [capture], is_whole=True, at_once=False, wrong=Scenario())
