"""Read a capture directory. Written from the specification, `docs/format.md`, alone.

What it and `recorder` read alike is therefore what the page says. It checks every CRC, name, count
and digest, and refuses to be quick: a journal is held in memory whole.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zstandard

COLUMNS = ["seq", "ts_recv", "ts_mono", "connection", "kind", "payload"]
Frame = tuple[int, int, int, int, str, bytes]
KINDS = ("text", "binary", "sent", "rest", "opened", "closed", "lost", "run", "clock")
HEADER, BLOCK = struct.Struct("<8sII8sqI"), struct.Struct("<4sIqIBIIII")
RECORD, MARKER, TRAILER, MOST = struct.Struct("<qqqiBI"), b"\xabBLK", 255, 80 * 2**20


def expect(found: object, wanted: object, where: str) -> None:
    if found != wanted:
        raise ValueError(f"{where}: expected {wanted!r}, found {found!r}")


class Digests:
    def __init__(self) -> None:
        self.count, self.bytes, self.last = 0, 0, -1
        self.blocks: dict[int, tuple[int, Any]] = {}

    def add(self, frame: Frame) -> None:
        self.last, *stamps, kind, payload = frame
        count, digest = self.blocks.get(self.last // 65_536) or (0, blake2b(digest_size=32))
        digest.update(RECORD.pack(self.last, *stamps, KINDS.index(kind), len(payload)) + payload)
        self.blocks[self.last // 65_536] = count + 1, digest
        self.count, self.bytes = self.count + 1, self.bytes + len(payload)

    def entries(self) -> list[list[Any]]:
        return [[k, count, digest.hexdigest()] for k, (count, digest) in self.blocks.items()]


def whole(data: bytes, at: int, seed: int) -> tuple[int, bytes, list[Frame], int] | None:
    """Return number, trailer, frames and end of the whole block at a position, if one is there."""
    if len(data) < at + BLOCK.size or data[at : at + 4] != MARKER:
        return None
    _, number, first, count, codec, size, raw, crc, body_crc = BLOCK.unpack_from(data, at)
    body, end = data[at + BLOCK.size : at + BLOCK.size + size], at + BLOCK.size + size
    agrees = zlib.crc32(data[at : at + 29], seed) == crc and zlib.crc32(body, crc) == body_crc
    if not agrees or len(body) < size or max(size, raw) > MOST:
        return None
    if codec == TRAILER:
        return number, body, [], end
    if codec == 1:
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=raw)
    frames, at = list[Frame](), 0
    while at + RECORD.size <= len(body):
        seq, recv, mono, connection, kind, length = RECORD.unpack_from(body, at)
        at += RECORD.size + length
        frames.append((seq, recv, mono, connection, KINDS[kind], body[at - length : at]))
    fills = codec in (0, 1) and at == len(body) == raw
    fills &= [frame[0] for frame in frames] == [*range(first, first + count)]
    return (number, b"", frames, end) if fills else None


class IndependentReader:
    """One pass over a capture. `torn` and `input_digest` are known when `frames` has ended."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.digests, self.torn = directory, Digests(), 0
        self.about = json.loads((directory / "capture.json").read_bytes())
        expect(self.about["format"], 1, "format of the capture")

    @property
    def input_digest(self) -> str:
        entries = ((k, n, bytes.fromhex(digest)) for k, n, digest in self.digests.entries())
        packed = b"".join(struct.pack("<qq32s", *entry) for entry in entries)
        return blake2b(packed, digest_size=32).hexdigest()

    def frames(self) -> Iterator[Frame]:
        """Yield every frame in order. Journals are listed first: sealing moves them to `frames`."""
        journals = {int(path.stem) for path in self.directory.glob("journal/*.wal")}
        sealed, begin = self.sealed(), (0, self.about.get("first_seq", 0))
        with suppress(FileNotFoundError):
            mark = json.loads((self.directory / "expired.json").read_bytes())
            begin = mark["first_segment"], max(mark["first_seq"], begin[1])
        self.following = begin[1]
        for segment in sorted(n for n in journals | {*sealed} if n >= begin[0]):
            for frame in self.segment(segment):
                expect((self.torn, frame[0]), (0, self.following), f"seq in segment {segment}")
                self.following = frame[0] + 1
                if frame[4] == "lost" and (lost := json.loads(frame[5]))["last_seq"] is not None:
                    expect(lost["first_seq"], frame[0], "first_seq of a lost row")
                    self.following = lost["last_seq"] + 1
                self.digests.add(frame)
                yield frame

    def sealed(self) -> dict[int, Path]:
        found, reached = dict[int, Path](), -1
        named = [
            (*map(int, p.stem.split("-")[1:3]), p) for p in self.directory.glob("frames/*/*-*")
        ]
        for _, last, path in sorted(named, key=lambda name: (name[0], -name[1], str(name[2]))):
            if last > reached:
                found[int(path.name.split("-")[0])], reached = path, last
        return found

    def segment(self, segment: int) -> Iterator[Frame]:
        with suppress(FileNotFoundError):  # sealed since the listing
            if segment not in self.sealed():
                path = self.directory / f"journal/{segment:06d}.wal"
                return self.journal(segment, path.read_bytes())
        return self.parquet(segment, self.sealed()[segment])

    def cut(self, segment: int, capture: bytes) -> float:
        numbers = [float("inf")]
        for path in self.directory.glob("journal/*.wal"):
            head = path.read_bytes()[: HEADER.size]
            if segment < int(path.stem) <= segment + 32 and len(head) == HEADER.size:
                magic, *_, found, first, crc = HEADER.unpack(head)
                if (magic, found, crc) == (b"OKXWAL\r\n", capture, zlib.crc32(head[:32])):
                    numbers.append(first)
        return min(numbers)

    def journal(self, segment: int, data: bytes) -> Iterator[Frame]:
        part, at, number, capture = Digests(), HEADER.size, 0, bytes.fromhex(self.about["id"])
        header = [b"OKXWAL\r\n", 1, segment, capture, self.following, zlib.crc32(data[:32])]
        if len(data) >= at:
            expect([*HEADER.unpack_from(data)], header, f"header of journal {segment}")
        seed, cut = zlib.crc32(capture + struct.pack("<I", segment)), self.cut(segment, capture)
        while block := whole(data, at, seed):
            found, trailer, frames, at = block
            expect(found, number, f"block number in journal {segment}")
            number += 1
            for frame in frames:
                if frame[0] >= cut:
                    return
                part.add(frame)
                yield frame
            if trailer:
                said, counted = json.loads(trailer), [part.count, part.last, part.entries()]
                expect([said[k] for k in ("count", "last_seq", "digests")], counted, "trailer")
        self.torn += abs(len(data) - at)  # a header may be torn as well
        while (at := data.find(MARKER, at + 1)) >= 0:
            expect(whole(data, at, seed), None, f"journal {segment}, after damaged bytes")

    def parquet(self, segment: int, path: Path) -> Iterator[Frame]:
        with path.open("rb") as stored:
            digest = file_digest(stored, lambda: blake2b(digest_size=32)).hexdigest()[:16]
        expect(path.stem.split("-")[-1], digest, f"BLAKE2b of {path.name}")
        part, earlier, group = Digests(), [*self.digests.blocks][-1:], 0
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            said = json.loads((file.metadata.metadata or {})[b"recorder"])
            for rows, groups, first, last in said["blocks"]:
                span = [*range(group, group := group + groups)]
                table = file.read_row_groups(span, columns=COLUMNS).sort_by("seq")
                frames = [*zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)]
                found = (len(frames), frames[0][0], frames[-1][0])
                expect(found, (rows, first, last), f"sorted block of {path.name}")
                for frame in frames:
                    part.add(frame)
                    yield frame
        carried = [e for e in self.digests.entries() if [e[0]] == earlier and e[0] in part.blocks]
        wanted = [self.about["id"], part.count, part.bytes, part.entries(), [*carried, None][0]]
        keys = ("capture", "count", "raw_bytes", "digests", "carried")
        expect([said[key] for key in keys], wanted, f"metadata of {path.name}")
        name = f"{segment:06d}-{said['first_seq']}-{part.last}-{digest}"
        expect(path.stem, name, "name of a sealed file")
