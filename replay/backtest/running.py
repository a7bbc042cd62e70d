"""Running: a backtest from captures to a report.

Responsible for what is known before the first frame, for the replay that drives the simulation and
for the report. Refuses to simulate (`simulation`) and to print (`replay.cli.backtest`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture.reader import Capture, Problem, ReadReport
from recorder.clock import NS_PER_SECOND
from recorder.errors import ExitCode, UsageError
from recorder.event import InstrumentUpdate
from recorder.frame import Kind
from recorder.okx.faults import Fault, Scenario
from recorder.okx.interpreter import Interpreter
from replay.backtest.results import write_json
from replay.backtest.settings import Settings, make_settings
from replay.backtest.simulation import Simulation
from replay.backtest.stats import Stats
from replay.player import Progress, play
from replay.source import Named, captures_of

ASSUMPTIONS = (
    "own impact is ignored: what an order takes is there again for the next, and others do as "
    "they did",
    "resting orders get no more than recorded trades left at or beyond their price, or others "
    "quoted across it",
    "while a book is not whole nothing trades and new orders are refused with 51149",
    "positions are not liquidated; open ones are valued at the end, not closed",
    "the clocks of recorder and venue are taken as equal, but nothing is received before it was "
    "sent",
)
"""What every backtest assumes; it stands in the report."""


_START_NS = 60 * NS_PER_SECOND


class BacktestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest came to; the JSON of `replay backtest --json`, and `report.json`.

    Attributes:
        captures: their paths. settings: what was assumed beyond the recording; assumptions: always.
        frames, events: played. start, end: of data time, ns, None where nothing was played.
        digest: of every row of the results: equal for equal runs. rows: by table.
        strategies: the result of each. warnings: what its reader should know.
        lost_rows, torn_tail, problems: see `ReadReport`.
    """

    captures: list[str]
    settings: Settings
    assumptions: tuple[str, ...]
    frames: int
    events: int
    start: int | None
    end: int | None
    digest: str
    rows: dict[str, int]
    strategies: list[Stats]
    warnings: list[str]
    lost_rows: int
    torn_tail: bool
    problems: list[Problem]

    @property
    def exit_code(self) -> ExitCode:
        """0 whole, 3 with declared loss or a torn tail, 1 where a part had to be skipped."""
        if self.problems:
            return ExitCode.FAILED
        return ExitCode.LOSS if self.lost_rows or self.torn_tail else ExitCode.DONE


class Backtest(msgspec.Struct, frozen=True):
    """A finished backtest.

    Attributes:
        report: what it came to. rows: by table, as objects; empty where tables were written.
        seconds: it took, wall time; no part of the report, which is the same for equal runs.
    """

    report: BacktestReport
    rows: dict[str, list[dict[str, Any]]]
    seconds: float


def backtest(
    capture: Named | Sequence[Named],
    strategy: object,
    *,
    out: str | os.PathLike[str] | None = None,
    keep: bool = True,
    start: int | None = None,
    end: int | None = None,
    channels: Iterable[str] | str | None = None,
    instruments: Iterable[str] | str | None = None,
    faults: Scenario | Iterable[str | Fault] = (),
    fault_seed: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    **settings: Any,
) -> Backtest:
    """Let strategies trade on captures; return what they came to.

    Args:
        capture, start, end, channels, instruments: see `replay.play`.
        strategy: see `recorder.strategy`; each item of a list trades with an account of its own.
        out: new directory for the tables (Parquet), `stats.json` and `report.json`.
        keep: without `out`, keep all rows in memory and return them.
        faults, fault_seed: what shall go wrong on the way; see `replay.play`.
        settings: `cash`, `leverage`, `maker_fee`, `taker_fee`, `latency`, `queue`, `currency`,
            `sample`, `seed`; see `replay.backtest.settings.make_settings`.

    Raises:
        NotACapture: there is none at this path. UsageError: an option that cannot be.
        Exception: whatever a strategy raises, with a note of the event in hand.
    """
    try:
        assumed = make_settings(**settings)
    except TypeError as error:
        raise UsageError(f"expected settings of a backtest, received another: {error}") from error
    captures = captures_of(capture)
    directory = None if out is None else Path(out)
    is_filtered = not (channels is instruments is None)
    known = [
        rules for item in captures for rules in _rules_before(item, start, is_filtered=is_filtered)
    ]
    simulation = Simulation(strategy, assumed, out=directory, keep=keep, known=known)
    try:
        played = play(
            captures,
            simulation,
            start=start,
            end=end,
            channels=channels,
            instruments=instruments,
            faults=faults,
            seed=fault_seed,
            on_progress=on_progress,
        )
    except BaseException:
        simulation.results.abandon()
        raise
    digest = simulation.results.close()
    report = BacktestReport(
        captures=[str(item.path) for item in captures],
        settings=assumed,
        assumptions=ASSUMPTIONS,
        frames=played.frames,
        events=played.events,
        start=simulation.start,
        end=simulation.end,
        digest=digest,
        rows=simulation.results.counts,
        strategies=simulation.stats(),
        warnings=simulation.warnings(),
        lost_rows=played.lost_rows,
        torn_tail=played.torn_tail,
        problems=played.problems,
    )
    if directory is not None:
        write_json(directory, "stats.json", report.strategies)
        write_json(directory, "report.json", report)
    rows = simulation.results.objects() if directory is None else {}
    return Backtest(report, rows, played.seconds)


def _rules_before(
    capture: Capture, start: int | None, *, is_filtered: bool
) -> list[InstrumentUpdate]:
    """Return the rules of instruments that the replay itself does not bring, the latest of each.

    They stand in REST bodies and in pushes of `instruments`, and no checkpoint holds them. Before a
    window: all that were recorded until then. A filter drops REST rows, so with one and without
    a window: those of the recording's first minute, which it asked for at its start.
    """
    found: dict[str, InstrumentUpdate] = {}
    if start is None:
        first = next(capture.frames(report=ReadReport()), None)
        if first is None or not is_filtered:
            return []
        start = first.ts_recv + _START_NS
    interpreter = Interpreter()
    wanted: tuple[tuple[tuple[Kind, ...], list[str] | None], ...] = (
        ((Kind.REST, Kind.SENT), None),
        ((Kind.TEXT,), ["instruments"]),
    )
    for kinds, channels in wanted:
        frames = capture.frames(end=start, kinds=kinds, channels=channels, report=ReadReport())
        for frame in frames:
            for event in interpreter.step(frame):
                if isinstance(event, InstrumentUpdate):
                    found[event.instrument] = event
    return list(found.values())
