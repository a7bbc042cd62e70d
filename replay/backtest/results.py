"""Results: what a backtest leaves behind: tables as Parquet, and a digest of all of it.

Responsible for columns, bytes and bounded memory: rows go to disk some thousand at a time. Refuses
to compute. The digest is of the rows themselves, exact numbers as text, in the order written; so it
is the same whether tables are written or kept, and whatever wrote the Parquet.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recorder.capture.digest import new_hash
from recorder.errors import UsageError

_BATCH = 8_192
_TEXT, _INT, _NUMBER = pa.string(), pa.int64(), pa.float64()

TABLES: dict[str, dict[str, Any]] = {
    "orders": {
        "strategy": _TEXT, "client_order_id": _TEXT, "instrument": _TEXT, "side": _TEXT,
        "kind": _TEXT, "price": _NUMBER, "size": _NUMBER, "filled": _NUMBER,
        "average_price": _NUMBER, "state": _TEXT, "cancel_source": _TEXT, "code": _TEXT,
        "message": _TEXT, "fee": _NUMBER, "fee_currency": _TEXT, "pnl": _NUMBER,
        "amendments": _INT, "sent": _INT, "arrived": _INT, "answered": _INT, "ended": _INT,
    },
    "fills": {
        "strategy": _TEXT, "client_order_id": _TEXT, "trade_id": _INT, "instrument": _TEXT,
        "side": _TEXT, "price": _NUMBER, "size": _NUMBER, "value": _NUMBER,
        "settle_currency": _TEXT, "execution": _TEXT, "fee": _NUMBER, "fee_currency": _TEXT,
        "pnl": _NUMBER, "mid": _NUMBER, "mid_sent": _NUMBER, "ts_event": _INT, "ts_recv": _INT,
    },
    "positions": {
        "strategy": _TEXT, "ts_event": _INT, "instrument": _TEXT, "cause": _TEXT,
        "position": _NUMBER, "average_price": _NUMBER, "realized_pnl": _NUMBER, "fees": _NUMBER,
        "funding": _NUMBER, "currency": _TEXT,
    },
    "equity": {
        "strategy": _TEXT, "ts": _INT, "equity": _NUMBER, "drawdown": _NUMBER,
        "fees": _NUMBER, "funding": _NUMBER, "turnover": _NUMBER,
    },
    "prices": {"ts": _INT, "instrument": _TEXT, "mid": _NUMBER},
    "funding": {
        "strategy": _TEXT, "ts": _INT, "instrument": _TEXT, "rate": _NUMBER, "position": _NUMBER,
        "amount": _NUMBER, "currency": _TEXT,
    },
    "records": {"strategy": _TEXT, "ts": _INT, "name": _TEXT, "value": _NUMBER},
    "logs": {"strategy": _TEXT, "ts": _INT, "text": _TEXT},
}  # fmt: skip
"""Columns by table. Times are ns since the Unix epoch; `ts_event`, `arrived` and `ended` the
venue's; `sent`, `answered` (the first answer), `ts` and `ts_recv` of the strategy's clock. Numbers
are doubles; exact ones stand in the events and, summed, in `stats.json`."""

_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Results:
    """The tables of one run.

    Args:
        out: directory to write to. keep: without one, keep the rows in memory; else they are only
            counted and digested.

    Attributes:
        counts: rows by table. rows: where nothing is written, all of them.
    """

    def __init__(self, out: Path | None, *, keep: bool = True) -> None:
        self.counts = dict.fromkeys(TABLES, 0)
        self.rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
        self._out = out
        self._holds = keep or out is not None
        self._hash = new_hash()
        self._writers: dict[str, Any] = {}
        if out is not None:
            _make_empty(out)

    def add(self, table: str, row: tuple[Any, ...]) -> None:
        """Add a row: the values of the table's columns, in their order."""
        self._hash.update(_ENCODER.encode((table, row)))
        self.counts[table] += 1
        if not self._holds:
            return
        rows = self.rows[table]
        rows.append(row)
        if self._out is not None and len(rows) >= _BATCH:
            self._flush(table)

    def close(self) -> str:
        """Write what is left; return the digest, hex."""
        if self._out is not None:
            for table in TABLES:
                self._flush(table)
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
        return self._hash.hexdigest()

    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows that were kept in memory as objects, by table."""
        return {
            table: [dict(zip(TABLES[table], row, strict=True)) for row in rows]
            for table, rows in self.rows.items()
        }

    def abandon(self) -> None:
        """Close the files as they are: the strategy failed."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _flush(self, table: str) -> None:
        """Write a table's rows; also of one that has none, so that every table can be read."""
        if self._out is None:
            return
        columns, rows = TABLES[table], self.rows[table]
        schema = pa.schema(list(columns.items()))
        if table not in self._writers:
            self._writers[table] = pq.ParquetWriter(
                self._out / f"{table}.parquet", schema, compression="zstd"
            )
        if rows:
            values = list(zip(*rows, strict=True))
            arrays = [
                pa.array([_plain(value) for value in column], type=kind)
                for column, kind in zip(values, columns.values(), strict=True)
            ]
            self._writers[table].write_table(pa.Table.from_arrays(arrays, schema=schema))
        rows.clear()


def write_json(out: Path, name: str, value: object) -> None:
    """Write a JSON file beside the tables, indented."""
    text = msgspec.json.format(_ENCODER.encode(value), indent=2)
    (out / name).write_bytes(text + b"\n")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _make_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"expected a new or empty directory for the results, {out} is not; move it"
        )
    out.mkdir(parents=True, exist_ok=True)
