"""Retention: what may go, what must stay, and that every reader agrees at every step."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.capture import layout
from recorder.capture.digest import FrameDigest
from recorder.capture.expiry import retention
from recorder.capture.expiry.mark import Expired, read_mark
from recorder.capture.expiry.retention import GRACE_S, expire, expire_oldest
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading import hold
from recorder.capture.recover import recover
from recorder.capture.segment import SegmentReader
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.clock import NS_PER_DAY, NS_PER_SECOND
from recorder.errors import Damage
from recorder.frame import Frame, Kind

NOW = 1_800_000_000 * NS_PER_SECOND
START = 1_763_769_600 * NS_PER_SECOND
LATER = NOW + int(GRACE_S + 1) * NS_PER_SECOND


@pytest.fixture
def capture(tmp_path: Path, make_frames: Any, build: Any) -> tuple[Path, list[Frame]]:
    """Eight sealed segments of 100 frames."""
    frames: list[Frame] = make_frames(800)
    build(tmp_path / "c", frames)
    return tmp_path / "c", frames


def oldest(root: Path, count: int) -> int:
    """Return a limit that the capture exceeds by its oldest `count` segments."""
    sealed = Capture(root).snapshot().sealed
    files = [root / source.path for source in sealed]
    files += [layout.checkpoint_path(root, n) for n in layout.list_checkpoints(root)]
    sizes = [
        (root / source.path).stat().st_size
        + layout.checkpoint_path(root, source.segment).stat().st_size
        for source in sealed
    ]
    return sum(file.stat().st_size for file in files) - sum(sizes[:count])


def digest_of(frames: list[Frame]) -> str:
    digest = FrameDigest()
    digest.update(frames)
    return digest.hexdigest()


def check(root: Path, frames: list[Frame]) -> None:
    """Every reader gives exactly these frames, and none of them calls it damage."""
    report = ReadReport()
    assert list(Capture(root).frames(report=report)) == frames
    assert not report.problems
    info = Capture(root).info()
    assert not info.problems
    assert (info.frames, info.input_digest) == (len(frames), digest_of(frames))
    verified = verify(root)
    assert verified.problems == []
    assert verified.input_digest == info.input_digest
    assert info.events == verified.events == sum(1 for _ in Capture(root).events())


def test_the_mark_names_the_limit_that_was_reached(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    assert len(expire(root, days=365_000, max_bytes=oldest(root, 3), now_ns=NOW)) == 3
    mark = read_mark(root)
    assert mark is not None
    assert mark.reason == "bytes"


def test_the_oldest_go_at_once_for_readers_and_their_files_after_the_grace(
    capture: tuple[Path, list[Frame]],
) -> None:
    root, frames = capture
    before = layout.list_all_sealed(root)
    events = [event for event in Capture(root).events() if event.seq >= 300]
    gone = expire(root, max_bytes=oldest(root, 3), now_ns=NOW)
    assert [item.segment for item in gone] == [0, 1, 2]
    assert sorted(map(str, layout.list_all_sealed(root))) == sorted(map(str, before))
    check(root, frames[300:])
    assert list(Capture(root).events()) == events
    assert Capture(root).info().expired == Expired(3, 300, sum(item.bytes for item in gone), 299)
    assert expire(root, max_bytes=10**9, now_ns=LATER) == []
    assert sorted(name.segment for name in layout.list_all_sealed(root)) == [3, 4, 5, 6, 7]
    assert layout.list_checkpoints(root) == [3, 4, 5, 6, 7, 8]
    check(root, frames[300:])
    mark = read_mark(root)
    assert mark is not None
    assert mark.waiting == []
    assert expire(root, max_bytes=10**9, now_ns=LATER) == []
    assert read_mark(root) == mark


def test_by_age(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    now = frames[250].ts_recv + 2 * NS_PER_DAY
    gone = expire(root, days=2, now_ns=now, grace_s=0)
    assert [item.segment for item in gone] == [0, 1]
    check(root, frames[200:])
    assert expire(root, days=2, now_ns=now, grace_s=0) == []


def stamped(root: Path, stamps: list[tuple[int, int, bool]]) -> Path:
    """Build segments of ten frames: wall clock (s), monotonic clock (s), a recorder starts."""
    frames = []
    for wall, mono, is_start in stamps:
        for n in range(10):
            kind = Kind.RUN if is_start and not n else Kind.TEXT
            connection, payload = (-1, b"{}") if kind is Kind.RUN else (0, b"pong")
            ts_recv = START + wall * NS_PER_SECOND + n
            ts_mono = mono * NS_PER_SECOND + n
            frames.append(Frame(len(frames), ts_recv, ts_mono, connection, kind, payload))
    with CaptureWriter(root, options=WriterOptions(segment_seconds=30)) as writer:
        writer.write(frames)
    assert len(layout.list_sealed(root)) == len(stamps)
    return root


DAY_S = 86_400
YEAR_S = 365 * DAY_S


@pytest.mark.parametrize(
    ("stamps", "goes"),
    [
        # The clock of the machine is set a year ahead while it records.
        ([(n * 60 + (YEAR_S if n > 4 else 0), n * 60, n == 0) for n in range(8)], 0),
        # … and between two runs: nobody knows, so no more than a day is believed.
        ([(n * 60 + (YEAR_S if n > 4 else 0), n * 60, n in (0, 5)) for n in range(8)], 0),
        # Days of data, in one run and in several, with another boot in between.
        ([(n * DAY_S, n * DAY_S, n == 0) for n in range(8)], 5),
        ([(n * DAY_S, n % 3 * DAY_S, n % 3 == 0) for n in range(8)], 5),
    ],
)
def test_a_wrong_clock_does_not_let_everything_go(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stamps: list[tuple[int, int, bool]],
    goes: int,
) -> None:
    monkeypatch.setattr(retention, "FEW", 0)
    root = stamped(tmp_path / "c", stamps)
    now = START + (stamps[-1][0] + 60) * NS_PER_SECOND
    days = 2 + 3600 / DAY_S
    assert len(expire(root, days=days, now_ns=now, grace_s=0)) == goes
    later = now + YEAR_S * NS_PER_SECOND  # the clock jumps before the next frame is there
    assert expire(root, days=days, now_ns=later, grace_s=0) == []


def test_the_last_segment_stays(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    assert len(expire(root, max_bytes=0, now_ns=NOW, grace_s=0)) == 7
    check(root, frames[700:])
    assert expire_oldest(root, 10**9, now_ns=NOW) == []


def test_seeking_begins_with_the_checkpoint_that_was_kept(
    capture: tuple[Path, list[Frame]],
) -> None:
    root, _ = capture
    states = {seq: Capture(root).interpreter_before(seq).save() for seq in (300, 333, 700)}
    expire(root, max_bytes=oldest(root, 3), now_ns=NOW, grace_s=0)
    reader = Capture(root)
    for seq, state in states.items():
        assert reader.interpreter_before(seq).save() == state
    assert reader.interpreter_before(0).save() == states[300]
    assert [frame.seq for frame in reader.frames(first_seq=10, last_seq=301)] == [300, 301]


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_no_segment_goes_whose_successor_has_no_checkpoint(
    capture: tuple[Path, list[Frame]], how: str
) -> None:
    root, _ = capture
    checkpoint = layout.checkpoint_path(root, 2)
    if how == "missing":
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(checkpoint.read_bytes()[:-3] + b"xyz")
    assert [item.segment for item in expire(root, max_bytes=oldest_of(root, 2), now_ns=NOW)] == [0]
    assert [item.segment for item in expire_oldest(root, 1, now_ns=NOW)] == []  # 0 waited: enough
    gone = expire_oldest(root, 1, now_ns=NOW)
    assert [item.segment for item in gone] == [1, 2]  # both, for 3 can start


def oldest_of(root: Path, count: int) -> int:
    """Like `oldest`, also where a checkpoint is missing."""
    sealed = Capture(root).snapshot().sealed
    total = sum((root / source.path).stat().st_size for source in sealed)
    total += sum(path.stat().st_size for path in (root / "checkpoints").iterdir())
    for source in sealed[:count]:
        total -= (root / source.path).stat().st_size
        checkpoint = layout.checkpoint_path(root, source.segment)
        total -= checkpoint.stat().st_size if checkpoint.exists() else 0
    return total


def test_a_damaged_segment_and_all_behind_it_stay(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    victim = root / Capture(root).snapshot().sealed[2].path
    content = bytearray(victim.read_bytes())
    content[len(content) // 3] ^= 4
    victim.write_bytes(content)
    assert [item.segment for item in expire(root, max_bytes=0, now_ns=NOW, grace_s=0)] == [0, 1]
    assert expire_oldest(root, 10**9, now_ns=NOW) == []
    assert victim.exists()


def test_a_segment_behind_a_hole_stays(capture: tuple[Path, list[Frame]]) -> None:
    root, _ = capture
    (root / Capture(root).snapshot().sealed[2].path).unlink()
    assert [item.segment for item in expire(root, max_bytes=0, now_ns=NOW, grace_s=0)] == [0]
    assert [p.first_seq for p in Capture(root).info().problems] == [200]


def test_a_file_that_is_read_stays_until_it_is_closed(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    sealed = Capture(root).snapshot().sealed
    held = SegmentReader(root, sealed[1].path, 1)
    expire(root, max_bytes=oldest(root, 3), now_ns=NOW, grace_s=0)
    assert [(root / source.path).exists() for source in sealed[:4]] == [False, True, False, True]
    assert layout.list_checkpoints(root)[0] == 1  # what is left can still be started from
    check(root, frames[300:])
    held.close()
    assert expire(root, now_ns=NOW, grace_s=0) == []
    assert not (root / sealed[1].path).exists()
    assert layout.list_checkpoints(root)[0] == 3


def test_a_full_disk_takes_no_grace_and_the_next_one_where_one_is_held(
    capture: tuple[Path, list[Frame]],
) -> None:
    root, frames = capture
    sealed = Capture(root).snapshot().sealed
    sizes = [(root / source.path).stat().st_size for source in sealed]
    held = SegmentReader(root, sealed[0].path, 0)
    gone = expire_oldest(root, sizes[1], now_ns=NOW)
    assert [item.segment for item in gone] == [0, 1]
    assert [(root / source.path).exists() for source in sealed[:3]] == [True, False, True]
    held.close()
    check(root, frames[200:])
    assert expire_oldest(root, 1, now_ns=NOW) == []  # the one that was held is enough
    assert not (root / sealed[0].path).exists()


def test_retention_waits_for_the_next_files_of_a_slow_reader_and_no_others(
    capture: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "AHEAD", 5)
    root, frames = capture
    reading = Capture(root).frames()
    assert next(reading) == frames[0]  # the block before it is read already
    expire(root, max_bytes=0, now_ns=NOW, grace_s=0)
    left = [name.segment for name in layout.list_all_sealed(root)]
    assert set(left) >= {2, 3, 4, 5, 7}
    assert 6 not in left
    assert next(Capture(root).frames()) == frames[700]
    assert [next(reading) for _ in range(499)] == frames[1:500]
    del reading
    expire(root, max_bytes=0, now_ns=NOW, grace_s=0)
    assert [name.segment for name in layout.list_all_sealed(root)] == [7]


def test_a_hold_lapses_where_nobody_reads_on(
    capture: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lapsed = threading.Event()
    monkeypatch.setattr(hold, "LAPSE_S", 0.01)
    let_go = hold.Hold._let_go

    def noting(self: hold.Hold) -> None:
        let_go(self)
        lapsed.set()

    monkeypatch.setattr(hold.Hold, "_let_go", noting)
    root, frames = capture
    reading = Capture(root).frames()
    assert next(reading) == frames[0]
    assert lapsed.wait(60)
    assert hold.remove_unheld(root, layout.list_sealed(root)[4].path)


def test_a_full_disk_goes_before_what_is_still_to_be_read(
    capture: tuple[Path, list[Frame]],
) -> None:
    root, frames = capture
    report = ReadReport()
    reading = Capture(root).frames(report=report)
    assert next(reading) == frames[0]
    assert len(expire_oldest(root, 1, now_ns=NOW)) < 4  # only what is open is in the way
    assert len(list(reading)) > 600


def test_a_reader_in_another_process_is_waited_for(
    capture: tuple[Path, list[Frame]], repository: Path
) -> None:
    """It reads a frame, waits longer than any grace, and reads on without a hole."""
    root, frames = capture
    program = (
        "import sys; from recorder.capture.reader import Capture\n"
        "reading = Capture(sys.argv[1]).frames(); seen = [next(reading).seq]\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "seen += [frame.seq for frame in reading]; print(seen == list(range(800)))"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=repository,
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        assert len(expire(root, max_bytes=0, now_ns=NOW, grace_s=0)) == 7
        assert next(Capture(root).frames()) == frames[700]
        said, _ = reader.communicate("go\n", timeout=120)
        assert said == "True\n"
    finally:
        reader.kill()
        reader.wait(60)
    expire(root, max_bytes=0, now_ns=NOW, grace_s=0)
    assert len(layout.list_all_sealed(root)) == 1


def test_a_reader_that_is_overtaken_is_told(
    capture: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "AHEAD", 1)
    root, frames = capture
    report = ReadReport()
    slow = Capture(root).batches(report=report)
    strict = Capture(root).frames()
    assert next(strict) == frames[0]
    seen = list(next(slow).seq)
    expire(root, max_bytes=oldest(root, 6), now_ns=NOW, grace_s=0)
    for batch in slow:
        seen += batch.seq
    (problem,) = report.problems
    assert problem.cause == "expired while it was read"
    assert problem.first_seq is not None
    assert problem.last_seq == 599
    assert seen == [*range(problem.first_seq), *range(600, 800)]
    with pytest.raises(Damage, match="retention let them go"):
        list(strict)


def test_events_go_on_right_where_a_reader_was_overtaken(
    capture: tuple[Path, list[Frame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "AHEAD", 1)
    root, _ = capture
    whole = list(Capture(root).events())
    report = ReadReport()
    events = Capture(root).events(report=report)
    seen = [next(events)]
    expire(root, max_bytes=oldest(root, 6), now_ns=NOW, grace_s=0)
    seen += events
    (problem,) = report.problems
    first = problem.first_seq or 0
    assert seen == [event for event in whole if event.seq < first or event.seq >= 600]


def test_without_a_whole_mark_the_beginning_is_damage(capture: tuple[Path, list[Frame]]) -> None:
    root, frames = capture
    expire(root, max_bytes=oldest(root, 3), now_ns=NOW, grace_s=0)
    file = root / layout.EXPIRED_FILE
    content, mark = file.read_bytes(), read_mark(root)
    refused = 0
    for bit in range(0, 8 * len(content), 13):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert read_mark(root) in (None, mark)
        refused += read_mark(root) is None
    assert refused > len(content) // 3  # the others are in what separates the values
    file.unlink()
    (problem,) = verify(root).problems
    assert (problem.cause, problem.first_seq, problem.last_seq) == ("numbers missing", 0, 299)
    assert [p.first_seq for p in Capture(root).info().problems] == [0]
    assert expire(root, max_bytes=0, now_ns=NOW, grace_s=0) == []
    file.write_bytes(content)
    check(root, frames[300:])


def test_a_recorder_goes_on_behind_what_expired(
    capture: tuple[Path, list[Frame]], make_frames: Any
) -> None:
    root, _ = capture
    expire(root, max_bytes=oldest(root, 3), now_ns=NOW, grace_s=0)
    report = recover(root)
    assert (report.next_numbers, report.problems) == ((8, 800, 2), [])


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable[[], int]]:
    """`kill_at(k)` ends the process before its k-th change of the disk from now on."""

    def arm(k: int) -> Callable[[], int]:
        count = 0

        def wrap(owner: Any, name: str) -> None:
            whole = getattr(owner, name)

            def counted(*args: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == k:
                    raise Killed
                return whole(*args, **options)

            monkeypatch.setattr(owner, name, counted)

        import os

        for name in ("replace", "fsync"):
            wrap(os, name)
        for name in ("unlink", "rename", "rmdir"):
            wrap(Path, name)
        return lambda: count

    return arm


def steps() -> Iterator[int]:
    return iter(range(1, 60))


def test_killed_at_any_step_it_is_whole_and_the_next_run_ends_it(
    tmp_path: Path, make_frames: Any, build: Any, kill_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    frames = make_frames(400)
    build(tmp_path / "c", frames)
    limit = oldest(tmp_path / "c", 2)
    for k in steps():
        root = tmp_path / f"c{k}"
        shutil.copytree(tmp_path / "c", root)
        with monkeypatch.context():
            kill_at(k)
            try:
                expire(root, max_bytes=limit, now_ns=NOW, grace_s=0)
                was_killed = False
            except Killed:
                was_killed = True
        monkeypatch.undo()
        report = ReadReport()
        found = list(Capture(root).frames(report=report))
        assert report.problems == []
        assert found in (frames, frames[200:])
        expire(root, max_bytes=limit, now_ns=NOW, grace_s=0)
        check(root, frames[200:])
        assert len(layout.list_all_sealed(root)) == 2
        assert layout.list_checkpoints(root) == [2, 3, 4]
        if not was_killed:
            break
    assert k > 6
