"""`replay.backtest.report`: what stands on the page, and that it needs nothing beside itself."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from replay.backtest.report.charts import Chart, Line, Marks, histogram, time_chart
from replay.backtest.report.page import Contents, Section, Tile, Traded, page
from replay.backtest.report.scales import SECOND, number, time_label, time_ticks, value_ticks
from replay.backtest.report.thinning import thinned

START = 1_793_606_400 * SECOND


class Whole(HTMLParser):
    """Holds every element open until it is closed."""

    VOID = frozenset({"meta", "path", "rect", "i/"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing stays open."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def section(**changes: object) -> Section:
    given: dict[str, object] = {
        "strategy": "maker",
        "span": (START, START + 60 * SECOND),
        "currency": "USDT",
        "tiles": [Tile("Profit", "+1", "USDT", "realized 2, open −1", "up")],
        "equity": [(START, 100.0), (START + 30 * SECOND, 99.0), (START + 60 * SECOND, 101.0)],
        "drawdown": [(START, 0.0), (START + 30 * SECOND, -1.0), (START + 60 * SECOND, 0.0)],
        "traded": [
            Traded(
                "BTC-USDT",
                mid=[(START, 10.0), (START + 60 * SECOND, 11.0)],
                buys=[(START + SECOND, 10.0)],
                sells=[],
                position=[(START, 0.0), (START + SECOND, 1.0)],
                position_unit="BTC",
            )
        ],
        "latency_ms": [1.0, 2.0, 3.0],
        "order_columns": ["<placed", "<side", "price"],
        "orders": [["08:00:00", "buy", "10"]],
        "order_count": 1,
    }
    return Section(**{**given, **changes})  # type: ignore[arg-type]


def contents(*sections: Section) -> Contents:
    return Contents(
        "maker <b>", "a capture", sections or (section(),), [("digest", "`00ff`")], ["Own impact."]
    )


def test_page_is_whole_and_loads_nothing() -> None:
    html = page(contents())
    whole = Whole()
    whole.feed(html)
    assert whole.open == []
    assert whole.links == []
    assert "http" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_words_of_others_are_words() -> None:
    html = page(contents(section(orders=[["<script>x", "buy", "10"]])))
    assert "maker &lt;b&gt;" in html
    assert "&lt;script&gt;x" in html
    assert "<script>x" not in html


def test_sides_have_their_color_and_columns_their_side() -> None:
    html = page(contents())
    assert '<td class="left buy">buy</td>' in html
    assert "<td>10</td>" in html
    assert "<th>price</th>" in html


def test_orders_that_are_not_shown_are_counted() -> None:
    assert "The last 1 of 1,007." in page(contents(section(order_count=1007)))
    assert "The last" not in page(contents())


def test_nothing_traded_is_said() -> None:
    nothing = section(orders=[], order_count=0, latency_ms=[], equity=[], drawdown=[], traded=[])
    html = page(contents(nothing))
    assert "None was placed." in html
    assert html.count("Nothing to show.") == 3


def test_several_strategies_are_named() -> None:
    html = page(contents(section(), section(strategy="taker")))
    assert '<h2 class="strategy">maker</h2>' in html
    assert '<h2 class="strategy">taker</h2>' in html
    assert 'class="strategy"' not in page(contents())


def test_chart_reads_out_the_numbers_it_draws() -> None:
    line = Line("equity", [(START, 1.0), (START + SECOND, 3.0)])
    html = time_chart(Chart("Equity", (START, START + 2 * SECOND), (line,), unit="USDT"))
    told = re.search('data-chart="([^"]*)"', html)
    assert told is not None
    data = json.loads(unescape(told[1]))
    assert data["lines"] == [
        {"name": "equity", "steps": False, "at": [0.0, 500.0], "says": ["1", "3"]}
    ]
    assert int(data["span"][0]) == START  # a whole number of ns: JavaScript's own would round it
    assert "equity from 1 to 3 USDT" in html


def test_ticks_and_values_of_a_small_change_can_be_told_apart() -> None:
    points = [(START, 100_000.0), (START + SECOND, 99_999.97), (START + 2 * SECOND, 99_999.9)]
    html = time_chart(Chart("Equity", (START, START + 2 * SECOND), (Line("equity", points),)))
    ticks = re.findall('class="y"[^>]*>([^<]*)<', html)
    assert len(ticks) == len(set(ticks)) > 1
    assert "99\u202f999.95" in ticks
    assert "equity from 100\u202f000 to 99\u202f999.9" in html
    assert "99\u202f999.97" in html


def test_line_is_broken_where_there_is_no_value() -> None:
    points = [(START, 1.0), (START + 1, float("nan")), (START + 2, 2.0), (START + 4, 2.5)]
    html = time_chart(Chart("Mid", (START, START + 4), (Line("mid", points),)))
    drawn = re.search('class="line"[^>]* d="([^"]*)"', html)
    assert drawn is not None
    assert drawn[1].count("M") == 2
    assert drawn[1].count("L") == 1


def test_steps_go_across_before_they_go_up() -> None:
    line = Line("position", [(START, 0.0), (START + 5, 1.0)], steps=True)
    html = time_chart(Chart("Position", (START, START + 10), (line,)))
    drawn = re.search('class="line"[^>]* d="([^"]*)"', html)
    assert drawn is not None
    assert re.fullmatch(r"M0.00 [\d.]+H500.00V[\d.]+H1000", drawn[1])


def test_marks_say_how_many_there_were() -> None:
    marks = Marks("bought", [(START, 1.0), (START + 5, 1.5)], "bid", 10_000)
    html = time_chart(Chart("Price", (START, START + 10), (), (marks,), legend=True))
    assert html.count("h0") == 2
    assert "bought (10,000)" in html


def test_histogram_counts_each_value_once() -> None:
    html = histogram("Latency", [1.0] * 100 + [1.5] * 50 + [2.0] * 10 + [900.0], "ms", bars=4)
    heights = [float(found) for found in re.findall('height="([\\d.]+)"', html)]
    assert heights[0] == 100.0
    assert heights == [100.0, 50.0, 11.0]
    assert "median 1 ms" in html
    assert "longest 900 ms" in html


def test_thinning_keeps_spikes_and_order() -> None:
    points = [(i, 0.0) for i in range(100_000)]
    points[50_123] = (50_123, 9.0)
    points[70_456] = (70_456, -9.0)
    kept = thinned(points, (0, 99_999), 100)
    assert len(kept) <= 404
    assert (50_123, 9.0) in kept
    assert (70_456, -9.0) in kept
    assert kept == sorted(kept)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 10.0, [0.0, 2.5, 5.0, 7.5, 10.0]),
        (-0.3, 0.1, [-0.3, -0.2, -0.1, 0.0, 0.1]),
        (87_150.0, 87_500.0, [87_200.0, 87_300.0, 87_400.0, 87_500.0]),
        (5.0, 5.0, [5.0]),
    ],
)
def test_value_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert value_ticks(low, high) == pytest.approx(ticks)


def test_time_ticks_are_round_times() -> None:
    ticks = time_ticks(START + 1, START + 3600 * SECOND)
    assert ticks == [START + minutes * 60 * SECOND for minutes in (10, 20, 30, 40, 50, 60)]
    assert time_label(ticks[0], ticks[1] - ticks[0]) == "08:10"
    assert time_label(START + 1_500_000_000, SECOND // 2) == "08:00:01.500"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (-1234.5, "−1\u202f234.5"), (0.00012, "0.00012"), (87_412.14, "87\u202f412"),
     (float("nan"), "–")],
)  # fmt: skip
def test_numbers_are_short(value: float, said: str) -> None:
    assert number(value) == said
