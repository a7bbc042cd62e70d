"""`replay backtest`: let strategies trade on captures at a simulated exchange.

Responsible for the options and for printing what came of it. Refuses to simulate
(`replay.backtest`) and to load a strategy (`strategies`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND, format_time
from recorder.console import print_json, say
from recorder.errors import ExitCode, UsageError
from replay.backtest.running import BacktestReport, backtest
from replay.backtest.stats import Stats
from replay.cli.exchange_options import exchange_options, read_cash
from replay.cli.faults import FAULT, SCENARIO, check_names, read_faults
from replay.cli.screen import shown
from replay.cli.selection import names_in, quiet_pipe, say_problems, window_options
from replay.cli.strategies import blamed_on_strategy, load


@click.command("backtest")
@click.argument(
    "paths", metavar="CAPTURE...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "--strategy",
    "strategies",
    metavar="MODULE:NAME",
    multiple=True,
    required=True,
    help="Callable (event, context), or class or object with on_event, on_trade or the like; "
    "again for more, each with an account of its own.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write orders, fills, positions, equity and more as Parquet, stats.json and report.json "
    "into this new directory. [only print]",
)
@window_options
@exchange_options
@FAULT
@SCENARIO
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Decides random latencies, and faults with a p.",
)
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write what came of it as one page: curves, fills, orders; needs no network.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def backtest_command(
    paths: tuple[Path, ...],
    strategies: tuple[str, ...],
    out: Path | None,
    start: int | None,
    end: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    cash: tuple[str, ...],
    leverage: int,
    maker_fee: str | None,
    taker_fee: str | None,
    latency: str,
    queue: str,
    currency: str,
    sample: float,
    faults: tuple[str, ...],
    scenario: Path | None,
    seed: int,
    page: Path | None,
    as_json: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Let strategies trade on captures, at a simulated exchange.

    The strategy sees the events a replay gives it, and trades with context.buy, sell, cancel and
    amend. Orders take their time to the venue, match against the recorded book as the venue had
    it then, rest in its queues, and are refused with OKX's codes; answers take their time back.
    What is assumed stands in the report. The same run gives the same digest.
    """
    captures = [Capture(path) for path in paths]
    wanted_channels, wanted_instruments = names_in(captures, channels, instruments)
    wrong = read_faults(faults, scenario, seed)
    check_names(captures, wrong)
    with (
        quiet_pipe(),
        blamed_on_strategy(),
        shown(captures, start, end, has_keys=False, follows=False) as show,
        _tables(out, page) as tables,
    ):
        done = backtest(
            captures,
            [load(spec) for spec in strategies],
            out=tables,
            keep=False,
            start=start,
            end=end,
            channels=wanted_channels,
            instruments=wanted_instruments,
            cash=read_cash(cash),
            leverage=leverage,
            maker_fee=maker_fee,
            taker_fee=taker_fee,
            latency=latency,
            queue=queue,
            currency=currency,
            sample=round(sample * NS_PER_SECOND),
            seed=seed,
            faults=wrong,
            on_progress=show,
        )
        if page is not None and tables is not None:
            _write_page(done.report, tables, page)
    report = done.report
    if as_json:
        print_json(report)
    else:
        _print(report, done.seconds, out, page)
    for warning in report.warnings:
        say(f"warning: {warning}")
    say_problems(report.problems, lost_rows=report.lost_rows, torn_tail=report.torn_tail)
    return report.exit_code


@contextmanager
def _tables(out: Path | None, page: Path | None) -> Iterator[Path | None]:
    """Give where the tables go: a page is made of them, also where nobody wants to keep them."""
    if out is not None or page is None:
        yield out
        return
    with TemporaryDirectory(prefix="backtest-") as folder:
        yield Path(folder)


def _write_page(report: BacktestReport, tables: Path, page: Path) -> None:
    from replay.backtest.report.contents import write_page  # who wants none does not load it

    try:
        write_page(report, tables, page)
    except OSError as error:
        raise UsageError(
            f"expected to write the report to {page}, the system said {error.strerror or error}; "
            "give a --report that can be written"
        ) from error


def _print(report: BacktestReport, seconds: float, out: Path | None, page: Path | None) -> None:
    if report.start is not None and report.end is not None:
        click.echo(
            f"{report.frames:,} frames, {report.events:,} events in {seconds:.2f} s: "
            f"{format_time(report.start)[:19]}Z to {format_time(report.end)[:19]}Z"
        )
    for stats in report.strategies:
        click.echo("")
        for line in _lines(stats):
            click.echo(line)
    click.echo("")
    if out is not None:
        click.echo(f"results  {out}")
    if page is not None:
        click.echo(f"report   {page}")
    click.echo(f"digest   {report.digest}")


def _lines(stats: Stats) -> list[str]:
    """Return one strategy's figures."""
    money = stats.currency
    rows = [
        ("profit", f"{_money(stats.pnl)} {money}",
         f"of {_money(stats.initial_equity)}, open positions at the last mark"),
        ("fees", f"{_money(stats.fees)} {money}", ""),
        ("funding", f"{_money(stats.funding)} {money}", ""),
        ("turnover", f"{_money(stats.turnover)} {money}",
         f"{_share(stats.maker_share)} as maker" if stats.fills else ""),
        ("drawdown", f"{_money(stats.max_drawdown)} {money}",
         f"{100 * stats.max_drawdown_ratio:.3f} % of the height before"),
        ("sharpe", "-" if stats.sharpe is None else f"{stats.sharpe:.2f}",
         f"a year, sampled every {stats.sample_seconds:g} s"),
        ("orders", f"{stats.orders:,}",
         f"{stats.rejected:,} rejected, {stats.canceled:,} canceled, {stats.fills:,} fills"),
        ("filled", _share(stats.fill_ratio), "of what was ordered, by value"),
        ("in market", _share(stats.time_in_market), "of the time"),
        ("slippage", _bps(stats.slippage_bps), "against the middle when sent"),
        ("", _bps(stats.slippage_at_fill_bps), "against the middle at the fill"),
    ]  # fmt: skip
    held = [f"{size} {name}" for name, size in stats.positions.items()]
    held += [f"{_money(amount)} {name}" for name, amount in stats.balances.items()]
    rows.append(("holds", ", ".join(held), ""))
    return [stats.strategy] + [
        f"  {name:<10}{value:>20}   {more}".rstrip() if name != "holds" else f"  {name:<10}{value}"
        for name, value, more in rows
    ]


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}" if abs(amount) >= 100 else f"{amount:,.6f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _bps(bps: float | None) -> str:
    return "-" if bps is None else f"{bps:+.3f} bp"
