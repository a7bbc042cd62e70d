"""At full speed books wait for a look: whoever looks sees what it would have seen anyway."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from invented_session import Invented, write_capture

from recorder.book import Book
from recorder.capture.reader import Capture
from recorder.event import Event
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Context
from replay import milestones
from replay.player import play


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    session = Invented(2_000, seed=11)
    return write_capture(tmp_path_factory.mktemp("c") / "c", session.frames, segment_seconds=5)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is watched, and every checkpoint is worth reading."""
    monkeypatch.setattr("recorder.book.book._WATCHED", 0)
    monkeypatch.setattr(milestones, "WORTH", 0)


def _shown(books: Any) -> list[tuple[Any, ...]]:
    return [
        (book.instrument, book.channel, book.connection, book.is_whole, book.seq, book.sides())
        for book in books
    ]


@pytest.mark.parametrize("every", [1, 7, 400])
def test_a_look_shows_the_book_of_the_moment(path: Path, every: int) -> None:
    expected: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    interpreter = Interpreter()
    chance, looks = random.Random(every), set()
    for frame in Capture(path).frames():
        for event in interpreter.step(frame):
            if chance.randrange(every) == 0:
                looks.add((event.seq, event.index))
                expected[event.seq, event.index] = _shown(interpreter.books)
    seen: dict[tuple[int, int], list[tuple[Any, ...]]] = {}

    def strategy(event: Event, context: Context) -> None:
        if (event.seq, event.index) in looks:
            seen[event.seq, event.index] = _shown(context.books)

    play(path, strategy)
    assert seen == expected


def test_books_rest_on_the_checkpoints_passed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rested: list[int] = []
    rest_on = Book.rest_on

    def note(self: Book, ground: Any) -> None:
        rested.append(self.seq)
        rest_on(self, ground)

    monkeypatch.setattr(Book, "rest_on", note)
    play(path)
    assert rested
    count = len(rested)
    play(path, speed="100000x")  # paced: no look may take a moment
    assert len(rested) == count


def test_merged_sources_rest_each_on_its_own(path: Path, tmp_path: Path) -> None:
    other = write_capture(tmp_path / "d", Invented(800, seed=5).frames, segment_seconds=3)
    shown: list[list[tuple[Any, ...]]] = []

    def strategy(event: Event, context: Any) -> None:
        if event.seq % 97 == 0:
            shown.append([_shown(books) for books in context.books_of])

    play([path, other], strategy)
    waited = list(shown)
    shown.clear()
    play([path, other], strategy, speed="1000000x")
    assert waited == shown
    assert len(waited) > 10


def test_a_checkpoint_of_another_state_is_not_believed(path: Path, tmp_path: Path) -> None:
    session = Invented(2_000, seed=11)
    copy = write_capture(tmp_path / "c", session.frames, segment_seconds=5)
    states = sorted((copy / "checkpoints").iterdir())
    for state in states[1:]:
        state.write_bytes(states[1].read_bytes())
    shown: list[list[list[tuple[Any, ...]]]] = [[], []]
    for seen, capture in zip(shown, (path, copy), strict=True):

        def strategy(event: Event, context: Context, seen: Any = seen) -> None:
            if event.seq % 500 == 499:
                seen.append(_shown(context.books))

        play(capture, strategy)
    assert shown[0] == shown[1]
