"""What both commands share at a terminal: errors in one sentence, JSON, times, exit codes.

Responsible for turning every exception into one line on standard error and the exit code of the
contract (what nobody foresaw goes into a trace file), and for the option types used by every
command. Refuses to hold any command: those live in `recorder.cli` and `replay.cli`, which may not
import each other.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
import tempfile
import traceback
from contextlib import suppress
from importlib import import_module, metadata
from typing import IO, Any, NoReturn, cast

import click
import msgspec
from rich.console import Console
from rich.table import Table

from recorder.clock import format_time, parse_time
from recorder.errors import ExitCode, InternalError, RecorderError, UsageError


class _Talk(Console):
    """A console that falls silent when nobody listens any more; rich would end the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Output(Console):
    """Standard output as tables for a person; a reader that went away is told to the caller.

    Args:
        pipe_columns: where there is no terminal, wrap after so many; None: never.
    """

    def __init__(self, pipe_columns: int | None = None) -> None:
        is_pipe = not sys.stdout.isatty()
        super().__init__(
            highlight=False,
            soft_wrap=pipe_columns is None,
            markup=False,
            emoji=False,
            width=pipe_columns if is_pipe else None,
        )

    def print_table(self, table: Table) -> None:
        """Print a table without the blanks that rich leaves at the ends of its lines."""
        with self.capture() as text:
            self.print(table)
        for line in text.get().splitlines():
            click.echo(line.rstrip())

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end the process as failed


_WORDS_MAX = 200

talk: Console = _Talk(stderr=True, highlight=False, soft_wrap=True, emoji=False)
"""Where commands talk to a person: standard error. Data goes to standard output."""


class TimeType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """`--start`, `--end`, `--at`: RFC 3339 or integer nanoseconds, given to Python as ns."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


TIME = TimeType()


def say(message: str) -> None:
    """Print one line to a person (standard error); nothing happens where nobody can read it."""
    with suppress(OSError):  # e.g. the terminal is gone, and a recording goes on without it
        talk.print(message, markup=False)


def print_json(value: Any) -> None:
    """Write one JSON document and a newline to standard output."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def time_or_dash(ns: int | None) -> str:
    """Return RFC 3339 for a time, `-` for None (an empty capture has no start)."""
    return "-" if ns is None else format_time(ns)


class LazyGroup(click.Group):
    """A group that imports the module of a command only when that command is asked for.

    The module holds the command under the name `<command>_command`.
    """

    def __init__(self, name: str, *, help: str, commands_in: dict[str, str]) -> None:  # noqa: A002
        super().__init__(name, help=help)
        click.version_option(package_name="okx-recorder", message="%(package)s %(version)s")(self)
        self._commands_in = commands_in

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their whole first sentence; click would cut it off."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, item.get_short_help_str(limit=200)) for name, item in found if item]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where whoever read standard output has enough (`| head`), it is done."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # click would end it as failed before `run` could tell
            _give_up(sys.stdout)
            sys.exit(ExitCode.DONE)
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._commands_in.get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(module), f"{cmd_name}_command")
        return cast(click.Command, command)


def run(command: click.Command) -> NoReturn:
    """Run a command as the whole process: never a traceback on a terminal.

    A command returns None or an `ExitCode`. A broken pipe (`| head`) ends quietly; any other
    refusal of the system (a full disk, a missing permission) is one sentence. What nobody foresaw
    is one, too, with exit code 70 and the traceback in a file for the report.
    """
    try:
        _run(command)
    finally:
        talk_to: IO[str] | None = sys.stderr  # None where it was closed from the start
        try:
            if talk_to is not None:
                talk_to.flush()
        except OSError:  # nobody listens any more: no reason to end as failed, as Python would
            _give_up(sys.stderr)


def _run(command: click.Command) -> NoReturn:
    try:
        result = command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        say(f"error: {_sentence(error)}")
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)
    except InternalError as error:
        _tell_internal(error)
        sys.exit(ExitCode.INTERNAL)
    except RecorderError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _give_up(sys.stdout)
        sys.exit(ExitCode.DONE)
    except OSError as error:
        say(
            f"error: expected to read or write {error.filename or 'standard output'}, but the "
            f"system said {error.strerror or error}; check the place and its permissions"
        )
        _give_up(sys.stdout)
        sys.exit(_code_of(error))
    except Exception as error:  # noqa: BLE001 - the last resort, and it is told
        _tell_internal(error)
        _give_up(sys.stdout)
        sys.exit(ExitCode.INTERNAL)
    sys.exit(int(result) if isinstance(result, int) else 0)


def _code_of(error: OSError) -> ExitCode:
    """Return 4 for a full disk, 2 for a place that this user may not use, else 1."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ExitCode.DISK_FULL
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ExitCode.USAGE
    return ExitCode.FAILED


def _sentence(error: click.ClickException) -> str:
    """Return what click says as one line; our own sentences say what to do themselves."""
    said = " ".join(error.format_message().split()).rstrip(".")
    said = said[:1].lower() + said[1:].replace(". (Did", " (did")
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or re.search(r"\bexpected ", said):
        return said
    return f"{said}; try '{context.command_path} --help'"


def _tell_internal(error: Exception) -> None:
    """Say that this is our mistake, where it happened, and where the trace for a report is."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    words = " ".join(str(error).split())[:_WORDS_MAX]
    what = words if isinstance(error, InternalError) else f"{type(error).__name__}: {words}"
    trace = _trace_of(error)
    kept = _kept_trace(trace)
    if kept is None:
        say(trace)
    say(
        f"internal error: {what}{at}; this is a mistake of the program, not yours: please report "
        f"it with {'the lines above' if kept is None else kept}; what was recorded before is kept, "
        f"and recorder verify says whether it is whole"
    )


def _trace_of(error: Exception) -> str:
    """Return versions and traceback: no arguments, no local variables, no environment."""
    head = (
        f"okx-recorder {metadata.version('okx-recorder')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, command {' '.join(sys.argv[1:2])}"
    )
    return "\n".join([head, "", *traceback.format_exception(error)])


def _kept_trace(trace: str) -> str | None:
    """Keep a trace in a file that only its owner can read; None where there is no place."""
    try:
        number, path = tempfile.mkstemp(prefix="okx-recorder-", suffix=".trace.txt")
        with os.fdopen(number, "w", encoding="utf-8", errors="replace") as file:
            file.write(trace)
    except OSError:
        return None
    return path


def _give_up(stream: IO[str]) -> None:
    """Send what is still buffered nowhere: Python would complain again while flushing at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
