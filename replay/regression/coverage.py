"""Coverage: what of the venue, and of the parser, a run of frames shows.

Responsible for the items a frame covers (shapes, words, event types, branches) and for covering a
list of frames from a known state. Refuses to choose frames: `distillation` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import parser_of
from replay.regression.branches import Arc, Watch
from replay.regression.census import Survey, fold, survey

Item = tuple[str, str] | tuple[str, str, str] | tuple[Literal["branch"], Arc]
"""`("shape", channel, digest)`, `("value", channel, "path = word")`, `("event", type)` or
`("branch", arc)`."""

ITEM_KINDS = ("shape", "value", "event", "branch")
_FOLDED_MAX = 50_000
_SURVEYED = (Kind.TEXT, Kind.REST, Kind.SENT)


class CoverageCount(msgspec.Struct):
    """Items of each kind."""

    shapes: int = 0
    values: int = 0
    events: int = 0
    branches: int = 0


class Observer:
    """Steps an interpreter over frames and tells what each of them covers."""

    def __init__(self, state: bytes | None = None) -> None:
        self._interpreter = Interpreter() if state is None else Interpreter.restore(state)
        self._watch = Watch()
        self._folded: dict[tuple[int, bytes], tuple[Item, ...]] = {}

    def static(self, frame: Frame) -> tuple[Item, ...]:
        """Return the shape and the words of a frame, which depend on it alone."""
        if frame.kind not in _SURVEYED:
            return ()  # the recorder's own rows: covered by events and branches
        key = (frame.kind, fold(frame.kind, frame.payload))
        items = self._folded.get(key)
        if items is None:
            if len(self._folded) >= _FOLDED_MAX:
                self._folded.clear()
            items = self._folded[key] = _items(survey(frame))
            for number in (float, str):
                # Pure, but for decoders that are compiled when a channel is first seen: done here,
                # unwatched, so that what a frame covers does not depend on what came before.
                parser_of(number).parse(frame)
        return items

    def step(self, frame: Frame) -> list[Item]:
        """Return everything a frame covers where it stands; frames are given in order."""
        items: list[Item] = list(self.static(frame))
        events = self._watch.run(self._interpreter.step, frame)
        items += [("event", type(event).__name__) for event in events]
        items += [("branch", arc) for arc in self._watch.arcs]
        return items


def _items(found: Survey) -> tuple[Item, ...]:
    return (
        ("shape", found.channel, found.shape),
        *(("value", found.channel, f"{path} = {word}") for path, word in found.values),
    )


def covered_by(frames: Iterable[Frame], state: bytes | None) -> dict[Item, int]:
    """Return what frames cover together, and the position of the first that covers it."""
    observer = Observer(state)
    covered: dict[Item, int] = {}
    for at, frame in enumerate(frames):
        for item in observer.step(frame):
            covered.setdefault(item, at)
    return covered


def count(items: Iterable[Item]) -> CoverageCount:
    """Count items by kind."""
    counts = dict.fromkeys(ITEM_KINDS, 0)
    for item in items:
        counts[item[0]] += 1
    return CoverageCount(*counts.values())
