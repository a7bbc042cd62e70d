"""`replay simulate`: write a capture of a seeded market.

Responsible for the options and for what a person sees. Refuses to simulate: that is
`replay.simulation.simulator`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
from rich.progress import Progress, TextColumn

from recorder.capture.reader import Capture
from recorder.console import TIME, print_json, say, talk
from replay.market.instruments import DEFAULT_INSTRUMENTS
from replay.simulation.scenario import SCENARIOS
from replay.simulation.simulator import DEFAULT_START, SimulationReport, simulate


@click.command("simulate")
@click.argument("out", type=click.Path())
@click.option(
    "--seed", type=int, required=True, help="Decides everything; the same seed, the same frames."
)
@click.option("--duration", type=float, help="Data time, seconds (60 unless --frames is given).")
@click.option("--frames", type=int, help="Stop at this many rows of every kind.")
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    metavar="ID",
    help=f"BASE-USDT or BASE-USDT-SWAP; again for more. [{', '.join(DEFAULT_INSTRUMENTS)}]",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME",
    help="Keep to this channel; again for more. [all the simulated venue has]",
)
@click.option(
    "--rate",
    type=float,
    default=1.0,
    show_default=True,
    help="Order activity; 2 is twice as many bursts.",
)
@click.option(
    "--scenario",
    type=click.Choice(SCENARIOS),
    default="mixed",
    show_default=True,
    help="What goes wrong: see docs/simulator.md.",
)
@click.option("--private", is_flag=True, help="Trade with one account: its private channels too.")
@click.option(
    "--start",
    type=TIME,
    default=DEFAULT_START,
    show_default="2026-11-02T08:00:00Z",
    help="Data time of the first row.",
)
@click.option(
    "--segment-seconds", type=float, default=60.0, show_default=True, help="Data time per segment."
)
@click.option("--note", help="Stored in capture.json.")
@click.option(
    "--reproducible", is_flag=True, help="Leave host and times of this machine out of the capture."
)
@click.option("--json", "as_json", is_flag=True, help="Print a report as JSON.")
def simulate_command(
    out: str,
    *,
    seed: int,
    duration: float | None,
    frames: int | None,
    instruments: tuple[str, ...],
    channels: tuple[str, ...],
    rate: float,
    scenario: str,
    private: bool,
    start: int,
    segment_seconds: float,
    note: str | None,
    reproducible: bool,
    as_json: bool,
) -> None:
    """Write a capture OUT of a seeded market, as a recorder would have stored it.

    The same arguments give the same frames, digest and files on every machine.
    """

    def run(progress: Callable[[int, int], None] | None) -> SimulationReport:
        return simulate(
            out,
            seed=seed,
            duration=duration,
            frames=frames,
            instruments=instruments or DEFAULT_INSTRUMENTS,
            channels=channels or None,
            rate=rate,
            scenario=scenario,
            private=private,
            start=start,
            segment_seconds=segment_seconds,
            note=note,
            reproducible=reproducible,
            progress=progress,
        )

    if sys.stderr.isatty():
        with Progress(TextColumn("{task.description}"), console=talk, transient=True) as shown:
            task = shown.add_task("simulating")
            report = run(
                lambda count, now: shown.update(
                    task,
                    description=f"{count:,} frames, {(now - start) / 1e9:,.0f} s of data time",
                )
            )
    else:
        report = run(None)
    digest = Capture(out).info().input_digest
    if as_json:
        print_json(
            {
                "path": out,
                "seed": seed,
                "frames": report.frames,
                "segments": report.segments,
                "data_seconds": report.data_seconds,
                "input_digest": digest,
            }
        )
    else:
        say(
            f"{out}: {report.frames:,} frames of {report.data_seconds:,.1f} s, "
            f"seed {seed}, input digest {digest}"
        )
