"""Import: recorded lines of JSON become a capture.

Responsible for the form `jsonl` (one object a line), for exact times and exact payload bytes,
and for merging several sources. Refuses to add rows of its own, to guess at malformed lines (the
source and line are named, and nothing is left behind), and to read a clock.
"""

from __future__ import annotations

import heapq
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import msgspec

from recorder.capture.journal import MAX_PAYLOAD_BYTES
from recorder.capture.reshape.redundant import relinked
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.clock import NS_PER_SECOND
from recorder.errors import SourceError, UsageError
from recorder.frame import KIND_OF_LABEL, LABELS, NO_CONNECTION, Frame, Kind

STANDARD_INPUT = "-"
_MAX_LINE_BYTES = 2 * MAX_PAYLOAD_BYTES
_BATCH_FRAMES = 4096
_BATCH_BYTES = 8 << 20
_INT64 = 1 << 63
_INT32 = 1 << 31
_PLAIN_SECONDS = re.compile(r"(\d{1,10})(?:\.(\d*))?")
_JSON_KINDS = frozenset({Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN, Kind.CLOCK})


class _Line(msgspec.Struct):
    """One line; see docs/commands.md for the fields."""

    t: msgspec.Raw = msgspec.Raw()
    ts_recv: int | None = None
    kind: str = "text"
    connection: int = 0
    payload: msgspec.Raw = msgspec.Raw()
    payload_base64: bytes | None = None


class _Row(msgspec.Struct, frozen=True, gc=False):
    ts_recv: int
    connection: int
    kind: Kind
    payload: bytes


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was imported. `source_bytes` counts the lines read."""

    frames: int
    segments: int
    connections: int
    source_bytes: int


_decode = msgspec.json.Decoder(_Line).decode
_decode_text = msgspec.json.Decoder(str).decode


def import_sessions(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    form: str = "jsonl",
    append: bool = False,
    note: str | None = None,
    options: WriterOptions | None = None,
    reproducible: bool = False,
    links: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write the lines of `sources` to a capture at `out`.

    Several sources are merged by time (equal times: the earlier source first); each source's own
    order is kept. `ts_mono` is the running maximum of `ts_recv`. The connections of one source
    keep their numbers; of several sources, the first connection of source i becomes i and every
    other the next free number. Appending shifts all of them behind those in the capture.

    Args:
        sources: paths, or `-` for standard input.
        form: of the sources; `jsonl` is the one there is.
        links: the sources are redundant links of one recorder: the `opened` rows of source i say
            link i.
        progress: called with frames and source bytes so far.

    Raises:
        SourceError: a source is missing or malformed; a capture made here is removed again.
        CaptureExists, DiskFull, RecorderError: as `CaptureWriter`.
    """
    if form != "jsonl":
        raise UsageError(f"expected the form jsonl, received {form!r}; it is the one there is")
    opened = [_Source(str(source), rank) for rank, source in enumerate(sources)]
    try:
        for source in opened:
            source.open()
            if append and source.name != STANDARD_INPUT:
                # Appending cannot be undone, so a bad line must be found before the first write.
                source.check()
        writer = CaptureWriter(
            out, options=options, append=append, note=note, reproducible=reproducible
        )
        try:
            _write(writer, opened, progress, links=links)
            closed = writer.close()
        except BaseException:
            writer.discard()
            raise
    finally:
        for source in opened:
            source.close()
    return ImportReport(
        frames=closed.frames,
        segments=closed.segments,
        connections=sum(source.connections for source in opened),
        source_bytes=sum(source.bytes for source in opened),
    )


class _Source:
    """One file of lines."""

    def __init__(self, name: str, rank: int) -> None:
        self.name = name
        self.rank = rank
        self.bytes = 0
        self.connections = 0
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Open the file before anything is written."""
        if self.name == STANDARD_INPUT:
            self._file = sys.stdin.buffer
            return
        try:
            self._file = Path(self.name).open("rb")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise SourceError(
                f"expected a file to import at {self.name}, but the system said "
                f"{error.strerror or error}; check the name",
                source=self.name,
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and self.name != STANDARD_INPUT:
            self._file.close()

    def check(self) -> None:
        """Read every line once without keeping it, then go back to the beginning."""
        for _ in self.rows():
            pass
        self.bytes = 0
        if self._file is not None:
            self._file.seek(0)

    def rows(self) -> Iterator[_Row]:
        """Yield the rows in file order."""
        if self._file is None:
            return
        number = 0
        while line := self._file.readline(_MAX_LINE_BYTES):
            number += 1
            self.bytes += len(line)
            if line.isspace():
                continue
            try:
                yield _row_of(line)
            except ValueError as error:
                cause = " ".join(str(error).split()) or type(error).__name__
                raise SourceError(
                    f"expected one JSON object with t or ts_recv, kind, connection and payload "
                    f"in {self.name} line {number}, but: {cause}; correct the line, nothing was "
                    f"imported",
                    source=self.name,
                    line=number,
                ) from error


def _row_of(line: bytes) -> _Row:
    if len(line) >= _MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {_MAX_LINE_BYTES} bytes")
    fields = _decode(line)
    kind = KIND_OF_LABEL.get(fields.kind)
    if kind is None:
        raise ValueError(f"kind {fields.kind!r} is none of {', '.join(LABELS)}")
    if not NO_CONNECTION <= fields.connection < _INT32:
        raise ValueError(f"connection {fields.connection} is out of range")
    ts_recv = _nanoseconds(bytes(fields.t)) if fields.ts_recv is None else fields.ts_recv
    if not -_INT64 <= ts_recv < _INT64:
        raise ValueError("the time is out of range")
    return _Row(ts_recv, fields.connection, kind, _payload_of(fields, kind))


def _nanoseconds(token: bytes) -> int:
    """Return ns of Unix seconds written in decimal, exactly; digits beyond ns are cut."""
    if not token:
        raise ValueError("neither t nor ts_recv is there")
    text = token.decode().strip('"')
    match = _PLAIN_SECONDS.fullmatch(text)
    if match is not None:
        seconds, fraction = match.groups()
        return int(seconds) * NS_PER_SECOND + int((fraction or "0")[:9].ljust(9, "0"))
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"t is {text!r}, not Unix seconds") from None
    if not value.is_finite() or abs(value) >= _INT64:
        raise ValueError(f"t is {text!r}, not Unix seconds")
    return int(value.scaleb(9))


def _payload_of(fields: _Line, kind: Kind) -> bytes:
    if fields.payload_base64 is not None:
        payload = fields.payload_base64
    else:
        raw = bytes(fields.payload)
        if raw.startswith(b'"'):
            payload = _decode_text(raw).encode()
        elif kind in _JSON_KINDS and raw.startswith(b"{"):
            payload = raw
        else:
            raise ValueError("payload is no string (use payload_base64 for bytes)")
        if kind is Kind.OPENED and not payload.lstrip().startswith(b"{"):
            payload = msgspec.json.encode(
                {"url": payload.decode(), "endpoint": _endpoint_of(payload.decode()), "link": None}
            )
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"payload of {len(payload)} bytes is over {MAX_PAYLOAD_BYTES}")
    return payload


def _endpoint_of(url: str) -> str | None:
    """Return `public`, `business` or `private`: how OKX ends the paths of its v5 sockets."""
    last = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last if last in ("public", "business", "private") else None


class _Connections:
    """Gives every connection of every source its number in the capture."""

    def __init__(self, sources: int, first_free: int) -> None:
        self._base = first_free
        self._sources = sources
        self._numbers: dict[tuple[int, int], int] = {}
        self._next = sources

    def number_of(self, rank: int, connection: int) -> int:
        """Return the capture's number for a connection of a source."""
        if connection == NO_CONNECTION:
            return NO_CONNECTION
        if self._sources == 1:
            return self._base + connection
        number = self._numbers.get((rank, connection))
        if number is None:
            if any(known == rank for known, _ in self._numbers):
                number, self._next = self._next, self._next + 1
            else:
                number = rank
            self._numbers[rank, connection] = number
        return self._base + number


def _merged(sources: Sequence[_Source]) -> Iterator[tuple[int, int, _Row]]:
    """Yield `(time, rank, row)` over all sources; a source's own time never falls."""

    def timed(source: _Source) -> Iterator[tuple[int, int, _Row]]:
        latest = -_INT64
        for row in source.rows():
            latest = max(latest, row.ts_recv)
            yield latest, source.rank, row

    streams: Iterable[Iterator[tuple[int, int, _Row]]] = [timed(source) for source in sources]
    return heapq.merge(*streams, key=itemgetter(0, 1))


def _write(
    writer: CaptureWriter,
    sources: Sequence[_Source],
    progress: Callable[[int, int], None] | None,
    *,
    links: bool,
) -> None:
    numbers = _Connections(len(sources), writer.next_connection)
    seen: set[tuple[int, int]] = set()
    batch: list[Frame] = []
    size = 0
    ts_mono = -_INT64
    seq = writer.next_seq
    for _, rank, row in _merged(sources):
        ts_mono = max(ts_mono, row.ts_recv)
        if (rank, row.connection) not in seen and row.connection != NO_CONNECTION:
            seen.add((rank, row.connection))
            sources[rank].connections += 1
        connection = numbers.number_of(rank, row.connection)
        payload = row.payload
        if links and row.kind is Kind.OPENED:
            payload = relinked(payload, row.kind, rank, 0)
        batch.append(Frame(seq, row.ts_recv, ts_mono, connection, row.kind, payload))
        seq += 1
        size += len(payload)
        if len(batch) >= _BATCH_FRAMES or size >= _BATCH_BYTES:
            writer.write(batch)
            writer.wait_for_room()
            batch, size = [], 0
            if progress is not None:
                progress(seq, sum(source.bytes for source in sources))
    writer.write(batch)
