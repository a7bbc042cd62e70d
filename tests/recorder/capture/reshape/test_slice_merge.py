"""Slice, merge and seal: new captures of old frames, right from the first one, or none at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture import layout
from recorder.capture.digest import FrameDigest
from recorder.capture.expiry.retention import expire
from recorder.capture.finish import seal_journals
from recorder.capture.reader import Capture
from recorder.capture.recover import recover
from recorder.capture.reshape import derive
from recorder.capture.reshape.merge import merge_captures
from recorder.capture.reshape.slice import slice_capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import CaptureExists, Damage, DiskFull, ExitCode, UsageError
from recorder.frame import Frame, Kind


@pytest.fixture
def capture(tmp_path: Path, make_frames: Any, build: Any) -> tuple[Path, list[Frame]]:
    """Six segments of 100 frames: four sealed, two in journals."""
    frames: list[Frame] = make_frames(600)
    build(tmp_path / "c", frames, sealed=4)
    return tmp_path / "c", frames


def digest_of(frames: list[Frame]) -> str:
    digest = FrameDigest()
    digest.update(frames)
    return digest.hexdigest()


def check(root: Path, frames: list[Frame]) -> None:
    assert list(Capture(root).frames()) == frames
    verified = verify(root)
    assert verified.problems == []
    info = Capture(root).info()
    assert info.problems == []
    assert digest_of(frames) == info.input_digest == verified.input_digest
    assert info.events == sum(1 for _ in Capture(root).events())


# --- slice ----------------------------------------------------------------------------------


def test_a_window_keeps_its_numbers_and_has_its_books_at_once(
    capture: tuple[Path, list[Frame]], tmp_path: Path
) -> None:
    root, frames = capture
    seen: list[int] = []
    start, end = frames[250].ts_recv, frames[480].ts_recv
    report = slice_capture(root, tmp_path / "s", start=start, end=end, progress=seen.append)
    assert (report.frames, report.first_seq, report.last_seq) == (230, 250, 479)
    assert (report.start, report.end) == (start, frames[479].ts_recv)
    assert not report.renumbered
    assert seen[-1] == 230
    check(tmp_path / "s", frames[250:480])
    expected = list(Capture(root).events(start=start, end=end))
    assert list(Capture(tmp_path / "s").events()) == expected
    state = Capture(root).interpreter_before(333).save()
    assert Capture(tmp_path / "s").interpreter_before(333).save() == state
    assert not (tmp_path / "s.tmp").exists()


def test_it_says_where_it_comes_from(capture: tuple[Path, list[Frame]], tmp_path: Path) -> None:
    root, _ = capture
    slice_capture(root, tmp_path / "s", first_seq=250, last_seq=299, channels=["trades"])
    origin = Capture(tmp_path / "s").info().origin
    assert origin is not None
    del origin["recorder"]
    assert origin == {
        "made_by": "slice",
        "first_seq": 250,
        "last_seq": 299,
        "channels": ["trades"],
        "instruments": None,
        "sources": [{"id": "0" * 16, "note": None}],
    }
    slice_capture(root, tmp_path / "t", first_seq=250, last_seq=299, channels=["trades"])
    files = [sorted(p.name for p in (tmp_path / n).rglob("*.parquet")) for n in "st"]
    assert files[0] == files[1]  # the same slice is the same bytes
    assert Capture(tmp_path / "t").header.id == Capture(tmp_path / "s").header.id != "0" * 16


def test_a_choice_keeps_what_names_nothing_else_and_counts_anew(
    capture: tuple[Path, list[Frame]], tmp_path: Path
) -> None:
    root, frames = capture
    report = slice_capture(
        root, tmp_path / "s", channels=["books"], instruments=["BTC-USDT"], first_seq=3
    )
    assert report.renumbered
    kept = [
        frame
        for frame in frames[3:]
        if frame.kind is not Kind.TEXT
        or b'"channel"' not in frame.payload
        or b"\xff" in frame.payload  # nobody can read what it names
        or (b'"books"' in frame.payload and b"BTC-USDT" in frame.payload)
    ]
    found = list(Capture(tmp_path / "s").frames())
    assert [frame.payload for frame in found] == [frame.payload for frame in kept]
    assert [frame.seq for frame in found] == list(range(len(kept)))
    check(tmp_path / "s", found)
    # From the middle: its own book is there, those that no frame will change are not.
    slice_capture(root, tmp_path / "m", instruments=["BTC-USDT"], first_seq=300)
    begin = Capture(tmp_path / "m").interpreter_before(0)
    before = Capture(root).interpreter_before(300)
    assert begin.books["BTC-USDT"].sides() == before.books["BTC-USDT"].sides()
    assert "ETH-USDT" in before.books
    assert "ETH-USDT" not in begin.books
    check(tmp_path / "m", list(Capture(tmp_path / "m").frames()))


def test_a_slice_may_be_appended_to(capture: tuple[Path, list[Frame]], tmp_path: Path) -> None:
    root, frames = capture
    slice_capture(root, tmp_path / "s", first_seq=250, last_seq=299)
    with CaptureWriter(tmp_path / "s", append=True) as writer:
        assert writer.next_seq == 300
        writer.write(frames[300:320])
    check(tmp_path / "s", frames[250:320])


def test_of_what_expired_only_the_rest_is_sliced(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames)
    expire(tmp_path / "c", days=0, now_ns=frames[230].ts_recv, grace_s=0)
    assert slice_capture(tmp_path / "c", tmp_path / "s", last_seq=300).first_seq == 200
    check(tmp_path / "s", frames[200:301])
    expire(tmp_path / "s", days=0, now_ns=frames[299].ts_recv, grace_s=0)
    assert Capture(tmp_path / "s").info().expired is None  # one segment: it stays


def test_an_empty_window_is_a_usage_error(
    capture: tuple[Path, list[Frame]], tmp_path: Path
) -> None:
    root, frames = capture
    with pytest.raises(UsageError, match="holds frames 0 to 599, received from 2025-11-22"):
        slice_capture(root, tmp_path / "s", start=frames[-1].ts_recv + 1)
    with pytest.raises(UsageError, match="swap them"):
        slice_capture(root, tmp_path / "s", start=2, end=1)
    assert not (tmp_path / "s").exists()


def test_nothing_is_overwritten_and_nothing_is_left_behind(
    capture: tuple[Path, list[Frame]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, frames = capture
    (tmp_path / "s").mkdir()
    with pytest.raises(CaptureExists):
        slice_capture(root, tmp_path / "s")
    (tmp_path / "s").rmdir()
    (tmp_path / "s.tmp").mkdir()
    with pytest.raises(UsageError, match="in use, or not ours"):
        slice_capture(root, tmp_path / "s")
    (tmp_path / "s.tmp" / "LOCK").touch()  # a killed run's
    with layout.locked(tmp_path / "s.tmp"), pytest.raises(UsageError, match="in use"):
        slice_capture(root, tmp_path / "s")
    slice_capture(root, tmp_path / "s", last_seq=10)
    check(tmp_path / "s", frames[:11])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(derive.Sealer, "seal_frames", full)
    with pytest.raises(DiskFull):
        slice_capture(root, tmp_path / "t")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "s"]


def test_damage_is_not_sliced_over(capture: tuple[Path, list[Frame]], tmp_path: Path) -> None:
    root, frames = capture
    victim = root / Capture(root).snapshot().sealed[1].path
    victim.unlink()
    with pytest.raises(Damage, match="numbers up to 199 are missing"):
        slice_capture(root, tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]
    slice_capture(root, tmp_path / "s", last_seq=99)
    check(tmp_path / "s", frames[:100])


def test_a_lost_row_keeps_its_hole_in_a_window(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames, sealed=0)
    (tmp_path / "c" / "journal" / "000001.wal").unlink()
    recover(tmp_path / "c")
    kept = list(Capture(tmp_path / "c").frames())
    (lost,) = [frame for frame in kept if frame.kind is Kind.LOST]
    assert (lost.seq, kept[kept.index(lost) + 1].seq) == (100, 200)
    slice_capture(tmp_path / "c", tmp_path / "s", first_seq=50, last_seq=220)
    check(tmp_path / "s", [frame for frame in kept if 50 <= frame.seq <= 220])
    slice_capture(tmp_path / "c", tmp_path / "e", first_seq=50, last_seq=100)
    check(tmp_path / "e", [frame for frame in kept if 50 <= frame.seq <= 100])
    slice_capture(tmp_path / "c", tmp_path / "r", channels=["trades"], first_seq=50, last_seq=220)
    (row,) = [f.payload for f in Capture(tmp_path / "r").frames() if f.kind is Kind.LOST]
    payload = msgspec.json.decode(row)
    assert (payload["count"], payload["first_seq"], payload["last_seq"]) == (100, None, None)
    check(tmp_path / "r", list(Capture(tmp_path / "r").frames()))


def test_a_private_capture_gives_private_ones(tmp_path: Path, make_frames: Any) -> None:
    with CaptureWriter(tmp_path / "c", options=WriterOptions(private=True)) as writer:
        writer.write(make_frames(50))
    slice_capture(tmp_path / "c", tmp_path / "s", first_seq=20)
    merge_captures(tmp_path / "c", tmp_path / "s", tmp_path / "m")
    for name in ("s", "m"):
        for path in (tmp_path / name, *(tmp_path / name).rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


# --- merge ----------------------------------------------------------------------------------


def renamed(frames: list[Frame], shift_ns: int) -> list[Frame]:
    """The same market as another machine saw it: later, on a clock of its own."""
    return [
        Frame(f.seq, f.ts_recv + shift_ns, f.ts_mono + 10**15, f.connection, f.kind, f.payload)
        for f in frames
    ]


def test_every_frame_of_both_in_the_order_of_receipt(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    first, second = make_frames(300), renamed(make_frames(300, seed=2), 1_005_000_000)
    build(tmp_path / "a", first)
    build(tmp_path / "b", second, sealed=1)
    seen: list[int] = []
    report = merge_captures(tmp_path / "a", tmp_path / "b", tmp_path / "m", progress=seen.append)
    assert (report.frames, report.connections_from, seen[-1]) == (600, 2, 600)
    merged = list(Capture(tmp_path / "m").frames())
    assert [f.ts_recv for f in merged] == sorted(f.ts_recv for f in first + second)
    assert [f.ts_mono for f in merged] == [f.ts_recv for f in merged]
    assert [f.seq for f in merged] == list(range(600))
    of_second = [f for f in merged if f.ts_recv % 10_000_000]
    assert [f.connection for f in of_second] == [
        f.connection + 2 if f.connection >= 0 else -1 for f in second
    ]
    assert [f.payload for f in of_second][1:] == [f.payload for f in second][1:]
    run = msgspec.json.decode(of_second[0].payload)
    assert run == {"recorder": "test", "connections": [2, 4]}
    check(tmp_path / "m", merged)
    # The second recorder's start ends nothing of the first: as many gaps as apart.
    apart = [Capture(tmp_path / name).info() for name in "ab"]
    together = Capture(tmp_path / "m").info()
    assert together.gaps == sum(info.gaps for info in apart)
    assert together.integrity["links"] == sum(info.integrity["links"] for info in apart)
    assert together.events == sum(info.events for info in apart)


def test_a_clock_that_stepped_back_reorders_nothing(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(60)
    stepped = [
        Frame(f.seq, f.ts_recv - (10**9 if f.seq >= 30 else 0), f.ts_mono, f.connection, f.kind,
              f.payload)
        for f in frames
    ]  # fmt: skip
    build(tmp_path / "a", stepped)
    build(tmp_path / "b", make_frames(60, seed=2))
    merge_captures(tmp_path / "a", tmp_path / "b", tmp_path / "m")
    merged = list(Capture(tmp_path / "m").frames())
    of_first = [f for f in merged if f.connection in (0, 1)]
    assert [f.payload for f in of_first] == [f.payload for f in frames if f.connection >= 0]
    monos = [f.ts_mono for f in merged]
    assert monos == sorted(monos)
    check(tmp_path / "m", merged)


def test_a_split_merged_again_has_the_counts_of_the_whole(
    capture: tuple[Path, list[Frame]], tmp_path: Path
) -> None:
    root, frames = capture
    slice_capture(root, tmp_path / "a", last_seq=299)
    slice_capture(root, tmp_path / "b", first_seq=300)
    merge_captures(tmp_path / "a", tmp_path / "b", tmp_path / "m")
    whole, merged = Capture(root).info(), Capture(tmp_path / "m").info()
    for field in ("frames", "events", "gaps", "kinds", "start", "end", "unrecognized"):
        assert getattr(merged, field) == getattr(whole, field), field
    # All but one payload as it was: the run row says which connections are its own.
    found = list(Capture(tmp_path / "m").frames())
    assert [f.payload for f in found][1:] == [f.payload for f in frames][1:]
    origin = merged.origin
    assert origin is not None
    assert [source["origin"]["made_by"] for source in origin["sources"]] == ["slice", "slice"]


def test_what_cannot_be_merged_is_said(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "a", make_frames(20))
    with CaptureWriter(tmp_path / "b", venue="other") as writer:
        writer.write(make_frames(20))
    with pytest.raises(UsageError, match="one venue"):
        merge_captures(tmp_path / "a", tmp_path / "b", tmp_path / "m")
    build(tmp_path / "e", [])
    with pytest.raises(UsageError, match="found none"):
        merge_captures(tmp_path / "e", tmp_path / "e", tmp_path / "m")
    merge_captures(tmp_path / "e", tmp_path / "a", tmp_path / "m")
    check(tmp_path / "m", list(Capture(tmp_path / "m").frames()))


# --- seal -----------------------------------------------------------------------------------


def test_seal_adds_nothing(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    report = seal_journals(root)
    assert (report.segments, report.frames, report.left) == (2, 200, [])
    assert report.exit_code == ExitCode.DONE
    assert layout.list_journals(root) == []
    check(root, frames)
    assert seal_journals(root).segments == 0


def test_seal_stops_where_recovery_is_needed(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    file = layout.journal_path(root, 5)
    file.write_bytes(file.read_bytes()[:-40])
    content = file.read_bytes()
    report = seal_journals(root)
    assert (report.segments, report.left) == (1, ["journal/000005.wal"])
    assert report.exit_code == ExitCode.FAILED
    assert file.read_bytes() == content
    assert len(list(Capture(root).frames())) == len(frames)
    assert recover(root).holes == 1
    with layout.locked(root), pytest.raises(UsageError):
        seal_journals(root)
