"""Goal: a table made ahead never changes an answer, whatever happens to it.

Method: every view of every dataset, of invented sessions and of real ones, read from tables and
from frames, row for row; then tables that are damaged, deleted, old, half made, or of segments
that were joined or have expired; and the bytes read, counted.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from invented_session import Invented, write_capture

from recorder.capture.derived import list_parts
from recorder.capture.reader import Capture
from replay.derived import index as index_module
from replay.derived.building import build_tables
from replay.derived.making import make_tables
from replay.extent import Extent
from replay.sql import connect
from replay.views import VIEWS

Rows = dict[str, list[tuple[Any, ...]]]


def answers(path: Path, views: Sequence[str] = tuple(VIEWS)) -> Rows:
    """Return every row of some views, sorted."""
    connection = connect(path)
    try:
        return {view: connection.execute(f"FROM {view} ORDER BY ALL").fetchall() for view in views}
    finally:
        connection.close()


class Seen:
    """The extents that connections were given, to ask what they read."""

    def __init__(self) -> None:
        self.extents: list[Extent] = []

    @property
    def last(self) -> Extent:
        return self.extents[-1]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    begin = Extent.__init__

    def init(self: Extent, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        found.extents.append(self)

    monkeypatch.setattr(Extent, "__init__", init)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of several segments without tables."""
    path = tmp_path_factory.mktemp("captures") / "plain"
    write_capture(path, Invented(900).frames, segment_seconds=2)
    assert len(Capture(path).snapshot().sealed) > 2
    return path


@pytest.fixture(scope="module")
def truth(plain: Path) -> Rows:
    return answers(plain)


@pytest.fixture(scope="module")
def made(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with tables, made by the processes that make them."""
    path = tmp_path_factory.mktemp("captures") / "made"
    shutil.copytree(plain, path)
    report = make_tables(path, workers=2)
    assert report.built == report.segments == len(Capture(path).snapshot().sealed)
    assert not report.skipped
    return path


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def build_here(path: Path) -> None:
    """Make the tables in this process, as the worker does."""
    for source in Capture(path).snapshot().sealed:
        assert build_tables(path, source, list(VIEWS)).reason is None


def test_every_view_is_the_same_from_tables(made: Path, truth: Rows, seen: Seen) -> None:
    assert answers(made) == truth
    reads = seen.last.tables.reads
    assert reads.rows == sum(map(len, truth.values()))
    assert reads.refused == 0


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress", "every-channel"])
def test_every_dataset_answers_alike(name: str, datasets: Path, tmp_path: Path) -> None:
    expected = answers(datasets / name)
    path = Path(shutil.copytree(datasets / name, tmp_path / name))
    (path / "tables").mkdir()
    build_here(path)
    assert answers(path) == expected


# --- what may happen to a table ------------------------------------------------------------

VIEWS_LOOKED_AT = ("trades", "bbo", "book_updates", "ledger", "quotes", "lost")


def test_a_flipped_bit_anywhere_changes_no_answer(copy: Path, truth: Rows, seen: Seen) -> None:
    rng = random.Random(7)
    refused = 0
    expected = {view: truth[view] for view in VIEWS_LOOKED_AT}
    for _ in range(3):
        undo = []
        for folder, _date, _segment, path in list_parts(copy):
            if folder not in (*VIEWS_LOOKED_AT, "index"):
                continue
            content = path.read_bytes()
            at = rng.randrange(len(content))
            path.write_bytes(
                content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
            )
            undo.append((path, content))
        assert answers(copy, VIEWS_LOOKED_AT) == expected
        refused += seen.last.tables.reads.refused
        for path, content in undo:
            path.write_bytes(content)
        # The same with every index whole, so that each damaged file is really opened.
        for path, content in undo:
            if path.suffix == ".parquet":
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert answers(copy, ("trades",)) == {"trades": truth["trades"]}
        refused += seen.last.tables.reads.refused
        for path, content in undo:
            path.write_bytes(content)
    assert refused > 3
    assert answers(copy, VIEWS_LOOKED_AT) == expected
    assert seen.last.tables.reads.refused == 0


@pytest.mark.parametrize("how", ["deleted", "cut", "empty", "swapped"])
def test_tables_that_are_gone_or_exchanged_change_no_answer(
    how: str, copy: Path, truth: Rows, seen: Seen
) -> None:
    parts = [path for folder, _, _, path in list_parts(copy) if folder == "trades"]
    contents = [path.read_bytes() for path in parts]
    for path, content, other in zip(parts, contents, contents[1:] + contents[:1], strict=True):
        if how == "deleted":
            path.unlink()
        else:
            path.write_bytes({"cut": content[:-40], "empty": b"", "swapped": other}[how])
    assert answers(copy, ["trades"])["trades"] == truth["trades"]
    assert seen.last.tables.reads.refused == len(parts)


def test_a_table_that_goes_between_two_queries_is_not_missed(copy: Path, truth: Rows) -> None:
    connection = connect(copy)
    before = connection.execute("FROM trades ORDER BY ALL").fetchall()
    shutil.rmtree(copy / "tables")
    assert connection.execute("FROM trades ORDER BY ALL").fetchall() == before == truth["trades"]
    connection.close()


@pytest.mark.parametrize("what", ["PARSER_VERSION", "FORMAT", "VIEWS_VERSION"])
def test_tables_of_another_version_are_not_used(
    what: str, copy: Path, truth: Rows, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, what, getattr(index_module, what) + 1)
    monkeypatch.setattr(index_module, "_layouts", {})
    assert answers(copy, ["trades"])["trades"] == truth["trades"]
    assert seen.last.tables.reads.rows == 0
