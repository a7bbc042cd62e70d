"""The index of one segment's tables: what was made of it, and the proof that this still holds.

Responsible for the facts that make a table fresh (the segment's hash, the parser, the layout of
the view, the state the interpreter began with) and for the checksums of its bytes. Refuses to be
believed when it is damaged itself: it ends with its own hash, and one that fails is none at all.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import msgspec

from recorder.capture.derived import TABLES_DIR, date_of, index_path
from recorder.capture.layout import file_mode, replace_file
from recorder.capture.place import Place
from recorder.capture.snapshot import SealedSource
from recorder.okx.parser import PARSER_VERSION
from replay.tables import View
from replay.views import VIEWS_VERSION

FORMAT = 1
"""Of the index and of how tables are stored."""


class TablePart(msgspec.Struct, frozen=True):
    """The rows of one view of one segment.

    Attributes:
        layout: which columns of which types they are, `layout_of` the view.
        rows: where it is 0, there is no file.
        bytes: of the file. footer_bytes: of its end, from the Parquet footer on.
        footer: BLAKE2b of these, of 8 bytes, hex.
        checksums: CRC-32 of every column chunk, row group by row group.
    """

    layout: str
    rows: int
    bytes: int = 0
    footer_bytes: int = 0
    footer: str = ""
    checksums: list[int] = msgspec.field(default_factory=list)


class TableIndex(msgspec.Struct, frozen=True):
    """What was made of one segment.

    Attributes:
        segment_hash: 16 hex digits, those in the name of the sealed file.
        checkpoint: digest of the interpreter's state before the first frame.
        min_ts_recv, max_ts_recv: of its frames, ns.
        lost_seqs: its `lost` rows.
        views: by name; a view that is not named was not made.
    """

    format: int
    capture: str
    segment: int
    segment_hash: str
    first_seq: int
    last_seq: int
    parser: str
    checkpoint: str
    frames: int
    events: int
    min_ts_recv: int
    max_ts_recv: int
    lost_seqs: list[int]
    views: dict[str, TablePart]

    def part_of(self, view: View) -> TablePart | None:
        """Return the part of a view, if it was made and its columns are those of now."""
        part = self.views.get(view.name)
        return part if part is not None and part.layout == layout_of(view) else None


_decode = msgspec.json.Decoder(TableIndex).decode
_layouts: dict[str, str] = {}


def layout_of(view: View) -> str:
    """Return the layout version of a view: it changes when a column does, or what rows mean."""
    known = _layouts.get(view.name)
    if known is None:
        columns = ",".join(f"{field.name}:{field.type}" for field in view.schema)
        text = f"{FORMAT}.{VIEWS_VERSION} {view.name}({columns})"
        known = _layouts[view.name] = _hash16(text.encode())
    return known


def _hash16(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()


def write_index(root: Path, date: str, index: TableIndex) -> None:
    """Put the index of a segment in its place, durably: from now on its tables count."""
    path = root / index_path(date, index.segment)
    path.parent.mkdir(mode=(root / TABLES_DIR).stat().st_mode & 0o777, parents=True, exist_ok=True)
    line = msgspec.json.encode(index)
    content = line + b"\n" + _hash16(line).encode() + b"\n"
    replace_file(path, content, mode=file_mode(root))


def read_index(root: Place, source: SealedSource) -> TableIndex | None:
    """Return what was made of a segment; None where nothing was that holds now."""
    path = root / index_path(date_of(source.path), source.segment)
    try:
        line, _, proof = path.read_bytes().partition(b"\n")
        if proof != _hash16(line).encode() + b"\n":
            return None
        index = _decode(line)
    except (OSError, msgspec.MsgspecError):
        return None
    is_fresh = (
        index.format == FORMAT
        and index.parser == str(PARSER_VERSION)
        and (index.segment, index.segment_hash) == (source.segment, source.hash16)
        and (index.first_seq, index.last_seq) == (source.first_seq, source.last_seq)
    )
    return index if is_fresh else None
