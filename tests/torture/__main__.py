"""`make torture`: break captures in every way there is a goal for, and count what it cost.

    make torture                                   twenty minutes, a new seed
    make torture TORTURE_MINUTES=60 TORTURE_SEED=7
    make torture TORTURE_GOALS=1,3                 some goals only

Prints the plan, then each goal's progress, then a table per goal with what was lost in frames and
milliseconds. Ends with 1 where a promise was broken; the sentence names the seed and leaves the
evidence.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.torture import report
from tests.torture.plan import GOALS, Torture


def main() -> int:
    """Run the goals one after the other, each within its share of the time."""
    minutes = float(os.environ.get("TORTURE_MINUTES", "20"))
    seed = int(os.environ.get("TORTURE_SEED", "0")) or random.randrange(1, 1 << 30)
    chosen = os.environ.get("TORTURE_GOALS", "")
    goals = [goal for goal in GOALS if not chosen or goal.number in chosen.split(",")]
    console = Console(width=110, highlight=False)
    console.print(f"torture: {minutes:g} minutes, TORTURE_SEED={seed}")
    total = sum(goal.share for goal in goals)
    for goal in goals:
        seconds = minutes * 60 * goal.share / total
        console.print(f"  goal {goal.number:>2}  {seconds:5.0f} s  {goal.title}")
    scratch = Path(tempfile.mkdtemp(prefix="okx-recorder-torture-"))
    results = []
    for goal in goals:
        seconds = minutes * 60 * goal.share / total
        with Torture(scratch, seed, seconds, console) as torture:
            results.append(torture.run(goal))
    report.show(console, results)
    failed = [result for result in results if result.wrong]
    if not failed:
        for path in sorted(scratch.rglob("*"), reverse=True):
            path.unlink() if not path.is_dir() else path.rmdir()
        scratch.rmdir()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
