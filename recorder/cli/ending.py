"""How a command that runs until stopped is stopped, and how its arguments are named when wrong.

Responsible for signals and for the words of options in errors of the library. Refuses to run
anything itself.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recorder.errors import UsageError
from recorder.live.settings import SETTINGS

_OUT_OF_RANGE = re.compile(r"expected ([a-z_]+) (?:above|of at least|to be one of) ")

_SAME_SIGNAL_S = 1.0
"""Signals so close together are one: `timeout` signals its child, then the group it is in."""


@contextmanager
def named_as_options() -> Iterator[None]:
    """Name an argument of Python that is out of range as the option it came from."""
    try:
        yield
    except UsageError as error:
        found = _OUT_OF_RANGE.match(str(error))
        if found is not None and found[1] in SETTINGS:
            option = "--" + found[1].replace("_", "-")
            raise UsageError(f"expected {option}{str(error)[found.end(1) :]}") from error
        raise


@contextmanager
def stopped_by_signals(
    stop: asyncio.Event, tell: Callable[[str], None], what_happens: str
) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end it cleanly, and one a second later at once.

    Args:
        stop: set by the first signal. tell: told one sentence about it.
        what_happens: e.g. `closing the sockets and sealing`.
    """
    loop = asyncio.get_running_loop()
    caught = (signal.SIGINT, signal.SIGTERM)

    told = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal told
        if told:
            return
        told = True
        tell(f"{number.name}: {what_happens}; once more to leave at once")
        stop.set()
        loop.call_later(_SAME_SIGNAL_S, listen_no_more)

    def listen_no_more() -> None:
        for number in caught:
            loop.remove_signal_handler(number)

    for number in caught:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        listen_no_more()
