"""Asked: which captures a question is about, and what each of them is called.

Responsible for turning a path, several, a glob, a folder of captures or the address of a store into
captures with names that tell them apart. Refuses to read more of them than that they are captures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from recorder.capture import layout
from recorder.capture.place import Place, Remote, Where, names_in, place_of
from recorder.capture.reader import Capture
from recorder.errors import NotACapture

Question: TypeAlias = "Capture | Where | Sequence[Capture | Where]"
"""One capture, or several: a list, a glob, a folder that holds captures."""

_MAGIC = frozenset("*?[")


class Asked:
    """The captures that a question names.

    Attributes:
        captures: by name, in the order asked for; of a glob or a folder by name.
        is_several: asked as several (a list, a glob, a folder), however many there are: then rows
            say which capture they are of.
    """

    def __init__(self, question: Question) -> None:
        """Find the captures.

        Raises:
            NotACapture: there is none at a path that is named, or none at all.
        """
        self._question = question
        found, self.is_several = _found(question)
        unique = {str(capture.path.absolute()): capture for capture in found}
        names = distinct_names(list(unique))
        self.captures = dict(zip(names, unique.values(), strict=True))

    def again(self) -> Asked:
        """Return what the same question finds now."""
        return Asked(self._question)


def _found(question: Question) -> tuple[list[Capture], bool]:
    if isinstance(question, Capture):
        return [question], False
    if isinstance(question, (str, os.PathLike, Remote)):
        return _at(question)
    found = [capture for item in question for capture in _found(item)[0]]
    if not found:
        raise NotACapture("expected captures, received an empty list; name at least one")
    return found, True


def _at(where: Where) -> tuple[list[Capture], bool]:
    """Return the capture at a place, or those that a glob matches or a folder holds."""
    place = place_of(where)
    if (place / layout.CAPTURE_FILE).exists():
        return [Capture(place)], False
    pattern = _pattern_of(place)
    if _MAGIC & set(pattern):
        places = _matching(place)
        if not places:
            raise NotACapture(
                f"expected captures that match {place}, found none; name directories that were "
                f"given to `recorder record`"
            )
        return [Capture(item) for item in places], True
    inside = [place / name for name in _folders(place)]
    held = [item for item in inside if (item / layout.CAPTURE_FILE).exists()]
    if held:
        return [Capture(item) for item in held], True
    return [Capture(place)], False  # says what is there instead


def _pattern_of(place: Place) -> str:
    return place.key if isinstance(place, Remote) else str(place)


def _folders(place: Place) -> list[str]:
    try:
        if isinstance(place, Remote):
            return sorted(name for name, size in place.sizes().items() if size is None)
        return sorted(name for name in names_in(place) if (place / name).is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _matching(place: Place) -> list[Place]:
    """Return the captures that a glob matches, by name."""
    parts = _pattern_of(place).split("/")
    first = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
    if isinstance(place, Remote):
        start: Place = Remote(place.filesystem, "/".join(parts[:first]), scheme=place.scheme)
    else:
        start = Path("/".join(parts[:first]) or ("/" if parts[0] == "" else "."))
    return [item for item in _below(start, parts[first:]) if (item / layout.CAPTURE_FILE).exists()]


def _below(place: Place, parts: Sequence[str]) -> Iterator[Place]:
    if not parts:
        yield place
    elif not _MAGIC & set(parts[0]):
        yield from _below(place / parts[0], parts[1:])
    else:
        for name in _folders(place):
            if fnmatchcase(name, parts[0]) and name.startswith(".") <= parts[0].startswith("."):
                yield from _below(place / name, parts[1:])


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Return for each path as much of its end as tells it from the others."""
    parts = [path.rstrip("/").split("/") for path in paths]
    length = 1
    while True:
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names) or length > max(map(len, parts)):
            return names
        length += 1
