"""`make soak`: SOAK_SECONDS (600) of faults by SOAK_SEED (the clock's, printed)."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.soak import soak


def main() -> None:
    """Run one soak, print its table, keep its files where it failed."""
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("SOAK_SEED", str(time.time_ns() // 1_000_000_000 % 1_000_000)))
    count = int(os.environ.get("SOAK_FAULTS", "30"))
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"soak: seed {seed}, {seconds:g} s, {count} faults, in {directory}", flush=True)
    result = soak(directory, seed=seed, seconds=seconds, count=count)
    print(result)
    if result.problems:
        print(f"capture and logs are kept in {directory}")
        sys.exit(1)


if __name__ == "__main__":
    main()
