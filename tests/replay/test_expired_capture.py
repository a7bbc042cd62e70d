"""A capture that begins above 0: SQL, replay and reader agree; a connection holds its files."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from recorder.capture import layout
from recorder.capture.expiry.retention import expire, expire_oldest
from recorder.capture.reader import Capture
from recorder.capture.reading import hold
from recorder.capture.reshape.compact import compact
from recorder.capture.reshape.slice import slice_capture
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.frame import Frame, Kind
from replay import connect, play, refresh, sql
from replay.simulation.simulator import simulate
from replay.sql import query

NOW = 2_000_000_000_000_000_000


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds of a seeded market: four segments or more."""
    root = tmp_path_factory.mktemp("market") / "c"
    simulate(root, seed=5, duration=40.0, segment_seconds=10.0)
    return root


def agree(root: Path, first_seq: int, whole: Path) -> None:
    last = max(frame.seq for frame in Capture(whole).frames())
    expected = [event for event in Capture(whole).events() if event.seq >= first_seq]
    assert list(Capture(root).events()) == expected
    connection = connect(root)
    try:
        ((low, high, count),) = connection.execute(
            "SELECT min(seq), max(seq), count(*) FROM frames"
        ).fetchall()
        assert (low, high, count) == (first_seq, last, last - first_seq + 1)
        for view in ("trades", "bbo"):
            counts = connection.execute(f"SELECT count(*), min(seq) FROM {view}").fetchall()
            other = connect(whole)
            assert (
                counts
                == other.execute(
                    f"SELECT count(*), min(seq) FROM {view} WHERE seq >= {first_seq}"
                ).fetchall()
            )
            other.close()
    finally:
        connection.close()
    seen = []
    report = play(root, lambda event, context: seen.append(event), speed="max", digest=True)
    assert seen == expected
    assert report.input_digest == Capture(root).info().input_digest


def test_after_retention(market: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "c"
    shutil.copytree(market, root)
    second = Capture(root).snapshot().sealed[1].first_seq
    expire_oldest(root, 1, now_ns=NOW)
    agree(root, second, market)


def test_a_slice(market: Path, tmp_path: Path) -> None:
    middle = Capture(market).snapshot().sealed[1].first_seq + 777
    slice_capture(market, tmp_path / "s", first_seq=middle)
    agree(tmp_path / "s", middle, market)


def test_a_connection_keeps_its_files(market: Path, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "c"
    shutil.copytree(market, root)
    before = layout.list_all_sealed(root)
    connection = connect(root)
    question = "SELECT count(*), min(seq) FROM frames"
    answer = connection.execute(question).fetchall()
    trades = connection.execute("SELECT count(*) FROM trades").fetchall()
    compact(root, clock=lambda: NOW, sleep=lambda _: None, grace_s=0.0, span_s=20.0)
    expire(root, max_bytes=1, now_ns=NOW, grace_s=0.0)
    assert {name.path for name in before} <= {n.path for n in layout.list_all_sealed(root)}
    assert connection.execute(question).fetchall() == answer
    assert connection.execute("SELECT count(*) FROM trades").fetchall() == trades
    refresh(connection)
    first = Capture(root).snapshot().first_seq
    assert connection.execute("SELECT min(seq) FROM frames").fetchall() == [(first,)]
    assert first > 0
    connection.close()
    expire(root, now_ns=NOW, grace_s=0.0)
    assert len(layout.list_all_sealed(root)) == 1
    assert query(root, question, output=(tmp_path / "out").open("wb")).exit_code == 0


def test_a_connection_that_nobody_uses_lets_go_and_says_so(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    lapsed = threading.Event()
    let_go = hold.Hold._let_go

    def noting(self: hold.Hold) -> None:
        let_go(self)
        lapsed.set()

    root = tmp_path / "c"
    shutil.copytree(market, root)
    with monkeypatch.context() as patch:
        patch.setattr(sql, "LAPSE_S", 0.01)
        patch.setattr(hold.Hold, "_let_go", noting)
        connection = connect(root)
        assert lapsed.wait(60)
    question = "SELECT min(seq) FROM trades"
    assert connection.execute(question).fetchall()  # nothing has gone: it is held again
    refresh(connection)  # with the usual time
    with monkeypatch.context() as patch:
        patch.setattr(sql, "LAPSE_S", 0.01)
        patch.setattr(hold.Hold, "_let_go", noting)
        lapsed.clear()
        refresh(connection)
        assert lapsed.wait(60)
    expire(root, max_bytes=1, now_ns=NOW, grace_s=0.0)
    with pytest.raises(duckdb.Error, match=r"call refresh\(connection\)"):
        connection.execute(question).fetchall()
    refresh(connection)
    assert connection.execute(question).fetchall()
    connection.close()


def test_what_was_a_journal_is_held_by_its_numbers(tmp_path: Path) -> None:
    """Sealed, joined and expired after a connection has listed it: it can be read all the same."""
    root = tmp_path / "c"
    with CaptureWriter(root, options=WriterOptions(segment_seconds=1)) as writer:
        for seq in range(40):
            writer.write([Frame(seq, NOW + seq * 10**8, seq * 10**8, 0, Kind.TEXT, b"pong")])
        writer.flush(60)
        connection = connect(root)
        ((count,),) = connection.execute("SELECT count(*) FROM frames").fetchall()
        assert count == 40
    compact(root, clock=lambda: NOW, sleep=lambda _: None, grace_s=0.0, span_s=3600.0)
    with CaptureWriter(root, append=True) as writer:
        writer.write([Frame(40, NOW + 10**10, 10**10, 0, Kind.TEXT, b"pong")])
    expire(root, max_bytes=1, now_ns=NOW, grace_s=0.0)
    expire(root, max_bytes=1, now_ns=NOW, grace_s=0.0)
    assert next(Capture(root).frames()).seq == 40
    assert connection.execute("SELECT count(*) FROM frames").fetchall() == [(40,)]
    connection.close()
    del connection
    expire(root, max_bytes=1, now_ns=NOW, grace_s=0.0)
    assert len(layout.list_all_sealed(root)) == 1
