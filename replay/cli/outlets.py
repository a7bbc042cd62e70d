"""`--sink` of `replay play`: what is played goes into databases and the like as well.

Responsible for the option's rules and for its part of the report. Refuses to feed anything:
`replay.outlets` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec

from recorder.capture.reader import EVERY_COPY, Capture
from recorder.console import say
from recorder.errors import UsageError
from recorder.okx.faults import Scenario
from replay.outlets import Outlets
from replay.play_report import PlayReport


def outlets_of(
    addresses: Sequence[str],
    captures: Sequence[Capture],
    *,
    is_whole: bool,
    at_once: bool,
    wrong: Scenario,
) -> AbstractContextManager[Outlets | None]:
    """Return the outlets that are asked for, to be closed when all is played.

    Raises:
        UsageError: faults are put in, or the links are given one by one.
        SinkDown, SinkRefused: one cannot be reached.
    """
    if not addresses:
        return nullcontext()
    if wrong.faults:
        raise UsageError(
            "expected --sink without faults: a database holds what was recorded; leave one of them "
            "out"
        )
    if any(capture.links == EVERY_COPY for capture in captures):
        raise UsageError(
            "expected --sink without --links all: a database holds what the links brought together "
            "once; leave one of them out"
        )
    return Outlets(list(captures), addresses, is_whole=is_whole, at_once=at_once, tell=say)


def with_outlets(strategy: object | None, outlets: Outlets | None) -> object | None:
    """Return what is to be played into."""
    if outlets is None:
        return strategy
    return outlets if strategy is None else [strategy, outlets]


def with_counts(report: PlayReport, outlets: Outlets | None) -> Any:
    """Return the report with how the sinks did."""
    if outlets is None:
        return report
    sinks = [
        {"sink": name, **msgspec.structs.asdict(counts)} for name, counts in outlets.counts
    ]  # fmt: skip
    return {**msgspec.to_builtins(report), "sinks": sinks}


def say_counts(outlets: Outlets | None) -> None:
    """Say how the sinks did."""
    for name, counts in () if outlets is None else outlets.counts:
        refused = f", {counts.refused:,} put aside" if counts.refused else ""
        say(f"sink {name}: {counts.records:,} records{refused}, stands at seq {counts.seq}")
