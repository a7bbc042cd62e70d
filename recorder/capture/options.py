"""How a capture is written: the options of `CaptureWriter`, checked.

Responsible for the names, defaults and bounds of what a caller may choose about journal, sync,
full disks and retention. Refuses to touch a disk.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from recorder.errors import UsageError

JournalMode = Literal["write-through", "block"]
FullPolicy = Literal["stop", "wait", "ring"]

_INT64 = (1 << 63) - 1
_MOST: dict[str, float] = {"segment_seconds": 1e9, "segment_bytes": 1 << 30, "flush_ms": 60_000}
"""A segment ends with its day anyway, and its blocks must fit into memory and Arrow's offsets."""
_ABOVE_ZERO = (
    "segment_seconds",
    "segment_bytes",
    "sync_ms",
    "flush_ms",
    "queue_bytes",
    "wait_bytes",
)
_CHOICES = {"journal": get_args(JournalMode), "on_disk_full": get_args(FullPolicy)}


class WriterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a capture is written.

    Attributes:
        segment_seconds: data time after which a segment ends; segment_bytes: records likewise.
        sync_ms: longest time between a write and its fdatasync, milliseconds.
        queue_bytes: memory that frames on their way to the disk may take, in bytes, what Python
            needs for them included; `congested` is true from half of it on.
        journal: `write-through`: everything at hand goes out at once; `block`: zstd blocks, cut
            after `flush_ms` milliseconds, by size, or by a row of a connection's life.
        compress_journal: zstd blocks in a write-through journal, too.
        on_disk_full: `stop`; `wait` for room with the newest `wait_bytes` of frames in memory;
            `ring`: wait, and delete the oldest sealed segments to make room.
        keep_free: bytes to leave free for others: the disk counts as full below that.
        retain_days, retain_bytes: delete sealed segments beyond that age or total size; None: keep.
        private: directory 0700, files 0600.
    """

    segment_seconds: float = 60.0
    segment_bytes: int = 64 << 20
    sync_ms: int = 200
    queue_bytes: int = 256 << 20
    journal: JournalMode = "write-through"
    flush_ms: int = 50
    compress_journal: bool = False
    on_disk_full: FullPolicy = "stop"
    keep_free: int = 0
    wait_bytes: int = 256 << 20
    retain_days: float | None = None
    retain_bytes: int | None = None
    private: bool = False

    def __post_init__(self) -> None:
        for name in _ABOVE_ZERO:
            self._check(name, getattr(self, name), least=0, is_above=True)
        self._check("keep_free", self.keep_free, least=0, is_above=False)
        for name in ("retain_days", "retain_bytes"):
            if getattr(self, name) is not None:
                self._check(name, getattr(self, name), least=0, is_above=True)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"expected {name} to be one of {', '.join(choices)}, received "
                    f"{getattr(self, name)!r}; leave it out for the default"
                )

    def _check(self, name: str, value: float, *, least: int, is_above: bool) -> None:
        most = _MOST.get(name, _INT64)
        if not (least < value if is_above else least <= value) or not value <= most:
            lower = f"above {least}" if is_above else f"of at least {least}"
            upper = f" and at most {most:g}" if name in _MOST else ""
            raise UsageError(
                f"expected {name} {lower}{upper}, received {value}; leave it out for the default"
            )


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Frames that were handed over and could not be kept.

    The `lost` row of a loss is in the capture already, in the place of `first_seq`, made by the
    writer: do not record another. A loss is told for counting and for people.

    Attributes:
        connection: of all of them, -1 where there were several.
        first_seq, last_seq: inclusive. count: frames; bytes: of their payloads.
        cause: e.g. `disk full`.
    """

    connection: int
    first_seq: int
    last_seq: int
    count: int
    bytes: int
    cause: str


class AppenderOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the journal is written; see `WriterOptions`. Times in seconds, sizes in bytes.

    Attributes:
        flush_s: age of a block when it is cut; None for write-through.
        patience_s: how long `finish` waits for a disk that makes no progress.
    """

    sync_s: float = 0.2
    flush_s: float | None = None
    compress: bool = False
    on_full: FullPolicy = "stop"
    queue_bytes: int = 256 << 20
    wait_bytes: int = 256 << 20
    patience_s: float = 60.0
