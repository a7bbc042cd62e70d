"""Signals: the first one ends a command cleanly, a later one at once."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from recorder.cli import ending


async def test_a_signal_that_comes_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `timeout 3600 recorder record …` sends it: to the child, then to the group."""
    monkeypatch.setattr(ending, "_SAME_SIGNAL_S", 3)  # no stall between two lines is as long
    told: list[str] = []
    stop = asyncio.Event()
    before = signal.getsignal(signal.SIGTERM)
    with ending.stopped_by_signals(stop, told.append, "closing"):
        ours = signal.getsignal(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)  # would end this process
        assert told == ["SIGTERM: closing; once more to leave at once"]
        assert signal.getsignal(signal.SIGTERM) == ours
        for _ in range(1000):
            if signal.getsignal(signal.SIGTERM) == before:
                break
            await asyncio.sleep(0.05)
        assert signal.getsignal(signal.SIGTERM) == before
    assert len(told) == 1
