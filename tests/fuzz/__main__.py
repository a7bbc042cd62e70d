"""`make fuzz`: each target for a while (FUZZ_SECONDS=60 FUZZ_SEED=0 FUZZ_TARGETS=parse,sealed)."""

from __future__ import annotations

import os
import sys
import time

from tests.fuzz.fuzzer import SEEDS, fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz; return 1 where anything went wrong."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    seed = int(os.environ.get("FUZZ_SEED", "0"))
    names = os.environ.get("FUZZ_TARGETS", ",".join(TARGETS)).split(",")
    failed = 0
    for name in names:
        end = time.monotonic() + seconds / len(names)
        tried, faults = fuzz(name, seed, lambda _, end=end: time.monotonic() < end)
        print(f"{name:<12} {tried:>9,} inputs, {len(faults)} faults")
        for fault in faults:
            print(f"  {fault}")
        failed += len(faults)
    if failed:
        print(f"inputs that failed are kept in {SEEDS}; the tests try them from now on")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
