"""Tally: what a run of frames and their events add up to.

Responsible for the counts in a segment's metadata and in `info`, made by one code from frames
that pass through one interpreter. Refuses to read files.
"""

from __future__ import annotations

import msgspec

from recorder.capture.batch import Index
from recorder.capture.segment import ChannelCount
from recorder.event import Event, Lost, SequenceGap, Unrecognized
from recorder.frame import LABELS, Frame, Kind

_COUNTED = frozenset({SequenceGap, Unrecognized, Lost})


class Tally:
    """Counts over frames in seq order; the names are those of the segment metadata."""

    def __init__(self) -> None:
        self.count = 0
        self.raw_bytes = 0
        self.first: Frame | None = None
        self.last: Frame | None = None
        self.min_ts_recv = 0
        self.max_ts_recv = 0
        self.events = 0
        self.gaps = 0
        self.unrecognized = 0
        self.lost_rows = 0
        self.lost = 0
        self.last_connection = -1
        self._kinds = [0] * len(LABELS)
        self._channels: dict[str, tuple[list[int], dict[str, None]]] = {}

    def add(self, frame: Frame, index: Index, events: list[Event]) -> None:
        """Count a frame, its routing index and its events."""
        size = len(frame.payload)
        ts_recv = frame.ts_recv
        if self.first is None:
            self.first = frame
            self.min_ts_recv = self.max_ts_recv = ts_recv
        elif ts_recv > self.max_ts_recv:
            self.max_ts_recv = ts_recv
        elif ts_recv < self.min_ts_recv:
            self.min_ts_recv = ts_recv
        self.last = frame
        self.count += 1
        self.raw_bytes += size
        self._kinds[frame.kind] += 1
        if frame.connection > self.last_connection:
            self.last_connection = frame.connection
        channel, instrument = index
        if channel is not None:
            seen = self._channels.get(channel)
            if seen is None:
                seen = self._channels[channel] = ([0, 0], {})
            seen[0][0] += 1
            seen[0][1] += size
            if instrument is not None:
                seen[1][instrument] = None
        self.events += len(events)
        for event in events:
            if type(event) in _COUNTED:
                self._count(event)
        if frame.kind is Kind.LOST:
            self.lost_rows += 1

    def _count(self, event: Event) -> None:
        if isinstance(event, SequenceGap):
            self.gaps += 1
        elif isinstance(event, Unrecognized):
            self.unrecognized += 1
        elif isinstance(event, Lost):
            self.lost += event.count or 0

    @property
    def runs(self) -> int:
        """`run` rows."""
        return self._kinds[Kind.RUN]

    @property
    def connections(self) -> int:
        """`opened` rows."""
        return self._kinds[Kind.OPENED]

    def kinds(self) -> dict[str, int]:
        """Return frames by kind label, kinds without frames left out."""
        return {label: count for label, count in zip(LABELS, self._kinds, strict=True) if count}

    def channels(self) -> dict[str, ChannelCount]:
        """Return what each channel holds, channels and instruments sorted."""
        return {
            channel: ChannelCount(counts[0], counts[1], sorted(instruments))
            for channel, (counts, instruments) in sorted(self._channels.items())
        }


def integrity_counts(integrity: msgspec.Struct) -> dict[str, int]:
    """Return an interpreter's counts as a plain mapping."""
    return dict(msgspec.structs.asdict(integrity))


def subtract(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Return how far each count rose."""
    return {name: count - before.get(name, 0) for name, count in after.items()}
