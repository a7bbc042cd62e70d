"""Goal: one instrument in a short time reads a small part of a capture.

Method: the bytes that this process reads, as the kernel counts them, while a query runs; the answer
is compared with the one that reads everything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from recorder.capture.footer import read_meta
from recorder.capture.reader import Capture
from recorder.capture.segment import SegmentReader
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.errors import Damage
from recorder.frame import Frame, Kind
from replay import connect

COUNTER = Path("/proc/self/io")
SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND
SEGMENTS, A_SECOND = 24, 240
INSTRUMENTS = tuple(f"C{number:02d}-USDT" for number in range(20))

pytestmark = pytest.mark.skipif(not COUNTER.exists(), reason="needs /proc/self/io (Linux)")


def read_bytes() -> int:
    """Return the bytes that this process has read, from whatever."""
    return next(int(line.split()[1]) for line in COUNTER.open() if line.startswith("rchar"))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trades of twenty instruments that do not compress well, a segment every ten seconds."""
    path = tmp_path_factory.mktemp("wide") / "c"
    dice = random.Random(7)
    options = WriterOptions(segment_seconds=10)
    with CaptureWriter(path, options=options) as writer:
        for second in range(SEGMENTS * 10):
            at = START + second * SECOND
            writer.write([trade(second * A_SECOND + n, at + n, dice) for n in range(A_SECOND)])
    return path


def trade(seq: int, at: int, dice: random.Random) -> Frame:
    instrument = INSTRUMENTS[seq % len(INSTRUMENTS)]
    argument = f'{{"channel":"trades","instId":"{instrument}"}}'
    row = (
        f'{{"instId":"{instrument}","tradeId":"{seq}","px":"{dice.random()}",'
        f'"sz":"{dice.random()}","side":"buy","ts":"{at // 1_000_000}","count":"1","seqId":{seq}}}'
    )
    payload = f'{{"arg":{argument},"data":[{row}]}}'
    return Frame(seq, at, at, 0, Kind.TEXT, payload.encode())


@pytest.fixture(scope="module")
def everything(capture: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(capture) as db:
        db.execute("CREATE TEMP TABLE everything AS FROM trades")
        yield db


@pytest.mark.parametrize("which", [0, SEGMENTS // 2, SEGMENTS - 1])
def test_one_instrument_in_one_segment(
    capture: Path, everything: duckdb.DuckDBPyConnection, which: int
) -> None:
    stored = sum((capture / s.path).stat().st_size for s in Capture(capture).snapshot().sealed)
    low = START + (which * 10 + 2) * SECOND
    question = (
        f"SELECT count(*), sum(price), min(seq), max(seq) FROM {{}} WHERE instrument = 'C07-USDT' "
        f"AND ts_recv >= {low} AND ts_recv < {low + 5 * SECOND}"
    )
    with connect(capture) as db:
        db.execute("SELECT count(*) FROM trades WHERE seq < 5").fetchall()  # modules are loaded
        before = read_bytes()
        found = db.execute(question.format("trades")).fetchall()
        read = read_bytes() - before
    assert found == everything.execute(question.format("everything")).fetchall()
    assert found[0][0] == 5 * A_SECOND // len(INSTRUMENTS)
    segment = stored / SEGMENTS
    # One segment, of each other one at most a footer; a part of the footers is passed over.
    assert segment / 2 < read < 3 * segment + SEGMENTS * 4_608
    assert read < stored / 5


def test_columns_of_frames_that_are_not_asked_for(capture: Path) -> None:
    stored = sum((capture / s.path).stat().st_size for s in Capture(capture).snapshot().sealed)
    with connect(capture) as db:
        before = read_bytes()
        counted = db.execute("SELECT channel, count(*) FROM frames GROUP BY ALL").fetchall()
        read = read_bytes() - before
    assert counted == [("trades", SEGMENTS * 10 * A_SECOND)]
    assert read < stored / 4


def test_explain_shows_what_is_pushed_down(capture: Path) -> None:
    with connect(capture) as db:
        (row,) = db.execute(
            "EXPLAIN ANALYZE SELECT sum(price) FROM trades WHERE instrument = 'C07-USDT' "
            f"AND ts_recv >= {START} AND ts_recv < {START + SECOND}"
        ).fetchall()
    plan = " ".join(row[1].split())
    assert "instrument" in plan
    assert "Filters" in plan
    # The scan gives only the rows of that instrument and that time; no filter stands above it.
    assert "FILTER" not in plan.replace("Filters", "")
    assert f"{A_SECOND // len(INSTRUMENTS)} row" in plan


def test_a_footer_alone_says_the_same(capture: Path, tmp_path: Path) -> None:
    for source in Capture(capture).snapshot().sealed[:3]:
        reader = SegmentReader(capture, source.path, source.segment)
        reader.close()
        assert read_meta(capture, source.path, source.segment) == reader.meta
    (tmp_path / "short").write_bytes(b"PAR1")
    with pytest.raises(Damage, match="reading its footer failed"):
        read_meta(tmp_path, "short", 0)
    with pytest.raises(FileNotFoundError):
        read_meta(tmp_path, "nothing", 0)
