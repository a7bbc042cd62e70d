"""Earlier: what a segment must know of everything before it, by the metadata of sealed files.

Responsible for the two running values that each sealed segment carries on (docs/format.md, "Sealed
segment"): the highest connection number and the highest `ts_recv`. Refuses to read frames.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.segment import SegmentReader
from recorder.errors import Damage


def last_connection_before(root: Path, segment: int) -> int:
    """Return a number that no connection before a segment is above, -1 if there is none.

    It is the highest one, unless a segment cannot be read: that one may have begun a connection
    with every frame, and a number must never be used twice.
    """
    unknown = 0
    for sealed in reversed(layout.list_sealed(root)):
        if sealed.segment >= segment:
            continue
        try:
            reader = SegmentReader(root, sealed.path, sealed.segment)
        except Damage:
            unknown += sealed.last_seq - sealed.first_seq + 1
            continue
        except FileNotFoundError:  # joined or expired since it was listed
            return last_connection_before(root, segment)
        reader.close()
        return reader.meta.last_connection + unknown
    return unknown - 1


def latest_before(root: Path, segment: int) -> int | None:
    """Return the highest `ts_recv` of everything before a segment; None where nobody knows.

    That is where a segment cannot be read, or an earlier one is to be sealed after this one.
    """
    if any(journal < segment for journal in layout.list_journals(root)):
        return None
    latest = 0
    for sealed in reversed(layout.list_sealed(root)):
        if sealed.segment >= segment:
            continue
        try:
            reader = SegmentReader(root, sealed.path, sealed.segment)
        except (Damage, FileNotFoundError):
            return None
        reader.close()
        latest = max(latest, reader.meta.max_ts_recv)
        if reader.meta.latest_ts_recv is not msgspec.UNSET:
            return max(latest, reader.meta.latest_ts_recv)
    return latest
