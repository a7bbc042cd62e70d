"""Checkpoints: the interpreter's state before a segment, so that any moment is near a start.

Responsible for the checkpoint files and for rebuilding an interpreter at a given seq from the
nearest one. Refuses to trust a checkpoint that does not read: replaying from an earlier one
gives the same state.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from recorder.capture import layout
from recorder.capture.digest import digest_of
from recorder.capture.journal_file import JournalFile
from recorder.capture.snapshot import JournalSource, Snapshot
from recorder.errors import Damage
from recorder.okx.interpreter import Interpreter

if TYPE_CHECKING:
    from recorder.capture.reader import Capture
    from recorder.capture.serve import ReadReport

MAX_STATE_BYTES = 1 << 30
"""Bound on an uncompressed state: some 10,000 books of 400 levels a side are a third of it."""

_PROOF = struct.Struct("<IIII")
_PROOF_MAGIC = 0x184D2A5E
"""A skippable frame in front: length and CRC-32 of the zstd frame behind it. zstd's own checksum
covers what comes out, so that a flipped bit may go unnoticed where it changes nothing in that."""


def write_checkpoint(root: Path, segment: int, state: bytes) -> str:
    """Put the state before a segment on disk, durably; return its digest."""
    content = zstandard.ZstdCompressor(
        level=3, write_checksum=True, write_content_size=True
    ).compress(state)
    proof = _PROOF.pack(_PROOF_MAGIC, 8, len(content), zlib.crc32(content))
    path = layout.checkpoint_path(root, segment)
    layout.replace_file(path, proof + content, mode=layout.file_mode(root))
    return digest_of(state)


def read_checkpoint(root: Path, segment: int) -> bytes:
    """Return the state before a segment.

    Raises:
        FileNotFoundError: there is none. Damage: it cannot be read.
    """
    path = layout.checkpoint_path(root, segment)
    content = path.read_bytes()
    try:
        if not content.startswith(zstandard.FRAME_HEADER):  # those of version 0.1 had no proof
            content = _proven(content)
        size = zstandard.frame_content_size(content)
        if not 0 <= size <= MAX_STATE_BYTES:
            raise zstandard.ZstdError(f"content size {size} is out of range")
        return zstandard.ZstdDecompressor().decompress(content, max_output_size=MAX_STATE_BYTES)
    except zstandard.ZstdError as error:
        file = str(path.relative_to(root))
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
    """Return the interpreter as it stood before frame `seq`, from the nearest checkpoint."""
    interpreter, first_seq = _nearest(capture, capture.snapshot(), seq, number)
    if first_seq < seq:
        for batch in capture.batches(first_seq=first_seq, last_seq=seq - 1, report=report):
            for frame in batch.frames():
                interpreter.step(frame)
    return interpreter


def _nearest(
    capture: Capture, snapshot: Snapshot, seq: int, number: type
) -> tuple[Interpreter, int]:
    """Return a restored interpreter and the seq it stands before; a fresh one before 0."""
    present = frozenset(layout.list_checkpoints(capture.path))
    for source in reversed(snapshot.sources):
        if source.segment not in present:
            continue
        try:
            if isinstance(source, JournalSource):
                with JournalFile(
                    snapshot.root, source.segment, capture_id=capture.header.id, size=source.size
                ) as journal:
                    if journal.header_fault is not None:
                        continue
                    first_seq = journal.first_seq
            else:
                first_seq = source.first_seq
            if first_seq > seq:
                continue
            state = read_checkpoint(capture.path, source.segment)
            return Interpreter.restore(state, number), first_seq
        except (Damage, FileNotFoundError, ValueError):
            continue  # missing, damaged or of another version: an earlier one will do
    return Interpreter(number), 0
