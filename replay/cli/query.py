"""`replay query`: SQL over captures.

Responsible for where the SQL comes from, where the result goes, and for showing how far a long
query is. Refuses to run it: `replay.sql`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import IO, TypeVar

import click

from recorder.capture.reader import ELECTED, Capture
from recorder.console import say, talk
from recorder.errors import ExitCode, UsageError
from replay.asked import Asked, Question
from replay.cli.selection import links_option, quiet_pipe, say_problems
from replay.results import FORMATS
from replay.running import Running
from replay.sql import query

T = TypeVar("T")

_LOOK_S = 0.1
_QUIET_LOOKS = 10
"""A query that takes less than a second says nothing of its progress."""


@click.command("query")
@click.argument("arguments", metavar="CAPTURE... SQL", nargs=-1, required=True)
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
@links_option
def query_command(
    arguments: tuple[str, ...], form: str, output: Path | None, links: str
) -> ExitCode:
    """Run SQL over a capture, also while it is being recorded. SQL may be - for standard input.

    Views: frames (as recorded), one per event type (trades, book_updates, quotes, tickers ...),
    book_levels, bbo, ledger (everything lost, broken or restarted), instruments, sessions.
    `describe trades` lists the columns of one; docs/sql.md explains all.

    CAPTURE is a directory, or a folder of an object store, s3://bucket/prefix. Several captures, a
    quoted glob or a folder of captures are asked at once: then every view has a column capture.
    """
    *captures, sql = arguments
    if not captures:
        raise UsageError(
            f"expected captures and SQL, received {sql!r} alone; e.g. replay query captures/btc "
            f"'from ledger'"
        )
    # Before standard input is waited for.
    asked = Asked(captures[0] if len(captures) == 1 else captures)
    question: Question = captures[0] if len(captures) == 1 else captures
    if links != ELECTED:
        found = [Capture(capture.path, links=links) for capture in asked.captures.values()]
        question = found if asked.is_several else found[0]
    if sql == "-":
        sql = sys.stdin.read()
    if not sql.strip():
        raise UsageError("expected SQL, received an empty text; try 'select * from ledger'")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("expected a file for Parquet, not a terminal; add -o FILE or a pipe")
    running = Running()
    with quiet_pipe(), _target(output) as file:
        report = _watched(
            lambda: query(
                question,
                sql,
                format=form,
                output=file,
                running=running,
            ),
            running,
            # Lines that appear and a line that changes do not go together on one terminal.
            is_shown=form == "table" or output is not None or not sys.stdout.isatty(),
        )
    say_problems(report.problems, lost_rows=0, torn_tail=report.torn_tail)
    return report.exit_code


def _watched(work: Callable[[], T], running: Running, *, is_shown: bool) -> T:
    """Run a query in a thread of its own; Ctrl-C stops it, which it could not while DuckDB works.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again, where it can be told
            failures.append(error)
        finally:
            finished.set()

    # Not Thread.join: interrupted in Python 3.11 and 3.12, it takes a running thread for ended.
    finished = Event()
    thread = Thread(target=run, name="query", daemon=True)
    thread.start()
    looks = 0
    status = talk.status("querying")
    try:
        while not finished.wait(_LOOK_S):
            looks += 1
            if looks == _QUIET_LOOKS and is_shown and talk.is_terminal:
                status.start()
            done = running.done()
            if done.of:
                status.update(
                    f"querying: {done.frames:,} of {done.of:,} frames "
                    f"({100 * done.frames // done.of} %)"
                )
    except KeyboardInterrupt:
        running.stop()
        while not finished.wait(_LOOK_S):
            running.stop()  # DuckDB forgets it where the statement has not begun yet
        say("stopped; no result")
        raise
    finally:
        status.stop()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


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
