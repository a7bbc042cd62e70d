"""`replay demo`: the whole circle on one machine."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.console import print_json
from recorder.errors import ExitCode
from replay.demo import DEFAULT_SPEED, demo


@click.command("demo")
@click.option(
    "--capture",
    type=click.Path(path_type=Path),
    help="Serve this capture instead of the dataset that comes with the repository.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Keep the recording here (a new directory); by default it is removed.",
)
@click.option(
    "--speed",
    default=DEFAULT_SPEED,
    show_default=True,
    help="Speed of the served session: max, or a multiple of real time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was proved as JSON.")
def demo_command(capture: Path | None, out: Path | None, speed: str, *, as_json: bool) -> ExitCode:
    """Serve a session, record it through a real socket, verify, replay and query it.

    Needs no network. Every claim that is printed was checked first; exit 1 if one failed.
    """
    report = demo(capture=capture, out=out, speed=speed)
    if as_json:
        print_json(report)
    return ExitCode.DONE
