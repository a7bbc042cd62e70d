"""An invented OKX session with its truth: frames, and what they were made from.

Responsible for frames of the wire's form together with the facts behind them, so that tests
compare events, SQL and books with what went in, not with a second decoder. Nothing random but a
seeded generator; the same arguments give the same bytes.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.frame import Frame, Kind

S = 1_000_000_000
START = 1_790_000_000 * S  # 2026-09-21T14:13:20Z
INSTRUMENTS = ("BTC-USDT", "ETH-USDT-SWAP", "XRP-USDT")
RENAMED = "NEW-USDT"

Side = dict[float, float]


@dataclass
class Truth:
    """What a session was made from; every list in seq order."""

    trades: list[dict[str, Any]] = field(default_factory=list)
    quotes: list[dict[str, Any]] = field(default_factory=list)
    bests: list[tuple[int, str, float | None, float | None]] = field(default_factory=list)
    levels: int = 0
    updates: int = 0
    gaps: list[tuple[int, str]] = field(default_factory=list)
    resets: list[tuple[int, str]] = field(default_factory=list)
    disconnects: list[tuple[int, int, int]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    unrecognized: list[int] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    last_books: dict[str, tuple[Side, Side] | None] = field(default_factory=dict)


class Invented:
    """Makes one session: `frames` and `truth`."""

    def __init__(self, count: int = 2_000, *, seed: int = 1, start: int = START) -> None:
        self.frames: list[Frame] = []
        self.truth = Truth()
        self._random = random.Random(seed)
        self._wall = start
        self._mono = 7 * S
        self._connection = 0
        self._seq_ids = dict.fromkeys(INSTRUMENTS, 1_000)
        self._books: dict[str, tuple[Side, Side] | None] = {}
        self._opened_mono = 0
        self._trade_id = 0
        self._begin(run=True)
        while len(self.frames) < count:
            self._step(len(self.frames) / count)
        self._end()
        self.truth.last_books = dict(self._books)

    def text(self, payload: Any, kind: Kind = Kind.TEXT, connection: int | None = None) -> int:
        """Add a row; return its seq."""
        data = (
            payload
            if isinstance(payload, bytes)
            else json.dumps(payload, separators=(",", ":")).encode()
        )
        seq = len(self.frames)
        self.frames.append(
            Frame(
                seq,
                self._wall,
                self._mono,
                self._connection if connection is None else connection,
                kind,
                data,
            )
        )
        return seq

    def _pass(self) -> None:
        step = self._random.choice((0, 1, 50_000, 3_000_000, 40_000_000))
        self._wall += step
        self._mono += step

    @property
    def _ts(self) -> str:
        return str(self._wall // 1_000_000)

    def _begin(self, *, run: bool) -> None:
        if run:
            self.truth.runs.append(
                self.text({"version": "0.1.0", "boot": "x"}, Kind.RUN, connection=-1)
            )
            request = "GET /api/v5/public/instruments?instType=SPOT"
            rest = self._connection + 1
            self.text(request.encode(), Kind.SENT, connection=rest)
            rules = [
                {"instId": i, "instType": "SPOT", "tickSz": "0.1", "lotSz": "0.01", "minSz": "1",
                 "state": "live", "baseCcy": "BTC", "quoteCcy": "USDT"}
                for i in INSTRUMENTS
            ]  # fmt: skip
            self.text({"code": "0", "msg": "", "data": rules}, Kind.REST, connection=rest)
            self._connection += 2
        self.text({"url": "wss://h/ws/v5/public", "endpoint": "public", "link": 0}, Kind.OPENED)
        self._opened_mono = self._mono
        for instrument in INSTRUMENTS:
            for channel in ("books", "trades", "bbo-tbt"):
                argument = {"channel": channel, "instId": instrument}
                self.text({"op": "subscribe", "args": [argument]}, Kind.SENT)
                self._pass()
                self.text({"event": "subscribe", "arg": argument, "connId": "c1"})
            self._book(instrument, snapshot=True)

    def _end(self) -> None:
        self.truth.disconnects.append(
            (
                self.text(
                    {"code": 1006, "reason": "", "by": "network", "opened": True}, Kind.CLOSED
                ),
                self._connection,
                self._mono - self._opened_mono,
            )
        )
        # A reader of books must not trust what nobody keeps up.
        self._books = dict.fromkeys(self._books)

    def _step(self, at: float) -> None:
        self._pass()
        draw = self._random.random()
        instrument = self._random.choice(INSTRUMENTS)
        if draw < 0.45:
            self._book(instrument)
        elif draw < 0.75:
            self._trade(instrument)
        elif draw < 0.9:
            self._quote(instrument)
        elif draw < 0.93:
            self._ticker(instrument)
        elif draw < 0.94:
            self._gap(instrument)
        elif draw < 0.95:
            self._reset(instrument)
        elif draw < 0.955:
            self._reconnect()
        elif draw < 0.957 and at > 0.3:
            self._restart()
        else:
            self._oddity(instrument)

    def _book(self, instrument: str, *, snapshot: bool = False, jump: int = 0) -> int:
        draw = self._random
        rows: dict[str, list[list[str]]] = {}
        depth = 20 if snapshot else 4
        for side, sign in (("asks", 1), ("bids", -1)):
            picked = sorted(draw.sample(range(1, 40), depth if snapshot else draw.randrange(depth)))
            rows[side] = [
                [f"{100 + sign * k / 10:.1f}", str(draw.randrange(1 if snapshot else 0, 60)), "0",
                 str(draw.randrange(1, 9))]
                for k in picked
            ]  # fmt: skip
        prev = self._seq_ids[instrument]
        seq_id = prev + jump + draw.randrange(1, 9)
        self._seq_ids[instrument] = seq_id
        seq = self.text(
            {
                "arg": {"channel": "books", "instId": instrument},
                "action": "snapshot" if snapshot else "update",
                "data": [{**rows, "ts": self._ts, "checksum": 0, "seqId": seq_id,
                          "prevSeqId": -1 if snapshot else prev + jump}],
            }
        )  # fmt: skip
        self.truth.updates += 1
        self.truth.levels += len(rows["asks"]) + len(rows["bids"])
        if snapshot:
            self._books[instrument] = ({}, {})
        if jump:
            self._books[instrument] = None
        book = self._books[instrument]
        if book is None:
            self.truth.bests.append((seq, instrument, None, None))
            return seq
        for held, side in zip(book, ("bids", "asks"), strict=True):
            for price, size, _, _ in rows[side]:
                if float(size):
                    held[float(price)] = float(size)
                else:
                    held.pop(float(price), None)
        bids, asks = book
        self.truth.bests.append((seq, instrument, max(bids, default=None), min(asks, default=None)))
        return seq

    def _gap(self, instrument: str) -> None:
        seq = self._book(instrument, jump=1_000)
        self.truth.gaps.append((seq, instrument))

    def _reset(self, instrument: str) -> None:
        prev = self._seq_ids[instrument]
        self._seq_ids[instrument] = 10
        seq = self.text(
            {
                "arg": {"channel": "books", "instId": instrument},
                "action": "update",
                "data": [{"asks": [], "bids": [], "ts": self._ts, "checksum": 0, "seqId": 10,
                          "prevSeqId": prev}],
            }
        )  # fmt: skip
        self.truth.updates += 1
        self.truth.resets.append((seq, instrument))
        book = self._books[instrument]
        bids, asks = book if book is not None else ({}, {})
        self.truth.bests.append((seq, instrument, max(bids, default=None), min(asks, default=None)))

    def _trade(self, instrument: str, *, argument: str | None = None) -> None:
        rows = []
        for index in range(self._random.choice((1, 1, 1, 3))):
            self._trade_id += 1
            price, size = self._random.randrange(900, 1100) / 10, self._random.randrange(1, 500)
            side = self._random.choice(("buy", "sell"))
            rows.append(
                {"instId": instrument, "tradeId": str(self._trade_id), "px": str(price),
                 "sz": str(size), "side": side, "ts": self._ts, "count": "2", "source": "0",
                 "seqId": 5}
            )  # fmt: skip
            self.truth.trades.append(
                {"seq": len(self.frames), "index": index, "ts_recv": self._wall,
                 "instrument": instrument, "trade_id": str(self._trade_id), "price": price,
                 "size": float(size), "side": side}
            )  # fmt: skip
        self.text({"arg": {"channel": "trades", "instId": argument or instrument}, "data": rows})

    def _quote(self, instrument: str) -> None:
        has_bid = self._random.random() > 0.1
        bid = [["99.5", "3", "0", "1"]] if has_bid else []
        seq = self.text(
            {"arg": {"channel": "bbo-tbt", "instId": instrument},
             "data": [{"asks": [["100.5", "2", "0", "1"]], "bids": bid, "ts": self._ts,
                       "seqId": 9}]}
        )  # fmt: skip
        best = 99.5 if has_bid else None
        self.truth.quotes.append({"seq": seq, "instrument": instrument, "bid_price": best})
        self.truth.bests.append((seq, instrument, best, 100.5))

    def _ticker(self, instrument: str) -> None:
        self.text(
            {"arg": {"channel": "tickers", "instId": instrument},
             "data": [{"instType": "SPOT", "instId": instrument, "last": "100.1", "lastSz": "1",
                       "askPx": "100.2", "askSz": "1", "bidPx": "", "bidSz": "", "open24h": "1",
                       "high24h": "2", "low24h": "0.5", "sodUtc0": "1", "sodUtc8": "1",
                       "volCcy24h": "1", "vol24h": "1", "ts": self._ts}]}
        )  # fmt: skip

    def _reconnect(self) -> None:
        self._end()
        self._connection += 1
        self.text(
            {"code": None, "reason": "refused", "by": "network", "opened": False}, Kind.CLOSED
        )
        self._connection += 1
        self._wall += 2 * S
        self._mono += 2 * S
        self._begin(run=False)

    def _restart(self) -> None:
        """End one recorder; start another after a reboot."""
        self._end()
        self._wall += 60 * S
        self._mono = 3 * S
        self._connection += 1
        self._begin(run=True)

    def _oddity(self, instrument: str) -> None:
        which = self._random.randrange(9)
        if which == 0:
            self.text(b"pong")
        elif which == 1:
            self.truth.unrecognized.append(self.text(b"\xff\xfe\x00", Kind.BINARY))
        elif which == 2:
            self.truth.unrecognized.append(self.text(b""))
        elif which == 3:
            self.truth.lost.append(
                self.text(
                    {"connection": self._connection, "first_seq": None, "last_seq": None,
                     "count": 3, "bytes": None, "cause": "queue full"},
                    Kind.LOST, connection=-1,
                )
            )  # fmt: skip
        elif which == 4:
            self.text({"event": "error", "code": "60012", "msg": "Illegal request", "connId": "c"})
        elif which == 5:
            self._trade(RENAMED, argument="BTC-USDT")
        elif which == 6:
            self.text({"arg": {"channel": "status"}, "data": [{"title": "x\ny", "ts": self._ts}]})
        elif which == 7:
            self.text({"step": None, "offset": 12}, Kind.CLOCK, connection=-1)
        else:
            self.text(
                {"arg": {"channel": "candle1m", "instId": instrument},
                 "data": [[self._ts, "1", "2", "0.5", "1.5", "10", "10", "10", "0"]]}
            )  # fmt: skip


def write_capture(
    path: Path,
    frames: list[Frame],
    *,
    segment_seconds: float = 60.0,
    segment_bytes: int = 64 << 20,
) -> Path:
    """Write frames as a capture, all of it sealed."""
    options = WriterOptions(segment_seconds=segment_seconds, segment_bytes=segment_bytes)
    with CaptureWriter(path, options=options) as writer:
        writer.write(frames)
    return path
