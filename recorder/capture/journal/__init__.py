"""The journal: an append-only file of CRC'd blocks of frames, readable after any death.

Responsible for its bytes (docs/format.md, "Journal segment"): encoding headers, blocks and the
trailer, and scanning a file into whole blocks and flaws. Refuses to decide what a flaw means:
readers report it, recovery repairs it. Refuses to allocate for a length it has not bounded.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import TypeAlias

import msgspec
import zstandard

from recorder.capture.digest import BlockDigest
from recorder.capture.layout import FORMAT
from recorder.errors import Damage
from recorder.frame import KINDS, RECORD, Frame, Kind, encode_record

FILE_MAGIC = b"OKXWAL\r\n"
FILE_HEADER = struct.Struct("<8sII8sqI")
BLOCK_MARKER = b"\xabBLK"
BLOCK_HEADER = struct.Struct("<4sIqIBIIII")
_BLOCK_HEAD = struct.Struct("<4sIqIBII")
_CRCS = struct.Struct("<II")
_U32 = struct.Struct("<I")

CODEC_PLAIN = 0
CODEC_ZSTD = 1
CODEC_TRAILER = 255

MAX_PAYLOAD_BYTES = 64 << 20
"""Largest payload of one frame; a venue's messages are bounded far below by the socket."""
MAX_BLOCK_BYTES = 80 << 20
"""Largest stored or raw length of a block that a reader accepts."""
BLOCK_BYTES = 1 << 20
"""A writer ends a block when it holds this much."""

ROLL, CLOSE = "roll", "close"

_SEARCH_BYTES = 1 << 20
_NEVER = 1 << 63
_KIND_AT = 28
"""Where a record holds its kind."""
_LOST = bytes([Kind.LOST])


class JournalHeader(msgspec.Struct, frozen=True):
    """The file header: which capture and segment, and the first number it may hold."""

    capture_id: str
    segment: int
    first_seq: int


class Trailer(msgspec.Struct, frozen=True, kw_only=True):
    """The clean end of a journal; see docs/format.md for the fields.

    Attributes:
        end: `CLOSE`, or `ROLL` where the recording went on in another journal.
    """

    count: int
    last_seq: int
    digests: list[BlockDigest]
    end: str
    events: dict[str, int | str] | None = None
    next_seq: int | None = None

    @property
    def has_next(self) -> bool:
        """Whether another journal followed this one."""
        return self.end == ROLL

    @property
    def following(self) -> int:
        """The number that comes after this segment."""
        return self.last_seq + 1 if self.next_seq is None else self.next_seq


class Block(msgspec.Struct, frozen=True, gc=False):
    """One whole block. `records` are canonical records of consecutive seqs."""

    first_seq: int
    count: int
    records: bytes
    offset: int
    end: int

    @property
    def following(self) -> int:
        """The number that comes after this block: beyond the numbers that a `lost` row names."""
        following = self.first_seq + self.count
        if self.count == 1 and self.records[_KIND_AT : _KIND_AT + 1] == _LOST:
            following = max(following, after_lost(self.first_seq, self.records[RECORD.size :]))
        return following


class Flaw(msgspec.Struct, frozen=True):
    """Bytes `offset..end` of a journal that are no whole block.

    Attributes:
        at_end: no whole block follows (a torn tail); else damage in the middle.
        expected_seq: the number that should have come at `offset`.
        next_seq: first number after the flaw, None at the end.
    """

    offset: int
    end: int
    cause: str
    at_end: bool
    expected_seq: int
    next_seq: int | None


class End(msgspec.Struct, frozen=True):
    """The trailer block, and where the file ends."""

    trailer: Trailer
    end: int


Part: TypeAlias = Block | Flaw | End


def seed_of(capture_id: str, segment: int) -> int:
    """Return the CRC seed of a journal's blocks: they are valid in their own file only."""
    return zlib.crc32(bytes.fromhex(capture_id) + _U32.pack(segment))


def encode_file_header(header: JournalHeader) -> bytes:
    """Return the 36 bytes that open a journal."""
    head = FILE_HEADER.pack(
        FILE_MAGIC, FORMAT, header.segment, bytes.fromhex(header.capture_id), header.first_seq, 0
    )[:-4]
    return head + _U32.pack(zlib.crc32(head))


def decode_file_header(data: bytes, *, file: str) -> JournalHeader:
    """Read the file header.

    Raises:
        Damage: it is short, not ours, or its CRC is wrong.
    """
    cause = None
    if len(data) < FILE_HEADER.size:
        cause = f"file header is {len(data)} bytes"
    else:
        magic, version, segment, capture_id, first_seq, crc = FILE_HEADER.unpack_from(data)
        if magic != FILE_MAGIC or version > FORMAT:
            cause = "not a journal of this format"
        elif zlib.crc32(data[: FILE_HEADER.size - 4]) != crc:
            cause = "file header CRC mismatch"
        else:
            return JournalHeader(capture_id.hex(), segment, first_seq)
    raise Damage(
        f"expected a journal header at the start of {file}, found that its {cause}; "
        f"run `recorder recover` on the capture",
        file=file,
        cause=cause,
    )


def encode_block(
    records: bytes, *, seed: int, number: int, first_seq: int, count: int, codec: int = CODEC_PLAIN
) -> tuple[bytes, bytes]:
    """Return header and stored payload of a block."""
    stored = records
    if codec == CODEC_ZSTD:
        stored = zstandard.ZstdCompressor(level=1).compress(records)
    head = _BLOCK_HEAD.pack(
        BLOCK_MARKER, number, first_seq, count, codec, len(stored), len(records)
    )
    head_crc = zlib.crc32(head, seed)
    return head + _CRCS.pack(head_crc, zlib.crc32(stored, head_crc)), stored


def encode_trailer(trailer: Trailer, *, seed: int, number: int) -> tuple[bytes, bytes]:
    """Return header and payload of the block that ends a journal."""
    content = msgspec.json.encode(trailer)
    return encode_block(
        content,
        seed=seed,
        number=number,
        first_seq=trailer.following,
        count=0,
        codec=CODEC_TRAILER,
    )


def split_records(records: bytes | memoryview) -> Iterator[Frame]:
    """Yield the frames of canonical records.

    Raises:
        ValueError: a length runs over the end or a kind is unknown.
    """
    at, size = 0, len(records)
    head = RECORD.size
    unpack = RECORD.unpack_from
    while at < size:
        if size - at < head:
            raise ValueError("record header cut short")
        seq, ts_recv, ts_mono, connection, kind, length = unpack(records, at)
        at += head
        if length > size - at or kind >= len(KINDS):
            raise ValueError("record length or kind out of range")
        yield Frame(
            seq, ts_recv, ts_mono, connection, KINDS[kind], bytes(records[at : at + length])
        )
        at += length


class _LostRow(msgspec.Struct):
    first_seq: int | None = None
    last_seq: int | None = None


_decode_lost = msgspec.json.Decoder(_LostRow).decode
_decode_trailer = msgspec.json.Decoder(Trailer).decode


def after_lost(seq: int, payload: bytes) -> int:
    """Return the number after those that a `lost` row stands for, `seq` + 1 if it names none."""
    try:
        row = _decode_lost(payload)
    except msgspec.MsgspecError:
        return seq + 1
    return row.last_seq + 1 if row.first_seq == seq and row.last_seq is not None else seq + 1


class NotWhole(Exception):
    """No whole block starts here; the text says why."""


def _clipped(block: Block, cut: int) -> Block:
    """Return the part of a block that lies below a number."""
    records = b"".join(encode_record(f) for f in split_records(block.records) if f.seq < cut)
    return Block(block.first_seq, cut - block.first_seq, records, block.offset, block.end)


class JournalScan:
    """One pass over a journal: whole blocks, flaws, the trailer.

    It reads at most one block at a time and never beyond `size`, the length the caller decided
    on (a live journal grows meanwhile), nor beyond `cut`, the number that a later journal begins
    with: what this one holds from there on means nothing.
    """

    def __init__(
        self,
        fd: int,
        *,
        size: int,
        seed: int,
        first_seq: int,
        offset: int = FILE_HEADER.size,
        cut: int | None = None,
    ) -> None:
        self._fd = fd
        self._size = size
        self._seed = seed
        self._expected = first_seq
        self._number = 0
        self._offset = offset
        self._cut = _NEVER if cut is None else cut

    def parts(self, *, from_seq: int = 0) -> Iterator[Part]:
        """Yield the parts in file order; blocks wholly below `from_seq` are passed unread."""
        while self._offset < self._size:
            try:
                part = self._block_at(self._offset, from_seq)
            except NotWhole as fault:
                flaw = self._flaw(str(fault))
                if flaw.next_seq is not None and flaw.next_seq > self._cut:
                    # What is whole behind it belongs to a later journal.
                    if flaw.expected_seq < self._cut:
                        yield msgspec.structs.replace(flaw, next_seq=self._cut)
                    return
                yield flaw
                if flaw.at_end:
                    return
                continue
            self._offset = part.end
            if self._is_cut(part):
                if isinstance(part, Block) and part.first_seq < self._cut:
                    yield _clipped(part, self._cut)
                return
            if isinstance(part, End):
                yield part
                if part.end < self._size:
                    yield self._tail_flaw(part.end, "bytes after the trailer")
                return
            self._expected = part.following
            self._number += 1
            if part.count and self._expected > from_seq:
                yield part

    def _is_cut(self, part: Block | End) -> bool:
        following = part.trailer.following if isinstance(part, End) else part.following
        return following > self._cut

    def _block_at(self, offset: int, from_seq: int, *, search: bool = False) -> Block | End:
        """Return the whole block that starts at `offset`, else raise `NotWhole`."""
        raw = os.pread(self._fd, BLOCK_HEADER.size + _KIND_AT + 1, offset)
        if len(raw) < BLOCK_HEADER.size or offset + BLOCK_HEADER.size > self._size:
            raise NotWhole("block header cut short")
        head = BLOCK_HEADER.unpack_from(raw)
        marker, number, first_seq, count, codec, stored_size, raw_size, head_crc, body_crc = head
        if marker != BLOCK_MARKER:
            raise NotWhole("no block marker")
        if zlib.crc32(raw[: _BLOCK_HEAD.size], self._seed) != head_crc:
            raise NotWhole("block header CRC mismatch")
        if max(stored_size, raw_size) > MAX_BLOCK_BYTES:
            raise NotWhole("block length out of range")
        if search:
            if number < self._number or first_seq < self._expected:
                raise NotWhole("block out of order")
        elif number != self._number or first_seq != self._expected:
            raise NotWhole(f"block {number} from seq {first_seq} out of order")
        end = offset + BLOCK_HEADER.size + stored_size
        if end > self._size:
            raise NotWhole("block cut short")
        # A `lost` row is read in any case: the numbers it names come before the next block.
        is_lost = count == 1 and raw[BLOCK_HEADER.size + _KIND_AT :] == _LOST
        if first_seq + count <= from_seq and codec != CODEC_TRAILER and not is_lost:
            return Block(first_seq, count, b"", offset, end)
        stored = os.pread(self._fd, stored_size, offset + BLOCK_HEADER.size)
        if len(stored) < stored_size:
            raise NotWhole("block cut short")
        if zlib.crc32(stored, head_crc) != body_crc:
            raise NotWhole("block CRC mismatch")
        return self._content(stored, first_seq, count, codec, raw_size, offset, end)

    def _content(
        self, stored: bytes, first_seq: int, count: int, codec: int, raw_size: int, offset: int,
        end: int,
    ) -> Block | End:  # fmt: skip
        if codec == CODEC_PLAIN and len(stored) == raw_size:
            return Block(first_seq, count, stored, offset, end)
        try:
            if codec == CODEC_TRAILER:
                return End(_decode_trailer(stored), end)
            if codec == CODEC_ZSTD:
                records = zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_size)
                if len(records) == raw_size:
                    return Block(first_seq, count, records, offset, end)
        except (msgspec.MsgspecError, zstandard.ZstdError) as error:
            raise NotWhole(f"block content: {error}") from error
        raise NotWhole("block content does not have its length, or an unknown codec")

    def _flaw(self, cause: str) -> Flaw:
        """Describe the flaw at the current offset and move behind it."""
        start = self._offset
        at = start + 1
        while at < self._size:
            found = self._find_marker(at)
            if found is None:
                break
            try:
                block = self._block_at(found, 0, search=True)
            except NotWhole:
                at = found + 1
                continue
            self._offset = found
            self._number = self._number_at(found)
            expected = self._expected
            if isinstance(block, End):
                self._expected = block.trailer.following
            else:
                self._expected = block.first_seq
            return Flaw(start, found, cause, False, expected, self._expected)
        return self._tail_flaw(start, cause)

    def _tail_flaw(self, start: int, cause: str) -> Flaw:
        self._offset = self._size
        return Flaw(start, self._size, cause, True, self._expected, None)

    def _number_at(self, offset: int) -> int:
        return int(_U32.unpack(os.pread(self._fd, 4, offset + len(BLOCK_MARKER)))[0])

    def _find_marker(self, at: int) -> int | None:
        overlap = len(BLOCK_MARKER) - 1
        while at < self._size:
            chunk = os.pread(self._fd, min(_SEARCH_BYTES, self._size - at), at)
            found = chunk.find(BLOCK_MARKER)
            if found >= 0:
                return at + found
            if len(chunk) <= overlap:
                return None
            at += len(chunk) - overlap
        return None
