"""Figures: how a writer stands, for whoever watches it from another thread.

Responsible for one look at plain numbers. Refuses to lock: each is right by itself, not together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from recorder.latency import Latencies

if TYPE_CHECKING:
    from recorder.capture.sealing.process import SealerProcess
    from recorder.capture.writing.appender import Appender


class WriterFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One look.

    Attributes:
        seq: of the last frame handed over; written_seq, durable_seq: see `CaptureWriter`.
        oldest_mono: `ts_mono` of the oldest frame that is not durable, None if all are.
        queued_bytes: waiting to be written; unsynced_bytes: to be durable.
        journal_bytes: written so far. segments, sealed_bytes, sealed_from: sealed so far, into
            and from so many bytes. removed: segments deleted by retention. unsealed: waiting.
        is_sealing: False while the oldest segment cannot be sealed.
        is_waiting: the disk is full, frames wait in memory. syncs: durations of `fdatasync`.
    """

    seq: int
    written_seq: int
    durable_seq: int
    oldest_mono: int | None
    queued_bytes: int
    unsynced_bytes: int
    journal_bytes: int
    segments: int
    sealed_bytes: int
    sealed_from: int
    removed: int
    unsealed: int
    is_sealing: bool
    is_waiting: bool
    syncs: Latencies


def figures_of(appender: Appender, sealer: SealerProcess, seq: int) -> WriterFigures:
    """Take a look."""
    return WriterFigures(
        seq=seq,
        written_seq=appender.written_seq,
        durable_seq=appender.durable_seq,
        oldest_mono=appender.oldest_mono,
        queued_bytes=appender.queued_bytes,
        unsynced_bytes=appender.unsynced_bytes,
        journal_bytes=appender.written_bytes,
        segments=sealer.sealed,
        sealed_bytes=sealer.sealed_bytes,
        sealed_from=sealer.journal_bytes,
        removed=sealer.removed,
        unsealed=sealer.waiting,
        is_sealing=sealer.failure is None,
        is_waiting=appender.is_waiting,
        syncs=appender.syncs,
    )
