"""From the tables of a backtest to what stands on its page.

Responsible for reading the tables in bounded memory, and for the words and figures. Refuses to lay
out and to draw (`page`, `charts`), and to compute results: `stats.json` has them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recorder.clock import format_time
from replay.backtest.latency import Latency
from replay.backtest.report.charts import MARKS
from replay.backtest.report.page import ROWS, Contents, Section, Tile, Traded, page
from replay.backtest.report.scales import number
from replay.backtest.report.thinning import Point, Thinning
from replay.backtest.running import BacktestReport
from replay.backtest.stats import Stats

_BATCH = 8_192
_ANSWERS = 200_000
"""Answers whose latency is shown, the first ones; a histogram of more looks the same."""
_FILL_COLUMNS = ("instrument", "side", "price", "ts_event")
_POSITION_COLUMNS = ("instrument", "position", "currency", "ts_event")
_COLUMNS = (
    "<sent", "<instrument", "<side", "<kind", "price", "size", "filled", "average", "fee", "profit",
    "<state", "<code",
)  # fmt: skip


def write_page(report: BacktestReport, tables: Path, file: Path) -> None:
    """Write the page of a backtest.

    Args:
        tables: directory of its tables.
        file: where to; what is there is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    file.write_text(page(contents_of(report, tables)), encoding="utf-8")


def contents_of(report: BacktestReport, tables: Path) -> Contents:
    """Return what stands on the page."""
    span = (report.start or 0, report.end or 0)
    names = [Path(path).name for path in report.captures]
    when = f"{_day(span[0])} to {_day(span[1])} UTC" if report.start is not None else "no data"
    return Contents(
        title=" and ".join(stats.strategy for stats in report.strategies),
        subtitle=f"{', '.join(names)} · {when}",
        sections=[_section(stats, report, tables, span) for stats in report.strategies],
        facts=_facts(report),
        notes=[*report.warnings, *(_sentence(text) for text in report.assumptions)],
    )


def _section(stats: Stats, report: BacktestReport, tables: Path, span: tuple[int, int]) -> Section:
    equity, drawdown = Thinning(span), Thinning(span)
    for row in _rows(tables, "equity", stats.strategy, ("ts", "equity", "drawdown")):
        equity.add((row["ts"], row["equity"]))
        drawdown.add((row["ts"], -row["drawdown"]))
    latency: list[float] = []
    shown: deque[dict[str, Any]] = deque(maxlen=ROWS)
    count = 0
    for row in _rows(tables, "orders", stats.strategy):
        count += 1
        shown.append(row)
        if None not in (row["sent"], row["answered"]) and len(latency) < _ANSWERS:
            latency.append((row["answered"] - row["sent"]) / 1_000_000)
    return Section(
        strategy=stats.strategy,
        span=span,
        currency=stats.currency,
        tiles=_tiles(stats),
        equity=equity.points(),
        drawdown=drawdown.points(),
        traded=_traded(stats, report, tables, span),
        latency_ms=latency,
        order_columns=_COLUMNS,
        orders=[_order(row) for row in shown],
        order_count=count,
    )


class _Fills:
    """Marks of one side: every one, or every second, fourth … where there are very many."""

    def __init__(self) -> None:
        self.count = 0
        self.points: list[Point] = []
        self._every = 1

    def add(self, point: Point) -> None:
        if self.count % self._every == 0:
            self.points.append(point)
            if len(self.points) > MARKS:
                self.points = self.points[::2]
                self._every *= 2
        self.count += 1


def _traded(
    stats: Stats, report: BacktestReport, tables: Path, span: tuple[int, int]
) -> list[Traded]:
    """Return every instrument with a fill, in the order of their names."""
    fills: dict[str, tuple[_Fills, _Fills]] = {}
    for row in _rows(tables, "fills", stats.strategy, _FILL_COLUMNS):
        sides = fills.setdefault(row["instrument"], (_Fills(), _Fills()))
        sides[row["side"] != "buy"].add((row["ts_event"], row["price"]))
    mids = {name: Thinning(span) for name in fills}
    for row in _rows(tables, "prices", None):
        if row["instrument"] in mids:
            mids[row["instrument"]].add((row["ts"], row["mid"]))
    held: dict[str, Thinning] = {}
    units: dict[str, str] = {}
    for row in _rows(tables, "positions", stats.strategy, _POSITION_COLUMNS):
        name = row["instrument"]
        if name not in held:
            is_spot = len(name.split("-")) == 2  # its row says the currency it is held in
            units[name] = row["currency"] if is_spot else "contracts"
            before = float(report.settings.cash.get(row["currency"], "0")) if is_spot else 0.0
            held[name] = Thinning(span)
            held[name].add((span[0], before))
        held[name].add((row["ts_event"], row["position"]))
    return [
        Traded(
            name,
            mid=mids[name].points(),
            buys=bought.points,
            sells=sold.points,
            position=held[name].points() if name in held else (),
            position_unit=units.get(name, ""),
            buy_count=bought.count,
            sell_count=sold.count,
        )
        for name, (bought, sold) in sorted(fills.items())
    ]


def _rows(
    tables: Path, name: str, strategy: str | None, columns: tuple[str, ...] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a table's rows, those of one strategy, some thousand in memory at a time."""
    wanted = None if columns is None else [*columns, *(["strategy"] if strategy else [])]
    with pq.ParquetFile(tables / f"{name}.parquet") as file:
        for batch in file.iter_batches(_BATCH, columns=wanted):
            for row in batch.to_pylist():
                if strategy is None or row["strategy"] == strategy:
                    yield row


def _tiles(stats: Stats) -> list[Tile]:
    money = stats.currency
    return [
        Tile("Profit", _signed(stats.pnl), money, f"of {_amount(stats.initial_equity)} at first",
             tone="up" if stats.pnl > 0 else "down" if stats.pnl < 0 else ""),
        Tile("Fees", _signed(stats.fees), money, f"turnover {_amount(stats.turnover)} {money}"),
        Tile("Funding", _signed(stats.funding), money, "negative is paid"),
        Tile("Max drawdown", _amount(-stats.max_drawdown), money,
             f"{100 * stats.max_drawdown_ratio:.3f} % of the height before"),
        Tile("Sharpe", "–" if stats.sharpe is None else number(stats.sharpe, 2), "a year",
             f"of samples every {stats.sample_seconds:g} s"),
        Tile("Filled", _share(stats.fill_ratio), "of what was ordered",
             f"{stats.orders:,} orders, {stats.fills:,} fills, {stats.rejected:,} rejected"),
        Tile("In the market", _share(stats.time_in_market), "of the time",
             f"{_share(stats.maker_share)} of turnover as maker"),
        Tile("Slippage", _basis_points(stats.slippage_bps), "bp",
             f"to the middle when sent; {_basis_points(stats.slippage_at_fill_bps)} at the fill"),
    ]  # fmt: skip


def _order(row: dict[str, Any]) -> list[str]:
    return [
        "–" if row["sent"] is None else format_time(row["sent"])[:26].replace("T", " "),
        row["instrument"],
        row["side"],
        row["kind"],
        *(_figure(row[name]) for name in ("price", "size", "filled", "average_price")),
        f"{_figure(row['fee'])} {row['fee_currency'] or ''}".strip(),
        _figure(row["pnl"]),
        row["state"],
        row["code"] or row["cancel_source"] or "",
    ]


def _facts(report: BacktestReport) -> list[tuple[str, str]]:
    settings = report.settings
    fees = "OKX's regular ones"
    if settings.maker_fee is not None or settings.taker_fee is not None:
        fees = f"maker {settings.maker_fee or 'regular'}, taker {settings.taker_fee or 'regular'}"
    return [
        ("captures", ", ".join(report.captures)),
        ("played", f"{report.frames:,} frames, {report.events:,} events"),
        ("cash", ", ".join(f"{amount} {name}" for name, amount in settings.cash.items())),
        ("fees", fees),
        ("latency", _latency(settings.latency)),
        ("queue", settings.queue),
        ("leverage", f"at most {settings.leverage}"),
        ("seed", str(settings.seed)),
        ("digest", f"`{report.digest}`"),
    ]


def _latency(model: Latency) -> str:
    """Return the model in words."""
    there, back = (f"{time / 1_000_000:g} ms" for time in (model.entry, model.response))
    if model.kind == "capture":
        return "as the recorded market data of the moment took, there and back"
    if model.kind == "uniform":
        return f"anything from {there} to {back}, there and back"
    if model.kind == "lognormal":
        return f"around {there}, there and back (lognormal, sigma {model.sigma:g})"
    return f"{there} to the venue, {back} back"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _day(time: int) -> str:
    return format_time(time)[:19].replace("T", " ")


def _figure(value: float | None) -> str:
    """Return a price or a size with all its digits."""
    if not value:
        return "" if value is None else "0"
    return f"{Decimal(repr(value)):f}".replace("-", "−")


def _amount(value: Decimal) -> str:
    return number(float(value), 2 if abs(value) >= 1 or not value else 6)


def _signed(value: Decimal) -> str:
    return ("+" if value > 0 else "") + _amount(value)


def _share(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _basis_points(value: float | None) -> str:
    return "–" if value is None else number(value, 2)
