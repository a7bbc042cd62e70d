"""Options that say what the simulated exchange is like, the same for `backtest` and `sweep`.

Responsible for the options and for reading cash. Refuses to know what they mean
(`replay.backtest.settings` does).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from recorder.errors import UsageError
from replay.backtest.queues import MODELS

F = TypeVar("F", bound=Callable[..., Any])


def exchange_options(command: F) -> F:
    """Add `--cash --leverage --maker-fee --taker-fee --latency --queue --currency --sample`."""
    for option in (
        click.option(
            "--sample",
            type=click.FloatRange(min=0, min_open=True),
            default=1.0,
            show_default=True,
            metavar="SECONDS",
            help="Data time between two values of the equity curve.",
        ),
        click.option(
            "--currency", default="USDT", show_default=True, help="What equity is reckoned in."
        ),
        click.option(
            "--queue",
            type=click.Choice(list(MODELS)),
            default="back",
            show_default=True,
            help="Where others cancel from: behind a resting order, in proportion, or nobody is "
            "ahead.",
        ),
        click.option(
            "--latency",
            default="capture",
            show_default=True,
            metavar="MODEL",
            help="To the venue and back: 5ms, 5ms/8ms, uniform:2ms-10ms, lognormal:5ms,0.4, or "
            "what the recorded market data took.",
        ),
        click.option(
            "--taker-fee",
            metavar="FRACTION",
            help="[OKX's regular fees: spot 0.0008 and 0.001, derivatives 0.0002 and 0.0005]",
        ),
        click.option(
            "--maker-fee", metavar="FRACTION", help="E.g. 0.0002, or -0.0001 for a rebate."
        ),
        click.option(
            "--leverage",
            type=click.IntRange(min=1),
            default=10,
            show_default=True,
            help="Value of positions over margin, at most.",
        ),
        click.option(
            "--cash",
            multiple=True,
            metavar="CURRENCY=AMOUNT",
            help="What an account begins with; again for more. [USDT=100000]",
        ),
    ):
        command = option(command)
    return command


def read_cash(given: tuple[str, ...]) -> dict[str, str] | None:
    """Read CURRENCY=AMOUNT."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, amount = text.partition("=")
        if not name or not equals or not amount:
            raise UsageError(f"expected --cash CURRENCY=AMOUNT, received {text!r}; e.g. BTC=1.5")
        found[name.strip()] = amount.strip()
    return found or None
