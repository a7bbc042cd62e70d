"""Options that put faults into what a command plays or serves, and what is said of them afterwards.

Responsible for `--fault --scenario --seed --heal --fault-log`, the same for every command. Refuses
to know what a fault does: docs/faults.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from recorder.capture.reader import Capture
from recorder.errors import UsageError
from recorder.okx.faults import Scenario, read_scenario
from recorder.okx.faults.log import FaultReport, Injected
from recorder.okx.faults.words import scenario_of
from replay.cli.selection import names_in

F = TypeVar("F", bound=Callable[..., Any])

FAULT = click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:CHANNEL[:INSTRUMENT]][@KEY=VALUE,…]",
    help="Something that shall go wrong, e.g. gap:books:BTC-USDT@p=0.001; again for more.",
)
SCENARIO = click.option(
    "--scenario",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Faults of a TOML or JSON file, before those of --fault.",
)
SEED = click.option(
    "--seed", type=int, metavar="N", help="What decides faults with a p. [that of the file, else 0]"
)
HEAL = click.option(
    "--heal",
    metavar="SECONDS",
    help="A book that a fault has broken gets a rebuilt snapshot after so long; or never. "
    "[that of the file, else 1]",
)
FAULT_LOG = click.option(
    "--fault-log",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write every fault that is put in as a line of JSON.",
)


def fault_options(command: F) -> F:
    """Add all of them to a command."""
    for option in (FAULT_LOG, HEAL, SEED, SCENARIO, FAULT):
        command = option(command)
    return command


def read_faults(
    faults: tuple[str, ...], scenario: Path | None, seed: int | None, heal: str | None = None
) -> Scenario:
    """Return what the options ask for.

    Raises:
        UsageError: something that cannot be read.
    """
    given = scenario_of(faults, seed=seed)
    if scenario is not None:
        try:
            told = read_scenario(scenario.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"expected a scenario in {scenario}, but {error}") from error
        kept = told.seed if seed is None else seed
        given = msgspec.structs.replace(told, faults=(*told.faults, *given.faults), seed=kept)
    if heal is None:
        return given
    return msgspec.structs.replace(given, heal=_seconds(heal))


def _seconds(text: str) -> float | None:
    if text == "never":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e9:
        raise UsageError(f"expected --heal as seconds of 0 or more, or never, received {text!r}")
    return seconds


def check_names(captures: list[Capture], scenario: Scenario) -> None:
    """Refuse a fault about a channel or an instrument that no capture holds.

    Raises:
        UsageError: names the first.
    """
    channels = dict.fromkeys(fault.channel for fault in scenario.faults if fault.channel)
    instruments = dict.fromkeys(fault.instrument for fault in scenario.faults if fault.instrument)
    names_in(captures, tuple(channels), tuple(instruments))


@contextmanager
def writing_faults(path: Path | None) -> Iterator[Callable[[Injected], object] | None]:
    """Give what writes each fault to a file, None without one.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield None
        return
    encode = msgspec.json.Encoder().encode
    try:
        file = path.open("wb")
    except OSError as error:
        raise UsageError(
            f"expected a file to write faults to, but {path}: {error.strerror}"
        ) from error
    with file:
        yield lambda fault: file.write(encode(fault) + b"\n")


def fault_lines(report: FaultReport) -> list[str]:
    """Return what was put in and what was noticed of it, as lines of a table."""
    rows = [("fault", "channel", "injected", "noticed as")]
    for row in report.table:
        noticed = [f"{event} {count:,}" for event, count in sorted(row.noticed.items())]
        rest = row.injected - sum(row.noticed.values())
        if rest:
            noticed.append(f"unnoticed {rest:,}" if noticed else "unnoticed")
        rows.append((row.fault, row.channel or "", f"{row.injected:,}", ", ".join(noticed)))
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{fault:<{wide[0]}}  {channel:<{wide[1]}}  {count:>{wide[2]}}  {noticed}".rstrip()
        for fault, channel, count, noticed in rows
    ]
    said = [f"{report.injected:,} faults put in, seed {report.seed}"]
    if report.healed:
        said.append(f"rebuilt snapshots {report.healed:,}")
    if report.early:
        said.append(f"{report.early:,} frames went on early: too much would have been held back")
    return [*(lines if report.table else []), ", ".join(said)]
