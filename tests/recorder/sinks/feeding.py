"""What tests of sinks share: captures being recorded, a feed in a thread, SQL on both sides."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

from recorder.capture.journal.roll import Roller
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.resume import capture_key
from recorder.capture.sealing.seal import Sealer
from recorder.capture.writing.appender import Appender, AppenderOptions
from recorder.capture.writing.creation import open_for_writing
from recorder.errors import SinkDown
from recorder.event import Trade
from recorder.event.ledger import LEDGER_TYPES, is_in_ledger
from recorder.frame import Frame, Kind
from recorder.live.sink_feed import feed
from recorder.sinks import Sink
from recorder.sinks.addresses import parse_address, sink_of
from recorder.sinks.runner import Runner
from replay.sql import connect
from tests.servers import PATIENCE_S, until

START = 1_790_000_000_000_000_000
MS = 1_000_000

COLUMNS = {
    "trades": "instrument, channel, trade_id, price, size, side, count, source, venue_seq",
    "candles": "instrument, channel, interval, open, high, low, close, volume, volume_ccy, "
    "volume_quote",
    "quotes": "instrument, channel, bid_price, bid_size, bid_orders, ask_price, ask_size, "
    "ask_orders, venue_seq",
    "book_tops": "instrument, channel, bid_price, bid_size, ask_price, ask_size, is_whole",
    "tickers": "instrument, last, last_size, bid_price, bid_size, ask_price, ask_size, open_24h, "
    "high_24h, low_24h, volume_24h, volume_ccy_24h, open_utc0, open_utc8",
    "funding_rates": "instrument, funding_rate, next_funding_rate, premium, method",
    "ledger": "type, connection, channel, instrument, cause",
}
VIEWS = {
    "candles": "(SELECT * FROM candles WHERE confirmed)",
    "book_tops": "(SELECT b.* FROM bbo b SEMI JOIN book_updates USING (seq, index))",
}


def trade(number: int, *, size: str = "2", trade_id: str | None = None) -> bytes:
    """The frame of one trade."""
    return (
        f'{{"arg":{{"channel":"trades","instId":"BTC-USDT"}},"data":[{{"instId":"BTC-USDT",'
        f'"tradeId":"{trade_id or number}","px":"{1000 + number % 7}.5","sz":"{size}",'
        f'"side":"buy","ts":"{1_790_000_000_000 + number}","count":"1","source":"0",'
        f'"seqId":{number}}}]}}'
    ).encode()


def ticker(number: int) -> bytes:
    """The frame of one ticker."""
    return (
        f'{{"arg":{{"channel":"tickers","instId":"BTC-USDT"}},"data":[{{"instType":"SPOT",'
        f'"instId":"BTC-USDT","last":"{1000 + number}","lastSz":"1","askPx":"2001","askSz":"3",'
        f'"bidPx":"2000","bidSz":"4","open24h":"1","high24h":"2","low24h":"1","volCcy24h":"5",'
        f'"vol24h":"6","sodUtc0":"7","sodUtc8":"8","ts":"{1_790_000_000_000 + number}"}}]}}'
    ).encode()


def frame(seq: int, payload: bytes | None = None, kind: Kind = Kind.TEXT, late: int = 0) -> Frame:
    at = START + (seq + late) * MS
    connection = 0 if kind is Kind.TEXT else -1
    return Frame(seq, at, at, connection, kind, trade(seq) if payload is None else payload)


class Recording:
    """A capture while it is written, as a recorder does; what is sealed is sealed right here."""

    def __init__(self, path: Path, *, append: bool = False, segment_ns: int = 10**12) -> None:
        self.path = path
        opened = open_for_writing(
            path, append=append, private=False, venue="okx", note=None, reproducible=False
        )
        self._lock = opened.lock_fd
        self._retired: list[int] = []
        self._appender = Appender(
            path,
            capture_id=opened.header.id,
            segment=opened.segment,
            next_seq=opened.seq,
            roller=Roller(segment_ns=segment_ns, segment_bytes=64 << 20),
            options=AppenderOptions(sync_s=0.05, compress=False),
            on_retired=self._retired.append,
        )
        if not append:
            self.add([frame(0, b"{}", Kind.RUN)])

    def add(self, frames: Iterable[Frame]) -> None:
        self._appender.hand_over(list(frames), 1)

    def trades(self, first: int, last: int) -> None:
        self.add(frame(seq) for seq in range(first, last + 1))

    def end(self, *, seal: bool = False) -> None:
        self._appender.finish(None)
        os.close(self._lock)
        for segment in self._retired if seal else ():
            Sealer(self.path).seal(segment)


class Fed:
    """A sink fed from a capture in a thread, until its recorder has ended."""

    def __init__(self, path: Path, address: str, *, sink: Sink | None = None) -> None:
        self.words: list[str] = []
        self.capture = Capture(path)
        self.sink = sink_of(address) if sink is None else sink
        self.runner = Runner(
            self.sink,
            capture_key(self.capture),
            monotonic=time.monotonic,
            tell=self.words.append,
            scrub=parse_address(address).scrub,
        )
        self.counts = self.runner.counts
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            feed(self.capture, self.runner, history_seconds=self.sink.history_seconds)
        except SinkDown as error:
            self.error = error  # it was left
        except BaseException as error:  # shown by `end`
            self.error = error
            raise

    def until_at(self, seq: int) -> None:
        """Wait until the sink has kept so much."""
        until(lambda: (self.counts.seq or -1) >= seq, f"the sink at {seq}, it is {self.counts}")

    def until_state(self, state: str) -> None:
        until(lambda: self.counts.state == state, f"{state}, it is {self.counts} {self.error}")

    def end(self) -> None:
        """Wait until it has everything; the recorder has ended."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        assert self.error is None, self.error
        assert self.runner.finish(PATIENCE_S), self.counts

    def leave(self) -> None:
        """Let go of it as a process that is killed does."""
        self.runner.leave()
        self._thread.join(PATIENCE_S)
        self.runner.finish(PATIENCE_S)


def fed(path: Path, address: str) -> Fed:
    """Feed a whole capture."""
    done = Fed(path, address)
    done.end()
    return done


def rows_in_database(url: str, table: str, capture: str) -> list[Any]:
    import psycopg

    with psycopg.connect(url) as connection:
        return connection.execute(
            f"SELECT seq, index, ts_recv, {COLUMNS[table]} FROM okx.{table} "
            f"JOIN okx.captures ON id = {table}.capture WHERE captures.capture = %s "
            f"AND recv_time = timestamptz 'epoch' + ts_recv / 1000 * interval '1 us' "
            f"ORDER BY seq, index".encode(),
            (capture,),
        ).fetchall()


def assert_equal_to_views(url: str, path: Path) -> dict[str, int]:
    """Compare every table with the view of the capture, row by row; return how many there are."""
    counts = {}
    key = capture_key(Capture(path))
    with connect(path) as views:
        for table, columns in COLUMNS.items():
            expected = views.execute(
                f"SELECT seq, index, ts_recv, {columns} FROM {VIEWS.get(table, table)} "
                f"ORDER BY seq, index"
            ).fetchall()
            found = rows_in_database(url, table, key)
            assert len(found) == len(expected), table
            assert found == expected, table
            counts[table] = len(found)
    return counts


def assert_equal(url: str, path: Path) -> int:
    """Compare trades and ledger with the events of the capture; return how many trades."""
    capture = Capture(path)
    key = capture_key(capture)
    events = list(capture.events(report=ReadReport()))
    fields = attrgetter("seq", "index", "ts_recv", *COLUMNS["trades"].split(", "))
    expected = [fields(event) for event in events if isinstance(event, Trade)]
    found = rows_in_database(url, "trades", key)
    assert len(found) == len(expected)
    assert found == expected
    ledger = [
        (event.seq, event.index, event.ts_recv, type(event).__name__)
        for event in events
        if isinstance(event, LEDGER_TYPES) and is_in_ledger(event)
    ]
    rows = [row[:4] for row in rows_in_database(url, "ledger", key) if row[3] != "Missed"]
    assert rows == ledger
    return len(found)


def query(url: str, statement: str) -> list[Any]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return [] if cursor.description is None else cursor.fetchall()
