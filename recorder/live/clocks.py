"""Watch the wall clock against the monotonic one, so that a step is a row and not a mystery.

Responsible for finding steps and for the periodic clock sample. Refuses to correct a stamp.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from typing import Any

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.live.connection import Stamp, read_clocks

STEP_NS = 5 * NS_PER_MS
"""A change of (wall − monotonic) between two looks that counts as a step.

NTP slews by at most 0.5 ms per second, and the recorder looks at least once a second.
"""

SAMPLE_NS = 60 * NS_PER_SECOND

_TIMEX = struct.Struct("@iqqqqi")  # modes, offset, freq, maxerror, esterror, status
_UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2)


class ClockWatch:
    """Compare each stamp with the one before."""

    def __init__(self) -> None:
        self._offset: int | None = None
        self._sample_due = 0

    def settle(self, stamp: Stamp) -> Stamp:
        """Return a stamp whose two clocks were surely read together.

        A thread that is descheduled between the two reads makes a pair that looks like a step.
        Only a suspicious pair is read again; that is still before anything of the read is handed
        on.
        """
        if self._offset is None or abs(stamp.ts_recv - stamp.ts_mono - self._offset) <= STEP_NS:
            return stamp
        best, best_width = stamp, None
        for _ in range(3):
            before = read_clocks()
            after = read_clocks()
            width = after.ts_mono - before.ts_mono
            if best_width is None or width < best_width:
                best, best_width = before, width
        return best

    def look(self, stamp: Stamp) -> dict[str, Any] | None:
        """Return the `clock` row that a settled stamp calls for, None for none.

        The row holds `step` (ns the wall clock jumped, null in a sample), `offset` (wall minus
        monotonic, ns) and, in a sample, `state` with what the system knows about its own clock.
        """
        offset = stamp.ts_recv - stamp.ts_mono
        previous, self._offset = self._offset, offset
        if previous is not None and abs(offset - previous) > STEP_NS:
            return {"step": offset - previous, "offset": offset}
        if stamp.ts_mono >= self._sample_due:
            self._sample_due = stamp.ts_mono + SAMPLE_NS
            return {"step": None, "offset": offset, "state": clock_state()}
        return None


def clock_state() -> dict[str, Any] | None:
    """Ask Linux how well its clock is disciplined; None where it does not tell.

    Returns:
        `synchronized`, `max_error_us` and `estimated_error_us`, as adjtimex(2) reports them.
    """
    if sys.platform != "linux":
        return None
    try:
        buffer = ctypes.create_string_buffer(512)  # struct timex is 208 bytes
        result = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if result < 0:
        return None
    _, _, _, max_error, estimated_error, _ = _TIMEX.unpack_from(buffer.raw)
    return {
        "synchronized": result != _UNSYNCHRONIZED,
        "max_error_us": max_error,
        "estimated_error_us": estimated_error,
    }
