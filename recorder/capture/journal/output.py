"""One journal being written: blocks out by `writev`, whole ones only, and where they end.

Responsible for the bytes of one file: its header, its blocks, its trailer, and for leaving exactly
whole blocks when the system takes less than it was given. Refuses to choose when to write, to sync
or to end, and to know about any other file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.digest import BLOCK_SHIFT, PartDigests
from recorder.capture.journal import (
    CODEC_PLAIN,
    FILE_HEADER,
    JournalHeader,
    Trailer,
    encode_block,
    encode_file_header,
    encode_trailer,
    seed_of,
)
from recorder.capture.journal.roll import RecordRun
from recorder.capture.journal.room import Disk

WRITE_BYTES = 8 << 20
"""A long drain is written in pieces of about this size, so that its memory is bounded."""
_VECTOR = 512
"""Buffers per `writev`; Linux takes at most 1,024."""


class _Encoded(msgspec.Struct, gc=False):
    """A block that waits for `flush`, and its length; no run: the trailer."""

    size: int
    run: RecordRun | None


class JournalOutput:
    """A journal file being written.

    Attributes:
        offset: end of the last block written. durable_offset: as far as a sync has reached.
        count: frames written; last_seq: the last of them; following: the number after it.
        is_hidden: it has its name with `.tmp` still, and no reader sees it.
        is_anchored: a power cut takes neither its name nor its header any more.

    Args:
        anchored: return only when it is; else whoever syncs calls `anchor` before anything in it,
            or the end of the journal before it, counts as durable.

    Raises:
        OSError: it could not be created; nothing is left of it.
    """

    def __init__(
        self,
        root: Path,
        header: JournalHeader,
        disk: Disk,
        *,
        mode: int,
        is_hidden: bool = False,
        anchored: bool = True,
    ) -> None:
        self.segment = header.segment
        self.path = layout.journal_path(root, header.segment)
        self.first_seq = header.first_seq
        self.is_hidden = is_hidden
        self._disk = disk
        self._seed = seed_of(header.capture_id, header.segment)
        self._parts = PartDigests()
        self._blocks = 0  # written
        self._buffers: list[bytes] = []
        self._encoded: list[_Encoded] = []
        self._buffered = 0
        self.count = 0
        self.last_seq = header.first_seq - 1
        self.following = header.first_seq
        self._named = self.path.with_name(self.path.name + layout.UNFINISHED)
        if is_hidden:
            with suppress(FileNotFoundError):
                disk.unlink(self._named)
        else:
            self._named = self.path
        self.fd = disk.create(self._named, mode)
        try:
            _, failure = self._write([encode_file_header(header)])
            if failure is not None:
                raise failure
            self.offset = self.durable_offset = FILE_HEADER.size
            self.is_anchored = False
            if is_hidden:
                disk.fdatasync(self.fd)
            elif anchored:
                self.anchor()
        except OSError:
            self.remove()
            raise

    # --- blocks ----------------------------------------------------------------------------

    def add(self, run: RecordRun, codec: int = CODEC_PLAIN) -> None:
        """Encode a run as a block; it is written by `flush`, or now where there is much."""
        header, stored = encode_block(
            run.records,
            seed=self._seed,
            number=self._blocks + len(self._encoded),
            first_seq=run.first_seq,
            count=run.count,
            codec=codec,
        )
        self._buffer(header, stored, run)
        if self._buffered >= WRITE_BYTES or len(self._buffers) >= _VECTOR:
            self.flush()

    def _buffer(self, header: bytes, stored: bytes, run: RecordRun | None) -> None:
        size = len(header) + len(stored)
        self._buffers += (header, stored)
        self._encoded.append(_Encoded(size, run))
        self._buffered += size

    def flush(self) -> None:
        """Write the encoded blocks.

        Raises:
            OSError: not all went out. The file ends with the last block that did, where the
                system lets us cut it; the others are forgotten here.
        """
        buffers, encoded = self._buffers, self._encoded
        if not buffers:
            return
        self._buffers, self._encoded, self._buffered = [], [], 0
        written, failure = self._write(buffers)
        for block in encoded:
            size, run = block.size, block.run
            if size > written:
                break
            written -= size
            self.offset += size
            self._blocks += 1
            if run is not None:
                self._parts.update(run.first_seq >> BLOCK_SHIFT, run.count, run.records)
                self.count += run.count
                self.last_seq = run.first_seq + run.count - 1
                self.following = run.following
        if failure is not None:
            self._disk.truncate(self.fd, self.offset)
            raise failure

    def _write(self, buffers: Sequence[bytes]) -> tuple[int, OSError | None]:
        """Write, however short the single writes are; return how much went out, and why no more."""
        views: list[bytes | memoryview] = [buffer for buffer in buffers if buffer]
        size = sum(map(len, views))
        total = 0
        while views:
            try:
                step = self._disk.writev(self.fd, views)
            except OSError as error:
                return total, error
            if step <= 0:
                return total, OSError(errno.EIO, os.strerror(errno.EIO))
            total += step
            if total == size:
                break  # nearly always
            done = 0
            while done < len(views) and step >= len(views[done]):
                step -= len(views[done])
                done += 1
            del views[:done]
            if step:
                views[0] = memoryview(views[0])[step:]
        return total, None

    def end(self, reason: str, events: dict[str, int | str] | None) -> None:
        """Write the trailer; the journal must hold a frame."""
        self.flush()
        trailer = Trailer(
            count=self.count,
            last_seq=self.last_seq,
            digests=self._parts.blocks(),
            end=reason,
            events=events,
            next_seq=None if self.following == self.last_seq + 1 else self.following,
        )
        self._buffer(*encode_trailer(trailer, seed=self._seed, number=self._blocks), None)
        self.flush()

    # --- the file --------------------------------------------------------------------------

    def anchor(self) -> None:
        """Make name and header durable."""
        self._disk.fdatasync(self.fd)
        self._disk.sync_directory(self.path.parent)
        self.is_anchored = True

    def publish(self) -> None:
        """Make everything durable and give the file its name."""
        self._disk.fdatasync(self.fd)
        self._disk.rename(self._named, self.path)
        self._named, self.is_hidden = self.path, False
        self._disk.sync_directory(self.path.parent)
        self.is_anchored = True
        self.durable_offset = self.offset

    def cut(self) -> None:
        """Truncate to what is durable, or remove a file of which nothing is; as far as it goes.

        A reader is told by the journal that replaces it, so a failure here changes nothing.
        """
        if self.durable_offset <= FILE_HEADER.size:
            self.unlink()
        else:
            with suppress(OSError):
                self._disk.truncate(self.fd, self.durable_offset)

    def unlink(self) -> None:
        """Remove the name of a file without frames, or of one that no reader may see."""
        with suppress(OSError):
            self._disk.unlink(self._named)

    def remove(self) -> None:
        """Unlink and close."""
        self.unlink()
        self.close()

    def close(self) -> None:
        """Close the descriptor; may be called again.

        What the system says to that changes nothing: whoever closes has synced before, or has
        given the file up.
        """
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with suppress(OSError):
                self._disk.close(fd)
