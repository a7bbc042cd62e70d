"""What both commands share at a terminal: the list of commands, the version."""

from __future__ import annotations

from importlib.metadata import version

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
