"""What was injected into a stream, and what an interpreter noticed of it.

Responsible for the list and the table of a report. Refuses to grow with the stream: the first
thousand are listed, all are counted, and `on_fault` is told of every one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

LISTED_MAX = 1_000


class Injected(msgspec.Struct):
    """One fault that was put into a stream.

    Attributes:
        seq, ts_recv, connection: of the recorded frame it was about.
        fault: its kind; channel, instrument: where the frame has them; detail: what was done.
        noticed: event by which an interpreter noticed it first, None while it has not.
    """

    seq: int
    ts_recv: int
    connection: int
    fault: str
    channel: str | None
    instrument: str | None
    detail: str
    noticed: str | None = None


class InjectedCount(msgspec.Struct):
    """How many faults of a kind were put into a channel.

    Attributes:
        injected: in all; noticed: of these, by the event that told of them first.
    """

    fault: str
    channel: str | None
    injected: int = 0
    noticed: dict[str, int] = {}


class FaultReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was injected; the key `faults` of a report.

    Attributes:
        seed: of the scenario.
        injected: how many faults in all; healed: books that got a rebuilt snapshot after one.
        early: frames held back that went on early, because too much would have been held.
        table: by kind and channel; listed: the first `LISTED_MAX`.
    """

    seed: int
    injected: int
    healed: int
    early: int
    table: list[InjectedCount]
    listed: list[Injected]


def together(reports: Sequence[FaultReport]) -> FaultReport:
    """Return the reports of several streams as one; the seed is that of the first."""
    counts: dict[tuple[str, str | None], InjectedCount] = {}
    for row in (row for report in reports for row in report.table):
        count = counts.setdefault((row.fault, row.channel), InjectedCount(row.fault, row.channel))
        count.injected += row.injected
        for event, noticed in row.noticed.items():
            count.noticed[event] = count.noticed.get(event, 0) + noticed
    listed = sorted((item for report in reports for item in report.listed), key=_when)
    return FaultReport(
        seed=reports[0].seed,
        injected=sum(report.injected for report in reports),
        healed=sum(report.healed for report in reports),
        early=sum(report.early for report in reports),
        table=_in_order(counts),
        listed=listed[:LISTED_MAX],
    )


def _when(fault: Injected) -> int:
    return fault.ts_recv


def _in_order(counts: dict[tuple[str, str | None], InjectedCount]) -> list[InjectedCount]:
    return [counts[key] for key in sorted(counts, key=lambda key: (key[0], key[1] or ""))]


class FaultLog:
    """The faults of one stream so far.

    Args:
        on_fault: is told of every one, as it happens.
    """

    def __init__(self, seed: int, on_fault: Callable[[Injected], object] | None = None) -> None:
        self.healed = 0
        self.early = 0
        self._seed = seed
        self._on_fault = on_fault
        self._injected = 0
        self._listed: list[Injected] = []
        self._counts: dict[tuple[str, str | None], InjectedCount] = {}

    def add(self, fault: Injected) -> None:
        """Take note of one."""
        self._injected += 1
        if len(self._listed) < LISTED_MAX:
            self._listed.append(fault)
        key = (fault.fault, fault.channel)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = InjectedCount(*key)
        count.injected += 1
        if self._on_fault is not None:
            self._on_fault(fault)

    def notice(self, fault: Injected, event: str) -> None:
        """An interpreter told of one; only the first time counts."""
        if fault.noticed is None:
            fault.noticed = event
            noticed = self._counts[fault.fault, fault.channel].noticed
            noticed[event] = noticed.get(event, 0) + 1

    def report(self) -> FaultReport:
        """Return all of it."""
        return FaultReport(
            seed=self._seed,
            injected=self._injected,
            healed=self.healed,
            early=self.early,
            table=_in_order(self._counts),
            listed=list(self._listed),
        )
