"""Branches: which lines of the parser and interpreter a frame makes run, one after the other.

Responsible for watching the interpreter work. An arc is a step from one line of a function to the
next one that ran: two frames that take different branches give different arcs. Refuses to look at
anything but `recorder.okx` and the book, and to stay on: watching makes Python slow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import recorder.book
import recorder.okx

Arc = tuple[CodeType, int, int]
"""A function, and two of its lines that ran one after the other; 0 is its begin or end."""

_FOLDERS = (*recorder.okx.__path__, *recorder.book.__path__)


class Watch:
    """Collects the arcs of calls.

    Attributes:
        arcs: of the last `run`; a dict, so that their order is that of the run.
    """

    def __init__(self) -> None:
        self.arcs: dict[Arc, None] = {}
        self._ours: dict[CodeType, bool] = {}

    def run(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call a function of one argument and note its arcs."""
        self.arcs = {}
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return function(argument)
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        is_ours = self._ours.get(code)
        if is_ours is None:
            is_ours = self._ours[code] = code.co_filename.startswith(_FOLDERS)
        if not is_ours:
            return None
        last, arcs = 0, self.arcs

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                arcs[code, last, frame.f_lineno] = None
                last = frame.f_lineno
            elif event == "return":
                arcs[code, last, 0] = None
            return line

        return line
