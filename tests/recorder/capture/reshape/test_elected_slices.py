"""Two recorders are elected into one from where their captures begin, be it amid a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.capture.reshape.merge import merge_captures
from recorder.capture.reshape.slice import slice_capture
from recorder.capture.writer import CaptureWriter
from recorder.event import BookUpdate, SequenceGap, Trade
from recorder.frame import Frame, Kind

MS = 1_000_000
START = 1_700_000_000_000 * MS
BOOK = {"channel": "books", "instId": "BTC-USDT"}
TRADES = {"channel": "trades", "instId": "BTC-USDT"}
PLACE = {"endpoint": "public", "link": 0, "url": "wss://venue"}
LENGTH = 60


def record(path: Path, ahead: int, reconnects_at: int) -> None:
    """Write what a recorder with one link receives: an update and a trade every 100 ms."""
    frames: list[Frame] = []

    def add(at: int, connection: int, kind: Kind, row: dict[str, Any]) -> None:
        payload = json.dumps(row, separators=(",", ":")).encode()
        stamp = START + (at + ahead) * MS
        frames.append(Frame(len(frames), stamp, stamp, connection, kind, payload))

    def book(at: int, prev: int, seq_id: int, action: str) -> None:
        numbers = {"seqId": seq_id, "prevSeqId": prev, "checksum": 0}
        stamp = str(START // MS + at)
        row = {"asks": [], "bids": [["100", str(seq_id), "0", "1"]], "ts": stamp, **numbers}
        add(at, connection, Kind.TEXT, {"arg": BOOK, "action": action, "data": [row]})

    connection = 0
    add(0, -1, Kind.RUN, {"endpoints": [PLACE]})
    add(1, 0, Kind.OPENED, PLACE)
    for argument in (BOOK, TRADES):
        add(2, 0, Kind.TEXT, {"event": "subscribe", "arg": argument, "connId": "a"})
    book(50, -1, 0, "snapshot")
    for number in range(1, LENGTH):
        at = number * 100
        if number == reconnects_at:
            connection = 1
            add(at - 20, 0, Kind.CLOSED, {})
            add(at - 10, 1, Kind.OPENED, PLACE)
            book(at - 5, -1, number - 1, "snapshot")
        book(at, number - 1, number, "update")
        trade = {"instId": "BTC-USDT", "tradeId": str(number), "px": "1", "sz": "1", "side": "buy"}
        stamp = str(START // MS + at)
        add(at + 3, connection, Kind.TEXT, {"arg": TRADES, "data": [{**trade, "ts": stamp}]})
    writer = CaptureWriter(path)
    writer.write(frames)
    writer.close()


@pytest.mark.parametrize("offsets", [(0, 0), (0, 250), (250, 0)])
def test_slices_of_two_recorders_are_one_stream_and_go_on_as_one(
    tmp_path: Path, offsets: tuple[int, int]
) -> None:
    record(tmp_path / "a", 0, 40)
    record(tmp_path / "b", 7, 1000)
    for name, offset in zip("ab", offsets, strict=True):
        begins = START + (2050 + offset) * MS
        slice_capture(tmp_path / name, tmp_path / f"{name}-part", start=begins)
    merge_captures(tmp_path / "a-part", tmp_path / "b-part", tmp_path / "both", elect=True)
    both = Capture(tmp_path / "both")
    events = list(both.events())
    wanted = list(range(21, LENGTH))
    assert [int(e.trade_id) for e in events if isinstance(e, Trade)] == wanted
    assert [e.seq_id for e in events if isinstance(e, BookUpdate)] == wanted
    assert not [e for e in events if isinstance(e, SequenceGap)]
    books = both.interpreter_before(1 << 62).books.of("BTC-USDT")
    assert [(book.is_whole, book.seq_id) for book in books] == [(True, LENGTH - 1)]
