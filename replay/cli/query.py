"""`replay query`: SQL over a capture.

Responsible for where the SQL comes from and where the result goes. Refuses to run it:
`replay.sql`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from recorder.capture.reader import Capture
from recorder.errors import ExitCode, UsageError
from replay.cli.selection import quiet_pipe, say_problems
from replay.results import FORMATS
from replay.sql import query


@click.command("query")
@click.argument("capture", type=click.Path(path_type=Path))
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="A table for people, CSV, one JSON array of objects, or Parquet.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, whole or not at all. [standard output]",
)
def query_command(capture: Path, sql: str, form: str, output: Path | None) -> ExitCode:
    """Run SQL over a capture, also while it is being recorded. SQL may be - for standard input.

    Views: frames (as recorded), one per event type (trades, book_updates, quotes, tickers ...),
    book_levels, bbo, ledger (everything lost, broken or restarted), instruments, sessions.
    `describe trades` lists the columns of one; docs/sql.md explains all.
    """
    opened = Capture(capture)
    if sql == "-":
        sql = sys.stdin.read()
    if not sql.strip():
        raise UsageError("expected SQL, received an empty text; try 'select * from ledger'")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("expected a file for Parquet, not a terminal; add -o FILE or a pipe")
    with quiet_pipe(), _target(output) as file:
        report = query(opened, sql, format=form, output=file)
    say_problems(report.problems, lost_rows=0, torn_tail=report.torn_tail)
    return report.exit_code


@contextmanager
def _target(path: Path | None) -> Iterator[IO[bytes]]:
    """Give standard output, or a file that takes its name only when it is complete."""
    if path is None:
        yield sys.stdout.buffer
        return
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as file:
            yield file
        os.replace(unfinished, path)
    except FileNotFoundError as error:
        raise UsageError(f"expected a directory at {path.parent}, found none; create it") from error
    finally:
        unfinished.unlink(missing_ok=True)
