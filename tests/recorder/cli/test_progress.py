"""The progress line: what a person reads while recording."""

from __future__ import annotations

import io

import pytest

from recorder.cli.progress import ProgressLine, duration_text
from recorder.live import Progress
from recorder.live.pipeline import Counts

S = 1_000_000_000


def progress(seconds: float, messages: int, size: int, *, silent: float = 0.0) -> Progress:
    counts = Counts()
    counts.messages, counts.bytes, counts.gaps = messages, size, 2
    counts.last_recv, counts.last_event = 100 * S, 100 * S - 12_000_000
    now = 100 * S + round(silent * S)
    return Progress(seconds, counts, 1_500_000, 1, 2, now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rates_are_of_the_last_second_and_totals_of_all() -> None:
    line = ProgressLine(io.StringIO())
    line.text(progress(1.0, 1_000, 2_000_000))
    text = line.text(progress(3.0, 5_000, 3_000_000))
    assert text == (
        "3.0 s  5,000 frames  2,000/s  0.50 MB/s  sockets 1/2  gaps 2  lag 12 ms  queue 1.5 MB"
    )
    assert "silent 1:05" in line.text(progress(4.0, 5_000, 3_000_000, silent=65))


@pytest.mark.parametrize(
    ("lag", "text"), [(99, "lag 99,000 ms"), (90_061, "lag 25:01:01"), (-300, "lag -5:00")]
)
def test_a_long_lag_is_no_row_of_digits(lag: int, text: str) -> None:
    now = progress(1.0, 1, 1)
    assert now.counts.last_recv is not None
    now.counts.last_event = now.counts.last_recv - lag * S
    assert f"  {text}  " in ProgressLine(io.StringIO()).text(now)


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.show(progress(1.0, 1, 1))
    line.clear()
    assert stream.getvalue() == ""


def test_the_line_is_rewritten_and_cleared() -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    line.show(progress(1.0, 1, 1))
    line.show(progress(2.0, 2, 2))
    line.clear()
    line.clear()
    drawn = stream.getvalue()
    assert drawn.count("\r\x1b[2K") == 3
    assert drawn.endswith("\r\x1b[2K")
    assert "\n" not in drawn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1:00"), (3_599, "59:59"), (97_445, "27:04:05")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
