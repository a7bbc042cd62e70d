"""Ledger: the runs of a sweep on disk, so that one that was cut off goes on where it was.

Responsible for `runs.jsonl`: a line for each run that ended, on the disk before the next is
counted; a line that was cut off by a crash is taken away. And for `results.parquet`, the table of
them. Refuses to run anything.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import UsageError
from replay.backtest.stats import Stats
from replay.sweep.job import Outcome

_RUNS, _TABLE = "runs.jsonl", "results.parquet"
_ENCODER = msgspec.json.Encoder(decimal_format="string")
_DECODER = msgspec.json.Decoder(Outcome)


class Ledger:
    """The outcomes in a directory; without one, in memory alone.

    Args:
        out: new, empty, or of an earlier sweep.

    Attributes:
        known: outcomes by key.

    Raises:
        UsageError: the directory holds something else, or a line that is none.
    """

    def __init__(self, out: Path | None) -> None:
        self.known: dict[str, Outcome] = {}
        self._out = out
        self._file: Any = None
        if out is None:
            return
        path = out / _RUNS
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not path.exists())):
            raise UsageError(
                f"expected a new or empty directory, or one of an earlier sweep, {out} is neither; "
                "move it, or name another"
            )
        out.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._read(path)

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome; on the disk when this returns."""
        self.known[outcome.key] = outcome
        if self._file is not None:
            self._file.write(_ENCODER.encode(outcome) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def write_table(self, outcomes: Sequence[Outcome]) -> Path | None:
        """Write the table of these outcomes beside the runs; return where."""
        if self._out is None:
            return None
        path = self._out / _TABLE
        temporary = path.with_suffix(".tmp")
        pq.write_table(table_of(outcomes), temporary, compression="zstd")
        temporary.replace(path)
        return path

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _read(self, path: Path) -> None:
        whole = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break  # cut off while it was written: its run is done again
            try:
                outcome = _DECODER.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"expected the outcome of a run in line {number} of {path}, received something "
                    f"else ({error}); remove that line: its run is done again"
                ) from error
            self.known[outcome.key] = outcome
            whole += len(line)
        self._file.truncate(whole)


def table_of(outcomes: Sequence[Outcome]) -> pa.Table:
    """Return a row for each outcome: captures, parameters, figures, digest, error.

    Parameters are columns of their names, `param_NAME` where a figure has that name. Figures that
    are money are doubles; exact text stands in the runs. A parameter with values of several types
    is text.
    """
    figures = [
        field.name
        for field in msgspec.structs.fields(Stats)
        if field.name not in ("strategy", "positions", "balances")
    ]
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.parameters))
    columns: dict[str, Any] = {"captures": [" ".join(outcome.captures) for outcome in outcomes]}
    for name in names:
        values = [outcome.parameters.get(name) for outcome in outcomes]
        kinds = {type(value) for value in values if value is not None}
        column = f"param_{name}" if name in (*figures, *_OTHERS) else name
        if kinds == {int, float}:
            values = [None if value is None else float(value) for value in values]
        elif len(kinds) > 1:
            values = [None if value is None else str(value) for value in values]
        columns[column] = values
    for name in figures:
        columns[name] = [
            _plain(None if outcome.stats is None else getattr(outcome.stats, name))
            for outcome in outcomes
        ]
    for name in _OTHERS[1:]:
        columns[name] = [getattr(outcome, name) for outcome in outcomes]
    return pa.table(columns)


_OTHERS = ("captures", "digest", "error", "exit_code", "seconds")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, str)) else float(value)
