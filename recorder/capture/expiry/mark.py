"""The mark of retention: `expired.json`, which says that a capture begins above its first number.

Responsible for the file's form and for telling a whole mark from a damaged one: without a whole
mark the numbers before the first frame are missing, and that is damage. Refuses to decide what
expires: `retention` does.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.digest import digest_of
from recorder.capture.place import Place


class Expired(msgspec.Struct, frozen=True):
    """What retention has let go of since the beginning, as `info` shows it.

    Attributes:
        segments, frames: how many. bytes: of their files. last_seq: number of the last frame.
    """

    segments: int
    frames: int
    bytes: int
    last_seq: int


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A file that is no longer listed and still there: `[path, bytes, since]`, ns."""

    path: str
    bytes: int
    since: int


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `expired.json`; docs/format.md, "Retention"."""

    format: int = layout.FORMAT
    first_segment: int = 0
    first_seq: int = 0
    segments: int = 0
    frames: int = 0
    bytes: int = 0
    marked_at: int = 0
    reason: str = ""
    waiting: list[Waiting] = msgspec.field(default_factory=list)
    check: str = ""

    @property
    def expired(self) -> Expired:
        """The sums, as `info` shows them."""
        return Expired(self.segments, self.frames, self.bytes, self.first_seq - 1)


_decode = msgspec.json.Decoder(Mark).decode


def read_mark(root: Place) -> Mark | None:
    """Return the mark of a capture; None where there is none that is whole."""
    try:
        content = (root / layout.EXPIRED_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        mark = _decode(content)
    except (msgspec.MsgspecError, ValueError):
        return None
    return mark if mark.check == _check(mark) and mark.format <= layout.FORMAT else None


def write_mark(root: Path, mark: Mark) -> Mark:
    """Put a mark on disk, durably; return it with its check."""
    mark = msgspec.structs.replace(mark, check=_check(mark))
    content = msgspec.json.format(msgspec.json.encode(mark), indent=2) + b"\n"
    layout.replace_file(root / layout.EXPIRED_FILE, content, mode=layout.file_mode(root))
    return mark


def _check(mark: Mark) -> str:
    """Return 16 hex digits that a changed byte does not have."""
    return digest_of(msgspec.json.encode(msgspec.structs.replace(mark, check="")))[:16]
