"""What a torture found, for a person: one line a goal, and what was lost as histograms.

Responsible for the tables. Refuses to judge: `checker` has.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

FRAMES = (0, 1, 10, 100, 1_000)
MS = (0.0, 5.0, 20.0, 70.0, 300.0)


class Result(msgspec.Struct, kw_only=True):
    """One goal.

    Attributes:
        runs: experiments. frames, ms: what each run lost. figures: worst of what else was measured.
        skipped: why the machine cannot. wrong: broken promises.
    """

    goal: str
    title: str
    runs: int = 0
    seconds: float = 0.0
    frames: list[int] = []
    ms: list[float] = []
    figures: dict[str, float] = {}
    skipped: str = ""
    wrong: list[str] = []

    def lost(self, frames: int, ms: float | None = None) -> None:
        """Note one run and what it lost."""
        self.runs += 1
        self.frames.append(frames)
        if ms is not None:
            self.ms.append(ms)

    def worst(self, name: str, value: float) -> None:
        """Keep the highest value of a figure."""
        self.figures[name] = max(self.figures.get(name, value), value)


def histogram(values: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """Return how many values are at most each bound, and above the last."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[next((n for n, bound in enumerate(bounds) if value <= bound), len(bounds))] += 1
    return counts


def show(console: Console, results: Sequence[Result]) -> None:
    """Print the tables."""
    table = Table("goal", "runs", "seconds", "outcome", "measured", title="goals")
    for result in results:
        outcome = "held" if not result.wrong else f"BROKEN {len(result.wrong)} times"
        figures = ", ".join(f"{name} {value:,.1f}" for name, value in result.figures.items())
        if result.skipped:
            outcome = f"skipped: {result.skipped}"
        row = (f"{result.goal} {result.title}", f"{result.runs:,}", f"{result.seconds:.0f}")
        table.add_row(*row, outcome, figures)
    console.print(table)
    for name, bounds, pick in (
        ("frames lost a run", FRAMES, lambda result: result.frames),
        ("age of the oldest frame lost, ms", MS, lambda result: result.ms),
    ):
        heads = [f"≤ {bound:g}" for bound in bounds] + [f"> {bounds[-1]:g}", "worst"]
        table = Table("goal", *heads, title=name)
        for result in results:
            values = pick(result)
            if values:
                counts = map(str, histogram(values, bounds))
                table.add_row(f"{result.goal} {result.title}", *counts, f"{max(values):,.1f}")
        console.print(table)
    for result in results:
        for sentence in result.wrong:
            console.print(f"[bold]goal {result.goal} broken:[/bold] {sentence}", markup=True)
