"""`replay tables`, interrupted: who waits for it must not take it for done."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from recorder.errors import ExitCode
from replay.cli import tables


@pytest.mark.parametrize(("words", "is_done"), [([], False), (["--follow"], True)])
def test_an_interrupted_build_is_no_success(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], is_done: bool
) -> None:
    capture = tmp_path / "c"
    shutil.copytree(datasets / "btc-calm", capture)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    make = tables.make_tables

    def interrupted(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return make(*args, **options)

    monkeypatch.setattr(tables, "make_tables", interrupted)
    done = CliRunner().invoke(tables.tables_command, [str(capture), *words], standalone_mode=False)
    assert "0 of 1 segments made" in done.stdout
    if is_done:
        assert done.return_value == ExitCode.DONE
    else:
        assert isinstance(done.exception, click.Abort)  # the programs end with 130
