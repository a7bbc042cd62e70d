"""Digests: recomputed here from the specification with hashlib and struct alone."""

from __future__ import annotations

import hashlib
import struct

from recorder.capture.digest import EventDigest, FrameDigest, fold
from recorder.event import Pong, encode_event
from recorder.frame import Frame, Kind


def digest_by_the_book(frames: list[Frame]) -> str:
    """docs/format.md, "Digests", written out a second time."""
    blocks: dict[int, list[bytes]] = {}
    for f in frames:
        record = struct.pack(
            "<qqqiBI", f.seq, f.ts_recv, f.ts_mono, f.connection, int(f.kind), len(f.payload)
        )
        blocks.setdefault(f.seq // 65536, []).append(record + f.payload)
    total = hashlib.blake2b(digest_size=32)
    for k in sorted(blocks):
        block = hashlib.blake2b(b"".join(blocks[k]), digest_size=32).digest()
        total.update(struct.pack("<qq", k, len(blocks[k])) + block)
    return total.hexdigest()


def frames_at(seqs: list[int]) -> list[Frame]:
    return [
        Frame(seq, seq * 3 - 7, seq * 2, seq % 5 - 1, Kind.TEXT, b"x" * (seq % 40)) for seq in seqs
    ]


def test_frame_digest_is_the_specified_one() -> None:
    frames = frames_at([0, 1, 65535, 65536, 65537, 3 * 65536 + 5])
    digest = FrameDigest()
    digest.update(frames)
    assert digest.hexdigest() == digest_by_the_book(frames)
    assert digest.count == len(frames)


def test_feeding_in_pieces_changes_nothing() -> None:
    frames = frames_at(list(range(65530, 65545)))
    whole, pieces = FrameDigest(), FrameDigest()
    whole.update(frames)
    for frame in frames:
        pieces.update([frame])
        pieces.hexdigest()  # looking does not disturb
    assert whole.hexdigest() == pieces.hexdigest() == digest_by_the_book(frames)


def test_nothing_has_the_digest_of_nothing() -> None:
    assert FrameDigest().hexdigest() == hashlib.blake2b(digest_size=32).hexdigest() == fold([])


def test_every_field_counts() -> None:
    base = Frame(5, 1, 2, 3, Kind.TEXT, b"payload")
    others = [
        Frame(6, 1, 2, 3, Kind.TEXT, b"payload"),
        Frame(5, 2, 2, 3, Kind.TEXT, b"payload"),
        Frame(5, 1, 3, 3, Kind.TEXT, b"payload"),
        Frame(5, 1, 2, 4, Kind.TEXT, b"payload"),
        Frame(5, 1, 2, 3, Kind.BINARY, b"payload"),
        Frame(5, 1, 2, 3, Kind.TEXT, b"payloae"),
    ]
    seen = {digest_by_the_book([frame]) for frame in [base, *others]}
    assert len(seen) == 7


def test_event_digest_hashes_json_lines_by_the_frames_block() -> None:
    events = [Pong(seq, 0, 9, 0) for seq in (3, 4, 70_000)]
    digest = EventDigest()
    digest.update(events)
    total = hashlib.blake2b(digest_size=32)
    for k, chosen in ((0, events[:2]), (1, events[2:])):
        lines = b"".join(encode_event(event) + b"\n" for event in chosen)
        block = hashlib.blake2b(lines, digest_size=32).digest()
        total.update(struct.pack("<qq", k, len(chosen)) + block)
    assert digest.hexdigest() == total.hexdigest()
    assert (digest.first_seq, digest.count) == (3, 3)
