"""Reading: every form on disk gives the same frames, filters equal a naive filter."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from recorder.capture import layout
from recorder.capture.batch import index_of
from recorder.capture.layout import locked
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading import serve as serve_module
from recorder.capture.recover import recover
from recorder.capture.sealing.seal import Sealer
from recorder.capture.snapshot import JournalSource
from recorder.capture.verify import verify
from recorder.errors import Damage, NotACapture, UsageError
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter


def naive(frames: list[Frame], **wanted: Any) -> list[Frame]:
    """The filters as a reader of the documentation would write them."""
    start, end = wanted.pop("start", None), wanted.pop("end", None)
    if start is not None:
        first = next((i for i, f in enumerate(frames) if f.ts_recv >= start), len(frames))
        frames = frames[first:]
    if end is not None:
        stop = next((i for i, f in enumerate(frames) if f.ts_recv >= end), len(frames))
        frames = frames[:stop]
    kept = []
    for f in frames:
        channel, instrument = index_of(f.kind, f.payload)
        values = {
            "channels": channel,
            "instruments": instrument,
            "connections": f.connection,
            "kinds": f.kind,
        }
        if all(values[name] in allowed for name, allowed in wanted.items()):
            kept.append(f)
    return kept


@pytest.mark.parametrize("sealed", [0, 1, 3, None])
def test_round_trip_in_every_form(
    tmp_path: Path, make_frames: Any, build: Any, sealed: int | None
) -> None:
    frames = make_frames(500)
    segments = build(tmp_path / "c", frames, sealed=sealed)
    assert len(segments) == 5
    capture = Capture(tmp_path / "c")
    assert list(capture.frames()) == frames
    assert len(capture.snapshot().sealed) == (5 if sealed is None else sealed)


def test_compressed_journal(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=0, compress=True)
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_large_payload(tmp_path: Path, build: Any) -> None:
    payload = bytes(range(256)) * 40_000  # 10 MB
    frames = [Frame(0, 1, 1, 0, Kind.BINARY, payload), Frame(1, 2, 2, 0, Kind.TEXT, b"after")]
    build(tmp_path / "j", frames, sealed=0)
    build(tmp_path / "s", frames)
    for name in ("j", "s"):
        assert list(Capture(tmp_path / name).frames()) == frames


@pytest.mark.parametrize(
    "wanted",
    [
        {"channels": {"trades"}},
        {"channels": {"trades", "books"}, "instruments": {"ETH-USDT"}},
        {"channels": {"nothing"}},
        {"instruments": {"BTC-USDT", "SOL-USDT-SWAP"}},
        {"connections": {-1, 1}},
        {"kinds": {Kind.BINARY, Kind.SENT, Kind.RUN}},
        {"kinds": {Kind.TEXT}, "channels": {"books"}, "connections": {0}},
        {"kinds": set()},
    ],
    ids=lambda wanted: ", ".join(f"{key}={sorted(wanted[key])}" for key in wanted),
)
def test_filters_equal_a_naive_filter(
    tmp_path: Path, make_frames: Any, build: Any, wanted: dict[str, Any]
) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames, sealed=2)
    assert list(Capture(tmp_path / "c").frames(**wanted)) == naive(frames, **wanted)


def test_a_name_too_long_for_statistics_is_found(tmp_path: Path, build: Any) -> None:
    """Parquet keeps no bounds for such values; that is no proof of their absence."""
    payload = b'{"arg":{"channel":"%s","instId":"X"},"data":[]}' % (b"c" * 5000)
    frames = [Frame(i, 10**18 + i, i, 0, Kind.TEXT, payload) for i in range(3)]
    build(tmp_path / "c", frames)
    capture = Capture(tmp_path / "c")
    assert list(capture.frames(channels=["c" * 5000])) == frames
    assert list(capture.frames(channels=["d"])) == []


def test_windows_equal_a_naive_window(tmp_path: Path, build: Any) -> None:
    # A wall clock that steps back: the window is one interval of seq, not of time.
    times = [100, 200, 300, 250, 260, 400, 390, 500, 450, 600]
    base = 1_763_769_600_000_000_000
    frames = [
        Frame(i, base + t * 10**6, i * 10**6, 0, Kind.TEXT, b"%d" % t) for i, t in enumerate(times)
    ]
    for name, sealed in (("j", 0), ("m", 2), ("s", None)):
        build(tmp_path / name, frames, segment_ns=3 * 10**6, sealed=sealed)
        capture = Capture(tmp_path / name)
        for low in (None, 0, 100, 255, 260, 395, 600, 601):
            for high in (None, 0, 101, 255, 300, 450, 700):
                start = None if low is None else base + low * 10**6
                end = None if high is None else base + high * 10**6
                if start is not None and end is not None and start > end:
                    continue
                found = list(capture.frames(start=start, end=end))
                assert found == naive(frames, start=start, end=end), (name, low, high)


def test_seq_bounds_are_inclusive(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames, sealed=2)
    capture = Capture(tmp_path / "c")
    for first, last in ((0, 0), (99, 100), (150, 320), (399, 999), (400, 500), (7, 6)):
        assert list(capture.frames(first_seq=first, last_seq=last)) == frames[first : last + 1]


def test_batches_hold_index_columns(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(300)
    expected = [index_of(f.kind, f.payload) for f in frames]
    for name, sealed in (("j", 0), ("s", None)):
        build(tmp_path / name, frames, sealed=sealed)
        found = [
            pair
            for batch in Capture(tmp_path / name).batches()
            for pair in zip(batch.channel, batch.instrument, strict=True)
        ]
        assert found == expected


def test_start_after_end_is_a_usage_error(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "c", make_frames(20))
    with pytest.raises(UsageError, match="start before the end"):
        Capture(tmp_path / "c").frames(start=2, end=1).__next__()


def test_a_directory_that_is_no_capture(tmp_path: Path) -> None:
    with pytest.raises(NotACapture, match=r"capture\.json"):
        Capture(tmp_path)
    with pytest.raises(NotACapture, match="found nothing"):
        Capture(tmp_path / "absent")


def test_events_start_right_in_the_middle(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(500)
    build(tmp_path / "c", frames, sealed=3)
    interpreter = Interpreter()
    expected = [event for frame in frames for event in interpreter.step(frame)]
    capture = Capture(tmp_path / "c")
    assert list(capture.events()) == expected
    for first in (0, 137, 250, 431):
        found = list(capture.events(first_seq=first))
        assert found == [event for event in expected if event.seq >= first]
    trades = [f.seq for f in naive(frames, channels={"trades"})]
    found = list(capture.events(channels=["trades"]))
    assert found == [event for event in expected if event.seq in trades]


def test_interpreter_before_equals_a_replay(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames, sealed=2)
    for seq in (0, 1, 100, 155, 399, 400):
        replayed = Interpreter()
        for frame in frames[:seq]:
            replayed.step(frame)
        assert Capture(tmp_path / "c").interpreter_before(seq).save() == replayed.save()


def test_a_missing_checkpoint_is_replaced_by_replaying(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames)
    capture = Capture(tmp_path / "c")
    expected = capture.interpreter_before(390).save()
    (tmp_path / "c/checkpoints/000003.zst").write_bytes(b"garbage")
    (tmp_path / "c/checkpoints/000002.zst").unlink()
    assert capture.interpreter_before(390).save() == expected


def test_sealing_while_reading_serves_every_frame_once(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    """Each journal vanishes between the listing and the reading of it."""
    frames = make_frames(600)
    segments = build(tmp_path / "c", frames, sealed=0, segment_ns=5 * 10**8)
    capture = Capture(tmp_path / "c")
    sealer = Sealer(tmp_path / "c")
    found: list[Frame] = []
    for batch in capture.batches():
        found += batch.frames()
        if segments:
            sealer.seal(segments.pop(0))
            if segments:
                sealer.seal(segments.pop(0))
    assert found == frames


def test_a_filter_that_finds_nothing_survives_sealing(
    tmp_path: Path, make_frames: Any, build: Any, monkeypatch: Any
) -> None:
    """Every journal but the last is sealed just before it is opened; nothing is ever yielded."""
    frames = make_frames(600)
    segments = build(tmp_path / "c", frames, sealed=0)
    sealer = Sealer(tmp_path / "c")
    opened = serve_module.JournalFile

    def seal_first(root: Path, segment: int, **rest: Any) -> Any:
        if segment in segments[:-1]:
            sealer.seal(segment)
        return opened(root, segment, **rest)

    monkeypatch.setattr(serve_module, "JournalFile", seal_first)
    assert list(Capture(tmp_path / "c").frames(channels=["nothing"])) == []
    assert len(Capture(tmp_path / "c").snapshot().sealed) == len(segments) - 1


def test_a_filter_does_not_hide_that_frames_are_lost(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(150)
    lost = Frame(150, frames[-1].ts_recv, frames[-1].ts_mono, -1, Kind.LOST, b'{"cause":"x"}')
    for name, sealed in (("j", 0), ("s", None)):
        build(tmp_path / name, [*frames, lost], sealed=sealed)
        report = ReadReport()
        found = list(Capture(tmp_path / name).frames(channels=["trades"], report=report))
        assert found == naive(frames, channels={"trades"})
        assert (report.lost_rows, report.exit_code) == (1, 3)


def test_reading_beside_a_sealer_thread(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(800)
    segments = build(tmp_path / "c", frames, sealed=0, segment_ns=5 * 10**8)
    failures: list[BaseException] = []

    def seal_all() -> None:
        try:
            sealer = Sealer(tmp_path / "c")
            for segment in segments:
                sealer.seal(segment)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    thread = threading.Thread(target=seal_all)
    thread.start()
    rounds = 0
    while thread.is_alive() or rounds == 0:
        assert list(Capture(tmp_path / "c").frames()) == frames
        rounds += 1
    thread.join()
    assert not failures
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_a_damaged_page_is_passed_over_with_a_report(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(500)
    build(tmp_path / "c", frames)
    capture = Capture(tmp_path / "c")
    victim = capture.snapshot().sealed[2]
    path = tmp_path / "c" / victim.path
    data = bytearray(path.read_bytes())
    data[40] ^= 0x10
    path.write_bytes(bytes(data))
    report = ReadReport()
    found = list(capture.frames(report=report))
    lost = range(victim.first_seq, victim.last_seq + 1)
    assert found == [f for f in frames if f.seq not in lost]
    (problem,) = report.problems
    assert (problem.file, problem.segment) == (victim.path, 2)
    assert (problem.first_seq, problem.last_seq) == (victim.first_seq, victim.last_seq)
    assert report.exit_code == 1
    with pytest.raises(Damage, match=victim.path):
        list(capture.frames())


def test_a_truncated_file_is_passed_over_with_a_report(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(500)
    build(tmp_path / "c", frames)
    capture = Capture(tmp_path / "c")
    victim = capture.snapshot().sealed[1]
    path = tmp_path / "c" / victim.path
    path.write_bytes(path.read_bytes()[:-100])
    report = ReadReport()
    found = list(capture.frames(report=report))
    assert found == [f for f in frames if not victim.first_seq <= f.seq <= victim.last_seq]
    assert [problem.file for problem in report.problems] == [victim.path]


def test_frames_before_a_missing_segment_come_before_the_damage(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames)
    capture = Capture(tmp_path / "c")
    (tmp_path / "c" / capture.snapshot().sealed[2].path).unlink()
    found = []

    def read() -> None:
        for frame in capture.frames():
            found.append(frame)  # noqa: PERF402  # what came before it raised is to be kept

    with pytest.raises(Damage, match="expected frame 200 before"):
        read()
    assert found == frames[:200]


@pytest.mark.parametrize("sealed", [0, 1])
def test_a_missing_journal_is_told(
    tmp_path: Path, make_frames: Any, build: Any, sealed: int
) -> None:
    frames = make_frames(400)
    build(tmp_path / "c", frames, sealed=sealed)
    (tmp_path / "c/journal/000001.wal").unlink()
    report = ReadReport()
    found = list(Capture(tmp_path / "c").frames(report=report))
    assert found == frames[:100] + frames[200:]
    (problem,) = report.problems
    assert (problem.first_seq, problem.last_seq) == (100, 199)
    assert problem in Capture(tmp_path / "c").info().problems
    recover(tmp_path / "c")  # a `lost` row explains the numbers now
    report = ReadReport()
    list(Capture(tmp_path / "c").frames(report=report))
    assert (report.problems, report.exit_code) == ([], 3)


def test_a_listing_that_missed_a_segment_is_made_again(
    tmp_path: Path, make_frames: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory is not listed in one instant: the later of two new files may be in it alone."""
    frames = make_frames(400)
    build(tmp_path / "c", frames)
    whole = layout.list_sealed
    listed = 0

    def without_the_third(root: Path) -> list[layout.SealedName]:
        nonlocal listed
        listed += 1
        names = whole(root)
        return names[:2] + names[3:] if listed == 1 else names

    monkeypatch.setattr(layout, "list_sealed", without_the_third)
    with locked(tmp_path / "c"):
        report = ReadReport()
        assert list(Capture(tmp_path / "c").frames(report=report)) == frames
        assert report.problems == []


def test_a_torn_tail_is_read_up_to_it(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(100)
    build(tmp_path / "c", frames, sealed=0, segment_ns=10**12, chunk=10)
    source = Capture(tmp_path / "c").snapshot().sources[0]
    assert isinstance(source, JournalSource)
    path = tmp_path / "c" / source.path
    data = path.read_bytes()
    marker = data.rfind(b"\xabBLK", 0, data.rfind(b"\xabBLK"))  # the last block of frames
    path.write_bytes(data[: marker + 50])
    report = ReadReport()
    assert list(Capture(tmp_path / "c").frames(report=report)) == frames[:90]
    assert (report.torn_tail, report.problems, report.exit_code) == (True, [], 3)
    assert list(Capture(tmp_path / "c").frames()) == frames[:90]


def test_a_trailer_that_is_being_written_is_no_damage(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    """At a roll the next journal has its header before the old one has its whole trailer."""
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=0)
    first, second, third = (
        tmp_path / "c" / s.path for s in Capture(tmp_path / "c").snapshot().journals
    )
    third.unlink()
    second.write_bytes(second.read_bytes()[:36])
    whole = first.read_bytes()
    trailer = whole.rfind(b"\xabBLK")
    for cut in (trailer, trailer + 5, trailer + 60, len(whole) - 1):
        first.write_bytes(whole[:cut])
        with locked(tmp_path / "c"):
            report = ReadReport()
            assert list(Capture(tmp_path / "c").frames(report=report)) == frames[:100]
            assert (report.torn_tail, report.problems) == (False, [])
            assert verify(tmp_path / "c").problems == []
        report = ReadReport()  # the recorder died in the middle of it
        assert list(Capture(tmp_path / "c").frames(report=report)) == frames[:100]
        assert report.problems == []
    second.write_bytes(second.read_bytes() + b"x")  # the recorder went on: now it is damage
    with locked(tmp_path / "c"), pytest.raises(Damage):
        list(Capture(tmp_path / "c").frames())


def test_memory_is_bounded_by_blocks_not_by_the_capture(tmp_path: Path, build: Any) -> None:
    """96 MB in segments of 4 MB: reading holds a few segments, not all of them."""
    rng = random.Random(3)
    payload = rng.randbytes(16_000)
    frames = [Frame(i, 10**18 + i, i, 0, Kind.BINARY, payload + b"%d" % i) for i in range(6_000)]
    build(tmp_path / "c", frames, segment_bytes=4 << 20, chunk=100)
    code = (
        "import resource, sys; from recorder.capture.reader import Capture; "
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "capture = Capture(sys.argv[1]); "
        "next(capture.batches(last_seq=5)); before = peak(); "
        "frames = sum(len(batch) for batch in capture.batches()); "
        "print(frames, peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    count, growth_kib = map(int, done.stdout.split())
    assert count == 6_000
    assert growth_kib < 48 * 1024


@pytest.mark.parametrize("read", [Capture.frames, Capture.events])
@pytest.mark.parametrize("option", ["channels", "instruments"])
def test_a_lone_name_is_no_list_of_letters(
    read: Any, option: str, tmp_path: Path, build: Any, make_frames: Any
) -> None:
    build(tmp_path / "c", make_frames(50))
    capture = Capture(tmp_path / "c")
    with pytest.raises(UsageError, match=rf"expected a list of {option}, received 'trades'"):
        list(read(capture, **{option: "trades"}))
