"""Expectation: what a capture's events were, in a file that a person can read and commit.

Responsible for the form of `expected.json`, for the file of events beside it, and for reading and
writing both so that a killed run leaves the old ones whole. Refuses to make or compare events.

The JSON holds figures alone: counts, digests and the census. The events themselves, which show what
changed and not only where, lie beside it in `expected.events`, each block compressed by itself, and
may be left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from recorder.errors import Damage, UsageError
from replay.regression.census import ChannelCensus
from replay.regression.figures import Block, OpenBlock, new_digest, unpacked

FORMAT = 1
FILE = "expected.json"
_JSON_MAX = 1 << 30


class EventsFile(msgspec.Struct, frozen=True):
    """The file of events beside an expectation: its name, size and BLAKE2b-64."""

    name: str
    bytes: int
    digest: str


class Expectation(msgspec.Struct, kw_only=True):
    """What a capture's events were.

    Attributes:
        parser_version: of the parser that made them.
        capture: id of the capture. frames: in it, from `first_seq` on. input_digest: of these.
        output_digest: of the events, as `replay play --digest` tells it.
        events: counts by type. integrity: the interpreter's counts.
        census: what the venue sent, by channel.
        blocks: runs of frames, each with its own counts and digests.
        events_file: where the events are; None where only figures were kept.
    """

    format: int
    parser_version: int
    capture: str
    frames: int
    first_seq: int | None
    input_digest: str
    output_digest: str
    events: dict[str, int]
    integrity: dict[str, int]
    census: dict[str, ChannelCensus]
    events_file: EventsFile | None = None
    blocks: list[Block] = []


def read_expectation(path: Path) -> Expectation:
    """Read an expectation.

    Raises:
        UsageError: there is none, or it is none.
    """
    try:
        if path.stat().st_size > _JSON_MAX:
            raise ValueError("it is too large")
        expected = msgspec.json.decode(path.read_bytes(), type=Expectation)
    except FileNotFoundError:
        raise UsageError(
            f"expected an expectation at {path}, found none; --update makes it"
        ) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise UsageError(
            f"expected {path} to be an expectation made by `replay check --update`, but it cannot "
            f"be read ({error}); make it anew"
        ) from error
    if expected.format != FORMAT:
        raise UsageError(
            f"expected an expectation of format {FORMAT}, received format {expected.format} in "
            f"{path}; make it anew with --update"
        )
    return expected


class EventsReader:
    """The events of an expectation, block by block."""

    def __init__(self, path: Path, expected: Expectation) -> None:
        self._file: BinaryIO | None = None
        self._path = path
        if expected.events_file is None:
            return
        self._path = path.with_name(expected.events_file.name)
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return  # not committed, say: frames are named by their prints alone
        if os.fstat(self._file.fileno()).st_size != expected.events_file.bytes:
            self.close()
            raise self._damage("it is of another size")

    def lines(self, block: Block) -> list[bytes] | None:
        """Return the events of each frame of a block; None where they were not kept.

        Raises:
            Damage: they cannot be read.
        """
        if self._file is None or block.at is None:
            return None
        offset, size = block.at
        self._file.seek(offset)
        try:
            lines = unpacked(self._file.read(size))
        except ValueError as error:
            raise self._damage(str(error)) from error
        if len(lines) != block.frames:
            raise self._damage(f"{len(lines)} frames instead of {block.frames}")
        return lines

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _damage(self, cause: str) -> Damage:
        return Damage(
            f"expected {self._path} to hold the events of its expectation, but {cause}; make both "
            f"anew with --update",
            file=str(self._path),
            cause=cause,
        )


class ExpectationWriter:
    """Writes an expectation as the frames pass by.

    Nothing is to be seen before `close`; `discard` leaves what was there before.
    """

    def __init__(self, path: Path, *, with_events: bool, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._blocks: list[Block] = []
        self._open = OpenBlock()
        self._events_path = path.with_suffix(".events")
        self._work = self._events_path.with_name(self._events_path.name + ".tmp")
        self._file: BinaryIO | None = None
        self._digest = new_digest()
        self._size = 0
        if with_events:
            self._file = _create(self._work, mode)

    def add(self, seq: int, ts_recv: int, events: list[tuple[str, bytes]]) -> None:
        """Add a frame and its events: type and JSON of each."""
        self._open.add(seq, ts_recv, events)
        if self._open.is_full:
            self._end_block()

    def _end_block(self) -> None:
        block = self._open.figures()
        if self._file is None:
            block.prints = self._open.prints()
        else:
            data = self._open.packed()
            self._file.write(data)
            self._digest.update(data)
            block.at = (self._size, len(data))
            self._size += len(data)
        self._blocks.append(block)
        self._open = OpenBlock()

    def close(self, **figures: Any) -> Expectation:
        """Put both files in place: the events first, which no expectation names yet."""
        if self._open.lines:
            self._end_block()
        events_file = None
        if self._file is not None:
            events_file = EventsFile(self._events_path.name, self._size, self._digest.hexdigest())
            _sync(self._file)
            self._work.rename(self._events_path)
        expected = Expectation(
            format=FORMAT, events_file=events_file, blocks=self._blocks, **figures
        )
        work = self._path.with_name(self._path.name + ".tmp")
        file = _create(work, self._mode)
        file.write(as_text(expected))
        _sync(file)
        work.rename(self._path)
        if events_file is None:
            self._events_path.unlink(missing_ok=True)
        return expected

    def discard(self) -> None:
        """Give up; the files that were there stay."""
        if self._file is not None:
            self._file.close()
            self._work.unlink(missing_ok=True)


def as_text(expected: Expectation) -> bytes:
    """Return the JSON of an expectation: a line for each figure, field and block, to be diffed."""
    document = msgspec.to_builtins(expected)
    document["blocks"] = list(map(_Line, document["blocks"]))
    for channel in document["census"].values():
        for part in ("seen", "open_fields"):
            channel[part] = _Line(channel[part])
        for part in ("shapes", "fields", "values"):
            channel[part] = {name: _Line(value) for name, value in channel[part].items()}
    return "".join(_written(document, "\n")).encode() + b"\n"


class _Line:
    """A value that is written in one line."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _written(value: Any, line: str) -> Iterator[str]:
    """Yield the pieces of a JSON text; `line` is a newline and the indentation so far."""
    if isinstance(value, _Line) or not value or not isinstance(value, (dict, list)):
        plain = value.value if isinstance(value, _Line) else value
        yield msgspec.json.encode(plain).decode()
        return
    deeper, between = line + " ", ""
    is_object = isinstance(value, dict)
    items = value.items() if isinstance(value, dict) else (("", item) for item in value)
    yield "{" if is_object else "["
    for name, item in items:
        yield between + deeper
        if is_object:
            yield msgspec.json.encode(name).decode() + ": "
        yield from _written(item, deeper)
        between = ","
    yield line + ("}" if is_object else "]")


def _create(path: Path, mode: int) -> BinaryIO:
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    return os.fdopen(number, "wb")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
