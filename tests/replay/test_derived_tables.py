"""Goal: a table made ahead never changes an answer, whatever happens to it.

Method: every view of every dataset, of invented sessions and of real ones, read from tables and
from frames, row for row; then tables that are damaged, deleted, old, half made, or of segments
that were joined or have expired; and the bytes read, counted.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from invented_session import Invented, write_capture

from recorder.capture.derived import list_parts
from recorder.capture.expiry.retention import expire
from recorder.capture.reader import Capture
from recorder.capture.reading.hold import only_one
from recorder.capture.reshape.compact import compact
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.reshape.slice import slice_capture
from recorder.capture.segment import SegmentReader
from recorder.capture.snapshot import SealedSource
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import RecorderError, UsageError
from recorder.okx.parser import PARSER_VERSION
from replay.derived import index as index_module
from replay.derived import reading, worker
from replay.derived.building import build_tables
from replay.derived.fresh import Tables
from replay.derived.making import make_tables
from replay.extent import Extent
from replay.simulation.simulator import simulate
from replay.sql import connect
from replay.tables import View
from replay.views import VIEWS

Rows = dict[str, list[tuple[Any, ...]]]


def answers(path: Path, views: Sequence[str] = tuple(VIEWS)) -> Rows:
    """Return every row of some views, sorted."""
    connection = connect(path)
    try:
        return {view: connection.execute(f"FROM {view} ORDER BY ALL").fetchall() for view in views}
    finally:
        connection.close()


def answers_of_frames(path: Path) -> Rows:
    """Return the same of a capture without tables; views of events that never come have no row."""
    assert not (path / "tables").exists()
    types = {type(event) for event in Capture(path).events()}
    views = [view.name for view in VIEWS.values() if types.intersection(view.takes)]
    return {**{view: [] for view in VIEWS}, **answers(path, views)}


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
    return answers_of_frames(plain)


@pytest.fixture(scope="module")
def made(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with tables, made by the processes that make them."""
    path = tmp_path_factory.mktemp("captures") / "made"
    shutil.copytree(plain, path)
    report = make_tables(path, workers=1)
    assert report.built == report.segments == len(Capture(path).snapshot().sealed)
    assert not report.skipped
    return path


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does is done here: a process of its own costs a second to start."""
    monkeypatch.setattr(worker, "_is_alone", lambda: False)
    monkeypatch.setattr(worker.Worker, "make", lambda _self, request: worker._answer(request).built)


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
    expected = answers_of_frames(datasets / name)
    path = Path(shutil.copytree(datasets / name, tmp_path / name))
    (path / "tables").mkdir()
    build_here(path)
    assert answers(path) == expected


# --- what may happen to a table ------------------------------------------------------------

VIEWS_LOOKED_AT = ("trades", "bbo", "book_updates", "ledger", "quotes", "lost")


def stored(tables: Tables, source: SealedSource, view: View) -> pa.Table | None:
    """Return the rows of a table as a scan gets them; None: it asks the frames."""
    batches = tables.rows(source, view, view.schema, {})
    return None if batches is None else pa.Table.from_batches(list(batches), schema=view.schema)


def test_a_flipped_bit_anywhere_is_seen_before_a_row_is_given(copy: Path) -> None:
    rng = random.Random(7)
    sources = {source.segment: source for source in Capture(copy).snapshot().sealed}
    refused = 0
    for folder, _date, segment, path in list_parts(copy):
        if folder not in VIEWS_LOOKED_AT:
            continue
        view, source = VIEWS[folder], sources[segment]
        whole, content = stored(Tables(copy), source, view), path.read_bytes()
        assert whole is not None
        for _ in range(40):
            at = rng.randrange(len(content))
            flipped = bytes([content[at] ^ 1 << rng.randrange(8)])
            path.write_bytes(content[:at] + flipped + content[at + 1 :])
            tables = Tables(copy)
            found = stored(tables, source, view)
            refused += tables.reads.refused
            # Some bytes nobody reads: of a column that holds one value, for instance.
            assert (found is None) == (tables.reads.refused == 1)
            assert found is None or found.equals(whole)
        path.write_bytes(content)
    assert refused > 100


def test_a_flipped_bit_in_an_index_makes_it_none(copy: Path) -> None:
    rng = random.Random(8)
    source = Capture(copy).snapshot().sealed[0]
    path = next(p for folder, _, n, p in list_parts(copy) if (folder, n) == ("index", 0))
    content = path.read_bytes()
    for _ in range(100):
        at = rng.randrange(len(content))
        path.write_bytes(
            content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        )
        assert stored(Tables(copy), source, VIEWS["trades"]) is None


def test_large_reads_are_checked_before_they_begin_too(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Capture(copy).snapshot().sealed[0]
    whole = stored(Tables(copy), source, VIEWS["trades"])
    monkeypatch.setattr(reading, "IN_MEMORY", 0)
    assert whole is not None
    assert stored(Tables(copy), source, VIEWS["trades"]) == whole
    path = next(p for folder, _, n, p in list_parts(copy) if (folder, n) == ("trades", 0))
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    assert stored(Tables(copy), source, VIEWS["trades"]) is None


def test_a_filter_reads_a_small_part(tmp_path: Path, seen: Seen) -> None:
    path = tmp_path / "busy"
    simulate(
        path, seed=1, frames=8_000, channels=("trades",), rate=30.0, reproducible=True,
        instruments=("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT"),
    )  # fmt: skip
    (path / "tables").mkdir()
    for source in Capture(path).snapshot().sealed:
        build_tables(path, source, ["trades"])
    size = sum(file.stat().st_size for *_, file in list_parts(path))
    connection = connect(path)

    def read_by(sql: str) -> tuple[int, list[tuple[Any, ...]]]:
        before = seen.last.tables.reads.bytes
        rows = connection.execute(sql).fetchall()
        return seen.last.tables.reads.bytes - before, rows

    ((total,),) = connection.execute("SELECT count(*) FROM trades").fetchall()
    everything, _ = read_by("SELECT * FROM trades")
    assert size / 2 < everything < size
    nothing, rows = read_by("SELECT channel, count(*) FROM trades GROUP BY ALL")
    assert (nothing, rows) == (0, [("trades", total)])  # one value in each group: not read
    one, rows = read_by("SELECT sum(size) FROM trades WHERE instrument = 'XRP-USDT'")
    assert 0 < one < everything / 6
    none, rows = read_by("SELECT sum(size) FROM trades WHERE instrument = 'ZZZ-USDT'")
    assert (none, rows) == (0, [(None,)])
    ((first, last),) = connection.execute(
        "SELECT min(ts_recv), max(ts_recv) FROM trades"
    ).fetchall()
    window = f"ts_recv BETWEEN {first} AND {first + (last - first) // 20}"
    some, rows = read_by(f"SELECT count(*), sum(price) FROM trades WHERE {window}")
    assert 0 < some < everything / 2
    shutil.rmtree(path / "tables")
    assert connect(path).execute(
        f"SELECT count(*), sum(price) FROM trades WHERE {window}"
    ).fetchall() == [(rows[0][0], pytest.approx(rows[0][1]))]
    connection.close()


@pytest.mark.parametrize("session", ["2021-07-22-tbt-link-a", "2022-05-13-books-trades-tickers"])
def test_what_okx_really_sent_answers_alike(
    session: str, real_traffic: Path, tmp_path: Path
) -> None:
    path = tmp_path / "real"
    import_sessions([real_traffic / "sessions" / f"{session}.jsonl"], path)
    expected = answers_of_frames(path)
    (path / "tables").mkdir()
    build_here(path)
    assert answers(path) == expected
    assert sum(map(len, expected.values())) > 1_000


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


# --- what happens to a capture that has tables ---------------------------------------------


def test_of_a_live_capture_the_last_part_comes_from_the_journal(tmp_path: Path, seen: Seen) -> None:
    frames = Invented(900).frames
    path = tmp_path / "live"
    with CaptureWriter(path, options=WriterOptions(segment_seconds=2)) as writer:
        writer.write(frames[:800])
        writer.flush()
        await_sealed(path, 1)
        views = [view for view in VIEWS_LOOKED_AT if view != "lost"]
        before = answers(path, views)
        (path / "tables").mkdir()
        build_here(path)
        assert answers(path, views) == before
        extent = seen.last
        assert extent.tables.reads.rows > 0
        assert extent.gaps, "something was still in a journal"
        writer.write(frames[800:])
    trades = answers(path, ["trades"])["trades"]
    assert trades[: len(before["trades"])] == before["trades"]


def await_sealed(path: Path, count: int) -> None:
    """Wait until so many segments are sealed."""
    for _ in range(6_000):
        if len(Capture(path).snapshot().sealed) >= count:
            return
        threading.Event().wait(0.01)
    pytest.fail("nothing was sealed within a minute")


def test_the_command_follows_a_recorder_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "live"
    frames = Invented(600).frames
    writer = CaptureWriter(path, options=WriterOptions(segment_seconds=2))
    command = [sys.executable, "-m", "replay", "tables", str(path), "--follow", "--json"]
    process = subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.PIPE)
    try:
        writer.write(frames[:300])
        writer.flush()
        await_sealed(path, 1)
        writer.write(frames[300:])
        writer.close()
        output, _ = process.communicate(timeout=120)
    finally:
        writer.close()
        process.kill()
        process.wait(timeout=60)
    assert process.returncode == 0
    report = json.loads(output)
    sealed = Capture(path).snapshot().sealed
    assert report["built"] == report["segments"] == len(sealed) > 1
    again = make_tables(path)
    assert (again.built, again.fresh) == (0, len(sealed))


@pytest.mark.usefixtures("in_process")
def test_joined_segments_get_tables_of_their_own(copy: Path, truth: Rows, seen: Seen) -> None:
    before = {path for *_, path in list_parts(copy)}
    report = compact(copy, clock=time.time_ns, sleep=lambda _: None, grace_s=0, wait=False)
    assert report.joined
    assert answers(copy, ["trades", "bbo"]) == {view: truth[view] for view in ("trades", "bbo")}
    assert seen.last.tables.reads.rows == 0, "no table is of the joined file"
    made = make_tables(copy, workers=1)
    assert made.built == len(Capture(copy).snapshot().sealed) < len(before)
    assert made.removed_bytes > 0
    numbers = {source.segment for source in Capture(copy).snapshot().sealed}
    assert {segment for _, _, segment, _ in list_parts(copy)} == numbers
    assert answers(copy) == truth
    assert seen.last.tables.reads.rows == sum(map(len, truth.values()))


def test_tables_go_with_the_segments_that_expire(copy: Path) -> None:
    sealed = Capture(copy).snapshot().sealed
    size = sum((copy / source.path).stat().st_size for source in sealed)
    now = time.time_ns()
    assert expire(copy, max_bytes=size // 2, now_ns=now, grace_s=0)
    expire(copy, max_bytes=size // 2, now_ns=now + 1, grace_s=0)
    kept = Capture(copy).snapshot().sealed
    assert 0 < len(kept) < len(sealed)
    assert {segment for _, _, segment, _ in list_parts(copy)} == {s.segment for s in kept}
    without = Path(shutil.copytree(copy, copy.parent / "without"))
    shutil.rmtree(without / "tables")
    assert answers(copy, VIEWS_LOOKED_AT) == answers(without, VIEWS_LOOKED_AT)


def test_tables_are_no_part_of_a_capture(plain: Path, copy: Path, tmp_path: Path) -> None:
    bare, dressed = Capture(plain).info(), Capture(copy).info()
    assert dressed.table_bytes > 0 == bare.table_bytes
    same = {"path": "", "table_bytes": 0}
    assert msgspec.structs.replace(bare, **same) == msgspec.structs.replace(dressed, **same)
    assert verify(copy).ok
    slice_capture(copy, tmp_path / "cut", start=bare.start)
    assert not (tmp_path / "cut" / "tables").exists()


# --- making ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_process")
def test_views_are_added_to_those_that_are_there(plain: Path, tmp_path: Path, truth: Rows) -> None:
    path = Path(shutil.copytree(plain, tmp_path / "some"))
    report = make_tables(path, views=["trades"], workers=1)
    assert list(report.views) == ["trades"]
    assert report.rows == len(truth["trades"])
    report = make_tables(path, views=["trades", "quotes"], workers=1)
    assert list(report.views) == ["quotes"]
    assert make_tables(path, views=["quotes", "trades"], workers=1).built == 0
    assert answers(path, VIEWS_LOOKED_AT) == {view: truth[view] for view in VIEWS_LOOKED_AT}
    with pytest.raises(UsageError, match="expected a view"):
        make_tables(path, views=["prices"])


@pytest.mark.usefixtures("in_process")
def test_what_is_damaged_or_deleted_is_made_anew(copy: Path, truth: Rows, seen: Seen) -> None:
    parts = list(list_parts(copy))
    next(path for folder, _, _, path in parts if folder == "trades").unlink()
    index = next(path for folder, _, _, path in parts if folder == "index")
    index.write_bytes(index.read_bytes().replace(b"trades", b"tirade"))
    left = index.parent.parent.parent / "trades" / index.parent.name / "000099.parquet.tmp"
    left.write_bytes(b"a process was killed here")
    assert make_tables(copy, workers=1).built in (1, 2)
    assert not left.exists()
    assert answers(copy, ["trades"])["trades"] == truth["trades"]
    assert seen.last.tables.reads.refused == 0


@pytest.mark.usefixtures("in_process")
def test_a_damaged_segment_gets_no_table(plain: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(plain, tmp_path / "damaged"))
    source = Capture(path).snapshot().sealed[1]
    content = (path / source.path).read_bytes()
    (path / source.path).write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    report = make_tables(path, workers=1)
    assert report.exit_code == 1
    assert [skipped.segment for skipped in report.skipped] == [source.segment]
    assert source.segment not in {segment for _, _, segment, _ in list_parts(path)}


def test_only_one_process_makes_tables(copy: Path) -> None:
    with only_one(copy / "tables", "test"), pytest.raises(UsageError, match="one is at work"):
        make_tables(copy)


def test_a_full_disk_and_a_file_in_the_way_are_said(plain: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(plain, tmp_path / "way"))
    (path / "tables").write_text("not a folder")
    with pytest.raises(RecorderError, match="expected to write the tables"):
        make_tables(path)


def test_every_file_says_what_it_is_made_of(made: Path) -> None:
    for folder, _date, segment, path in list_parts(made):
        if folder == "index":
            continue
        facts = json.loads(pq.read_metadata(path).metadata[b"recorder-table"])
        source = next(s for s in Capture(made).snapshot().sealed if s.segment == segment)
        assert (facts["view"], facts["segment_hash"]) == (folder, source.hash16)
        assert facts["parser"] == str(PARSER_VERSION)
        assert facts["layout"] == index_module.layout_of(VIEWS[folder])
        meta = SegmentReader(made, source.path, segment).meta
        assert facts["checkpoint"] == meta.checkpoint
        table = pq.ParquetFile(path).read()  # `read_table` of old makes a column of the folder
        assert table.column_names == VIEWS[folder].schema.names
