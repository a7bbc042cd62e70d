"""Rebuild the committed captures: `python -m datasets.build [NAME…]`, run by `make datasets`.

Responsible for the recipe of each dataset. Refuses to keep anything of the machine it runs on: the
same recipe gives the same files on every supported version.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from recorder.capture.reader import Capture
from replay.simulation.simulator import simulate

FOLDER = Path(__file__).resolve().parent

RECIPES: dict[str, dict[str, Any]] = {
    "btc-calm": {
        "seed": 20261102,
        "instruments": ("BTC-USDT",),
        "duration": 150.0,
        "rate": 0.35,
        "scenario": "calm",
        "note": "Simulated. A quiet BTC-USDT session with a silent stretch of 75 s.",
    },
    "eth-stress": {
        "seed": 20261103,
        "instruments": ("ETH-USDT", "ETH-USDT-SWAP"),
        "duration": 60.0,
        "rate": 0.25,
        "scenario": "stress",
        "note": "Simulated. ETH-USDT spot and swap with a sequence reset, a gap, a frenzy and a "
        "disconnect.",
    },
    "every-channel": {
        "seed": 20261104,
        "duration": 30.0,
        "rate": 0.1,
        "scenario": "every-channel",
        "note": "Simulated. Every channel of OKX, on logged-in sockets, with a trading account.",
    },
}
"""Arguments of `replay.simulation.simulator.simulate`, by dataset."""

KEPT = ("capture.json", "frames", "checkpoints")
"""What of a capture is committed; the rest (lock, empty folders) a reader does not need."""


def build(name: str, folder: Path) -> Path:
    """Make one dataset in `folder` and return its path, which must not exist yet."""
    target = folder / name
    simulate(target, reproducible=True, segment_seconds=3_600.0, **RECIPES[name])
    for path in target.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return target


def main(names: list[str]) -> int:
    """Rebuild the named datasets (all of them by default) in place."""
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        print(
            f"error: expected datasets out of {', '.join(RECIPES)}, received {unknown[0]!r}",
            file=sys.stderr,
        )
        return 2
    for name in names or list(RECIPES):
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".building-") as building:
            made = build(name, Path(building))
            target = FOLDER / name
            if target.exists():
                shutil.rmtree(target)
            made.rename(target)
        info = Capture(target).info()
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        print(f"{name}: {info.frames:,} frames, {size:,} bytes, digest {info.input_digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
