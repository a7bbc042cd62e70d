"""`make bench`: how fast and how small, as ratios to something measured in the same run.

Absolute figures of a shared machine say little; the ratio to a bare loop over the same frames,
taken in turn in one process, says what our code costs. Nothing here is asserted: the aims stand
beside the figures, for a person to judge.

    make bench                           200,000 frames
    make bench BENCH_FRAMES=1000000
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import asking, measure, moments, tables, trading
from tests.bench.measure import Figure


def main() -> None:
    """Run every measurement and print one table."""
    frames = int(os.environ.get("BENCH_FRAMES", "200000"))
    talk = Console(stderr=True)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="okx-recorder-bench-") as scratch:
        talk.print(f"making {frames:,} simulated frames …")
        corpus = measure.make_corpus(Path(scratch), frames)
        jobs = measure.JOBS | moments.JOBS | asking.JOBS | trading.JOBS | tables.JOBS
        for name, job in jobs.items():
            talk.print(f"measuring {name} …")
            figures += job(corpus)
    table = Table(title=f"{frames:,} frames of a simulated session", title_justify="left")
    for heading, justify in (
        ("what", "left"), ("ours", "right"), ("beside", "left"), ("theirs", "right"),
        ("ratio", "right"), ("aim", "right"),
    ):  # fmt: skip
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for figure in figures:
        table.add_row(
            figure.what, figure.ours, figure.beside, figure.theirs,
            f"{figure.ratio:.2f}", figure.aim or "",
        )  # fmt: skip
    Console(width=120 if not sys.stdout.isatty() else None).print(table)


if __name__ == "__main__":
    main()
