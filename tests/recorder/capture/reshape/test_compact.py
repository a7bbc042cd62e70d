"""Compaction: joined files say what their segments said, and nobody misses a frame meanwhile."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.capture import layout
from recorder.capture.digest import EventDigest
from recorder.capture.expiry.retention import expire, remove_superseded
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.capture.reshape import join
from recorder.capture.reshape.compact import CompactReport, compact
from recorder.capture.segment import SegmentReader
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.clock import NS_PER_SECOND
from recorder.errors import UsageError
from recorder.frame import Frame

SPAN_S = 4.0  # the frames are 10 ms apart, and their first is at midnight: 400 in each span


class Clock:
    """A wall clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 2_000_000_000 * NS_PER_SECOND
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += int(seconds * NS_PER_SECOND)


def squeeze(root: Path, **options: Any) -> CompactReport:
    """Compact with short spans and no waiting."""
    clock = Clock()
    options = {"span_s": SPAN_S, "grace_s": 0.0, **options}
    return compact(root, clock=clock, sleep=clock.sleep, **options)


@pytest.fixture
def capture(tmp_path: Path, make_frames: Any, build: Any) -> tuple[Path, list[Frame]]:
    """Ten sealed segments of 100 frames."""
    frames: list[Frame] = make_frames(1000)
    build(tmp_path / "c", frames)
    return tmp_path / "c", frames


def segments(root: Path) -> list[tuple[int, int, int]]:
    return [(s.segment, s.first_seq, s.last_seq) for s in Capture(root).snapshot().sealed]


def event_digest(root: Path) -> str:
    digest = EventDigest()
    digest.update(Capture(root).events())
    return digest.hexdigest()


def check(root: Path, frames: list[Frame]) -> None:
    report = ReadReport()
    assert list(Capture(root).frames(report=report)) == frames
    assert report.problems == verify(root).problems == Capture(root).info().problems == []


def test_a_joined_file_says_what_its_segments_said(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    before, events = Capture(root).info(), event_digest(root)
    seen: list[int] = []
    report = squeeze(root, progress=seen.append)
    assert segments(root) == [(0, 0, 399), (4, 400, 799), (8, 800, 999)]
    assert (report.joined, report.segments, report.frames) == (3, 10, 1000)
    assert (report.removed, report.waiting, report.problems) == (10, 0, [])
    assert report.bytes_after == Capture(root).info().disk_bytes < report.bytes_before
    assert seen == sorted(seen)
    assert seen[-1] == 1000
    after = Capture(root).info()
    for field in before.__struct_fields__:
        if field not in ("segments", "disk_bytes", "checkpoint_bytes"):
            assert getattr(after, field) == getattr(before, field), field
    assert event_digest(root) == events
    check(root, frames)
    assert len(layout.list_all_sealed(root)) == 3
    assert layout.list_checkpoints(root) == [0, 4, 8, 10]
    assert os.listdir(root / layout.COMPACT_DIR) == []


def test_again_there_is_nothing_to_do(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    squeeze(root)
    files = sorted(root.rglob("*"))
    assert squeeze(root) == CompactReport()
    assert sorted(root.rglob("*")) == files


def test_joined_files_are_joined_again(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    before = Capture(root).info()
    squeeze(root)
    assert squeeze(root, span_s=3600.0).joined == 1
    assert segments(root) == [(0, 0, 999)]
    after = Capture(root).info()
    assert (after.input_digest, after.channels) == (before.input_digest, before.channels)
    (source,) = Capture(root).snapshot().sealed
    reader = SegmentReader(root, source.path, 0)
    assert [part.segment for part in reader.meta.joined or []] == list(range(10))
    reader.close()
    check(root, frames)


def test_rows_are_sorted_as_sealing_sorts_them(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(300)
    build(tmp_path / "many", frames)
    build(tmp_path / "one", frames, segment_ns=10**12)
    squeeze(tmp_path / "many")
    tables = []
    for name in ("many", "one"):
        (source,) = Capture(tmp_path / name).snapshot().sealed
        reader = SegmentReader(tmp_path / name, source.path, 0)
        tables.append(reader._file.read())
        reader.close()
    assert tables[0].equals(tables[1])


def test_both_forms_are_there_until_the_grace_is_over(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    report = squeeze(root, grace_s=3e9, wait=False)
    assert (report.joined, report.removed, report.waiting) == (3, 0, 10)
    assert len(layout.list_all_sealed(root)) == 13
    assert len(segments(root)) == 3
    check(root, frames)
    assert Capture(root).info().segments == 3
    clock = Clock()
    again = compact(root, clock=clock, sleep=clock.sleep, span_s=SPAN_S, grace_s=3e9)
    assert clock.slept == [3e9]
    assert (again.joined, again.removed, again.waiting) == (0, 10, 0)
    check(root, frames)


def test_retention_also_removes_what_was_joined(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    squeeze(root, grace_s=3e9, wait=False)
    expire(root, now_ns=Clock().now, grace_s=60)
    assert len(layout.list_all_sealed(root)) == 3
    check(root, frames)


def test_an_original_that_is_read_stays(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    source = Capture(root).snapshot().sealed[1]
    held = SegmentReader(root, source.path, 1)
    assert squeeze(root).waiting == 1
    assert (root / source.path).exists()
    held.close()
    assert remove_superseded(root, now_ns=Clock().now, grace_s=0) == (1, 0)


def test_originals_stay_where_the_joined_file_is_damaged(
    capture: tuple[Path, list[Frame]],
) -> None:
    root, _ = capture
    squeeze(root, grace_s=3e9, wait=False)
    joined = root / Capture(root).snapshot().sealed[0].path
    content = bytearray(joined.read_bytes())
    content[100] ^= 1
    joined.write_bytes(content)
    removed, waiting = remove_superseded(root, now_ns=Clock().now, grace_s=0)
    assert (removed, waiting) == (6, 4)


def test_a_damaged_segment_is_not_joined(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    victim = root / Capture(root).snapshot().sealed[1].path
    content = bytearray(victim.read_bytes())
    content[len(content) // 4] ^= 1
    victim.write_bytes(content)
    report = squeeze(root)
    assert [problem.segment for problem in report.problems] == [1]
    assert report.exit_code == 1
    assert segments(root)[:5] == [
        (0, 0, 99), (1, 100, 199), (2, 200, 299), (3, 300, 399), (4, 400, 799)
    ]  # fmt: skip
    assert os.listdir(root / layout.COMPACT_DIR) == []


def test_a_hole_is_not_crossed(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    (root / Capture(root).snapshot().sealed[2].path).unlink()
    squeeze(root)
    assert segments(root) == [(0, 0, 199), (3, 300, 399), (4, 400, 799), (8, 800, 999)]
    (problem,) = verify(root).problems
    assert (problem.first_seq, problem.last_seq) == (200, 299)


def test_a_date_is_not_crossed(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(400, step_ns=6 * 3600 * NS_PER_SECOND // 100)  # a day is 400 frames
    half_a_day = 12 * 3600 * NS_PER_SECOND
    shifted = [
        Frame(f.seq, f.ts_recv + half_a_day, f.ts_mono, f.connection, f.kind, f.payload)
        for f in frames
    ]
    build(tmp_path / "c", shifted, segment_ns=3600 * NS_PER_SECOND)
    squeeze(tmp_path / "c", span_s=1e7)
    assert [(a, b) for _, a, b in segments(tmp_path / "c")] == [(0, 199), (200, 399)]
    check(tmp_path / "c", shifted)


def test_beside_a_recorder_the_last_span_is_left_for_later(
    capture: tuple[Path, list[Frame]],
) -> None:
    root, frames = capture
    with layout.locked(root):
        squeeze(root)
        assert segments(root)[:2] == [(0, 0, 399), (4, 400, 799)]
        assert len(segments(root)) == 4
        check(root, frames)
    squeeze(root)
    assert len(segments(root)) == 3


def test_a_recorder_goes_on_behind_a_joined_file(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    squeeze(root, span_s=3600.0)
    layout.checkpoint_path(root, 10).unlink()  # the file itself knows which numbers were used
    assert recover(root).next_numbers == (10, 1000, 2)
    more = [Frame(1000 + i, f.ts_recv + 10**10, f.ts_mono + 10**10, f.connection, f.kind, f.payload)
            for i, f in enumerate(frames[:50])]  # fmt: skip
    with CaptureWriter(root, options=WriterOptions(), append=True) as writer:
        assert writer.next_seq == 1000
        writer.write(more)
    assert segments(root)[-1] == (10, 1000, 1049)
    check(root, frames + more)


def test_what_vanished_behind_a_joined_file_is_missed(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    squeeze(root)
    (root / Capture(root).snapshot().sealed[-1].path).unlink()
    (problem,) = Capture(root).info().problems
    assert problem.cause == "segments 8 to 9 missing"


def test_checkpoints_that_spare_a_block_are_kept(
    capture: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = capture
    state = {seq: Capture(root).interpreter_before(seq).save() for seq in (250, 650, 999)}
    monkeypatch.setattr(join, "BLOCK_ROWS", 250)
    squeeze(root, span_s=3600.0)
    assert layout.list_checkpoints(root) == [0, 3, 6, 9, 10]
    reads: list[int] = []
    whole = Capture.select

    def counted(self: Capture, wanted: Any, *args: Any, **options: Any) -> Any:
        reads.append(wanted.first_seq)
        return whole(self, wanted, *args, **options)

    monkeypatch.setattr(Capture, "select", counted)
    for seq, expected in state.items():
        assert Capture(root).interpreter_before(seq).save() == expected
    assert reads == [0, 600, 900]
    layout.checkpoint_path(root, 6).unlink()
    assert Capture(root).interpreter_before(650).save() == state[650]
    assert [p.cause for p in verify(root).problems] == ["checkpoint missing"]


def test_of_two_files_of_one_segment_one_counts(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames)
    source = Capture(tmp_path / "c").snapshot().sealed[1]
    file = tmp_path / "c" / source.path
    twin = file.with_name(file.name.replace(source.hash16, "f" * 16))
    shutil.copy(file, twin)
    assert [s.path for s in Capture(tmp_path / "c").snapshot().sealed][1] == source.path
    check(tmp_path / "c", frames)
    twin.unlink()
    twin = file.with_name(file.name.replace(source.hash16, "0" * 16))
    shutil.copy(file, twin)
    assert [s.hash16 for s in Capture(tmp_path / "c").snapshot().sealed][1] == "0" * 16
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_one_compaction_at_a_time(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    (root / layout.COMPACT_DIR).mkdir()
    fd = os.open(root / layout.COMPACT_DIR, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="no other compaction"):
        squeeze(root)
    os.close(fd)
    (root / layout.COMPACT_DIR / "000003.parquet").write_bytes(b"left by a killed one")
    assert squeeze(root).joined == 3


def test_what_expires_meanwhile_is_not_brought_back(
    capture: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, frames = capture
    whole = join.part_digests

    def slow(reader: SegmentReader) -> Any:
        expire(root, days=0, now_ns=frames[250].ts_recv, grace_s=0)
        return whole(reader)

    monkeypatch.setattr(join, "part_digests", slow)
    squeeze(root)
    assert segments(root)[0] == (2, 200, 299)
    check(root, frames[200:])


def test_a_private_capture_stays_private(tmp_path: Path, make_frames: Any) -> None:
    root = tmp_path / "c"
    options = WriterOptions(private=True, segment_seconds=1.0)
    with CaptureWriter(root, options=options) as writer:
        writer.write(make_frames(300))
    squeeze(root)
    for path in root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


class Killed(BaseException):
    """The process dies here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    """End the process before its k-th change of the disk from now on."""
    count = 0

    def wrap(owner: Any, name: str) -> None:
        whole: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == k:
                raise Killed
            return whole(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    for name in ("replace", "fsync"):
        wrap(os, name)
    for name in ("unlink", "rename", "rmdir", "mkdir", "chmod"):
        wrap(Path, name)


def test_killed_at_any_step_it_is_whole_and_the_next_run_ends_it(
    tmp_path: Path, make_frames: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames)
    digest = Capture(tmp_path / "c").info().input_digest
    for k in range(1, 60):
        root = tmp_path / f"c{k}"
        shutil.copytree(tmp_path / "c", root)
        kill_at(monkeypatch, k)
        try:
            squeeze(root)
            was_killed = False
        except Killed:
            was_killed = True
        monkeypatch.undo()
        info = Capture(root).info()
        assert (info.frames, info.input_digest, info.problems) == (300, digest, [])
        squeeze(root)
        assert segments(root) == [(0, 0, 299)]
        assert len(layout.list_all_sealed(root)) == 1
        assert layout.list_checkpoints(root) == [0, 3]
        check(root, frames)
        if not was_killed:
            break
    assert k > 9
