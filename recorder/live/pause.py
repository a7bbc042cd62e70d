"""Waiting for a moment of the monotonic clock, unless told to stop.

Responsible for this one wait. Refuses to say when: `live.schedule` does.
"""

from __future__ import annotations

import asyncio

from recorder.clock import NS_PER_SECOND
from recorder.live.connection import read_clocks


async def pause_until(moment: int, stopping: asyncio.Event) -> None:
    """Wait until a monotonic time, ns, or until `stopping` is set; not at all if it has passed."""
    delay = (moment - read_clocks().ts_mono) / NS_PER_SECOND
    if delay > 0:
        try:
            async with asyncio.timeout(delay):
                await stopping.wait()
        except TimeoutError:
            return
