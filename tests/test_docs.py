"""The documentation tells the truth: help texts, links, and the commands of the README run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_docs import BLOCK, GROUPS, PAGE, with_current_help

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
RUNNABLE = re.compile(r"<!-- run -->\n```(sh|python)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def snippets() -> list[tuple[str, str]]:
    return RUNNABLE.findall((ROOT / "README.md").read_text())


def test_help_texts_are_current() -> None:
    page = PAGE.read_text()
    assert with_current_help(page) == page, "run: python -m tests.command_docs"


@pytest.mark.parametrize("program", ["recorder", "replay"])
def test_every_command_is_documented(program: str) -> None:
    documented = {match[2] for match in BLOCK.findall(PAGE.read_text()) if match[1] == program}
    commands = GROUPS[program].list_commands(None)  # type: ignore[arg-type]
    assert documented == set(commands)
    for command in commands:
        assert f"## {program} {command}\n" in PAGE.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_has_commands_to_run() -> None:
    assert len(snippets()) >= 3


@pytest.mark.parametrize(("language", "code"), snippets(), ids=lambda text: text.split()[0])
def test_readme_commands_run(language: str, code: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    command = [sys.executable, "-"] if language == "python" else ["bash", "-euo", "pipefail"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        command,
        input=code,
        text=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "a command of the README prints something"
