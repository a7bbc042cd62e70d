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
        buys, sells: time and price of each fill.
        position: after each fill, in the venue's unit (contracts, or base currency for spot).
        position_unit: that unit.
    """

    instrument: str
    mid: Sequence[Point]
    buys: Sequence[Point]
    sells: Sequence[Point]
    position: Sequence[Point]
    position_unit: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """All that is on the page.

    Attributes:
        subtitle: capture and time, in words.
        span: first and last time, ns since the Unix epoch.
        currency: of equity and drawdown.
        equity: cash and open positions at the mid price, over time.
        drawdown: equity less its highest so far, at most 0, over time.
        latency_ms: from placing an order to its acknowledgement in the strategy's hands, ms.
        order_columns: names; those that begin with "<" stand to the left.
        orders: rows as text, the oldest first.
        facts: how it was run: name and value; a value in backquotes is set in a fixed width.
        notes: what it takes for granted.
    """

    title: str
    subtitle: str
    span: tuple[int, int]
    currency: str
    tiles: Sequence[Tile]
    equity: Sequence[Point]
    drawdown: Sequence[Point]
    traded: Sequence[Traded]
    latency_ms: Sequence[float]
    order_columns: Sequence[str]
    orders: Sequence[Sequence[str]]
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]


def page(contents: Contents) -> str:
    """Return the whole page as HTML."""
    parts = [
        _tiles(contents.tiles),
        _over_time(contents),
        *(_instrument(contents.span, traded) for traded in contents.traded),
        '<div class="pair">',
        histogram(
            "Order to acknowledgement",
            contents.latency_ms,
            "ms",
            note="From placing an order to its answer in the strategy's hands, in data time.",
        ),
        _facts(contents),
        "</div>",
        _orders(contents),
    ]
    read = files("replay.backtest.report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(contents.title)}</title><style>{(read / 'page.css').read_text()}</style>"
        f"</head><body><header><h1>{escape(contents.title)}</h1>"
        f'<p class="when">{escape(contents.subtitle)}</p></header><main>{"".join(parts)}</main>'
        f"<script>{(read / 'page.js').read_text()}</script></body></html>\n"
    )


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


def _over_time(contents: Contents) -> str:
    return time_chart(
        Chart(
            "Equity",
            contents.span,
            (Line("equity", contents.equity, "accent"),),
            unit=contents.currency,
            height=230,
        )
    ) + time_chart(
        Chart(
            "Drawdown",
            contents.span,
            (Line("below the highest so far", contents.drawdown, "ask", filled=True),),
            unit=contents.currency,
            height=110,
        )
    )


def _instrument(span: tuple[int, int], traded: Traded) -> str:
    price = Chart(
        f"{traded.instrument}: price and fills",
        span,
        (Line("mid", traded.mid, "muted"),),
        (Marks("bought", traded.buys, "bid"), Marks("sold", traded.sells, "ask")),
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


def _orders(contents: Contents) -> str:
    """Return the table of orders; the sides in their colors."""
    if not contents.orders:
        return '<section class="card"><h2>Orders</h2><p class="none">None was placed.</p></section>'
    left = [name.startswith("<") for name in contents.order_columns]
    head = "".join(
        f"<th{_left(side)}>{escape(name.removeprefix('<'))}</th>"
        for name, side in zip(contents.order_columns, left, strict=True)
    )
    shown = contents.orders[-ROWS:]
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_left(side, cell)}>{escape(cell)}</td>"
            for cell, side in zip(row, left, strict=True)
        )
        + "</tr>"
        for row in shown
    )
    hidden = len(contents.orders) - len(shown)
    note = f'<p class="note">The last {ROWS} of {len(contents.orders):,}.</p>' if hidden else ""
    return (
        f'<section class="card long"><h2>Orders</h2>{note}<div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _left(left: bool, cell: str = "") -> str:  # noqa: FBT001 - a column's side, from a list of them
    names = [name for name, there in (("left", left), (cell, cell in ("buy", "sell"))) if there]
    return f' class="{" ".join(names)}"' if names else ""
