"""Checkpoints inside a segment: a busy one is as near at every frame as a calm one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture import layout
from recorder.capture.checkpoint import interpreter_before, read_checkpoint
from recorder.capture.digest import digest_of
from recorder.capture.reader import Capture
from recorder.capture.reshape.compact import compact
from recorder.capture.segment import SegmentMeta, SegmentReader
from recorder.capture.verify import verify
from recorder.frame import Frame
from recorder.okx.interpreter import Interpreter

BLOCK = 100


@pytest.fixture
def frames(make_frames: Any) -> list[Frame]:
    made: list[Frame] = make_frames(950)
    return made


@pytest.fixture
def root(tmp_path: Path, frames: list[Frame], build: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two segments of five sorted blocks each."""
    monkeypatch.setattr("recorder.capture.sealing.seal.BLOCK_ROWS", BLOCK)
    build(tmp_path / "c", frames, segment_ns=5 * 10**9)
    return tmp_path / "c"


def metas_of(root: Path) -> list[SegmentMeta]:
    metas = []
    for source in Capture(root).snapshot().sealed:
        reader = SegmentReader(root, source.path, source.segment)
        reader.close()
        metas.append(reader.meta)
    return metas


def test_every_block_has_the_state_before_it(root: Path, frames: list[Frame]) -> None:
    states = {}
    interpreter = Interpreter()
    for frame in frames:
        states[frame.seq] = interpreter.save()
        interpreter.step(frame)
    inner = [one for meta in metas_of(root) for one in meta.inner_checkpoints or ()]
    assert [(one.segment, one.seq) for one in inner] == [
        (0, 100), (0, 200), (0, 300), (0, 400), (1, 600), (1, 700), (1, 800), (1, 900),
    ]  # fmt: skip
    assert layout.list_checkpoints_inside(root) == [(one.segment, one.seq) for one in inner]
    for one in inner:
        assert read_checkpoint(root, one.segment, one.seq) == states[one.seq]
        assert one.digest == digest_of(states[one.seq])
    assert verify(root).ok


def stepped_for(root: Path, seq: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bytes]:
    """Return how many frames it takes to know the state before one, and the state."""
    stepped = 0
    step = Interpreter.step

    def count(self: Interpreter, frame: Frame) -> Any:
        nonlocal stepped
        stepped += 1
        return step(self, frame)

    with monkeypatch.context() as patch:
        patch.setattr(Interpreter, "step", count)
        state = interpreter_before(Capture(root), seq).save()
    return stepped, state


def test_a_state_is_never_further_than_a_block(
    root: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = Interpreter()
    for frame in frames:
        if frame.seq % 61 == 0:
            stepped, state = stepped_for(root, frame.seq, monkeypatch)
            assert stepped < BLOCK
            assert state == straight.save()
        straight.step(frame)


def test_without_them_the_state_is_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = stepped_for(root, 450, monkeypatch)
    for segment, inside in layout.list_checkpoints_inside(root):
        layout.checkpoint_path(root, segment, inside).unlink()
    stepped, state = stepped_for(root, 450, monkeypatch)
    assert (stepped, state) == (450, expected)
    assert verify(root).ok


def test_one_that_is_another_is_not_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, expected = stepped_for(root, 450, monkeypatch)
    path = layout.checkpoint_path(root, 0, 400)
    path.write_bytes(layout.checkpoint_path(root, 0, 300).read_bytes())
    stepped, state = stepped_for(root, 450, monkeypatch)
    assert (stepped, state) == (150, expected)
    report = verify(root)
    assert not report.ok
    assert [(p.file, p.first_seq) for p in report.problems] == [("checkpoints/000000-400.zst", 400)]


def test_a_joined_file_keeps_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compact(root, wait=False, clock=lambda: 2 * 10**18, sleep=lambda _: None, grace_s=0.0)
    (meta,) = metas_of(root)
    assert meta.joined
    assert [one.seq for one in meta.inner_checkpoints or ()] == [
        100, 200, 300, 400, 600, 700, 800, 900,
    ]  # fmt: skip
    assert stepped_for(root, 870, monkeypatch)[0] == 70
    assert verify(root).ok


def test_many_books_are_not_written_again_and_again(
    tmp_path: Path, frames: list[Frame], build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state larger than what has come since is left out."""
    monkeypatch.setattr("recorder.capture.sealing.seal.BLOCK_ROWS", 10)
    build(tmp_path / "c", frames, segment_ns=5 * 10**9)
    inner = [one for meta in metas_of(tmp_path / "c") for one in meta.inner_checkpoints or ()]
    payloads = {frame.seq: len(frame.payload) for frame in frames}
    assert 1 < len(inner) < 90
    for before, one in pairwise(inner):
        if before.segment != one.segment:
            continue
        size = len(read_checkpoint(tmp_path / "c", before.segment, before.seq))
        assert sum(payloads[seq] for seq in range(before.seq, one.seq)) >= size


def test_older_readers_pass_over_the_entry(root: Path) -> None:
    meta = metas_of(root)[0]
    plain = msgspec.json.decode(msgspec.json.encode(meta))
    assert plain.pop("inner_checkpoints")[0][:2] == [0, 100]
    again = msgspec.json.decode(msgspec.json.encode(plain), type=SegmentMeta)
    assert not again.inner_checkpoints
