"""What is fuzzed: each target takes any bytes and must neither raise, nor hang, nor eat memory.

Damage told as `Damage` is the answer of a reader to bytes that are not what was written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path

from recorder.capture.block import Selection
from recorder.capture.journal.file import JournalFile
from recorder.capture.reader import Capture
from recorder.capture.segment import SegmentReader
from recorder.capture.snapshot import SealedSource
from recorder.errors import Damage
from recorder.event import encode_event
from recorder.frame import KINDS, Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.novelty import Census as Novelties
from recorder.okx.parser import parser_of
from recorder.okx.route import route
from replay.regression.census import survey

ROOT = Path(__file__).resolve().parents[2]
SEALED = ROOT / "tests" / "golden" / "format-1" / "sealed"
NUMBERS = (float, Decimal, str)


def parse(data: bytes) -> None:
    """Any payload of any kind, with every number type; events have a JSON."""
    for kind in KINDS:
        for event in parser_of(NUMBERS[len(data) % 3]).parse(Frame(1, 2, 3, 4, kind, data)):
            encode_event(event)


def route_and_census(data: bytes) -> None:
    """What looks at messages beside the parser."""
    route(data)
    frame = Frame(1, 2, 3, 4, Kind.TEXT, data)
    survey(frame)
    Novelties().take(frame)


def interpreter(data: bytes) -> None:
    """Lines as frames of a connection or two; the state can be saved and restored."""
    stepping = Interpreter()
    for seq, line in enumerate(data.split(b"\n")):
        kind = KINDS[line[0] % len(KINDS)] if line[:1] > b"\x7f" else Kind.TEXT
        stepping.step(Frame(seq, seq, seq, len(line) % 2, kind, line))
    state = stepping.save()
    assert Interpreter.restore(state).save() == state


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / "journal").mkdir()
    return folder


def journal(data: bytes) -> None:
    """A journal file of any bytes: whole blocks are read, the rest is a flaw."""
    (_folder() / "journal" / "000001.wal").write_bytes(data)
    try:
        capture_id = data[16:24].hex() if len(data) > 24 else "0" * 16
        with JournalFile(_folder(), 1, capture_id=capture_id, size=len(data)) as file:
            for _ in file.parts():
                pass
    except Damage:
        pass


def sealed(data: bytes) -> None:
    """A sealed file of any bytes: it is read, or told to be damaged."""
    name = "000001-0-9-0123456789abcdef.parquet"
    (_folder() / name).write_bytes(data)
    try:
        reader = SegmentReader(_folder(), name, 1)
    except Damage:
        return
    try:
        for block, groups in reader.blocks():
            loaded = reader.load(block, groups, Selection())
            for batch in loaded.batches() if loaded is not None else ():
                list(batch.frames())
    except Damage:
        pass
    finally:
        reader.close()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "parse": parse,
    "route": route_and_census,
    "interpreter": interpreter,
    "journal": journal,
    "sealed": sealed,
}


@cache
def seeds(target: str) -> list[bytes]:
    """Return what mutations begin with: kept findings, then real forms made by the simulator."""
    kept = [path.read_bytes() for path in sorted((ROOT / "tests/fuzz/seeds").glob(f"{target}-*"))]
    if target == "sealed":
        sources = Capture(SEALED).snapshot().sources
        paths = [source.path for source in sources if isinstance(source, SealedSource)]
        smallest = min((SEALED / path for path in paths), key=lambda path: path.stat().st_size)
        return [*kept, smallest.read_bytes()]
    if target == "journal":
        golden = ROOT / "tests" / "golden" / "format-1"
        return [*kept, *(path.read_bytes() for path in sorted(golden.rglob("*.wal")))]
    shapes: dict[bytes, bytes] = {}
    for frame in Capture(ROOT / "datasets" / "every-channel").frames():
        if len(frame.payload) < 3_000:
            shapes.setdefault(frame.payload[:40], frame.payload)
    found = list(shapes.values())
    if target == "interpreter":
        return [*kept, *(b"\n".join(found[at : at + 8]) for at in range(0, len(found), 8))]
    return [*kept, *found]
