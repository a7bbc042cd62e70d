"""`capture.reading.window`: the first frame of a window, found without opening every file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recorder.capture import verify as verifying
from recorder.capture.options import WriterOptions
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading import window
from recorder.capture.reshape.compact import compact
from recorder.capture.segment import SegmentReader
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind

BEGIN = 1_790_000_000 * NS_PER_SECOND
SEGMENTS = 48


def times(segment: int) -> list[int]:
    """A clock that steps back by ten seconds in segment 16 and forward again in segment 32."""
    step = -10 if 16 <= segment < 32 else 0
    return [BEGIN + (segment + step) * NS_PER_SECOND + row * 200_000_000 for row in range(5)]


@pytest.fixture(scope="module")
def stepping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("window") / "stepping"
    frames = [
        Frame(5 * n + row, ts, (5 * n + row) * 200_000_000, 0, Kind.TEXT, b"pong")
        for n in range(SEGMENTS)
        for row, ts in enumerate(times(n))
    ]
    with CaptureWriter(path, options=WriterOptions(segment_seconds=1.0)) as writer:
        writer.write(frames)
    return path


def naive(frames: list[Frame], start: int, end: int | None) -> list[int]:
    first = next((n for n, f in enumerate(frames) if f.ts_recv >= start), len(frames))
    stop = next(
        (n for n, f in enumerate(frames) if n >= first and end is not None and f.ts_recv >= end),
        len(frames),
    )
    return [f.seq for f in frames[first:stop]]


class Counting(SegmentReader):
    opened = 0

    def __init__(self, root: Path, path: str, segment: int) -> None:
        Counting.opened += 1
        super().__init__(root, path, segment)


def test_every_instant_gives_the_window_that_reading_all_gives(stepping: Path) -> None:
    capture = Capture(stepping)
    capture = capture.pinned(capture.snapshot())
    frames = list(capture.frames())
    assert len(capture.snapshot().sealed) == SEGMENTS
    for second in range(-1, SEGMENTS + 2, 3):
        for offset in (0, 1):
            start = BEGIN + second * NS_PER_SECOND + offset
            for end in (None, start + 3 * NS_PER_SECOND):
                low, high = window.seq_bounds(capture, start, end, None)
                found = [f.seq for f in frames if low <= f.seq and (high is None or f.seq <= high)]
                assert found == naive(frames, start, end), (second, offset, end)


def test_a_dozen_files_are_opened_not_all(stepping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "SegmentReader", Counting)
    for second in (0, 13, 15, 40, 47):
        Counting.opened = 0
        start = BEGIN + second * NS_PER_SECOND
        low, high = window.seq_bounds(Capture(stepping), start, None, None)
        assert (low, high) == (5 * second, None)
        assert Counting.opened <= 9  # log2(64) footers, and the one that holds it


def test_the_metadata_says_the_highest_time_so_far_and_verify_reads_it(
    stepping: Path, tmp_path: Path
) -> None:
    highest = 0
    for source in Capture(stepping).snapshot().sealed:
        reader = SegmentReader(stepping, source.path, source.segment)
        reader.close()
        highest = max(highest, reader.meta.max_ts_recv)
        assert reader.meta.latest_ts_recv == highest
    assert verify(stepping).ok


def test_a_time_that_would_hide_frames_is_damage(
    stepping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lying(SegmentReader):
        def __init__(self, root: Path, path: str, segment: int) -> None:
            super().__init__(root, path, segment)
            self.meta.latest_ts_recv = self.meta.min_ts_recv

    monkeypatch.setattr(verifying, "SegmentReader", Lying)
    report = verify(stepping)
    assert {problem.cause for problem in report.problems} == {
        "receive times do not match the metadata"
    }


def test_a_joined_file_says_it_too(stepping: Path, tmp_path: Path) -> None:
    path = tmp_path / "joined"
    shutil.copytree(stepping, path)
    frames = list(Capture(path).frames())
    compact(path, clock=lambda: 1, sleep=lambda _: None, grace_s=0.0)
    assert len(Capture(path).snapshot().sealed) < SEGMENTS
    for second in (0, 15, 19, 40):
        start = BEGIN + second * NS_PER_SECOND
        low, _ = window.seq_bounds(Capture(path), start, None, None)
        assert low == naive(frames, start, None)[0]


def test_a_file_that_cannot_be_read_hides_no_other(stepping: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    shutil.copytree(stepping, path)
    damaged = Capture(path).snapshot().sealed[SEGMENTS // 2]
    (path / damaged.path).write_bytes(b"PAR1 no more")
    report = ReadReport()
    start = BEGIN + 40 * NS_PER_SECOND
    assert next(Capture(path).frames(start=start, report=report)).seq == 200
