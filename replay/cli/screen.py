"""The screen of a replay: where it stands, how fast it goes, what the keys do.

Responsible for what a person sees while `replay play` runs on a terminal. Refuses to steer (`keys`)
and to know the replay: it is shown positions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_MS, NS_PER_SECOND, format_time
from recorder.console import talk
from replay.cli.keys import LEGEND
from replay.play_report import Progress

_NARROW = 72
"""Columns below which the line of figures leaves out the counts."""


@contextmanager
def shown(
    captures: Sequence[Capture],
    start: int | None,
    end: int | None,
    *,
    has_keys: bool,
    follows: bool,
) -> Iterator[Callable[[Progress], object] | None]:
    """Show where the replay stands, on a terminal; else give None."""
    if not talk.is_terminal:
        yield None
        return
    infos = [capture.info() for capture in captures]
    starts = [info.start for info in infos if info.start is not None]
    ends = [info.end for info in infos if info.end is not None]
    first = max(start or 0, min(starts, default=0))
    last = max(ends, default=0) if end is None else min(end, max(ends, default=end))
    screen = Screen(first, max(last, first + 1), has_keys=has_keys, follows=follows)
    with Live(console=talk, transient=True, auto_refresh=False) as live:
        yield lambda position: live.update(screen.picture(position), refresh=True)


class Screen:
    """Makes the lines out of a position; times are ns."""

    def __init__(self, first: int, last: int, *, has_keys: bool, follows: bool) -> None:
        self._first = first
        self._last = last
        self._has_keys = has_keys
        self._follows = follows

    def picture(self, position: Progress) -> RenderableType:
        """Return the lines for a position."""
        lines: list[RenderableType] = [self._where(position), self._figures(position)]
        if self._has_keys:
            lines.append(Text(f"  {LEGEND}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*lines)

    def _where(self, position: Progress) -> RenderableType:
        passed, whole = position.ts_recv - self._first, self._last - self._first
        share = min(max(passed / whole, 0.0), 1.0)
        is_live = position.is_live and not position.is_paused
        line = Table.grid(expand=True, padding=(0, 1))
        for ratio in (None, None, 1, None, None):
            line.add_column(ratio=ratio, no_wrap=True)
        at = format_time(position.ts_recv)
        line.add_row(
            _state(position),
            Text(f"{at[:10]} {at[11:21]}Z", style="bold"),
            ProgressBar(total=1.0, completed=share, complete_style="cyan"),
            Text("live" if is_live else f"{100 * share:.1f} %"),
            # Of what is recorded now nobody knows how much there will be.
            Text(_span(passed) + ("" if is_live else f" of {_span(whole)}"), style="dim"),
        )
        return line

    def _figures(self, position: Progress) -> Text:
        parts = [pace_words(position)]
        if self._follows:
            behind = max(time.time_ns() - position.ts_recv, 0)
            is_long = behind > 60 * NS_PER_SECOND
            words = _span(behind) if is_long else f"{behind / NS_PER_SECOND:.1f} s"
            parts.append(f"{words} behind now")
        if talk.width >= _NARROW:
            parts.append(f"{position.frames:,} frames")
            parts.append(f"{position.events:,} events")
        text = Text("  " + "   ".join(parts), no_wrap=True, overflow="ellipsis")
        if position.lag >= 10 * NS_PER_MS:
            text.highlight_regex(r"[\d,.]+ m?s late", "yellow")
        return text


def _state(position: Progress) -> Text:
    if position.is_paused:
        return Text("⏸", style="bold yellow")
    return Text("●", style="bold red") if position.is_live else Text("▶", style="bold green")


def _span(ns: int) -> str:
    """Write a length of time: 0:31, 12:05, 3:20:00."""
    minutes, seconds = divmod(max(ns, 0) // NS_PER_SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def pace_words(position: Progress) -> str:
    """Say how fast it goes: asked for and reached, and how late where that can be seen."""
    reached = "" if position.achieved_speed is None else f"{position.achieved_speed:,.2f}x reached"
    asked = "max" if position.speed is None else f"{float(position.speed):g}x"
    if position.is_paused:
        return f"paused at {asked}" if position.speed is not None else "paused"
    words = [f"{asked} asked", reached] if reached else [f"{asked} asked"]
    if position.speed is not None:
        words.append(_late(position.lag))
    return ", ".join(words)


def _late(lag: int) -> str:
    if lag < NS_PER_MS:
        return "on time"
    if lag < NS_PER_SECOND:
        return f"{lag / NS_PER_MS:,.0f} ms late"
    return f"{lag / NS_PER_SECOND:,.1f} s late"
