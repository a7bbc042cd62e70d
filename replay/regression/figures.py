"""Figures: events of a capture in blocks of frames, each block counted and hashed per type.

Responsible for cutting the frames into blocks, for the digests of a block, and for the compressed
copy of its events. Refuses to make events, and to read or write files.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Annotated

import msgspec
import zstandard

BLOCK_FRAMES = 4096
"""Frames of a block at most."""

_BLOCK_BYTES = 16 << 20
"""JSON of a block at most, so that one fits in memory whatever it holds."""

_TEXT_MAX = 1 << 30
"""Bytes that an expected block may unpack to: a frame of many events may pass the bound above."""

_DIGEST_BYTES = 8


class Block(msgspec.Struct, omit_defaults=True):
    """What a run of frames gave.

    Attributes:
        first_seq: of its first frame. frames: in it.
        events: count and digest (16 hex digits) of the events of each type, as JSON lines.
        digest: of all events, frame by frame: also of their order.
        at: offset and size of the block in the file of events; None where events are not kept.
        prints: where events are not kept, four bytes for each frame, base64: enough to name the
            first that differs.
    """

    first_seq: int
    frames: int
    digest: str
    events: dict[str, tuple[int, str]]
    at: tuple[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0)]] | None = None
    prints: str | None = None


class OpenBlock:
    """Frames being added to a block.

    Attributes:
        lines: the JSON array of each frame's events. places: seq and `ts_recv` of each frame.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.places: list[tuple[int, int]] = []
        self._size = 0
        self._types: dict[str, tuple[list[int], hashlib.blake2b]] = {}

    def add(self, seq: int, ts_recv: int, events: list[tuple[str, bytes]]) -> None:
        """Add a frame and its events: type and JSON of each."""
        for type_, text in events:
            count, digest = self._types.get(type_) or self._types.setdefault(
                type_, ([0], new_digest())
            )
            count[0] += 1
            digest.update(text + b"\n")
        line = b"[" + b",".join([text for _, text in events]) + b"]"
        self.lines.append(line)
        self.places.append((seq, ts_recv))
        self._size += len(line)

    @property
    def is_full(self) -> bool:
        """Whether the next frame begins another block."""
        return len(self.lines) >= BLOCK_FRAMES or self._size >= _BLOCK_BYTES

    def figures(self) -> Block:
        """Return the block's counts and digests; it holds at least one frame."""
        events = {
            type_: (count[0], digest.hexdigest())
            for type_, (count, digest) in sorted(self._types.items())
        }
        return Block(self.places[0][0], len(self.lines), self.digest(), events)

    def digest(self) -> str:
        """Return the digest of all events, frame by frame."""
        digest = new_digest()
        for line in self.lines:
            digest.update(line + b"\n")
        return digest.hexdigest()

    def prints(self) -> str:
        """Return four bytes for each frame, base64."""
        return base64.b64encode(b"".join(map(print_of, self.lines))).decode()

    def packed(self) -> bytes:
        """Return the events, compressed; equal events give equal bytes with one zstd version."""
        return zstandard.ZstdCompressor(level=9, write_checksum=True).compress(
            b"\n".join(self.lines)
        )


def unpacked(data: bytes) -> list[bytes]:
    """Return the lines of a packed block.

    Raises:
        ValueError: the bytes are not one.
    """
    try:
        text = zstandard.ZstdDecompressor().decompress(data, max_output_size=_TEXT_MAX)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    return text.split(b"\n")


def print_of(line: bytes) -> bytes:
    """Return the four bytes that stand for a frame's events."""
    return zlib.crc32(line).to_bytes(4, "little")


def new_digest() -> hashlib.blake2b:
    """Return an empty BLAKE2b-64."""
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)
