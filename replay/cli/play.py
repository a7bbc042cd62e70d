"""`replay play`: play a capture into a strategy.

Responsible for the options, the progress bar, and for telling a fault of the strategy from one
of the capture. Refuses to play: `replay.player`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn

import recorder
import replay
from recorder.capture.reader import Capture
from recorder.clock import NS_PER_MS, NS_PER_SECOND, format_time
from recorder.console import print_json, say, talk
from recorder.errors import CheckFailed, ExitCode, RecorderError
from recorder.strategy import load_strategy
from replay.cli.keys import LEGEND, keys_steer, lines_steer
from replay.cli.selection import names_in, quiet_pipe, say_problems, window_options
from replay.controls import Controls
from replay.pace import Pace, parse_pace
from replay.player import NOTE, PlayReport, play
from replay.player import Progress as Position

_WIDE = 130  # columns from which the legend of the keys fits beside the bar; else it goes above
_NUMBERS = {"float": float, "decimal": Decimal, "str": str}
_OURS = tuple(str(Path(package.__file__ or "").parent) + os.sep for package in (recorder, replay))


@click.command("play")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option(
    "--strategy",
    metavar="MODULE:NAME",
    help="Callable (event, context), or class or object with on_event. [count events]",
)
@click.option(
    "--speed",
    default="max",
    show_default=True,
    help="max; times as fast as recorded: 1, 10, 0.5; frames a second: 5000/s; or step: frame by "
    "frame, at a key or a line of standard input.",
)
@click.option(
    "--loop",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Play so many times; 0: until stopped.",
)
@window_options
@click.option("--digest", is_flag=True, help="Make the input and the output digest.")
@click.option(
    "--number",
    type=click.Choice(list(_NUMBERS)),
    default="float",
    show_default=True,
    help="What prices and sizes are: fast, exact, or as sent.",
)
@click.option(
    "--max-gap",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Longest pause between two runs of the recorder, in data time. [as recorded]",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON; implies --digest.")
def play_command(
    capture: Path,
    strategy: str | None,
    speed: str,
    loop: int,
    start: int | None,
    end: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    digest: bool,  # noqa: FBT001 - a click flag
    number: str,
    max_gap: float | None,
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Play a capture through the parser into a strategy, in the order recorded.

    A strategy sees the same events as it would live, with the clock and the books of that moment.
    Two plays of the same capture give the same output digest, at any speed.

    At a terminal and any speed but max, keys steer: space pauses and goes on, left and right
    jump ten seconds of data time with the books right at once, up and down double and halve the
    speed, . plays one frame, q quits.
    """
    opened = Capture(capture)
    pace = parse_pace(speed)
    wanted_channels, wanted_instruments = names_in(opened, channels, instruments)
    controls, steered = _steering(pace)
    with (
        quiet_pipe(),
        _blamed_on_strategy(),
        steered,
        _bar(opened, start, end, has_keys=controls is not None) as show,
    ):
        report = play(
            opened,
            None if strategy is None else _load(strategy),
            speed=pace,
            loop=loop or None,
            controls=controls,
            start=start,
            end=end,
            channels=wanted_channels,
            instruments=wanted_instruments,
            digest=digest or as_json,
            number=_NUMBERS[number],
            max_gap=None if max_gap is None else round(max_gap * NS_PER_SECOND),
            on_progress=show,
        )
    if as_json:
        print_json(report)
    else:
        _print(report, has_strategy=strategy is not None)
    if not report.frames:
        info = opened.info()
        if info.start is not None and info.end is not None:
            say(
                f"warning: no frame was played; {capture} runs from {format_time(info.start)} "
                f"to {format_time(info.end)}"
            )
    say_problems(report.problems, lost_rows=report.lost_rows, torn_tail=report.torn_tail)
    return report.exit_code


def _steering(pace: Pace) -> tuple[Controls | None, AbstractContextManager[None]]:
    """Return how the replay is steered from standard input, if it is."""
    if sys.stdin.isatty() and talk.is_terminal and (pace.stepwise or pace.speed is not None):
        controls = Controls()
        return controls, keys_steer(controls)
    if pace.stepwise:
        controls = Controls()
        return controls, lines_steer(controls)
    return None, nullcontext()


def _load(spec: str) -> object:
    """Import a strategy; modules of the current directory can be named."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return load_strategy(spec)
    except RecorderError:
        raise
    except Exception as error:
        error.add_note(f"{NOTE} {spec} while it was loaded")
        raise


@contextmanager
def _blamed_on_strategy() -> Iterator[None]:
    """Show a fault of the strategy with its own part of the traceback, and end with exit code 1."""
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(NOTE)]
        if not notes:
            raise
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith((*_OURS, "<frozen"))
        ]
        lines = ["Traceback of the strategy (most recent call last):\n"] if frames else []
        lines += traceback.format_list(frames)
        lines += traceback.format_exception_only(error)[:1]
        sys.stderr.write("".join(lines))
        what = notes[0].removeprefix(NOTE).strip()
        raise CheckFailed(
            f"expected the strategy to handle {what}, but it raised {type(error).__name__}; "
            f"the replay stopped there"
        ) from error


@contextmanager
def _bar(
    capture: Capture, start: int | None, end: int | None, *, has_keys: bool
) -> Iterator[Callable[[Position], object] | None]:
    """Show where the replay stands, on a terminal; else give None."""
    if not talk.is_terminal:
        yield None
        return
    info = capture.info()
    first = max(start or 0, info.start or 0)
    last = min(end or info.end or 0, info.end or 0)
    columns = (
        TextColumn("{task.fields[at]}"),
        BarColumn(),
        TextColumn("{task.percentage:>5.1f} %  {task.fields[events]:,} events  {task.fields[how]}"),
        *([TextColumn(f"[dim]{LEGEND}[/dim]")] if has_keys and talk.width >= _WIDE else []),
    )
    if has_keys and talk.width < _WIDE:
        talk.print(f"[dim]{LEGEND}[/dim]", highlight=False)
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task("play", total=max(last - first, 1), at="-", events=0, how="")

        def show(position: Position) -> None:
            bar.update(
                task,
                completed=position.ts_recv - first,
                at=format_time(position.ts_recv)[:19] + "Z",
                events=position.events,
                how=_pace_words(position),
            )

        yield show


def _pace_words(position: Position) -> str:
    """Say how fast it goes: asked for and reached, and how late where that can be seen."""
    reached = "" if position.achieved_speed is None else f"{position.achieved_speed:,.1f}x"
    if position.is_paused:
        return "paused"
    if position.speed is None:
        return reached
    late = f"  {position.lag / NS_PER_MS:,.0f} ms late" if position.lag >= NS_PER_MS else ""
    return f"{float(position.speed):g}x, reached {reached}{late}"


def _print(report: PlayReport, *, has_strategy: bool) -> None:
    """Print what was played: to standard output, unless that is the strategy's."""
    lines = []
    if report.types:
        width = max(map(len, report.types))
        lines += [f"{name:<{width}}  {count:>14,}" for name, count in report.types.items()]
        lines.append("")
    rate = report.events / report.seconds if report.seconds > 0 else 0.0
    requested = report.requested_speed
    pace = [f"{rate:,.0f} events/s"]
    if report.achieved_speed is not None and requested != "step":
        pace.append(f"{report.achieved_speed:,.1f}x")
    if requested not in ("max", "step"):  # there nothing is due at a time, so nothing is late
        pace.append(f"at most {report.max_lag_ms:,.1f} ms late")
    lines.append(
        f"{report.frames:,} frames, {report.events:,} events in {report.seconds:.3f} s: "
        f"{', '.join(pace)}"
    )
    if report.input_digest is not None:
        lines.append(f"input digest   {report.input_digest}")
        lines.append(f"output digest  {report.output_digest}")
    for line in lines:
        if has_strategy:
            say(line)
        else:
            click.echo(line)
