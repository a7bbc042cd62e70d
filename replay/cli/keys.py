"""Keys: steer a replay from a terminal, or line by line from a pipe.

Responsible for reading keys without waiting for a newline, for what each of them asks for, and for
leaving the terminal as it was. Refuses to know the replay: orders go through its controls.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from recorder.clock import NS_PER_SECOND
from replay.controls import Controls, ScaleSpeed, SeekBy, Toggle

LEGEND = "space pause  ←/→ 10 s  ↓/↑ speed  1 real time  m max  . step  home start  q quit"
"""What the keys do, for the line that shows a replay."""

_JUMP = 10 * NS_PER_SECOND
_KEYS: dict[bytes, Callable[[Controls], object]] = {
    b" ": lambda controls: controls.give(Toggle()),
    b"\x1b[C": lambda controls: controls.give(SeekBy(_JUMP)),
    b"\x1b[D": lambda controls: controls.give(SeekBy(-_JUMP)),
    b"\x1b[A": lambda controls: controls.give(ScaleSpeed(Fraction(2))),
    b"\x1b[B": lambda controls: controls.give(ScaleSpeed(Fraction(1, 2))),
    b"1": lambda controls: controls.change_speed(1),
    b"m": lambda controls: controls.change_speed("max"),
    b"\x1b[H": lambda controls: controls.seek(0),
    b".": lambda controls: controls.step(),
    b"\r": lambda controls: controls.step(),
    b"\n": lambda controls: controls.step(),
    b"q": lambda controls: controls.stop(),
}
"""Keys as a terminal sends them; arrows are escape sequences (ECMA-48)."""


@contextmanager
def keys_steer(controls: Controls) -> Iterator[None]:
    """Let the keys of the terminal at standard input steer, for a block of code."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    wake, woken = os.pipe()
    reader = threading.Thread(target=_read, args=(fd, wake, controls), name="keys", daemon=True)
    try:
        # Keys come at once, also those pressed before; Ctrl-C still interrupts.
        tty.setcbreak(fd, termios.TCSANOW)
        reader.start()
        yield
    finally:
        os.close(woken)
        reader.join()
        os.close(wake)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def lines_steer(controls: Controls) -> Iterator[None]:
    """Let each line of standard input play one frame; its end lets the replay end."""

    def read() -> None:
        for _ in sys.stdin.buffer:
            controls.step()
        controls.stop_after_steps()

    threading.Thread(target=read, name="lines", daemon=True).start()
    yield


def _read(fd: int, wake: int, controls: Controls) -> None:
    pressed = b""
    while True:
        ready, _, _ = select.select([fd, wake], [], [])
        if wake in ready:
            return
        more = os.read(fd, 64)
        if not more:
            return
        keys = _split(pressed + more)
        # A held arrow may be cut in two by the end of a read.
        pressed = keys.pop() if keys and keys[-1] in (b"\x1b", b"\x1b[") else b""
        for key in keys:
            act = _KEYS.get(key)
            if act is not None:
                act(controls)


def _split(pressed: bytes) -> list[bytes]:
    """Return the keys of what was read: a held arrow sends its sequence many times."""
    return re.findall(rb"\x1b\[.|\x1b\[?|.", pressed, re.DOTALL)
