"""A sealed segment: sorted zstd Parquet, written once, read block by block.

Responsible for the columns, encodings and metadata (docs/format.md, "Sealed segment"), for
writing blocks, and for restoring arrival order in bounded memory. Refuses to decide what goes
into a segment (`seal`) or which segments are read (`reader`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from recorder.capture.block import LoadedBlock, Selection
from recorder.capture.digest import BlockDigest
from recorder.capture.place import Place, Remote, is_refusal, store_failure
from recorder.capture.reading.hold import hold_file
from recorder.capture.sealing.pending import SCHEMA, PendingRows
from recorder.errors import Damage, StoreFailed

# pyarrow has no types of its own, and the stubs lag behind it by versions: checked by the tests.
pa: Any = pyarrow
pc: Any = pyarrow.compute
pq: Any = pyarrow.parquet

BLOCK_ROWS = 16_384
BLOCK_BYTES = 256 << 20
"""A sorted block ends early when its payloads would hold more: it is sorted and read in memory."""
GROUP_ROWS = 65_536
LEVEL, BUSY_LEVEL = 9, 1
EASY_BYTES_PER_S = 4_000_000
"""Payload bytes a second of data time (some 12,000 frames) up to which `LEVEL` is used."""
META_KEY = b"recorder"

_INTEGERS = ("seq", "ts_recv", "ts_mono", "connection")
_LABELS = ("kind", "channel", "instrument")


class SortedBlock(msgspec.Struct, frozen=True, array_like=True):
    """Bounds of one sorted block: `[rows, groups, first_seq, last_seq]` in JSON."""

    rows: int
    groups: int
    first_seq: int
    last_seq: int


class ChannelCount(msgspec.Struct):
    """What one channel holds in a segment or capture; bytes are of payloads."""

    frames: int = 0
    bytes: int = 0
    instruments: list[str] = msgspec.field(default_factory=list)


class InnerCheckpoint(msgspec.Struct, frozen=True, array_like=True):
    """A checkpoint inside a segment, before frame `seq`: `[segment, seq, digest]` in JSON."""

    segment: int
    seq: int
    digest: str


class JoinedPart(msgspec.Struct, frozen=True, kw_only=True):
    """What a joined file keeps of each segment in it; the names are those of `SegmentMeta`.

    Attributes:
        has_checkpoint: `checkpoints/<segment>.zst` was kept: a point to start reading from.
    """

    segment: int
    first_seq: int
    last_seq: int
    count: int
    start: int
    end: int
    events: int
    gaps: int
    lost_rows: int
    lost: int
    checkpoint: str
    has_checkpoint: bool
    recorded: dict[str, int | str] | None
    recovered: bool


class SegmentMeta(msgspec.Struct, kw_only=True):
    """The metadata of a sealed segment; docs/format.md explains every field."""

    format: int
    capture: str
    segment: int
    first_seq: int
    last_seq: int
    next_seq: int
    count: int
    raw_bytes: int
    start: int
    end: int
    min_ts_recv: int
    max_ts_recv: int
    first_ts_mono: int
    last_ts_mono: int
    blocks: list[SortedBlock]
    digests: list[BlockDigest]
    carried: BlockDigest | None
    checkpoint: str
    parser: str
    events: int
    gaps: int
    unrecognized: int
    integrity: dict[str, int]
    lost_rows: int
    lost: int
    runs: int
    connections: int
    last_connection: int
    kinds: dict[str, int]
    channels: dict[str, ChannelCount]
    recorded: dict[str, int | str] | None
    recovered: bool
    joined: list[JoinedPart] | msgspec.UnsetType = msgspec.UNSET
    latest_ts_recv: int | msgspec.UnsetType = msgspec.UNSET
    inner_checkpoints: list[InnerCheckpoint] | msgspec.UnsetType = msgspec.UNSET
    links: dict[str, int] | msgspec.UnsetType = msgspec.UNSET

    @property
    def last_segment(self) -> int:
        """The number of the last segment in it: its own where nothing was joined."""
        return self.joined[-1].segment if self.joined else self.segment


# Made here, not at the first use: two threads that make it at once crash the process (msgspec).
_decode_meta = msgspec.json.Decoder(SegmentMeta).decode


def level_for(payload_bytes: int, ns: int) -> int:
    """Return the zstd level for payloads that came within `ns` of data time.

    A sixth smaller for 4 to 6 microseconds a frame more, and it reads as fast: worth it at any rate
    at which the sealer keeps up easily. The data decide, so the same frames give the same bytes.
    """
    return LEVEL if payload_bytes * 1_000_000_000 <= EASY_BYTES_PER_S * ns else BUSY_LEVEL


class SegmentWriter:
    """Write sorted blocks to a Parquet file; `close` adds the metadata."""

    def __init__(self, path: Path, *, level: int) -> None:
        self.blocks: list[SortedBlock] = []
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            # The payloads are nine tenths of the file; to the rest a level makes no difference.
            compression_level={**dict.fromkeys(SCHEMA.names, 1), "payload": level},
            use_dictionary=list(_LABELS),
            write_statistics=[*_INTEGERS, *_LABELS],
            column_encoding={
                **dict.fromkeys(_INTEGERS, "DELTA_BINARY_PACKED"),
                # Sorted and compressed, DELTA_BYTE_ARRAY is 1 to 2 % smaller and larger pages make
                # no difference (docs/performance.md); PLAIN reads fastest everywhere.
                "payload": "PLAIN",
            },
            write_page_checksum=True,
            store_schema=False,
        )

    def add(self, pending: PendingRows) -> None:
        """Write the pending rows, at most `BLOCK_ROWS`, as one sorted block."""
        rows, first_seq, last_seq = pending.rows, pending.first_seq, pending.last_seq
        self._writer.write_table(pending.take_table(), row_group_size=GROUP_ROWS)
        self.blocks.append(SortedBlock(rows, -(-rows // GROUP_ROWS), first_seq, last_seq))

    def close(self, meta: SegmentMeta) -> None:
        """Write metadata and footer."""
        self._writer.add_key_value_metadata({META_KEY: msgspec.json.encode(meta)})
        self._writer.close()

    def abandon(self) -> None:
        """Close the file without metadata: it is not a segment and will be deleted."""
        self._writer.close()


class SegmentReader:
    """Read one sealed segment; it is held, so that nobody deletes it, until `close`.

    Raises (every method):
        Damage: the file is cut short, or a page does not have its checksum.
        FileNotFoundError: it has been deleted; take a new snapshot.
    """

    def __init__(self, root: Place, path: str, segment: int) -> None:
        self._path = path
        self._segment = segment
        self._place = place = root / path
        self._hold = -1
        is_remote = isinstance(place, Remote)
        if isinstance(place, Path):
            self._hold = hold_file(place)
        try:
            self._file = pq.ParquetFile(
                place.open() if isinstance(place, Remote) else place,
                read_dictionary=list(_LABELS),
                page_checksum_verification=True,
                pre_buffer=is_remote,  # of a block one request, not one for each column
            )
            raw = (self._file.metadata.metadata or {}).get(META_KEY)
            if raw is None:
                raise self._damage("no segment metadata")
            self.meta = _decode_meta(raw)
            if self._file.schema_arrow.names != SCHEMA.names:
                raise self._damage("its columns are not those of a segment")
        except (FileNotFoundError, Damage, StoreFailed):
            self._let_go()
            raise
        except Exception as error:
            self._let_go()
            raise self._failure(error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1

    def __del__(self) -> None:
        self._let_go()  # a reader that was left in the middle of an iteration

    def _failure(self, error: Exception, block: SortedBlock | None = None) -> Damage | StoreFailed:
        if isinstance(self._place, Remote) and is_refusal(error):
            return store_failure(self._place, error)
        return self._damage(_cause_of(error), block)

    def _damage(self, cause: str, block: SortedBlock | None = None) -> Damage:
        return Damage(
            f"expected a whole segment in {self._path}, but reading it failed: {cause}; "
            f"run `recorder verify` for the extent, and restore the file from a copy",
            file=self._path,
            cause=cause,
            segment=self._segment,
            first_seq=block.first_seq if block else None,
            last_seq=block.last_seq if block else None,
        )

    def blocks(self) -> Iterator[tuple[SortedBlock, list[int]]]:
        """Yield each sorted block and its row group numbers."""
        group = 0
        for block in self.meta.blocks:
            yield block, list(range(group, group + block.groups))
            group += block.groups

    def load(self, block: SortedBlock, groups: list[int], wanted: Selection) -> LoadedBlock | None:
        """Read one block and restore seq order; None where no row is wanted."""
        try:
            if wanted.filters:
                groups = [g for g in groups if self._may_hold(g, wanted)]
                if not groups:
                    return None
            table = self._file.read_row_groups(groups, use_threads=False)
            # No checksum covers page headers: a flipped bit there can leave codes without a label.
            table.validate(full=True)
            return LoadedBlock.of(table, wanted)
        except Exception as error:
            raise self._failure(error, block) from error

    def _may_hold(self, group: int, wanted: Selection) -> bool:
        row_group = self._file.metadata.row_group(group)
        for column, values in ((5, wanted.channels), (6, wanted.instruments)):
            if values is None:
                continue
            statistics = row_group.column(column).statistics
            if statistics is None:
                continue
            if statistics.null_count == row_group.num_rows:
                return False
            if not statistics.has_min_max:
                continue  # the writer leaves out bounds longer than 4 KiB
            if not any(statistics.min <= value <= statistics.max for value in values):
                return False
        return True

    def _reaches(self, group: int, ts_recv: int) -> bool:
        """Tell whether a row group may hold a frame received at a time or later."""
        statistics = self._file.metadata.row_group(group).column(1).statistics
        return statistics is None or not statistics.has_min_max or statistics.max >= ts_recv

    def first_at_or_after(self, groups: list[int], ts_recv: int, from_seq: int) -> int | None:
        """Return the lowest seq >= `from_seq` in some row groups with a `ts_recv` at or after."""
        try:
            groups = [group for group in groups if self._reaches(group, ts_recv)]
            if not groups:
                return None
            table = self._file.read_row_groups(
                groups, columns=["seq", "ts_recv"], use_threads=False
            )
            seq = table.column("seq")
            mask = pc.and_(
                pc.greater_equal(table.column("ts_recv"), ts_recv), pc.greater_equal(seq, from_seq)
            )
            found: int | None = pc.min(seq.filter(mask)).as_py()
            return found
        except Exception as error:
            raise self._failure(error) from error


def last_segment(root: Place, path: str, segment: int) -> int:
    """Return the number of the last segment in a sealed file: its own, unless it is a joined one.

    Of a file that cannot be read nobody knows: its own.
    """
    try:
        reader = SegmentReader(root, path, segment)
    except (Damage, FileNotFoundError):
        return segment
    reader.close()
    return reader.meta.last_segment


def _cause_of(error: Exception) -> str:
    """Return what reading a file met; a damaged one can fail anywhere in Arrow, and here."""
    return str(error).partition("\n")[0] or type(error).__name__
