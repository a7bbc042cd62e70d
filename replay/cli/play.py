"""`replay play`: play captures into a strategy.

Responsible for the options and the report. Refuses to play (`replay.player`), to draw (`screen`)
and to load a strategy (`strategies`).
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from pathlib import Path

import click

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND, format_time
from recorder.console import print_json, say, talk
from recorder.errors import ExitCode
from replay.cli.faults import check_names, fault_lines, fault_options, read_faults, writing_faults
from replay.cli.keys import keys_steer, lines_steer
from replay.cli.outlets import outlets_of, say_counts, with_counts, with_outlets
from replay.cli.screen import shown
from replay.cli.selection import (
    follow_option,
    interrupt_asks,
    links_option,
    names_in,
    quiet_pipe,
    say_problems,
    window_options,
)
from replay.cli.strategies import blamed_on_strategy, load
from replay.controls import Controls
from replay.lateness import LatenessReport
from replay.pace import Pace, parse_pace
from replay.player import PlayReport, play

_NUMBERS = {"float": float, "decimal": Decimal, "str": str}


@click.command("play")
@click.argument("paths", metavar="CAPTURE...", type=click.Path(), nargs=-1, required=True)
@click.option(
    "--strategy",
    metavar="MODULE:NAME",
    help="Callable (event, context), or class or object with on_event, on_trade or the like. "
    "[count events]",
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
@follow_option
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
@click.option(
    "--lateness", is_flag=True, help="Report how late frames were handed over, as a distribution."
)
@links_option
@fault_options
@click.option(
    "--sink",
    "sinks",
    metavar="ADDRESS",
    multiple=True,
    help="Also into a database, a cache or a sink of one's own, as recorder record --sink does; "
    "what it has already is passed over. Again for more. See docs/sinks.md.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON; implies --digest.")
def play_command(
    paths: tuple[str, ...],
    strategy: str | None,
    speed: str,
    loop: int,
    start: int | None,
    end: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    follow: bool,  # noqa: FBT001 - a click flag
    digest: bool,  # noqa: FBT001 - a click flag
    number: str,
    max_gap: float | None,
    lateness: bool,  # noqa: FBT001 - a click flag
    links: str,
    faults: tuple[str, ...],
    scenario: Path | None,
    seed: int | None,
    heal: str | None,
    fault_log: Path | None,
    sinks: tuple[str, ...],
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Play captures through the parser into a strategy, in the order recorded.

    A strategy sees the same events as it would live, with the clock and the books of that moment.
    Two plays of the same capture give the same output digest, at any speed. Several captures are
    merged in the order in which their frames were received; of frames received in the same
    nanosecond, those of the capture named first come first.

    At a terminal and any speed but max, keys steer: space pauses and goes on, left and right
    jump ten seconds of data time with the books right at once, up and down double and halve the
    speed, 1 is real time, m is max, . plays one frame, home goes to the start, q quits.
    """
    captures = [Capture(path, links=links) for path in paths]
    pace = parse_pace(speed)
    if follow:  # what is not there yet may come
        wanted_channels, wanted_instruments = list(channels) or None, list(instruments) or None
    else:
        wanted_channels, wanted_instruments = names_in(captures, channels, instruments)
    wrong = read_faults(faults, scenario, seed, heal)
    if not follow:
        check_names(captures, wrong)
    controls, steered = _steering(pace)
    has_keys = controls is not None and sys.stdin.isatty()
    if controls is None and follow:
        controls = Controls()
    with (
        quiet_pipe(),
        blamed_on_strategy(),
        steered,
        interrupt_asks(controls.stop) if follow and controls is not None else nullcontext(),
        shown(captures, start, end, has_keys=has_keys, follows=follow) as show,
        writing_faults(fault_log) as on_fault,
        outlets_of(
            sinks,
            captures,
            is_whole=not (start or end or channels or instruments),
            at_once=pace.label != "max",
            wrong=wrong,
        ) as outlets,
    ):
        report = play(
            captures,
            with_outlets(None if strategy is None else load(strategy), outlets),
            speed=pace,
            loop=loop or None,
            follow=follow,
            lateness=lateness,
            faults=wrong,
            on_fault=on_fault,
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
        print_json(with_counts(report, outlets))
    else:
        _print(report, has_strategy=strategy is not None)
        say_counts(outlets)
    if not report.frames:
        _say_nothing_played(captures)
    say_problems(report.problems, lost_rows=report.lost_rows, torn_tail=report.torn_tail)
    return report.exit_code


def _say_nothing_played(captures: list[Capture]) -> None:
    for capture in captures:
        info = capture.info()
        if info.start is not None and info.end is not None:
            say(
                f"warning: no frame was played; {capture.path} runs from "
                f"{format_time(info.start)} to {format_time(info.end)}"
            )


def _steering(pace: Pace) -> tuple[Controls | None, AbstractContextManager[None]]:
    """Return how the replay is steered from standard input, if it is."""
    if sys.stdin.isatty() and talk.is_terminal and (pace.stepwise or pace.speed is not None):
        controls = Controls()
        return controls, keys_steer(controls)
    if pace.stepwise:
        controls = Controls()
        return controls, lines_steer(controls)
    return None, nullcontext()


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
    if len(report.sources) > 1:
        width = max(len(source.capture) for source in report.sources)
        for source in report.sources:
            stepped = f", {source.inversions:,} behind their time" if source.inversions else ""
            lines.append(
                f"  {source.capture:<{width}}  {source.frames:>12,} frames  "
                f"{source.events:>12,} events{stepped}"
            )
    if report.timers_fired or report.timers_left:
        lines.append(f"timers fired {report.timers_fired:,} times, {report.timers_left:,} left")
    if report.lateness is not None:
        lines += _lateness_lines(report.lateness)
    if report.faults is not None:
        lines += ["", *fault_lines(report.faults)]
    if report.input_digest is not None:
        lines.append(f"input digest   {report.input_digest}")
        lines.append(f"output digest  {report.output_digest}")
    for line in lines:
        if has_strategy:
            say(line)
        else:
            click.echo(line)


def _lateness_lines(late: LatenessReport) -> list[str]:
    """Return the distribution as lines: a bar for each power of ten, and the percentiles."""
    if not late.frames:
        return ["no frame was due at a time, so none was late"]
    lines = ["", "late by         frames"]
    for bucket in late.buckets:
        name = "1 s or more"
        if bucket.below_us is not None:
            name = f"< {_microseconds(bucket.below_us)}"
        share = bucket.frames / late.frames
        bar = "█" * round(40 * share) or ("▏" if bucket.frames else "")
        lines.append(f"{name:<12}{bucket.frames:>10,}  {100 * share:>5.1f} %  {bar}".rstrip())
    percentiles = zip(
        ("p50", "p90", "p99", "p99.9", "max"),
        (late.p50_us, late.p90_us, late.p99_us, late.p999_us, late.max_us),
        strict=True,
    )
    lines.append("  ".join(f"{name} {_microseconds(us or 0)}" for name, us in percentiles))
    return lines


def _microseconds(us: float) -> str:
    if us >= 1_000_000:
        return f"{us / 1_000_000:.3g} s"
    return f"{us / 1_000:.3g} ms" if us >= 1_000 else f"{us:.3g} us"
