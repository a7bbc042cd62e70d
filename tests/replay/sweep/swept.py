"""A strategy for the tests of sweeps; their processes import it by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

TICK = 100_000_000


class Taker:
    """Buys a little now and then.

    Args:
        every: tenths of a second between two orders.
        size: of each, base currency, as text.
        mishap: "raise", "exit" or "kill" ends the run; a path: kills the process once, the first
            that makes the file.
    """

    def __init__(self, every: int = 10, size: str = "0.01", mishap: str = "") -> None:
        self.every, self.size, self.mishap = every, size, mishap

    def on_start(self, context: Any) -> None:
        context.every(self.every * TICK)

    def on_timer(self, timer: Any, context: Any) -> None:
        if self.mishap:
            self._fail()
        book = context.books.get("BTC-USDT")
        if book and book.is_whole:
            context.buy("BTC-USDT", self.size, kind="market")

    def _fail(self) -> None:
        if self.mishap == "raise":
            raise ZeroDivisionError("on purpose")
        if self.mishap == "exit":
            raise SystemExit(3)
        if self.mishap != "kill":
            try:
                Path(self.mishap).touch(exist_ok=False)
            except FileExistsError:
                return
        os.kill(os.getpid(), signal.SIGKILL)


def still(event: object, context: object) -> None:
    """Nothing to give parameters to."""
