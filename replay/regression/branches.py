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

Arc = tuple[int, int, int]
"""A function (see `function_of`) and two of its lines that ran one after the other; 0 is its begin
or end."""

_numbers: dict[CodeType, int] = {}
_functions: list[CodeType] = []


def function_of(arc: Arc) -> CodeType:
    """Return the function that an arc is of."""
    return _functions[arc[0]]


_FOLDERS = (*recorder.okx.__path__, *recorder.book.__path__)


class Watch:
    """Collects the arcs of calls.

    Attributes:
        arcs: of the last `run`; a dict, so that their order is that of the run.
    """

    def __init__(self) -> None:
        self.arcs: dict[Arc, None] = {}
        # By identity: hashing a function takes longer than running a line of it. It is kept
        # beside its number, so that no other can get the same identity.
        self._ours: dict[int, tuple[int, CodeType]] = {}

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
        known = self._ours.get(id(code))
        if known is None:
            known = self._ours[id(code)] = (_number_of(code), code)
        function = known[0]
        if function < 0:
            return None
        last, arcs = 0, self.arcs

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                now = frame.f_lineno
                arcs[function, last, now] = None
                last = now
            elif event == "return":
                arcs[function, last, 0] = None
            return line

        return line


def _number_of(code: CodeType) -> int:
    """Return the number of a function of ours, -1 for any other."""
    if not code.co_filename.startswith(_FOLDERS):
        return -1
    number = _numbers.setdefault(code, len(_functions))
    if number == len(_functions):
        _functions.append(code)
    return number
