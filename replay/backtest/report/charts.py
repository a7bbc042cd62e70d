"""Charts as HTML and SVG: lines over time, marks upon them, and histograms.

Responsible for the picture and for what a pointer over it reads out (the numbers stand in the page,
`page.js` shows them). Shapes stretch with the window, words do not: lines are SVG without an aspect
of its own, words are HTML in their places. Refuses to choose what is shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from replay.backtest.report.scales import number, time_label, time_ticks, value_ticks
from replay.backtest.report.thinning import Point

_WIDTH, _HEIGHT = 1000, 100


@dataclass(frozen=True, slots=True)
class Line:
    """One value over time.

    Attributes:
        points: in order of time, ns since the Unix epoch; no more than a picture needs.
        color: name of a color of the page: accent, bid, ask, muted …
        steps: the value holds until the next point (a position), rather than leading to it.
        filled: the space down to zero is tinted.
    """

    name: str
    points: Sequence[Point]
    color: str = "accent"
    steps: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """Dots, at a time and a value.

    Attributes:
        points: `MARKS` at most.
        count: how many there were, where not all are drawn.
    """

    name: str
    points: Sequence[Point]
    color: str
    count: int = 0


MARKS = 1_500
"""As many dots as a picture bears."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines and marks over one span of time.

    Attributes:
        span: first and last time shown, ns since the Unix epoch.
        unit: behind every value read out.
        height: in CSS pixels.
        zero: zero belongs to the axis even where no value comes near it.
    """

    title: str
    span: tuple[int, int]
    lines: Sequence[Line]
    marks: Sequence[Marks] = ()
    unit: str = ""
    height: int = 200
    zero: bool = False
    note: str = ""
    legend: bool = field(default=False)


def time_chart(chart: Chart) -> str:
    """Return a chart as HTML; of nothing to show, the words that say so."""
    lines = [(line, line.points) for line in chart.lines if line.points]
    values = [value for _, points in lines for _, value in points if math.isfinite(value)]
    values += [value for marks in chart.marks for _, value in marks.points]
    if not values:
        return _card(chart, '<p class="none">Nothing to show.</p>')
    if chart.zero or any(line.filled for line, _ in lines):
        values.append(0.0)
    low, high = _padded(min(values), max(values))
    frame = _Frame(chart.span, low, high)
    shapes = [_grid(frame)]
    shapes += [_line(frame, line, points) for line, points in lines]
    shapes += [_dots(frame, marks) for marks in chart.marks]
    plot = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(shapes)}</svg>{_words(frame)}"
    )
    seen = _seen(frame)
    data = {
        "span": [str(edge) for edge in chart.span],
        "unit": chart.unit,
        "lines": [
            {
                "name": line.name,
                "steps": line.steps,
                "at": [round(frame.x(time), 2) for time, _ in points],
                "says": [number(value, step=seen) for _, value in points],
            }
            for line, points in lines
        ],
    }
    told = escape(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    body = (
        f'<div class="plot" style="height:{chart.height}px" role="img" '
        f'aria-label="{escape(_told(chart, lines, seen))}" data-chart="{told}">{plot}</div>'
    )
    return _card(chart, _legend(chart) + body)


def histogram(
    title: str, values: Sequence[float], unit: str, *, bars: int = 48, note: str = ""
) -> str:
    """Return how often which value was, as HTML; the last bar holds all that is beyond it."""
    chart = Chart(title, (0, 0), (), unit=unit, note=note)
    if not values:
        return _card(chart, '<p class="none">Nothing to show.</p>')
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    width = (high - low) / bars or 1.0
    counts = [0] * (bars + 1)
    for value in ordered:
        counts[min(int((value - low) / width), bars)] += 1
    while len(counts) > 1 and counts[-1] == 0:
        counts.pop()
    top, each = max(counts), _WIDTH / len(counts)
    shapes = "".join(
        f'<rect x="{each * place + each * 0.08:.2f}" y="{_HEIGHT - share:.2f}" '
        f'width="{each * 0.84:.2f}" height="{share:.2f}"/>'
        for place, count in enumerate(counts)
        if (share := max(count / top * _HEIGHT, 1.0 if count else 0.0))
    )
    ticks = "".join(
        f'<span class="x" style="left:{(tick - low) / width * each / _WIDTH * 100:.2f}%">'
        f"{number(tick)}</span>"
        for tick in value_ticks(low, low + width * len(counts), 5)
    )
    quantiles = " · ".join(
        f"{name} {number(ordered[min(len(ordered) - 1, int(len(ordered) * share))])} {unit}"
        for name, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99))
    )
    body = (
        f'<p class="quantiles">{escape(quantiles)} · longest {number(ordered[-1])} '
        f"{escape(unit)}</p>"
        f'<div class="plot histogram" style="height:140px" role="img" '
        f'aria-label="{escape(title)}: {escape(quantiles)}">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f"{shapes}</svg>{ticks}</div>"
    )
    return _card(chart, body)


class _Frame:
    """From times and values to places in the picture."""

    def __init__(self, span: tuple[int, int], low: float, high: float) -> None:
        self.span, self.low, self.high = span, low, high

    def x(self, time: int) -> float:
        """Return the place across, 0 to `_WIDTH`."""
        return (time - self.span[0]) / max(self.span[1] - self.span[0], 1) * _WIDTH

    def y(self, value: float) -> float:
        """Return the place down, 0 to `_HEIGHT`."""
        return (self.high - value) / (self.high - self.low) * _HEIGHT


def _padded(low: float, high: float) -> tuple[float, float]:
    """Return a little more than a range, so that nothing lies on the edge."""
    room = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    return low - room, high + room


def _grid(frame: _Frame) -> str:
    return "".join(
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M0 {frame.y(tick):.2f}H{_WIDTH}"/>'
        for tick in value_ticks(frame.low, frame.high)
    )


def _line(frame: _Frame, line: Line, points: Sequence[Point]) -> str:
    """Return one line; where its value is no number, the line is broken."""
    path, last = [], ""
    for time, value in points:
        if not math.isfinite(value):
            last = ""
            continue
        across, down = f"{frame.x(time):.2f}", f"{frame.y(value):.2f}"
        if not last:
            path.append(f"M{across} {down}")
        elif line.steps:
            path.append(f"H{across}V{down}")
        else:
            path.append(f"L{across} {down}")
        last = across
    if line.steps and last:
        path.append(f"H{_WIDTH}")
        last = str(_WIDTH)
    drawn = "".join(path)
    color = f"var(--{line.color})"
    area = ""
    if line.filled and last and drawn.count("M") == 1:
        zero = f"{frame.y(0.0):.2f}"
        first = f"{frame.x(points[0][0]):.2f}"
        area = (
            f'<path class="area" style="fill:{color}" d="{drawn}L{last} {zero}L{first} {zero}Z"/>'
        )
    return f'{area}<path class="line" style="stroke:{color}" d="{drawn}"/>'


def _dots(frame: _Frame, marks: Marks) -> str:
    drawn = "".join(f"M{frame.x(time):.2f} {frame.y(value):.2f}h0" for time, value in marks.points)
    return f'<path class="dots" style="stroke:var(--{marks.color})" d="{drawn}"/>'


def _words(frame: _Frame) -> str:
    """Return the words at both axes."""
    values = value_ticks(frame.low, frame.high)
    apart = values[1] - values[0] if len(values) > 1 else 0.0
    down = "".join(
        f'<span class="y" style="top:{frame.y(tick):.2f}%">{number(tick, step=apart)}</span>'
        for tick in values
    )
    ticks = time_ticks(*frame.span)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1
    across = "".join(
        f'<span class="x{" odd" if place % 2 else ""}" '
        f'style="left:{frame.x(tick) / _WIDTH * 100:.2f}%">{time_label(tick, step)}</span>'
        for place, tick in enumerate(ticks)
    )
    return down + across


def _legend(chart: Chart) -> str:
    if not chart.legend:
        return ""
    named = [(line.name, line.color, "stroke") for line in chart.lines]
    named += [
        (f"{marks.name} ({marks.count or len(marks.points):,})", marks.color, "dot")
        for marks in chart.marks
    ]
    return (
        '<p class="legend">'
        + "".join(
            f'<span><i class="{shape}" style="background:var(--{color})"></i>{escape(name)}</span>'
            for name, color, shape in named
        )
        + "</p>"
    )


def _seen(frame: _Frame) -> float:
    """Return the difference of two values that can be seen in the picture, a power of ten."""
    height = frame.high - frame.low
    return 10.0 ** math.floor(math.log10(height / 100)) if height > 0 else 0.0


def _told(chart: Chart, lines: Sequence[tuple[Line, Sequence[Point]]], seen: float) -> str:
    """Return the chart in a sentence, for who does not see it."""
    parts = [
        f"{line.name} from {number(points[0][1], step=seen)} "
        f"to {number(points[-1][1], step=seen)} {chart.unit}".strip()
        for line, points in lines
    ]
    return f"{chart.title}: {'; '.join(parts)}" if parts else chart.title


def _card(chart: Chart, body: str) -> str:
    note = f'<p class="note">{escape(chart.note)}</p>' if chart.note else ""
    return f'<section class="card"><h2>{escape(chart.title)}</h2>{note}{body}</section>'
