"""The journal's bytes: what is whole is found, what is not is never served."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from recorder.capture.journal import (
    BLOCK_MARKER,
    CODEC_ZSTD,
    FILE_HEADER,
    MAX_BLOCK_BYTES,
    Block,
    End,
    Flaw,
    JournalHeader,
    JournalScan,
    Part,
    Trailer,
    decode_file_header,
    encode_block,
    encode_file_header,
    encode_trailer,
    seed_of,
    split_records,
)
from recorder.errors import Damage
from recorder.frame import Frame, Kind, encode_record

ID = "00112233445566ff"
SEED = seed_of(ID, 7)


def frame(seq: int, payload: bytes = b"hello") -> Frame:
    return Frame(seq, 1000 + seq, 2000 + seq, 0, Kind.TEXT, payload)


def journal(blocks: list[list[Frame]], *, codec: int = 0, end: bool = True) -> bytes:
    data = encode_file_header(JournalHeader(ID, 7, blocks[0][0].seq))
    count = 0
    for number, frames in enumerate(blocks):
        records = b"".join(encode_record(f) for f in frames)
        data += b"".join(
            encode_block(
                records,
                seed=SEED,
                number=number,
                first_seq=frames[0].seq,
                count=len(frames),
                codec=codec,
            )
        )
        count += len(frames)
    if end:
        trailer = Trailer(count=count, last_seq=blocks[-1][-1].seq, digests=[], end="close")
        data += b"".join(encode_trailer(trailer, seed=SEED, number=len(blocks)))
    return data


def scan(path: Path, data: bytes, *, first_seq: int = 0, seed: int = SEED) -> list[Part]:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(JournalScan(fd, size=len(data), seed=seed, first_seq=first_seq).parts())
    finally:
        os.close(fd)


def frames_in(parts: list[Part]) -> list[Frame]:
    return [f for part in parts if isinstance(part, Block) for f in split_records(part.records)]


BLOCKS = [[frame(0), frame(1)], [frame(2, b"")], [frame(3), frame(4, b"\x00" * 30)]]
FRAMES = [f for block in BLOCKS for f in block]


@pytest.mark.parametrize("codec", [0, CODEC_ZSTD])
def test_round_trip(tmp_path: Path, codec: int) -> None:
    parts = scan(tmp_path / "j", journal(BLOCKS, codec=codec))
    assert frames_in(parts) == FRAMES
    assert isinstance(parts[-1], End)
    assert parts[-1].trailer.count == 5


def test_header_names_capture_and_segment() -> None:
    header = decode_file_header(journal(BLOCKS), file="j")
    assert header == JournalHeader(ID, 7, 0)


def test_every_bit_of_the_header_counts() -> None:
    good = journal(BLOCKS)[: FILE_HEADER.size]
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1
        with pytest.raises(Damage):
            decode_file_header(bytes(bad), file="j")


def test_cut_anywhere_serves_whole_blocks_and_one_torn_tail(tmp_path: Path) -> None:
    data = journal(BLOCKS, end=False)
    ends = [FILE_HEADER.size]
    ends += [len(journal(BLOCKS[:n], end=False)) for n in range(1, len(BLOCKS) + 1)]
    for cut in range(FILE_HEADER.size, len(data)):
        parts = scan(tmp_path / "j", data[:cut])
        whole = sum(end <= cut for end in ends) - 1
        assert frames_in(parts) == [f for block in BLOCKS[:whole] for f in block]
        flaws = [part for part in parts if isinstance(part, Flaw)]
        assert [f.at_end for f in flaws] == ([] if cut in ends else [True])


def test_flipped_anywhere_never_serves_a_wrong_frame(tmp_path: Path) -> None:
    data = journal(BLOCKS)
    for at in range(FILE_HEADER.size, len(data)):
        bad = bytearray(data)
        bad[at] ^= 1 << (at % 8)
        parts = scan(tmp_path / "j", bytes(bad))
        flaws = [part for part in parts if isinstance(part, Flaw)]
        assert len(flaws) == 1, at
        served = frames_in(parts)
        assert all(f in FRAMES for f in served)
        missing = [f for f in FRAMES if f not in served]
        if flaws[0].next_seq is not None:  # the flaw names exactly what is not there
            assert [f.seq for f in missing] == list(range(flaws[0].expected_seq, flaws[0].next_seq))


def test_a_block_of_another_file_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    assert frames_in(scan(tmp_path / "j", journal(BLOCKS), seed=seed_of(ID, 8))) == []


def test_a_payload_that_looks_like_a_block_is_not_served_as_one(tmp_path: Path) -> None:
    inner = journal([[frame(0, b"forged")]], end=False)[FILE_HEADER.size :]
    blocks = [[frame(0)], [frame(1, BLOCK_MARKER * 9 + inner)], [frame(2)]]
    data = bytearray(journal(blocks))
    data[data.index(inner) - 5] ^= 1  # damage in front of the forged block
    parts = scan(tmp_path / "j", bytes(data))
    assert frames_in(parts) == [frame(0), frame(2)]


def test_lengths_are_bounded_before_anything_is_read(tmp_path: Path) -> None:
    data = b"".join(encode_block(b"", seed=SEED, number=0, first_seq=0, count=1))
    head = bytearray(data[:29])
    struct.pack_into("<I", head, 21, MAX_BLOCK_BYTES + 1)
    crc = zlib.crc32(bytes(head), SEED)
    forged = bytes(head) + struct.pack("<II", crc, zlib.crc32(b"", crc))
    parts = scan(tmp_path / "j", encode_file_header(JournalHeader(ID, 7, 0)) + forged)
    assert [p.cause for p in parts if isinstance(p, Flaw)] == ["block length out of range"]


def test_a_zstd_bomb_stays_within_its_declared_length(tmp_path: Path) -> None:
    bomb = bytes(4 << 20)
    header, stored = encode_block(bomb, seed=SEED, number=0, first_seq=0, count=1, codec=CODEC_ZSTD)
    head = bytearray(header[:29])
    struct.pack_into("<I", head, 25, 64)  # raw length
    crc = zlib.crc32(bytes(head), SEED)
    data = bytes(head) + struct.pack("<II", crc, zlib.crc32(stored, crc)) + stored
    parts = scan(tmp_path / "j", encode_file_header(JournalHeader(ID, 7, 0)) + data)
    assert frames_in(parts) == []


def test_blocks_below_the_wanted_seq_are_passed_unread(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(journal(BLOCKS))
    fd = os.open(path, os.O_RDONLY)
    parts = list(
        JournalScan(fd, size=path.stat().st_size, seed=SEED, first_seq=0).parts(from_seq=2)
    )
    os.close(fd)
    assert [f.seq for f in frames_in(parts)] == [2, 3, 4]
