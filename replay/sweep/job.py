"""Jobs: one backtest of a sweep, as data that travels to another process, and what came of it.

Responsible for one run from start to end, also where the strategy fails: a failed run is a result.
Refuses to know other runs, and to write.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import msgspec

from recorder.capture.digest import new_hash
from recorder.errors import RecorderError
from recorder.strategy import load_strategy
from replay.backtest.running import backtest
from replay.backtest.stats import Stats
from replay.sweep.grid import Value

_TOLD = 4_000
"""Characters of a failed run's traceback that are kept: the last ones."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what `replay.backtest.backtest` is called with.

    Attributes:
        number: its place in the grid. captures: played as one. parameters: of the strategy's class.
        identity: digest of the captures' frames and of the strategy's source, by name: what is
            changed since makes another run of it.
        folder: modules of it can be named.
    """

    number: int
    captures: tuple[str, ...]
    strategy: str
    parameters: dict[str, Value]
    start: int | None = None
    end: int | None = None
    channels: tuple[str, ...] | None = None
    instruments: tuple[str, ...] | None = None
    settings: dict[str, Any] = {}
    identity: dict[str, str] = {}
    folder: str | None = None

    @property
    def key(self) -> str:
        """What tells this run from every other, hex; the same wherever and whenever it is asked."""
        said = msgspec.structs.replace(self, number=0, folder=None)
        hashed = new_hash()
        hashed.update(msgspec.json.encode(said, order="sorted"))
        return hashed.hexdigest()[:32]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; a line of `runs.jsonl`.

    Attributes:
        stats, digest: of its results; None where it failed.
        error: one line, why it failed; traceback: the end of it, where the strategy raised.
        exit_code: as of `replay backtest`: 3 with declared loss, 1 where a part was skipped.
        seconds: it took, wall time; says nothing of the result.
    """

    key: str
    captures: tuple[str, ...]
    parameters: dict[str, Value]
    stats: Stats | None = None
    digest: str | None = None
    warnings: list[str] = []
    error: str | None = None
    traceback: str | None = None
    exit_code: int = 0
    seconds: float = 0.0


def run(job: Job) -> Outcome:
    """Run one job; never raises but for what ends the process.

    A strategy that calls `sys.exit` has failed, like one that raises.
    """
    if job.folder is not None and job.folder not in sys.path:
        sys.path.insert(0, job.folder)
    about: dict[str, Any] = {
        "key": job.key, "captures": job.captures, "parameters": job.parameters,
    }  # fmt: skip
    try:
        strategy = load_strategy(job.strategy, job.parameters)
        done = backtest(
            list(job.captures),
            strategy,
            start=job.start,
            end=job.end,
            channels=job.channels,
            instruments=job.instruments,
            **job.settings,
        )
    except RecorderError as error:
        return Outcome(error=str(error), exit_code=1, **about)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a strategy that fails is a result
        told = "".join(traceback.format_exception(error))[-_TOLD:]
        return Outcome(
            error=f"{type(error).__name__}: {error}", traceback=told, exit_code=1, **about
        )
    return Outcome(
        stats=done.report.strategies[0],
        digest=done.report.digest,
        warnings=done.report.warnings,
        exit_code=int(done.report.exit_code),
        seconds=done.seconds,
        **about,
    )
