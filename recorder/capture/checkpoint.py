"""Checkpoints: the interpreter's state before a segment, so that any moment is near a start.

Responsible for the checkpoint files and for rebuilding an interpreter at a given seq from the
nearest one. Refuses to trust a checkpoint that does not read: replaying from an earlier one
gives the same state.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from recorder.capture import layout
from recorder.capture.block import Selection
from recorder.capture.digest import digest_of
from recorder.capture.footer import read_meta
from recorder.capture.journal.file import JournalFile
from recorder.capture.place import Place
from recorder.capture.snapshot import JournalSource, SealedSource, Snapshot
from recorder.errors import Damage
from recorder.okx.interpreter import Interpreter

if TYPE_CHECKING:
    from recorder.capture.reader import Capture
    from recorder.capture.reading.serve import ReadReport

MAX_STATE_BYTES = 1 << 30
"""Bound on an uncompressed state: some 10,000 books of 400 levels a side are a third of it."""

_PROOF = struct.Struct("<IIII")
_PROOF_MAGIC = 0x184D2A5E
"""A skippable frame in front: length and CRC-32 of the zstd frame behind it. zstd's own checksum
covers what comes out, so that a flipped bit may go unnoticed where it changes nothing in that."""


def write_checkpoint(root: Path, segment: int, state: bytes, *, inside: int | None = None) -> str:
    """Put the state before a segment on disk, durably; return its digest.

    Args:
        inside: the state is that before this frame of the segment.
    """
    content = zstandard.ZstdCompressor(
        level=3, write_checksum=True, write_content_size=True
    ).compress(state)
    proof = _PROOF.pack(_PROOF_MAGIC, 8, len(content), zlib.crc32(content))
    path = layout.checkpoint_path(root, segment, inside)
    layout.replace_file(path, proof + content, mode=layout.file_mode(root))
    return digest_of(state)


def read_checkpoint(root: Place, segment: int, inside: int | None = None) -> bytes:
    """Return the state before a segment, or before frame `inside` of it.

    Raises:
        FileNotFoundError: there is none. Damage: it cannot be read.
    """
    file = layout.checkpoint_file(segment, inside)
    content = (root / file).read_bytes()
    try:
        if not content.startswith(zstandard.FRAME_HEADER):  # those of version 0.1 had no proof
            content = _proven(content)
        size = zstandard.frame_content_size(content)
        if not 0 <= size <= MAX_STATE_BYTES:
            raise zstandard.ZstdError(f"content size {size} is out of range")
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=MAX_STATE_BYTES)
    except zstandard.ZstdError as error:
        raise Damage(
            f"expected an interpreter state in {file}, but it cannot be decompressed: {error}; "
            f"delete the file: it is rebuilt from the frames when needed",
            file=file,
            cause="checkpoint cannot be decompressed",
            segment=segment,
        ) from error


def _proven(content: bytes) -> bytes:
    """Return the zstd frame behind its proof.

    Raises:
        zstandard.ZstdError: it is not the one that was written.
    """
    if len(content) < _PROOF.size:
        raise zstandard.ZstdError("it is cut short")
    magic, size, length, crc = _PROOF.unpack_from(content)
    frame = content[_PROOF.size :]
    if (magic, size, length, crc) != (_PROOF_MAGIC, 8, len(frame), zlib.crc32(frame)):
        raise zstandard.ZstdError("its checksum does not match")
    return frame


def interpreter_before(
    capture: Capture, seq: int, number: type = float, *, report: ReadReport | None = None
) -> Interpreter:
    """Return the interpreter as it stood before frame `seq`, from the nearest checkpoint.

    Where the capture begins above `seq`, as it stood before the first frame there is.
    """
    snapshot = capture.snapshot()
    pinned = capture.pinned(snapshot)
    seq = max(seq, snapshot.first_seq)
    interpreter, first_seq = _nearest(pinned, snapshot, seq, number)
    if first_seq >= seq:
        return interpreter
    jumps: list[int] = []
    wanted = Selection(first_seq=first_seq, last_seq=seq - 1)
    interpreter.let_books_wait()
    for batch in pinned.select(wanted, report, on_jump=jumps.append):
        if jumps:
            break
        for frame in batch.frames():
            interpreter.step(frame)
    interpreter.keep_books_up()
    if jumps:  # expired meanwhile; what is left begins with a checkpoint
        return interpreter_before(capture, max(seq, jumps[-1]), number, report=report)
    return interpreter


class _Start(NamedTuple):
    """A checkpoint: of the state before `seq`, which lies inside its segment or begins it."""

    seq: int
    segment: int
    inside: int | None = None
    digest: str | None = None


def _nearest(
    capture: Capture, snapshot: Snapshot, seq: int, number: type
) -> tuple[Interpreter, int]:
    """Return a restored interpreter and the seq it stands before; a fresh one at the beginning."""
    elects = capture.links != "all"
    for start in _starts(capture, snapshot, seq):
        try:
            state = read_checkpoint(capture.path, start.segment, start.inside)
            if start.digest is not None and start.digest != digest_of(state):
                continue
            return Interpreter.restore(state, number, elects=elects), start.seq
        except (Damage, FileNotFoundError, ValueError):
            continue  # missing, damaged, of another version or elected: an earlier one will do
    return Interpreter(number, elects=elects), snapshot.first_seq


def _starts(capture: Capture, snapshot: Snapshot, seq: int) -> Iterator[_Start]:
    """Yield the checkpoints at or before `seq`, latest first."""
    present = layout.list_checkpoints(capture.path)
    inside = layout.list_checkpoints_inside(capture.path)
    following, following_inside = len(present), len(inside)
    for source in reversed(snapshot.sources):
        begin = bisect_left(present, source.segment)
        here, following = present[begin:following], begin
        begin = bisect_left(inside, (source.segment, 0))
        inside_here, following_inside = inside[begin:following_inside], begin
        if isinstance(source, SealedSource) and source.first_seq > seq:
            continue
        if not here and not inside_here:
            continue
        try:
            if isinstance(source, JournalSource):
                found = _starts_in_journal(capture, snapshot, source, here)
            else:
                found = _starts_in_sealed(snapshot, source, here, inside_here)
        except (Damage, FileNotFoundError):
            continue
        near = [start for start in found if start.seq <= seq]
        yield from sorted(near, key=lambda start: start.seq, reverse=True)


def _starts_in_journal(
    capture: Capture, snapshot: Snapshot, source: JournalSource, here: list[int]
) -> list[_Start]:
    with JournalFile(
        snapshot.root, source.segment, capture_id=capture.header.id, size=source.size
    ) as journal:
        is_known = journal.header_fault is None and source.segment in here
        return [_Start(journal.first_seq, source.segment)] if is_known else []


def _starts_in_sealed(
    snapshot: Snapshot, source: SealedSource, here: list[int], inside: list[tuple[int, int]]
) -> list[_Start]:
    """Return the checkpoints of a sealed file: of its segment, inside it, and of joined ones."""
    found: list[_Start] = []
    if source.segment in here:
        found.append(_Start(source.first_seq, source.segment))
    if inside or here[-1] > source.segment:  # in a joined file, or behind the last one
        meta = read_meta(snapshot.root, source.path, source.segment)
        found += [
            _Start(part.first_seq, part.segment)
            for part in meta.joined or ()
            if part.has_checkpoint and part.segment in here and part.segment > source.segment
        ]
        found += [
            _Start(one.seq, one.segment, one.seq, one.digest)
            for one in meta.inner_checkpoints or ()
            if (one.segment, one.seq) in inside
        ]
    return found
