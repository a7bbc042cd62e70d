"""Keep docs/commands.md and the programs' own --help the same text.

    python -m tests.command_docs        rewrite the help blocks of docs/commands.md

`tests/test_docs.py` fails where they differ.
"""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

import recorder.cli
import replay.cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
BLOCK = re.compile(r"(<!-- help: (recorder|replay) ([a-z]+) -->\n```text\n).*?(```\n)", re.DOTALL)
GROUPS = {"recorder": recorder.cli.cli, "replay": replay.cli.cli}


def help_of(program: str, command: str) -> str:
    """Return what `program command --help` prints on a terminal of 96 columns."""
    result = CliRunner().invoke(
        GROUPS[program],
        [command, "--help"],
        prog_name=program,
        terminal_width=96,
        max_content_width=96,
        catch_exceptions=False,
    )
    return result.output


def with_current_help(page: str) -> str:
    """Return the page with every help block as the programs print it now."""
    return BLOCK.sub(lambda m: m[1] + help_of(m[2], m[3]) + m[4], page)


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(with_current_help(PAGE.read_text()))


if __name__ == "__main__":
    main()
