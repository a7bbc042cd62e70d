"""What a journal gives to the sealer: exactly what was written, or everything whole in it.

Responsible for reading a journal strictly (a live recorder's sealer) or with bridges over what is
missing (recovery, docs/format.md, "Recovery"). Refuses to invent: a bridge is a `lost` row that
names the missing numbers and why, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from recorder.capture import layout
from recorder.capture.journal import Block, End, Flaw, Trailer
from recorder.capture.journal.file import JournalFile
from recorder.errors import Damage
from recorder.frame import NO_CONNECTION, RECORD, Frame, Kind, encode_record

Run = tuple[int, int, bytes]
"""First seq, count and records of frames within one digest block."""


class SealInput(Protocol):
    """Frames on their way into a sealed segment."""

    trailer: Trailer | None
    is_repaired: bool
    first_seq: int
    last_seq: int

    def runs(self) -> Iterator[Run]:
        """Yield the records; `trailer`, `is_repaired`, `last_seq` are right afterwards."""
        ...

    def close(self) -> None:
        """Close the journal."""
        ...


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What recovery knows about the surroundings of a journal.

    Attributes:
        expected_seq: the number after the last one before this segment.
        stamps: `(ts_recv, ts_mono)` of the last frame before it, None where there is none.
        next_first_seq: first number of the following journal; None where this is the last one.
    """

    expected_seq: int
    stamps: tuple[int, int] | None
    next_first_seq: int | None


class _Strict:
    """A journal that must be whole."""

    def __init__(self, root: Path, segment: int, capture_id: str) -> None:
        self._journal = JournalFile(root, segment, capture_id=capture_id)
        self.trailer: Trailer | None = None
        self.is_repaired = False
        self.first_seq = self._journal.first_seq
        self.last_seq = self.first_seq - 1

    def runs(self) -> Iterator[Run]:
        for part in self._journal.parts():
            if isinstance(part, Flaw):
                raise self._damage(part.cause, part.expected_seq)
            if isinstance(part, End):
                self.trailer = part.trailer
                self.last_seq = part.trailer.following - 1
            else:
                yield part.first_seq, part.count, part.records
                self.last_seq = part.following - 1
        if self.trailer is None and self._journal.cut != self.last_seq + 1:
            raise self._damage("no trailer", self.last_seq + 1)

    def _damage(self, cause: str, seq: int) -> Damage:
        return Damage(
            f"expected a whole journal in {self._journal.path}, found {cause} at seq {seq}; run "
            f"`recorder recover` when nothing is recording",
            file=self._journal.path,
            cause=cause,
            segment=self._journal.segment,
            first_seq=seq,
        )

    def close(self) -> None:
        self._journal.close()


def read_strictly(root: Path, segment: int, capture_id: str) -> SealInput:
    """Open a journal that must be whole; reading it raises Damage where it is not."""
    return _Strict(root, segment, capture_id)


class Salvage:
    """A journal of a dead recorder: all that is whole, with `lost` rows for the rest.

    Attributes:
        holes: `lost` rows made, and cut_bytes: bytes at the end that were no whole block.
        is_damaged: bytes before the end were not whole: the file is worth keeping aside.
    """

    def __init__(self, root: Path, segment: int, capture_id: str, repair: Repair) -> None:
        self._journal = JournalFile(
            root, segment, capture_id=capture_id, expected_seq=repair.expected_seq
        )
        self._repair = repair
        self._stamps = repair.stamps
        self._waiting: list[tuple[int, int | None, str]] = []
        self._written_at = layout.journal_path(root, segment).stat().st_mtime_ns
        self._ended = self._has_block = False
        self.trailer: Trailer | None = None
        self.is_repaired = False
        self.is_damaged = False
        self.holes = 0
        self.cut_bytes = 0
        self.first_seq = repair.expected_seq
        self.last_seq = repair.expected_seq - 1

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def runs(self) -> Iterator[Run]:
        """Yield the records, with the rows that stand for what is missing."""
        tail_cause = "journal ends early"
        missing_cause = "journal segment missing"
        for part in self._journal.parts():
            if isinstance(part, Flaw):
                if part.at_end:
                    self.cut_bytes = part.end - part.offset
                    tail_cause = part.cause
                else:
                    self.is_damaged = self.is_repaired = True
                    missing_cause = part.cause
                continue
            first = part.trailer.following if isinstance(part, End) else part.first_seq
            if first > self.last_seq + 1:
                yield from self._bridge(first - 1, missing_cause)
            missing_cause = "block out of order"
            if isinstance(part, End):
                self.trailer = part.trailer if not self.is_repaired else None
                self._ended = True
            else:
                yield from self._keep(part)
        yield from self._at_end(tail_cause)

    def _keep(self, block: Block) -> Iterator[Run]:
        self._has_block = True
        if self._waiting:
            self._stamps = _stamps(block.records, last=False)
            waiting, self._waiting = self._waiting, []
            for seq, last_seq, cause in waiting:
                yield self._row(seq, last_seq, cause)
        yield block.first_seq, block.count, block.records
        self.last_seq = block.following - 1
        self._stamps = _stamps(block.records, last=True)

    def _at_end(self, cause: str) -> Iterator[Run]:
        following = self._repair.next_first_seq
        if self.trailer is not None and self.trailer.has_next and following is None:
            self.trailer = None  # the next journal went with a power cut: here is the last word
            yield from self._bridge(None, self._cause_of_end())
            return
        if self._ended:
            return  # what is missing behind a trailer is missing from the next segment
        if following is None:
            yield from self._bridge(None, self._cause_of_end())
        elif following > self.last_seq + 1:
            yield from self._bridge(following - 1, cause)
        if following is None and self._waiting and self._had_frames():
            # No frame is left to take stamps from: the file was last written at that time.
            self._stamps = self._written_at, 0
            for seq, last_seq, why in self._waiting:
                yield self._row(seq, last_seq, why)

    def _cause_of_end(self) -> str:
        is_destroyed = self._journal.header_fault is not None and not self._has_block
        return "journal destroyed" if is_destroyed else "killed"

    def _had_frames(self) -> bool:
        """Tell whether frames were there, though none of them is whole."""
        return self.cut_bytes > 0 or self._journal.first_seq > self._repair.expected_seq

    def _bridge(self, last_seq: int | None, cause: str) -> Iterator[Run]:
        """Put a `lost` row where the next frame should have been."""
        seq = self.last_seq + 1
        self.is_repaired = True
        if self._stamps is None:
            self._waiting.append((seq, last_seq, cause))
            return
        yield self._row(seq, last_seq, cause)

    def _row(self, seq: int, last_seq: int | None, cause: str) -> Run:
        ts_recv, ts_mono = self._stamps or (0, 0)
        payload = msgspec.json.encode(
            {
                "connection": NO_CONNECTION,
                "first_seq": None if last_seq is None else seq,
                "last_seq": last_seq,
                "count": None if last_seq is None else last_seq - seq + 1,
                "bytes": None,
                "cause": cause,
            }
        )
        self.holes += 1
        self.last_seq = seq if last_seq is None else last_seq
        return (
            seq,
            1,
            encode_record(Frame(seq, ts_recv, ts_mono, NO_CONNECTION, Kind.LOST, payload)),
        )


def _stamps(records: bytes, *, last: bool) -> tuple[int, int]:
    """Return `(ts_recv, ts_mono)` of the first or last record."""
    at = 0
    while True:
        _, ts_recv, ts_mono, _, _, length = RECORD.unpack_from(records, at)
        at += RECORD.size + length
        if not last or at >= len(records):
            return ts_recv, ts_mono


def quarantine(root: Path, segment: int, *, offset: int, size: int, label: str) -> str:
    """Copy bytes of a journal to `quarantine/`, durably; the same bytes again change nothing.

    Returns:
        The path of the copy, relative to the capture.
    """
    folder = _quarantine_folder(root)
    source = layout.journal_path(root, segment)
    target = folder / f"{segment:06d}-{offset}-{size}.{label}"
    if target.exists():
        return str(target.relative_to(root))
    temporary = target.with_name(target.name + layout.UNFINISHED)
    with source.open("rb") as reading, temporary.open("wb") as writing:
        reading.seek(offset)
        left = size
        while left and (chunk := reading.read(min(left, 1 << 20))):
            writing.write(chunk)
            left -= len(chunk)
    temporary.chmod(layout.file_mode(root))
    layout.fsync_file(temporary)
    temporary.rename(target)
    layout.fsync_directory(folder)
    return str(target.relative_to(root))


def set_aside(root: Path, path: Path) -> str:
    """Move a whole file that is not what its name says to `quarantine/`, durably.

    Returns:
        Its path there, relative to the capture.
    """
    target = _quarantine_folder(root) / path.name
    path.rename(target)
    layout.fsync_directory(target.parent)
    layout.fsync_directory(path.parent)
    return str(target.relative_to(root))


def _quarantine_folder(root: Path) -> Path:
    folder = root / layout.QUARANTINE_DIR
    if not folder.is_dir():
        folder.mkdir(mode=root.stat().st_mode & 0o777, exist_ok=True)
        layout.fsync_directory(root)
    return folder
