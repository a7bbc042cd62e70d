"""A real PostgreSQL on its worst days: in each the capture is whole, the sink catches up, and no
row is missing or doubled, compared by SQL with the capture.

Once each in the suite; `make test-sinks` does it with more rounds, at moments drawn anew.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from recorder.capture.reader import Capture
from recorder.sinks import Position, Record
from recorder.sinks.addresses import sink_of
from recorder.sinks.timescale.sink import TimescaleSink
from tests.recorder.sinks.feeding import Fed, Recording, assert_equal, fed, frame, query, trade
from tests.servers import Postgres, until

ROUNDS = int(os.environ.get("SINKS_ROUNDS", "0"))


def whole(path: Path, count: int) -> None:
    assert [f.seq for f in Capture(path).frames()] == list(range(count))


def test_down_at_the_start(postgres_server: Postgres, database: str, tmp_path: Path) -> None:
    postgres_server.kill()
    try:
        recording = Recording(tmp_path / "c")
        recording.trades(1, 200)
        feeding = Fed(tmp_path / "c", f"timescale:{database}")
        feeding.until_state("down")
        recording.trades(201, 2_000)
        recording.end()
        whole(tmp_path / "c", 2_001)
        assert len(feeding.words) == 1
        assert "onnection refused" in feeding.words[0]
    finally:
        postgres_server.start()
    feeding.end()
    assert feeding.words[-1] == "goes on"
    assert assert_equal(database, tmp_path / "c") == 2_000


def test_killed_in_the_middle_of_a_batch(
    postgres_server: Postgres, database: str, tmp_path: Path
) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 100)
    feeding = Fed(tmp_path / "c", f"timescale:{database}?batch_seconds=0")
    feeding.until_at(100)
    with closing(psycopg.connect(database)) as blocking:
        # The rows of the next batch are sent, and its transaction waits for its position.
        blocking.execute("SELECT * FROM okx.positions FOR UPDATE")
        recording.trades(101, 150)
        with closing(psycopg.connect(database, autocommit=True)) as looking:
            until(
                lambda: looking.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    "AND query LIKE 'UPDATE okx.positions%'"
                ).fetchone(),
                "a batch that waits to be committed",
            )
        postgres_server.kill()
    try:
        recording.trades(151, 400)
        feeding.until_state("down")
        recording.end()
        whole(tmp_path / "c", 401)
    finally:
        postgres_server.start()
    feeding.end()
    assert assert_equal(database, tmp_path / "c") == 400
    assert feeding.counts.failures >= 1


class _Interrupted(TimescaleSink):
    """Commits, and then loses the connection before it hears of it."""

    moments: Sequence[int] = (2, 3, 5)
    calls = 0

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        super().write(records, position)
        self.calls += 1
        if self.calls in self.moments:
            raise ConnectionError("the answer to COMMIT was lost")


def test_a_commit_whose_answer_is_lost(database: str, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 500)
    recording.end()
    address = f"timescale:{database}?batch_rows=70"
    sink = sink_of(address)
    sink.__class__ = _Interrupted
    feeding = Fed(tmp_path / "c", address, sink=sink)
    feeding.end()
    assert feeding.counts.failures == 3
    assert "the answer to COMMIT was lost" in feeding.words[0]
    assert assert_equal(database, tmp_path / "c") == 500


def test_one_that_stands_still_for_a_while(
    postgres_server: Postgres, database: str, tmp_path: Path
) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 100)
    feeding = Fed(tmp_path / "c", f"timescale:{database}?batch_rows=100&batch_seconds=0")
    feeding.until_at(100)
    with postgres_server.standing_still():
        recording.trades(101, 5_000)
        recording.end()  # the recorder notices nothing
        whole(tmp_path / "c", 5_001)
        until(lambda: feeding.counts.waiting >= 400, "a queue that is full")
        assert (feeding.counts.seq or 0) < 400
        # What waits is bounded: the queue, and what was read beside it.
        assert feeding.counts.waiting < 5_000
    feeding.end()
    assert assert_equal(database, tmp_path / "c") == 5_000
    assert (feeding.counts.failures, feeding.words) == (0, [])


def test_a_port_that_is_another_programs(tmp_path: Path) -> None:
    """It takes the connection and says nothing that PostgreSQL would."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]

        def answer() -> None:
            try:
                while True:
                    taken, _ = other.accept()
                    taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    taken.close()
            except OSError:
                pass

        threading.Thread(target=answer, daemon=True).start()
        recording = Recording(tmp_path / "c")
        recording.trades(1, 50)
        feeding = Fed(tmp_path / "c", f"timescale:postgresql://me:hush@127.0.0.1:{port}/x")
        feeding.until_state("down")
        recording.end()
        feeding.leave()
    whole(tmp_path / "c", 51)
    assert len(feeding.words) >= 1
    assert "hush" not in " ".join(feeding.words)


def test_a_sink_that_is_killed_goes_on_where_it_was(database: str, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 300)
    first = Fed(tmp_path / "c", f"timescale:{database}?batch_rows=40&batch_seconds=0")
    first.until_at(100)
    first.leave()
    recording.trades(301, 600)
    recording.end()
    fed(tmp_path / "c", f"timescale:{database}")
    assert assert_equal(database, tmp_path / "c") == 600


def test_data_that_was_taken_back_to_a_backup(database: str, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 300)
    feeding = Fed(tmp_path / "c", f"timescale:{database}")
    feeding.until_at(300)
    (old,) = query(database, "SELECT ts_recv FROM okx.trades WHERE seq = 120")
    query(
        database,
        f"DELETE FROM okx.trades WHERE seq > 120; UPDATE okx.positions SET seq = 120, index = 0, "
        f"ts_recv = {old[0]}; SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE application_name = 'okx-recorder'",
    )
    recording.trades(301, 400)
    recording.end()
    feeding.end()
    assert assert_equal(database, tmp_path / "c") == 400


@pytest.mark.skipif(not ROUNDS, reason="long: make test-sinks")
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_bad_week(postgres_server: Postgres, database: str, tmp_path: Path, seed: int) -> None:
    """Kills, pauses, refused values and sinks that die, at moments drawn by the seed."""
    draw = random.Random(seed)
    recording = Recording(tmp_path / "c", segment_ns=10**9)
    address = f"timescale:{database}?batch_rows={draw.choice([7, 60, 500])}&batch_seconds=0.01"
    feeding = Fed(tmp_path / "c", address)
    seq, wrong = 1, 0
    for _ in range(12):
        last = seq + draw.randrange(50, 1_500)
        payloads = [trade(number) for number in range(seq, last)]
        if draw.random() < 0.3:
            payloads[0], wrong = trade(seq, trade_id="a\\u0000"), wrong + 1
        recording.add(frame(seq + at, payload) for at, payload in enumerate(payloads))
        seq = last
        match draw.randrange(5):
            case 0:
                postgres_server.kill()
                recording.trades(seq, seq + 200)
                seq += 201
                postgres_server.start()
            case 1:
                with postgres_server.standing_still():
                    recording.trades(seq, seq + 200)
                    seq += 201
            case 2:
                feeding.leave()
                feeding = Fed(tmp_path / "c", address)
            case 3:
                feeding.until_at(seq - 10)
            case _:
                query(
                    database,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'okx-recorder'",
                )
    recording.end()
    feeding.end()
    whole(tmp_path / "c", seq)
    (found,) = query(
        database,
        "SELECT (SELECT count(*) FROM okx.trades), (SELECT count(DISTINCT seq) FROM okx.trades), "
        "(SELECT count(*) FROM okx.rejected)",
    )
    assert found == (seq - 1 - wrong, seq - 1 - wrong, wrong)
