"""Finish: seal the journals that a dead recorder completed, and add nothing.

Responsible for the part of recovery that changes nothing a capture says: journals that are whole
and ended become sealed segments. Refuses to cut, to set aside and to declare a loss: that is
`recover`, and this stops at the first journal that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

Progress = Callable[[int], None]


class FinishReport(msgspec.Struct, kw_only=True):
    """What was sealed.

    Attributes:
        segments, frames: sealed. left: journals that `recorder recover` has to look at.
    """

    segments: int = 0
    frames: int = 0
    left: list[str] = msgspec.field(default_factory=list)


def seal_journals(
    path: str | os.PathLike[str], *, progress: Progress | None = None
) -> FinishReport:
    """Seal what lies whole in the journals of a capture that nobody records.

    Raises:
        NotACapture: there is none. UsageError: a recorder is writing it.
        DiskFull: no room; nothing is lost.
    """
    raise NotImplementedError
