"""Goal: several captures are one stream, in the order of receive time by the stated rule.

Method: the rule as one line of Python over all frames at once, beside the merger in pieces.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from invented_session import START, Invented, S, write_capture

from recorder.errors import NotACapture, UsageError
from recorder.event import Event, encode_event
from recorder.frame import Frame, Kind
from replay.context import PlayContext
from replay.controls import Controls
from replay.merged import Merger
from replay.player import play


def pieces(frames: list[Frame], rng: random.Random) -> Iterator[list[Frame]]:
    at = 0
    while at < len(frames):
        size = rng.choice((0, 1, 2, 7, 50))
        yield frames[at : at + size]
        at += size


def by_the_rule(sources: list[list[Frame]]) -> list[tuple[int, int]]:
    """(rank, seq) in the common order: take the least of (ts_recv, rank) of what comes next."""
    at = [0] * len(sources)
    order = []
    while any(i < len(frames) for i, frames in zip(at, sources, strict=True)):
        _, rank = min(
            (frames[at[rank]].ts_recv, rank)
            for rank, frames in enumerate(sources)
            if at[rank] < len(frames)
        )
        order.append((rank, sources[rank][at[rank]].seq))
        at[rank] += 1
    return order


@pytest.mark.parametrize("seed", range(60))
def test_the_order_is_that_of_the_rule_however_it_comes_in_pieces(seed: int) -> None:
    rng = random.Random(seed)
    sources = []
    for _ in range(rng.choice((1, 2, 3, 5))):
        time, frames = 1_000, []
        for seq in range(rng.choice((0, 1, 30, 200))):
            # Equal stamps, and a wall clock that steps back now and then.
            time += rng.choice((0, 0, 1, 1, 2, 40, -25 if seed % 2 else 0))
            frames.append(Frame(seq, time, seq, 0, Kind.TEXT, b""))
        sources.append(frames)
    merger = Merger([pieces(frames, rng) for frames in sources])
    got: list[tuple[int, int]] = []
    for part in merger.parts():
        got += zip(part.ranks, [frame.seq for frame in part.frames], strict=True)
    assert got == by_the_rule(sources)
    latest = [[max(f.ts_recv for f in fs[: i + 1]) for i in range(len(fs))] for fs in sources]
    assert merger.inversions == [
        sum(f.ts_recv < top for f, top in zip(fs, tops, strict=True))
        for fs, tops in zip(sources, latest, strict=True)
    ]


class Keeps:
    """Keeps every event with its source and the clock."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes, int]] = []

    def on_event(self, event: Event, context: PlayContext) -> None:
        self.seen.append((context.source, encode_event(event), context.clock.now()))

    def of(self, source: int) -> list[bytes]:
        return [event for rank, event, _ in self.seen if rank == source]


@pytest.fixture(scope="module")
def sessions() -> list[list[Frame]]:
    """Three recordings of the same time with the same instruments; connections are alike, too."""
    return [Invented(400, seed=seed, start=START + seed * S // 3).frames for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def paths(sessions: list[list[Frame]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("captures")
    return [
        write_capture(folder / str(rank), frames, segment_seconds=2)
        for rank, frames in enumerate(sessions)
    ]


def test_each_source_has_its_own_events_books_and_digests(
    paths: list[Path], sessions: list[list[Frame]]
) -> None:
    alone = [Keeps() for _ in paths]
    singles = [play(path, keeps, digest=True) for path, keeps in zip(paths, alone, strict=True)]
    together = Keeps()
    report = play(paths, together, digest=True)
    for rank, (keeps, single) in enumerate(zip(alone, singles, strict=True)):
        assert together.of(rank) == keeps.of(0)
        source = report.sources[rank]
        assert source.capture == str(paths[rank])
        assert (source.frames, source.events) == (single.frames, single.events)
        assert (source.input_digest, source.output_digest) == (
            single.input_digest, single.output_digest,
        )  # fmt: skip
    assert report.frames == sum(map(len, sessions))
    clocks = [now for _, _, now in together.seen]
    assert clocks == sorted(clocks)
    order = by_the_rule(sessions)
    seen = [(rank, msgspec.json.decode(event)["seq"]) for rank, event, _ in together.seen]
    assert list(dict.fromkeys(seen)) == [place for place in order if place in dict.fromkeys(seen)]


def test_the_digest_is_of_the_order_too_and_equal_at_every_speed(paths: list[Path]) -> None:
    digests = [
        (report.input_digest, report.output_digest)
        for report in (
            play(paths, digest=True),
            play(paths, digest=True, speed=1_000),
            play(paths, digest=True, controls=Controls()),
            play(paths, digest=True, loop=2),
        )
    ]
    assert len(dict.fromkeys(digests)) == 1
    other = play(paths[::-1], digest=True)
    assert (other.input_digest, other.output_digest) not in digests
    fast, slow = Keeps(), Keeps()
    play(paths, fast)
    play(paths, slow, speed=1_000, controls=Controls())
    assert fast.seen == slow.seen


def test_windows_filters_and_seeks_apply_to_every_source(paths: list[Path]) -> None:
    start, end = START + 3 * S, START + 9 * S
    options: dict[str, Any] = {"start": start, "end": end, "channels": ["books", "trades"]}
    alone = [Keeps() for _ in paths]
    for path, keeps in zip(paths, alone, strict=True):
        play(path, keeps, **options)
    together = Keeps()
    report = play(paths, together, **options)
    assert [together.of(rank) for rank in range(3)] == [keeps.of(0) for keeps in alone]
    controls = Controls()

    class Again(Keeps):
        def on_event(self, event: Event, context: PlayContext) -> None:
            if context.restarts == 0 and len(self.seen) == 40:
                controls.seek(START)
            super().on_event(event, context)
            self.restarts = context.restarts

    again = Again()
    sought = play(paths, again, **options, controls=controls, digest=True)
    assert again.restarts == 1
    assert sought.output_digest == play(paths, **options, digest=True).output_digest
    assert report.frames < sought.frames


def test_of_a_book_that_several_hold_the_first_whole_one_is_given(paths: list[Path]) -> None:
    shown = []

    def strategy(event: Event, context: PlayContext) -> None:
        candidates = [books.get("BTC-USDT", "books") for books in context.books_of]
        whole = [book for book in candidates if book is not None and book.is_whole]
        given = context.books.get("BTC-USDT", "books")
        if whole:
            assert given is whole[0]
        assert len(context.books) == sum(len(books) for books in context.books_of)
        assert all(book in list(context.books) for book in candidates if book is not None)
        shown.append(len(whole))

    play(paths, strategy)
    assert max(shown) >= 2


def test_sources_that_are_empty_or_begin_later_are_no_obstacle(
    tmp_path: Path, paths: list[Path], sessions: list[list[Frame]]
) -> None:
    empty = write_capture(tmp_path / "empty", [])
    later = write_capture(tmp_path / "later", Invented(50, seed=9, start=START + 900 * S).frames)
    report = play([empty, paths[0], later], digest=True)
    assert [source.frames for source in report.sources] == [
        0, len(sessions[0]), play(later).frames,
    ]  # fmt: skip
    assert play([empty, empty]).frames == 0


def test_what_cannot_be_is_refused(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 to 256"):
        play([])
    with pytest.raises(UsageError, match="follow once"):
        play(paths[0], follow=True, loop=2)
    with pytest.raises(NotACapture):
        play([paths[0], tmp_path / "nothing"])


def stamped(*times: int) -> list[Frame]:
    return [Frame(seq, time, time, 0, Kind.TEXT, b"") for seq, time in enumerate(times)]


class Followed:
    """Sources that give what a test says they have by now, and a clock that it moves."""

    def __init__(self, count: int, patience: int) -> None:
        self.fresh: list[list[Frame]] = [[] for _ in range(count)]
        self.ended = [False] * count
        self.now = 0
        self.merger = Merger(
            [self._source(rank) for rank in range(count)],
            clock=lambda: self.now,
            patience=patience,
        )
        self._parts = self.merger.parts()

    def _source(self, rank: int) -> Iterator[list[Frame]]:
        while self.fresh[rank] or not self.ended[rank]:
            fresh, self.fresh[rank] = self.fresh[rank], []
            yield fresh

    def look(self) -> list[tuple[int, int]] | None:
        """(rank, ts_recv) of what is given now; None at the end."""
        given: list[tuple[int, int]] = []
        for part in self._parts:
            if not part.frames:
                return given
            given += [(r, f.ts_recv) for r, f in zip(part.ranks, part.frames, strict=True)]
        return given or None


def test_a_frame_waits_for_a_silent_source_but_not_for_ever() -> None:
    followed = Followed(2, patience=100)
    followed.fresh = [stamped(10, 20, 30), []]
    assert followed.look() == []
    followed.now = 99
    assert followed.look() == []
    followed.now = 100
    assert followed.look() == [(0, 10), (0, 20), (0, 30)]
    assert followed.merger.late == [0, 0]


def test_what_a_source_has_given_later_says_that_nothing_earlier_comes() -> None:
    followed = Followed(3, patience=100)
    followed.fresh = [stamped(10, 20, 40), stamped(30), stamped(25)]
    # Source 2 may still give 25 or later; of rank 0 what comes before that is certain at once.
    assert followed.look() == [(0, 10), (0, 20), (2, 25)]
    followed.fresh[2] = stamped(26, 35)
    assert followed.look() == [(2, 26), (1, 30)]
    followed.ended[1] = True
    followed.fresh[0] = stamped(50)
    assert followed.look() == [(2, 35)]
    followed.ended[2] = True
    assert followed.look() == [(0, 40), (0, 50)]
    followed.ended[0] = True
    assert followed.look() is None


def test_of_equal_times_the_lower_rank_is_waited_for() -> None:
    followed = Followed(2, patience=100)
    followed.fresh = [stamped(10), stamped(10)]
    assert followed.look() == [(0, 10)]  # rank 0 may give another one of this time
    followed.fresh[0] = stamped(10, 11)
    assert followed.look() == [(0, 10), (1, 10)]


def test_what_comes_too_late_comes_next_and_is_counted() -> None:
    followed = Followed(2, patience=100)
    followed.fresh = [stamped(10, 30), []]
    assert followed.look() == []
    followed.now = 100
    assert followed.look() == [(0, 10), (0, 30)]
    followed.fresh = [stamped(40), stamped(20, 29, 30, 50)]
    assert followed.look() == [(1, 20), (1, 29), (1, 30), (0, 40)]
    assert followed.merger.late == [0, 2]


def test_one_that_ends_holds_nobody_up() -> None:
    followed = Followed(2, patience=10**9)
    followed.fresh = [stamped(10, 20), stamped(15)]
    followed.ended[1] = True
    assert followed.look() == [(0, 10), (1, 15), (0, 20)]


@pytest.mark.parametrize("seed", range(20))
def test_followed_in_time_it_is_the_order_of_the_rule(seed: int) -> None:
    """However little comes at once, while nobody is silent for longer than the others wait."""
    rng = random.Random(seed)
    sources = [
        stamped(*sorted(rng.randrange(500) for _ in range(rng.choice((1, 5, 60)))))
        for _ in range(rng.choice((2, 3)))
    ]
    followed = Followed(len(sources), patience=10**9)
    left = [list(frames) for frames in sources]
    given: list[tuple[int, int]] = []
    while any(left):
        for rank, frames in enumerate(left):
            size = rng.randrange(4)
            followed.fresh[rank] += frames[:size]
            left[rank] = frames[size:]
            followed.ended[rank] = not left[rank]
        given += followed.look() or []
    while (last := followed.look()) is not None:
        given += last
    expected = [(rank, sources[rank][seq].ts_recv) for rank, seq in by_the_rule(sources)]
    assert given == expected
    assert not any(followed.merger.late)
