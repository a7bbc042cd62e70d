"""Segments end by data alone."""

from __future__ import annotations

from recorder.capture.journal import split_records
from recorder.capture.journal.roll import Roller
from recorder.clock import NS_PER_DAY
from recorder.frame import RECORD, Frame, Kind

SECOND = 10**9


def segments(
    frames: list[Frame], *, seconds: int = 60, size: int = 1 << 30, chunk: int = 3
) -> list[list[int]]:
    """Return the seqs of each segment when the frames arrive in chunks."""
    roller = Roller(segment_ns=seconds * SECOND, segment_bytes=size)
    found: list[list[int]] = [[]]
    for start in range(0, len(frames), chunk):
        for run in roller.cut(frames[start : start + chunk], lambda _: found.append([])):
            seqs = [frame.seq for frame in split_records(run.records)]
            assert (seqs[0], len(seqs)) == (run.first_seq, run.count)
            found[-1] += seqs
    return found


def at(seq: int, mono: int, recv: int | None = None, payload: bytes = b"") -> Frame:
    return Frame(seq, mono if recv is None else recv, mono, 0, Kind.TEXT, payload)


def test_by_time_on_the_monotonic_clock() -> None:
    monos = [0, 59 * SECOND, 60 * SECOND - 1, 60 * SECOND, 119 * SECOND, 500 * SECOND]
    frames = [at(i, mono, recv=5) for i, mono in enumerate(monos)]
    assert segments(frames) == [[0, 1, 2], [3, 4], [5]]


def test_where_the_monotonic_clock_falls_below_the_segments_start() -> None:
    monos = [900, 910, 905, 20, 25, 15, 16]
    frames = [at(i, mono * SECOND, recv=5) for i, mono in enumerate(monos)]
    assert segments(frames) == [[0, 1, 2], [3, 4], [5, 6]]
    for chunk in (1, 2, 7):
        assert segments(frames, chunk=chunk) == segments(frames)


def test_two_boots_given_to_one_writer_make_segments_of_the_usual_length() -> None:
    """Time had to catch up with the first boot's before a segment of the second one ended."""
    monos = [10_000, 10_030, *range(0, 200, 10)]
    frames = [at(i, mono * SECOND, recv=5) for i, mono in enumerate(monos)]
    assert [len(seqs) for seqs in segments(frames)] == [2, 6, 6, 6, 2]


def test_at_a_run_row_that_is_not_the_first() -> None:
    kinds = [Kind.RUN, Kind.TEXT, Kind.RUN, Kind.RUN, Kind.TEXT]
    frames = [Frame(i, i, i, -1, kind, b"{}") for i, kind in enumerate(kinds)]
    for chunk in (1, 3):
        assert segments(frames, chunk=chunk) == [[0, 1], [2], [3, 4]]


def test_by_size_of_records() -> None:
    frames = [at(i, i, payload=b"x" * (100 - RECORD.size)) for i in range(7)]
    assert segments(frames, size=250) == [[0, 1, 2], [3, 4, 5], [6]]


def test_at_utc_midnight() -> None:
    frames = [at(i, i, recv=3 * NS_PER_DAY + offset) for i, offset in enumerate((-2, -1, 0, 1))]
    assert segments(frames) == [[0, 1], [2, 3]]


def test_a_clock_that_steps_back_over_midnight_does_not_roll_again() -> None:
    offsets = (-1, 0, -5, 1, -1, 2)
    frames = [at(i, i, recv=NS_PER_DAY + offset) for i, offset in enumerate(offsets)]
    assert segments(frames) == [[0], [1, 2, 3, 4, 5]]


def test_arrival_in_other_chunks_gives_the_same_segments() -> None:
    frames = [at(i, i * SECOND * 7, payload=b"y" * (i * 37 % 90)) for i in range(200)]
    expected = segments(frames, size=900, chunk=1)
    assert len(expected) > 10
    for chunk in (2, 7, 200):
        assert segments(frames, size=900, chunk=chunk) == expected


def test_runs_end_at_digest_blocks() -> None:
    roller = Roller(segment_ns=SECOND, segment_bytes=1 << 30)
    frames = [at(65536 * 2 + i - 3, 0) for i in range(6)]
    runs = list(roller.cut(frames, lambda _: None))
    assert [(run.first_seq % 65536, run.count) for run in runs] == [(65533, 3), (0, 3)]
