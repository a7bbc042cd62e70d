"""The footer of a sealed segment alone: what it says of itself, for a few KiB of reading.

Responsible for asking thousands of segments for their times: opening one as Parquet reads its last
64 KiB, which may be most of it. Refuses to check the file: whoever reads its rows does.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet

from recorder.capture.place import Place, Remote
from recorder.capture.segment import META_KEY, SegmentMeta
from recorder.errors import Damage, RecorderError

pa: Any = pyarrow
pq: Any = pyarrow.parquet

_FIRST_READ = 4096
_END = 8
"""Behind the footer: its length, and `PAR1`."""


def read_meta(root: Place, path: str, segment: int) -> SegmentMeta:
    """Return what a sealed segment says of itself.

    Raises:
        FileNotFoundError: it is gone. Damage: its footer cannot be read.
        StoreFailed: an object store did not answer, or refused.
    """
    try:
        tail = _tail(root / path, _FIRST_READ)
        needed = int.from_bytes(tail[-_END:-4], "little") + _END
        if needed > len(tail):
            tail = _tail(root / path, needed)
        metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
        return msgspec.json.decode(metadata[META_KEY], type=SegmentMeta)
    except (FileNotFoundError, RecorderError):
        raise
    except Exception as error:
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise Damage(
            f"expected a whole segment in {path}, but reading its footer failed: {cause}; run "
            f"`recorder verify` for the extent, and restore the file from a copy",
            file=path,
            cause=cause,
            segment=segment,
        ) from error


def _tail(place: Place, size: int) -> bytes:
    """Return the last bytes of a file, all of it where it is shorter."""
    if isinstance(place, Remote):
        return place.tail(size)
    with open(place, "rb", buffering=0) as file:
        file.seek(-min(size, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read(size)
