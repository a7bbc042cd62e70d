"""Digests: one number that says whether two captures, or two replays, are the same.

Responsible for the block and capture digests of frames and of events (docs/format.md,
"Digests"). Refuses to read files: whoever has frames, records or events feeds them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator

import msgspec

from recorder.event import Event, encode_event
from recorder.frame import RECORD, Frame

BLOCK_SHIFT = 16
BLOCK_NUMBERS = 1 << BLOCK_SHIFT
"""Sequence numbers in one digest block."""

DIGEST_SIZE = 32

_RUN_FRAMES = 4096
"""Frames whose records are joined at once: bounds memory, keeps the GIL released for long."""

_FOLD = struct.Struct("<qq")


class BlockDigest(msgspec.Struct, frozen=True, array_like=True):
    """Digest of one block (or of a part of one): `[k, count, digest]` in JSON."""

    k: int
    count: int
    digest: str


def new_hash() -> hashlib.blake2b:
    """Return an empty BLAKE2b-256."""
    return hashlib.blake2b(digest_size=DIGEST_SIZE)


def digest_of(data: bytes) -> str:
    """Return the BLAKE2b-256 of some bytes, hex."""
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).hexdigest()


def fold(blocks: Iterable[BlockDigest]) -> str:
    """Return the capture digest of whole blocks, which must come in order of k."""
    total = new_hash()
    for block in blocks:
        total.update(_FOLD.pack(block.k, block.count))
        total.update(bytes.fromhex(block.digest))
    return total.hexdigest()


class _Blocks:
    """Hash records in seq order into blocks; finished blocks are folded, not kept."""

    __slots__ = ("_count", "_hash", "_k", "_total", "count")

    def __init__(self) -> None:
        self._total = new_hash()
        self._hash = new_hash()
        self._k = -1
        self._count = 0
        self.count = 0

    def _open(self, k: int) -> None:
        self._finish()
        self._k = k
        self._hash = new_hash()
        self._count = 0

    def _finish(self) -> None:
        if self._count:
            self._total.update(_FOLD.pack(self._k, self._count))
            self._total.update(self._hash.digest())

    def add_block(self, block: BlockDigest) -> None:
        """Add a whole block whose digest is known, before anything of a later block."""
        self._total.update(_FOLD.pack(block.k, block.count))
        self._total.update(bytes.fromhex(block.digest))
        self.count += block.count

    def hexdigest(self) -> str:
        """Return the capture digest of everything fed so far."""
        total = self._total.copy()
        if self._count:
            total.update(_FOLD.pack(self._k, self._count))
            total.update(self._hash.digest())
        return total.hexdigest()


class FrameDigest(_Blocks):
    """The input digest of frames fed in seq order.

    Attributes:
        count: frames fed.
    """

    __slots__ = ()

    def update(self, frames: Iterable[Frame]) -> None:
        """Add frames; their seqs must be above those added before."""
        for first_seq, count, records in record_runs(frames):
            self.update_records(first_seq, count, records)

    def update_records(self, first_seq: int, count: int, records: bytes | memoryview) -> None:
        """Add `count` encoded records that lie within one digest block."""
        if first_seq >> BLOCK_SHIFT != self._k:
            self._open(first_seq >> BLOCK_SHIFT)
        self._hash.update(records)
        self._count += count
        self.count += count


class EventDigest(_Blocks):
    """The output digest of events fed in order.

    Attributes:
        count: events fed. first_seq: seq of the first one's frame, None before any.
    """

    __slots__ = ("first_seq",)

    def __init__(self) -> None:
        super().__init__()
        self.first_seq: int | None = None

    def update(self, events: Iterable[Event]) -> None:
        """Add events of frames in seq order."""
        for event in events:
            k = event.seq >> BLOCK_SHIFT
            if k != self._k:
                if self.first_seq is None:
                    self.first_seq = event.seq
                self._open(k)
            self._hash.update(encode_event(event) + b"\n")
            self._count += 1
            self.count += 1


def record_runs(frames: Iterable[Frame]) -> Iterator[tuple[int, int, bytes]]:
    """Yield `(first seq, count, records)` of frames in seq order, cut at digest blocks."""
    parts: list[bytes] = []
    first_seq = count = 0
    pack = RECORD.pack
    for frame in frames:
        seq, payload = frame.seq, frame.payload
        if count and seq >> BLOCK_SHIFT != first_seq >> BLOCK_SHIFT:
            yield first_seq, count, b"".join(parts)
            parts, count = [], 0
        if not count:
            first_seq = seq
        parts.append(
            pack(seq, frame.ts_recv, frame.ts_mono, frame.connection, frame.kind, len(payload))
        )
        parts.append(payload)
        count += 1
        if count == _RUN_FRAMES:
            yield first_seq, count, b"".join(parts)
            parts, count = [], 0
    if count:
        yield first_seq, count, b"".join(parts)


class Carry:
    """The digest block that is open at the end of a segment, continued in the next one.

    Attributes:
        is_whole: it has been followed from the block's beginning; else its digest is unknown.
    """

    def __init__(self, k: int, *, is_whole: bool = True) -> None:
        self.k = k
        self.count = 0
        self.is_whole = is_whole
        self._hash = new_hash()

    def update(self, records: bytes | memoryview, count: int) -> None:
        """Add records of block `k`."""
        self._hash.update(records)
        self.count += count

    def block(self) -> BlockDigest | None:
        """Return the digest so far, None where the beginning could not be read."""
        if not self.is_whole:
            return None
        return BlockDigest(self.k, self.count, self._hash.hexdigest())


class PartDigests:
    """Block digests of the part of a capture that lies in one segment."""

    __slots__ = ("_count", "_hash", "_k", "finished")

    def __init__(self) -> None:
        self.finished: list[BlockDigest] = []
        self._hash = new_hash()
        self._k = -1
        self._count = 0

    def update(self, k: int, count: int, records: bytes | memoryview) -> None:
        """Add `count` records that all lie in digest block `k`; k never falls."""
        if k != self._k:
            self._close()
            self._k, self._count, self._hash = k, 0, new_hash()
        self._hash.update(records)
        self._count += count

    def _close(self) -> None:
        if self._count:
            self.finished.append(BlockDigest(self._k, self._count, self._hash.hexdigest()))
            self._count = 0

    def blocks(self) -> list[BlockDigest]:
        """Return the digests of everything added; call once, at the end."""
        self._close()
        return self.finished
