"""The measurement of a backtest, beside a replay without a strategy.

Responsible for two strategies: one that reads the best bid and offer at every book update, played
and in a backtest, and one that also quotes both sides twice a second. Refuses to judge.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from recorder.clock import NS_PER_MS
from recorder.event import BookUpdate
from replay.backtest import backtest
from replay.player import play
from tests.bench.measure import INSTRUMENTS, Corpus, Figure, in_turn, make_corpus, rate

CASH = {"USDT": 10_000_000, "BTC": 100, "ETH": 1_000}


class Reader:
    """Reads the book at each update."""

    def on_book(self, event: BookUpdate, context: Any) -> None:
        book = context.books.get(event.instrument)
        if book is not None:
            book.best_bid()
            book.best_ask()


class Maker(Reader):
    """Quotes one instrument, too."""

    def on_start(self, context: Any) -> None:
        context.every(500 * NS_PER_MS)

    def on_timer(self, timer: Any, context: Any) -> None:
        book = context.books.get(INSTRUMENTS[0])
        if book is None or not book.is_whole:
            return
        context.cancel()
        for order, level in ((context.buy, book.best_bid()), (context.sell, book.best_ask())):
            if level is not None:
                order(INSTRUMENTS[0], "0.01", level.price, kind="post_only")


def trading(corpus: Corpus) -> list[Figure]:
    """Play without a strategy, with one that reads, and let it trade."""
    events = play(corpus.path).events

    def plain() -> None:
        play(corpus.path, lambda event, context: None)

    def reading() -> None:
        play(corpus.path, Reader())

    def simulated() -> None:
        backtest(corpus.path, Reader(), keep=False)

    def quoting() -> None:
        backtest(corpus.path, Maker(), cash=CASH, keep=False)

    plain_s, reading_s, simulated_s, quoting_s = in_turn(plain, reading, simulated, quoting)
    beside, theirs = "replay into a callback, events", rate(events, plain_s)
    return [
        Figure(f"{what}, events", rate(events, seconds), beside, theirs, plain_s / seconds)
        for what, seconds in (
            ("replay, a strategy that reads books", reading_s),
            ("backtest, the same strategy", simulated_s),
            ("backtest, quoting twice a second", quoting_s),
        )
    ]


JOBS = {"trading": trading}


def main() -> None:
    """Measure this alone; the number of frames may be given."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="okx-recorder-bench-") as scratch:
        for figure in trading(make_corpus(Path(scratch), frames)):
            print(f"{figure.what:<48} {figure.ours:>14}  {figure.theirs:>14}  {figure.ratio:.3f}")


if __name__ == "__main__":
    main()
