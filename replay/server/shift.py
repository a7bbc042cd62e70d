"""How far recorded times are from now.

Responsible for the shift that `--retime` moves them by. Refuses to change a message:
`okx.retimed` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from replay.pace import Speed

_DRIFT_NS = NS_PER_SECOND


class NowShift:
    """The shift from the time of the recording to now.

    At the speed of the recording it stays what it is until it is a second wrong, after a pause for
    instance, so that times keep their distances; at any other speed there are no distances to
    keep, and each message is moved to the moment it is sent.

    Args:
        speed: the speed now. clock: wall clock, ns.
    """

    def __init__(
        self, speed: Callable[[], Speed], *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._shift = 0

    def shift_ms(self, at: int) -> int:
        """Return the shift in milliseconds for what was received at `at`, ns."""
        shift = self._clock() - at
        if self._speed() != 1 or abs(shift - self._shift) > _DRIFT_NS:
            self._shift = shift
        return self._shift // NS_PER_MS
