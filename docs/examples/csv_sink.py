"""A sink of one's own: every trade as a line of a CSV file, each exactly once.

    recorder record captures/btc -s trades:BTC-USDT --sink 'module:csv_sink:CsvSink?folder=rows'
    replay play captures/btc --sink 'module:csv_sink:CsvSink?folder=rows'

The position stands in the file itself: the first three columns of its last whole line. A line that
was being written when the power went is cut off at the next start.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from recorder.event import Trade
from recorder.sinks import Position, Record


class CsvSink:
    """One file per capture: `seq,index,ts_recv,instrument,price,size,side`."""

    wants = frozenset({Trade})  # nothing else is given; without this: every event
    batch_rows = 1_000
    batch_seconds = 0.5

    def __init__(self, options: dict[str, str]) -> None:
        """Take what stands behind `?` in the address."""
        self.folder = Path(options.pop("folder", "."))
        if options:
            raise ValueError(f"unknown options: {', '.join(options)}")
        self.file: IO[bytes] | None = None

    def open(self, capture: str) -> Position | None:
        """Open the file of a capture and say where it stands; None: there is nothing yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{capture}.csv"
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        self.file = path.open("r+b" if path.exists() else "w+b")
        self.file.truncate(len(whole))
        self.file.seek(len(whole))
        if not whole:
            return None
        seq, index, ts_recv, *_ = whole.splitlines()[-1].split(b",")
        return Position(int(seq), int(index), int(ts_recv))

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        """Keep a batch. What is not wanted moves no position here: it is read again, for nothing.

        A part of a capture (no position) may hold what is there already: this sink takes none.
        """
        if position is None:
            raise ValueError("this sink takes whole captures; play without a window or a filter")
        if self.file is None:
            raise ValueError("open comes before write")
        for trade in records:
            self.file.write(_line(trade))
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


def _line(trade: Any) -> bytes:
    """Return a trade as a line."""
    fields = (trade.seq, trade.index, trade.ts_recv, trade.instrument, trade.price, trade.size)
    return f"{','.join(map(str, fields))},{trade.side}\n".encode()
