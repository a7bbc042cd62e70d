"""`replay sweep`: one strategy with many parameters, on many captures.

Responsible for the options, the progress and the table. Refuses to run (`replay.sweep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND
from recorder.console import print_json, say, talk
from recorder.errors import ExitCode, UsageError
from replay.cli.exchange_options import exchange_options, read_cash
from replay.cli.selection import names_in, quiet_pipe, window_options
from replay.sweep.cluster import cluster_executor
from replay.sweep.grid import Value, read_parameter
from replay.sweep.job import Outcome
from replay.sweep.running import Progress, SweepReport, sweep

_FIGURES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "pnl": ("profit", lambda value: f"{value:,.2f}"),
    "fees": ("fees", lambda value: f"{value:,.2f}"),
    "funding": ("funding", lambda value: f"{value:,.2f}"),
    "turnover": ("turnover", lambda value: f"{value:,.0f}"),
    "max_drawdown": ("drawdown", lambda value: f"{value:,.2f}"),
    "sharpe": ("sharpe", lambda value: f"{value:,.2f}"),
    "fills": ("fills", lambda value: f"{value:,}"),
    "fill_ratio": ("filled", lambda value: f"{100 * value:.1f} %"),
}
"""Figures of the table: heading and form."""


@click.command("sweep")
@click.argument(
    "paths", metavar="CAPTURE...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--strategy",
    metavar="MODULE:NAME",
    required=True,
    help="A class; the parameters are its keyword arguments.",
)
@click.option(
    "--param",
    "parameters",
    metavar="NAME=VALUES",
    multiple=True,
    help="What is varied: window=5,10,20, or first:last:step as in edge=1:5:0.5; again for more. "
    "Every combination is run.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep each run in this directory, and the table as results.parquet; a sweep that was cut "
    "off goes on there. [only print]",
)
@click.option("--together", is_flag=True, help="Play the captures as one. [each by itself]")
@window_options
@exchange_options
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Decides random latencies."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes. [one a processor]"
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Run on a dask cluster, e.g. tcp://10.0.0.5:8786; captures and strategy "
    "must be there too.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed in an earlier sweep.")
@click.option(
    "--by",
    type=click.Choice(list(_FIGURES)),
    default="pnl",
    show_default=True,
    help="Figure the table is sorted by, the highest first.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Rows of the table.",
)
@click.option("--json", "as_json", is_flag=True, help="Every run as JSON, in the grid's order.")
def sweep_command(
    paths: tuple[Path, ...],
    strategy: str,
    parameters: tuple[str, ...],
    out: Path | None,
    together: bool,  # noqa: FBT001 - a click flag
    start: int | None,
    end: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    cash: tuple[str, ...],
    seed: int,
    sample: float,
    workers: int | None,
    cluster: str | None,
    retry_failed: bool,  # noqa: FBT001 - a click flag
    by: str,
    top: int,
    as_json: bool,  # noqa: FBT001 - a click flag
    **exchange: Any,
) -> ExitCode:
    """Backtest one strategy with every combination of parameters, on every capture.

    Each combination is a backtest of its own (see `replay backtest`), in processes of its own. The
    table comes out the same wherever and in whatever order they ran. A run that fails is listed
    and does not end the others. With --out, what has been run is not run again, unless the
    capture, the strategy's file or an option is another.
    """
    captures = [Capture(path) for path in paths]
    wanted_channels, wanted_instruments = names_in(captures, channels, instruments)
    varied: dict[str, list[Value]] = {}
    for text in parameters:
        name, values = read_parameter(text)
        if name in varied:
            raise UsageError(f"expected each parameter once, received --param {name} twice")
        varied[name] = values
    with quiet_pipe(), _executor(cluster) as executor, _progress() as show:
        report = sweep(
            list(paths),
            strategy,
            varied,
            together=together,
            out=out,
            start=start,
            end=end,
            channels=wanted_channels,
            instruments=wanted_instruments,
            executor=executor,
            workers=workers,
            retry_failed=retry_failed,
            on_progress=show,
            cash=read_cash(cash),
            seed=seed,
            sample=round(sample * NS_PER_SECOND),
            **exchange,
        )
    if as_json:
        print_json(report)
    else:
        _print(report, by, top, out, several=len(paths) > 1 and not together)
    return report.exit_code


@contextmanager
def _executor(cluster: str | None) -> Iterator[Executor | None]:
    """Give a cluster's executor; None where the runs are done here."""
    if cluster is None:
        yield None
    else:
        with cluster_executor(cluster) as executor:
            yield executor


@contextmanager
def _progress() -> Iterator[Callable[[Progress], object]]:
    """Show how many runs are done, on a terminal; say elsewhere what failed."""
    columns = (
        TextColumn("backtests"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[more]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=talk, transient=True, disable=not talk.is_terminal) as bar:
        task = bar.add_task("backtests", total=None, more="")

        def show(progress: Progress) -> None:
            more = [f"{progress.known:,} known before"] if progress.known else []
            more += [f"{progress.failed:,} failed"] if progress.failed else []
            done = progress.known + progress.done
            bar.update(task, total=progress.total, completed=done, more=", ".join(more))

        yield show


def _print(report: SweepReport, by: str, top: int, out: Path | None, *, several: bool) -> None:
    good = [outcome for outcome in report.runs if outcome.stats is not None]
    bad = [outcome for outcome in report.runs if outcome.stats is None]
    known = f", {report.known:,} of them known before" if report.known else ""
    word = "backtest" if len(report.runs) == 1 else "backtests"
    click.echo(f"{len(report.runs):,} {word} of {report.strategy}{known}")
    if good:
        click.echo("")
        # Runs without the figure (no Sharpe of two samples) come last, in the grid's order.
        good.sort(key=lambda outcome: _rank(outcome, by))
        for line in _table(good[:top], list(report.parameters), several=several):
            click.echo(line)
        if len(good) > top:
            click.echo(f"… and {len(good) - top:,} more; --top shows more, --out keeps all")
    if bad:
        click.echo("")
        click.echo(f"{len(bad):,} failed:")
        for outcome in bad[:top]:
            said = " ".join(f"{name}={value}" for name, value in outcome.parameters.items())
            where = f"{Path(outcome.captures[0]).name} " if several else ""
            click.echo(f"  {where}{said}: {outcome.error}")
    told = list(dict.fromkeys(text for outcome in good for text in outcome.warnings))
    for text in told[:5]:
        say(f"warning: {text}")
    click.echo("")
    if out is not None:
        click.echo(f"results  {out}")
    click.echo(f"digest   {report.digest}")


def _rank(outcome: Outcome, by: str) -> tuple[bool, float]:
    value = getattr(outcome.stats, by)
    return (value is None, 0.0 if value is None else -float(value))


def _table(runs: Sequence[Outcome], names: Sequence[str], *, several: bool) -> list[str]:
    """Return aligned lines: captures and parameters to the left, figures to the right."""
    left = [*(["capture"] if several else []), *names]
    rows = [[*left, *(heading for heading, _ in _FIGURES.values())]]
    for outcome in runs:
        row = [Path(outcome.captures[0]).name] if several else []
        row += [str(outcome.parameters[name]) for name in names]
        for name, (_, form) in _FIGURES.items():
            value = getattr(outcome.stats, name)
            row.append("-" if value is None else form(value))
        rows.append(row)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if place < len(left) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]
