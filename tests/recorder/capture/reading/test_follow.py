"""Goal: who follows a capture gets what a reader gets afterwards: each frame once, in order.

Method: writer and follower take turns in one thread, a step each, so that nothing depends on how
fast either is; meanwhile segments roll, are sealed, joined and expire.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.capture import layout
from recorder.capture.batch import FrameBatch
from recorder.capture.block import Selection
from recorder.capture.expiry.retention import expire
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.follow import following_batches, following_events
from recorder.capture.reshape.compact import compact
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import UsageError
from recorder.frame import Frame, Kind

STEP = 10_000_000
FOREVER = 60.0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something another process does."""
    for _ in range(int(FOREVER / 0.01)):
        if true():
            return
        time.sleep(0.01)
    pytest.fail(f"expected {what} within {FOREVER:g} s")


class Follower:
    """Pulls what is there now."""

    def __init__(self, parts: Iterator[FrameBatch | None]) -> None:
        self.parts = parts
        self.frames: list[Frame] = []
        self.has_ended = False

    def pull(self, at_least: int) -> None:
        """Take what is there, and wait until it was so many frames in all."""

        def is_there() -> bool:
            for part in self.parts:
                if part is None:
                    return len(self.frames) >= at_least
                self.frames += part.frames()
            self.has_ended = True
            return True

        until(is_there, f"{at_least} frames, came {len(self.frames)}")

    def rest(self) -> None:
        """Take everything there will be."""

        def has_ended() -> bool:
            self.pull(0)
            return self.has_ended

        until(has_ended, "the end")


def write(writer: CaptureWriter, frames: list[Frame]) -> None:
    writer.write(frames)
    writer.flush(FOREVER)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_frame_comes_once_while_segments_roll_seal_join_and_expire(
    tmp_path: Path, make_frames: Any, seed: int
) -> None:
    rng = random.Random(seed)
    frames = make_frames(1_500, seed=seed)
    path = tmp_path / "c"
    writer = CaptureWriter(path, options=WriterOptions(segment_seconds=2.0), reproducible=True)
    at, done = 0, set()
    with writer:
        write(writer, frames[:1])
        follower = Follower(following_batches(Capture(path), Selection()))
        at = 1
        while at < len(frames):
            count = rng.choice((1, 3, 40, 400))
            write(writer, frames[at : at + count])
            at = min(at + count, len(frames))
            act = rng.choice(("pull", "pull", "stay behind", "sealed", "join", "expire"))
            if act == "pull":
                follower.pull(at)
                assert len(follower.frames) == at
            elif act == "sealed":
                until(lambda: len(layout.list_journals(path)) <= 1, "all sealed but one")
            elif act == "join":
                now = time.time_ns
                report = compact(path, clock=now, sleep=time.sleep, span_s=60.0, level=1,
                                 grace_s=0.0, wait=False)  # fmt: skip
                done.add("joined" if report.joined else "-")
            elif act == "expire":
                follower.pull(at)  # what it has, it need not find any more
                gone = expire(path, max_bytes=30_000, now_ns=time.time_ns(), grace_s=0.0)
                done.add("expired" if gone else "-")
    follower.rest()
    assert follower.frames == frames
    assert {"joined", "expired"} & done


def test_filters_and_windows_are_those_of_any_read(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(800)
    path = tmp_path / "c"
    start, end = frames[300].ts_recv, frames[650].ts_recv
    wanted = Selection(channels=frozenset({"trades"}), instruments=frozenset({"ETH-USDT"}))
    with CaptureWriter(path, options=WriterOptions(segment_seconds=2.0)) as writer:
        write(writer, frames[:100])  # the start is still to come, and so is the end
        followers = [
            Follower(following_batches(Capture(path), *arguments, **window))
            for arguments, window in (
                ([wanted], {}),
                ([Selection()], {"start": start, "end": end}),
                ([wanted], {"start": start, "end": end}),
            )
        ]
        for at in range(100, 800, 50):
            for follower in followers:
                follower.pull(0)
            write(writer, frames[at : at + 50])
        for follower in followers[1:]:
            follower.pull(0)
            assert follower.has_ended  # although the recorder goes on
    followers[0].rest()
    names: dict[str, Any] = {"channels": ["trades"], "instruments": ["ETH-USDT"]}
    read = Capture(path).frames
    assert followers[0].frames == list(read(**names))
    assert followers[1].frames == list(read(start=start, end=end)) == frames[300:650]
    assert followers[2].frames == list(read(start=start, end=end, **names))


def test_what_expired_before_it_was_read_is_told(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(900)
    path = tmp_path / "c"
    report = ReadReport()
    with CaptureWriter(path, options=WriterOptions(segment_seconds=2.0)) as writer:
        write(writer, frames[:150])
        follower = Follower(following_batches(Capture(path), Selection(), report=report))
        follower.pull(150)
        for at in range(150, 900, 50):
            write(writer, frames[at : at + 50])
        until(lambda: len(layout.list_journals(path)) <= 1, "all sealed but one")
        assert expire(path, max_bytes=1, now_ns=time.time_ns(), grace_s=0.0)
    follower.rest()
    (problem,) = report.problems
    assert problem.cause == "expired while it was read"
    got = [frame.seq for frame in follower.frames]
    missing = range(problem.first_seq or 0, (problem.last_seq or 0) + 1)
    assert got == [seq for seq in range(900) if seq not in missing]


def test_a_finished_or_killed_capture_ends_where_it_ends(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(500)
    build(tmp_path / "c", frames, sealed=2)
    assert list(Capture(tmp_path / "c").follow()) == frames
    newest = layout.journal_path(tmp_path / "c", layout.list_journals(tmp_path / "c")[-1])
    os.truncate(newest, newest.stat().st_size - 300)  # the trailer and a part of the last block
    report, expected = ReadReport(), ReadReport()
    left = list(Capture(tmp_path / "c").frames(report=expected))
    assert list(Capture(tmp_path / "c").follow(report=report)) == left
    assert report == expected
    assert report.torn_tail


def test_events_are_those_of_any_read(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(600)
    path = tmp_path / "c"
    wanted = Selection(channels=frozenset({"books"}))
    events = []
    with CaptureWriter(path, options=WriterOptions(segment_seconds=2.0)) as writer:
        write(writer, frames[:300])
        parts = following_events(Capture(path), wanted, start=frames[200].ts_recv)
        for part in parts:
            if part is None:
                break
            events += part
        write(writer, frames[300:])
    for part in parts:
        events += part or []
    assert events == list(Capture(path).events(start=frames[200].ts_recv, channels=["books"]))
    assert events


def test_it_waits_for_a_recorder_and_ends_with_it(tmp_path: Path, make_frames: Any) -> None:
    frames = make_frames(400)
    got: list[Frame] = []
    with CaptureWriter(tmp_path / "c", options=WriterOptions(segment_seconds=1.0)) as writer:
        write(writer, frames[:10])
        follow = Capture(tmp_path / "c").follow(kinds=[Kind.TEXT])
        reader = threading.Thread(target=lambda: got.extend(follow), daemon=True)
        reader.start()
        for at in range(10, 400, 30):
            write(writer, frames[at : at + 30])
            until(lambda at=at: bool(got) and got[-1].seq >= at - 30, "news")  # type: ignore[misc]
    reader.join(FOREVER)
    assert not reader.is_alive()
    assert got == [frame for frame in frames if frame.kind is Kind.TEXT]


def test_a_window_the_wrong_way_round_is_refused_at_once(tmp_path: Path, build: Any) -> None:
    build(tmp_path / "c", [])
    with pytest.raises(UsageError, match="swap them"):
        list(Capture(tmp_path / "c").follow(start=2, end=1))
