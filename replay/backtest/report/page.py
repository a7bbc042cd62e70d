"""The page: what a backtest was, what came of it, and what it took for granted.

Responsible for the order of things on the page and for one self-contained file: style, script and
numbers are in it, it loads nothing. Refuses to compute results (`replay.backtest` does) and to draw
(`charts` does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from replay.backtest.report.charts import Chart, Line, Marks, histogram, time_chart
from replay.backtest.report.thinning import Point

ROWS = 500
"""Rows of the order table at most: the last ones; all are in the Parquet files."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure.

    Attributes:
        unit: set smaller behind the value.
        tone: "up", "down" or "": its color.
        more: what it is, in a few words: sampling, parts.
    """

    label: str
    value: str
    unit: str = ""
    more: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Traded:
    """One instrument over the run.

    Attributes:
        mid: of its book, in quote currency, ns since the Unix epoch.
        buys, sells: time and price of fills, `MARKS` at most; buy_count, sell_count: of all.
        position: after each fill, in the venue's unit (contracts, or base currency for spot).
        position_unit: that unit.
    """

    instrument: str
    mid: Sequence[Point]
    buys: Sequence[Point]
    sells: Sequence[Point]
    position: Sequence[Point]
    position_unit: str = ""
    buy_count: int = 0
    sell_count: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """What one strategy came to.

    Attributes:
        span: first and last time, ns since the Unix epoch.
        currency: of equity and drawdown.
        equity: cash and open positions at their marks, over time.
        drawdown: equity less its highest so far, at most 0, over time.
        latency_ms: from placing an order to its answer in the strategy's hands, ms.
        order_columns: names; those that begin with "<" stand to the left.
        orders: rows as text, the oldest first, the last `ROWS` at most; order_count: of all.
    """

    strategy: str
    span: tuple[int, int]
    currency: str
    tiles: Sequence[Tile]
    equity: Sequence[Point]
    drawdown: Sequence[Point]
    traded: Sequence[Traded]
    latency_ms: Sequence[float]
    order_columns: Sequence[str]
    orders: Sequence[Sequence[str]]
    order_count: int


@dataclass(frozen=True, slots=True)
class Contents:
    """All that is on the page.

    Attributes:
        subtitle: capture and time, in words.
        facts: how it was run: name and value; a value in backquotes is set in a fixed width.
        notes: what it takes for granted, and what its reader should know.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]


def page(contents: Contents) -> str:
    """Return the whole page as HTML."""
    parts = [
        _section(section, is_named=len(contents.sections) > 1) for section in contents.sections
    ]
    read = files("replay.backtest.report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(contents.title)}</title><style>{(read / 'page.css').read_text()}</style>"
        f"</head><body><header><h1>{escape(contents.title)}</h1>"
        f'<p class="when">{escape(contents.subtitle)}</p></header>'
        f"<main>{''.join(parts)}{_facts(contents)}</main>"
        f"<script>{(read / 'page.js').read_text()}</script></body></html>\n"
    )


def _section(section: Section, *, is_named: bool) -> str:
    name = f'<h2 class="strategy">{escape(section.strategy)}</h2>' if is_named else ""
    answered = histogram(
        "Order to answer",
        section.latency_ms,
        "ms",
        note="From sending an order to its first answer in the strategy's hands, in data time.",
    )
    parts = [
        _tiles(section.tiles),
        _over_time(section),
        *(_instrument(section.span, traded) for traded in section.traded),
        answered,
        _orders(section),
    ]
    return name + "".join(parts)


def _tiles(tiles: Sequence[Tile]) -> str:
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile {tile.tone}"><div class="label">{escape(tile.label)}</div>'
            f'<div class="value">{escape(tile.value)} <small>{escape(tile.unit)}</small></div>'
            f'<div class="more">{escape(tile.more)}</div></div>'
            for tile in tiles
        )
        + "</div>"
    )


def _over_time(section: Section) -> str:
    return time_chart(
        Chart(
            "Equity",
            section.span,
            (Line("equity", section.equity, "accent"),),
            unit=section.currency,
            height=230,
        )
    ) + time_chart(
        Chart(
            "Drawdown",
            section.span,
            (Line("below the highest so far", section.drawdown, "ask", filled=True),),
            unit=section.currency,
            height=110,
        )
    )


def _instrument(span: tuple[int, int], traded: Traded) -> str:
    price = Chart(
        f"{traded.instrument}: price and fills",
        span,
        (Line("mid", traded.mid, "muted"),),
        (
            Marks("bought", traded.buys, "bid", traded.buy_count),
            Marks("sold", traded.sells, "ask", traded.sell_count),
        ),
        height=250,
        legend=True,
    )
    held = Chart(
        f"{traded.instrument}: position",
        span,
        (Line("position", traded.position, "note", steps=True, filled=True),),
        unit=traded.position_unit,
        height=110,
        zero=True,
    )
    return time_chart(price) + time_chart(held)


def _facts(contents: Contents) -> str:
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{_value(value)}</dd>" for name, value in contents.facts
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in contents.notes)
    return f'<section class="card"><h2>How it was run</h2><dl>{rows}</dl><ul>{notes}</ul></section>'


def _value(value: str) -> str:
    if value.startswith("`") and value.endswith("`"):
        return f"<code>{escape(value.strip('`'))}</code>"
    return escape(value)


def _orders(section: Section) -> str:
    """Return the table of orders; the sides in their colors."""
    if not section.orders:
        return '<section class="card"><h2>Orders</h2><p class="none">None was placed.</p></section>'
    left = [name.startswith("<") for name in section.order_columns]
    head = "".join(
        f"<th{_left(side)}>{escape(name.removeprefix('<'))}</th>"
        for name, side in zip(section.order_columns, left, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_left(side, cell)}>{escape(cell)}</td>"
            for cell, side in zip(row, left, strict=True)
        )
        + "</tr>"
        for row in section.orders
    )
    shown = len(section.orders)
    note = ""
    if section.order_count > shown:
        note = f'<p class="note">The last {shown:,} of {section.order_count:,}.</p>'
    return (
        f'<section class="card long"><h2>Orders</h2>{note}<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _left(left: bool, cell: str = "") -> str:  # noqa: FBT001 - a column's side, from a list of them
    names = [name for name, there in (("left", left), (cell, cell in ("buy", "sell"))) if there]
    return f' class="{" ".join(names)}"' if names else ""
