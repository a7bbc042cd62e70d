"""Counts: how one sink is doing, as plain numbers anybody may look at.

Responsible for their names, which `status.json`, reports and metrics share. Refuses to count.
"""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct, omit_defaults=False):
    """How one sink is doing; plain attributes, written by its thread, read by anybody.

    Attributes:
        state: `opening`, `ready`, `down` (it failed, and is tried again), `refused` (the same, but
            a person must change something), `ended`.
        records: kept by the sink so far; batches: in so many; refused: those among them that it
            could keep only aside, because of what they hold.
        failures: of any kind; missed: frames that the capture held no more when it came to them.
        seq, index: its position; None before it is known. waiting: records on their way.
        error: the latest failure, in words without secrets; None while all is well.
        seconds: that the sink took for the batches so far.
    """

    state: str = "opening"
    records: int = 0
    batches: int = 0
    refused: int = 0
    failures: int = 0
    missed: int = 0
    seq: int | None = None
    index: int | None = None
    waiting: int = 0
    error: str | None = None
    seconds: float = 0.0
