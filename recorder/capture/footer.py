"""The footer of a sealed segment alone: what it says of itself, for a few KiB of reading.

Responsible for asking thousands of segments for their times: opening one as Parquet reads its last
64 KiB, which may be most of it. Refuses to check the file: whoever reads its rows does.

The footer is Thrift in the compact protocol: key and value of an entry are fields 1 and 2 of a
struct, each a header byte (0x18: the next field, binary), a length and the bytes. Where ours cannot
be found so, Arrow reads all of it and says what is wrong.
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
_ENTRY = b"\x18" + bytes([len(META_KEY)]) + META_KEY + b"\x18"
_END = 8
_decode_meta = msgspec.json.Decoder(SegmentMeta).decode
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
        entry = _entry_of(tail[-needed:-_END]) if tail.endswith(b"PAR1") else None
        if entry is None:
            entry = (pq.read_metadata(pa.BufferReader(tail)).metadata or {})[META_KEY]
        return _decode_meta(entry)
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


def _entry_of(footer: bytes) -> bytes | None:
    """Return the value of our entry; None where there is not exactly one."""
    if footer.count(_ENTRY) != 1:
        return None
    at = footer.find(_ENTRY) + len(_ENTRY)
    length = shift = 0
    while at < len(footer):
        byte = footer[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return footer[at : at + length] if at + length <= len(footer) else None


def _tail(place: Place, size: int) -> bytes:
    """Return the last bytes of a file, all of it where it is shorter."""
    if isinstance(place, Remote):
        return place.tail(size)
    with open(place, "rb", buffering=0) as file:
        file.seek(-min(size, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read(size)
