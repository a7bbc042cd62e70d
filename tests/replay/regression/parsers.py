"""Parsers to compare ours with: one wrong, one that raises, one that ends, one that hangs."""

from __future__ import annotations

import os
import threading

import msgspec

from recorder.event import Event, Trade
from recorder.frame import Frame
from recorder.okx.interpreter import Interpreter

NUMBER = 7


class SwappedSides(Interpreter):
    """Says of every trade that the other side was the aggressor."""

    def step(self, frame: Frame) -> list[Event]:
        return [
            msgspec.structs.replace(event, side="sell" if event.side == "buy" else "buy")
            if isinstance(event, Trade)
            else event
            for event in super().step(frame)
        ]


def raises(frame: Frame) -> list[Event]:
    print("what a parser prints is no answer")
    raise ValueError("no")


def ends(frame: Frame) -> list[Event]:
    os._exit(3)


def hangs(frame: Frame) -> list[Event]:
    threading.Event().wait(600)
    return []
