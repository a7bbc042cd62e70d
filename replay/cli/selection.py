"""Options that say which part of a capture a command looks at, and how it ends.

Responsible for `--start --end --channel --instrument`, the same for every command, and for what
a reader met on its way. Refuses to read anything but whether a name exists.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from recorder.capture.reader import ELECTED, LINKS, Capture, Problem, ReadReport
from recorder.console import TIME, say
from recorder.errors import ExitCode, UsageError
from recorder.okx.channels import CHANNELS

F = TypeVar("F", bound=Callable[..., Any])


def window_options(command: F) -> F:
    """Add `--start`, `--end`, `--channel`, `--instrument` to a command."""
    for option in (
        click.option(
            "--instrument",
            "instruments",
            multiple=True,
            metavar="ID",
            help="Only frames of this instrument; again for more.",
        ),
        click.option(
            "--channel",
            "channels",
            multiple=True,
            metavar="NAME",
            help="Only frames of this channel; again for more.",
        ),
        click.option(
            "--end",
            type=TIME,
            metavar="T",
            help="To before the first later frame received at or after this time.",
        ),
        click.option(
            "--start",
            type=TIME,
            metavar="T",
            help="From the first frame received at or after this time: RFC 3339, or ns.",
        ),
    ):
        command = option(command)
    return command


def follow_option(command: F) -> F:
    """Add `--follow` to a command."""
    return click.option(
        "--follow",
        is_flag=True,
        help="Go on while the capture is being recorded, until the recorder ends (or Ctrl-C).",
    )(command)


def links_option(command: F) -> F:
    """Add `--links` to a command."""
    return click.option(
        "--links",
        type=click.Choice(LINKS),
        default=ELECTED,
        show_default=True,
        help="Of redundant links: the one stream that is made of them, or what each brought.",
    )(command)


def names_in(
    capture: Capture | Sequence[Capture], channels: Sequence[str], instruments: Sequence[str]
) -> tuple[list[str] | None, list[str] | None]:
    """Return the filters, None where nothing was asked for.

    Raises:
        UsageError: no capture holds a frame of one of these names.
    """
    captures = [capture] if isinstance(capture, Capture) else list(capture)
    where = " or ".join(str(item.path) for item in captures)
    for channel in channels:
        if not any(
            next(item.frames(channels=[channel], report=ReadReport()), None) for item in captures
        ):
            near = get_close_matches(channel, CHANNELS, n=2, cutoff=0.5)
            hint = f" (did you mean {' or '.join(near)}?)" if near and channel not in near else ""
            raise UsageError(
                f"expected a channel that {where} holds, received {channel!r}{hint}; "
                f"`recorder info {captures[0].path}` lists them"
            )
    for instrument in instruments:
        if not any(
            next(item.frames(instruments=[instrument], report=ReadReport()), None)
            for item in captures
        ):
            raise UsageError(
                f"expected an instrument that {where} holds, received {instrument!r}; "
                f"ids are as the venue writes them, e.g. BTC-USDT or BTC-USDT-SWAP"
            )
    return list(channels) or None, list(instruments) or None


def say_problems(problems: Sequence[Problem], *, lost_rows: int, torn_tail: bool) -> None:
    """Tell a person what is not whole."""
    for problem in problems:
        which = ""
        if problem.first_seq is not None:
            last = "?" if problem.last_seq is None else problem.last_seq
            which = f", seq {problem.first_seq} to {last}"
        say(f"damage: {problem.file}{which}: {problem.cause}; skipped")
    if torn_tail:
        say("note: the recorder died; `recorder recover` puts the end in order")
    if lost_rows:
        say(f"note: the capture declares losses ({lost_rows} lost rows), see the view ledger")


@contextmanager
def interrupt_asks(act: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C ask for an end in good order; a second one ends at once."""

    def ask(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        act()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End the process, done, where whoever read standard output has enough (`| head`).

    click would end it as failed before `recorder.console` could tell.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again while flushing at exit: give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.DONE)
