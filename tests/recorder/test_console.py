"""What both commands share at a terminal: the list of commands, the version."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import recorder.cli
import replay.cli

GROUPS = {"recorder": recorder.cli.cli, "replay": replay.cli.cli}


@pytest.mark.parametrize("program", list(GROUPS))
def test_the_list_of_commands_has_whole_sentences(program: str) -> None:
    group = GROUPS[program]
    said = " ".join(CliRunner().invoke(group, ["--help"], terminal_width=80).output.split())
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.help is not None
        sentence = " ".join(command.help.split()).partition(". ")[0].rstrip(".")
        assert f"{name} {sentence}" in said
    assert "..." not in said.partition("Commands:")[2]


@pytest.mark.parametrize("program", list(GROUPS))
def test_version(program: str) -> None:
    done = CliRunner().invoke(GROUPS[program], ["--version"])
    assert (done.exit_code, done.output) == (0, f"okx-recorder {version('okx-recorder')}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "cat", "datasets/btc-calm"),
        ("replay", "query", "datasets/btc-calm", "SELECT 1"),
        ("recorder", "info", "datasets/btc-calm", "--json"),
    ],
)
def test_a_full_disk_behind_standard_output_is_one_sentence(arguments: tuple[str, ...]) -> None:
    program = f"from {arguments[0]}.cli import main; main()"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments[1:]],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=Path(__file__).resolve().parents[2],
        )
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected to read or write standard output, but the system said")
    assert done.returncode == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("recorder record --nope x", "error: no such option"),
        ("recorder record", "error: expected a directory to record into, received none; e.g."),
        ("recorder info", "error: missing argument 'CAPTURE'; try 'recorder info --help'"),
        ("recorder recod", "error: no such command 'recod'"),
        ("recorder info a b", "error: got unexpected extra argument (b); try"),
        ("replay cat c --start soon", "error: invalid value for '--start': expected a time as RFC"),
        ("replay cat c --as foo", "error: invalid value for '--as': 'foo' is not one of"),
    ],
)
def test_a_usage_error_is_one_line(arguments: str, said: str) -> None:
    program, *rest = arguments.split()
    code = f"import sys; sys.argv[0] = {program!r}; from {program}.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *rest], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)


def run_failing(body: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose body is a mistake of ours, as a process of its own."""
    code = (
        "import sys, click; from recorder.console import run\n"
        "from recorder.errors import InternalError\n"
        "sys.argv = ['recorder', 'record', '--note', 'confidential']\n"
        "@click.command()\n@click.argument('name')\n@click.option('--note')\n"
        f"def command(name, note):\n    secret = 'hunter2'\n    {body}\n"
        "run(command)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"TMPDIR": str(tmp_path), **environment},
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}['x']", "internal error: KeyError: 'x' at"),
        ("raise InternalError('a book without a side')", "internal error: a book without a side"),
    ],
)
def test_a_mistake_of_ours_is_one_line_and_a_private_file(
    tmp_path: Path, body: str, said: str
) -> None:
    done = run_failing(body, tmp_path)
    assert (done.returncode, done.stdout) == (70, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)
    (trace,) = tmp_path.iterdir()
    assert str(trace) in line
    assert trace.stat().st_mode & 0o777 == 0o600
    kept = trace.read_text()
    assert "Traceback" in kept
    assert version("okx-recorder") in kept
    assert "confidential" not in kept.partition("\n")[0]
    assert "hunter2" not in kept.replace("secret = 'hunter2'", "")


def test_a_mistake_of_ours_without_a_place_for_the_trace_is_still_told(tmp_path: Path) -> None:
    code = "import tempfile; tempfile.mkstemp = lambda **_: (_ for _ in ()).throw(OSError())"
    done = run_failing(f"exec({code!r}); {{}}['x']", tmp_path)
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "report it with the lines above" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", ["channels", "channels --json", "info datasets/btc-calm"])
def test_a_reader_that_has_enough_ends_any_command_quietly(arguments: str) -> None:
    code = "from recorder.cli import main; main()"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, 2), (errno.EPERM, 2), (errno.EROFS, 2), (errno.ENOSPC, 4), (errno.EIO, 1)],
)
def test_what_the_system_refuses_has_its_exit_code(number: int, code: int) -> None:
    """A place that this user may not use is the user's mistake; a medium that fails is not."""

    program = (
        "import click, errno, os, sys\n"
        "from recorder.console import run\n"
        "@click.command()\n"
        "def refuse():\n"
        f"    raise OSError({number}, os.strerror({number}), '/some/place')\n"
        "run(refuse)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: expected to read or write /some/place")
    assert done.stderr.count("\n") == 1
