"""Derived tables: where they lie in a capture, and how they go with what they were made from.

Responsible for the names under `tables/` (docs/format.md, "Derived tables") and for removing the
tables of segments that are gone. Refuses to know what is in them: `replay.derived` makes and reads
them. They are disposable: nothing that is recorded depends on them, no digest covers them, and
whoever finds one missing asks the frames.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from recorder.capture.layout import FRAMES_DIR, UNFINISHED

TABLES_DIR = "tables"
INDEX_DIR = "index"
"""Beside the folders of the views: what was made of each segment, and the proof of it."""

_PART_NAME = re.compile(r"(\d{6,9})\.(?:parquet|json)")


def date_of(sealed_path: str) -> str:
    """Return the folder name `date=…` of a sealed segment's path."""
    return sealed_path.removeprefix(f"{FRAMES_DIR}/").partition("/")[0]


def part_path(view: str, date: str, segment: int) -> str:
    """Return where the rows of one view of one segment lie in a capture; `date` is `date=…`."""
    return f"{TABLES_DIR}/{view}/{date}/{segment:06d}.parquet"


def index_path(date: str, segment: int) -> str:
    """Return where it is written in a capture what was made of one segment."""
    return f"{TABLES_DIR}/{INDEX_DIR}/{date}/{segment:06d}.json"


def list_parts(root: Path) -> Iterator[tuple[str, str, int, Path]]:
    """Yield folder (a view's name, or the index), date, segment and path of every file."""
    for folder, date in _days(root):
        for name in _names(root / TABLES_DIR / folder / date):
            if match := _PART_NAME.fullmatch(name):
                path = root / TABLES_DIR / folder / date / name
                yield folder, date, int(match.group(1)), path


def list_unfinished_parts(root: Path) -> Iterator[Path]:
    """Yield the files that a killed process left unfinished."""
    for folder, date in _days(root):
        for name in _names(root / TABLES_DIR / folder / date):
            if name.endswith(UNFINISHED):
                yield root / TABLES_DIR / folder / date / name


def remove_tables(root: Path, is_gone: Callable[[int], bool]) -> int:
    """Remove the tables of segments that are gone; return the bytes that were freed.

    A query that has one open reads on; one that comes later asks the frames.
    """
    parts = (path for _, _, segment, path in list_parts(root) if is_gone(segment))
    freed = sum(map(_remove, parts))
    for folder, date in _days(root):
        with suppress(OSError):  # not empty
            (root / TABLES_DIR / folder / date).rmdir()
    return freed


def remove_tables_before(root: Path, date: str, segment: int) -> None:
    """Remove the tables of the segments before one, which lies in `frames/<date>`.

    Later days are not looked at: there are files by the thousand.
    """
    for folder, day in _days(root):
        if day > date:
            continue
        place = root / TABLES_DIR / folder / day
        for name in _names(place):
            match = _PART_NAME.fullmatch(name)
            if match and int(match.group(1)) < segment:
                _remove(place / name)
        if day < date:
            with suppress(OSError):
                place.rmdir()


def _remove(path: Path) -> int:
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size


def tables_bytes(root: Path) -> int:
    """Return the bytes of all derived tables."""
    total = 0
    for _, _, _, path in list_parts(root):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _days(root: Path) -> list[tuple[str, str]]:
    folders = _names(root / TABLES_DIR)
    return [
        (folder, day)
        for folder in folders
        for day in _names(root / TABLES_DIR / folder)
        if day.startswith("date=")
    ]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
