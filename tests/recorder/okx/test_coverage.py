"""Coverage: when each argument was received, from rows as a recorder writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recorder.capture.reader import Capture
from recorder.capture.reading.covered import coverage_of
from recorder.cli import cli
from recorder.errors import UsageError
from recorder.event import BookUpdate, Connected, SequenceGap
from recorder.frame import NO_CONNECTION, Frame, Kind
from recorder.okx.coverage import Coverage, Hole, Span, summary
from recorder.okx.interpreter import Interpreter

S = 10**9
STRESS = Path(__file__).parents[3] / "datasets" / "eth-stress"


class Rows:
    """Rows with their numbers, one second apart."""

    def __init__(self) -> None:
        self.interpreter = Interpreter()
        self.seq = -1
        self.coverage = Coverage(self.interpreter, start=0, first_seq=0)

    def add(self, kind: Kind, payload: Any, connection: int = 0) -> None:
        self.seq += 1
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        frame = Frame(self.seq, self.seq * S, self.seq * S, connection, kind, content)
        self.coverage.step(frame, self.interpreter.step(frame))

    def ack(self, event: str, channel: str, connection: int = 0) -> None:
        argument = {"channel": channel, "instId": "BTC-USDT"}
        self.add(Kind.TEXT, {"event": event, "arg": argument, "connId": "c"}, connection)

    def book(self, action: str, prev: int, seq_id: int, connection: int = 0) -> None:
        row = {
            "asks": [["11", "1", "0", "1"]],
            "bids": [["10", "1", "0", "1"]],
            "ts": "1000",
            "checksum": 0,
            "prevSeqId": prev,
            "seqId": seq_id,
        }
        argument = {"channel": "books", "instId": "BTC-USDT"}
        self.add(Kind.TEXT, {"arg": argument, "action": action, "data": [row]}, connection)

    def opened(self, connection: int = 0) -> None:
        self.add(Kind.OPENED, {"url": "wss://x/ws/v5/public", "endpoint": "public"}, connection)

    def closed(self, connection: int = 0) -> None:
        self.add(Kind.CLOSED, {"code": 1006, "reason": "", "by": "network"}, connection)

    def lost(self, connection: int = NO_CONNECTION) -> None:
        row = {"connection": connection, "first_seq": None, "last_seq": None, "count": None}
        self.add(Kind.LOST, {**row, "bytes": None, "cause": "killed"}, connection)

    def times(self) -> list[tuple[str, int, int, str]]:
        spans = self.coverage.finish()
        return [(s.channel, s.start // S, s.end // S, s.ended_by) for s in spans]


@pytest.fixture
def rows() -> Rows:
    return Rows()


def test_from_the_acceptance_to_the_end_of_the_connection(rows: Rows) -> None:
    rows.opened()
    rows.ack("subscribe", "trades")  # 1
    rows.ack("subscribe", "tickers")  # 2
    rows.ack("unsubscribe", "tickers")  # 3
    rows.closed()  # 4
    rows.opened(1)
    rows.ack("subscribe", "trades", 1)  # 6
    rows.add(Kind.TEXT, b"pong", 1)  # 7
    assert rows.times() == [
        ("tickers", 2, 3, "unsubscribed"),
        ("trades", 1, 4, "disconnected"),
        ("trades", 6, 7, "end"),
    ]


def test_a_followed_book_counts_while_it_is_whole(rows: Rows) -> None:
    rows.opened()
    rows.ack("subscribe", "books")
    rows.book("snapshot", -1, 10)  # 2
    rows.book("update", 10, 11)
    rows.book("update", 12, 13)  # 4: 12 is missing
    rows.book("update", 13, 14)
    rows.book("snapshot", -1, 20)  # 6
    rows.book("update", 20, 21)  # 7
    assert rows.times() == [("books", 2, 4, "gap"), ("books", 6, 7, "end")]


def test_an_error_behind_the_acceptance_takes_it_back(rows: Rows) -> None:
    rows.opened()
    rows.ack("subscribe", "trades")  # 1
    text = "Wrong URL or channel:trades,instId:BTC-USDT doesn't exist."
    rows.add(Kind.TEXT, {"event": "error", "code": "60018", "msg": text, "connId": "c"})  # 2
    rows.add(Kind.TEXT, b"pong")
    assert rows.times() == [("trades", 1, 2, "refused")]


def test_what_a_recorder_lost_is_a_hole_until_the_next_row(rows: Rows) -> None:
    rows.opened()
    rows.ack("subscribe", "trades")  # 1
    rows.opened(1)
    rows.ack("subscribe", "trades", 1)  # 3
    rows.lost(0)  # 4
    rows.add(Kind.TEXT, b"pong")  # 5
    rows.lost()  # 6, of all
    rows.add(Kind.TEXT, b"pong")  # 7
    rows.add(Kind.TEXT, b"pong")  # 8
    assert rows.times() == [
        ("trades", 1, 4, "lost"),
        ("trades", 3, 6, "lost"),
        ("trades", 5, 6, "lost"),
        ("trades", 7, 8, "end"),
        ("trades", 7, 8, "end"),
    ]


def test_a_new_run_begins_with_nothing(rows: Rows) -> None:
    rows.opened()
    rows.ack("subscribe", "trades")  # 1
    rows.add(Kind.TEXT, b"pong")  # 2
    rows.lost()  # 3
    rows.add(Kind.RUN, {"run": "r"}, NO_CONNECTION)  # 4
    rows.add(Kind.TEXT, b"pong", 5)
    assert rows.times() == [("trades", 1, 3, "lost")]


def span(start: int, end: int, why: str, connection: int = 0) -> Span:
    return Span("trades", "BTC-USDT", connection, start, end, 0, 0, why)


def test_connections_stand_in_for_each_other() -> None:
    (found,) = summary(
        [span(10, 30, "disconnected"), span(20, 40, "lost", 1), span(50, 200, "end", 2)],
        start=0,
        end=100,
    )
    assert found.holes == [Hole(0, 10, "begin"), Hole(40, 50, "lost")]
    assert (found.covered_ns, found.share) == (80, 0.8)
    (whole,) = summary([span(0, 100, "end")], start=0, end=100)
    assert (whole.holes, whole.share) == ([], 1.0)
    (none,) = summary([span(0, 10, "lost")], start=20, end=30)
    assert (none.holes, none.share) == ([Hole(20, 30, "lost")], 0.0)


def test_a_session_with_a_gap_and_a_reconnect() -> None:
    report = coverage_of(Capture(STRESS), channels=["books"], instruments=["ETH-USDT"])
    events = list(Capture(STRESS).events(channels=["books"]))
    (gap,) = [e for e in events if isinstance(e, SequenceGap)]
    shots = [
        e.ts_recv
        for e in events
        if isinstance(e, BookUpdate) and e.is_snapshot and e.instrument == "ETH-USDT"
    ]
    assert [s.start for s in report.spans] == shots
    assert [s.ended_by for s in report.spans] == ["gap", "disconnected", "disconnected"]
    assert report.spans[0].end == gap.ts_recv
    (covered,) = report.arguments
    assert covered.holes[1] == Hole(gap.ts_recv, shots[1], "gap")
    assert len(covered.holes) == 3


def test_a_window_in_the_middle_knows_what_was_before_it() -> None:
    capture = Capture(STRESS)
    first = next(e for e in capture.events() if isinstance(e, Connected)).ts_recv
    start, end = first + 20 * S, first + 30 * S
    report = coverage_of(capture, start=start, end=end, channels=["books", "trades"])
    assert {one.channel: one.share for one in report.arguments} == {"books": 1, "trades": 1}


def test_the_command_says_it() -> None:
    arguments = ["info", str(STRESS), "--coverage", "--start", "2026-11-02T08:00:40Z"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["frames"] == 11_745
    trades = [one for one in found["coverage"]["arguments"] if one["channel"] == "trades"]
    assert [(one["subject"], len(one["holes"])) for one in trades] == [
        ("ETH-USDT", 1),
        ("ETH-USDT-SWAP", 1),
    ]
    shown = CliRunner().invoke(cli, arguments)
    assert "disconnected  books:ETH-USDT" in shown.stdout
    wrong = CliRunner().invoke(cli, ["info", str(STRESS), "--start", "2026-11-02T08:00:40Z"])
    assert isinstance(wrong.exception, UsageError)
