"""Tally: what a run of frames and their events add up to.

Responsible for the counts in a segment's metadata and in `info`, made by one code from frames
that pass through one interpreter. Refuses to read files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import msgspec

from recorder.capture.batch import FrameBatch, Index
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
        self.lost = 0
        self.last_connection = -1
        self._kinds = [0] * len(LABELS)
        self._keys: defaultdict[Index, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, batch: FrameBatch, step: Callable[[Frame], list[Event]] | None) -> None:
        """Count frames (at least one), and the events that `step` gives for them."""
        self.count += len(batch)
        self.raw_bytes += sum(map(len, batch.payload))
        low, high = min(batch.ts_recv), max(batch.ts_recv)
        if self.first is None:
            self.first = next(batch.frames())
            self.min_ts_recv, self.max_ts_recv = low, high
        self.min_ts_recv = min(self.min_ts_recv, low)
        self.max_ts_recv = max(self.max_ts_recv, high)
        self.last = next(batch.part(len(batch) - 1, len(batch)).frames())
        self.last_connection = max(self.last_connection, *batch.connection)
        for kind, count in Counter(batch.kind).items():
            self._kinds[kind] += count
        if step is None:
            return
        counted, events = _COUNTED, 0
        for frame in batch.frames():
            found = step(frame)
            events += len(found)
            for event in found:
                if type(event) in counted:
                    self._count(event)
        self.events += events

    def add_channels(self, batch: FrameBatch, index: Iterable[Index]) -> None:
        """Count frames under their channels."""
        seen = self._keys
        for key, payload in zip(index, batch.payload, strict=True):
            counts = seen[key]
            counts[0] += 1
            counts[1] += len(payload)

    def _count(self, event: Event) -> None:
        if isinstance(event, SequenceGap):
            self.gaps += 1
        elif isinstance(event, Unrecognized):
            self.unrecognized += 1
        elif isinstance(event, Lost):
            self.lost += event.count or 0

    @property
    def lost_rows(self) -> int:
        """`lost` rows."""
        return self._kinds[Kind.LOST]

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
        found: dict[str, ChannelCount] = {}
        rows = ((c, i or "", counts) for (c, i), counts in self._keys.items() if c is not None)
        for channel, instrument, (frames, size) in sorted(rows):
            count = found.setdefault(channel, ChannelCount())
            count.frames += frames
            count.bytes += size
            if instrument:
                count.instruments.append(instrument)
        return found


def integrity_counts(integrity: msgspec.Struct) -> dict[str, int]:
    """Return an interpreter's counts as a plain mapping."""
    return dict(msgspec.structs.asdict(integrity))


def subtract(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """Return how far each count rose."""
    return {name: count - before.get(name, 0) for name, count in after.items()}
